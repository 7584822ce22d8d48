//! Who made a message: what a node believes, what it does to find out, and what becomes of the rest.

mod hostile;
mod rig;
mod sealed;
mod shares;
mod witnesses;

use cicada_proto::{KeyLevel, Security};
use cicada_wire::*;
use rig::{Rig, Somebody, share, somebody};
use std::time::Duration;

/// Those that the node is linked to, and so has proven.
fn neighbours() -> [Somebody; 4] {
    [7001, 7002, 7003, 7004].map(somebody)
}

fn rig(members: &[Somebody]) -> Rig {
    Rig::new(|_| {}, &members.iter().collect::<Vec<_>>())
}

fn levels(rig: &Rig) -> Vec<KeyLevel> {
    rig.delivered.iter().map(|delivery| delivery.level).collect()
}

#[test]
fn a_broadcast_of_somebody_known_is_delivered_and_whoever_forges_one_loses_its_link() {
    let near = neighbours();
    let mut rig = rig(&near);
    rig.hear(&near[1], near[0].broadcast(1, b"true"));
    assert_eq!(levels(&rig), [KeyLevel::Proven]);
    // Signed by another, in the name of the first.
    let fixed = Immutable::from(near[0].statement(2, None, b"false"));
    let signature = fixed.hash().sign(&near[1].identity);
    rig.hear(&near[1], share(fixed.clone().signed(signature), b"false"));
    assert_eq!((rig.delivered.len(), rig.refusals(Refusal::BadSignature), rig.is_linked(&near[1])), (1, 1, false));
    // The true one has the same id, and is not held up by it.
    let signature = fixed.hash().sign(&near[0].identity);
    rig.hear(&near[2], share(fixed.signed(signature), b"false"));
    assert_eq!(rig.delivered.len(), 2);
}

#[test]
fn what_nobody_signed_is_refused_unless_nothing_is_to_be_protected() {
    let near = neighbours();
    let unsigned = |from: &Somebody| {
        let said = Statement { authentication: Authentication::None, ..from.statement(1, None, b"hello") };
        share(said.into(), b"hello")
    };
    for (security, delivered) in [(Security::Full, 0), (Security::Plain, 1)] {
        let mut rig = Rig::new(|config| config.security = security, &near.iter().collect::<Vec<_>>());
        rig.hear(&near[0], unsigned(&near[0]));
        assert_eq!((rig.delivered.len(), rig.refusals(Refusal::Unsigned)), (delivered, 1 - delivered), "{security:?}");
    }
}

#[test]
fn an_unknown_origin_is_challenged_once_and_its_messages_wait_for_that() {
    let near = neighbours();
    let (mut rig, far) = (rig(&near), somebody(7100));
    rig.hear(&near[0], far.broadcast(1, b"one"));
    rig.hear(&near[1], far.broadcast(2, b"two"));
    assert!(rig.delivered.is_empty());
    let taken = rig.said.iter().filter(|(_, frame)| matches!(frame, Frame::TaskVerdict(TaskVerdict { refusal: None, .. }))).count();
    assert_eq!(taken, 2, "whoever handed them over need not look for others");
    assert_eq!(rig.datagrams.len(), 1);
    assert!(rig.answer_challenge(&far));
    assert_eq!(levels(&rig), [KeyLevel::Proven; 2]);
    rig.hear(&near[2], far.broadcast(3, b"three"));
    assert_eq!((rig.delivered.len(), rig.datagrams.len()), (3, 0), "it is known from now on");
}

#[test]
fn what_was_accepted_is_delivered_even_if_the_link_it_came_over_is_gone_before_its_origin_is_known() {
    let near = neighbours();
    let (mut rig, far) = (rig(&near), somebody(7100));
    rig.hear(&near[0], far.broadcast(1, b"one"));
    rig.unlink(&near[0]);
    assert!(rig.answer_challenge(&far));
    assert_eq!(levels(&rig), [KeyLevel::Proven], "whoever handed it over has given it to nobody else");
}

