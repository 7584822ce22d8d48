//! A relay and a target, seen from their links.

use crate::desk::{Desk, ME, START, amend, hello, id, status, unicast, verdict};
use bytes::Bytes;
use cicada_proto::{Ack, Command, Config, Event, SendError, SendOptions, config::Families};
use cicada_wire::*;
use std::time::Duration;

fn config(overlay: OverlayKind) -> Config {
    let mut config = Config::default();
    config.overlay = overlay;
    config
}

/// On the ring, with the previous hop behind us and three members ahead.
fn relay() -> Desk {
    Desk::linked_to(config(OverlayKind::Ring), &[0x10, 0x40, 0x60, 0x80])
}

/// One that has its place among the others, before 40.
fn placed() -> Desk {
    let mut desk = relay();
    desk.hear_neighbours(0x40, &[], &[], Churn::Calm);
    assert!(desk.is_joined());
    desk
}

const FAR: u8 = 0x90;

/// Nobody is linked between this one and us.
const OURS: u8 = 0x18;

#[test]
fn a_relay_takes_a_message_over_and_hands_it_to_the_nearest() {
    let mut desk = relay();
    desk.hear(id(0x10), Frame::Data(unicast(0x05, id(FAR), 1), hello()));
    assert_eq!(desk.verdicts(), [(id(0x10), None)]);
    let data = desk.data();
    let (to, header, _) = &data[0];
    assert_eq!((data.len(), *to), (1, id(0x80)));
    assert_eq!((header.hop.hop_limit, &header.hop.path[..]), (MAX_HOPS - 1, &[id(ME)][..]));
}

#[test]
fn a_relay_that_saw_a_copy_refuses_it_from_others_and_acknowledges_it_again_to_the_same() {
    let mut desk = relay();
    let header = unicast(0x05, id(FAR), 1);
    desk.hear(id(0x10), Frame::Data(header.clone(), hello()));
    desk.verdicts();
    desk.hear(id(0x40), Frame::Data(header.clone(), hello()));
    assert_eq!(desk.verdicts(), [(id(0x40), Some(Refusal::Loop))]);
    desk.hear(id(0x10), Frame::Data(header, hello()));
    assert_eq!(desk.verdicts(), [(id(0x10), None)]);
    assert_eq!(desk.data().len(), 1, "it went on once");
}

#[test]
fn a_message_does_not_pass_its_origin_again() {
    let mut desk = relay();
    desk.hear(id(0x10), Frame::Data(unicast(ME, id(FAR), 1), hello()));
    assert_eq!(desk.verdicts(), [(id(0x10), Some(Refusal::Loop))]);
}

#[test]
fn the_last_link_of_the_hop_limit_must_end_at_the_target() {
    let mut desk = relay();
    let mut header = unicast(0x05, id(FAR), 1);
    header.hop.hop_limit = 1;
    desk.hear(id(0x10), Frame::Data(header, hello()));
    assert_eq!(desk.verdicts(), [(id(0x10), Some(Refusal::HopLimit))]);
    let mut header = unicast(0x05, id(ME), 2);
    header.hop.hop_limit = 1;
    desk.hear(id(0x10), Frame::Data(header, hello()));
    // The receipt goes back the way of the message, and says all that a verdict would.
    assert_eq!((desk.verdicts(), desk.data()[0].0), (vec![], id(0x10)));
}

#[test]
fn a_refused_message_goes_to_others_and_at_last_back_although_it_was_taken_over() {
    let mut desk = relay();
    desk.hear(id(0x10), Frame::Data(unicast(0x05, id(FAR), 1), hello()));
    assert_eq!(desk.verdicts(), [(id(0x10), None)]);
    let mut tried = Vec::new();
    while let Some((to, header, _)) = desk.data().pop() {
        tried.push(to);
        desk.hear(to, verdict(&header, Some(Refusal::NoRoute)));
    }
    assert_eq!(tried, [id(0x80), id(0x60), id(0x40)], "each nearer one once, the nearest first");
    desk.pass(Duration::from_secs(3));
    assert_eq!(desk.verdicts(), [(id(0x10), Some(Refusal::NoRoute))]);
}

