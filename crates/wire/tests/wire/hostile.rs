//! Bytes that are not ours: parsing refuses them and never panics, however they were made.

use crate::strategies::*;
use bytes::Bytes;
use cicada_wire::*;
use proptest::{collection::vec, prelude::*, sample::Index};

/// Hands `bytes` to every parser and uses what comes out; counts how many took them.
fn parse_all(bytes: &[u8]) -> usize {
    let shared = Bytes::copy_from_slice(bytes);
    let taken = [
        Frame::parse(&shared).is_ok_and(|frame| frame.to_bytes().len() == frame.len_bytes()),
        Datagram::parse(bytes).is_ok_and(|datagram| datagram.to_bytes().len() == datagram.len_bytes()),
        Hello::parse(bytes).is_ok_and(|hello| !hello.to_bytes().is_empty()),
        HelloReply::parse(bytes).is_ok_and(|reply| !reply.to_bytes().is_empty()),
        SignedRecord::parse(bytes).is_ok_and(|record| !record.to_bytes().is_empty()),
        Status::parse(bytes).is_ok_and(|status| !status.to_bytes().is_empty()),
    ];
    taken.into_iter().filter(|taken| *taken).count()
}

/// One thing that goes wrong with bytes on their way, or is made to.
#[derive(Clone, Debug)]
enum Damage {
    Set(Index, u8),
    FlipBit(Index, u8),
    Remove(Index),
    Insert(Index, u8),
    Cut(Index),
    Append(Vec<u8>),
    Repeat(Index, Index),
}

fn damages() -> impl Strategy<Value = Vec<Damage>> {
    let at = any::<Index>;
    let one = prop_oneof![
        (at(), any::<u8>()).prop_map(|(at, byte)| Damage::Set(at, byte)),
        (at(), 0..8u8).prop_map(|(at, bit)| Damage::FlipBit(at, bit)),
        at().prop_map(Damage::Remove),
        (at(), any::<u8>()).prop_map(|(at, byte)| Damage::Insert(at, byte)),
        at().prop_map(Damage::Cut),
        vec(any::<u8>(), 1..20).prop_map(Damage::Append),
        (at(), at()).prop_map(|(from, to)| Damage::Repeat(from, to)),
    ];
    vec(one, 1..5)
}

fn damaged(mut bytes: Vec<u8>, damages: &[Damage]) -> Vec<u8> {
    for damage in damages {
        let len = bytes.len();
        match damage {
            Damage::Append(more) => bytes.extend(more),
            _ if len == 0 => {}
            Damage::Set(at, byte) => bytes[at.index(len)] = *byte,
            Damage::FlipBit(at, bit) => bytes[at.index(len)] ^= 1 << bit,
            Damage::Remove(at) => drop(bytes.remove(at.index(len))),
            Damage::Insert(at, byte) => bytes.insert(at.index(len), *byte),
            Damage::Cut(at) => bytes.truncate(at.index(len)),
            Damage::Repeat(from, to) => {
                let (from, to) = (from.index(len), to.index(len));
                bytes.extend_from_within(from.min(to)..from.max(to));
            }
        }
    }
    bytes
}

/// A valid message of any sort.
fn messages() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => frames().prop_map(|frame| frame.to_bytes().to_vec()),
        2 => datagrams().prop_map(|datagram| datagram.to_bytes()),
        1 => hellos().prop_map(|hello| hello.to_bytes()),
        1 => hello_replies().prop_map(|reply| reply.to_bytes()),
        1 => signed_records().prop_map(|record| record.to_bytes()),
        1 => statuses().prop_map(|status| status.to_bytes()),
    ]
}

