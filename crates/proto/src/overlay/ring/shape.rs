//! What follows from the set of known members: pure, and computed anew after each change.

use super::Known;
use crate::{
    config::{Config, Families},
    event::Place,
    geometry::{CELLS, Geometry},
    overlay::{Rank, anchors::anchors, caps::have_room},
};
use cicada_wire::{Churn, Hash, Offset, SignedRecord, U256};
use std::collections::{BTreeMap, BTreeSet};

/// Who is what to this peer.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Shape {
    /// The last member before this peer.
    pub(super) predecessor: Option<Hash>,
    /// The next members after this peer, at most r. With fewer than r the list is the whole ring.
    pub(super) successors: Vec<Hash>,
    /// The first member of each cell that is not empty.
    pub(super) fingers: BTreeMap<u32, Hash>,
    /// The next known members beyond the list whose subnet has not more than its share of it; nobody while no subnet has more.
    pub(super) anchors: Vec<Hash>,
    /// Whether some subnet has more than its share of the list, so that anchors are sought.
    pub(super) is_crowded: bool,
    /// Points at random distances, drawn with probability 1/distance: links to the members there make greedy routes short in
    /// all directions (Kleinberg, "The small-world phenomenon", 2000).
    pub(super) points: Vec<Hash>,
    /// The first known member at or after each of these points.
    pub(super) long: Vec<Hash>,
    /// The members before this peer, nearest first: at most [`BEFORE`].
    pub(super) before: Vec<Hash>,
    /// For a member of both families: for each of them, the nearest members that see it. Those of one family know only such,
    /// and hold their ring together over us.
    pub(super) kin: Vec<Kin>,
    /// r.
    pub(super) full: usize,
}

/// The nearest members that see one address family.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Kin {
    pub(super) family: Families,
    pub(super) predecessor: Option<Hash>,
    /// At most [`KIN`].
    pub(super) successors: Vec<Hash>,
}

impl Shape {
    /// `draws`: see [`draws`].
    pub(super) fn of(me: Hash, draws: &[Hash], known: &BTreeMap<Hash, Known>, config: &Config) -> Self {
        let full = config.upkeep.successors;
        let mut clockwise = Vec::with_capacity(known.len());
        clockwise.extend(known.range(me..).chain(known.range(..me)).map(|(id, known)| (*id, known.peer.record())));
        let ids = |some: &[(Hash, &SignedRecord)]| some.iter().map(|(id, _)| *id).collect::<Vec<_>>();
        let anchors = anchors(&clockwise, full, |record| config.families.address(record), &config.limits);
        let mut shape = Self {
            predecessor: clockwise.last().map(|(id, _)| *id),
            successors: ids(&clockwise[..full.min(clockwise.len())]),
            fingers: fingers(me, full, &clockwise, config),
            is_crowded: anchors.is_some(),
            anchors: anchors.unwrap_or_default(),
            points: Vec::new(),
            long: Vec::new(),
            before: clockwise.iter().rev().map(|(id, _)| *id).take(BEFORE).collect(),
            kin: kin(&clockwise, config.families),
            full,
        };
        shape.points = shape.long_points(me, draws);
        shape.long = shape.points.iter().filter_map(|point| first_of(&clockwise, me, *point)).collect();
        shape
    }

    /// Whether the list is the whole ring, as far as this peer knows.
    pub(super) fn is_whole_ring(&self) -> bool {
        self.successors.len() < self.full
    }

    /// How many places there are: no more than the members that have one.
    pub(super) fn len(&self) -> usize {
        self.successors.len() + self.fingers.len() + self.anchors.len() + self.long.len() + self.before.len() + self.kin.len() * (KIN + 1)
    }

