//! Long payloads, which are handed on while they arrive.

use crate::desk::{Desk, ME, amend, for_all, id, status, unicast, verdict};
use bytes::Bytes;
use cicada_proto::{Body, BodyId, Command, Config, SendOptions, StreamId};
use cicada_wire::*;
use std::time::Duration;

const LENGTH: usize = 1024 * 1024;
const BODY: BodyId = BodyId(70);
const OTHER: BodyId = BodyId(71);

fn payload() -> Bytes {
    Bytes::from(vec![7; LENGTH])
}

fn message(from: u8, target: Hash, number: u8, copy: u8) -> Frame {
    let mut header = unicast(from, target, number);
    amend(&mut header, |said| (said.length, said.digest) = (LENGTH as u64, PayloadDigest::of(&payload())));
    header.hop.copy = copy;
    Frame::Data(header, Bytes::new())
}

fn task(ticket: u64, number: u8) -> Frame {
    let mut header = unicast(0x05, id(0), number);
    let reach = Reach(id(0x90).0.wrapping_sub(id(ME).0));
    for_all(&mut header, reach);
    amend(&mut header, |said| (said.length, said.digest) = (LENGTH as u64, PayloadDigest::of(&payload())));
    Frame::Task(Task { ticket: Ticket(ticket), header, excluded: vec![], extend: false, avoided: vec![], offset: 0 }, Bytes::new())
}

fn config(bodies: usize) -> Config {
    let mut config = Config::default();
    config.limits.in_flight_bytes = bodies * LENGTH;
    config.limits.message_bytes = LENGTH;
    config
}

/// On the ring, one member behind us, three ahead.
fn desk(bodies: usize) -> Desk {
    Desk::linked_to(config(bodies), &[0x10, 0x40, 0x60, 0x80])
}

/// The streams that were begun: of which body.
fn begun(desk: &mut Desk) -> Vec<(StreamId, Option<BodyId>)> {
    let body = |body| if let Body::Arriving { body, .. } = body { Some(body) } else { None };
    std::mem::take(&mut desk.bodies.streams).into_iter().map(|(stream, of)| (stream, body(of))).collect()
}

#[test]
fn a_relay_hands_a_message_on_when_it_has_seen_its_head() {
    let mut desk = desk(8);
    desk.hear_of(id(0x10), message(0x10, id(0x61), 1, 0), BODY, LENGTH);
    assert_eq!(desk.verdicts(), [(id(0x10), None)]);
    let streams = begun(&mut desk);
    assert_eq!(streams.iter().map(|(_, body)| *body).collect::<Vec<_>>(), [Some(BODY)]);
    let [(to, header, _)] = &desk.data()[..] else { panic!("one next hop") };
    assert_eq!(*to, id(0x60));
    assert!(desk.bodies.collected.is_empty() && desk.bodies.discarded.is_empty());
    // It is let go a moment after it has left and is taken over, not before.
    desk.hear(*to, verdict(header, None));
    desk.pass(Duration::from_secs(20));
    assert!(desk.bodies.discarded.is_empty(), "it is still on its way");
    desk.streamed(streams[0].0, true);
    desk.pass(Duration::from_secs(20));
    assert_eq!(desk.bodies.discarded, [BODY]);
}

#[test]
fn a_relay_whose_next_hop_fails_midway_says_so_to_the_hop_before() {
    let mut desk = desk(8);
    desk.hear_of(id(0x10), message(0x10, id(0x61), 1, 0), BODY, LENGTH);
    let [(stream, _)] = begun(&mut desk)[..] else { panic!("one stream") };
    let [(to, header, _)] = &desk.data()[..] else { panic!("one next hop") };
    desk.hear(*to, verdict(header, None));
    desk.verdicts();
    desk.streamed(stream, false);
    assert_eq!(desk.verdicts(), [(id(0x10), Some(Refusal::NoRoute))]);
    assert_eq!(desk.bodies.discarded, [BODY]);
    assert_eq!(begun(&mut desk), []);
}

