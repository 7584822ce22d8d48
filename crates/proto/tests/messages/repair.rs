//! Repair, seen from a peer's links: what it offers, what it fetches, what it serves.

use crate::desk::{Desk, ME, amend, for_all, hello, id, unicast};
use cicada_proto::{Command, Config};
use cicada_wire::*;
use std::{collections::BTreeSet, time::Duration};

const MILLISECOND: Duration = Duration::from_millis(1);

/// Twelve members around us.
const MEMBERS: [u8; 12] = [0x10, 0x30, 0x40, 0x50, 0x60, 0x70, 0x80, 0x90, 0xa0, 0xb0, 0xc0, 0xd0];

fn desk() -> Desk {
    Desk::linked_to(Config::default(), &MEMBERS)
}

/// A broadcast of the peer `0x05`, for the receiver alone.
fn task(number: u8) -> Task {
    let mut header = unicast(0x05, id(0), number);
    for_all(&mut header, Reach::ME);
    Task { ticket: Ticket(u64::from(number)), header, excluded: vec![], extend: false, avoided: vec![], offset: 0 }
}

fn body(number: u8) -> Frame {
    Frame::Task(task(number), hello())
}

fn name(number: u8) -> ShortId {
    ShortId::of(task(number).header.fixed.message())
}

fn digest(numbers: impl IntoIterator<Item = u8>) -> Frame {
    Frame::Digest(Digest { ids: numbers.into_iter().map(name).collect() })
}

fn pull(ticket: u64, number: u8) -> Frame {
    Frame::Pull(Pull { ticket: Ticket(ticket), id: name(number), offset: 0 })
}

fn whom<T>(said: &[(Hash, T)]) -> BTreeSet<Hash> {
    said.iter().map(|(to, _)| *to).collect()
}

#[test]
fn a_second_after_a_broadcast_four_are_told_of_it_and_four_others_a_second_later() {
    let mut desk = desk();
    desk.hear(id(0x10), body(1));
    desk.hear(id(0x40), digest([1]));
    desk.pass(999 * MILLISECOND);
    assert!(desk.digests().is_empty(), "it has time to spread by itself");
    desk.pass(2 * MILLISECOND);
    let first = desk.digests();
    assert!(first.iter().all(|(_, ids)| *ids == [name(1)]));
    desk.pass(1000 * MILLISECOND);
    let second = desk.digests();
    assert_eq!((first.len(), second.len()), (4, 4));
    let told: BTreeSet<Hash> = whom(&first).union(&whom(&second)).copied().collect();
    assert_eq!(told.len(), 8, "nobody is told twice");
    assert!(!told.contains(&id(0x10)) && !told.contains(&id(0x40)), "they have it");
    assert!(desk.pulls().is_empty(), "what is here is not asked for");
}

#[test]
fn what_comes_together_is_told_together_and_what_never_ends_is_told_all_the_same() {
    let mut desk = desk();
    for number in 0..50 {
        desk.hear(id(0x10), body(number));
        desk.pass(10 * MILLISECOND);
    }
    desk.pass(1000 * MILLISECOND);
    let told = desk.digests();
    assert_eq!(told.len(), 4, "one digest each");
    assert!(told.iter().all(|(_, ids)| ids.len() == 50));
    let mut desk = self::desk();
    desk.answers = true;
    let mut told = 0;
    for number in 0..50 {
        desk.hear(id(0x10), body(number));
        desk.pass(100 * MILLISECOND);
        told += desk.digests().len();
    }
    assert!((4..=12).contains(&told), "{told} digests in five seconds");
}

#[test]
fn nobody_is_told_of_what_it_was_handed_or_is_not_to_have() {
    let mut desk = Desk::linked_to(Config::default(), &[0x10, 0x40, 0x60, 0x80]);
    let mut shared = task(1);
    shared.header.hop.reach = Some(Reach(id(0x70).0.wrapping_sub(id(ME).0)));
    shared.excluded = vec![id(0x80)];
    desk.hear(id(0x10), Frame::Task(shared, hello()));
    for (to, task) in desk.tasks() {
        desk.hear(to, Frame::TaskVerdict(TaskVerdict { ticket: task.ticket, refusal: None }));
    }
    desk.pass(1500 * MILLISECOND);
    assert!(desk.digests().is_empty());
    desk.hear(id(0x80), pull(7, 1));
    assert_eq!(desk.task_verdicts().last(), Some(&(id(0x80), Some(Refusal::NotHeld))), "nor is it given to it");
    desk.hear(id(0x40), pull(8, 1));
    assert_eq!(desk.tasks().len(), 1, "the control");
}

#[test]
fn without_repair_nobody_is_told_or_asked() {
    let mut config = Config::default();
    config.upkeep.repair = false;
    let mut desk = Desk::linked_to(config, &MEMBERS);
    desk.hear(id(0x10), body(1));
    desk.hear(id(0x10), digest([2]));
    desk.pass(1500 * MILLISECOND);
    assert!(desk.digests().is_empty() && desk.pulls().is_empty());
}

