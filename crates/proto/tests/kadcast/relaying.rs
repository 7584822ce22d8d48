//! What is handed on, to whom, and when.

use crate::desk::*;
use bytes::Bytes;
use cicada_proto::{
    fec::Task,
    kadcast::{Input, Run, Settings},
};
use cicada_wire::{Refusal, kadcast::*};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
};

/// A few peers in each of the highest buckets; the last is the one that sends.
fn neighbourhood(marked: bool) -> Vec<Other> {
    let places = (124..128).flat_map(|bucket| (0..5).map(move |number| (bucket, number)));
    let others = places.map(|(bucket, number)| Other::in_bucket(bucket, number));
    others.map(|other| if marked { other.marked() } else { other }).collect()
}

fn among(others: &[Other], settings: Settings) -> Desk {
    let mut desk = Desk::new(settings, &[]);
    desk.befriend(&others.iter().collect::<Vec<_>>());
    desk.datagrams.clear();
    desk.events.clear();
    desk
}

fn by_height(runs: &[Run]) -> BTreeMap<u8, BTreeMap<SocketAddr, BTreeSet<u32>>> {
    let mut heights: BTreeMap<u8, BTreeMap<SocketAddr, BTreeSet<u32>>> = BTreeMap::new();
    for run in runs {
        let numbers = heights.entry(run.height).or_default().entry(run.to).or_default();
        numbers.extend(run.symbols.iter().map(|symbol| symbol.id.number));
    }
    heights
}

#[test]
fn a_broadcast_goes_to_delegates_of_every_bucket_with_the_bucket_for_its_height() {
    let others = neighbourhood(false);
    let mut desk = among(&others, Settings::default());
    desk.give(Input::Broadcast { operation: 0, payload: payload(10_000), height: None });
    let heights = by_height(&desk.runs);
    assert_eq!(heights.keys().copied().collect::<Vec<_>>(), [124, 125, 126, 127]);
    let me = Id::of(at(ME));
    for (height, targets) in &heights {
        assert_eq!(targets.len(), 3, "three delegates");
        assert!(targets.keys().all(|to| me.bucket(Id::of(*to)) == Some(*height)));
        let all = encoded(&payload(10_000), 0).symbols.len();
        assert!(targets.values().all(|numbers| numbers.len() > all), "each of the crate's peers gets everything, with redundancy");
    }
    let mut desk = among(&others, Settings { delegates: 1, ..Settings::default() });
    desk.give(Input::Broadcast { operation: 0, payload: payload(10_000), height: Some(125) });
    let heights = by_height(&desk.runs);
    assert_eq!(heights.keys().copied().collect::<Vec<_>>(), [124, 125], "up to the height given");
    assert!(heights.values().all(|targets| targets.len() == 1));
}

#[test]
fn among_our_peers_each_symbol_goes_to_one_delegate_of_a_bucket() {
    let others = neighbourhood(true);
    let mut desk = among(&others, Settings::default());
    desk.give(Input::Broadcast { operation: 0, payload: payload(100_000), height: None });
    for targets in by_height(&desk.runs).values() {
        assert_eq!(targets.len(), 3);
        let sent: usize = targets.values().map(BTreeSet::len).sum();
        let different: BTreeSet<u32> = targets.values().flatten().copied().collect();
        assert_eq!(sent, different.len(), "none twice");
        assert_eq!(different.len(), 78 + 27, "and all of them");
    }
    // The control: without our additions everybody gets everything.
    let mut desk = among(&others, Settings { extensions: false, ..Settings::default() });
    desk.give(Input::Broadcast { operation: 0, payload: payload(100_000), height: None });
    assert!(by_height(&desk.runs).values().flat_map(BTreeMap::values).all(|numbers| numbers.len() == 105));
}

