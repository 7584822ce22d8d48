//! What is written can be read: parse(encode(m)) == m, and lengths are known beforehand.

use crate::strategies::*;
use bytes::Bytes;
use cicada_wire::*;
use proptest::prelude::*;

proptest! {
    #[test]
    fn every_frame_comes_back_as_it_was(frame in frames()) {
        let bytes = frame.to_bytes();
        prop_assert_eq!(frame.len_bytes(), bytes.len());
        prop_assert_eq!(Frame::parse(&bytes), Ok(frame));
    }

    #[test]
    fn the_head_of_a_frame_says_where_its_payload_begins(frame in frames()) {
        let head = frame.head_bytes();
        let bytes = Bytes::from([&head[..], frame.payload().map_or(&[], |payload| &payload[..])].concat());
        let carries = matches!(frame, Frame::Data(..) | Frame::Task(..) | Frame::Opaque(_));
        match Frame::parse_head(&bytes[..bytes.len().min(MAX_HEADER_BYTES)], bytes.len()) {
            Ok((read, begins)) => {
                prop_assert!(carries);
                prop_assert_eq!(&bytes[..begins], &head[..]);
                prop_assert_eq!(read.with_payload(bytes.slice(begins..)), frame);
            }
            Err(_) => prop_assert!(!carries),
        }
    }

    #[test]
    fn every_datagram_comes_back_as_it_was(datagram in datagrams()) {
        let bytes = datagram.to_bytes();
        prop_assert_eq!(datagram.len_bytes(), bytes.len());
        prop_assert_eq!(Datagram::parse(&bytes), Ok(datagram));
    }

    #[test]
    fn an_answer_is_the_same_to_whoever_has_what_it_only_names(
        closer in prop::collection::vec(signed_records(), 0..=4),
        responsible in prop::collection::vec(signed_records(), 0..=4),
        known in prop::collection::vec(any::<bool>(), 8),
    ) {
        let whole = Found { closer, responsible, ..Found::default() };
        let records: Vec<SignedRecord> = whole.closer.iter().chain(&whole.responsible).cloned().collect();
        let known: Vec<&SignedRecord> = records.iter().zip(&known).filter(|(_, known)| **known).map(|(record, _)| record).collect();
        let names = RecordNames(known.iter().map(|record| record.name()).collect());
        let short = whole.clone().abridged(&names);
        prop_assert!(!short.closer.iter().chain(&short.responsible).any(|record| known.contains(&record)), "what is known is only named");
        let again = short.restored(|name| known.iter().find(|record| record.name() == name).map(|record| (*record).clone()));
        let sorted = |mut records: Vec<SignedRecord>| {
            records.sort_by_key(SignedRecord::to_bytes);
            records
        };
        prop_assert_eq!(sorted(again.closer), sorted(whole.closer));
        prop_assert_eq!(sorted(again.responsible), sorted(whole.responsible));
    }

    #[test]
    fn every_hello_comes_back_as_it_was_and_fits_its_limit(hello in hellos()) {
        let bytes = hello.to_bytes();
        prop_assert!(bytes.len() <= Hello::MAX_BYTES, "{} bytes", bytes.len());
        prop_assert_eq!(Hello::parse(&bytes), Ok(hello));
    }

    #[test]
    fn every_answer_to_a_hello_comes_back_as_it_was(reply in hello_replies()) {
        prop_assert_eq!(HelloReply::parse(&reply.to_bytes()), Ok(reply));
    }

    #[test]
    fn every_receipt_comes_back_as_it_was(status in statuses()) {
        prop_assert_eq!(Status::parse(&status.to_bytes()), Ok(status));
    }

    #[test]
    fn every_record_comes_back_with_its_bytes_its_id_and_its_signature(record in signed_records()) {
        let parsed = SignedRecord::parse(&record.to_bytes()).unwrap();
        prop_assert_eq!(&parsed, &record);
        prop_assert_eq!(parsed.record(), record.record());
        prop_assert_eq!(parsed.peer_id(), record.peer_id());
        prop_assert_eq!(parsed.signed_bytes(), record.signed_bytes());
        prop_assert!(parsed.verify());
    }

    #[test]
    fn an_origin_is_the_same_as_its_records(record in signed_records()) {
        let origin = Origin::of_record(&record);
        prop_assert_eq!(origin.peer_id(), record.peer_id());
        prop_assert_eq!(origin.address(), record.announced());
    }
}

#[test]
fn every_reason_has_a_number_and_a_text_of_its_own() {
    let mut numbers = std::collections::BTreeSet::new();
    let mut texts = std::collections::BTreeSet::new();
    for refusal in Refusal::all() {
        assert_eq!(Refusal::from_number(refusal.number()), refusal);
        assert!(numbers.insert(refusal.number()) && texts.insert(refusal.to_string()), "{refusal}");
    }
    assert!(!numbers.contains(&0), "0 is what a reason without a number would get");
}

#[test]
fn a_reason_of_a_later_version_keeps_its_number() {
    let later = Refusal::from_number(60_000);
    assert_eq!((later, later.number()), (Refusal::Unknown(60_000), 60_000));
}

#[test]
fn the_largest_header_stays_under_its_limit() {
    let far = Hash(U256::MAX);
    let address = "[2001:db8:ffff:ffff:ffff:ffff:ffff:ffff]:65535".parse().unwrap();
    let origin = Origin::of_key(PublicKey([0xff; 32]), Some(address));
    let fixed = Statement {
        version: Statement::VERSION,
        kind: Kind::Broadcast,
        origin,
        target: None,
        number: u64::MAX,
        length: u64::MAX,
        made_at: UnixTime(u64::MAX),
        boot: u64::MAX,
        authentication: Authentication::None,
        digest: PayloadDigest([0xff; 32]),
        about: None,
    };
    let hop = Mutable {
        hop_limit: MAX_HOPS,
        flow: u32::MAX,
        copy: u8::MAX,
        last: true,
        reach: Some(Reach(U256::ZERO.wrapping_sub(U256::from_decimal("2").expect("a number")))),
        detours: u8::MAX,
        absent: u8::MAX,
        patient: true,
        ..Mutable::default()
    };
    let task = Task {
        ticket: Ticket(u64::MAX),
        header: Header { fixed: fixed.into(), hop },
        excluded: vec![far; MAX_EXCLUDED / 2],
        extend: false,
        avoided: vec![far; MAX_EXCLUDED / 2],
        offset: u64::MAX,
    };
    let mut data = task.header.clone();
    data.fixed =
        Statement { kind: Kind::Receipt, target: Some(far), about: Some(MessageId([0xff; 16])), length: 0, ..data.fixed.into() }.into();
    (data.hop.route, data.hop.path) = (vec![far; MAX_SOURCE_ROUTE], vec![far; usize::from(MAX_HOPS)]);
    for frame in [Frame::Task(task, Bytes::new()), Frame::Data(data, Bytes::new())] {
        assert!(frame.len_bytes() <= MAX_HEADER_BYTES, "{} bytes", frame.len_bytes());
        assert_eq!(Frame::parse(&frame.to_bytes()), Ok(frame));
    }
}
