//! Links that are given up while something is on its way over them.

use crate::{
    broadcast::{before, body, config, summary, up_to},
    desk::{Desk, ME, hello, id, unicast},
};
use bytes::Bytes;
use cicada_proto::Command;
use cicada_wire::*;
use std::time::Duration;

/// On the ring, with as many links as it may have: the sender behind it, four members ahead, three farther on.
fn full() -> Desk {
    let mut config = config(OverlayKind::Ring);
    config.limits.links = 8;
    Desk::linked_to(config, &[0x10, 0x40, 0x60, 0x80, 0xa0, 0xb0, 0xc0, 0xd0])
}

fn taken(task: &Task) -> Frame {
    Frame::TaskVerdict(TaskVerdict { ticket: task.ticket, refusal: None })
}

#[test]
fn what_is_on_its_way_over_a_link_that_is_given_up_is_taken_and_acknowledged() {
    let mut desk = full();
    desk.meet(0xe0);
    let (given_up, reason) = desk.drains().pop().expect("one has to go");
    assert!(matches!(reason, Refusal::MadeRoom | Refusal::TooManyLinks), "{reason}");
    assert_eq!((desk.links(), desk.drained().len()), (9, 0), "it is heard still");
    desk.hear(given_up, body(7, Reach::ME));
    assert_eq!((desk.task_verdicts(), desk.delivered()), (vec![(given_up, None)], 1));
    let message = unicast(0x05, id(ME), 3);
    desk.hear(given_up, Frame::Data(message, hello()));
    assert_eq!((desk.verdicts(), desk.delivered()), (vec![(given_up, None)], 2));
    desk.hear(given_up, Frame::Drained);
    assert_eq!(desk.links(), 8);
}

#[test]
fn who_is_told_that_a_link_is_given_up_waits_for_what_it_has_handed_over() {
    let mut desk = full();
    desk.hear(id(0x10), body(1, up_to(ME, 0x90)));
    let tasks = desk.tasks();
    let share = tasks.iter().find(|(to, _)| *to == id(0x60)).map(|(_, task)| task).expect("it has a share");
    desk.hear(id(0x60), Frame::Drain(Refusal::MadeRoom));
    assert!(desk.drained().is_empty() && desk.tasks().is_empty(), "it may have its share already: nobody else gets it");
    desk.hear(id(0x60), taken(share));
    assert_eq!(desk.drained(), [id(0x60)]);
    desk.unlink(id(0x60));
    assert!(desk.tasks().is_empty());
}

#[test]
fn nothing_new_goes_over_a_link_that_the_other_end_gives_up() {
    let mut desk = full();
    desk.hear(id(0x60), Frame::Drain(Refusal::MadeRoom));
    assert_eq!(desk.drained(), [id(0x60)], "nothing was on its way");
    desk.hear(id(0x10), body(1, up_to(ME, 0x90)));
    assert_eq!(summary(&desk.tasks()), [(id(0x40), before(0x40, 0x80), false), (id(0x80), up_to(0x80, 0x90), false)]);
}

#[test]
fn a_link_is_closed_by_either_end_if_it_is_not_drained_in_time() {
    let mut desk = full();
    desk.answers = true;
    desk.meet(0xe0);
    let (given_up, _) = desk.drains().pop().expect("one has to go");
    desk.pass(Duration::from_millis(1900));
    assert_eq!(desk.links(), 9);
    desk.pass(Duration::from_millis(200));
    assert_eq!(desk.links(), 8, "{given_up:?} never says that nothing is left");
    let other = if given_up == id(0x60) { id(0x80) } else { id(0x60) };
    desk.hear(other, Frame::Drain(Refusal::MadeRoom));
    assert_eq!(desk.drained(), [other]);
    desk.pass(Duration::from_millis(2100));
    assert_eq!(desk.links(), 7, "{other:?} never closes it");
}

#[test]
fn two_that_give_up_the_same_link_at_once_both_close_it() {
    let mut desk = full();
    desk.meet(0xe0);
    let (given_up, reason) = desk.drains().pop().expect("one has to go");
    desk.hear(given_up, Frame::Drain(reason));
    assert_eq!((desk.drained(), desk.links()), (vec![given_up], 9));
    desk.hear(given_up, Frame::Drained);
    assert_eq!(desk.links(), 8);
}

#[test]
fn whoever_has_not_been_asked_need_not_say_that_nothing_is_left() {
    let mut desk = full();
    desk.hear(id(0x60), Frame::Drained);
    assert_eq!((desk.refused(Refusal::Unexpected), desk.links()), (1, 8));
}

#[test]
fn whoever_asks_twice_is_refused_the_second_time_and_told_once() {
    let mut desk = full();
    desk.hear(id(0x60), Frame::Drain(Refusal::MadeRoom));
    desk.hear(id(0x60), Frame::Drain(Refusal::MadeRoom));
    assert_eq!((desk.drained(), desk.refused(Refusal::Unexpected)), (vec![id(0x60)], 1));
}

#[test]
fn a_long_payload_on_its_way_is_let_go_first() {
    let mut desk = full();
    let payload = Bytes::from(vec![7; 300_000]);
    desk.command(|operation| Command::Broadcast { operation, payload, excluded: vec![] });
    let tasks = desk.tasks();
    let (at, share) =
        tasks.iter().enumerate().find(|(_, (to, _))| *to == id(0x60)).map(|(at, (_, task))| (at, task)).expect("it has a share");
    let stream = desk.bodies.streams[at].0;
    desk.hear(id(0x60), Frame::Drain(Refusal::MadeRoom));
    desk.hear(id(0x60), taken(share));
    assert!(desk.drained().is_empty(), "taken, and not all of it has left");
    desk.streamed(stream, true);
    assert_eq!(desk.drained(), [id(0x60)]);
}