#[test]
fn a_hop_that_took_it_over_can_hand_it_back() {
    let mut desk = relay();
    desk.hear(id(0x10), Frame::Data(unicast(0x05, id(FAR), 1), hello()));
    let (to, header, _) = desk.data().remove(0);
    desk.hear(to, verdict(&header, None));
    assert!(desk.data().is_empty());
    desk.hear(to, verdict(&header, Some(Refusal::NoRoute)));
    assert_eq!(desk.data()[0].0, id(0x60));
}

#[test]
fn an_unacknowledged_message_goes_another_way_within_a_second() {
    let mut desk = relay();
    desk.hear(id(0x10), Frame::Data(unicast(0x05, id(FAR), 1), hello()));
    assert_eq!(desk.data()[0].0, id(0x80));
    desk.pass(Duration::from_millis(1001));
    assert_eq!(desk.data()[0].0, id(0x60));
}

#[test]
fn a_message_on_a_link_that_breaks_goes_another_way_at_once() {
    let mut desk = relay();
    desk.hear(id(0x10), Frame::Data(unicast(0x05, id(FAR), 1), hello()));
    assert_eq!(desk.data()[0].0, id(0x80));
    desk.unlink(id(0x80));
    assert_eq!(desk.data()[0].0, id(0x60));
}

#[test]
fn a_source_route_is_followed_or_refused() {
    let mut desk = relay();
    let mut header = unicast(0x05, id(FAR), 1);
    header.hop.route = vec![id(0x40), id(0x60)];
    desk.hear(id(0x10), Frame::Data(header.clone(), hello()));
    let (to, sent, _) = desk.data().remove(0);
    assert_eq!((to, sent.hop.route), (id(0x40), vec![id(0x60)]));
    desk.verdicts();
    let mut header = unicast(0x05, id(FAR), 2);
    header.hop.route = vec![id(0x77)];
    desk.hear(id(0x10), Frame::Data(header, hello()));
    assert_eq!(desk.verdicts(), [(id(0x10), Some(Refusal::NoRoute))], "nobody knows 77");
}

#[test]
fn the_member_responsible_says_when_nobody_has_the_id() {
    let mut desk = relay();
    let mut header = unicast(0x05, id(0x1f), 1);
    header.hop.last = true;
    desk.hear(id(0x10), Frame::Data(header, hello()));
    assert_eq!(desk.verdicts(), [(id(0x10), None)]);
    let data = desk.data();
    let receipt = data.iter().find(|(_, header, _)| header.fixed.kind == Kind::Receipt).expect("a receipt leaves");
    assert_eq!(receipt.1.fixed.target, Some(id(0x05)));
    assert_eq!(status(&receipt.2).refusal, Some(Refusal::NoSuchPeer));
}

/// The same, seeing IPv4 alone, with a link to a member that sees both.
fn beside_a_bridge() -> Desk {
    let mut config = config(OverlayKind::Ring);
    config.families = Families::V4;
    let mut desk = Desk::linked_to(config, &[0x10, 0x40, 0x60, 0x80]);
    desk.link_bridge(0xb0);
    desk
}

#[test]
fn a_member_of_one_family_hands_what_is_not_there_to_one_that_sees_both() {
    let mut desk = beside_a_bridge();
    let mut header = unicast(0x05, id(0x1f), 1);
    header.hop.last = true;
    desk.hear(id(0x10), Frame::Data(header, hello()));
    let (to, crossing, _) = desk.data().remove(0);
    assert_eq!((to, crossing.fixed.kind, crossing.hop.last, crossing.hop.absent), (id(0xb0), Kind::Unicast, false, 1));
}

#[test]
fn what_is_in_neither_family_is_nowhere() {
    let mut desk = beside_a_bridge();
    let mut header = unicast(0x05, id(0x1f), 1);
    (header.hop.last, header.hop.absent) = (true, 2);
    desk.hear(id(0x10), Frame::Data(header, hello()));
    assert_eq!(status(&desk.data()[0].2).refusal, Some(Refusal::NoSuchPeer));
}

