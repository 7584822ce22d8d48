//! Zave's invariant of a ring ("Reasoning about identifier spaces: how to make Chord correct", 2017), asked of plain lists: of our
//! machines, or of a model.

use cicada_proto::{Geometry, Instant};
use cicada_wire::Hash;
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    time::Duration,
};

/// The successor list of each live member.
pub type Lists = BTreeMap<Hash, Vec<Hash>>;

/// Which part of the invariant does not hold, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Breach {
    /// The list of this member is not in the order of the circle.
    Disordered(Hash),
    /// This member lists no successor that lives.
    Stranded(Hash),
    /// From these two one comes to different rings.
    TwoRings(Hash, Hash),
    /// The ring winds round the circle more than once.
    Winding,
    /// There are only so many members whom no list skips.
    Principals(usize),
}

impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Disordered(member) => write!(f, "the list of {member} is out of order"),
            Self::Stranded(member) => write!(f, "{member} lists no successor that lives"),
            Self::TwoRings(a, b) => write!(f, "{a} and {b} are on different rings"),
            Self::Winding => f.write_str("the ring winds round the circle more than once"),
            Self::Principals(count) => write!(f, "only {count} members are in no list skipped"),
        }
    }
}

/// The first successor of each member that lives.
///
/// # Errors
/// Names a member whose list is out of order, or has nobody alive.
pub fn live_successors(lists: &Lists) -> Result<BTreeMap<Hash, Hash>, Breach> {
    let mut next = BTreeMap::new();
    for (me, list) in lists {
        if !list.is_sorted_by_key(|id| Geometry::Ring.offset(*me, *id)) {
            return Err(Breach::Disordered(*me));
        }
        let live = list.iter().find(|id| lists.contains_key(id));
        // Who is alone needs nobody.
        let alone = (lists.len() == 1).then_some(me);
        next.insert(*me, *live.or(alone).ok_or(Breach::Stranded(*me))?);
    }
    Ok(next)
}

/// Whether each member lists somebody alive, and following the first of those leads from everywhere to one ring that winds once.
///
/// # Errors
/// Says which part does not hold.
pub fn holds(lists: &Lists) -> Result<(), Breach> {
    let next = live_successors(lists)?;
    let ring_of = |start: Hash| {
        let first = (0..next.len()).fold(start, |at, _| next[&at]);
        let mut ring = vec![first];
        while next[&ring[ring.len() - 1]] != first {
            ring.push(next[&ring[ring.len() - 1]]);
        }
        ring
    };
    let Some(start) = lists.keys().next() else { return Ok(()) };
    let ring = ring_of(*start);
    let on_it: BTreeSet<Hash> = ring.iter().copied().collect();
    if let Some(other) = lists.keys().find(|other| !on_it.contains(&ring_of(**other)[0])) {
        return Err(Breach::TwoRings(*start, *other));
    }
    let turns = ring.iter().filter(|at| next[*at] <= **at).count();
    if turns > 1 { Err(Breach::Winding) } else { Ok(()) }
}

/// How many members no list skips.
#[must_use]
pub fn principals(lists: &Lists) -> usize {
    let skipped = |member: &Hash| {
        lists.iter().any(|(me, list)| {
            let from_me = |id: Hash| Geometry::Ring.offset(*me, id);
            // A list that comes round to its owner skips who is not in it; beyond its end nothing is skipped.
            me != member && !list.contains(member) && list.last().is_some_and(|last| from_me(*member) < from_me(*last) || last == me)
        })
    };
    lists.keys().filter(|member| !skipped(member)).count()
}

/// Watches a ring, event by event, for as long as Zave's assumption holds: no failure leaves a member without a live successor.
///
/// It begins to hold when there are as many principals as a list is long, and one. Their number is not claimed after every event: a
/// list of ours grows as its entries are proven, each in its time, so that a newcomer's skips members until it is complete (measured: 4
/// principals instead of 5 while one joins). At rest [`principals`] can be asked.
#[derive(Debug, Default)]
pub struct Watch {
    before: Option<(Instant, Lists)>,
    /// The invariant has held, and nothing has happened since that need not have left it whole.
    assumed: bool,
    /// For how long the assumption has held.
    pub held: Duration,
    /// How often a failure was more than it allows.
    pub broken: u32,
}

