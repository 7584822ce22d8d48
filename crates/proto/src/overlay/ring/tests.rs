use super::{
    Known,
    candidates::{Candidates, Wanted},
    proving::Hopes,
    shape::{Shape, draws, is_within},
};
use crate::{config::Config, event::Place, geometry::Geometry, overlay::Rank, peer::Proven, time::Instant};
use cicada_wire::{Hash, IdPrefix, U256};
use proptest::prelude::*;
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

proptest! {
    #[test]
    fn every_key_is_within_exactly_one_of_the_arcs_between_members(ids in members(2..12), key in any::<[u8; 32]>()) {
        let (ids, key) = (ids.into_iter().collect::<Vec<_>>(), Hash::from_bytes(key));
        let owners = (0..ids.len()).filter(|at| is_within(ids[(at + ids.len() - 1) % ids.len()], key, ids[*at])).count();
        prop_assert_eq!(owners, 1);
    }

    #[test]
    fn in_a_small_ring_everybody_names_the_same_owner_and_it_agrees(ids in members(2..12), key in any::<[u8; 32]>()) {
        let key = Hash::from_bytes(key);
        let owner = *ids.iter().min_by_key(|id| Geometry::Ring.offset(key, **id)).expect("there are some");
        for me in &ids {
            let (shape, known) = view(*me, &ids, 16);
            let responsible = shape.responsible(*me, key, &known);
            prop_assert_eq!(responsible.first(), Some(&owner));
            prop_assert_eq!(responsible.iter().collect::<BTreeSet<_>>().len(), ids.len());
            prop_assert!(responsible.is_sorted_by_key(|id| Geometry::Ring.offset(key, *id)));
            prop_assert_eq!(shape.owns(*me, key), *me == owner);
        }
    }

    #[test]
    fn in_a_large_ring_whoever_is_named_as_the_owner_is_no_farther_from_the_key_than_the_one_who_says_so(
        ids in members(8..40),
        key in any::<[u8; 32]>(),
    ) {
        let key = Hash::from_bytes(key);
        for me in &ids {
            let (shape, known) = view(*me, &ids, 4);
            if let Some(owner) = shape.responsible(*me, key, &known).first() {
                prop_assert_eq!(Some(owner), ids.iter().min_by_key(|id| Geometry::Ring.offset(key, **id)));
            }
        }
    }

    #[test]
    fn who_is_said_to_change_nothing_changes_nothing(ids in members(3..60), full in 1_usize..20) {
        let me = *ids.first().expect("there are some");
        for newcomer in ids.iter().skip(1) {
            let others: BTreeSet<Hash> = ids.iter().copied().filter(|id| id != newcomer).collect();
            let (shape, _) = view(me, &others, full);
            if !shape.may_change_with(me, *newcomer) {
                prop_assert_eq!(shape, view(me, &ids, full).0);
            }
        }
    }

    #[test]
    fn neighbours_come_first_among_the_links_and_are_never_given_up(ids in members(6..30)) {
        for me in &ids {
            let (shape, _) = view(*me, &ids, 16);
            let wanted = shape.wanted_links();
            let neighbours: Vec<_> = shape.predecessor.into_iter().chain(shape.successors.iter().copied().take(2)).collect();
            prop_assert_eq!(&wanted[..3], &neighbours[..]);
            prop_assert_eq!(wanted.iter().collect::<BTreeSet<_>>().len(), wanted.len());
            prop_assert!(neighbours.iter().all(|id| shape.rank(*me, *id, true) == Rank::Essential));
        }
    }
}

#[test]
fn alone_a_member_owns_everything() {
    let (shape, known) = view(at(5), &BTreeSet::from([at(5)]), 4);
    for key in [at(4), at(5), at(6)] {
        assert!(shape.owns(at(5), key));
        assert_eq!(shape.responsible(at(5), key, &known), [at(5)]);
    }
    assert_eq!(shape.wanted_links(), []);
}

#[test]
fn a_member_taken_for_the_owner_sends_on_to_the_predecessor_that_covers_the_key() {
    let ids: BTreeSet<Hash> = (0..20).map(|number| at(number * 10)).collect();
    let (shape, known) = view(at(100), &ids, 4);
    assert_eq!(shape.responsible(at(100), at(95), &known)[..2], [at(100), at(110)]);
    assert_eq!(shape.responsible(at(100), at(85), &known)[..2], [at(90), at(100)]);
    assert_eq!(shape.responsible(at(100), at(75), &known)[..2], [at(80), at(90)]);
    assert_eq!(shape.responsible(at(100), at(105), &known)[..2], [at(110), at(120)]);
    assert_eq!(shape.responsible(at(100), at(5), &known), [], "too far to know");
}

#[test]
fn whoever_would_be_a_neighbour_is_worth_a_proof_and_a_link_before_it_is_known() {
    let ids: BTreeSet<Hash> = (0..20).map(|number| at(number * 10)).collect();
    let (shape, known) = view(at(100), &ids, 4);
    for newcomer in [at(101), at(99), at(115)] {
        assert!(shape.would_take(at(100), newcomer, &known));
        assert_eq!(shape.rank(at(100), newcomer, false), Rank::Essential);
    }
    assert!(shape.would_take(at(100), at(135), &known), "it would be in the list");
    assert!(!shape.would_take(at(100), at(145), &known));
    assert!(!shape.would_take(at(100), at(110), &known), "it is known");
    assert!(!shape.would_take(at(100), at(100), &known), "that is this peer itself");
    assert_ne!(shape.rank(at(100), at(145), false), Rank::Essential);
}

