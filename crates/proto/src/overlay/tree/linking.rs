//! Which links a peer should have, and what each is worth.
//!
//! A message goes over links only, each hop to a strictly nearer peer; it never gets stuck when every peer has a link into each
//! of its buckets that is not empty. What links there are beyond that shortens the way most when they lead into different
//! halves, quarters and eighths of a cell.

use super::table::Buckets;
use crate::overlay::Rank;
use cicada_wire::{Hash, SignedRecord, U256};
use std::cmp::Reverse;

impl Buckets {
    /// Members that a link should stand to: for each cell in turn, the lowest first, one if there is none, then second ones, then
    /// third ones. Where members come and go (`restless`) links do not last: there are no third ones, and of each cell only those are in
    /// question who were seen last.
    pub(super) fn wanted_links(&self, linked: &[Hash], avoided: &[Hash], me: Hash, restless: bool) -> Vec<&SignedRecord> {
        let (most, in_question) = if restless { (LINKS_PER_CELL - 1, SEEN_LAST) } else { (LINKS_PER_CELL, usize::MAX) };
        let mut wanted = Vec::new();
        for (cell, bucket) in self.filled() {
            let mut chosen: Vec<Hash> = linked.iter().copied().filter(|id| self.cell(*id) == Some(cell)).collect();
            while chosen.len() < most {
                let free = bucket.members().iter().rev().filter(|member| !chosen.contains(&member.id()) && !avoided.contains(&member.id()));
                let best = free.take(in_question).max_by_key(|member| (apart(member.id(), &chosen), Reverse(pairing(me, member.id()))));
                let Some(best) = best else { break };
                wanted.push((chosen.len(), cell, best.record()));
                chosen.push(best.id());
            }
        }
        wanted.sort_by_key(|(round, cell, _)| (*round, *cell));
        wanted.into_iter().map(|(.., record)| record).collect()
    }

    /// The last links into a cell are essential; others are worth the more the fewer lead into the same cell.
    pub(super) fn rank(&self, peer: Hash, others: impl IntoIterator<Item = Hash>) -> Rank {
        let Some(cell) = self.cell(peer) else { return Rank::Spare(0) };
        let beside = others.into_iter().filter(|other| self.cell(*other) == Some(cell)).count();
        let share = self.share(cell);
        // What is beyond our share somebody over there can do without more easily.
        let beyond = beside.saturating_sub(share);
        if beside < share {
            Rank::Essential
        } else if beside < LINKS_PER_CELL * 2 {
            Rank::Useful(u16::MAX - u16::try_from(beyond).unwrap_or(u16::MAX))
        } else {
            Rank::Spare(u8::MAX - u8::try_from(beyond).unwrap_or(u8::MAX))
        }
    }

    /// How many links into this cell it takes from us: those over there need one each to our side of it, and if we are few on
    /// our side, each of us must hold several of theirs.
    fn share(&self, cell: u32) -> usize {
        let over_there = self.bucket(cell).map_or(0, |bucket| bucket.members().len());
        over_there.div_ceil(1 + self.below(cell)).clamp(1, MOST_OF_A_CELL)
    }

    /// The cells with a known member, the lowest first.
    pub(super) fn filled_cells(&self) -> Vec<u32> {
        self.filled().map(|(cell, _)| cell).collect()
    }
}

/// How far a member is from those chosen already: the farther, the more of the cell it opens up.
fn apart(member: Hash, chosen: &[Hash]) -> U256 {
    chosen.iter().map(|other| member.0.xor(other.0)).min().unwrap_or(U256::MAX)
}

/// The same for both of a pair, and otherwise spread evenly: two peers that need each other choose each other more often, and
/// nobody is everybody's choice.
fn pairing(a: Hash, b: Hash) -> u64 {
    let low = |id: Hash| {
        let bytes = id.to_bytes();
        u64::from_be_bytes(bytes[24..].try_into().expect("the last 8 of 32 bytes"))
    };
    low(a).wrapping_add(low(b))
}

/// Modelled at N = 64 with 16 links a peer: 2.6 hops with one, 2.03 with two, 1.92 with three and more.
const LINKS_PER_CELL: usize = 3;

/// The others may be gone.
const SEEN_LAST: usize = 3; // measured: a thousand members with sessions of 84 s dial half as many of the dead

/// However few we are, one cell does not take all our links.
const MOST_OF_A_CELL: usize = 11; // of 16 links at N = 64, where five or six other cells need one each
