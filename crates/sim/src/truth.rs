//! What the tables of a swarm's members should be, arranged so that one member is checked without looking at all the others.

use crate::{peer::PeerIndex, world::World};
use cicada_proto::{Geometry, geometry::CELLS};
use cicada_wire::Hash;
use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
};

/// The members of a swarm as they stand on the circle.
#[derive(Debug)]
pub(crate) struct Truth {
    geometry: Geometry,
    /// In the order of their ids.
    order: Vec<PeerIndex>,
    ids: Vec<Hash>,
    places: BTreeMap<PeerIndex, usize>,
}

impl Truth {
    pub(crate) fn of(world: &World, members: &[PeerIndex], geometry: Geometry) -> Self {
        let order = world.in_order(members);
        let ids = order.iter().map(|who| world.id(*who)).collect();
        let places = order.iter().enumerate().map(|(place, who)| (*who, place)).collect();
        Self { geometry, order, ids, places }
    }

    pub(crate) fn order(&self) -> &[PeerIndex] {
        &self.order
    }

    /// Whether the table of one member is what it should be.
    pub(crate) fn check(&self, world: &World, who: PeerIndex) -> Result<(), String> {
        match self.geometry {
            Geometry::Ring => self.neighbours_are_right(world, who).and_then(|()| self.list_is_right(world, who)),
            Geometry::Tree => self.tree_of_one(world, who),
        }
    }

    /// The member so many places clockwise from `who`.
    fn after(&self, who: PeerIndex, step: usize) -> PeerIndex {
        let place = self.places.get(&who).copied().unwrap_or_default();
        self.order[(place + step) % self.order.len()]
    }

    /// Whether it names the next member its first successor and the one before its predecessor.
    pub(crate) fn neighbours_are_right(&self, world: &World, who: PeerIndex) -> Result<(), String> {
        if self.order.len() == 1 {
            return Ok(());
        }
        let (next, before) = (self.after(who, 1), self.after(who, self.order.len() - 1));
        let (predecessor, successors) = world.ring_neighbours(who);
        if successors.first() != Some(&world.id(next)) {
            return Err(world.errs(who, "first successor", next, successors.first().copied()));
        }
        if predecessor != Some(world.id(before)) {
            return Err(world.errs(who, "predecessor", before, predecessor));
        }
        Ok(())
    }

    /// Whether it lists the next members, as many as its list is long and as there are.
    pub(crate) fn list_is_right(&self, world: &World, who: PeerIndex) -> Result<(), String> {
        let length = world.peers[who.0].config.upkeep.successors.min(self.order.len() - 1);
        let truth: Vec<_> = (1..=length).map(|step| world.id(self.after(who, step))).collect();
        let (_, belief) = world.ring_neighbours(who);
        if belief.get(..length) != Some(&truth[..]) {
            let names = world.names_of(&belief);
            return Err(format!("{} lists {names}, not the {length} members that follow it", world.name(who)));
        }
        Ok(())
    }

    /// Whether it knows the members closest to it, and somebody alive in every cell that is not empty.
    pub(crate) fn tree_of_one(&self, world: &World, who: PeerIndex) -> Result<(), String> {
        let me = world.id(who);
        let mut known: Vec<_> = world.table(who).entries.iter().map(|entry| entry.record.id()).collect();
        known.sort_unstable();
        let cells = self.cells(me);
        let closest = world.peers[who.0].config.upkeep.bucket.min(TREE_CLOSEST);
        if let Some(missing) = self.closest(me, &cells, closest).into_iter().find(|id| known.binary_search(id).is_err()) {
            return Err(format!("{} does not know {}, which is close to it", world.name(who), world.names_of(&[missing])));
        }
        let mut empty = [true; CELLS as usize];
        for cell in known.iter().filter(|id| self.ids.binary_search(id).is_ok()).filter_map(|id| Geometry::Tree.cell(me, *id)) {
            empty[cell as usize] = false;
        }
        match cells.iter().find(|(cell, _)| empty[*cell as usize]) {
            Some((cell, _)) => Err(format!("{} knows nobody alive in its cell {cell}", world.name(who))),
            None => Ok(()),
        }
    }

