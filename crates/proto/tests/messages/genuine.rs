//! What somebody on the way has changed goes no further, and does not stand in the way of what is true.

use crate::desk::{Desk, ME, amend, for_all, hello, id, unicast};
use bytes::Bytes;
use cicada_proto::{Config, Event};
use cicada_wire::*;

const FAR: u8 = 0x90;

fn relay() -> Desk {
    Desk::linked_to(Config::default(), &[0x10, 0x40, 0x60, 0x80])
}

fn refusals(desk: &Desk, reason: Refusal) -> usize {
    desk.events.iter().filter(|event| matches!(event, Event::Refused { reason: refused, .. } if *refused == reason)).count()
}

fn task(header: Header, ticket: u64) -> Task {
    Task { ticket: Ticket(ticket), header, excluded: vec![], extend: false, avoided: vec![], offset: 0 }
}

#[test]
fn whoever_hands_over_a_payload_that_does_not_fit_its_header_loses_its_link() {
    for (altered, links, handed_on) in [(&b"hellO"[..], 3, 0), (&b"hello"[..], 4, 1)] {
        let mut desk = relay();
        desk.hear(id(0x10), Frame::Data(unicast(0x05, id(FAR), 1), Bytes::from_static(altered)));
        assert_eq!((desk.links(), desk.data().len(), refusals(&desk, Refusal::Altered)), (links, handed_on, 1 - handed_on));
    }
}

#[test]
fn a_share_of_a_broadcast_that_does_not_fit_its_header_is_not_handed_on() {
    for (altered, links, delivered) in [(&b"hellO"[..], 3, 0), (&b"hello"[..], 4, 1)] {
        let mut desk = relay();
        let mut header = unicast(0x05, id(0), 1);
        for_all(&mut header, Reach(id(FAR).0.wrapping_sub(id(ME).0)));
        desk.hear(id(0x10), Frame::Task(task(header, 1), Bytes::from_static(altered)));
        assert_eq!((desk.links(), desk.tasks().is_empty(), desk.delivered()), (links, delivered == 0, delivered));
    }
}

#[test]
fn a_message_that_was_forged_from_another_does_not_hold_it_up() {
    let mut desk = relay();
    let honest = unicast(0x05, id(FAR), 1);
    let mut forged = honest.clone();
    amend(&mut forged, |said| said.digest = PayloadDigest::of(b"HELLO"));
    desk.hear(id(0x10), Frame::Data(forged, Bytes::from_static(b"HELLO")));
    desk.hear(id(0x40), Frame::Data(honest, hello()));
    assert_eq!(desk.verdicts(), [(id(0x10), None), (id(0x40), None)]);
    assert_eq!(desk.data().len(), 2);
}
