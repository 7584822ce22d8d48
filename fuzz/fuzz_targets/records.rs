//! A true record and a true credential, changed in any way: neither may be taken for its owner's, and no parser may panic.
#![no_main]

#[path = "patch.rs"]
mod patch;

use cicada_wire::{Capabilities, Credential, Hash, IdKind, Identity, Record, Role, SealingSecret, SignedRecord, UnixTime};
use std::sync::LazyLock;

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    let (true_one, bytes) = &*RECORD;
    if let Ok(record) = SignedRecord::parse(&patch::patched(bytes, input)) {
        assert!(record.record() == true_one.record() || !record.verify(), "somebody else's words under our signature");
    }
    // And whatever the input is by itself.
    if let Ok(record) = SignedRecord::parse(input) {
        assert_eq!(SignedRecord::parse(&record.to_bytes()).as_ref(), Ok(&record));
        assert!(record.record() == true_one.record() || record.key() != true_one.key() || !record.verify());
    }
    let (credential, hash) = &*CREDENTIAL;
    let said = patch::patched(&hash.0, input);
    if said != hash.0 {
        let mut other = *hash;
        let length = said.len().min(32);
        other.0[..length].copy_from_slice(&said[..length]);
        assert!(other == *hash || !other.is_signed_by(credential.key, &credential.signature));
    }
});

static IDENTITY: LazyLock<Identity> = LazyLock::new(|| Identity::from_seed(&[7; 32]));

static RECORD: LazyLock<(SignedRecord, Vec<u8>)> = LazyLock::new(|| {
    let record = Record {
        key: IDENTITY.public(),
        kind: IdKind::Address,
        role: Role::Member,
        addresses: vec!["198.51.100.7:7000".parse().expect("an address"), "[2001:db8::7]:7000".parse().expect("an address")],
        capabilities: Capabilities::default(),
        sequence: 3,
        expires: UnixTime(1_800_000_000_000),
        data: None,
    };
    let record = SignedRecord::sign(record, &IDENTITY).expect("consistent");
    assert!(record.verify() && record.id() != Hash::default());
    let bytes = record.to_bytes().to_vec();
    (record, bytes)
});

static CREDENTIAL: LazyLock<(Credential, cicada_wire::StatementHash)> = LazyLock::new(|| {
    let seal = SealingSecret::from_seed(&[9; 32]).public();
    let hash = Credential::hash(IDENTITY.public(), seal, 5);
    (Credential { key: IDENTITY.public(), seal, boot: 5, signature: hash.sign(&IDENTITY) }, hash)
});
