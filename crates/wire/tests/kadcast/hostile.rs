//! What is no message, cannot be a coding, or cannot be said.

use crate::golden::unhex;
use bytes::Bytes;
use cicada_wire::{Refusal, kadcast::*};
use proptest::prelude::*;
use std::net::SocketAddr;

const PONG: &str = "01453692203cad4f930f681cd59b97638a8fba0e0028230700000102010403";

fn changed(at: usize, byte: u8) -> Result<Message, Refusal> {
    let mut bytes = unhex(PONG).to_vec();
    bytes[at] = byte;
    Message::parse(&bytes.into())
}

#[test]
fn what_follows_a_message_is_ignored_and_what_is_missing_is_not() {
    let pong = unhex(PONG);
    let whole = Message::parse(&pong).expect("the control");
    let longer: Bytes = pong.iter().copied().chain([1, 2, 3]).collect();
    assert_eq!(Message::parse(&longer), Ok(whole));
    for length in 0..pong.len() {
        assert_eq!(Message::parse(&pong.slice(..length)), Err(Refusal::Malformed), "{length}");
    }
}

#[test]
fn unknown_kinds_are_refused_and_unknown_marks_are_none() {
    assert_eq!(changed(0, 4), Err(Refusal::Malformed));
    assert_eq!(changed(0, 9), Err(Refusal::Malformed));
    assert_eq!(changed(24, 0xff).map(|message| message.header.mark), Ok(Mark::None));
}

#[test]
fn a_count_that_the_datagram_cannot_hold_is_refused_before_anything_is_allocated() {
    let mut bytes = unhex(PONG).to_vec();
    bytes[0] = 3;
    bytes.extend([0xff, 0xff]);
    assert_eq!(Message::parse(&bytes.into()), Err(Refusal::Malformed));
}

#[test]
fn eight_bits_of_work_suffice_and_seven_do_not() {
    let address: SocketAddr = "127.0.0.1:9101".parse().unwrap();
    let id = Id::of(address);
    let header = |nonce| Header { id, nonce, port: 9101, network: 0, mark: Mark::None };
    let enough = Nonce::mine(id, 8).unwrap();
    let less = (0..=u32::MAX).map(|number| Nonce(number.to_le_bytes())).find(|nonce| nonce.bits(id) == 7).unwrap();
    assert_eq!(header(enough).check(address), Ok(()));
    assert_eq!(header(less).check(address), Err(Refusal::TooLittleWork));
    let message = |nonce| Message { header: header(nonce), body: Body::Ping { version: Version::default() } };
    assert!(message(enough).encode().is_ok());
    assert_eq!(message(less).encode(), Err(Unsayable::Work));
}

fn ours() -> Header {
    let id = Id::of("127.0.0.1:9101".parse().unwrap());
    Header { id, nonce: Nonce::mine(id, 8).unwrap(), port: 9101, network: 0, mark: Mark::Cicada }
}

#[test]
fn what_the_dialect_has_no_bytes_for_is_not_said() {
    let nodes = |address: &str| {
        let entries = vec![Entry::of(address.parse().unwrap())];
        Message { header: ours(), body: Body::Nodes { version: Version::default(), entries } }.encode()
    };
    assert!(nodes("1.2.3.4:5").is_ok());
    assert_eq!(nodes("0.2.3.4:5"), Err(Unsayable::Address("0.2.3.4:5".parse().unwrap())));
    let chunk = |length: usize, number| {
        let symbol = Symbol { id: SymbolId { block: 0, number }, data: vec![0; length].into() };
        let coding = Coding { length: 8, symbol_bytes: 8, blocks: 1, sub_blocks: 1, alignment: 8 };
        let body = Body::Broadcast(Chunk { height: 0, ray: RayId([0; 32]), coding, symbol });
        Message { header: ours(), body }.encode()
    };
    assert!(chunk(8192, 0xff_ffff).is_ok());
    assert_eq!(chunk(0, 0), Err(Unsayable::Symbol), "a frame without a symbol is dropped by everybody");
    assert_eq!(chunk(8200, 0), Err(Unsayable::Symbol));
    assert_eq!(chunk(8, 1 << 24), Err(Unsayable::Symbol));
    let held = vec![0; MAX_PULL_BYTES + 1].into();
    let coding = Coding { length: 8, symbol_bytes: 8, blocks: 1, sub_blocks: 1, alignment: 8 };
    let pull = Pull { ray: RayId([0; 32]), coding, block: 0, wanted: 1, first: 0, held };
    assert_eq!(Message { header: ours(), body: Body::Pull(pull) }.encode(), Err(Unsayable::TooLong));
}

