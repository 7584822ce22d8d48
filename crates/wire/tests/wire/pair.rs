//! The keys of a trusted pair open what the mirrored keys sealed, and nothing else.

use crate::strategies::*;
use cicada_wire::*;
use proptest::{prelude::*, sample::Index};

/// The two sides of one pair: the strings are swapped, the ids too.
fn sides(me: Hash, peer: Hash, there: &str, back: &str) -> (PairKeys, PairKeys) {
    (PairKeys::derive(me, peer, there, back), PairKeys::derive(peer, me, back, there))
}

const NONCE: [u8; 24] = [3; 24];

proptest! {
    #[test]
    fn what_one_side_seals_the_other_opens(
        me in hashes(), peer in hashes(), there in any::<String>(), back in any::<String>(),
        nonce in any::<[u8; 24]>(), associated in any::<Vec<u8>>(), plain in any::<Vec<u8>>()
    ) {
        let (a, b) = sides(me, peer, &there, &back);
        let sealed = a.seal(nonce, &associated, &plain);
        prop_assert_eq!(sealed.len(), plain.len() + PairKeys::SEAL_BYTES);
        prop_assert_eq!(b.open(nonce, &associated, &sealed), Ok(plain.clone()));
        prop_assert_eq!(a.open(nonce, &associated, &b.seal(nonce, &associated, &plain)), Ok(plain));
    }

    #[test]
    fn any_change_of_nonce_association_or_text_keeps_it_closed(
        plain in any::<Vec<u8>>(), associated in proptest::collection::vec(any::<u8>(), 1..64), at in any::<Index>(), bit in 0..8u8
    ) {
        let (a, b) = sides(Hash::of("a"), Hash::of("b"), "there", "back");
        let sealed = a.seal(NONCE, &associated, &plain);
        prop_assert!(b.open(NONCE, &associated, &sealed).is_ok(), "control");
        let flipped = |bytes: &[u8]| {
            let mut bytes = bytes.to_vec();
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
            bytes
        };
        let nonce = flipped(&NONCE).try_into().unwrap();
        prop_assert_eq!(b.open(nonce, &associated, &sealed), Err(Refusal::OtherPairKey));
        prop_assert_eq!(b.open(NONCE, &flipped(&associated), &sealed), Err(Refusal::OtherPairKey));
        prop_assert_eq!(b.open(NONCE, &associated, &flipped(&sealed)), Err(Refusal::OtherPairKey));
        prop_assert_eq!(b.open(NONCE, &[], &sealed), Err(Refusal::OtherPairKey));
    }

    #[test]
    fn bytes_that_nobody_sealed_are_refused(bytes in any::<Vec<u8>>()) {
        let (a, _) = sides(Hash::of("a"), Hash::of("b"), "there", "back");
        prop_assert_eq!(a.open(NONCE, b"", &bytes), Err(Refusal::OtherPairKey));
    }
}

#[test]
fn a_text_that_is_cut_or_lengthened_stays_closed() {
    let (a, b) = sides(Hash::of("a"), Hash::of("b"), "there", "back");
    let sealed = a.seal(NONCE, b"", b"a text");
    assert_eq!(b.open(NONCE, b"", &sealed).as_deref(), Ok(&b"a text"[..]), "control");
    for length in 0..sealed.len() {
        assert_eq!(b.open(NONCE, b"", &sealed[..length]), Err(Refusal::OtherPairKey), "{length}");
    }
    assert_eq!(b.open(NONCE, b"", &[&sealed[..], &[0]].concat()), Err(Refusal::OtherPairKey));
}

#[test]
fn other_keys_other_ids_and_unswapped_files_open_nothing() {
    let (me, peer, other) = (Hash::of("a"), Hash::of("b"), Hash::of("c"));
    let (a, b) = sides(me, peer, "there", "back");
    let sealed = a.seal(NONCE, b"", b"a text");
    assert!(b.open(NONCE, b"", &sealed).is_ok(), "control");
    let strangers = [
        ("the sender itself, by a mirror", a.clone()),
        ("the same file on both sides", PairKeys::derive(peer, me, "there", "back")),
        ("another string", PairKeys::derive(peer, me, "back", "there2")),
        ("a blank more", PairKeys::derive(peer, me, "back", " there")),
        ("a blank at the end", PairKeys::derive(peer, me, "back", "there ")),
        ("another case", PairKeys::derive(peer, me, "back", "There")),
        ("an empty string", PairKeys::derive(peer, me, "back", "")),
        ("another receiver", PairKeys::derive(other, me, "back", "there")),
        ("another sender", PairKeys::derive(peer, other, "back", "there")),
        ("the ids the other way round", PairKeys::derive(me, peer, "back", "there")),
    ];
    for (who, keys) in strangers {
        assert_eq!(keys.open(NONCE, b"", &sealed), Err(Refusal::OtherPairKey), "{who}");
    }
}

#[test]
fn one_string_for_both_directions_still_gives_two_keys() {
    let (a, b) = sides(Hash::of("a"), Hash::of("b"), "same", "same");
    let sealed = a.seal(NONCE, b"", b"a text");
    assert_eq!(a.open(NONCE, b"", &sealed), Err(Refusal::OtherPairKey), "what a peer sends cannot be mirrored to it");
    assert!(b.open(NONCE, b"", &sealed).is_ok(), "control");
}

#[test]
fn keys_are_never_printed() {
    let keys = PairKeys::derive(Hash::of("a"), Hash::of("b"), "a secret", "another");
    assert_eq!(format!("{keys:?}"), "keys of a trusted pair");
}

/// The strings of the original's documents, and what they seal. Computed apart, in Python: HKDF with `hmac` and `hashlib` as in
/// RFC 5869 (salt `cicada pair key v1`, info the sender's id and then the receiver's, each in 32 big-endian bytes), HChaCha20 by
/// hand (checked with the vector of draft-irtf-cfrg-xchacha-03, section 2.2.1), ChaCha20-Poly1305 of the package `cryptography`.
#[test]
fn the_documented_strings_seal_as_computed_apart() {
    let (me, peer) = (Hash::of("127.0.0.1:7001"), Hash::of("75.23.66.101:7000"));
    let (mine, theirs) = sides(me, peer, "outbound_encryption_key", "  inbound_encryption_key");
    let nonce = std::array::from_fn(|at| u8::try_from(at).unwrap());
    let hex = |sealed: Vec<u8>| sealed.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    assert_eq!(hex(mine.seal(nonce, b"header", b"hello")), "9f383bc00484f23b5c0c19fbf94b3338f5d51eb7a8");
    assert_eq!(hex(theirs.seal(nonce, b"header", b"hello")), "f6e89ca5031d5c47d329d2fc79b14a0699f096b029");
}
