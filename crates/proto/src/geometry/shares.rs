//! How a peer shares a broadcast among others: which parts of the circle there are, whom each is handed to, and who takes over.
//!
//! On the ring the peers that are known are boundaries: each covers what lies between itself and the next one. On the tree each
//! cell is one part, and any of its members will do.

use super::Geometry;
use cicada_wire::{Hash, Offset, Reach, U256};
use rand::Rng;
use std::collections::BTreeSet;

/// A part of the circle, as seen from the peer that shares.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Region {
    /// The offsets from a delegate's own to the end, both included.
    Arc { start: Offset, end: Offset },
    /// A cell; if so, with all that lies below it, the sharer itself left out.
    Cell { cell: u32, below: bool },
}

/// A part and who is to cover it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Share {
    pub(crate) region: Region,
    pub(crate) delegate: Hash,
}

impl Region {
    pub(crate) fn start(&self) -> Option<Offset> {
        match self {
            Self::Arc { start, .. } => Some(*start),
            Self::Cell { .. } => None,
        }
    }
}

/// A task, and what was done for its message before.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Growth<'a> {
    pub(crate) covered: Reach,
    pub(crate) reach: Reach,
    /// Shares whose delegates have not failed.
    pub(crate) standing: &'a [Share],
}

/// Who can be a delegate.
#[derive(Clone, Debug, Default)]
pub(crate) struct Candidates {
    /// Members, linked or not.
    pub(crate) known: BTreeSet<Hash>,
    /// Those that a link stands to.
    pub(crate) linked: BTreeSet<Hash>,
}

impl Candidates {
    pub(crate) fn filter(&self, which: impl Fn(&Hash) -> bool) -> Self {
        let those = |ids: &BTreeSet<Hash>| ids.iter().filter(|id| which(id)).copied().collect();
        Self { known: those(&self.known), linked: those(&self.linked) }
    }
}

/// What becomes of a part whose delegate failed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Heir {
    /// These take it, with the body.
    Shares(Vec<Share>),
    /// The delegate before it on the ring covers it as well: its part now ends at this offset. It has the body.
    Extend { delegate: Hash, start: Offset, end: Offset },
    /// Nobody is known there.
    Nobody,
}

impl Geometry {
    /// The parts of what lies within `reach` but not within `covered`, at most `limit` of them; and on the ring, when a larger
    /// task comes after a smaller one, whose part grows to meet the first of them.
    pub(crate) fn shares(
        self,
        me: Hash,
        task: &Growth<'_>,
        candidates: &Candidates,
        limit: usize,
        rng: &mut impl Rng,
    ) -> (Vec<Share>, Heir) {
        match self {
            Self::Tree => {
                let cells = height(task.covered)..height(task.reach);
                (self.cells(me, cells, candidates, limit, rng), Heir::Nobody)
            }
            Self::Ring => {
                let before = self.last_of_covered(me, task, candidates);
                let boundaries = if before.is_some() { &candidates.linked } else { &candidates.known };
                let arcs = self.arcs(me, task, boundaries, candidates, limit);
                let starts = arcs.iter().filter_map(|share| share.region.start());
                let end = starts.min().map_or(Offset(task.reach.0), |start| Offset(start.0.saturating_sub(U256::ONE)));
                (arcs, before.map_or(Heir::Nobody, |(delegate, start)| Heir::Extend { delegate, start, end }))
            }
        }
    }

    /// What `share`'s delegate is told to reach.
    pub(crate) fn reach_of(self, share: &Share) -> Reach {
        match share.region {
            Region::Arc { start, end } => Reach(end.0.saturating_sub(start.0)).rounded(),
            Region::Cell { cell, below } => Reach::of_height(cell + u32::from(below)),
        }
    }

    /// Who takes over from the delegate of `failed`. `standing` are the other shares; `candidates` does not hold whoever failed.
    pub(crate) fn heir(self, me: Hash, failed: &Share, standing: &[Share], candidates: &Candidates, rng: &mut impl Rng) -> Heir {
        match failed.region {
            Region::Arc { start, end } => {
                if let Some((delegate, start)) = arc_before(standing, start) {
                    return Heir::Extend { delegate, start, end };
                }
                // Nobody before it: the next one that is known takes its place.
                let next = self.nearest(me, start, end, &candidates.known);
                next.map_or(Heir::Nobody, |(start, delegate)| Heir::Shares(vec![Share { region: Region::Arc { start, end }, delegate }]))
            }
            Region::Cell { cell, below } => {
                if let Some(delegate) = self.member_of_cell(me, cell, candidates, rng) {
                    return Heir::Shares(vec![Share { region: failed.region, delegate }]);
                }
                let lower = if below { self.cells(me, 0..cell, candidates, usize::MAX, rng) } else { Vec::new() };
                if lower.is_empty() { Heir::Nobody } else { Heir::Shares(lower) }
            }
        }
    }

