//! What is told, and when.

use crate::desk::*;
use bytes::Bytes;
use cicada_proto::kadcast::{Event, Input, Redundancy, SendError, Settings};
use cicada_wire::{Refusal, kadcast::*};

fn hear_all(desk: &mut Desk, from: &Other, payload: &Bytes, height: u8) {
    let encoded = encoded(payload, 5);
    for number in 0..encoded.symbols.len() {
        desk.datagram(from.address, from.chunk(&encoded, number, height));
    }
}

#[test]
fn a_message_of_the_crate_is_told_once_with_its_sender_and_name() {
    let crates = Other::new(at("127.0.0.1:9000"));
    let vectors = include_str!("../../../wire/tests/kadcast/vectors.json");
    let start = vectors.find("send_3000_bytes").expect("the vector");
    let datagrams: Vec<Bytes> = vectors[start..].split('"').filter(|text| text.len() == 2750).map(unhex).take(8).collect();
    assert_eq!(datagrams.len(), 8);
    let mut desk = Desk::new(Settings { network: 7, ..Settings::default() }, &[]);
    // Three repair symbols and none of the source symbols.
    for datagram in &datagrams[3..7] {
        desk.datagram(at("127.0.0.1:33333"), datagram.clone());
    }
    desk.pass(ms(50));
    let expected: Bytes = (0..3000_u32).map(|at| (at % 251) as u8).collect();
    let ray = RayId::of(&expected);
    assert!(desk.events.contains(&Event::Message { payload: expected, from: crates.address, height: 0, ray }));
    for datagram in &datagrams {
        desk.datagram(at("127.0.0.1:33333"), datagram.clone());
    }
    assert_eq!(desk.told().len(), 1);
}

fn unhex(text: &str) -> Bytes {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).expect("hexadecimal")).collect()
}

/// Row 4.
#[test]
fn a_copy_from_an_address_that_is_not_its_own_does_not_suppress_the_honest_one() {
    let honest = Other::new(at("10.0.0.2:9000"));
    let payload = payload(200);
    let encoded = encoded(&payload, 0);
    let mut desk = Desk::new(Settings::default(), &[]);
    desk.datagram(at("10.0.0.66:9000"), honest.chunk(&encoded, 0, 0));
    assert_eq!((desk.refused(Refusal::OtherId), desk.told().len()), (1, 0));
    desk.datagram(honest.address, honest.chunk(&encoded, 0, 0));
    assert_eq!(desk.told(), [payload]);
}

/// Row 5.
#[test]
fn broadcasts_of_another_network_or_of_a_refused_version_are_not_told() {
    let mut stranger = Other::new(at("10.0.0.2:9000"));
    stranger.header.network = 3;
    let mut desk = Desk::new(Settings { accepts: "^1".parse().unwrap(), ..Settings::default() }, &[]);
    hear_all(&mut desk, &stranger, &payload(200), 0);
    assert_eq!((desk.refused(Refusal::OtherNetwork), desk.told().len()), (6 - 5, 0));
    stranger.header.network = 0;
    // Its version is not known yet: the message waits for it.
    hear_all(&mut desk, &stranger, &payload(200), 0);
    assert!(desk.told().is_empty());
    desk.hear(&stranger, Body::Pong { version: stranger.version });
    assert!(desk.told().is_empty());
    hear_all(&mut desk, &stranger, &payload(201), 0);
    assert!(desk.told().is_empty() && desk.refused(Refusal::OtherApplication) >= 2);
    let mut other = Other::new(at("10.0.0.3:9000"));
    other.version = Version { major: 1, minor: 0, patch: 0 };
    hear_all(&mut desk, &other, &payload(202), 0);
    assert!(desk.told().is_empty());
    desk.answer(&[&other]);
    assert_eq!(desk.told(), [payload(202)], "the control: it had only to say so");
}

/// Row 7.
#[test]
fn the_blocked_are_not_heard() {
    use cicada_proto::kadcast::Blocked;
    let other = Other::new(at("10.0.0.2:9000"));
    let mut desk = Desk::new(Settings::default(), &[]);
    desk.give(Input::Block(Blocked::Peer(other.address)));
    let chunk = other.chunk(&encoded(&payload(100), 0), 0, 0);
    desk.datagram(at("10.0.0.2:50000"), chunk.clone());
    assert!(desk.told().is_empty());
    desk.give(Input::Unblock(Blocked::Peer(other.address)));
    desk.datagram(at("10.0.0.2:50000"), chunk);
    assert_eq!(desk.told().len(), 1);
}

