//! Any bytes into every parser of cicada-wire: none may panic, allocate without bound or hang, and what it takes can be
//! written and read again.
#![no_main]

use bytes::Bytes;
use cicada_wire::{
    Address, Datagram, DatagramKey, Frame, Hash, Hello, HelloReply, IdKind, OverlayKind, Purpose, SignedRecord, Status, SwarmKeys,
};
use std::sync::LazyLock;

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    if let Ok(frame) = Frame::parse(&Bytes::copy_from_slice(input)) {
        let bytes = frame.to_bytes();
        assert_eq!(bytes.len(), frame.len_bytes());
        assert_eq!(Frame::parse(&bytes).as_ref(), Ok(&frame));
    }
    if let Ok(datagram) = Datagram::parse(input) {
        let bytes = datagram.to_bytes();
        assert_eq!(bytes.len(), datagram.len_bytes());
        // Written anew it may be longer than it came, and over the limit: CBOR has short forms of absent fields.
        if bytes.len() <= cicada_wire::MAX_DATAGRAM_BYTES {
            assert_eq!(Datagram::parse(&bytes).as_ref(), Ok(&datagram));
        }
    }
    if let Ok(record) = SignedRecord::parse(input) {
        assert_eq!(SignedRecord::parse(&record.to_bytes()).as_ref(), Ok(&record));
        let _ = record.verify();
    }
    if let Ok(status) = Status::parse(input) {
        assert_eq!(Status::parse(&status.to_bytes()).as_ref(), Ok(&status));
    }
    let _ = (Hello::parse(input), HelloReply::parse(input), DATAGRAMS.open(input));
    if let Ok(text) = std::str::from_utf8(input) {
        let _ = (Hash::from_hashed(text), text.parse::<Address>());
    }
});

static DATAGRAMS: LazyLock<DatagramKey> = LazyLock::new(|| {
    let keys = SwarmKeys::new("fuzz", None).expect("no secret is not a short one");
    keys.datagrams(OverlayKind::Ring, Purpose::Swarm, IdKind::Address)
});
