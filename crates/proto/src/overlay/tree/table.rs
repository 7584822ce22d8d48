//! The buckets of a peer and what can be asked of them.

use crate::{
    bucket::Bucket as AnyBucket,
    config::Config,
    geometry::{CELLS, Geometry},
    overlay::caps,
    peer::Proven,
};
use cicada_wire::{Hash, SignedRecord};
use std::collections::BTreeMap;

/// A bucket of proven members.
pub(super) type Bucket = AnyBucket<Proven, SignedRecord>;

/// The known members, by cell.
#[derive(Debug)]
pub(super) struct Buckets {
    me: Hash,
    cells: BTreeMap<u32, Bucket>,
}

/// Where a peer would go.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Place {
    /// It is known.
    Known,
    /// Its bucket has room.
    Free,
    /// Its bucket is full, but it is among the members nearest to us: this one gives way.
    Of(Hash),
    /// There is none.
    Full,
    /// It is ourselves.
    Nowhere,
}

impl Buckets {
    pub(super) fn new(me: Hash) -> Self {
        Self { me, cells: BTreeMap::new() }
    }

    pub(super) fn cell(&self, id: Hash) -> Option<u32> {
        Geometry::Tree.cell(self.me, id)
    }

    pub(super) fn bucket(&self, cell: u32) -> Option<&Bucket> {
        self.cells.get(&cell)
    }

    pub(super) fn bucket_mut(&mut self, id: Hash) -> Option<&mut Bucket> {
        let cell = self.cell(id)?;
        Some(self.cells.entry(cell).or_insert_with(Bucket::new))
    }

    /// The cells with a known member, the lowest first.
    pub(super) fn filled(&self) -> impl DoubleEndedIterator<Item = (u32, &Bucket)> {
        self.cells.iter().filter(|(_, bucket)| !bucket.members().is_empty()).map(|(cell, bucket)| (*cell, bucket))
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Proven> {
        self.cells.values().flat_map(Bucket::members)
    }

    pub(super) fn member(&self, id: Hash) -> Option<&Proven> {
        self.cells.get(&self.cell(id)?)?.member(id)
    }

    /// How many members are known in the cells below this one.
    pub(super) fn below(&self, cell: u32) -> usize {
        self.cells.range(..cell).map(|(_, bucket)| bucket.members().len()).sum()
    }

    /// How large the swarm is, as those next to us tell, at least so many: they fill one of so many equal parts of the circle.
    pub(super) fn likely_size(&self, nearest: usize) -> usize {
        let mut known = 0;
        let last = self.filled().find(|(_, bucket)| {
            known += bucket.members().len();
            known >= nearest
        });
        last.map_or(known, |(cell, _)| known << (CELLS - 1 - cell).min(MOST_HALVINGS))
    }

    /// The members nearest to `target`, nearest first.
    pub(super) fn nearest(&self, target: Hash, limit: usize) -> Vec<&Proven> {
        // Whoever is in a cell differs from us in its bit and in none above. Where the target differs from us too, that brings
        // it nearer than we are, the more the higher the bit; elsewhere it takes it farther. So cells are not mixed in the order.
        let differs = Geometry::Tree.offset(self.me, target).0;
        let nearer = self.cells.iter().rev().filter(|(cell, _)| differs.bit(**cell));
        let farther = self.cells.iter().filter(|(cell, _)| !differs.bit(**cell));
        let mut nearest = Vec::new();
        for (_, bucket) in nearer.chain(farther) {
            if nearest.len() >= limit {
                break;
            }
            let before = nearest.len();
            nearest.extend(bucket.members());
            nearest[before..].sort_unstable_by_key(|member| Geometry::Tree.offset(member.id(), target));
        }
        nearest.truncate(limit);
        nearest
    }

    /// Whether `id` is, or would be, among the `limit` members nearest to us.
    pub(super) fn is_near(&self, id: Hash, limit: usize) -> bool {
        let Some(cell) = self.cell(id) else { return false };
        let offset = Geometry::Tree.offset(self.me, id);
        let nearer = |member: &&Proven| Geometry::Tree.offset(self.me, member.id()) < offset;
        let beside = self.cells.get(&cell).map_or(0, |bucket| bucket.members().iter().filter(nearer).count());
        self.below(cell) + beside < limit
    }

    /// Whether nobody of this id is known, and its bucket has room or would make some.
    pub(super) fn lacks(&self, config: &Config, id: Hash) -> bool {
        let size = config.upkeep.bucket;
        let has_room = |cell| self.bucket(cell).is_none_or(|bucket| bucket.members().len() < size);
        self.cell(id).is_some_and(|cell| has_room(cell) || self.is_near(id, size)) && self.member(id).is_none()
    }

    /// Where this peer would go.
    pub(super) fn place(&self, config: &Config, record: &SignedRecord) -> Place {
        let id = record.id();
        let Some(cell) = self.cell(id) else { return Place::Nowhere };
        let size = config.upkeep.bucket;
        let members = self.cells.get(&cell).map_or(&[][..], Bucket::members);
        let near = self.is_near(id, size);
        if members.iter().any(|member| member.id() == id) {
            Place::Known
        } else if members.len() < size {
            let fits = near || caps::have_room(config, record, self.iter().map(Proven::record));
            if fits { Place::Free } else { Place::Full }
        } else if near {
            // The farthest of a full bucket is not among as many nearest as the bucket holds once this one is in.
            let farthest = members.iter().map(Proven::id).max_by_key(|id| Geometry::Tree.offset(self.me, *id));
            farthest.map_or(Place::Full, Place::Of)
        } else {
            Place::Full
        }
    }

    pub(super) fn remove(&mut self, id: Hash) -> Option<Proven> {
        let cell = self.cell(id)?;
        let removed = self.cells.get_mut(&cell)?.remove(id);
        self.tidy();
        removed
    }

    /// Drops buckets with nobody in them.
    pub(super) fn tidy(&mut self) {
        self.cells.retain(|_, bucket| !bucket.is_empty());
    }
}

/// A swarm of millions is not told from a larger one.
const MOST_HALVINGS: u32 = 20;
