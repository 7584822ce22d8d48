//! What is signed, sealed or proven holds only as it was made.

use crate::strategies::*;
use cicada_wire::*;
use proptest::{prelude::*, sample::Index};

fn keys(name: &str, secret: Option<&[u8]>) -> SwarmKeys {
    SwarmKeys::new(name, secret).unwrap()
}

fn datagrams(name: &str, secret: Option<&[u8]>) -> DatagramKey {
    keys(name, secret).datagrams(OverlayKind::Ring, Purpose::Swarm, IdKind::Address)
}

const SECRET: &[u8] = b"sixteen bytes ok";

proptest! {
    #[test]
    fn a_sealed_datagram_opens_for_its_swarm_and_is_told_from_quic(plain in any::<Vec<u8>>(), nonce in any::<[u8; 24]>()) {
        let keys = datagrams("swarm", Some(SECRET));
        let sealed = keys.seal(nonce, &plain);
        prop_assert_eq!(sealed.len(), plain.len() + DatagramKey::SEAL_BYTES);
        prop_assert_eq!(sealed[0] & 0x40, 0);
        prop_assert_eq!(keys.open(&sealed), Ok(plain));
    }

    #[test]
    fn a_sealed_datagram_stays_closed_to_others_and_when_any_bit_is_changed(
        plain in any::<Vec<u8>>(), nonce in any::<[u8; 24]>(), at in any::<Index>(), bit in 0..8u8
    ) {
        let members = keys("swarm", Some(SECRET));
        let mut sealed = datagrams("swarm", Some(SECRET)).seal(nonce, &plain);
        for other in [
            datagrams("other", Some(SECRET)),
            datagrams("swarm", None),
            datagrams("swarm", Some(b"another secret!!")),
            members.datagrams(OverlayKind::Tree, Purpose::Swarm, IdKind::Address),
            members.datagrams(OverlayKind::Ring, Purpose::Bare, IdKind::Address),
            members.datagrams(OverlayKind::Ring, Purpose::Swarm, IdKind::Key),
        ] {
            prop_assert_eq!(other.open(&sealed), Err(Refusal::Unsealed));
        }
        let at = at.index(sealed.len());
        sealed[at] ^= 1 << bit;
        prop_assert_eq!(datagrams("swarm", Some(SECRET)).open(&sealed), Err(Refusal::Unsealed));
    }

    #[test]
    fn bytes_that_nobody_sealed_do_not_open(bytes in any::<Vec<u8>>()) {
        prop_assert_eq!(datagrams("swarm", None).open(&bytes), Err(Refusal::Unsealed));
    }

    #[test]
    fn a_record_with_any_byte_changed_is_another_or_does_not_verify(record in signed_records(), at in any::<Index>(), bit in 0..8u8) {
        let mut bytes = record.to_bytes();
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        if let Ok(changed) = SignedRecord::parse(&bytes) {
            prop_assert!(!changed.verify());
        }
    }

    #[test]
    fn an_answer_holds_for_its_challenge_and_record_only(
        (record, identity) in records(), other in signed_records(), first in any::<[u8; 16]>(), second in any::<[u8; 16]>()
    ) {
        prop_assume!(first != second);
        let record = SignedRecord::sign(record, &identity).unwrap();
        let answer = Answer::sign(Challenge(first), record, &identity);
        prop_assert!(answer.verify());
        let replayed = Answer { challenge: Challenge(second), ..answer.clone() };
        prop_assert!(!replayed.verify());
        let stolen = Answer { record: other, ..answer };
        prop_assert!(!stolen.verify());
    }
}

#[test]
fn a_short_secret_is_refused() {
    assert!(SwarmKeys::new("swarm", Some(&SECRET[1..])).is_err());
    assert!(SwarmKeys::new("swarm", Some(b"")).is_err());
    assert!(SwarmKeys::new("swarm", Some(SECRET)).is_ok());
}

#[test]
fn the_tag_tells_swarms_apart_by_name_and_says_nothing_of_the_secret() {
    assert_ne!(keys("one", None).tag(), keys("two", None).tag());
    assert_eq!(keys("one", None).tag(), keys("one", Some(SECRET)).tag());
}

#[test]
fn a_link_proof_holds_for_its_session_side_keys_and_secret_only() {
    let [ours, theirs, third] = [1, 2, 3].map(|seed| Identity::from_seed(&[seed; 32]).public());
    let members = keys("swarm", Some(SECRET));
    let session = [7; 32];
    let proof = members.link_proof(&session, LinkSide::Dialler, &ours, &theirs);
    let holds = |keys: &SwarmKeys, session, side, dialler, listener| keys.check_link_proof(&proof, session, side, dialler, listener);
    assert!(holds(&members, &session, LinkSide::Dialler, &ours, &theirs));
    assert!(!holds(&members, &[8; 32], LinkSide::Dialler, &ours, &theirs), "another session");
    assert!(!holds(&members, &session, LinkSide::Listener, &ours, &theirs), "mirrored");
    assert!(!holds(&members, &session, LinkSide::Dialler, &theirs, &ours), "keys swapped");
    assert!(!holds(&members, &session, LinkSide::Dialler, &ours, &third), "passed on to a third");
    assert!(!holds(&keys("swarm", None), &session, LinkSide::Dialler, &ours, &theirs), "no secret");
    assert!(!holds(&keys("swarm", Some(b"another secret!!")), &session, LinkSide::Dialler, &ours, &theirs), "another secret");
}

#[test]
fn secrets_are_not_printed() {
    let identity = Identity::from_seed(&[0xab; 32]);
    let printed = format!("{identity:?} {:?} {:?}", keys("swarm", Some(SECRET)), datagrams("swarm", Some(SECRET)));
    assert!(!printed.contains("abab") && !printed.contains("sixteen"), "{printed}");
}
