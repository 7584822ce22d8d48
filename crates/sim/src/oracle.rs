//! What is true, seen from above, and whether the peers know it.
//!
//! Each question takes the members of one swarm; [`World::live`] are all that live. What a peer knows is asked of its public
//! tables, never of its private state.

use crate::{
    cost::Cost,
    peer::PeerIndex,
    truth::Truth,
    world::World,
    zave::{self, Breach, Lists},
};
use cicada_proto::{
    Geometry, Node, Operation,
    event::{Place, Table},
};
use cicada_wire::{Hash, Refusal, Role, SignedRecord};
use rand::RngExt;
use std::{collections::BTreeMap, time::Duration};

impl World {
    /// The peers that live, in the order of their numbers.
    pub fn live(&self) -> impl Iterator<Item = PeerIndex> {
        self.peers.iter().enumerate().filter(|(_, peer)| peer.node.is_some()).map(|(who, _)| PeerIndex(who))
    }

    /// The members that live: no clients, no leaves.
    #[must_use]
    pub fn live_members(&self) -> Vec<PeerIndex> {
        self.live().filter(|who| self.peers[who.0].record.record().role == Role::Member).collect()
    }

    /// The members that live and are in a swarm, by the sets of a partition.
    #[must_use]
    pub fn swarms(&self) -> Vec<Vec<PeerIndex>> {
        let mut islands: BTreeMap<usize, Vec<PeerIndex>> = BTreeMap::new();
        for who in self.live_members().into_iter().filter(|who| self.node(*who).is_some_and(Node::is_joined)) {
            islands.entry(self.spots[who.0].island).or_default().push(who);
        }
        islands.into_values().collect()
    }

    /// Whether a peer lives.
    #[must_use]
    pub fn lives_still(&self, who: PeerIndex) -> bool {
        self.peers[who.0].node.is_some()
    }

    /// A peer's machine, unless it has crashed or left.
    #[must_use]
    pub fn node(&self, who: PeerIndex) -> Option<&Node> {
        self.peers[who.0].node.as_ref()
    }

    /// Where a peer stands on the circle.
    #[must_use]
    pub fn id(&self, who: PeerIndex) -> Hash {
        self.peers[who.0].record.id()
    }

    /// The peer with this id, alive or not.
    #[must_use]
    pub fn by_id(&self, id: Hash) -> Option<PeerIndex> {
        self.by_id.get(&id).copied()
    }

    /// A point of the circle, drawn from the world's seed.
    pub fn random_key(&mut self) -> Hash {
        Hash::from_bytes(self.rng.random())
    }

    /// One of these, drawn from the world's seed.
    ///
    /// # Panics
    /// When there is none.
    pub fn choose(&mut self, peers: &[PeerIndex]) -> PeerIndex {
        peers[self.rng.random_range(0..peers.len())]
    }

    /// What a peer has sent since it was added.
    #[must_use]
    pub fn cost(&self, who: PeerIndex) -> &Cost {
        &self.peers[who.0].cost
    }

    /// What these peers have sent since they were added, together.
    #[must_use]
    pub fn cost_of(&self, peers: &[PeerIndex]) -> Cost {
        let mut sum = Cost::default();
        for who in peers {
            sum += &self.peers[who.0].cost;
        }
        sum
    }

    /// What a peer has refused, by reason.
    #[must_use]
    pub fn refused(&self, who: PeerIndex) -> &BTreeMap<Refusal, u64> {
        &self.peers[who.0].refused
    }

    /// How many deliveries a peer's full queue has cost it.
    #[must_use]
    pub fn lagged(&self, who: PeerIndex) -> u64 {
        self.peers[who.0].lagged
    }

    pub(crate) fn geometry(&self, members: &[PeerIndex]) -> Geometry {
        members.first().map_or(Geometry::Ring, |who| self.peers[who.0].config.overlay.into())
    }

    /// Who of these members is responsible for `key`: its successor on the ring, the closest on the tree.
    #[must_use]
    pub fn owner(&self, members: &[PeerIndex], key: Hash) -> Option<PeerIndex> {
        let geometry = self.geometry(members);
        // On the ring the owner is the first at or after the key; by exclusive or the order of the two does not matter.
        members.iter().copied().min_by_key(|who| geometry.offset(key, self.id(*who)))
    }

    /// These members in the order of the circle.
    #[must_use]
    pub fn in_order(&self, members: &[PeerIndex]) -> Vec<PeerIndex> {
        let mut members = members.to_vec();
        members.sort_by_key(|who| self.id(*who));
        members
    }

    pub(crate) fn table(&self, who: PeerIndex) -> Table {
        self.node(who).map(Node::table).unwrap_or_default()
    }