impl Watch {
    /// What there is now, of members whose lists are as long as `full`.
    ///
    /// # Errors
    /// Says what of the invariant does not hold although the assumption does.
    pub fn look(&mut self, now: Instant, lists: Lists, full: usize) -> Result<(), Breach> {
        if let Some((at, before)) = self.before.take() {
            if self.assumed {
                self.held += now.since(at);
            }
            let left: Lists = before.iter().filter(|(id, _)| lists.contains_key(id)).map(|(id, list)| (*id, list.clone())).collect();
            if self.assumed && left.len() < before.len() && live_successors(&left).is_err() {
                self.assumed = false;
                self.broken += 1;
            }
        }
        let (state, count) = (holds(&lists), principals(&lists));
        self.before = Some((now, lists));
        match state {
            Ok(()) if self.assumed || count > full => self.assumed = true,
            Ok(()) => {}
            Err(breach) if self.assumed => return Err(breach),
            Err(_) => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cicada_wire::U256;

    fn id(number: u8) -> Hash {
        let mut bytes = [0; 32];
        bytes[0] = number;
        Hash(U256::from_be_bytes(bytes))
    }

    fn lists(members: &[(u8, &[u8])]) -> Lists {
        members.iter().map(|(me, list)| (id(*me), list.iter().map(|other| id(*other)).collect())).collect()
    }

    #[test]
    fn each_part_of_the_invariant_can_fail() {
        assert_eq!(holds(&lists(&[(1, &[2]), (2, &[3]), (3, &[1])])), Ok(()));
        assert_eq!(holds(&lists(&[(1, &[2]), (2, &[3]), (3, &[2])])), Ok(()), "an appendage is no second ring");
        assert_eq!(holds(&lists(&[(1, &[3, 2]), (2, &[3]), (3, &[1])])), Err(Breach::Disordered(id(1))));
        assert_eq!(holds(&lists(&[(1, &[9]), (2, &[1])])), Err(Breach::Stranded(id(1))));
        assert_eq!(holds(&lists(&[(1, &[2]), (2, &[1]), (3, &[4]), (4, &[3])])), Err(Breach::TwoRings(id(1), id(3))));
        assert_eq!(holds(&lists(&[(1, &[3]), (2, &[4]), (3, &[2]), (4, &[1])])), Err(Breach::Winding));
        assert_eq!(principals(&lists(&[(1, &[3, 4]), (2, &[3, 4]), (3, &[4, 1]), (4, &[1, 3])])), 3, "2 is skipped");
    }

    /// Chord as its journal paper has it (Stoica et al., ToN 2003, figure 6): one successor, and nobody asks whether it lives.
    #[derive(Clone)]
    struct Classic(BTreeMap<u8, (u8, Option<u8>)>);

    impl Classic {
        fn between(from: u8, id: u8, to: u8) -> bool {
            id.wrapping_sub(from).wrapping_sub(1) < to.wrapping_sub(from).wrapping_sub(1)
        }

        /// `n.join(n')`, with the successor that a lookup names.
        fn join(&mut self, me: u8) {
            let successor = *self.0.range(me..).chain(&self.0).next().expect("there is a ring").0;
            self.0.insert(me, (successor, None));
        }

        /// `n.stabilize()`, and `n'.notify(n)`. To a dead successor there is no call, and no word of it in the paper's figure.
        fn stabilise(&mut self, me: u8) {
            let Some((_, between)) = self.0.get(&self.0[&me].0).copied() else { return };
            let member = self.0.get_mut(&me).expect("it asks");
            if let Some(x) = between.filter(|x| Self::between(me, *x, member.0)) {
                member.0 = x;
            }
            let successor = member.0;
            if let Some((_, predecessor)) = self.0.get_mut(&successor)
                && predecessor.is_none_or(|old| Self::between(old, me, successor))
            {
                *predecessor = Some(me);
            }
        }

        fn settle(&mut self) {
            (0..8).for_each(|_| self.0.clone().keys().for_each(|me| self.stabilise(*me)));
        }

        fn lists(&self) -> Lists {
            self.0.iter().map(|(me, (successor, _))| (id(*me), vec![id(*successor)])).collect()
        }
    }

    /// Of Zave's scenarios the one of a member that fails as another joins before it: 60 takes 80 for its successor, 80 fails. Our
    /// machines perform it in the play `05_join_during_crash`, with this invariant checked after everything that happens.
    #[test]
    fn the_classic_chord_loses_its_ring_where_a_member_fails_as_another_joins_before_it() {
        let mut ring = Classic(BTreeMap::from([(0x10, (0x10, None))]));
        for member in [0x40, 0x80, 0xc0] {
            ring.join(member);
            ring.settle();
        }
        assert_eq!(holds(&ring.lists()), Ok(()), "the control: it makes a ring");
        ring.join(0x60);
        assert_eq!(holds(&ring.lists()), Ok(()), "an appendage");
        ring.0.remove(&0x80);
        ring.settle();
        assert!(matches!(holds(&ring.lists()), Err(Breach::Stranded(_))), "{:?}", holds(&ring.lists()));
    }
}
