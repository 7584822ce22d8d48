//! A delegate, seen from its links.

use crate::desk::{Desk, ME, amend, for_all, hello, id, unicast};
use cicada_proto::{Command, Config, Event, SendError};
use cicada_wire::*;
use std::time::Duration;

pub(crate) fn config(overlay: OverlayKind) -> Config {
    let mut config = Config::default();
    config.overlay = overlay;
    config
}

/// On the ring, the sender behind us, four members ahead.
fn delegate() -> Desk {
    Desk::linked_to(config(OverlayKind::Ring), &[0x10, 0x40, 0x60, 0x80, 0xa0])
}

/// From one id to another, and a little farther, as far as reaches are exact.
pub(crate) fn up_to(from: u8, last: u8) -> Reach {
    Reach(id(last).0.wrapping_sub(id(from).0).wrapping_add(Reach::of_height(200).0))
}

/// From one id to before another.
pub(crate) fn before(from: u8, next: u8) -> Reach {
    Reach(id(next).0.wrapping_sub(id(from).0).wrapping_sub(U256::ONE))
}

fn task(ticket: u64, reach: Reach) -> Task {
    let mut header = unicast(0x05, id(0), 1);
    for_all(&mut header, reach);
    Task { ticket: Ticket(ticket), header, excluded: vec![], extend: false, avoided: vec![], offset: 0 }
}

fn extend(ticket: u64, reach: Reach) -> Frame {
    let mut task = task(ticket, reach);
    task.extend = true;
    Frame::Task(task, bytes::Bytes::new())
}

pub(crate) fn body(ticket: u64, reach: Reach) -> Frame {
    Frame::Task(task(ticket, reach), hello())
}

/// Whom tasks went to, what they are to reach, and whether without a body.
pub(crate) fn summary(tasks: &[(Hash, Task)]) -> Vec<(Hash, Reach, bool)> {
    tasks.iter().map(|(to, task)| (*to, task.header.hop.reach.expect("a task has a reach"), task.extend)).collect()
}

#[test]
fn a_delegate_shares_its_part_among_boundaries_and_acknowledges() {
    let mut desk = delegate();
    desk.hear(id(0x10), body(1, up_to(ME, 0x90)));
    assert_eq!(desk.task_verdicts(), [(id(0x10), None)]);
    let shares = [(id(0x40), before(0x40, 0x60), false), (id(0x60), before(0x60, 0x80), false), (id(0x80), up_to(0x80, 0x90), false)];
    assert_eq!(summary(&desk.tasks()), shares);
    assert_eq!(desk.delivered(), 1);
}

#[test]
fn a_later_larger_task_is_shared_only_as_far_as_it_is_new() {
    let mut desk = delegate();
    desk.hear(id(0x10), body(1, up_to(ME, 0x70)));
    assert_eq!(desk.tasks().len(), 2);
    desk.hear(id(0x10), extend(2, up_to(ME, 0x90)));
    let mut new = summary(&desk.tasks());
    new.sort_unstable_by_key(|(to, ..)| *to);
    assert_eq!(new, [(id(0x60), before(0x60, 0x80), true), (id(0x80), up_to(0x80, 0x90), false)]);
    desk.hear(id(0x10), body(3, up_to(ME, 0x90)));
    assert!(desk.tasks().is_empty());
    assert_eq!(desk.task_verdicts(), [(id(0x10), None), (id(0x10), None), (id(0x10), None)]);
    assert_eq!(desk.delivered(), 1);
}

#[test]
fn an_extend_waits_for_its_body() {
    let mut desk = delegate();
    desk.hear(id(0x10), extend(2, up_to(ME, 0x90)));
    assert!(desk.tasks().is_empty() && desk.task_verdicts().is_empty());
    desk.hear(id(0x10), body(1, Reach::ME));
    assert_eq!(desk.task_verdicts().len(), 2);
    assert_eq!(desk.tasks().len(), 3);
}

#[test]
fn an_extend_waits_five_seconds_and_no_more_than_64_wait() {
    let mut desk = delegate();
    for number in 0..=64 {
        desk.hear(id(0x10), extend(number, up_to(ME, 0x90)));
    }
    assert_eq!(desk.task_verdicts(), [(id(0x10), Some(Refusal::OverBudget))]);
    desk.pass(Duration::from_secs(6));
    // Nobody answered liveness checks meanwhile.
    desk.link_member(0x10);
    desk.hear(id(0x10), body(100, Reach::ME));
    assert_eq!(desk.task_verdicts(), [(id(0x10), None)]);
    assert!(desk.tasks().is_empty());
}

