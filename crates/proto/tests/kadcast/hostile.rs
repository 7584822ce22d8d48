//! Peers that mean harm: what they send is refused and counted, and honest messages arrive meanwhile.

use crate::desk::*;
use bytes::Bytes;
use cicada_proto::{
    fec::Encoded,
    kadcast::{Input, Settings},
};
use cicada_wire::{Refusal, kadcast::*};
use proptest::prelude::*;
use std::time::Duration;

fn forged(from: &Other, encoded: &Encoded, number: usize) -> Bytes {
    let mut encoded = encoded.clone();
    encoded.symbols[number].data = vec![0x5a; encoded.symbols[number].data.len()].into();
    from.chunk(&encoded, number, 0)
}

fn honest_message_arrives(desk: &mut Desk, length: usize) {
    let honest = Other::new(at("10.0.0.9:9000"));
    let whole = payload(length);
    let encoded = encoded(&whole, 5);
    for number in 0..encoded.symbols.len() {
        desk.datagram(honest.address, honest.chunk(&encoded, number, 0));
    }
    desk.pass(ms(50));
    assert_eq!(desk.told().last(), Some(&whole));
}

/// Row 1.
#[test]
fn symbols_and_codings_that_cannot_be_do_not_end_reception() {
    let bad = Other::new(at("10.0.0.66:9000"));
    let mut desk = Desk::new(Settings::default(), &[]);
    let coding = Coding { length: 5000, symbol_bytes: 1296, blocks: 1, sub_blocks: 1, alignment: 8 };
    let says = |coding, length: usize, block| {
        let symbol = Symbol { id: SymbolId { block, number: 0 }, data: vec![1; length].into() };
        bad.says(Body::Broadcast(Chunk { height: 0, ray: RayId([7; 32]), coding, symbol }))
    };
    desk.datagram(bad.address, says(coding, 1295, 0));
    desk.datagram(bad.address, says(coding, 1, 0));
    desk.datagram(bad.address, says(coding, 1296, 1));
    assert_eq!(desk.refused(Refusal::BadSymbol), 3);
    let impossible = [
        Coding { sub_blocks: 0, ..coding },
        Coding { blocks: 0, ..coding },
        Coding { symbol_bytes: 0, ..coding },
        Coding { alignment: 0, ..coding },
        Coding { alignment: 3, ..coding },
        Coding { length: 0, ..coding },
        Coding { length: 10 << 20, ..coding },
        Coding { sub_blocks: u16::MAX, ..coding },
    ];
    for coding in impossible {
        desk.datagram(bad.address, says(coding, 1296, 0));
    }
    assert_eq!(desk.refused(Refusal::BadCoding), 8);
    assert_eq!(desk.machine.figures().arriving, 0);
    honest_message_arrives(&mut desk, 5000);
}

/// Row 2.
#[test]
fn claims_of_size_take_no_memory_and_floods_of_objects_have_a_bound() {
    let bad = Other::new(at("10.0.0.66:9000"));
    let mut settings = Settings::default();
    settings.limits.held_bytes = 8 << 20;
    settings.limits.held_bytes_per_sender = 5 << 20;
    let bound = settings.limits.held_bytes;
    let mut desk = Desk::new(settings, &[]);
    let coding = Coding { length: MAX_OBJECT_BYTES as u64, symbol_bytes: 8192, blocks: 1, sub_blocks: 1, alignment: 8 };
    let says = |ray: u32, number| {
        let mut name = [0; 32];
        name[..4].copy_from_slice(&ray.to_le_bytes());
        let symbol = Symbol { id: SymbolId { block: 0, number }, data: vec![1; 8192].into() };
        bad.says(Body::Broadcast(Chunk { height: 0, ray: RayId(name), coding, symbol }))
    };
    desk.datagram(bad.address, says(0, 0));
    assert!(desk.machine.figures().held_bytes < 20_000, "one datagram, and not what it claims");
    let claims = Coding { length: 8 * 56_403, symbol_bytes: 8, ..coding };
    let symbol = Symbol { id: SymbolId { block: 0, number: 0xff_ffff }, data: vec![1; 8].into() };
    desk.datagram(bad.address, bad.says(Body::Broadcast(Chunk { height: 0, ray: RayId([9; 32]), coding: claims, symbol })));
    assert!(desk.machine.figures().held_bytes < 20_000);
    let mut most = 0;
    for ray in 0..2000 {
        desk.datagram(bad.address, says(ray, ray));
        desk.datagram(bad.address, says(ray, ray + 1));
        most = most.max(desk.machine.figures().held_bytes);
    }
    assert!(most <= bound && most > 1 << 20, "{most} bytes");
    assert!(desk.machine.figures().arriving <= 256);
    honest_message_arrives(&mut desk, 100_000);
    desk.pass(seconds(61));
    assert_eq!(desk.machine.figures().held_bytes, 0, "and in the end all of it goes");
}