#[test]
fn a_copy_that_was_at_the_only_one_of_both_families_goes_back_to_it_with_the_news() {
    let mut desk = beside_a_bridge();
    let mut header = unicast(0x05, id(0x1f), 1);
    (header.hop.last, header.hop.path) = (true, vec![id(0xb0)]);
    desk.hear(id(0xb0), Frame::Data(header, hello()));
    assert_eq!((desk.verdicts(), desk.data().len()), (vec![(id(0xb0), Some(Refusal::OtherFamily))], 0));
}

#[test]
fn each_copy_has_its_receipt_and_the_application_one_message() {
    for overlay in [OverlayKind::Ring, OverlayKind::Tree] {
        let mut desk = Desk::linked_to(config(overlay), &[0x10, 0x40]);
        let first = unicast(0x10, id(ME), 1);
        let mut second = first.clone();
        second.hop.copy = 1;
        second.hop.path = vec![id(0x40)];
        desk.hear(id(0x10), Frame::Data(first, hello()));
        desk.hear(id(0x40), Frame::Data(second, hello()));
        // To the hop that the receipt goes to, that says it too. That of a further copy does not depend on the same link.
        assert_eq!(desk.verdicts(), []);
        let receipts = desk.data();
        assert_eq!(receipts.iter().map(|(to, ..)| *to).collect::<Vec<_>>(), [id(0x10), id(0x40)]);
        let said: Vec<Status> = receipts.iter().map(|(_, _, payload)| status(payload)).collect();
        assert_eq!(said[0], Status { copy: 0, refusal: None, path: vec![], boot: None, credential: None });
        assert_eq!(said[1], Status { copy: 1, refusal: None, path: vec![id(0x40)], boot: None, credential: None });
        assert_eq!(desk.delivered(), 1);
    }
}

#[test]
fn the_same_copy_over_two_relays_is_answered_once() {
    let mut desk = relay();
    let header = unicast(0x10, id(ME), 1);
    for relay in [0x40, 0x60] {
        let mut header = header.clone();
        header.hop.path = vec![id(relay)];
        desk.hear(id(relay), Frame::Data(header, hello()));
    }
    assert_eq!(desk.verdicts(), [(id(0x40), None), (id(0x60), None)]);
    assert_eq!((desk.data().len(), desk.delivered()), (1, 1));
}

#[test]
fn the_same_copy_over_the_same_hop_is_answered_again_and_delivered_once() {
    let mut desk = relay();
    let header = unicast(0x10, id(ME), 1);
    // As after a link that broke with the receipt on it.
    desk.hear(id(0x10), Frame::Data(header.clone(), hello()));
    desk.hear(id(0x10), Frame::Data(header, hello()));
    assert_eq!(desk.verdicts(), []);
    assert_eq!((desk.data().len(), desk.delivered()), (2, 1));
}

#[test]
fn an_origin_that_tries_a_relay_since_the_link_to_it_is_silent_is_answered_over_the_relay() {
    let mut desk = relay();
    let direct = unicast(0x10, id(ME), 1);
    let mut relayed = direct.clone();
    relayed.hop.path = vec![id(0x40)];
    desk.hear(id(0x10), Frame::Data(direct, hello()));
    assert_eq!(desk.data().remove(0).0, id(0x10), "the first receipt goes the shortest way");
    desk.hear(id(0x40), Frame::Data(relayed.clone(), hello()));
    assert_eq!(desk.data().remove(0).0, id(0x40));
    // While that receipt is here, and not acknowledged, there is no other.
    relayed.hop.path = vec![id(0x60)];
    desk.hear(id(0x60), Frame::Data(relayed, hello()));
    assert_eq!((desk.data(), desk.delivered()), (vec![], 1));
}