    /// What a member thinks is its predecessor, and its successors in their order.
    #[must_use]
    pub fn ring_neighbours(&self, who: PeerIndex) -> (Option<Hash>, Vec<Hash>) {
        let table = self.table(who);
        let mut predecessor = None;
        let mut successors = BTreeMap::new();
        for entry in &table.entries {
            match entry.place {
                Place::Predecessor => predecessor = Some(entry.record.id()),
                Place::Successor(place) => {
                    successors.insert(place, entry.record.id());
                }
                Place::Anchor | Place::Finger | Place::Bucket | Place::Other => {}
            }
        }
        (predecessor, successors.into_values().collect())
    }

    /// What a member thinks stands around it, by cells on the tree, in one line.
    #[must_use]
    pub fn describe_table(&self, who: PeerIndex) -> String {
        match self.geometry(&[who]) {
            Geometry::Ring => {
                let (predecessor, successors) = self.ring_neighbours(who);
                let predecessor = predecessor.map_or_else(|| "-".to_owned(), |id| self.trace.words().id(id));
                format!("{}: {predecessor} < [{}]", self.name(who), self.names_of(&successors))
            }
            Geometry::Tree => {
                let mut cells: BTreeMap<u32, Vec<Hash>> = BTreeMap::new();
                for entry in self.table(who).entries {
                    cells.entry(entry.cell).or_default().push(entry.record.id());
                }
                let cells = cells.iter().map(|(cell, ids)| format!(" {cell} [{}]", self.names_of(ids)));
                format!("{}:{}", self.name(who), cells.collect::<String>())
            }
        }
    }

    /// Whether each of these members names the next of them its first successor and the one before its predecessor.
    ///
    /// # Errors
    /// Says who errs, and how.
    pub fn ring_is_ordered(&self, members: &[PeerIndex]) -> Result<(), String> {
        let truth = Truth::of(self, members, Geometry::Ring);
        truth.order().iter().try_for_each(|who| truth.neighbours_are_right(self, *who))
    }

    pub(crate) fn errs(&self, who: PeerIndex, what: &str, truth: PeerIndex, belief: Option<Hash>) -> String {
        let belief = belief.map_or_else(|| "nobody".to_owned(), |id| self.trace.words().id(id));
        format!("the {what} of {} is {}, it thinks {belief}", self.name(who), self.name(truth))
    }

    /// Whether each of these members lists the next ones after it, as many as its list is long and as there are.
    ///
    /// # Errors
    /// Says who errs.
    pub fn successor_lists_are_right(&self, members: &[PeerIndex]) -> Result<(), String> {
        let truth = Truth::of(self, members, Geometry::Ring);
        truth.order().iter().try_for_each(|who| truth.list_is_right(self, *who))
    }

    pub(crate) fn names_of(&self, ids: &[Hash]) -> String {
        ids.iter().map(|id| self.trace.words().id(*id)).collect::<Vec<_>>().join(" ")
    }

    /// Whether each of these members lists a successor that lives, and its list is in ring order: the part of Zave's invariant
    /// ("Reasoning about identifier spaces: how to make Chord correct", 2017) that holds even while two rings become one.
    ///
    /// # Errors
    /// Says whose list is not so.
    pub fn successors_live(&self, members: &[PeerIndex]) -> Result<(), String> {
        zave::live_successors(&self.successor_lists(members)).map(|_| ()).map_err(|breach| self.describe_breach(&breach))
    }

    /// Zave's invariant as far as it can be asked of rings of any size: [`Self::successors_live`], and following the first live
    /// successors from anywhere one comes to one ring, which winds once. [`zave::Watch`] says for how long its assumption held.
    ///
    /// # Errors
    /// Says which part does not hold, and where.
    pub fn zave_holds(&self, members: &[PeerIndex]) -> Result<(), String> {
        zave::holds(&self.successor_lists(members)).map_err(|breach| self.describe_breach(&breach))
    }

    /// The successor list of each of these members.
    #[must_use]
    pub fn successor_lists(&self, members: &[PeerIndex]) -> Lists {
        members.iter().map(|who| (self.id(*who), self.ring_neighbours(*who).1)).collect()
    }

    fn describe_breach(&self, breach: &Breach) -> String {
        let name = |id: &Hash| self.trace.words().id(*id);
        let list = |id: &Hash| self.by_id(*id).map(|who| self.names_of(&self.ring_neighbours(who).1)).unwrap_or_default();
        match breach {
            Breach::Disordered(id) => format!("{} lists {} out of order", name(id), list(id)),
            Breach::Stranded(id) => format!("{} lists no successor that lives: {}", name(id), list(id)),
            Breach::TwoRings(a, b) => format!("{} and {} are on different rings", name(a), name(b)),
            Breach::Winding | Breach::Principals(_) => breach.to_string(),
        }
    }

    /// For each of these members whose tree is not complete, how it errs: see [`Self::tree_is_complete`].
    #[must_use]
    pub fn incomplete_trees(&self, members: &[PeerIndex]) -> Vec<String> {
        let truth = Truth::of(self, members, Geometry::Tree);
        members.iter().filter_map(|who| truth.tree_of_one(self, *who).err()).collect()
    }

