//! A sealed message, changed in any way: it opens only as what was sealed, whatever is said around it, and what is in it is read
//! without panic.
#![no_main]

#[path = "patch.rs"]
mod patch;

use bytes::Bytes;
use cicada_wire::{
    Authentication, Frame, Hash, Header, Immutable, Kind, Mutable, Origin, PayloadDigest, PieceDigests, Session, SessionId, Statement, Status,
    UnixTime,
};
use std::sync::LazyLock;

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    let (statement, bytes) = &*MESSAGE;
    if let Ok(Frame::Data(header, payload)) = Frame::parse(&Bytes::from(patch::patched(bytes, input)))
        && let Ok(plain) = ends().1.open(&header.fixed, payload.to_vec())
    {
        // Its digest follows from the payload, which is not checked here.
        let said = Statement { digest: statement.digest, ..header.fixed.clone().into() };
        assert!(said == *statement && plain == PLAIN, "not what was sealed");
    }
    let _ = (Status::parse(input), ends().1.open(statement, input.to_vec()));
    let digests = Bytes::copy_from_slice(input);
    assert!(PieceDigests::parse(&digests, input.len() * 512, PayloadDigest::of(PLAIN)).is_none());
});

const PLAIN: &[u8] = b"a secret";

/// Both ends of a session.
fn ends() -> (Session, Session) {
    let id = SessionId([4; 16]);
    (Session::from_secrets(id, [1; 32], [2; 32]), Session::from_secrets(id, [2; 32], [1; 32]))
}

static MESSAGE: LazyLock<(Statement, Vec<u8>)> = LazyLock::new(|| {
    let mut said = Statement {
        version: Statement::VERSION,
        kind: Kind::Unicast,
        origin: Origin::of_address("198.51.100.7:7000".parse().expect("an address")),
        target: Some(Hash::of("target")),
        number: 77,
        length: (PLAIN.len() + Session::SEAL_BYTES) as u64,
        made_at: UnixTime(1_800_000_000_000),
        boot: 5,
        authentication: Authentication::Sealed { session: SessionId([4; 16]), opening: None },
        digest: PayloadDigest::of(b""),
        about: None,
    };
    let sealed = ends().0.seal(&said, PLAIN);
    said.digest = PayloadDigest::of(&sealed);
    let header = Header { fixed: Immutable::from(said.clone()), hop: Mutable { hop_limit: 8, ..Mutable::default() } };
    let bytes = Frame::Data(header, sealed.into()).to_bytes().to_vec();
    (said, bytes)
});
