//! What is written can be read.

use bytes::Bytes;
use cicada_wire::{Hash, kadcast::*};
use proptest::{collection::vec, prelude::*};
use std::net::SocketAddr;

fn ids() -> impl Strategy<Value = Id> {
    any::<[u8; 16]>().prop_map(Id)
}

fn versions() -> impl Strategy<Value = Version> {
    any::<(u8, u16, u16)>().prop_map(|(major, minor, patch)| Version { major, minor, patch })
}

fn addresses() -> impl Strategy<Value = SocketAddr> {
    prop_oneof![
        (1u8.., any::<[u8; 3]>(), any::<u16>()).prop_map(|(a, [b, c, d], port)| ([a, b, c, d], port).into()),
        any::<([u8; 16], u16)>().prop_map(SocketAddr::from),
    ]
}

fn entries() -> impl Strategy<Value = Entry> {
    (addresses(), ids()).prop_map(|(address, id)| Entry { address, id })
}

fn payloads() -> impl Strategy<Value = Bytes> {
    vec(any::<u8>(), 1..2000).prop_map(Bytes::from)
}

fn codings() -> impl Strategy<Value = Coding> {
    (0u64..1 << 40, any::<(u16, u8, u16, u8)>()).prop_map(|(length, (symbol_bytes, blocks, sub_blocks, alignment))| Coding {
        length,
        symbol_bytes,
        blocks,
        sub_blocks,
        alignment,
    })
}

fn chunks() -> impl Strategy<Value = Chunk> {
    (any::<(u8, [u8; 32], u8)>(), codings(), 0u32..1 << 24, payloads()).prop_map(|((height, ray, block), coding, number, data)| {
        let symbol = Symbol { id: SymbolId { block, number }, data };
        Chunk { height, ray: RayId(ray), coding, symbol }
    })
}

fn pulls() -> impl Strategy<Value = Pull> {
    (any::<([u8; 32], u8, u16, u32)>(), codings(), vec(any::<u8>(), 0..=MAX_PULL_BYTES))
        .prop_map(|((ray, block, wanted, first), coding, held)| Pull { ray: RayId(ray), coding, block, wanted, first, held: held.into() })
}

fn bodies() -> impl Strategy<Value = Body> {
    prop_oneof![
        versions().prop_map(|version| Body::Ping { version }),
        versions().prop_map(|version| Body::Pong { version }),
        (versions(), ids()).prop_map(|(version, target)| Body::FindNodes { version, target }),
        (versions(), vec(entries(), 0..40)).prop_map(|(version, entries)| Body::Nodes { version, entries }),
        chunks().prop_map(Body::Broadcast),
        pulls().prop_map(Body::Pull),
    ]
}

fn headers() -> impl Strategy<Value = Header> {
    let mark = prop_oneof![Just(Mark::None), Just(Mark::Cicada)];
    (ids(), 1u16.., any::<u8>(), mark).prop_map(|(id, port, network, mark)| {
        let nonce = Nonce::mine(id, REQUIRED_BITS).expect("one of 256");
        Header { id, nonce, port, network, mark }
    })
}

proptest! {
    #[test]
    fn what_is_written_can_be_read(header in headers(), body in bodies()) {
        let message = Message { header, body };
        let datagram = message.encode().expect("it can be said");
        prop_assert_eq!(Message::parse(&datagram), Ok(message));
    }

    #[test]
    fn an_id_is_the_lower_half_of_a_point_on_the_circle(id in ids(), other in ids(), point in any::<[u8; 32]>()) {
        prop_assert_eq!(Id::at(id.hash()), Some(id));
        prop_assert_eq!(id.bucket(other).map(u32::from), id.hash().0.xor(other.hash().0).checked_ilog2());
        let point = Hash::from_bytes(point);
        prop_assert_eq!(Id::at(point).is_some(), point.to_bytes()[..16] == [0; 16]);
    }

    #[test]
    fn a_pull_says_which_symbols_are_there(first in 0u32..100, held in vec(any::<bool>(), 0..100), number in 0u32..300) {
        let mut bytes = vec![0u8; held.len().div_ceil(8)];
        for (at, _) in held.iter().enumerate().filter(|(_, held)| **held) {
            bytes[at / 8] |= 1 << (at % 8);
        }
        let coding = Coding { length: 1, symbol_bytes: 8, blocks: 1, sub_blocks: 1, alignment: 8 };
        let pull = Pull { ray: RayId([0; 32]), coding, block: 0, wanted: 1, first, held: bytes.into() };
        let expected = number.checked_sub(first).and_then(|at| held.get(at as usize)).copied().unwrap_or_default();
        prop_assert_eq!(pull.has(number), expected);
    }
}