/// Row 3.
#[test]
fn forged_symbols_delay_a_message_by_a_few_tries_and_no_more() {
    let (bad, honest) = (Other::new(at("10.0.0.66:9000")), Other::new(at("10.0.0.2:9000")));
    let whole = payload(100_000);
    let encoded = encoded(&whole, 11);
    let mut desk = Desk::new(Settings::default(), &[]);
    desk.datagram(bad.address, forged(&bad, &encoded, 3));
    for number in 0..encoded.symbols.len() {
        desk.datagram(honest.address, honest.chunk(&encoded, number, 0));
    }
    desk.pass(ms(100));
    assert_eq!(desk.told(), [whole]);
    assert!(desk.machine.figures().decodings <= 4, "{} tries", desk.machine.figures().decodings);
    assert_eq!(desk.refused(Refusal::Forged), 1, "and it is known whose they were");
}

#[test]
fn many_forgers_cost_no_more_tries_than_the_settings_allow() {
    let honest = Other::new(at("10.0.0.2:9000"));
    let encoded = encoded(&payload(20_000), 5);
    let mut desk = Desk::new(Settings::default(), &[]);
    for round in 0..20 {
        for host in 10..60 {
            let bad = Other::new(([10, 0, 0, host], 9000).into());
            let number = (usize::from(host) + round) % encoded.symbols.len();
            desk.datagram(bad.address, forged(&bad, &encoded, number));
        }
        desk.pass(ms(50));
    }
    for number in 0..encoded.symbols.len() {
        desk.datagram(honest.address, honest.chunk(&encoded, number, 0));
    }
    desk.pass(seconds(1));
    assert!(desk.machine.figures().decodings <= 24, "{} tries", desk.machine.figures().decodings);
    honest_message_arrives(&mut desk, 30_000);
}

#[test]
fn a_coding_that_a_forger_names_first_does_not_keep_the_honest_one_out() {
    let (bad, honest) = (Other::new(at("10.0.0.66:9000")), Other::new(at("10.0.0.2:9000")));
    let whole = payload(5000);
    let encoded = encoded(&whole, 0);
    let mut desk = Desk::new(Settings::default(), &[]);
    let coding = Coding { length: 50_000, ..encoded.coding };
    let symbol = encoded.symbols[0].clone();
    desk.datagram(bad.address, bad.says(Body::Broadcast(Chunk { height: 0, ray: encoded.ray, coding, symbol })));
    for number in 0..encoded.symbols.len() {
        desk.datagram(honest.address, honest.chunk(&encoded, number, 0));
    }
    assert_eq!(desk.told(), [whole]);
}

/// Row 3. Whoever shares the IP address of honest peers can speak in their names, but not from their ports.
#[test]
fn forged_symbols_in_the_names_of_known_peers_take_nothing_from_what_they_bring() {
    let (elsewhere, honest) = (at("10.0.0.2:40000"), Other::new(at("10.0.0.2:9000")));
    for length in [2000, 100_000] {
        let whole = payload(length);
        let encoded = encoded(&whole, 11);
        let mut desk = Desk::new(Settings::default(), &[]);
        desk.befriend(&[&honest]);
        // All symbols, each with more contents than are kept of it, before an honest one comes.
        for _ in 0..8 {
            for number in 0..encoded.symbols.len() {
                let byte = desk.now.0 as u8;
                let mut wrong = encoded.clone();
                wrong.symbols[number].data = vec![byte; wrong.symbols[number].data.len()].into();
                desk.datagram(elsewhere, honest.chunk(&wrong, number, 0));
                desk.pass(Duration::from_micros(7));
            }
        }
        desk.pass(ms(100));
        assert_eq!(desk.told(), Vec::<Bytes>::new());
        assert!(desk.machine.figures().forged > 0, "the control: they were tried");
        for number in 2..encoded.symbols.len() {
            desk.datagram(honest.address, honest.chunk(&encoded, number, 0));
        }
        desk.pass(ms(100));
        assert_eq!(desk.told(), [whole]);
        assert!(desk.machine.figures().decodings <= 48, "{} tries", desk.machine.figures().decodings);
    }
}

#[test]
fn codings_that_forgers_complete_first_do_not_keep_one_out_of_which_symbols_are_missing() {
    let (bad, honest) = (Other::new(at("10.0.0.66:9000")), Other::new(at("10.0.0.2:9000")));
    let whole = payload(5000);
    let encoded = encoded(&whole, 5);
    let mut desk = Desk::new(Settings::default(), &[]);
    desk.befriend(&[&honest]);
    // As many as there may be, each with all of its source symbols: more than the honest one will ever have.
    for length in [8, 16, 24, 32, 40] {
        let coding = Coding { length, symbol_bytes: length as u16, ..encoded.coding };
        let symbol = Symbol { id: SymbolId { block: 0, number: 0 }, data: vec![1; length as usize].into() };
        desk.datagram(bad.address, bad.says(Body::Broadcast(Chunk { height: 0, ray: encoded.ray, coding, symbol })));
    }
    assert_eq!(desk.refused(Refusal::BadCoding), 2, "the control: the others were taken in");
    for number in 1..encoded.symbols.len() {
        desk.datagram(honest.address, honest.chunk(&encoded, number, 0));
    }
    desk.pass(ms(100));
    assert_eq!(desk.told(), [whole]);
}