#[test]
fn an_origin_whose_first_hop_fails_midway_begins_anew_by_another() {
    let mut desk = desk(8);
    let options = SendOptions::default();
    desk.command(|operation| Command::Send { operation, target: id(0x85), address: None, payload: payload(), options });
    let [(stream, None)] = begun(&mut desk)[..] else { panic!("one stream of what is whole") };
    let [(first, header, _)] = &desk.data()[..] else { panic!("one first hop") };
    let (first, header) = (*first, header.clone());
    desk.hear(first, verdict(&header, None));
    desk.streamed(stream, false);
    let [(_, None)] = begun(&mut desk)[..] else { panic!("a second stream") };
    let [(second, _, _)] = &desk.data()[..] else { panic!("another hop") };
    assert_ne!(*second, first);
}

#[test]
fn a_timeout_without_end_is_as_long_as_any_can_be() {
    let mut desk = desk(8);
    let mut options = SendOptions::default();
    options.timeout = Duration::MAX;
    desk.command(|operation| Command::Send { operation, target: id(0x85), address: None, payload: payload(), options });
    assert_eq!(begun(&mut desk).len(), 1);
}

#[test]
fn the_target_acknowledges_a_message_once_it_is_whole() {
    let mut desk = desk(8);
    desk.hear_of(id(0x10), message(0x10, id(ME), 1, 0), BODY, LENGTH);
    assert_eq!((desk.verdicts(), &desk.bodies.collected[..]), (vec![(id(0x10), None)], &[BODY][..]));
    assert!(desk.data().is_empty() && desk.delivered() == 0);
    desk.arrived(BODY, payload());
    assert_eq!(desk.delivered(), 1);
    let [(to, _, receipt)] = &desk.data()[..] else { panic!("a receipt") };
    assert_eq!((*to, status(receipt).refusal), (id(0x10), None));
}

#[test]
fn what_breaks_off_is_neither_delivered_nor_acknowledged_and_another_copy_counts() {
    let mut desk = desk(1);
    desk.hear_of(id(0x10), message(0x10, id(ME), 1, 0), BODY, LENGTH);
    desk.broken_at(BODY, HERE);
    assert_eq!(desk.bodies.discarded, [BODY], "its origin has all of it");
    assert!(desk.data().is_empty() && desk.delivered() == 0);
    // There is room for one only: what broke off counts no more.
    desk.hear_of(id(0x10), message(0x10, id(ME), 1, 1), OTHER, LENGTH);
    desk.arrived(OTHER, payload());
    assert_eq!((desk.delivered(), desk.data().len()), (1, 1));
}

#[test]
fn of_two_copies_that_arrive_at_once_the_one_that_is_whole_first_is_delivered_and_the_other_let_go() {
    let mut desk = desk(8);
    desk.hear_of(id(0x10), message(0x10, id(ME), 1, 0), BODY, LENGTH);
    desk.hear_of(id(0x40), message(0x10, id(ME), 1, 1), OTHER, LENGTH);
    desk.arrived(OTHER, payload());
    assert_eq!((desk.delivered(), &desk.bodies.discarded[..]), (1, &[BODY][..]));
    desk.hear_of(id(0x60), message(0x10, id(ME), 1, 2), BodyId(72), LENGTH);
    assert_eq!((desk.delivered(), &desk.bodies.discarded[..]), (1, &[BODY, BodyId(72)][..]), "it has it already");
}

#[test]
fn an_origin_that_has_heard_nothing_of_what_was_delivered_is_told_again_over_the_relay_that_it_tries() {
    let mut desk = desk(8);
    desk.hear_of(id(0x10), message(0x10, id(ME), 1, 0), BODY, LENGTH);
    desk.hear_of(id(0x40), message(0x10, id(ME), 1, 0), OTHER, LENGTH);
    assert!(desk.data().is_empty(), "nothing can be said yet");
    desk.arrived(BODY, payload());
    assert_eq!(desk.data().remove(0).0, id(0x10));
    desk.hear_of(id(0x40), message(0x10, id(ME), 1, 0), BodyId(72), LENGTH);
    let [(to, _, receipt)] = &desk.data()[..] else { panic!("a receipt") };
    assert_eq!((*to, status(receipt).refusal, desk.delivered()), (id(0x40), None, 1));
}