#[test]
fn a_receipt_at_its_end_is_not_acknowledged_and_counts_as_the_verdict_of_the_hop_that_brings_it() {
    let mut desk = relay();
    let mut asked = unicast(0x10, id(0x40), 1);
    asked.hop.copy = 3;
    let about = Some(asked.fixed.message());
    desk.hear(id(0x10), Frame::Data(asked, hello()));
    let (to, handed, _) = desk.data().remove(0);
    assert_eq!((to, desk.verdicts()), (id(0x40), vec![(id(0x10), None)]));
    let said = Status { copy: 3, refusal: None, path: vec![id(ME)], boot: None, credential: None };
    let mut receipt = Header { fixed: unicast(0x40, id(0x10), 1).fixed, hop: handed.hop };
    receipt.hop.path = Vec::new();
    let said = Bytes::from(said.to_bytes());
    amend(&mut receipt, |receipt| {
        (receipt.kind, receipt.about) = (Kind::Receipt, about);
        (receipt.length, receipt.digest) = (said.len() as u64, PayloadDigest::of(&said));
    });
    desk.hear(id(0x40), Frame::Data(receipt, said));
    assert_eq!(desk.data().remove(0).0, id(0x10), "the origin is told");
    assert_eq!(desk.verdicts(), [(id(0x40), None)], "a relay acknowledges a receipt as any message");
    // Nobody's patience ends: neither copy is offered again.
    desk.pass(Duration::from_secs(5));
    assert_eq!(desk.data(), []);
}

#[test]
fn a_restarted_origin_may_draw_the_same_number_again() {
    let mut desk = relay();
    let first = unicast(0x10, id(ME), 1);
    let mut again = first.clone();
    amend(&mut again, |said| said.boot = 10);
    again.hop.copy = 1;
    desk.hear(id(0x10), Frame::Data(first, hello()));
    desk.hear(id(0x10), Frame::Data(again, hello()));
    assert_eq!(desk.delivered(), 2);
}

#[test]
fn what_was_made_too_long_ago_or_not_yet_is_refused_if_our_clock_is_plausible() {
    let minutes = |count: u64| count * 60_000;
    for (made_at, refusal) in [
        (START.0 - minutes(1), None),
        (START.0 + minutes(1), None),
        (START.0 - minutes(3), Some(Refusal::WrongTime)),
        (START.0 + minutes(3), Some(Refusal::WrongTime)),
    ] {
        let mut desk = relay();
        let mut header = unicast(0x10, id(ME), 1);
        amend(&mut header, |said| said.made_at = UnixTime(made_at));
        desk.hear(id(0x10), Frame::Data(header, hello()));
        assert_eq!(status(&desk.data()[0].2).refusal, refusal);
        assert_eq!(desk.delivered(), usize::from(refusal.is_none()));
    }
    let mut desk = Desk::at(config(OverlayKind::Ring), UnixTime(0));
    let client = desk.link_client(5);
    let mut header = unicast(0x10, id(ME), 1);
    amend(&mut header, |said| said.origin = Origin::of_key(Identity::from_seed(&[5; 32]).public(), None));
    desk.hear(client, Frame::Data(header, hello()));
    assert_eq!(desk.delivered(), 1, "a machine without a clock still receives");
}

#[test]
fn a_client_sends_only_its_own() {
    let mut desk = relay();
    let client = desk.link_client(5);
    desk.hear(client, Frame::Data(unicast(0x05, id(FAR), 1), hello()));
    assert_eq!(desk.verdicts(), [(client, Some(Refusal::Unexpected))]);
}

#[test]
fn a_relay_without_room_refuses_and_those_taken_over_make_room() {
    let mut config = config(OverlayKind::Ring);
    config.limits.in_flight = 2;
    let mut desk = Desk::linked_to(config, &[0x10, 0x40, 0x60, 0x80]);
    let mut headers = Vec::new();
    for number in 1..=3 {
        desk.hear(id(0x10), Frame::Data(unicast(0x05, id(FAR), number), hello()));
        headers.extend(desk.data());
    }
    assert_eq!(desk.verdicts(), [(id(0x10), None), (id(0x10), None), (id(0x10), Some(Refusal::OverBudget))]);
    desk.hear(id(0x80), verdict(&headers[0].1, None));
    desk.hear(id(0x10), Frame::Data(unicast(0x05, id(FAR), 4), hello()));
    assert_eq!(desk.verdicts(), [(id(0x10), None)]);
}

#[test]
fn a_verdict_of_somebody_else_changes_nothing() {
    let mut desk = relay();
    desk.hear(id(0x10), Frame::Data(unicast(0x05, id(FAR), 1), hello()));
    let (_, header, _) = desk.data().remove(0);
    desk.hear(id(0x60), verdict(&header, Some(Refusal::NoRoute)));
    assert!(desk.data().is_empty());
}

// --- Acknowledgements that nobody waits for