    /// What `failed`'s delegate, or on the tree another of its cell, still misses although `heir` takes its part.
    pub(crate) fn missing(self, failed: &Share, heir: &Heir, dead: bool) -> Option<Reach> {
        match (failed.region, heir) {
            // The one before it on the ring finds it.
            (Region::Arc { .. }, Heir::Extend { .. }) => None,
            (Region::Arc { .. }, Heir::Shares(_) | Heir::Nobody) => (!dead).then_some(Reach::ME),
            (Region::Cell { cell, below: false }, Heir::Nobody) | (Region::Cell { cell, below: true }, Heir::Nobody | Heir::Shares(_)) => {
                let another = matches!(heir, Heir::Shares(shares) if shares.iter().any(|share| share.region == failed.region));
                (!another).then(|| Reach::of_height(cell))
            }
            (Region::Cell { .. }, Heir::Shares(_) | Heir::Extend { .. }) => None,
        }
    }

    /// Who can be handed what `wanted` should get, over a link that stands: on the tree any member of its cell will do.
    pub(crate) fn stand_in(self, me: Hash, wanted: Hash, candidates: &Candidates, rng: &mut impl Rng) -> Option<Hash> {
        if candidates.linked.contains(&wanted) {
            return Some(wanted);
        }
        match self {
            Self::Ring => None,
            Self::Tree => self.member_of_cell(me, self.cell(me, wanted)?, candidates, rng),
        }
    }

    /// The largest reach that this peer can pass on to `wanted` for another.
    pub(crate) fn passable(self, me: Hash, wanted: Hash) -> Reach {
        match self {
            Self::Ring => self.admissible(wanted, me),
            Self::Tree => Reach::of_height(self.cell(me, wanted).unwrap_or_default()),
        }
    }

    /// The delegate that covers the end of what was covered before, or a linked peer there, which will have the body.
    fn last_of_covered(self, me: Hash, task: &Growth<'_>, candidates: &Candidates) -> Option<(Hash, Offset)> {
        if task.covered == Reach::ME {
            return None;
        }
        let beyond = Offset(task.covered.0.saturating_add(U256::ONE));
        let linked = candidates.linked.iter().map(|id| (*id, self.offset(me, *id))).filter(|(_, offset)| *offset < beyond);
        arc_before(task.standing, beyond).or_else(|| linked.max_by_key(|(_, offset)| *offset))
    }

    /// Boundaries: the first of `firsts`, which may have to be linked, so that nobody is passed over; and of those that are
    /// linked the ones that make the widest part smaller.
    fn arcs(self, me: Hash, task: &Growth<'_>, firsts: &BTreeSet<Hash>, candidates: &Candidates, limit: usize) -> Vec<Share> {
        let (after, end) = (Offset(task.covered.0), Offset(task.reach.0));
        let Some((first, delegate)) = self.nearest(me, after, end, firsts).filter(|_| limit > 0) else { return Vec::new() };
        let inside = |id: &Hash| Some((self.offset(me, *id), *id)).filter(|(offset, _)| *offset > first && *offset <= end);
        let mut rest: BTreeSet<(Offset, Hash)> = candidates.linked.iter().filter_map(inside).collect();
        let mut arcs = vec![Share { region: Region::Arc { start: first, end }, delegate }];
        while arcs.len() < limit && split_widest(&mut arcs, &mut rest) {}
        arcs.sort_by_key(|share| self.offset(me, share.delegate));
        arcs
    }

    /// The member nearest behind `after`, not beyond `end`.
    fn nearest(self, me: Hash, after: Offset, end: Offset, among: &BTreeSet<Hash>) -> Option<(Offset, Hash)> {
        among.iter().map(|id| (self.offset(me, *id), *id)).filter(|(offset, _)| *offset > after && *offset <= end).min()
    }

    /// Non-empty cells, highest first. When there are more than `limit`, the last one goes together with all below it.
    fn cells(self, me: Hash, cells: std::ops::Range<u32>, candidates: &Candidates, limit: usize, rng: &mut impl Rng) -> Vec<Share> {
        let filled: BTreeSet<u32> =
            candidates.known.iter().filter_map(|id| self.cell(me, *id)).filter(|cell| cells.contains(cell)).collect();
        let shared = filled.iter().rev().take(limit).enumerate();
        let shares = shared.filter_map(|(nth, cell)| {
            let below = nth + 1 == limit && filled.len() > limit;
            let delegate = self.member_of_cell(me, *cell, candidates, rng)?;
            Some(Share { region: Region::Cell { cell: *cell, below }, delegate })
        });
        shares.collect()
    }