#[test]
fn what_there_is_no_room_for_is_refused_at_its_head() {
    let mut desk = desk(1);
    desk.hear_of(id(0x10), message(0x10, id(ME), 1, 0), BODY, LENGTH);
    desk.verdicts();
    desk.hear_of(id(0x40), message(0x40, id(ME), 2, 0), OTHER, LENGTH);
    assert_eq!(desk.verdicts(), [(id(0x40), Some(Refusal::OverBudget))]);
    let Frame::Data(mut header, _) = message(0x60, id(ME), 3, 0) else { panic!("a message") };
    amend(&mut header, |said| said.length += 1);
    desk.hear_of(id(0x60), Frame::Data(header, Bytes::new()), BodyId(72), LENGTH + 1);
    assert_eq!(desk.verdicts(), [(id(0x60), Some(Refusal::TooLarge))]);
    assert_eq!(desk.bodies.discarded, [OTHER, BodyId(72)]);
}

#[test]
fn a_busy_application_is_told_of_before_a_long_message_has_come() {
    let mut config = config(8);
    config.limits.deliveries = 1;
    let mut desk = Desk::linked_to(config, &[0x10, 0x40]);
    desk.hear_of(id(0x10), message(0x10, id(ME), 1, 0), BODY, LENGTH);
    desk.arrived(BODY, payload());
    desk.data();
    desk.hear_of(id(0x10), message(0x10, id(ME), 2, 0), OTHER, LENGTH);
    let [(_, _, receipt)] = &desk.data()[..] else { panic!("a receipt") };
    assert_eq!(status(receipt).refusal, Some(Refusal::Busy));
    assert_eq!(desk.bodies.discarded, [OTHER]);
}

#[test]
fn a_delegate_acknowledges_and_shares_a_broadcast_at_its_head_and_delivers_it_once_it_is_whole() {
    let mut desk = desk(8);
    desk.hear_of(id(0x10), task(1, 1), BODY, LENGTH);
    assert_eq!((desk.task_verdicts(), &desk.bodies.collected[..]), (vec![(id(0x10), None)], &[BODY][..]));
    assert_eq!(begun(&mut desk).iter().map(|(_, body)| *body).collect::<Vec<_>>(), [Some(BODY); 3]);
    assert_eq!((desk.tasks().len(), desk.delivered()), (3, 0));
    desk.arrived(BODY, payload());
    assert_eq!(desk.delivered(), 1);
}

#[test]
fn a_broadcast_that_breaks_off_is_taken_anew_from_somebody_else() {
    let mut desk = desk(1);
    desk.hear_of(id(0x10), task(1, 1), BODY, LENGTH);
    desk.broken(BODY);
    desk.task_verdicts();
    desk.hear_of(id(0x10), task(2, 1), OTHER, LENGTH);
    assert_eq!(desk.task_verdicts(), [(id(0x10), None)]);
    desk.arrived(OTHER, payload());
    assert_eq!(desk.delivered(), 1);
}

#[test]
fn a_child_that_has_not_taken_a_broadcast_when_its_time_is_over_gets_no_more_of_it() {
    let mut desk = desk(8);
    desk.hear_of(id(0x10), task(1, 1), BODY, LENGTH);
    let streams = begun(&mut desk);
    for (to, task) in desk.tasks() {
        desk.hear(to, Frame::TaskVerdict(TaskVerdict { ticket: task.ticket, refusal: None }));
    }
    desk.arrived(BODY, payload());
    desk.streamed(streams[0].0, true);
    desk.streamed(streams[1].0, true);
    desk.pass(Duration::from_secs(120));
    assert_eq!(desk.bodies.abandoned, [streams[2].0]);
}

#[test]
fn what_carries_no_message_cannot_be_long() {
    let mut desk = desk(8);
    desk.hear_of(id(0x10), Frame::Opaque(Bytes::new()), BODY, LENGTH);
    assert_eq!(desk.bodies.discarded, [BODY]);
}

// --- What breaks off and goes on

/// Where it breaks off.
const HERE: usize = 300_000;