/// Rows 15 and 19.
#[test]
fn symbols_are_handed_on_as_they_come_and_nothing_is_encoded_again() {
    let others = neighbourhood(false);
    let sender = &others[17];
    let mut desk = among(&others, Settings::default());
    desk.busy = true;
    let encoded = encoded(&payload(100_000), 11);
    desk.datagram(sender.address, sender.chunk(&encoded, 0, 127));
    let heights = by_height(&desk.runs);
    assert_eq!(heights.keys().copied().collect::<Vec<_>>(), [124, 125, 126], "the buckets below the sender's, on the first symbol");
    let run = &desk.runs[0];
    assert_eq!((run.header.id, run.ray, run.coding), (Id::of(at(ME)), encoded.ray, encoded.coding), "under our own header");
    for number in 1..encoded.symbols.len() {
        desk.datagram(sender.address, sender.chunk(&encoded, number, 127));
    }
    desk.pass(seconds(1));
    assert!(desk.jobs.iter().all(|(_, task)| matches!(task, Task::Decode { .. })));
    let heights = by_height(&desk.runs);
    assert!(heights.values().flat_map(BTreeMap::values).all(|numbers| numbers.len() == 89), "all of them, once each");
    let sent: usize = desk.runs.iter().map(|run| run.symbols.len()).sum();
    assert_eq!(sent, 89 * 9);
}

#[test]
fn what_was_lost_before_us_is_made_up_for_where_the_crates_peers_follow() {
    let others = neighbourhood(false);
    let sender = &others[17];
    let mut desk = among(&others, Settings::default());
    let encoded = encoded(&payload(100_000), 11);
    for number in (0..encoded.symbols.len()).filter(|number| number % 10 != 0) {
        desk.datagram(sender.address, sender.chunk(&encoded, number, 127));
    }
    desk.pass(seconds(1));
    assert_eq!(desk.told().len(), 1);
    for numbers in by_height(&desk.runs).values().flat_map(BTreeMap::values) {
        assert!(numbers.len() >= 78 + 11, "{} symbols", numbers.len());
        assert!((0..78).all(|number| numbers.contains(&number)), "every source symbol");
    }
}

/// Row 6.
#[test]
fn nobody_hands_us_more_than_its_own_bucket() {
    let others = neighbourhood(false);
    let sender = &others[7];
    let mut desk = among(&others, Settings::default());
    let bucket = Id::of(at(ME)).bucket(sender.header.id).expect("another");
    assert_eq!(bucket, 125);
    let encoded = encoded(&payload(300), 0);
    desk.datagram(sender.address, sender.chunk(&encoded, 0, 255));
    assert_eq!(desk.refused(Refusal::NotAdmissible), 1);
    assert_eq!(by_height(&desk.runs).keys().copied().collect::<Vec<_>>(), [124], "of 124 to 127 only what lies below the sender");
    assert_eq!(desk.told().len(), 1, "it is told all the same");
}

#[test]
fn height_0_and_settings_without_relaying_hand_nothing_on() {
    let others = neighbourhood(false);
    let sender = &others[17];
    let encoded = encoded(&payload(300), 0);
    let mut desk = among(&others, Settings::default());
    desk.datagram(sender.address, sender.chunk(&encoded, 0, 0));
    desk.pass(seconds(1));
    assert!(desk.runs.is_empty() && desk.told().len() == 1);
    let mut desk = among(&others, Settings { relay: false, ..Settings::default() });
    desk.datagram(sender.address, sender.chunk(&encoded, 0, 127));
    desk.pass(seconds(1));
    assert!(desk.runs.is_empty() && desk.told().len() == 1);
    let mut desk = among(&others, Settings::default());
    desk.datagram(sender.address, sender.chunk(&encoded, 0, 127));
    assert!(!desk.runs.is_empty(), "the control");
}

#[test]
fn a_strangers_symbols_are_handed_on_when_the_message_is_whole_and_not_before() {
    let others = neighbourhood(false);
    let stranger = Other::in_bucket(127, 50);
    let mut desk = among(&others, Settings::default());
    let encoded = encoded(&payload(5000), 5);
    desk.datagram(stranger.address, stranger.chunk(&encoded, 0, 127));
    assert!(desk.runs.is_empty());
    for number in 1..4 {
        desk.datagram(stranger.address, stranger.chunk(&encoded, number, 127));
    }
    assert_eq!(desk.told().len(), 1);
    let heights = by_height(&desk.runs);
    assert_eq!(heights.keys().copied().collect::<Vec<_>>(), [124, 125, 126]);
    assert!(heights.values().flat_map(BTreeMap::values).all(|numbers| numbers.len() >= 4));
}