#[test]
fn what_is_lacking_is_asked_for_once_and_of_the_next_after_300_ms() {
    let mut desk = desk();
    desk.hear(id(0x10), digest([1]));
    desk.hear(id(0x40), digest([1]));
    let first = desk.pulls();
    assert_eq!(whom(&first), BTreeSet::from([id(0x10)]), "at once, of the first");
    assert_eq!((first[0].1.id, first[0].1.offset), (name(1), 0));
    desk.pass(299 * MILLISECOND);
    assert!(desk.pulls().is_empty());
    desk.pass(2 * MILLISECOND);
    assert_eq!(whom(&desk.pulls()), BTreeSet::from([id(0x40)]));
    desk.pass(1000 * MILLISECOND);
    assert!(desk.pulls().is_empty(), "nobody else has it");
}

#[test]
fn who_refuses_or_goes_is_replaced_at_once() {
    let mut desk = desk();
    for from in [0x10, 0x40, 0x60] {
        desk.hear(id(from), digest([1]));
    }
    let first = desk.pulls();
    desk.hear(id(0x30), Frame::TaskVerdict(TaskVerdict { ticket: first[0].1.ticket, refusal: Some(Refusal::NotHeld) }));
    assert!(desk.pulls().is_empty(), "that is not who was asked");
    desk.hear(id(0x10), Frame::TaskVerdict(TaskVerdict { ticket: first[0].1.ticket, refusal: Some(Refusal::NotHeld) }));
    let second = desk.pulls();
    assert_eq!(second.len(), 1);
    desk.unlink(second[0].0);
    let third = desk.pulls();
    assert_eq!(third.len(), 1);
    assert_eq!(whom(&[second, third].concat()), BTreeSet::from([id(0x40), id(0x60)]));
}

#[test]
fn what_was_fetched_is_delivered_once_and_told_of_200_ms_later() {
    let mut desk = desk();
    desk.hear(id(0x10), digest([1]));
    desk.hear(id(0x40), digest([1]));
    desk.pulls();
    desk.hear(id(0x10), body(1));
    assert_eq!(desk.task_verdicts(), [(id(0x10), None)]);
    assert!(desk.tasks().is_empty(), "the others have it by themselves, or ask");
    desk.pass(201 * MILLISECOND);
    let told = desk.digests();
    assert_eq!(told.len(), 4);
    assert!(!whom(&told).contains(&id(0x10)));
    desk.pass(200 * MILLISECOND);
    assert!(desk.pulls().is_empty(), "the other need not be asked");
    desk.hear(id(0x40), body(1));
    assert_eq!(desk.delivered(), 1);
}

#[test]
fn a_message_is_served_eight_times_and_once_over_a_link() {
    let mut desk = desk();
    desk.hear(id(0x10), body(1));
    desk.task_verdicts();
    desk.hear(id(0x30), pull(1, 1));
    desk.hear(id(0x30), pull(2, 1));
    assert_eq!(desk.task_verdicts(), [(id(0x30), Some(Refusal::OverBudget))]);
    for (number, from) in MEMBERS[2..].iter().enumerate() {
        desk.hear(id(*from), pull(number as u64, 1));
    }
    let served = desk.tasks();
    assert_eq!(served.len(), 8);
    assert!(served.iter().all(|(_, task)| task.header.hop.reach == Some(Reach::ME) && !task.extend));
    assert_eq!(served[0].1.ticket, Ticket(1), "the pull's own");
    let refused = desk.task_verdicts();
    assert_eq!(refused.len(), 3);
    assert!(refused.iter().all(|(_, refusal)| *refusal == Some(Refusal::OverBudget)));
}

#[test]
fn what_is_not_here_is_refused_and_so_is_a_part_of_what_is_not_begun() {
    let mut desk = desk();
    desk.hear(id(0x10), pull(1, 1));
    assert_eq!(desk.task_verdicts(), [(id(0x10), Some(Refusal::NotHeld))]);
    desk.hear(id(0x10), body(1));
    desk.task_verdicts();
    for offset in [5, u64::MAX] {
        desk.hear(id(0x30), Frame::Pull(Pull { ticket: Ticket(2), id: name(1), offset }));
        assert_eq!(desk.task_verdicts(), [(id(0x30), Some(Refusal::Unexpected))]);
    }
    let part = |number| {
        let mut part = task(number);
        part.offset = 1;
        Frame::Task(part, hello().slice(1..))
    };
    desk.hear(id(0x30), part(2));
    assert_eq!(desk.task_verdicts(), [(id(0x30), Some(Refusal::Unexpected))]);
    desk.hear(id(0x30), part(1));
    assert_eq!(desk.task_verdicts(), [(id(0x30), Some(Refusal::Seen))]);
    assert_eq!(desk.delivered(), 1);
    desk.hear(id(0x30), Frame::Pull(Pull { ticket: Ticket(2), id: name(1), offset: 1 }));
    assert_eq!(desk.tasks().iter().map(|(_, task)| task.offset).collect::<Vec<_>>(), [1], "the control");
}