#[test]
fn a_reach_beyond_the_senders_is_refused() {
    let mut desk = delegate();
    desk.hear(id(0x10), body(1, up_to(ME, 0x10)));
    assert_eq!(desk.task_verdicts(), [(id(0x10), Some(Refusal::NotAdmissible))]);
    let mut desk = Desk::linked_to(config(OverlayKind::Tree), &[0x21, 0x40]);
    desk.hear(id(0x21), body(1, Reach::of_height(250)));
    assert_eq!(desk.task_verdicts(), [(id(0x21), Some(Refusal::NotAdmissible))]);
    desk.hear(id(0x21), body(1, Reach::of_height(249)));
    assert_eq!(desk.task_verdicts(), [(id(0x21), None)]);
}

#[test]
fn who_is_left_out_takes_nothing_and_passes_the_wish_on() {
    let mut desk = delegate();
    let mut left_out = task(1, up_to(ME, 0x90));
    left_out.excluded = vec![id(0x60)];
    desk.hear(id(0x10), Frame::Task(left_out, hello()));
    let tasks = desk.tasks();
    assert!(tasks.iter().all(|(to, task)| *to != id(0x60) && task.excluded.contains(&id(0x60))));
    let mut me = task(1, up_to(ME, 0x90));
    amend(&mut me.header, |said| said.number = 2);
    me.excluded = vec![id(ME)];
    desk.task_verdicts();
    desk.hear(id(0x10), Frame::Task(me, hello()));
    assert_eq!(desk.task_verdicts(), [(id(0x10), Some(Refusal::Unexpected))]);
    assert_eq!(desk.delivered(), 1);
}

#[test]
fn the_part_of_a_silent_delegate_goes_to_the_one_before_it() {
    let mut desk = delegate();
    desk.hear(id(0x10), body(1, up_to(ME, 0x90)));
    let tasks = desk.tasks();
    for (to, task) in tasks.iter().filter(|(to, _)| *to != id(0x60)) {
        desk.hear(*to, Frame::TaskVerdict(TaskVerdict { ticket: task.ticket, refusal: None }));
    }
    desk.pass(Duration::from_millis(1001));
    let replaced = desk.tasks();
    assert_eq!(summary(&replaced), [(id(0x40), before(0x40, 0x80), true)]);
    assert_eq!(replaced[0].1.avoided, [id(0x60)], "nobody else need try it");
}

#[test]
fn the_part_of_the_first_boundary_goes_to_the_next_that_is_known() {
    let mut desk = delegate();
    desk.hear(id(0x10), body(1, up_to(ME, 0x50)));
    let tasks = desk.tasks();
    assert_eq!(summary(&tasks), [(id(0x40), up_to(0x40, 0x50), false)]);
    desk.pass(Duration::from_millis(1001));
    assert!(desk.tasks().is_empty(), "nobody else is known there");
    let mut desk = Desk::linked_to(config(OverlayKind::Ring), &[0x10, 0x40, 0x48]);
    desk.hear(id(0x10), body(1, up_to(ME, 0x50)));
    let tasks = desk.tasks();
    desk.hear(id(0x48), Frame::TaskVerdict(TaskVerdict { ticket: tasks[1].1.ticket, refusal: None }));
    desk.unlink(id(0x40));
    assert!(desk.tasks().is_empty(), "the next boundary covers the rest already");
}

#[test]
fn another_member_of_the_cell_takes_over_on_the_tree() {
    let mut desk = Desk::linked_to(config(OverlayKind::Tree), &[0x21, 0x80, 0x90, 0xa0]);
    desk.hear(id(0x21), body(1, Reach::ME));
    assert!(desk.tasks().is_empty());
    desk.command(|operation| Command::Broadcast { operation, payload: hello(), excluded: vec![] });
    let first = desk.tasks();
    assert_eq!(first.len(), 2, "one for each cell: {:?}", summary(&first));
    let (delegate, failed) = first.iter().find(|(to, _)| *to != id(0x21)).expect("one is in the high cell");
    desk.hear(*delegate, Frame::TaskVerdict(TaskVerdict { ticket: failed.ticket, refusal: Some(Refusal::OverBudget) }));
    let heir = desk.tasks();
    assert_eq!(heir.len(), 1);
    assert_ne!(heir[0].0, *delegate);
    assert_eq!((heir[0].1.extend, heir[0].1.header.hop.reach), (false, failed.header.hop.reach));
}

