use super::*;
use crate::{
    hash::Hash,
    header::{Kind, Origin},
    identity::Identity,
    record::UnixTime,
    statement::{Authentication, PayloadDigest},
};

/// Somebody with an identity and a key to seal to.
struct Somebody {
    secret: SealingSecret,
    credential: Credential,
    id: Hash,
}

fn somebody(number: u8) -> Somebody {
    let (identity, secret) = (Identity::from_seed(&[number; 32]), SealingSecret::from_seed(&[number + 100; 32]));
    let (key, boot) = (identity.public(), u64::from(number));
    let signature = Credential::hash(key, secret.public(), boot).sign(&identity);
    let credential = Credential { key, seal: secret.public(), boot, signature };
    Somebody { secret, credential, id: key.id() }
}

fn terms(opener: &Somebody, other: &Somebody) -> Terms {
    Terms::of(&opener.credential, opener.id, &other.credential, other.id)
}

fn statement(number: u64, session: SessionId) -> Statement {
    Statement {
        version: Statement::VERSION,
        kind: Kind::Unicast,
        origin: Origin::of_address("127.0.0.1:5000".parse().expect("an address")),
        target: Some(Hash::of("you")),
        number,
        length: 5,
        made_at: UnixTime(1_800_000_000_000),
        boot: 9,
        authentication: Authentication::Sealed { session, opening: None },
        digest: PayloadDigest([0; 32]),
        about: None,
    }
}

#[test]
fn both_ends_open_what_the_other_seals() {
    let (a, b) = (somebody(1), somebody(2));
    let (share, ours) = a.secret.open(b.secret.public(), &terms(&a, &b), [7; 32]).expect("keys");
    let theirs = b.secret.accept(a.secret.public(), share, &terms(&a, &b)).expect("keys");
    assert_eq!(ours.id(), theirs.id());
    for (from, to) in [(&ours, &theirs), (&theirs, &ours)] {
        let said = statement(1, ours.id());
        let sealed = from.seal(&said, b"hello");
        assert_eq!(sealed.len(), 5 + Session::SEAL_BYTES);
        assert_eq!(to.open(&said, sealed.clone()), Ok(b"hello".to_vec()));
        assert_eq!(from.open(&said, sealed), Err(Refusal::Altered), "what comes back to its sender is not the other's");
    }
}

#[test]
fn nothing_that_was_changed_can_be_opened() {
    let (a, b) = (somebody(1), somebody(2));
    let (share, ours) = a.secret.open(b.secret.public(), &terms(&a, &b), [7; 32]).expect("keys");
    let theirs = b.secret.accept(a.secret.public(), share, &terms(&a, &b)).expect("keys");
    let said = statement(1, ours.id());
    let sealed = ours.seal(&said, b"hello");
    for place in 0..sealed.len() {
        let mut changed = sealed.clone();
        changed[place] ^= 1;
        assert_eq!(theirs.open(&said, changed), Err(Refusal::Altered));
    }
    for length in 0..sealed.len() {
        assert_eq!(theirs.open(&said, sealed[..length].to_vec()), Err(Refusal::Altered));
    }
    let other_target = Statement { target: Some(Hash::of("another")), ..said.clone() };
    let other_number = Statement { number: 2, ..said.clone() };
    let receipt = Statement { kind: Kind::Receipt, ..said };
    for other in [other_target, other_number, receipt] {
        assert_eq!(theirs.open(&other, sealed.clone()), Err(Refusal::Altered));
    }
}

#[test]
fn a_session_is_between_two_and_on_their_terms() {
    let (a, b, c) = (somebody(1), somebody(2), somebody(3));
    let (share, ours) = a.secret.open(b.secret.public(), &terms(&a, &b), [7; 32]).expect("keys");
    let said = statement(1, ours.id());
    let sealed = ours.seal(&said, b"hello");
    let wrong = [
        // Another takes the share for its own.
        c.secret.accept(a.secret.public(), share, &terms(&a, &c)),
        c.secret.accept(a.secret.public(), share, &terms(&a, &b)),
        // The share is taken for that of somebody else.
        b.secret.accept(c.secret.public(), share, &terms(&a, &b)),
        // The two think differently of who they are.
        b.secret.accept(a.secret.public(), share, &terms(&c, &b)),
        b.secret.accept(a.secret.public(), share, &terms(&b, &a)),
    ];
    for session in wrong {
        assert_eq!(session.expect("keys").open(&said, sealed.clone()), Err(Refusal::Altered));
    }
}

#[test]
fn what_is_no_key_is_refused() {
    let (a, b) = (somebody(1), somebody(2));
    let nothing = SealingKey([0; 32]);
    assert_eq!(a.secret.open(nothing, &terms(&a, &b), [7; 32]).map(|_| ()).err(), Some(Refusal::Malformed));
    assert_eq!(b.secret.accept(nothing, Share([0; 32]), &terms(&a, &b)).map(|_| ()).err(), Some(Refusal::Malformed));
}

#[test]
fn a_credential_is_of_one_identity_one_key_and_one_start() {
    let a = somebody(1);
    let Credential { key, seal, boot, signature } = a.credential;
    assert!(a.credential.own_hash().is_signed_by(key, &signature));
    assert!(!Credential::hash(key, somebody(2).secret.public(), boot).is_signed_by(key, &signature));
    assert!(!Credential::hash(key, seal, boot + 1).is_signed_by(key, &signature));
}