#[test]
fn who_is_only_avoided_may_have_it() {
    let mut desk = desk();
    let mut avoided = task(1);
    avoided.avoided = vec![id(ME), id(0x30)];
    desk.hear(id(0x10), Frame::Task(avoided, hello()));
    assert_eq!(desk.delivered(), 1);
    desk.hear(id(0x30), pull(1, 1));
    assert_eq!(desk.tasks().len(), 1);
}

#[test]
fn a_liar_takes_up_places_of_its_own_only() {
    let mut desk = desk();
    let liar = id(0x10);
    for round in 0..20u8 {
        let ids = (0..128u8).map(|number| ShortId([round, number, 1, 2, 3, 4])).collect();
        desk.hear(liar, Frame::Digest(Digest { ids }));
    }
    assert_eq!(desk.pulls().len(), 16, "no more at once");
    // It names what others have too, and says nothing when asked.
    desk.hear(liar, digest([1]));
    desk.hear(id(0x40), digest([1, 2]));
    let honest = desk.pulls();
    assert_eq!(
        honest.iter().map(|(to, pull)| (*to, pull.id)).collect::<BTreeSet<_>>(),
        [name(1), name(2)].map(|id| (self::id(0x40), id)).into()
    );
    let mut asked = 16;
    for _ in 0..100 {
        desk.pass(100 * MILLISECOND);
        asked += desk.pulls().iter().filter(|(to, _)| *to == liar).count();
    }
    assert!(asked <= 512, "one question each for as many as it may name: {asked}");
}

#[test]
fn a_liar_that_is_asked_first_holds_a_message_up_for_300_ms() {
    let mut desk = desk();
    desk.hear(id(0x10), digest([1]));
    assert_eq!(desk.pulls().len(), 1);
    desk.hear(id(0x40), digest([1]));
    for _ in 0..3 {
        // Always busy with something else.
        desk.pass(101 * MILLISECOND);
        desk.hear(id(0x10), digest([9]));
    }
    assert!(whom(&desk.pulls()).contains(&id(0x40)));
}

#[test]
fn a_member_whose_link_comes_up_is_told_what_it_missed() {
    let mut desk = Desk::linked_to(Config::default(), &[0x10]);
    desk.hear(id(0x10), body(1));
    desk.pass(1100 * MILLISECOND);
    assert!(desk.digests().is_empty());
    desk.link_member(0x80);
    assert!(desk.digests().is_empty(), "what is on its way to it has a second to arrive");
    desk.pass(1001 * MILLISECOND);
    assert_eq!(desk.digests(), [(id(0x80), vec![name(1)])]);
    desk.pass(100 * MILLISECOND);
    desk.unlink(id(0x80));
    desk.link_member(0x80);
    desk.pass(1001 * MILLISECOND);
    assert_eq!(desk.digests(), [(id(0x80), vec![name(1)])], "it may have forgotten everything");
}

#[test]
fn a_client_is_offered_a_broadcast_and_offers_its_own_only() {
    let mut desk = desk();
    let client = desk.link_client(5);
    desk.hear(id(0x10), body(1));
    // Unless we own its id and have handed it the body.
    let handed = desk.tasks().iter().any(|(to, _)| *to == client);
    desk.pass(1001 * MILLISECOND);
    assert_eq!(whom(&desk.digests()).contains(&client), !handed);
    let own = Origin::of_key(Identity::from_seed(&[5; 32]).public(), None);
    let mut root = task(7);
    amend(&mut root.header, |said| said.origin = own);
    root.header.hop.reach = Some(Reach::ALL);
    let mine = ShortId::of(root.header.fixed.message());
    desk.hear(client, Frame::Digest(Digest { ids: vec![mine] }));
    assert_eq!(desk.pulls().len(), 1);
    desk.hear(client, Frame::Task(root, hello()));
    assert!(desk.tasks().len() >= 8, "we are its root now");
    desk.hear(client, body(9));
    assert_eq!(desk.task_verdicts().last(), Some(&(client, Some(Refusal::Unexpected))));
}

#[test]
fn an_origin_offers_its_own_broadcast() {
    let mut desk = desk();
    desk.command(|operation| Command::Broadcast { operation, payload: hello(), excluded: vec![] });
    let handed = whom(&desk.tasks());
    for to in &handed {
        desk.unlink(*to);
    }
    desk.tasks();
    desk.pass(1001 * MILLISECOND);
    assert!(!desk.digests().is_empty());
}