/// Row 14.
#[test]
fn a_replay_is_refused_as_long_as_the_settings_say_and_as_long_as_there_is_room() {
    let other = Other::new(at("10.0.0.2:9000"));
    let mut settings = Settings { remember: seconds(600), ..Settings::default() };
    settings.limits.remembered = 100;
    let mut desk = Desk::new(settings, &[]);
    for wait in [0, 61, 100, 300] {
        desk.pass(seconds(wait));
        hear_all(&mut desk, &other, &payload(5000), 0);
        assert_eq!(desk.told().len(), 1, "after {wait} s more");
    }
    assert!(desk.refused(Refusal::Seen) > 0);
    desk.pass(seconds(200));
    hear_all(&mut desk, &other, &payload(5000), 0);
    assert_eq!(desk.told().len(), 2, "after the time that the settings say");
    for length in 1..=100 {
        desk.pass(ms(1));
        hear_all(&mut desk, &other, &payload(length), 0);
    }
    desk.pass(seconds(11));
    hear_all(&mut desk, &other, &payload(5000), 0);
    assert_eq!(desk.told().len(), 103, "after as many others as are remembered");
}

/// Row 15.
#[test]
fn a_short_message_is_one_short_datagram() {
    let target = at("10.0.0.2:9000");
    for (length, bytes) in [(1, 87), (7, 87), (33, 119), (300, 383), (1296, 1375)] {
        let mut desk = Desk::new(Settings::default(), &[]);
        desk.give(Input::Send { operation: 1, payload: payload(length), to: vec![target] });
        let [run] = &desk.runs[..] else { panic!("{:?}", desk.runs) };
        assert_eq!((run.datagram_bytes(), run.height, run.to), (bytes, 0, target), "{length}");
        assert!(run.symbols.len() <= 2 && run.symbols.iter().all(|symbol| symbol.id.number == 0), "the same one twice");
        let mut written = Vec::new();
        run.write(0..1, &mut written);
        let Body::Broadcast(chunk) = Message::parse(&written.into()).unwrap().body else { panic!("a chunk") };
        assert_eq!(chunk.symbol.data[..length], payload(length));
    }
}

#[test]
fn what_cannot_be_sent_is_said_so() {
    let mut desk = Desk::new(Settings::default(), &[]);
    desk.give(Input::Broadcast { operation: 1, payload: Bytes::new(), height: None });
    desk.give(Input::Broadcast { operation: 2, payload: payload(10 << 20), height: None });
    desk.give(Input::Broadcast { operation: 3, payload: payload(10), height: None });
    let limit = MAX_OBJECT_BYTES;
    let expected = [
        Event::NotSent { operation: 1, error: SendError::Empty },
        Event::NotSent { operation: 2, error: SendError::TooLarge { length: 10 << 20, limit } },
        Event::Sent { operation: 3, ray: RayId::of(&payload(10)), targets: 0 },
    ];
    assert_eq!(desk.events, expected);
}

#[test]
fn our_chunks_are_those_of_the_crate_but_for_the_mark() {
    let vectors = include_str!("../../../wire/tests/kadcast/vectors.json");
    let start = vectors.find("send_3000_bytes").expect("the vector");
    let crates: Vec<Bytes> = vectors[start..].split('"').filter(|text| text.len() == 2750).map(unhex).take(8).collect();
    let settings =
        Settings { network: 7, extensions: false, redundancy: Redundancy::Share { share: 0.15, least: 5 }, ..Settings::default() };
    let mut desk = Desk::new(settings, &[]);
    desk.give(Input::Send { operation: 0, payload: (0..3000_u32).map(|at| (at % 251) as u8).collect(), to: vec![at("10.0.0.2:9")] });
    let mut written = Vec::new();
    desk.runs.iter().for_each(|run| run.write(0..run.symbols.len(), &mut written));
    let ours: Vec<&[u8]> = written.chunks(1375).collect();
    assert_eq!(ours.len(), 8);
    for (ours, crates) in ours.iter().zip(&crates) {
        assert_eq!(ours[23..], crates[23..], "all that follows id, nonce and port");
    }
}

/// Row 19.
#[test]
fn redundancy_follows_from_size_and_loss() {
    let by_loss = Redundancy::default();
    let of = |symbols| by_loss.repair_symbols(symbols);
    assert_eq!((of(2), of(80), of(810)), (5, 27, 158));
    let crates = Redundancy::Share { share: 0.15, least: 5 };
    assert_eq!((crates.repair_symbols(1), crates.repair_symbols(78)), (5, 11));
}