#[test]
fn a_favour_is_done_for_who_has_no_link_itself() {
    let mut desk = Desk::linked_to(config(OverlayKind::Tree), &[0x21, 0x28, 0x80]);
    desk.hear(id(0x21), body(1, Reach::ME));
    desk.task_verdicts();
    let mut favour = task(2, Reach::of_height(255));
    (favour.extend, favour.header.hop.route) = (true, vec![id(0x90)]);
    desk.hear(id(0x21), Frame::Task(favour.clone(), bytes::Bytes::new()));
    assert_eq!(desk.task_verdicts(), [(id(0x21), None)]);
    assert_eq!(summary(&desk.tasks()), [(id(0x80), Reach::of_height(255), false)], "another of the wanted one's cell will do");
    favour.header.hop.route = vec![id(0x2a)];
    favour.header.hop.reach = Some(Reach::of_height(255));
    desk.hear(id(0x21), Frame::Task(favour, bytes::Bytes::new()));
    assert_eq!(desk.task_verdicts(), [(id(0x21), Some(Refusal::NotAdmissible))], "more than that cell");
}

#[test]
fn a_client_begins_only_its_own_broadcasts() {
    let mut desk = delegate();
    let client = desk.link_client(5);
    desk.hear(client, body(1, Reach::ALL));
    assert_eq!(desk.task_verdicts(), [(client, Some(Refusal::Unexpected))]);
    let mut own = task(2, Reach::ALL);
    amend(&mut own.header, |said| said.origin = Origin::of_key(Identity::from_seed(&[5; 32]).public(), None));
    desk.hear(client, Frame::Task(own, hello()));
    assert_eq!(desk.task_verdicts(), [(client, None)]);
    assert_eq!(desk.tasks().len(), 5, "we are its root");
    assert_eq!(desk.delivered(), 1);
}

#[test]
fn bodies_are_bounded_and_those_in_use_stay() {
    let mut config = config(OverlayKind::Ring);
    config.limits.in_flight = 1;
    let mut desk = Desk::linked_to(config, &[0x10, 0x40]);
    let of = |number: u8, ticket: u64| {
        let mut task = task(ticket, up_to(ME, 0x50));
        amend(&mut task.header, |said| said.number = u64::from(number));
        Frame::Task(task, hello())
    };
    desk.hear(id(0x10), of(1, 1));
    let tasks = desk.tasks();
    desk.hear(id(0x10), of(2, 2));
    assert_eq!(desk.task_verdicts(), [(id(0x10), None), (id(0x10), Some(Refusal::OverBudget))]);
    desk.hear(id(0x40), Frame::TaskVerdict(TaskVerdict { ticket: tasks[0].1.ticket, refusal: None }));
    desk.hear(id(0x10), of(3, 3));
    assert_eq!(desk.task_verdicts(), [(id(0x10), None)], "one whose tasks are done makes room");
    desk.hear(id(0x10), of(1, 4));
    assert_eq!(desk.task_verdicts(), [(id(0x10), None)], "and it is known still");
    assert_eq!(desk.delivered(), 2);
}

#[test]
fn what_cannot_be_sent_is_told_before_anything_is_sent() {
    let mut desk = delegate();
    desk.command(|operation| Command::Broadcast { operation, payload: vec![0; 16 * 1024 * 1024 + 1].into(), excluded: vec![] });
    desk.command(|operation| Command::Broadcast { operation, payload: hello(), excluded: vec![id(1); MAX_EXCLUDED + 1] });
    let errors: Vec<_> = desk
        .events
        .iter()
        .filter_map(|event| if let Event::BroadcastFailed { error, .. } = event { Some(error.clone()) } else { None })
        .collect();
    assert!(matches!(errors[..], [SendError::TooLarge { .. }, SendError::TooManyExcluded { .. }]), "{errors:?}");
    assert!(desk.tasks().is_empty());
}
