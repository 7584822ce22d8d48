//! Two trees become one.
//!
//! Where they meet, the peer looks its own id up through the stranger and so comes to know the strangers nearest to itself. Then
//! it splits its tree into cells and hands each cell, over a link into it, the stranger nearest to there: whoever is handed one
//! does the same within its share. Cells so near that the strangers nearest to us are also the nearest to everybody there need no
//! lookup of their own: their members are told of the strangers. Whoever takes a stranger in as a neighbour tells it so.

use super::Tree;
use crate::{
    bucket::Bucket,
    context::Context,
    geometry::{CELLS, Geometry},
    peer::Proven,
    step::{Finder, Step},
    time::Instant,
};
use cicada_wire::{Datagram, DatagramKey, Frame, Hash, Introduction, MAX_DATAGRAM_BYTES, SignedRecord, Unify};
use std::time::Duration;

/// The merge that this peer takes part in.
#[derive(Debug)]
pub(super) struct Merge {
    /// The cells below this one are this peer's share.
    share: u32,
    /// Those below this one have been handed on.
    handed: u32,
    /// Those known so far, nearest first.
    strangers: Vec<SignedRecord>,
    /// Whether those near are still being looked up.
    seeking: bool,
    /// Until then it is the same merge.
    until: Instant,
}

impl Tree {
    /// `stranger` is a member of another tree, and the cells below `share` are ours to tell.
    pub(super) fn merge(&mut self, cx: &mut Context<'_>, stranger: &SignedRecord, share: u32) {
        if let Some(merge) = self.merge.as_mut().filter(|merge| cx.now < merge.until) {
            merge.share = merge.share.max(share.min(CELLS));
            if !merge.seeking {
                self.hand_on(cx);
            }
            return;
        }
        let strangers = vec![stranger.clone()];
        // It is asked by name, and so learns of us.
        self.on_candidates(cx, stranger.id(), &strangers);
        let until = cx.now + ONE_MERGE;
        self.merge = Some(Merge { share: share.min(CELLS), handed: 0, strangers: strangers.clone(), seeking: true, until });
        cx.step(Step::Find { target: self.id(), seeds: strangers, finder: Finder::Overlay });
    }

    /// A lookup of our own id has ended. If it was through a stranger, those it found are handed on, or at least that one.
    pub(super) fn found_strangers(&mut self, cx: &mut Context<'_>, found: &[SignedRecord]) {
        let Some(merge) = self.merge.as_mut().filter(|merge| merge.seeking) else { return };
        merge.seeking = false;
        if !found.is_empty() {
            merge.strangers = found.to_vec();
        }
        self.hand_on(cx);
    }

    fn hand_on(&mut self, cx: &mut Context<'_>) {
        let Some(merge) = self.merge.as_mut() else { return };
        let cells = merge.handed..merge.share;
        merge.handed = merge.share;
        let strangers = merge.strangers.clone();
        let mut introduced = 0;
        for cell in self.buckets.filled_cells().into_iter().filter(|cell| cells.contains(cell)) {
            let ours = self.ours(cell, &strangers);
            if self.are_enough(cell, &strangers) && introduced + ours.len() <= MOST_INTRODUCED {
                introduced += ours.len();
                for member in &ours {
                    introduce(cx, member, &strangers);
                }
            } else {
                self.delegate(cx, cell, &strangers);
            }
        }
    }

    /// The known members of a cell that are of our own tree.
    fn ours(&self, cell: u32, strangers: &[SignedRecord]) -> Vec<SignedRecord> {
        let members = self.buckets.bucket(cell).map_or(&[][..], Bucket::members);
        members.iter().map(Proven::record).filter(|member| !holds(strangers, member.id())).cloned().collect()
    }

    /// Whether `strangers`, the nearest to us, hold enough of those nearest to everybody in this cell: all up to the cell of the
    /// farthest are among them.
    fn are_enough(&self, cell: u32, strangers: &[SignedRecord]) -> bool {
        let cells: Vec<u32> = strangers.iter().filter_map(|stranger| self.buckets.cell(stranger.id())).collect();
        let farthest = cells.iter().copied().max().unwrap_or(0);
        cell < farthest && cells.iter().filter(|cell| **cell < farthest).count() >= ENOUGH
    }

    /// Hands a cell to linked members of it, with the stranger nearest to each.
    fn delegate(&self, cx: &mut Context<'_>, cell: u32, strangers: &[SignedRecord]) {
        // The eldest links are the most likely to lead to one of us.
        let ours = cx.links.members().filter(|link| self.buckets.cell(link.peer()) == Some(cell) && !holds(strangers, link.peer()));
        let delegates: Vec<_> = ours.map(|link| (link.id, link.peer())).take(DELEGATES).collect();
        for (link, delegate) in delegates {
            let nearest = strangers.iter().min_by_key(|stranger| Geometry::Tree.offset(stranger.id(), delegate));
            if let Some(seeker) = nearest.cloned() {
                // A cell's number is below 256.
                cx.out.frame(link, Frame::Unify(Unify { seeker, hop_limit: cell as u8 }));
            }
        }
    }
}

fn holds(records: &[SignedRecord], id: Hash) -> bool {
    records.iter().any(|record| record.id() == id)
}

/// Tells `to` of those nearest to it.
pub(super) fn introduce(cx: &mut Context<'_>, to: &SignedRecord, records: &[SignedRecord]) {
    let mut records = records.to_vec();
    records.sort_by_key(|record| Geometry::Tree.offset(record.id(), to.id()));
    records.truncate(FEW);
    if let Some(link) = cx.links.to_peer(to.id()).filter(|link| link.is_member()).map(|link| link.id) {
        return cx.out.frame(link, Frame::Introduce(Introduction { records }));
    }
    let Some(address) = cx.address(to) else { return };
    let mut datagram = Datagram::Introduce(Introduction { records });
    while datagram.len_bytes() > MAX_DATAGRAM_BYTES - DatagramKey::SEAL_BYTES {
        let Datagram::Introduce(introduction) = &mut datagram else { return };
        if introduction.records.pop().is_none() {
            return;
        }
    }
    cx.out.datagram(address, datagram);
}

/// Links of a cell that are told: should one lead nowhere, the other does not.
const DELEGATES: usize = 2; // guess
/// Whom one peer introduces to each other at most.
const MOST_INTRODUCED: usize = 16; // guess
/// Who knows that many of the nearest strangers finds the others.
const ENOUGH: usize = 4; // guess: one more than a lookup asks at once
/// Records in an introduction.
const FEW: usize = 6; // a datagram holds about as many
/// Longer than it takes until all are told, shorter than the time between two meetings that are worth telling of.
const ONE_MERGE: Duration = Duration::from_secs(5); // guess