    /// Whether whoever asks those next to a member hears of all its closest: of as many as a bucket holds, each is known to the member
    /// itself or to one of the [`TREE_CLOSEST`].
    pub(crate) fn closest_are_findable(&self, world: &World) -> Result<(), String> {
        let table = |who: &PeerIndex| world.table(*who).entries.iter().map(|entry| entry.record.id()).collect::<BTreeSet<_>>();
        let tables: Vec<BTreeSet<Hash>> = self.order.iter().map(table).collect();
        for (place, (who, me)) in self.order.iter().zip(&self.ids).enumerate() {
            let closest = self.closest(*me, &self.cells(*me), world.peers[who.0].config.upkeep.bucket);
            let near = closest.iter().take(TREE_CLOSEST).filter_map(|id| self.ids.binary_search(id).ok());
            let asked: Vec<&BTreeSet<Hash>> = near.chain([place]).map(|place| &tables[place]).collect();
            // Who is asked names itself too.
            let mut beyond = closest.iter().skip(TREE_CLOSEST);
            if let Some(hidden) = beyond.find(|id| !asked.iter().any(|table| table.contains(id))) {
                return Err(format!("nobody next to {} knows {}, one of its closest", world.name(*who), world.names_of(&[*hidden])));
            }
        }
        Ok(())
    }

    /// The cells of the tree around `me` that are not empty, far to near, each with the places of its members.
    fn cells(&self, me: Hash) -> Vec<(u32, Range<usize>)> {
        let mut cells = Vec::new();
        // Of the members in it the first bits are those of `me`; it halves with each bit.
        let mut near = 0..self.ids.len();
        for cell in (0..CELLS).rev() {
            let ids = &self.ids[near.clone()];
            let beside = |id: &Hash| Geometry::Tree.cell(me, *id) == Some(cell);
            let (far, rest) = if ids.first().is_some_and(beside) {
                let end = near.start + ids.partition_point(beside);
                (near.start..end, end..near.end)
            } else {
                let start = near.start + ids.partition_point(|id| !beside(id));
                (start..near.end, near.start..start)
            };
            if !far.is_empty() {
                cells.push((cell, far));
            }
            near = rest;
        }
        cells
    }

    /// The `count` members that are closest to `me`, itself left out.
    fn closest(&self, me: Hash, cells: &[(u32, Range<usize>)], count: usize) -> Vec<Hash> {
        let mut closest = Vec::new();
        for (_, places) in cells.iter().rev() {
            if closest.len() >= count {
                break;
            }
            closest.extend_from_slice(&self.ids[places.clone()]);
        }
        closest.sort_by_cached_key(|id| Geometry::Tree.offset(me, *id));
        closest.truncate(count);
        closest
    }
}

const TREE_CLOSEST: usize = 8; // of k = 20: who answers for a key needs its closest, not all of the neighbourhood

#[cfg(test)]
mod tests {
    use super::*;
    use crate::WorldConfig;

    #[test]
    fn cells_and_the_closest_are_those_that_looking_at_everybody_finds() {
        let mut world = World::new(WorldConfig::default());
        let members = world.add_peers(300);
        let truth = Truth::of(&world, &members, Geometry::Tree);
        for who in members.iter().step_by(7) {
            let me = world.id(*who);
            let cells = truth.cells(me);
            let mut others: Vec<_> = truth.ids.iter().copied().filter(|id| *id != me).collect();
            for (cell, places) in &cells {
                let of_cell: Vec<_> = others.iter().copied().filter(|id| Geometry::Tree.cell(me, *id) == Some(*cell)).collect();
                assert_eq!(truth.ids[places.clone()], of_cell);
            }
            assert_eq!(cells.iter().map(|(_, places)| places.len()).sum::<usize>(), others.len());
            others.sort_by_key(|id| Geometry::Tree.offset(me, *id));
            assert_eq!(truth.closest(me, &cells, 8), others[..8]);
        }
    }
}