    /// Those who are something to this peer, once each, in order.
    pub(super) fn places(&self) -> Vec<Hash> {
        let kin = self.kin.iter().flat_map(|kin| kin.predecessor.iter().chain(&kin.successors));
        let near = self.before.iter().chain(&self.successors);
        let mut places = Vec::with_capacity(self.len());
        places.extend(near.chain(&self.anchors).chain(&self.long).chain(self.fingers.values()).chain(kin).copied());
        places.sort_unstable();
        places.dedup();
        places
    }

    /// Whether this may be another shape once `id` is known. If not, it is none either when members without a place go.
    pub(super) fn may_change_with(&self, me: Hash, id: Hash) -> bool {
        let after = |id| Geometry::Ring.offset(me, id);
        let offset = after(id);
        if self.is_crowded || !self.kin.is_empty() || self.is_in_list(me, id) {
            return true;
        }
        let is_before = self.before.get(BEFORE - 1).is_none_or(|last| after(*last) < offset);
        let cell = Geometry::Ring.cell(me, id).unwrap_or_default();
        let is_finger = self.fingers.get(&cell).is_none_or(|finger| offset < after(*finger));
        let comes_first = |(point, holder): (&Hash, &Hash)| match (after(*point), after(*holder)) {
            (point, holder) if point <= holder => point <= offset && offset < holder,
            // Nobody is known to stand behind the point: the first of all holds it.
            (point, holder) => point <= offset || offset < holder,
        };
        is_before || is_finger || self.points.iter().zip(&self.long).any(comes_first)
    }

    /// Predecessor and successors, once each.
    pub(super) fn neighbours(&self) -> BTreeSet<Hash> {
        self.predecessor.into_iter().chain(self.successors.iter().copied()).collect()
    }

    /// Whether a candidate is worth proving: it would have a place.
    pub(super) fn would_take(&self, me: Hash, id: Hash, known: &BTreeMap<Hash, Known>) -> bool {
        if id == me || known.contains_key(&id) {
            return false;
        }
        let before = self.predecessor.is_none_or(|predecessor| is_within(predecessor, id, me));
        // A better finger than the one there is worth no proof; whoever looks for it finds it.
        let finger = Geometry::Ring.cell(me, id).is_some_and(|cell| !self.fingers.contains_key(&cell));
        self.is_in_list(me, id) || before || finger
    }

    /// Whether a candidate would be one of our nearest of a family.
    pub(super) fn would_be_kin(&self, me: Hash, record: &SignedRecord) -> bool {
        let (id, families) = (record.id(), Families::of(record));
        let after = |id| Geometry::Ring.offset(me, id);
        self.kin.iter().filter(|kin| kin.family.meet(families)).any(|kin| {
            let next = kin.successors.get(KIN - 1).is_none_or(|last| after(id) < after(*last));
            next || kin.predecessor.is_none_or(|predecessor| is_within(predecessor, id, me))
        })
    }

    /// The nearest member behind us that sees a family which our successor does not see.
    pub(super) fn other_successor(&self) -> Option<Hash> {
        let first = self.successors.first();
        self.kin.iter().filter_map(|kin| kin.successors.first()).find(|id| Some(*id) != first).copied()
    }

    /// Whether somebody is next to us on either side among those of a family, or would be, of whichever it is.
    pub(super) fn is_next_of_kin(&self, me: Hash, id: Hash, is_known: bool) -> bool {
        let after = |id| Geometry::Ring.offset(me, id);
        self.kin.iter().any(|kin| {
            if is_known {
                return kin.predecessor == Some(id) || kin.successors.iter().take(ESSENTIAL).any(|next| *next == id);
            }
            let next = kin.successors.get(ESSENTIAL - 1).is_some_and(|last| after(id) <= after(*last));
            next || kin.predecessor.is_some_and(|predecessor| after(id) >= after(predecessor))
        })
    }

    /// Whether `id` is before the end of the list.
    pub(super) fn is_in_list(&self, me: Hash, id: Hash) -> bool {
        let offset = |id| Geometry::Ring.offset(me, id);
        self.is_whole_ring() || self.successors.last().is_none_or(|last| offset(id) < offset(*last))
    }