proptest! {
    #[test]
    fn random_bytes_never_make_a_parser_panic(bytes in vec(any::<u8>(), 0..600)) {
        parse_all(&bytes);
    }

    #[test]
    fn damaged_messages_never_make_a_parser_panic(bytes in messages(), damages in damages()) {
        // The control: undamaged, some parser takes it.
        prop_assert!(parse_all(&bytes) > 0);
        parse_all(&damaged(bytes, &damages));
    }

    #[test]
    fn what_a_damaged_frame_is_read_as_can_be_written_and_read_again(frame in frames(), damages in damages()) {
        let bytes = Bytes::from(damaged(frame.to_bytes().to_vec(), &damages));
        if let Ok(other) = Frame::parse(&bytes) {
            prop_assert_eq!(Frame::parse(&other.to_bytes()), Ok(other));
        }
    }

    #[test]
    fn a_message_cut_short_is_refused(datagram in datagrams(), hello in hellos(), record in signed_records(), at in any::<Index>()) {
        let cut = |bytes: Vec<u8>| bytes[..at.index(bytes.len())].to_vec();
        prop_assert!(Datagram::parse(&cut(datagram.to_bytes())).is_err());
        prop_assert!(Hello::parse(&cut(hello.to_bytes())).is_err());
        prop_assert!(SignedRecord::parse(&cut(record.to_bytes())).is_err());
    }

    #[test]
    fn a_message_with_something_behind_it_is_refused(datagram in datagrams(), hello in hellos(), more in vec(any::<u8>(), 1..9)) {
        let longer = |bytes: Vec<u8>| [bytes, more.clone()].concat();
        prop_assert!(Datagram::parse(&longer(datagram.to_bytes())).is_err());
        prop_assert!(Hello::parse(&longer(hello.to_bytes())).is_err());
    }

    #[test]
    fn a_payload_of_another_length_than_its_header_says_is_refused(frame in frames(), more in vec(any::<u8>(), 1..9)) {
        let longer = Bytes::from([frame.to_bytes().to_vec(), more].concat());
        let takes_anything = matches!(frame, Frame::Opaque(_));
        prop_assert_eq!(Frame::parse(&longer).is_ok(), takes_anything);
    }
}

/// The refusal of a message that breaks a bound by one, and the acceptance of one that just keeps it.
#[track_caller]
fn bound(kept: &Frame, broken: &Frame) {
    assert_eq!(Frame::parse(&kept.to_bytes()).as_ref(), Ok(kept));
    let refusal = Frame::parse(&broken.to_bytes()).map_err(|error| error.refusal);
    assert_eq!(refusal, Err(Refusal::Malformed));
}

fn record() -> SignedRecord {
    let identity = Identity::from_seed(&[7; 32]);
    let record = Record {
        key: identity.public(),
        kind: IdKind::Address,
        role: Role::Member,
        addresses: vec!["127.0.0.1:7000".parse().unwrap()],
        capabilities: Capabilities::default(),
        sequence: 1,
        expires: UnixTime(1),
        data: None,
    };
    SignedRecord::sign(record, &identity).unwrap()
}

fn header(kind: Kind, hop: Mutable) -> Header {
    let fixed = Statement {
        version: Statement::VERSION,
        kind,
        origin: Origin::of_data(Hash::of("me"), None),
        target: (kind != Kind::Broadcast).then(|| Hash::of("you")),
        number: 1,
        length: 0,
        made_at: UnixTime(0),
        boot: 0,
        authentication: Authentication::None,
        digest: PayloadDigest::of(&[]),
        about: (kind == Kind::Receipt).then_some(MessageId([1; 16])),
    };
    Header { fixed: fixed.into(), hop }
}