#[test]
fn each_cell_that_is_not_empty_has_a_finger() {
    let ids: BTreeSet<Hash> = [100, 101, 103, 104, 107, 108, 115, 116, 131, 132].map(at).into();
    let (shape, _) = view(at(100), &ids, 2);
    let fingers: Vec<Hash> = shape.fingers.values().copied().collect();
    assert_eq!(fingers, [101, 103, 104, 108, 116, 132].map(at));
    assert_eq!(shape.place(at(100), at(101)), Place::Successor(0));
    assert_eq!(shape.place(at(100), at(116)), Place::Finger);
    assert_eq!(shape.place(at(100), at(131)), Place::Other);
}

/// What `me` sees if it knows all of `ids`, with a list of `full`.
/// They may have been cut off all the while: a ring of a thousand halves waited for one such for a minute.
#[test]
fn who_could_not_be_proven_is_given_up_but_tried_again_once_a_part_that_was_cut_off_is_back() {
    let (record, mut now) = (Proven::of_id(at(7)).record().clone(), Instant(0));
    let proves = |candidates: &mut Candidates, now| {
        candidates.add(now, &record, true, 8);
        candidates.due(now, 8, |_, _| Wanted::Now) == [record.clone()]
    };
    let mut candidates = Candidates::default();
    let mut given_up = None;
    while given_up.is_none() {
        assert!(proves(&mut candidates, now));
        given_up = candidates.failed(now, record.id(), false);
        now = now + Duration::from_secs(5);
    }
    assert!(given_up.as_ref() == Some(&record) && !proves(&mut candidates, now));
    candidates.try_anew(now);
    assert!(proves(&mut candidates, now));
}

#[test]
fn who_is_put_off_is_looked_at_again() {
    let (now, patience) = (Instant(1_000_000), Duration::from_secs(4));
    let mut candidates = Candidates::default();
    candidates.add(now, Proven::of_id(at(7)).record(), true, 8);
    assert!(candidates.look(now));
    assert!(candidates.due(now, 8, |_, since| Wanted::Later(since + patience)).is_empty());
    assert_eq!(candidates.next_timeout(), Some(now + patience));
    assert!(candidates.look(now + patience));
    assert_eq!((candidates.due(now + patience, 8, |_, _| Wanted::Now).len(), candidates.next_timeout()), (1, None));
}

/// A newcomer hears of many before it; all but the last are somebody else's neighbours.
#[test]
fn of_candidates_that_would_have_the_same_place_one_is_proven_at_once() {
    let first = |byte: u8| Hash::from_bytes(std::array::from_fn(|at| if at == 0 { byte } else { 0 }));
    let (me, list) = (first(0x80), [0x90, 0xa0].map(first));
    let (shape, known) = view(me, &[me, list[0], list[1], first(0x60)].into(), 2);
    let candidates = [0x88, 0x98, 0x70, 0x78, 0x10, 0x18].map(first);
    let hopes = Hopes::of(me, &shape, &candidates, [], 2);
    let at_once = candidates.into_iter().filter(|id| shape.would_take(me, *id, &known) && !hopes.leave_nothing(me, &shape, *id));
    // Its list goes to 0x90 once 0x88 is there, its predecessor is 0x78; in the cell of the other half 0x60 is known.
    assert_eq!(at_once.collect::<Vec<_>>(), [0x88, 0x78].map(first));

    let (alone, _) = view(me, &[me, list[0], list[1]].into(), 2);
    let hopes = Hopes::of(me, &alone, &candidates, [], 2);
    let firsts = candidates.into_iter().filter(|id| !alone.is_in_list(me, *id) && !hopes.leave_nothing(me, &alone, *id));
    assert_eq!(firsts.collect::<Vec<_>>(), [0x78, 0x10].map(first), "one before us, and one for the cell where nobody is known");

    // Those that the successor has named come first, though their records are not here yet.
    let named = [0x81, 0x82].map(|byte| IdPrefix::of(first(byte)));
    assert!(!Hopes::of(me, &shape, &candidates, [], 2).leave_nothing(me, &shape, candidates[0]));
    assert!(Hopes::of(me, &shape, &candidates, named, 2).leave_nothing(me, &shape, candidates[0]));
}

fn view(me: Hash, ids: &BTreeSet<Hash>, full: usize) -> (Shape, BTreeMap<Hash, Known>) {
    let known = ids.iter().filter(|id| **id != me).map(|id| (*id, Known { peer: Proven::of_id(*id), heard: Instant(0) })).collect();
    let mut config = Config::default();
    config.upkeep.successors = full;
    (Shape::of(me, &draws(me), &known, &config), known)
}

fn at(number: u8) -> Hash {
    let mut bytes = [0; 32];
    bytes[31] = number;
    Hash(U256::from_be_bytes(bytes))
}

fn members(count: std::ops::Range<usize>) -> impl Strategy<Value = BTreeSet<Hash>> {
    proptest::collection::btree_set(any::<[u8; 32]>().prop_map(Hash::from_bytes), count)
}