    // --- Ownership

    pub(super) fn owns(&self, me: Hash, key: Hash) -> bool {
        self.predecessor.is_none_or(|predecessor| is_within(predecessor, key, me))
    }

    /// The owner and the next ones after it, if `key` falls where this peer knows every member.
    pub(super) fn responsible(&self, me: Hash, key: Hash, known: &BTreeMap<Hash, Known>) -> Vec<Hash> {
        if self.owns(me, key) {
            return std::iter::once(me).chain(self.successors.iter().copied()).collect();
        }
        let list = &self.successors;
        let from_me = Geometry::Ring.offset(me, key);
        if let Some(first) = list.iter().position(|id| from_me <= Geometry::Ring.offset(me, *id)) {
            let around = if self.is_whole_ring() { &list[..first] } else { &[] };
            let me = self.is_whole_ring().then_some(me);
            return list[first..].iter().copied().chain(me).chain(around.iter().copied()).collect();
        }
        // Not ours, but taken to be: the predecessor covers it, or somebody before.
        match first_at(key, known).and_then(|owner| self.before.iter().position(|id| *id == owner)) {
            Some(place) => self.before[..=place].iter().rev().copied().chain([me]).chain(list.iter().copied()).collect(),
            None => Vec::new(),
        }
    }

    /// The same among those that see a family, as far as it is known for certain whom of them we stand between.
    pub(super) fn responsible_of_kin(&self, me: Hash, key: Hash, view: Families) -> Vec<Hash> {
        let Some(kin) = self.kin.iter().find(|kin| kin.family == view) else { return Vec::new() };
        if kin.predecessor.is_none_or(|predecessor| is_within(predecessor, key, me)) {
            return std::iter::once(me).chain(kin.successors.iter().copied()).collect();
        }
        let first = kin.successors.iter().position(|id| is_within(me, key, *id));
        first.map_or(Vec::new(), |first| kin.successors[first..].to_vec())
    }

    // --- Links

    /// Members that a link should stand to, the most wanted first.
    pub(super) fn wanted_links(&self) -> Vec<Hash> {
        let neighbours = self.predecessor.into_iter().chain(self.successors.iter().copied().take(ESSENTIAL));
        let fingers = self.fingers.values().rev().copied();
        let kin = self.kin.iter().flat_map(|kin| kin.predecessor.into_iter().chain(kin.successors.iter().copied().take(ESSENTIAL)));
        let mut seen = BTreeSet::new();
        let anchors = self.anchors.iter().copied().take(ANCHOR_LINKS);
        neighbours.chain(kin).chain(anchors).chain(fingers).chain(self.long.iter().copied()).filter(|id| seen.insert(*id)).collect()
    }

    /// Also of peers that are not known (yet): were a new neighbour turned away because all links are taken, the ring could not
    /// take it in.
    pub(super) fn rank(&self, me: Hash, peer: Hash, is_known: bool) -> Rank {
        let after = |id| Geometry::Ring.offset(me, id);
        let is_next = self.successors.get(ESSENTIAL - 1).is_none_or(|last| after(peer) <= after(*last));
        let is_before = self.before.get(ESSENTIAL - 1).is_none_or(|last| after(peer) >= after(*last));
        if is_next || is_before || self.is_next_of_kin(me, peer, is_known) {
            return Rank::Essential;
        }
        if self.anchors.iter().take(ANCHOR_LINKS).any(|anchor| *anchor == peer) {
            return Rank::Useful(ANCHOR);
        }
        let cell = Geometry::Ring.cell(me, peer).unwrap_or_default();
        if self.fingers.get(&cell).is_none_or(|finger| *finger == peer) {
            // Cells are below 256.
            return Rank::Useful(FINGER + cell as u16);
        }
        if self.long.contains(&peer) {
            return Rank::Useful(LONG_LINK);
        }
        let theirs = Geometry::Ring.cell(peer, me).unwrap_or_default();
        if self.is_first_of_cell(peer, me, theirs) { Rank::Spare(THEIR_FINGER) } else { Rank::Spare(0) }
    }