const POSSIBLE: Coding = Coding { length: 100_000, symbol_bytes: 1296, blocks: 1, sub_blocks: 1, alignment: 8 };

#[test]
fn impossible_codings_are_refused() {
    assert!(POSSIBLE.layout().is_ok(), "the control");
    let impossible = [
        Coding { length: 0, ..POSSIBLE },
        Coding { length: 10_485_760, ..POSSIBLE },
        Coding { length: (1 << 40) - 1, ..POSSIBLE },
        Coding { symbol_bytes: 0, ..POSSIBLE },
        Coding { symbol_bytes: 1297, ..POSSIBLE },
        Coding { symbol_bytes: 8200, ..POSSIBLE },
        Coding { blocks: 0, ..POSSIBLE },
        Coding { blocks: 79, ..POSSIBLE },
        Coding { sub_blocks: 0, ..POSSIBLE },
        Coding { sub_blocks: 163, ..POSSIBLE },
        Coding { alignment: 0, ..POSSIBLE },
        Coding { alignment: 1, ..POSSIBLE },
        Coding { alignment: 4, ..POSSIBLE },
        Coding { length: 8 * 56_404, symbol_bytes: 8, ..POSSIBLE },
    ];
    for coding in impossible {
        assert_eq!(coding.layout(), Err(Refusal::BadCoding), "{coding:?}");
    }
    let possible = [
        Coding { length: 10_485_759, ..POSSIBLE },
        Coding { length: 1, symbol_bytes: 8, ..POSSIBLE },
        Coding { symbol_bytes: 8192, ..POSSIBLE },
        Coding { blocks: 78, ..POSSIBLE },
        Coding { sub_blocks: 162, ..POSSIBLE },
        Coding { length: 8 * 56_403, symbol_bytes: 8, ..POSSIBLE },
    ];
    for coding in possible {
        assert!(coding.layout().is_ok(), "{coding:?}");
    }
}

#[test]
fn symbols_of_the_wrong_length_or_block_are_refused() {
    let layout = POSSIBLE.layout().unwrap();
    let symbol = |block, length: usize| Symbol { id: SymbolId { block, number: 0 }, data: vec![0; length].into() };
    assert_eq!(layout.check(&symbol(0, 1296)), Ok(()));
    assert_eq!(layout.check(&symbol(0, 1295)), Err(Refusal::BadSymbol));
    assert_eq!(layout.check(&symbol(0, 1297)), Err(Refusal::BadSymbol));
    assert_eq!(layout.check(&symbol(1, 1296)), Err(Refusal::BadSymbol));
}

proptest! {
    #[test]
    fn no_bytes_make_the_parser_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), kind in 0u8..101) {
        let mut bytes = bytes;
        if let Some(first) = bytes.first_mut() {
            *first = kind;
        }
        if let Ok(message) = Message::parse(&bytes.into())
            && let Body::Broadcast(chunk) = message.body
            && let Ok(layout) = chunk.coding.layout()
        {
            let _ = layout.check(&chunk.symbol);
        }
    }

    #[test]
    fn the_blocks_of_a_layout_make_up_the_object(length in 1u64..10_485_760, symbol_bytes in 1u16..1025, blocks in 1u8..) {
        let coding = Coding { length, symbol_bytes: symbol_bytes * 8, blocks, sub_blocks: 1, alignment: 8 };
        if let Ok(layout) = coding.layout() {
            let of_blocks: Vec<usize> = (0..blocks).map(|block| layout.block_symbols(block)).collect();
            prop_assert_eq!(of_blocks.iter().sum::<usize>(), layout.symbols());
            prop_assert!(of_blocks.iter().all(|count| (1..=56_403).contains(count)));
            for block in 1..blocks {
                let before = layout.block_start(block - 1) + layout.block_symbols(block - 1) * layout.symbol_bytes();
                prop_assert_eq!(layout.block_start(block), before);
            }
        }
    }
}