fn patient(header: Header) -> Header {
    let hop = Mutable { patient: true, ..header.hop };
    Header { hop, ..header }
}

/// Longer than an acknowledgement waits, and far shorter than a hop is waited for.
const LATER: Duration = Duration::from_millis(25);

#[test]
fn what_acknowledges_a_patient_message_waits_a_moment_and_then_goes_by_itself() {
    let mut desk = relay();
    desk.hear(id(0x10), Frame::Data(patient(unicast(0x05, id(FAR), 1)), hello()));
    desk.hear(id(0x10), Frame::Data(patient(unicast(0x10, id(ME), 2)), hello()));
    let data = desk.data();
    assert_eq!((data.len(), data[0].0), (1, id(0x80)), "the message itself goes on at once, the receipt does not");
    assert!(data[0].1.hop.patient, "the next hop is told");
    assert_eq!((desk.verdicts(), desk.delivered()), (vec![], 1));
    desk.pass(LATER);
    assert_eq!(desk.verdicts(), [(id(0x10), None)]);
    let receipts: Vec<Hash> = desk.data().into_iter().map(|(to, _, _)| to).collect();
    assert_eq!(receipts, [id(0x10)]);
}

#[test]
fn what_acknowledges_a_patient_message_goes_with_the_next_frame_over_its_link_only() {
    let mut desk = relay();
    desk.hear(id(0x10), Frame::Data(patient(unicast(0x05, id(FAR), 1)), hello()));
    desk.hear(id(0x40), Frame::Query(Ticket(1), Query::Ping));
    assert_eq!(desk.verdicts(), []);
    desk.hear(id(0x10), Frame::Query(Ticket(2), Query::Ping));
    assert_eq!(desk.verdicts(), [(id(0x10), None)]);
    desk.pass(LATER);
    assert_eq!(desk.verdicts(), [], "once");
}

#[test]
fn a_refusal_waits_for_nobody() {
    let mut desk = relay();
    let mut header = patient(unicast(0x05, id(FAR), 1));
    header.hop.hop_limit = 1;
    desk.hear(id(0x10), Frame::Data(header, hello()));
    assert_eq!(desk.verdicts(), [(id(0x10), Some(Refusal::HopLimit))]);
}

#[test]
fn many_acknowledgements_are_company_enough() {
    let mut desk = relay();
    for number in 0..31 {
        desk.hear(id(0x10), Frame::Data(patient(unicast(0x05, id(FAR), number)), hello()));
    }
    assert_eq!(desk.verdicts(), []);
    desk.hear(id(0x10), Frame::Data(patient(unicast(0x05, id(FAR), 31)), hello()));
    assert_eq!(desk.verdicts().len(), 32);
}

#[test]
fn acknowledgements_that_wait_go_before_their_link_is_closed_or_with_it() {
    let mut desk = relay();
    desk.hear(id(0x10), Frame::Data(patient(unicast(0x05, id(FAR), 1)), hello()));
    desk.hear(id(0x40), Frame::Data(patient(unicast(0x05, id(FAR), 2)), hello()));
    desk.unlink(id(0x40));
    desk.command(|_| Command::Disconnect { peer: id(0x10) });
    assert_eq!(desk.verdicts(), [(id(0x10), None)]);
    desk.pass(LATER);
    assert_eq!(desk.verdicts(), []);
}

#[test]
fn only_who_waits_for_nothing_is_patient() {
    for (ack, is_patient) in [(Ack::None, true), (Ack::FirstHop, false), (Ack::EndToEnd, false)] {
        let mut desk = relay();
        let mut options = SendOptions::default();
        options.ack = ack;
        desk.command(|operation| Command::Send { operation, target: id(FAR), address: None, payload: hello(), options });
        assert_eq!(desk.data()[0].1.hop.patient, is_patient, "{ack:?}");
    }
}

/// Whom a message is handed to, in this order, while nothing is heard of its target. Those of `deaf` do not even take it over.
fn unheard(deaf: &[u8]) -> Vec<Hash> {
    let mut desk = relay();
    desk.answers = true;
    let options = SendOptions::default();
    desk.command(|operation| Command::Send { operation, target: id(FAR), address: None, payload: hello(), options });
    let mut first_hops = Vec::new();
    for _ in 0..900 {
        for (hop, copy, _) in desk.data() {
            first_hops.push(hop);
            if !deaf.iter().any(|deaf| id(*deaf) == hop) {
                desk.hear(hop, verdict(&copy, None));
            }
        }
        desk.pass(Duration::from_millis(10));
    }
    first_hops
}