    /// Whether a neighbour would be none if those who are being proven are there: a link to it would not last.
    pub(super) fn may_be_supplanted(&self, me: Hash, peer: Hash, hopeful: &[Hash]) -> bool {
        // Of most it is clear at once that they are no neighbours.
        if self.rank(me, peer, true) != Rank::Essential || self.is_next_of_kin(me, peer, true) {
            return false;
        }
        let after = |id| Geometry::Ring.offset(me, id);
        let offset = after(peer);
        let ahead = self.successors.iter().chain(hopeful).filter(|other| after(**other) < offset).take(ESSENTIAL).count();
        let behind = self.before.iter().chain(hopeful).filter(|other| after(**other) > offset).take(ESSENTIAL).count();
        ahead == ESSENTIAL && behind == ESSENTIAL
    }

    /// Whether a link to a finger, or a long one, can be done without where members come and go: another leads into the same cell, or
    /// a long one would not last.
    pub(super) fn is_dispensable(&self, me: Hash, peer: Hash, linked: &[Hash], churn: Churn) -> bool {
        let cell = Geometry::Ring.cell(me, peer);
        let beside = linked.iter().filter(|other| **other != peer && Geometry::Ring.cell(me, **other) == cell).count();
        match self.rank(me, peer, true) {
            Rank::Useful(ANCHOR) => false,
            Rank::Useful(LONG_LINK) => beside > 1 || churn == Churn::Heavy,
            Rank::Useful(_) => beside > 0,
            Rank::Essential | Rank::Spare(_) => false,
        }
    }

    /// What a link is worth that leads into a cell into which no other does.
    pub(super) fn rank_in_place_of_a_finger(&self, me: Hash, peer: Hash, others: impl IntoIterator<Item = Hash>) -> Option<Rank> {
        let cell = Geometry::Ring.cell(me, peer)?;
        let is_alone = others.into_iter().all(|other| other == peer || Geometry::Ring.cell(me, other) != Some(cell));
        // Cells are below 256.
        is_alone.then_some(Rank::Useful(FINGER + cell as u16))
    }

    /// Whether this peer is likely to be `peer`'s finger: nobody is known to stand between the start of the cell and us.
    fn is_first_of_cell(&self, peer: Hash, me: Hash, cell: u32) -> bool {
        let start = Geometry::Ring.cell_start(peer, cell);
        self.predecessor.is_none_or(|predecessor| is_within(predecessor, start, me))
    }

    pub(super) fn place(&self, me: Hash, id: Hash) -> Place {
        if let Some(place) = self.successors.iter().position(|successor| *successor == id) {
            Place::Successor(place)
        } else if self.predecessor == Some(id) {
            Place::Predecessor
        } else if Geometry::Ring.cell(me, id).is_some_and(|cell| self.fingers.get(&cell) == Some(&id)) {
            Place::Finger
        } else if self.anchors.contains(&id) {
            Place::Anchor
        } else {
            Place::Other
        }
    }

    // --- Distances

    /// The cell of the last successor: below it the list knows better than any finger.
    pub(super) fn lowest_cell(&self, me: Hash) -> u32 {
        self.successors.last().and_then(|last| Geometry::Ring.cell(me, *last)).unwrap_or(CELLS)
    }

    /// The points at which long links are wanted: evenly over the cells beyond the list and evenly in each.
    fn long_points(&self, me: Hash, draws: &[Hash]) -> Vec<Hash> {
        let lowest = self.lowest_cell(me);
        if lowest >= CELLS {
            return Vec::new();
        }
        let point = |drawn: &Hash| {
            let cell = CELLS - 1 - (u32::from(drawn.to_bytes()[31]) * (CELLS - lowest)) / 256;
            let start = U256::power_of_two(cell).unwrap_or(U256::ZERO);
            Geometry::Ring.at(me, Offset(start.saturating_add(drawn.0.shifted_right(CELLS - cell))))
        };
        draws.iter().map(point).collect()
    }
}