#[test]
fn lists_are_bounded_where_their_limit_says() {
    let find = |count| Frame::Query(Ticket(1), Query::Find(Find { target: Hash::of("x"), count, known: RecordNames::default() }));
    bound(&find(MAX_RECORDS as u8), &find(MAX_RECORDS as u8 + 1));
    let names = |count| RecordNames(vec![record().name(); count]);
    let knowing = |count| Query::Find(Find { target: Hash::of("x"), count: 1, known: names(count) });
    bound(&Frame::Query(Ticket(1), knowing(MAX_KNOWN)), &Frame::Query(Ticket(1), knowing(MAX_KNOWN + 1)));
    let introduce = |count| Frame::Introduce(Introduction { records: vec![record(); count] });
    bound(&introduce(MAX_RECORDS), &introduce(MAX_RECORDS + 1));
    let closer = |count| Frame::Reply(Ticket(1), Reply::Found(Found { closer: vec![record(); count], ..Found::default() }));
    bound(&closer(MAX_RECORDS), &closer(MAX_RECORDS + 1));
    let responsible = |count| Frame::Reply(Ticket(1), Reply::Found(Found { responsible: vec![record(); count], ..Found::default() }));
    bound(&responsible(MAX_RECORDS), &responsible(MAX_RECORDS + 1));
    // Records and names together.
    let found = |found| Frame::Reply(Ticket(1), Reply::Found(found));
    let named = |count| found(Found { closer: vec![record()], known_closer: names(count), ..Found::default() });
    bound(&named(MAX_RECORDS - 1), &named(MAX_RECORDS));
    let named = |count| found(Found { responsible: vec![record()], known_responsible: names(count), ..Found::default() });
    bound(&named(MAX_RECORDS - 1), &named(MAX_RECORDS));
    let successors = |count| Neighbours { successors: IdPrefixes::of(vec![Hash::of("x"); count]), ..Neighbours::default() };
    let changed = |count| Frame::Changed(successors(count));
    bound(&changed(MAX_NEIGHBOURS), &changed(MAX_NEIGHBOURS + 1));
    let goodbye = |count| Frame::Goodbye(Goodbye { neighbours: successors(count), ..Goodbye::default() });
    bound(&goodbye(MAX_NEIGHBOURS), &goodbye(MAX_NEIGHBOURS + 1));
    let lost = |count| Frame::Goodbye(Goodbye { lost: vec![record(); count], ..Goodbye::default() });
    bound(&lost(MAX_LOST), &lost(MAX_LOST + 1));
    let reply = |count| Frame::Reply(Ticket(1), Reply::Neighbours(successors(count)));
    bound(&reply(MAX_NEIGHBOURS), &reply(MAX_NEIGHBOURS + 1));
    let records = |count| Frame::Changed(Neighbours { records: vec![record(); count], ..Neighbours::default() });
    bound(&records(MAX_NEIGHBOURS + 1), &records(MAX_NEIGHBOURS + 2));
    let status = |count| Status { copy: 0, refusal: None, path: vec![Hash::of("x"); count], boot: None, credential: None };
    assert!(Status::parse(&status(usize::from(MAX_HOPS)).to_bytes()).is_ok());
    assert!(Status::parse(&status(usize::from(MAX_HOPS) + 1).to_bytes()).is_err());
}

/// `bytes` with the one place where `old` stands holding `new`.
#[track_caller]
fn replaced(bytes: &[u8], old: &[u8], new: &[u8]) -> Vec<u8> {
    let places: Vec<usize> = (0..=bytes.len() - old.len()).filter(|at| bytes[*at..].starts_with(old)).collect();
    assert_eq!(places.len(), 1);
    let at = places[0];
    [&bytes[..at], new, &bytes[at + old.len()..]].concat()
}

#[test]
fn a_mapped_address_is_refused_where_its_ipv4_form_belongs() {
    let identity = Identity::from_seed(&[7; 32]);
    let v6: std::net::Ipv6Addr = "2001:db8::1".parse().unwrap();
    let addresses = vec![Address::new((v6, 7000).into()).unwrap()];
    let bytes = SignedRecord::sign(Record { addresses, ..record().record().clone() }, &identity).unwrap().to_bytes();
    let with = |ip: &str| replaced(&bytes, &v6.octets(), &ip.parse::<std::net::Ipv6Addr>().unwrap().octets());
    assert!(SignedRecord::parse(&with("2001:db8::2")).is_ok());
    for unusable in ["::ffff:127.0.0.1", "::", "ff02::1"] {
        assert!(SignedRecord::parse(&with(unusable)).is_err(), "{unusable}");
    }
}