fn name(number: u8) -> ShortId {
    let Frame::Task(task, _) = task(5, number) else { panic!("a task") };
    ShortId::of(task.header.fixed.message())
}

fn offer(number: u8) -> Frame {
    Frame::Digest(Digest { ids: vec![name(number)] })
}

/// What comes after the first `offset` bytes, for the receiver alone.
fn part(number: u8, offset: usize) -> Task {
    let Frame::Task(mut part, _) = task(5, number) else { panic!("a task") };
    (part.offset, part.header.hop.reach) = (offset as u64, Some(Reach::ME));
    part
}

fn hear_part(desk: &mut Desk, from: u8, part: Task, body: BodyId) {
    let length = usize::try_from(part.header.fixed.length - part.offset).expect("short");
    desk.hear_of(id(from), Frame::Task(part, Bytes::new()), body, length);
}

fn refuse(desk: &mut Desk, from: Hash, ticket: Ticket) {
    desk.hear(from, Frame::TaskVerdict(TaskVerdict { ticket, refusal: Some(Refusal::NotHeld) }));
}

/// Whom the node asks for a part, and from where on.
fn asked(desk: &mut Desk) -> Vec<(Hash, u64)> {
    desk.pulls().into_iter().map(|(to, pull)| (to, pull.offset)).collect()
}

/// A delegate of `0x10` whose three children have taken the task over, when the body of which it has the beginning breaks off.
fn broken_off(bodies: usize) -> Desk {
    let mut desk = desk(bodies);
    desk.hear_of(id(0x10), task(1, 1), BODY, LENGTH);
    for (to, task) in desk.tasks() {
        desk.hear(to, Frame::TaskVerdict(TaskVerdict { ticket: task.ticket, refusal: None }));
    }
    assert_eq!(begun(&mut desk).len(), 3);
    desk.task_verdicts();
    desk.broken_at(BODY, HERE);
    desk
}

#[test]
fn a_broadcast_that_breaks_off_goes_on_where_it_stopped_and_those_behind_notice_nothing() {
    let mut desk = broken_off(1);
    let pulls = desk.pulls();
    assert_eq!(pulls.iter().map(|(to, pull)| (*to, pull.offset)).collect::<Vec<_>>(), [(id(0x10), HERE as u64)]);
    desk.hear(id(0x40), offer(1));
    assert!(asked(&mut desk).is_empty(), "one after the other");
    refuse(&mut desk, id(0x10), pulls[0].1.ticket);
    assert_eq!(asked(&mut desk), [(id(0x40), HERE as u64)]);
    hear_part(&mut desk, 0x40, part(1, HERE), OTHER);
    assert_eq!(desk.task_verdicts(), [(id(0x40), None)]);
    assert_eq!(desk.bodies.appended, [(BODY, HERE, Body::Arriving { body: OTHER, length: LENGTH - HERE })]);
    assert_eq!(desk.delivered(), 0);
    desk.arrived(BODY, payload());
    desk.pass(Duration::from_secs(10));
    assert_eq!(desk.delivered(), 1);
    assert!(begun(&mut desk).is_empty() && desk.bodies.abandoned.is_empty(), "the streams to the children go on");
    assert!(desk.bodies.discarded.is_empty() && asked(&mut desk).is_empty());
}

#[test]
fn it_may_break_off_once_more_and_a_short_rest_comes_in_one_piece() {
    let mut desk = broken_off(1);
    desk.hear(id(0x40), offer(1));
    desk.pulls();
    hear_part(&mut desk, 0x10, part(1, HERE), OTHER);
    // Who broke it off is asked after the others.
    desk.broken_at(BODY, LENGTH - 100);
    assert_eq!(asked(&mut desk), [(id(0x40), LENGTH as u64 - 100)]);
    desk.hear(id(0x40), Frame::Task(part(1, LENGTH - 100), payload().slice(LENGTH - 100..)));
    let rest = Body::Whole(payload().slice(LENGTH - 100..));
    assert_eq!(desk.bodies.appended.last(), Some(&(BODY, LENGTH - 100, rest)));
    desk.arrived(BODY, payload());
    assert_eq!(desk.delivered(), 1);
}