    /// Whether each of these members knows the members closest to it, and somebody alive in every cell that is not empty.
    ///
    /// # Errors
    /// Says who errs, and how.
    pub fn tree_is_complete(&self, members: &[PeerIndex]) -> Result<(), String> {
        let truth = Truth::of(self, members, Geometry::Tree);
        members.iter().try_for_each(|who| truth.tree_of_one(self, *who))
    }

    /// Whether each of these members' closest (on a tree; as many as a bucket holds) are known to it or to those next to it, so that a
    /// lookup near it hears of all of them.
    ///
    /// # Errors
    /// Says who is hidden from whom.
    pub fn closest_are_findable(&self, members: &[PeerIndex]) -> Result<(), String> {
        Truth::of(self, members, Geometry::Tree).closest_are_findable(self)
    }

    /// Whether the tables of these members are what they should be: an ordered ring with right lists, or a complete tree.
    ///
    /// # Errors
    /// Says who errs, and how.
    pub fn tables_are_right(&self, members: &[PeerIndex]) -> Result<(), String> {
        match self.geometry(members) {
            Geometry::Ring => self.ring_is_ordered(members).and_then(|()| self.successor_lists_are_right(members)),
            Geometry::Tree => self.tree_is_complete(members),
        }
    }

    /// Runs until the tables of these members are right; says after how long, or what is still wrong after `span`.
    ///
    /// # Errors
    /// Says who errs, and how.
    pub fn settle(&mut self, members: &[PeerIndex], span: Duration) -> Result<Duration, String> {
        let truth = Truth::of(self, members, self.geometry(members));
        // Whoever erred last is asked first: nearly always that answers for all.
        let mut erring = members.first().copied();
        let settled = self.run_until_every(SETTLE_PAUSE, span, |world| {
            if erring.is_some_and(|who| truth.check(world, who).is_err()) {
                return false;
            }
            erring = truth.order().iter().copied().find(|who| truth.check(world, *who).is_err());
            erring.is_none()
        });
        settled.ok_or_else(|| self.tables_are_right(members).err().unwrap_or_default())
    }

    /// Looks up `count` random keys, each from a random one of these members, all at once; says what each that did not name
    /// the owner came to.
    pub fn wrong_lookups(&mut self, members: &[PeerIndex], count: usize, span: Duration) -> Vec<String> {
        let asked: Vec<_> = (0..count)
            .map(|_| {
                let key = self.random_key();
                let who = self.choose(members);
                (self.begin_lookup(who, key), who, key)
            })
            .collect();
        let operations: Vec<_> = asked.iter().map(|(operation, ..)| *operation).collect();
        self.wait_all(&operations, span);
        asked.into_iter().filter_map(|(operation, who, key)| self.wrong_lookup(members, operation, who, key)).collect()
    }

    /// How many of `count` random keys, looked up all at once, led to the owner.
    pub fn right_lookups(&mut self, members: &[PeerIndex], count: usize, span: Duration) -> usize {
        count - self.wrong_lookups(members, count, span).len()
    }

    fn wrong_lookup(&self, members: &[PeerIndex], operation: Operation, who: PeerIndex, key: Hash) -> Option<String> {
        let owner = self.owner(members, key).map(|owner| self.id(owner));
        let found = match self.looked_up(operation) {
            Some(Ok(lookup)) if lookup.responsible.first().map(SignedRecord::id) == owner => return None,
            Some(Ok(lookup)) => self.names_of(&lookup.responsible.iter().map(SignedRecord::id).collect::<Vec<_>>()),
            Some(Err(error)) => error.to_string(),
            None => "nothing yet".to_owned(),
        };
        let owner = owner.map(|id| self.trace.words().id(id)).unwrap_or_default();
        Some(format!("{} looked up {key:?}: {found} instead of {owner}", self.name(who)))
    }

    /// Whether the owner of `key` itself, asked without a lookup, says that it is responsible, and nobody else does.
    ///
    /// # Errors
    /// Says who errs.
    pub fn one_owner(&self, members: &[PeerIndex], key: Hash) -> Result<(), String> {
        let owner = self.owner(members, key);
        for who in members {
            let Some(node) = self.node(*who) else { continue };
            let claims = node.overlay().owns(key);
            if claims != (owner == Some(*who)) {
                let claim = if claims { "claims" } else { "denies" };
                return Err(format!("{} {claim} to be responsible for {key:?}", self.name(*who)));
            }
        }
        Ok(())
    }

    /// How many of these peers received a payload equal to `payload`, and how many received it more than once.
    #[must_use]
    pub fn reached(&self, peers: &[PeerIndex], payload: &[u8]) -> (usize, usize) {
        let times = |who: &PeerIndex| self.deliveries(*who).iter().filter(|delivery| delivery.payload == payload).count();
        let times: Vec<_> = peers.iter().map(times).collect();
        (times.iter().filter(|times| **times > 0).count(), times.iter().filter(|times| **times > 1).count())
    }
}

const SETTLE_PAUSE: Duration = Duration::from_millis(100);
