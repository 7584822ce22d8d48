//! Origins that do not answer: others are asked whom they have met there.

use crate::{
    levels, neighbours, rig,
    rig::{Rig, Somebody, somebody},
};
use cicada_proto::KeyLevel;
use cicada_wire::*;
use std::time::Duration;

/// Longer than a challenge is repeated.
const CHALLENGED: Duration = Duration::from_millis(1700);

#[test]
fn members_that_have_met_a_silent_origin_bear_witness_and_contradict() {
    for (said, delivered) in [([7100, 7100, 7100], 1), ([7100, 7100, 7999], 0)] {
        let near = neighbours();
        let (mut rig, far) = (rig(&near[..3]), somebody(7100));
        rig.hear(&near[0], far.broadcast(1, b"hello"));
        rig.pass(Duration::from_millis(1700));
        for (witness, port) in near.iter().zip(said) {
            let ticket = rig.asked_as_witness(witness).expect("it is asked");
            let key = somebody(port).key();
            rig.hear(witness, Frame::Reply(ticket, Reply::Witnessed(Some(key))));
        }
        assert_eq!(levels(&rig), vec![KeyLevel::Witnessed; delivered], "{said:?}");
        assert_eq!(rig.refusals(Refusal::UnknownKey), 1 - delivered);
    }
}

/// Those of many that stand nearest to `far`, on a ring before it.
fn nearest_to(far: &Somebody, count: usize) -> Vec<Somebody> {
    let mut some: Vec<Somebody> = (7200..7400).map(somebody).collect();
    some.sort_by_key(|one| far.id().0.wrapping_sub(one.id().0));
    some.truncate(count);
    some
}

/// A broadcast of `far` comes, which does not answer; those known here have met nobody there, and each names these to the lookup, who
/// answer it, and say to which key they bear witness.
fn look(far: &Somebody, named: [&[Somebody]; 3]) -> Rig {
    let near = neighbours();
    let mut rig = rig(&near[..3]);
    rig.hear(&near[0], far.broadcast(1, b"hello"));
    rig.pass(CHALLENGED);
    for one in &near[..3] {
        let ticket = rig.asked_as_witness(one).expect("it is asked");
        rig.reply(one, ticket, Reply::Witnessed(None));
    }
    let is_search = |query: &Query| matches!(query, Query::Find(find) if find.target == far.id());
    for (one, named) in near.iter().zip(named) {
        let ticket = rig.asked(one, is_search).expect("each path begins with one of them");
        let closer = named.iter().map(Somebody::record).collect();
        rig.reply(one, ticket, Reply::Found(Found { closer, ..Found::default() }));
    }
    // The farthest first: all of whom were asked have answered before the nearest are content.
    for one in named.into_iter().flatten().rev() {
        if let Some(ticket) = rig.asked(one, is_search) {
            rig.reply(one, ticket, Reply::Found(Found::default()));
        }
    }
    for one in named.into_iter().flatten() {
        if let Some(ticket) = rig.asked_as_witness(one) {
            rig.reply(one, ticket, Reply::Witnessed(Some(far.key())));
        }
    }
    rig
}

#[test]
fn if_those_known_here_do_not_know_members_near_it_are_found_over_disjoint_paths() {
    let far = somebody(7100);
    let named = nearest_to(&far, 3);
    let mut rig = look(&far, [&named[..1], &named[1..2], &named[2..]]);
    assert_eq!(levels(&rig), [KeyLevel::Witnessed]);
    // It is known from now on.
    rig.hear(&neighbours()[1], far.broadcast(2, b"again"));
    assert_eq!(rig.delivered.len(), 2);
}

#[test]
fn those_of_one_path_make_no_key_known_however_many_they_are() {
    let far = somebody(7100);
    let named = nearest_to(&far, 5);
    let mut rig = look(&far, [&named, &[], &[]]);
    assert!(rig.delivered.is_empty());
    rig.pass(Duration::from_secs(10));
    assert_eq!((rig.delivered.len(), rig.refusals(Refusal::UnknownKey)), (0, 1));
}