/// What a peer's long links are drawn from: once for all from its id, so that it wants the same ones tomorrow.
pub(super) fn draws(me: Hash) -> Vec<Hash> {
    (0..LONG_LINKS).map(|number| Hash::of([&me.to_bytes()[..], b"long", &[number]].concat())).collect()
}

/// The first member of each cell; beyond the list, of those that the caps have room for, far to near.
fn fingers(me: Hash, list: usize, clockwise: &[(Hash, &SignedRecord)], config: &Config) -> BTreeMap<u32, Hash> {
    let mut held: Vec<&SignedRecord> = Vec::new();
    let mut fingers = BTreeMap::new();
    // Clockwise from this peer the cells follow each other, near to far.
    let mut nearer = clockwise;
    while let Some(cell) = nearer.last().and_then(|(id, _)| Geometry::Ring.cell(me, *id)) {
        let start = nearer.partition_point(|(id, _)| Geometry::Ring.cell(me, *id) < Some(cell));
        let chosen = (start..nearer.len()).find(|at| *at < list || have_room(config, nearer[*at].1, held.iter().copied()));
        if let Some((id, record)) = chosen.map(|at| nearer[at]) {
            held.push(record);
            fingers.insert(cell, id);
        }
        nearer = &nearer[..start];
    }
    fingers
}

/// Who is next to us in each of our families, if there are several.
fn kin(clockwise: &[(Hash, &SignedRecord)], ours: Families) -> Vec<Kin> {
    let of = |family: Families| {
        let seeing = || clockwise.iter().filter(move |(_, record)| Families::of(record).meet(family)).map(|(id, _)| *id);
        Kin { family, predecessor: seeing().next_back(), successors: seeing().take(KIN).collect() }
    };
    if ours.are_both() { [Families::V4, Families::V6].map(of).to_vec() } else { Vec::new() }
}

/// The first of those at or after `point`.
fn first_of(clockwise: &[(Hash, &SignedRecord)], me: Hash, point: Hash) -> Option<Hash> {
    let after = |id| Geometry::Ring.offset(me, id);
    let at = clockwise.partition_point(|(id, _)| after(*id) < after(point));
    clockwise.get(at).or(clockwise.first()).map(|(id, _)| *id)
}

/// The first known member at or after `point`.
fn first_at(point: Hash, known: &BTreeMap<Hash, Known>) -> Option<Hash> {
    known.range(point..).chain(known.range(..point)).map(|(id, _)| *id).next()
}

/// Whether `key` is in (`from`, `to`]: whether `to` owns it if `from` is its predecessor.
pub(super) fn is_within(from: Hash, key: Hash, to: Hash) -> bool {
    let to_key = Geometry::Ring.offset(from, key);
    // From a point to itself is once around.
    from == to || (key != from && to_key <= Geometry::Ring.offset(from, to))
}

/// How many members before this peer are kept in mind: those to which it is a near successor.
const BEFORE: usize = 4; // guess: predecessor, who has us for its second successor, and two in reserve

/// Links to successors that are never given up; as many to those before us, to whom we are such a successor.
const ESSENTIAL: usize = 2; // modelled

/// How many next members of each family are known for certain.
const KIN: usize = 4; // guess: of four in a row one lives

const LONG_LINKS: u8 = 8; // guess: what 16 links leave beside neighbours and fingers

/// Links to anchors.
pub(super) const ANCHOR_LINKS: usize = 2; // guess: one, and one in reserve

/// Above those of all cells: without it everything next behind a hostile run is out of reach.
const ANCHOR: u16 = 512;
const FINGER: u16 = 1;
const LONG_LINK: u16 = 0;
const THEIR_FINGER: u8 = 1;