    /// Any member of a cell, one with a link if there is one: the choice is a new one for each message, so that no peer bears all.
    fn member_of_cell(self, me: Hash, cell: u32, candidates: &Candidates, rng: &mut impl Rng) -> Option<Hash> {
        let of_cell = |ids: &BTreeSet<Hash>| -> Vec<Hash> { ids.iter().filter(|id| self.cell(me, **id) == Some(cell)).copied().collect() };
        let linked = of_cell(&candidates.linked);
        let choice = if linked.is_empty() { of_cell(&candidates.known) } else { linked };
        // The bias of the remainder is below 2^-26 for the few dozens of a cell.
        (!choice.is_empty()).then(|| choice[rng.next_u32() as usize % choice.len()])
    }
}

/// The share that begins last before `offset`.
fn arc_before(standing: &[Share], offset: Offset) -> Option<(Hash, Offset)> {
    let starts = standing.iter().filter_map(|share| Some((share.delegate, share.region.start()?)));
    starts.filter(|(_, start)| *start < offset).max_by_key(|(_, start)| *start)
}

/// Splits the widest arc that one of `rest` lies in at the one next to its middle. Whether there was one.
fn split_widest(arcs: &mut Vec<Share>, rest: &mut BTreeSet<(Offset, Hash)>) -> bool {
    let mut splits: Vec<(U256, usize, Offset, Offset)> = Vec::new();
    for (nth, share) in arcs.iter().enumerate() {
        if let Region::Arc { start, end } = share.region
            && rest.range((start, Hash::default())..).next().is_some_and(|(offset, _)| *offset <= end)
        {
            splits.push((end.0.wrapping_sub(start.0), nth, start, end));
        }
    }
    let Some((width, nth, start, end)) = splits.into_iter().max() else { return false };
    let middle = start.0.saturating_add(width.shifted_right(1));
    let distance = |offset: Offset| offset.0.saturating_sub(middle).saturating_add(middle.saturating_sub(offset.0));
    let inside = rest.iter().filter(|(offset, _)| *offset >= start && *offset <= end);
    let Some((at, delegate)) = inside.min_by_key(|(offset, _)| distance(*offset)).copied() else { return false };
    rest.remove(&(at, delegate));
    arcs[nth].region = Region::Arc { start, end: Offset(at.0.saturating_sub(U256::ONE)) };
    arcs.push(Share { region: Region::Arc { start: at, end }, delegate });
    true
}

/// The largest height (in Kadcast's sense) that lies within `reach`.
fn height(reach: Reach) -> u32 {
    let beyond = reach.0.wrapping_add(U256::ONE);
    beyond.checked_ilog2().unwrap_or(super::CELLS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    fn ids() -> impl Strategy<Value = BTreeSet<Hash>> {
        proptest::collection::btree_set(any::<[u8; 32]>().prop_map(Hash::from_bytes), 2..80)
    }

    /// Everyone's share of everyone, handed down until nothing is left: how often each peer is handed the body.
    fn flood(geometry: Geometry, peers: &BTreeSet<Hash>, limit: usize) -> Vec<(Hash, usize)> {
        let mut rng = ChaCha8Rng::seed_from_u64(7);
        let root = *peers.first().expect("there are two");
        let mut bodies: Vec<(Hash, usize)> = peers.iter().map(|id| (*id, usize::from(*id == root))).collect();
        let mut tasks = vec![(root, Reach::ALL, BTreeSet::<Hash>::new())];
        while let Some((me, reach, excluded)) = tasks.pop() {
            let known: BTreeSet<Hash> = peers.iter().filter(|id| **id != me && !excluded.contains(*id)).copied().collect();
            let candidates = Candidates { linked: known.clone(), known };
            let task = Growth { covered: Reach::ME, reach, standing: &[] };
            let (shares, stretched) = geometry.shares(me, &task, &candidates, limit, &mut rng);
            assert_eq!(stretched, Heir::Nobody);
            assert!(shares.len() <= limit);
            for share in shares {
                let reach = geometry.reach_of(&share);
                assert!(reach <= geometry.admissible(share.delegate, me), "an honest share is admissible");
                let mut excluded = excluded.clone();
                if matches!(share.region, Region::Cell { below: true, .. }) {
                    excluded.insert(me);
                }
                bodies.iter_mut().find(|(id, _)| *id == share.delegate).expect("a peer").1 += 1;
                tasks.push((share.delegate, reach, excluded));
            }
        }
        bodies
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]

        #[test]
        fn when_all_know_all_each_gets_the_body_once(peers in ids(), limit in 1usize..9) {
            for geometry in [Geometry::Ring, Geometry::Tree] {
                for (_, copies) in flood(geometry, &peers, limit) {
                    prop_assert_eq!(copies, 1);
                }
            }
        }
    }

    #[test]
    fn heights_are_the_powers_within_a_reach() {
        assert_eq!((height(Reach::ME), height(Reach::ALL)), (0, 256));
        for cell in [1, 2, 127, 128, 255] {
            assert_eq!(height(Reach::of_height(cell)), cell);
        }
    }
}
