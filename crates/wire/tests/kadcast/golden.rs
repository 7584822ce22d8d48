//! Vectors of the published crate. `vectors.json` holds datagrams captured from the `kadcast` crate 0.8.0 (with `raptorq` 2.0.1) over
//! loopback UDP, its peer being 127.0.0.1:9000 in network 7 with version 1.258.772; the identities below were read off running peers
//! and derived again with another implementation of BLAKE2s.

use bytes::Bytes;
use cicada_wire::{Refusal, kadcast::*};
use serde_json::Value;
use std::net::SocketAddr;

fn vectors() -> Value {
    serde_json::from_str(include_str!("vectors.json")).expect("the vectors are JSON")
}

pub(crate) fn unhex(text: &str) -> Bytes {
    let byte = |at| u8::from_str_radix(&text[at..at + 2], 16).expect("hexadecimal");
    (0..text.len()).step_by(2).map(byte).collect()
}

fn datagrams(list: &Value) -> Vec<Bytes> {
    list.as_array().expect("a list").iter().map(|text| unhex(text.as_str().expect("text"))).collect()
}

fn at(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

fn id(text: &str) -> Id {
    Id(unhex(text)[..].try_into().expect("16 bytes"))
}

fn crates_header() -> Header {
    let nonce = Nonce(965_263_u32.to_le_bytes());
    Header { id: Id::of(at("127.0.0.1:9000")), nonce, port: 9000, network: 7, mark: Mark::None }
}

const VERSION: Version = Version { major: 1, minor: 258, patch: 772 };

#[test]
fn ids_and_nonces_are_those_of_the_crate() {
    let known = [
        ("127.0.0.1:9000", "453692203cad4f930f681cd59b97638a", 965_263, 24),
        ("127.0.0.1:9001", "fac5a6bd723e55d4fc68642838db70ab", 224_609, 20),
        ("192.168.0.1:666", "f1874fbb6aa5fbe7c28433bc46e7aacf", 821_816, 20),
        ("203.0.113.7:9000", "964382f4c21cd0b6253b24c6184708f8", 2_023_228, 21),
        ("[2001:db8::1]:9000", "0e1fc5873b2eef3de6f6940ab6be06d9", 217_075, 20),
        ("[::1]:9000", "a00fae9a8b8f711fa1c0a13330ad1887", 209_746, 20),
    ];
    for (address, expected, nonce, bits) in known {
        let (found, nonce) = (Id::of(at(address)), Nonce(u32::to_le_bytes(nonce)));
        assert_eq!((found, nonce.bits(found)), (id(expected), bits), "{address}");
    }
    let me = Id::of(at("127.0.0.1:9001"));
    assert_eq!(Nonce::mine(me, MINED_BITS), Some(Nonce(224_609_u32.to_le_bytes())), "the first that does");
    assert!(Nonce(*b"\x61\x6d\x03\x01").bits(me) < REQUIRED_BITS, "control: another proves next to nothing");
    assert_eq!(Id::of(at("127.0.0.1:9100")), id("1fde6839608d520a2c4a8bb2dafdd180"));
    let short = Id::of(at("127.0.0.1:9101"));
    assert_eq!(short, id("79ef0d50718e35980165d15b472c1b2e"));
    assert_eq!(Nonce::mine(short, REQUIRED_BITS), Some(Nonce(*b"\x22\x03\x00\x00")));
}

#[test]
fn an_ipv4_address_in_ipv6_clothes_has_the_id_of_the_ipv4_address() {
    assert_eq!(Id::of(at("[::ffff:127.0.0.1]:9000")), Id::of(at("127.0.0.1:9000")));
    let header = crates_header();
    assert_eq!(header.check(at("[::ffff:127.0.0.1]:40000")), Ok(()));
    assert_eq!(header.address(at("[::ffff:127.0.0.1]:40000")), at("127.0.0.1:9000"));
    assert_eq!(header.check(at("127.0.0.2:40000")), Err(Refusal::OtherId), "control");
}

#[test]
fn buckets_are_those_of_the_crates_table() {
    let vectors = vectors();
    let seen = vectors["buckets_seen_from_127.0.0.1:9000"].as_array().expect("a list");
    assert_eq!(seen.len(), 21);
    let me = Id::of(at("127.0.0.1:9000"));
    for peer in seen {
        let other = Id::of(at(peer["peer"].as_str().expect("text")));
        assert_eq!(other, id(peer["id"].as_str().expect("text")));
        assert_eq!(me.bucket(other).map(u64::from), peer["bucket"].as_u64());
        assert_eq!(cicada_cell(me, other), peer["bucket"].as_u64(), "the tree's cells are Kadcast's buckets");
    }
    assert_eq!(me.bucket(me), None);
}

fn cicada_cell(a: Id, b: Id) -> Option<u64> {
    a.hash().0.xor(b.hash().0).checked_ilog2().map(u64::from)
}

/// Reads it, writes it, and compares.
fn read(datagram: &Bytes) -> Message {
    let message = Message::parse(datagram).expect("a message of the crate");
    assert_eq!(message.encode().expect("it can be said"), datagram);
    message
}

#[test]
fn questions_and_answers_are_those_of_the_crate() {
    let vectors = vectors();
    let header = crates_header();
    let [find] = &datagrams(&vectors["find_nodes_at_start"])[..] else { panic!("one") };
    assert_eq!(read(find), Message { header, body: Body::FindNodes { version: VERSION, target: header.id } });
    let [pong] = &datagrams(&vectors["pong"])[..] else { panic!("one") };
    assert_eq!(read(pong), Message { header, body: Body::Pong { version: VERSION } });
    let ping = unhex("00453692203cad4f930f681cd59b97638a8fba0e0028230700000102010403");
    assert_eq!(read(&ping), Message { header, body: Body::Ping { version: VERSION } });
    let [nodes] = &datagrams(&vectors["nodes_reply"]["datagrams"])[..] else { panic!("one") };
    let Body::Nodes { entries, .. } = read(nodes).body else { panic!("NODES") };
    assert_eq!(entries.len(), 20);
    assert!(entries.iter().all(Entry::is_genuine));
}

#[test]
fn lists_of_peers_hold_both_families() {
    let one = "03453692203cad4f930f681cd59b97638a8fba0e002823070000010201040301007f0000018c231fde6839608d520a2c4a8bb2dafdd180";
    let six = "03a1ebd1aa87f5ab941f935ee9fa73396d36d5140054240700000000000100010000000000000000000000000000000000018f230c93576835b5\
        815f7bfe4f99cbba67d4";
    let both = "031fde6839608d520a2c4a8bb2dafdd18001c001008c23070000010000000002007f0000018e234609d37d9bd8b8e0063ca42c88fb8ca900000\
        000000000000000000000000000018f230c93576835b5815f7bfe4f99cbba67d4";
    let listed = [(one, &["127.0.0.1:9100"][..]), (six, &["[::1]:9103"]), (both, &["127.0.0.1:9102", "[::1]:9103"])];
    for (datagram, addresses) in listed {
        let Body::Nodes { entries, .. } = read(&unhex(datagram)).body else { panic!("NODES") };
        let expected: Vec<Entry> = addresses.iter().map(|address| Entry::of(at(address))).collect();
        assert_eq!(entries, expected);
    }
}

fn chunks(list: &Value) -> Vec<(Header, Chunk)> {
    let chunk = |datagram: &Bytes| match read(datagram) {
        Message { header, body: Body::Broadcast(chunk) } => (header, chunk),
        other => panic!("{other:?}"),
    };
    datagrams(list).iter().map(chunk).collect()
}

#[test]
fn chunks_are_those_of_the_crate() {
    let vectors = vectors();
    let long: Vec<u8> = (0..3000_u32).map(|at| (at % 251) as u8).collect();
    let sent: [(&str, &[u8], usize, u8); 3] =
        [("broadcast_hello", b"hello", 6, 123), ("send_hello2_height0", b"hello2", 6, 0), ("send_3000_bytes_i_mod_251", &long, 8, 0)];
    for (name, payload, count, height) in sent {
        let chunks = chunks(&vectors[name]);
        assert_eq!(chunks.len(), count, "{name}");
        for (number, (header, chunk)) in chunks.iter().enumerate() {
            assert_eq!(*header, crates_header());
            assert_eq!((chunk.height, chunk.ray), (height, RayId::of(payload)));
            assert_eq!(chunk.symbol.id, SymbolId { block: 0, number: u32::try_from(number).unwrap() });
            let layout = chunk.coding.layout().expect("the crate's coding is possible");
            assert_eq!((layout.length(), layout.symbol_bytes()), (payload.len(), 1296));
            assert_eq!(layout.check(&chunk.symbol), Ok(()));
            if let Some(source) = payload.chunks(1296).nth(number) {
                assert_eq!(chunk.symbol.data[..source.len()], *source);
            }
        }
    }
}

#[test]
fn codings_are_those_of_the_crate() {
    let known = [
        ("000000051000051001000108", 1296, 1, 1),
        ("000000051100051001000108", 1297, 1, 2),
        ("000000271000051001000108", 10_000, 1, 8),
        ("00000186a000051001000108", 100_000, 1, 78),
        ("00000f424000051001000108", 1_000_000, 1, 772),
        ("00009fffff00051001000208", 10_485_759, 2, 8091),
    ];
    for (bytes, length, sub_blocks, symbols) in known {
        let coding = Coding { length, symbol_bytes: 1296, blocks: 1, sub_blocks, alignment: 8 };
        assert_eq!(coding.to_bytes()[..], unhex(bytes));
        assert_eq!(Coding::from_bytes(coding.to_bytes()), coding);
        let layout = coding.layout().expect("possible");
        assert_eq!((layout.symbols(), layout.block_symbols(0), layout.block_symbols(1)), (symbols, symbols, 0));
    }
}

#[test]
fn versions_are_cut_as_the_crate_cuts_them_and_required_as_cargo_does() {
    assert_eq!("1.258.772-rc.1+x".parse(), Ok(VERSION));
    assert_eq!(VERSION.to_string(), "1.258.772");
    let accepts = |requirement: &str, version: &str| {
        let requirement: Requirement = requirement.parse().expect("a requirement");
        requirement.accepts(version.parse().expect("a version"))
    };
    assert!(accepts("*", "0.0.1") && accepts(">=1.2.2", "1.3.0") && accepts("^0.3", "0.3.9"));
    assert!(!accepts(">=1.2.2", "1.2.1") && !accepts("^0.3", "0.4.0"));
    assert!(Requirement::any().accepts_all() && !">=1".parse::<Requirement>().unwrap().accepts_all());
    assert!("1.2".parse::<Version>().unwrap_err().to_string().contains("1.2"));
    assert!("yes".parse::<Requirement>().is_err());
}