#[test]
fn all_of_it_serves_as_well_as_the_rest() {
    let mut desk = broken_off(1);
    hear_part(&mut desk, 0x40, part(1, 0), OTHER);
    assert_eq!(desk.bodies.appended, [(BODY, 0, Body::Arriving { body: OTHER, length: LENGTH })]);
    assert!(desk.bodies.discarded.is_empty());
    // The control: now that it comes, nothing more is taken.
    hear_part(&mut desk, 0x60, part(1, 0), BodyId(72));
    assert_eq!((desk.bodies.appended.len(), &desk.bodies.discarded[..]), (1, &[BodyId(72)][..]));
}

#[test]
fn what_nobody_goes_on_with_is_forgotten_in_the_end_and_may_come_anew() {
    let mut desk = broken_off(1);
    desk.answers = true;
    desk.pass(Duration::from_secs(20));
    assert!(desk.bodies.discarded.is_empty());
    desk.pass(Duration::from_secs(11));
    assert_eq!((&desk.bodies.discarded[..], desk.bodies.abandoned.len()), (&[BODY][..], 3));
    desk.pulls();
    desk.hear(id(0x40), offer(1));
    assert_eq!(asked(&mut desk), [(id(0x40), 0)]);
    hear_part(&mut desk, 0x40, part(1, 0), OTHER);
    desk.arrived(OTHER, payload());
    assert_eq!(desk.delivered(), 1);
}

#[test]
fn without_repair_nothing_is_kept_of_what_breaks_off() {
    let mut config = config(8);
    config.upkeep.repair = false;
    let mut desk = Desk::linked_to(config, &[0x10, 0x40, 0x60, 0x80]);
    desk.hear_of(id(0x10), task(1, 1), BODY, LENGTH);
    desk.broken_at(BODY, HERE);
    assert_eq!((&desk.bodies.discarded[..], desk.bodies.abandoned.len()), (&[BODY][..], 3));
    assert!(asked(&mut desk).is_empty());
}

#[test]
fn what_has_stopped_makes_room_for_what_comes() {
    let mut desk = broken_off(1);
    desk.hear_of(id(0x40), Frame::Task(part(2, 0), Bytes::new()), OTHER, LENGTH);
    assert_eq!(desk.task_verdicts(), [(id(0x40), None)]);
    assert_eq!(desk.bodies.discarded, [BODY]);
    // The control: what comes does not.
    desk.hear_of(id(0x40), Frame::Task(part(3, 0), Bytes::new()), BodyId(72), LENGTH);
    assert_eq!(desk.task_verdicts(), [(id(0x40), Some(Refusal::OverBudget))]);
}

#[test]
fn parts_that_do_not_fit_are_refused() {
    let mut desk = broken_off(8);
    let mut longer = part(1, HERE);
    amend(&mut longer.header, |said| said.length -= 1);
    let mut later = part(1, HERE);
    amend(&mut later.header, |said| said.made_at.0 += 1);
    for (number, (wrong, refusal)) in [
        (part(1, HERE + 1), Refusal::Unexpected),
        (longer, Refusal::Unexpected),
        (later, Refusal::Unexpected),
        (part(2, HERE), Refusal::Unexpected),
    ]
    .into_iter()
    .enumerate()
    {
        let body = BodyId(80 + number as u64);
        hear_part(&mut desk, 0x40, wrong, body);
        assert_eq!(desk.task_verdicts(), [(id(0x40), Some(refusal))]);
        assert_eq!(desk.bodies.discarded.last(), Some(&body));
    }
    assert!(desk.bodies.appended.is_empty());
    hear_part(&mut desk, 0x40, part(1, HERE), OTHER);
    assert_eq!((desk.task_verdicts(), desk.bodies.appended.len()), (vec![(id(0x40), None)], 1), "the control");
    hear_part(&mut desk, 0x60, part(1, HERE), BodyId(90));
    assert_eq!(desk.task_verdicts(), [(id(0x60), Some(Refusal::Seen))], "it comes already");
}