#[test]
fn while_nothing_is_heard_one_first_hop_after_the_other_has_its_turn() {
    let turn = [0x80, 0x60, 0x40, 0x10].map(id);
    assert_eq!(unheard(&[])[..6], [turn, turn].concat()[..6]);
}

#[test]
fn who_does_not_take_a_message_over_has_its_turn_no_more_often_than_others() {
    let first_hops = unheard(&[0x80]);
    let turn = [0x80, 0x60, 0x40, 0x10].map(id);
    assert_eq!(first_hops[..8], [turn, turn].concat(), "80 does not take it, so 60 has it at once");
}

/// Sends to `target`, of whom every first hop says that there is no such peer. Whom the copies were handed to, and what came of it.
fn denied(mut desk: Desk, target: Hash) -> (Vec<Hash>, Option<SendError>) {
    let options = SendOptions::default();
    desk.command(|operation| Command::Send { operation, target, address: None, payload: hello(), options });
    let mut first_hops = Vec::new();
    for _ in 0..40 {
        desk.pass(Duration::from_millis(100));
        let Some((hop, copy, _)) = desk.data().pop() else { continue };
        first_hops.push(hop);
        let said = Status { copy: copy.hop.copy, refusal: Some(Refusal::NoSuchPeer), path: vec![], boot: None, credential: None };
        let said = Bytes::from(said.to_bytes());
        let mut receipt = unicast(0x70, id(ME), copy.hop.copy);
        amend(&mut receipt, |receipt| {
            (receipt.kind, receipt.about) = (Kind::Receipt, Some(copy.fixed.message()));
            (receipt.length, receipt.digest) = (said.len() as u64, PayloadDigest::of(&said));
        });
        desk.hear(hop, verdict(&copy, None));
        desk.hear(hop, Frame::Data(receipt, said));
    }
    let end = desk.events.iter().find_map(|event| match event {
        Event::SendFailed { error, .. } => Some(error.clone()),
        _ => None,
    });
    (first_hops, end)
}

/// Whoever lacks the members next to the target takes itself for one of them, and says the same.
#[test]
fn that_nobody_has_an_id_is_believed_only_of_several() {
    let (first_hops, end) = denied(relay(), id(FAR));
    assert_eq!(
        first_hops,
        [0x80, 0x80, 0x60, 0x40, 0x80].map(id),
        "the target may be just joining; then others are asked, while there are any"
    );
    assert_eq!(end, Some(SendError::NoSuchPeer { target: id(FAR) }));
}

/// The same holds for this peer itself.
#[test]
fn who_would_be_responsible_for_an_id_asks_others_before_it_says_that_nobody_has_it() {
    let (first_hops, end) = denied(placed(), id(OURS));
    assert_eq!(first_hops, [0x10, 0x80, 0x60].map(id), "after it has waited twice whether it hears of the target");
    assert_eq!(end, Some(SendError::NoSuchPeer { target: id(OURS) }));
}

#[test]
fn whom_the_responsible_member_asks_says_so_at_once_if_it_knows_no_better() {
    let mut desk = placed();
    // Of 38 and of 3c it takes 40 for responsible; only that one asks for one of them.
    for (number, (target, origin, next)) in [(0x38, 0x40, None), (0x3c, 0x05, Some(0x40))].into_iter().enumerate() {
        desk.hear(id(0x10), Frame::Data(unicast(origin, id(target), number as u8), hello()));
        let (mut receipts, copies): (Vec<_>, Vec<_>) =
            desk.data().into_iter().partition(|(_, header, _)| header.fixed.kind == Kind::Receipt);
        assert_eq!(copies.first().map(|(to, ..)| *to), next.map(id), "{target:x}");
        let said = receipts.pop().map(|(to, _, said)| (to, status(&said).refusal));
        assert_eq!(said, next.is_none().then_some((id(origin), Some(Refusal::NoSuchPeer))), "{target:x}");
    }
}