#[test]
fn whoever_speaks_in_the_name_of_an_address_that_is_not_its_own_is_not_heard() {
    let near = neighbours();
    let (mut rig, far) = (rig(&near), somebody(7100));
    let pretender = far.with_key_of(&somebody(7999));
    rig.hear(&near[0], pretender.broadcast(1, b"false"));
    rig.hear(&near[1], far.broadcast(2, b"true"));
    assert!(rig.answer_challenge(&far));
    assert_eq!((rig.delivered.len(), &rig.delivered[0].payload[..]), (1, &b"true"[..]));
    assert_eq!(rig.refusals(Refusal::OtherKey), 1);
    assert!(rig.is_linked(&near[0]), "who handed it on could not know");
}

#[test]
fn a_peer_that_starts_anew_with_another_key_is_believed_after_it_was_met_again() {
    let near = neighbours();
    let (mut rig, before) = (rig(&near), somebody(7100));
    rig.hear(&near[0], before.broadcast(1, b"before"));
    assert!(rig.answer_challenge(&before));
    rig.pass(Duration::from_secs(5));
    let after = before.with_key_of(&somebody(7101));
    rig.hear(&near[0], after.broadcast(2, b"after"));
    assert_eq!(rig.delivered.len(), 1);
    assert!(rig.answer_challenge(&after));
    assert_eq!(rig.delivered.len(), 2);
}

#[test]
fn an_origin_of_which_nobody_knows_anything_is_not_believed_and_not_challenged_for_ever() {
    let near = neighbours();
    let (mut rig, far) = (rig(&near), somebody(7100));
    rig.hear(&near[0], far.broadcast(1, b"hello"));
    rig.pass(Duration::from_secs(20));
    assert_eq!((rig.delivered.len(), rig.refusals(Refusal::UnknownKey)), (0, 1));
    let challenges = rig.datagrams.iter().filter(|(to, _)| *to == far.address).count();
    assert!((1..=4).contains(&challenges), "{challenges} challenges");
    let mut believing = Rig::new(|config| config.least_level = KeyLevel::Claimed, &near.iter().collect::<Vec<_>>());
    believing.hear(&near[0], far.broadcast(1, b"hello"));
    assert_eq!(levels(&believing), [KeyLevel::Claimed], "unless that is asked for");
}

#[test]
fn a_pinned_peer_is_believed_with_its_key_only() {
    let near = neighbours();
    let far = somebody(7100);
    let pin = |config: &mut cicada_proto::Config| {
        config.pins.insert(far.id(), far.key());
    };
    let mut rig = Rig::new(pin, &near.iter().collect::<Vec<_>>());
    rig.hear(&near[0], far.broadcast(1, b"hello"));
    assert_eq!((levels(&rig), rig.datagrams.len()), (vec![KeyLevel::Pinned], 0));
    let changed = far.with_key_of(&somebody(7101));
    rig.hear(&near[0], changed.broadcast(2, b"hello"));
    assert_eq!((rig.delivered.len(), rig.refusals(Refusal::PinnedKey)), (1, 1));
    rig.link(&changed);
    assert!(!rig.is_linked(&changed), "nor is it linked to");
}

#[test]
fn an_id_that_is_the_hash_of_a_key_proves_itself_and_no_other_key() {
    let near = neighbours();
    let (mut rig, client, other) = (rig(&near), somebody(7100), somebody(7101));
    let said = |number| Statement {
        origin: Origin::of_key(client.key(), None),
        authentication: Authentication::Signed { key: None },
        ..client.statement(number, None, b"hello")
    };
    let fixed = Immutable::from(said(1));
    let signature = fixed.hash().sign(&client.identity);
    rig.hear(&near[0], share(fixed.signed(signature), b"hello"));
    assert_eq!(levels(&rig), [KeyLevel::Proven]);
    let fixed = Immutable::from(Statement { authentication: Authentication::Signed { key: Some(other.key()) }, ..said(2) });
    let signature = fixed.hash().sign(&other.identity);
    rig.hear(&near[0], share(fixed.signed(signature), b"hello"));
    assert_eq!((rig.delivered.len(), rig.refusals(Refusal::OtherKey)), (1, 1));
}