#[test]
fn strangers_who_begin_an_object_and_many_others_do_not_push_out_what_a_known_peer_brings_of_it() {
    let (bad, honest) = (Other::new(at("10.0.0.66:9000")), Other::new(at("10.0.0.2:9000")));
    let whole = payload(20_000);
    let encoded = encoded(&whole, 0);
    let mut desk = Desk::new(Settings::default(), &[]);
    desk.befriend(&[&honest]);
    desk.datagram(bad.address, forged(&bad, &encoded, 3));
    let (first, rest) = (0..8, 8..encoded.symbols.len());
    for number in first {
        desk.datagram(honest.address, honest.chunk(&encoded, number, 0));
    }
    for ray in 0..2000_u32 {
        let mut name = [7; 32];
        name[..4].copy_from_slice(&ray.to_le_bytes());
        let symbol = encoded.symbols[0].clone();
        desk.datagram(bad.address, bad.says(Body::Broadcast(Chunk { height: 0, ray: RayId(name), coding: encoded.coding, symbol })));
    }
    assert!(desk.machine.figures().abandoned > 1000, "the control: objects had to go");
    for number in rest {
        desk.datagram(honest.address, honest.chunk(&encoded, number, 0));
    }
    desk.pass(ms(100));
    assert_eq!(desk.told(), [whole]);
}

#[test]
fn who_sends_more_than_its_share_of_bytes_is_not_read() {
    let bad = Other::new(at("203.0.113.66:9000"));
    let mut settings = Settings::default();
    settings.limits.bytes_per_sender = cicada_proto::config::Rate::new(100_000, 100_000);
    let mut desk = Desk::new(settings, &[]);
    let encoded = encoded(&payload(1000), 0);
    for _ in 0..1000 {
        desk.datagram(bad.address, bad.chunk(&encoded, 0, 0));
    }
    assert!(desk.refused(Refusal::OverBudget) > 800);
    honest_message_arrives(&mut desk, 5000);
}

proptest! {
    #[test]
    fn no_datagrams_make_the_machine_panic_or_hold_more_than_it_may(
        datagrams in proptest::collection::vec(chunks(), 1..60),
        steps in proptest::collection::vec(0u64..100, 1..10),
    ) {
        let other = Other::new(at("10.0.0.66:9000")).marked();
        let mut desk = Desk::new(Settings::default(), &[]);
        desk.befriend(&[&other]);
        for (number, body) in datagrams.into_iter().enumerate() {
            desk.hear(&other, body);
            desk.pass(ms(steps[number % steps.len()]));
        }
        desk.pass(seconds(61));
        prop_assert_eq!(desk.machine.figures().held_bytes, 0);
    }

    #[test]
    fn no_bytes_make_the_machine_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300), stride in 0usize..400) {
        let mut desk = Desk::new(Settings::default(), &[]);
        desk.give(Input::Datagrams { from: at("10.0.0.66:9000"), bytes: bytes.into(), stride });
    }
}

/// Chunks of few objects in few codings, most of them possible, none of them honest.
fn chunks() -> impl Strategy<Value = Body> {
    let codings = (1u64..4000, 1u16..6, 0u8..4, 0u16..4).prop_map(|(length, units, blocks, sub_blocks)| Coding {
        length,
        symbol_bytes: units * 8,
        blocks,
        sub_blocks,
        alignment: 8,
    });
    let chunk = (0u8..2, codings, 0u8..4, 0u32..40, any::<u8>(), any::<bool>(), any::<u8>()).prop_map(
        |(ray, coding, block, number, byte, high, height)| {
            let number = if high { (1 << 24) - 1 - number } else { number };
            let symbol = Symbol { id: SymbolId { block, number }, data: vec![byte; coding.symbol_bytes.into()].into() };
            Body::Broadcast(Chunk { height, ray: RayId([ray; 32]), coding, symbol })
        },
    );
    let small = Coding { length: 40, symbol_bytes: 8, blocks: 1, sub_blocks: 1, alignment: 8 };
    let pull = (0u8..2, any::<(u8, u16, u32)>()).prop_map(move |(ray, (block, wanted, first))| {
        Body::Pull(Pull { ray: RayId([ray; 32]), coding: small, block, wanted, first, held: Bytes::new() })
    });
    let same = (0u32..1000, any::<u8>()).prop_map(move |(number, byte)| {
        let symbol = Symbol { id: SymbolId { block: 0, number }, data: vec![byte; 8].into() };
        Body::Broadcast(Chunk { height: 127, ray: RayId([0; 32]), coding: small, symbol })
    });
    prop_oneof![chunk, same, pull]
}
