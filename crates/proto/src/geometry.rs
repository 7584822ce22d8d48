//! The one idea: both overlays live on the same circle of 2^256 ids and differ in what "offset" means.
//!
//! On the ring (Stoica et al., "Chord", ToN 2003) it is the clockwise distance, on the tree (Maymounkov and Mazieres,
//! "Kademlia", 2002) the exclusive or. Cells (Chord's fingers, Kademlia's buckets), refresh targets, greedy routing and the
//! tasks of a broadcast follow from it and are written once.

mod shares;

use cicada_wire::{Hash, Offset, OverlayKind, Reach, U256};
pub(crate) use shares::{Candidates, Growth, Heir, Region, Share};

/// How many cells there are around a peer: one for each bit of an id.
pub const CELLS: u32 = 256;

/// What "offset" means.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Geometry {
    /// Clockwise distance.
    Ring,
    /// Exclusive or.
    Tree,
}

impl From<OverlayKind> for Geometry {
    fn from(kind: OverlayKind) -> Self {
        match kind {
            OverlayKind::Ring => Self::Ring,
            OverlayKind::Tree => Self::Tree,
        }
    }
}

impl Geometry {
    /// How far `to` is from `from`.
    #[must_use]
    pub fn offset(self, from: Hash, to: Hash) -> Offset {
        Offset(match self {
            Self::Ring => to.0.wrapping_sub(from.0),
            Self::Tree => to.0.xor(from.0),
        })
    }

    /// The point at `offset` from `from`: the inverse of [`Self::offset`].
    #[must_use]
    pub fn at(self, from: Hash, offset: Offset) -> Hash {
        Hash(match self {
            Self::Ring => from.0.wrapping_add(offset.0),
            Self::Tree => from.0.xor(offset.0),
        })
    }

    /// Chord's finger index and Kademlia's bucket index of `to` as seen from `from`; `None` for itself.
    #[must_use]
    pub fn cell(self, from: Hash, to: Hash) -> Option<u32> {
        self.offset(from, to).0.checked_ilog2()
    }

    /// The point that a refresh of `cell` looks up: Chord's finger start, a point of Kademlia's bucket.
    #[must_use]
    pub fn cell_start(self, from: Hash, cell: u32) -> Hash {
        self.at(from, Offset(U256::power_of_two(cell).unwrap_or(U256::ZERO)))
    }

    /// The largest reach that an honest `sender` hands to `me`.
    ///
    /// On the ring a delegate covers up to just before its sender. On the tree it covers its side of the cell in which the two
    /// differ, or both sides with the sender excluded when the sender bounds its fan-out.
    #[must_use]
    pub fn admissible(self, me: Hash, sender: Hash) -> Reach {
        match self {
            Self::Ring => Reach(self.offset(me, sender).0.saturating_sub(U256::ONE)),
            Self::Tree => self.cell(me, sender).map_or(Reach::ME, |cell| Reach::of_height(cell + 1)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn hash() -> impl Strategy<Value = Hash> {
        any::<[u8; 32]>().prop_map(Hash::from_bytes)
    }

    fn geometry() -> impl Strategy<Value = Geometry> {
        prop_oneof![Just(Geometry::Ring), Just(Geometry::Tree)]
    }

    proptest! {
        #[test]
        fn at_is_the_inverse_of_offset(g in geometry(), a in hash(), b in hash()) {
            prop_assert_eq!(g.at(a, g.offset(a, b)), b);
            prop_assert_eq!(g.offset(a, a), Offset(U256::ZERO));
            prop_assert_eq!(g.offset(a, g.at(a, Offset(b.0))), Offset(b.0));
        }

        #[test]
        fn a_cell_starts_in_itself(g in geometry(), a in hash(), cell in 0..CELLS) {
            prop_assert_eq!(g.cell(a, g.cell_start(a, cell)), Some(cell));
        }

        #[test]
        fn a_whole_side_of_a_cell_is_admissible_on_the_tree(a in hash(), b in hash()) {
            prop_assume!(a != b);
            let cell = Geometry::Tree.cell(a, b).expect("they differ");
            prop_assert!(Reach::of_height(cell) <= Geometry::Tree.admissible(b, a));
        }

        #[test]
        fn on_the_ring_the_sender_itself_is_out_of_reach(a in hash(), b in hash()) {
            prop_assume!(a != b);
            prop_assert!(Geometry::Ring.admissible(b, a).0 < Geometry::Ring.offset(b, a).0);
        }
    }
}