#[test]
fn padding_that_hides_something_is_refused() {
    let bytes = Datagram::Challenge(Challenge([1; 16]), Padding(8), None).to_bytes();
    assert!(Datagram::parse(&bytes).is_ok());
    assert!(Datagram::parse(&replaced(&bytes, &[0; 8], &[0, 0, 0, 0, 0, 0, 0, 1])).is_err());
}

#[test]
fn headers_are_bounded_where_their_limit_says() {
    let data = |hop| Frame::Data(header(Kind::Unicast, hop), Bytes::new());
    let route = |count| data(Mutable { route: vec![Hash::of("x"); count], ..Mutable::default() });
    bound(&route(MAX_SOURCE_ROUTE), &route(MAX_SOURCE_ROUTE + 1));
    let path = |count| data(Mutable { path: vec![Hash::of("x"); count], ..Mutable::default() });
    bound(&path(usize::from(MAX_HOPS)), &path(usize::from(MAX_HOPS) + 1));
    let hops = |hop_limit| data(Mutable { hop_limit, ..Mutable::default() });
    bound(&hops(MAX_HOPS), &hops(MAX_HOPS + 1));
    let task = |count| {
        let header = header(Kind::Broadcast, Mutable { reach: Some(Reach::ALL), ..Mutable::default() });
        Frame::Task(
            Task { ticket: Ticket(1), header, excluded: vec![Hash::of("x"); count], extend: false, avoided: Vec::new(), offset: 0 },
            Bytes::new(),
        )
    };
    bound(&task(MAX_EXCLUDED), &task(MAX_EXCLUDED + 1));
}

#[test]
fn headers_that_contradict_their_frame_are_refused() {
    let share = |header, payload: &'static [u8], extend| {
        Frame::Task(
            Task { ticket: Ticket(1), header, excluded: Vec::new(), extend, avoided: Vec::new(), offset: 0 },
            Bytes::from_static(payload),
        )
    };
    let reach = Mutable { reach: Some(Reach::ALL), ..Mutable::default() };
    let good = share(header(Kind::Broadcast, reach.clone()), b"", true);
    bound(&good, &share(header(Kind::Broadcast, Mutable::default()), b"", true));
    bound(&good, &share(header(Kind::Unicast, reach.clone()), b"", true));
    bound(&good, &share(header(Kind::Broadcast, reach.clone()), b"x", true));
    let extend = good;
    let good = Frame::Data(header(Kind::Unicast, Mutable::default()), Bytes::new());
    bound(&good, &Frame::Data(header(Kind::Broadcast, Mutable::default()), Bytes::new()));
    let visited = Mutable { path: vec![Hash::of("x")], ..reach.clone() };
    bound(&extend, &share(header(Kind::Broadcast, visited), b"", true));
    let mut later = header(Kind::Unicast, Mutable::default());
    later.fixed = Statement { version: Statement::VERSION + 1, ..later.fixed.into() }.into();
    bound(&good, &Frame::Data(later, Bytes::new()));
}

#[test]
fn a_part_of_a_broadcast_ends_where_its_header_says() {
    let part = |offset, payload: &'static [u8], extend: bool| {
        let mut header = header(Kind::Broadcast, Mutable { reach: Some(Reach::ALL), ..Mutable::default() });
        let whole = offset == 0 && !extend;
        let digest = PayloadDigest::of(if whole { payload } else { b"hello" });
        header.fixed = Statement { length: 5, digest, ..header.fixed.into() }.into();
        let task = Task { ticket: Ticket(1), header, excluded: Vec::new(), extend, avoided: Vec::new(), offset };
        Frame::Task(task, Bytes::from_static(payload))
    };
    bound(&part(0, b"hello", false), &part(1, b"hello", false));
    bound(&part(1, b"ello", false), &part(1, b"ell", false));
    bound(&part(5, b"", false), &part(6, b"", false));
    bound(&part(4, b"o", false), &part(u64::MAX, b"o", false));
    bound(&part(0, b"", true), &part(1, b"", true));
}