#[test]
fn who_brings_next_to_nothing_is_not_asked_again_unless_it_offers_again() {
    let mut desk = broken_off(1);
    let pulls = desk.pulls();
    refuse(&mut desk, id(0x10), pulls[0].1.ticket);
    desk.hear(id(0x40), offer(1));
    hear_part(&mut desk, 0x40, part(1, HERE), OTHER);
    desk.pulls();
    desk.broken_at(BODY, HERE + 10);
    assert_eq!(asked(&mut desk), [(id(0x10), HERE as u64 + 10)], "it handed us the first part");
    desk.pass(Duration::from_secs(2));
    assert!(asked(&mut desk).is_empty());
    desk.hear(id(0x40), offer(1));
    assert_eq!(asked(&mut desk), [(id(0x40), HERE as u64 + 10)]);
}

#[test]
fn nor_is_who_brings_a_rest_that_is_none() {
    let mut desk = broken_off(1);
    desk.pulls();
    desk.hear(id(0x10), Frame::Task(part(1, HERE), payload().slice(HERE..)));
    // The bytes are not those of the message.
    desk.broken_at(BODY, HERE);
    desk.pass(Duration::from_secs(2));
    assert!(asked(&mut desk).is_empty());
    desk.hear(id(0x40), offer(1));
    assert_eq!(asked(&mut desk), [(id(0x40), HERE as u64)]);
}

#[test]
fn a_part_is_served_from_where_it_is_lacking_and_again_if_there_was_progress() {
    let mut desk = desk(8);
    desk.hear_of(id(0x10), task(1, 1), BODY, LENGTH);
    desk.arrived(BODY, payload());
    desk.tasks();
    (desk.bodies.streams, desk.bodies.offsets) = (vec![], vec![]);
    desk.task_verdicts();
    let pull = |offset: usize| Frame::Pull(Pull { ticket: Ticket(3), id: name(1), offset: offset as u64 });
    desk.hear(id(0x10), pull(HERE));
    assert_eq!(desk.tasks().iter().map(|(to, task)| (*to, task.offset)).collect::<Vec<_>>(), [(id(0x10), HERE as u64)]);
    assert_eq!((desk.bodies.offsets.clone(), desk.bodies.streams[0].1.clone()), (vec![HERE], Body::Whole(payload())));
    desk.hear(id(0x10), pull(HERE + 10));
    assert_eq!(desk.task_verdicts(), [(id(0x10), Some(Refusal::OverBudget))], "no progress");
    for part in 1..6 {
        desk.hear(id(0x10), pull(HERE + part * 100_000));
    }
    assert_eq!(desk.bodies.offsets.len(), 4, "no more over one link");
    assert_eq!(desk.task_verdicts().len(), 2);
    desk.hear(id(0x40), pull(LENGTH - 10));
    assert_eq!((desk.tasks().len(), desk.bodies.offsets.len()), (4, 4), "ten bytes need no stream");
}

#[test]
fn what_has_stopped_serves_only_who_has_less() {
    let mut desk = broken_off(1);
    let pull = |offset: usize| Frame::Pull(Pull { ticket: Ticket(3), id: name(1), offset: offset as u64 });
    desk.hear(id(0x40), pull(HERE));
    assert_eq!(desk.task_verdicts(), [(id(0x40), Some(Refusal::NotHeld))]);
    desk.hear(id(0x40), pull(HERE - 1));
    assert_eq!(begun(&mut desk).len(), 1);
}

#[test]
fn a_child_whose_stream_broke_is_offered_what_it_lacks() {
    let mut desk = desk(8);
    desk.hear_of(id(0x10), task(1, 1), BODY, LENGTH);
    let streams = begun(&mut desk);
    let children: Vec<Hash> = desk.tasks().iter().map(|(to, _)| *to).collect();
    for (to, (stream, _)) in children.iter().zip(&streams) {
        desk.streamed(*stream, *to != children[1]);
    }
    desk.arrived(BODY, payload());
    desk.pass(Duration::from_millis(1001));
    assert_eq!(desk.digests(), [(children[1], vec![name(1)])]);
}