fn pulls(desk: &Desk) -> Vec<(SocketAddr, Pull)> {
    let pull = |(to, message): &(SocketAddr, Message)| match &message.body {
        Body::Pull(pull) => Some((*to, pull.clone())),
        _ => None,
    };
    desk.datagrams.iter().filter_map(pull).collect()
}

#[test]
fn what_is_missing_is_asked_for_and_who_is_asked_sends_just_that() {
    let others = neighbourhood(true);
    let sender = &others[17];
    let mut desk = among(&others, Settings::default());
    let whole = payload(20_000);
    let encoded = encoded(&whole, 5);
    assert_eq!(encoded.coding.layout().unwrap().symbols(), 16);
    for number in 0..12 {
        desk.datagram(sender.address, sender.chunk(&encoded, number, 0));
    }
    assert!(pulls(&desk).is_empty(), "not before it stalls");
    desk.pass(ms(100));
    let asked = pulls(&desk);
    assert_eq!(asked.len(), 2);
    assert!(asked.iter().any(|(to, _)| *to == sender.address), "one that brought symbols");
    let wanted: usize = asked.iter().map(|(_, pull)| usize::from(pull.wanted)).sum();
    assert_eq!(wanted, 6, "four, and two to spare");
    assert!((0..12).all(|number| asked[0].1.has(number)) && !asked[0].1.has(12));
    // The other side of it: one that is whole.
    let mut whole_one = among(&others, Settings::default());
    for number in 0..16 {
        whole_one.datagram(sender.address, sender.chunk(&encoded, number, 0));
    }
    assert_eq!(whole_one.told(), [whole]);
    whole_one.runs.clear();
    let asker = &others[3];
    whole_one.hear(asker, Body::Pull(asked[0].1.clone()));
    let sent: Vec<u32> = whole_one.runs.iter().flat_map(|run| run.symbols.iter().map(|symbol| symbol.id.number)).collect();
    assert_eq!(sent.len(), usize::from(asked[0].1.wanted));
    assert!(sent.iter().all(|number| *number >= 12), "{sent:?}");
    assert!(whole_one.runs.iter().all(|run| run.to == asker.address && run.height == 0));
    let stranger = Other::in_bucket(127, 50).marked();
    whole_one.runs.clear();
    whole_one.hear(&stranger, Body::Pull(asked[0].1.clone()));
    assert!(whole_one.runs.is_empty(), "an unproven address gets nothing");
    assert_eq!(whole_one.refused(Refusal::Unexpected), 1);
}

#[test]
fn the_crates_peers_are_never_asked_for_symbols() {
    let others = neighbourhood(false);
    let sender = &others[17];
    let mut desk = among(&others, Settings::default());
    let encoded = encoded(&payload(20_000), 5);
    desk.datagram(sender.address, sender.chunk(&encoded, 0, 0));
    desk.pass(seconds(10));
    assert!(pulls(&desk).is_empty());
}

#[test]
fn several_datagrams_in_one_buffer_are_several() {
    let others = neighbourhood(false);
    let sender = &others[17];
    let mut desk = among(&others, Settings::default());
    let encoded = encoded(&payload(5000), 5);
    let buffer: Vec<u8> = (0..4).flat_map(|number| sender.chunk(&encoded, number, 127)).collect();
    let stride = buffer.len() / 4;
    desk.give(Input::Datagrams { from: sender.address, bytes: Bytes::from(buffer), stride });
    assert_eq!(desk.told().len(), 1);
    assert!(desk.runs.iter().all(|run| run.symbols.len() == 4), "and are handed on together");
}