#[test]
fn a_message_without_its_digest_is_read_with_its_payload_only() {
    let said = |payload: &'static [u8]| {
        let mut header = header(Kind::Unicast, Mutable::default());
        let (length, digest) = (payload.len() as u64, PayloadDigest::of(payload));
        header.fixed = Statement { length, digest, ..header.fixed.into() }.into();
        Frame::Data(header, Bytes::from_static(payload))
    };
    let (frame, bytes) = (said(b"hello"), said(b"hello").to_bytes());
    assert_eq!(bytes.len() + 33, frame.head_bytes().len() + 5);
    assert_eq!(Frame::parse(&bytes), Ok(frame));
    for wrong in [&b"hello!"[..], b"hell", b""] {
        let bytes = Bytes::from([&bytes[..bytes.len() - 5], wrong].concat());
        assert!(Frame::parse(&bytes).is_err(), "not as long as it says");
    }
    let Ok(Frame::Data(other, _)) = Frame::parse(&Bytes::from([&bytes[..bytes.len() - 5], b"hellO"].concat())) else { panic!("read") };
    let Frame::Data(header, _) = said(b"hello") else { unreachable!("said above") };
    assert_ne!(other.fixed.message(), header.fixed.message(), "another payload is another message");
    assert!(Frame::parse_head(&bytes, bytes.len()).is_err(), "pieces are not waited for to know whose they are");
    // A longer payload's digest is written.
    let long = said(&[7; 4097]);
    assert_eq!(long.to_bytes().len(), long.head_bytes().len() + 4097);
}

#[test]
fn messages_over_their_size_are_refused_unread() {
    let refusal = |error: ParseError| error.refusal;
    assert_eq!(Datagram::parse(&[0; Datagram::MAX_BYTES + 1]).map_err(refusal), Err(Refusal::TooLarge));
    assert_eq!(Datagram::parse(&[0; Datagram::MAX_BYTES]).map_err(refusal), Err(Refusal::Malformed));
    assert_eq!(Hello::parse(&[0; Hello::MAX_BYTES + 1]).map_err(refusal), Err(Refusal::TooLarge));
    assert_eq!(HelloReply::parse(&[0; Hello::MAX_BYTES + 9]).map_err(refusal), Err(Refusal::TooLarge));
}

#[test]
fn deep_nesting_and_huge_claims_are_refused_in_the_memory_of_the_message() {
    const ARRAY_OF_ONE: u8 = 0x81;
    const ENDLESS_ARRAY: u8 = 0x9f;
    for byte in [ARRAY_OF_ONE, ENDLESS_ARRAY] {
        assert_eq!(parse_all(&vec![byte; 1 << 20]), 0);
        // An opaque frame, and a field that this version does not know: nested a million times.
        let unknown_field = [vec![0x82, 11, 0x82, 0x80], vec![byte; 1 << 20]].concat();
        parse_all(&unknown_field);
    }
    // Lists and byte strings that claim 2^63 items and have none.
    for claim in [0x9b, 0x5b, 0xbb, 0x7b] {
        let claims = [&[0x82, 2, 0x81, 0x83, 0xf6, claim], &[0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff][..]].concat();
        assert_eq!(parse_all(&claims), 0);
    }
}

proptest! {
    #[test]
    fn records_that_contradict_themselves_are_neither_signed_nor_read((record, identity) in records(), extra in addresses()) {
        let wrong = [
            Record { addresses: vec![extra; MAX_ADDRESSES + 1], ..record.clone() },
            Record { kind: IdKind::Address, role: Role::Member, data: None, addresses: Vec::new(), ..record.clone() },
            Record { kind: IdKind::Address, role: Role::Client, data: None, ..record.clone() },
            Record { kind: IdKind::Data, data: None, ..record.clone() },
            Record { kind: IdKind::Key, data: Some(Hash::of("x")), ..record },
        ];
        for record in wrong {
            prop_assert!(SignedRecord::sign(record, &identity).is_err());
        }
    }
}
