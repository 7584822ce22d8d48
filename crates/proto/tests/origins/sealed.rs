//! Unicasts between peers that never agreed on keys.

use crate::{
    neighbours, rig,
    rig::{Rig, START, Somebody, somebody, unicast},
};
use bytes::Bytes;
use cicada_proto::{Event, KeyLevel};
use cicada_wire::*;
use std::time::Duration;

/// One end of a session with the node, played by the test.
pub(crate) struct Talk {
    pub(crate) session: Session,
    pub(crate) opening: Opening,
}

/// `from` opens a session with the node.
pub(crate) fn talk(from: &Somebody, to: &Somebody) -> Talk {
    talk_from(from, to, 9)
}

/// The same; each `seed` makes another session.
pub(crate) fn talk_from(from: &Somebody, to: &Somebody, seed: u8) -> Talk {
    let (ours, theirs) = (from.credential(), to.credential());
    let terms = Terms::of(&ours, from.id(), &theirs, to.id());
    let (share, session) = from.sealing.open(to.sealing.public(), &terms, [seed; 32]).expect("keys");
    Talk { session, opening: Opening { share, to: theirs.seal, credential: ours } }
}

impl Talk {
    /// A message of `from` for `to`.
    pub(crate) fn message(&self, from: &Somebody, to: &Somebody, number: u64, opens: bool) -> Frame {
        self.said(START, from, to, number, opens)
    }

    /// The same, made at a time; it opens the session.
    pub(crate) fn message_at(&self, made_at: UnixTime, from: &Somebody, to: &Somebody, number: u64) -> Frame {
        self.said(made_at, from, to, number, true)
    }

    fn said(&self, made_at: UnixTime, from: &Somebody, to: &Somebody, number: u64, opens: bool) -> Frame {
        let authentication = Authentication::Sealed { session: self.session.id(), opening: opens.then(|| self.opening.clone()) };
        let mut said = Statement { made_at, authentication, length: 5 + 16, ..from.statement(number, Some(to.id()), b"") };
        let sealed = self.session.seal(&said, b"hello");
        said.digest = PayloadDigest::of(&sealed);
        unicast(said.into(), sealed)
    }

    fn status(&self, receipt: &(Hash, Header, Bytes)) -> Option<Status> {
        let (_, header, payload) = receipt;
        assert_eq!(header.fixed.kind, Kind::Receipt);
        Status::parse(&self.session.open(&header.fixed, payload.to_vec()).ok()?).ok()
    }
}

#[test]
fn a_sealed_message_is_delivered_and_its_receipt_is_sealed() {
    let near = neighbours();
    let mut rig = rig(&near);
    let talk = talk(&near[0], &somebody(7000));
    rig.hear(&near[0], talk.message(&near[0], &somebody(7000), 1, true));
    assert_eq!((rig.delivered.len(), rig.delivered[0].level), (1, KeyLevel::Proven));
    assert_eq!(&rig.delivered[0].payload[..], b"hello");
    let receipts = rig.data();
    assert_eq!(talk.status(&receipts[0]).expect("it is for us").refusal, None);
    // From then on the session is known by its number.
    rig.hear(&near[0], talk.message(&near[0], &somebody(7000), 2, false));
    assert_eq!(rig.delivered.len(), 2);
}

#[test]
fn the_opener_of_a_session_has_to_be_who_it_says_before_anything_is_delivered() {
    let near = neighbours();
    let far = somebody(7100);
    let pretender = far.with_key_of(&somebody(7999));
    for (opener, delivered) in [(&far, 1), (&pretender, 0)] {
        let mut rig = rig(&near);
        let message = talk(opener, &somebody(7000)).message(opener, &somebody(7000), 1, true);
        rig.hear(&near[0], message);
        assert!(rig.delivered.is_empty() && rig.data().is_empty());
        assert!(rig.answer_challenge(&far));
        assert_eq!(rig.delivered.len(), delivered);
        let receipts = rig.data();
        let said = receipts.iter().map(|(_, header, payload)| match header.fixed.authentication {
            Authentication::None => Status::parse(payload).expect("a status").refusal,
            _ => None,
        });
        assert_eq!(said.collect::<Vec<_>>(), [(delivered == 0).then_some(Refusal::OtherKey)]);
    }
}

#[test]
fn who_is_unknown_is_asked_for_its_credential_and_nothing_is_said_before_that_is_its_own() {
    let near = neighbours();
    let far = somebody(7100);
    for (credential, sealed) in [(far.credential(), true), (somebody(7999).credential(), false)] {
        let mut rig = rig(&near);
        rig.send(&far, "a secret");
        let (hop, header, payload) = rig.data().pop().expect("it asks");
        assert!(matches!(header.fixed.authentication, Authentication::Asks(_)) && payload.is_empty());
        let hop = near.iter().find(|member| member.id() == hop).expect("a neighbour");
        rig.hear(hop, introduction(&far, &header, credential));
        rig.answer_challenge(&far);
        rig.pass(Duration::from_millis(10));
        let left: Vec<_> =
            rig.data().into_iter().filter(|(_, header, _)| matches!(header.fixed.authentication, Authentication::Sealed { .. })).collect();
        assert_eq!(left.len(), usize::from(sealed));
        let Some((_, header, payload)) = left.into_iter().next() else { continue };
        let Authentication::Sealed { opening: Some(opening), .. } = &header.fixed.authentication else { panic!("it opens a session") };
        let terms = Terms::of(&opening.credential, somebody(7000).id(), &far.credential(), far.id());
        let session = far.sealing.accept(opening.credential.seal, opening.share, &terms).expect("keys");
        assert_eq!(session.open(&header.fixed, payload.to_vec()).as_deref(), Ok(&b"a secret"[..]));
        // A receipt counts if it is sealed.
        rig.hear(hop, receipt(&far, &header, None));
        assert!(rig.ended.is_empty());
        rig.hear(hop, receipt(&far, &header, Some(&session)));
        let Some(Event::Sent { receipt, .. }) = rig.ended.first() else { panic!("{:?}", rig.ended) };
        assert_eq!(receipt.level, Some(KeyLevel::Proven));
    }
}

#[test]
fn what_a_target_was_asked_for_goes_over_the_relays_that_brought_its_answer() {
    let near = neighbours();
    let (far, relay) = (somebody(7100), somebody(7050).id());
    let greedy = sealed_to(&far, &near, vec![]);
    assert!(greedy.1.is_empty(), "without any it goes as every other message");
    let other = near.iter().find(|member| member.id() != greedy.0).expect("several").id();
    assert_eq!(sealed_to(&far, &near, vec![other, relay]), (other, vec![relay]));
    // Nobody is asked to go round in circles, or farther than a message may be sent.
    assert_eq!(sealed_to(&far, &near, vec![other, relay, other]), greedy);
    assert_eq!(sealed_to(&far, &near, (7050..7059).map(|at| somebody(at).id()).collect()), greedy);
}

/// Where a message goes first, and over which relays from there, after its target has answered over these.
fn sealed_to(far: &Somebody, near: &[Somebody], relays: Vec<Hash>) -> (Hash, Vec<Hash>) {
    let mut rig = rig(near);
    rig.send(far, "a secret");
    let (asked, header, _) = rig.data().pop().expect("it asks");
    let hop = near.iter().find(|member| member.id() == asked).expect("a neighbour");
    rig.hear(hop, introduction_over(far, &header, far.credential(), relays));
    rig.answer_challenge(far);
    rig.pass(Duration::from_millis(10));
    let sealed = rig.data().into_iter().find(|(_, header, _)| matches!(header.fixed.authentication, Authentication::Sealed { .. }));
    let (hop, header, _) = sealed.expect("it is sealed");
    (hop, header.hop.route)
}

/// What a target answers to a question for its credential.
fn introduction(target: &Somebody, about: &Header, credential: Credential) -> Frame {
    introduction_over(target, about, credential, vec![])
}

fn introduction_over(target: &Somebody, about: &Header, credential: Credential, path: Vec<Hash>) -> Frame {
    let status = Status { copy: 0, refusal: Some(Refusal::KeyWanted), path, boot: None, credential: Some(credential) };
    told(target, about, &status.to_bytes(), None)
}

fn receipt(target: &Somebody, about: &Header, session: Option<&Session>) -> Frame {
    let status = Status { copy: 0, refusal: None, path: vec![], boot: None, credential: None };
    told(target, about, &status.to_bytes(), session)
}

fn told(target: &Somebody, about: &Header, plain: &[u8], session: Option<&Session>) -> Frame {
    let authentication = session.map_or(Authentication::None, |session| Authentication::Sealed { session: session.id(), opening: None });
    let length = (plain.len() + session.map_or(0, |_| Session::SEAL_BYTES)) as u64;
    let (kind, about) = (Kind::Receipt, Some(about.fixed.message()));
    let mut said = Statement { kind, about, authentication, length, ..target.statement(77, Some(somebody(7000).id()), b"") };
    let payload = session.map_or_else(|| plain.to_vec(), |session| session.seal(&said, plain));
    said.digest = PayloadDigest::of(&payload);
    unicast(said.into(), payload)
}

#[test]
fn a_session_that_the_target_does_not_know_is_refused_and_another_is_asked_for() {
    let near = neighbours();
    let mut rig = rig(&near);
    let talk = talk(&near[0], &somebody(7000));
    rig.hear(&near[0], talk.message(&near[0], &somebody(7000), 1, false));
    let receipts = rig.data();
    assert_eq!(Status::parse(&receipts[0].2).expect("in the clear").refusal, Some(Refusal::NoSession));
    assert_eq!((rig.delivered.len(), rig.refusals(Refusal::NoSession)), (0, 1));
    answered_by_no_session(&mut rig, &near[1]);
}

/// The node's own session is over at the other end: it asks anew.
fn answered_by_no_session(rig: &mut Rig, to: &Somebody) {
    rig.send(to, "hello");
    let (_, question, _) = rig.data().pop().expect("it asks");
    rig.hear(to, introduction(to, &question, to.credential()));
    rig.pass(Duration::from_millis(10));
    let (_, sealed, _) = rig.data().pop().expect("it seals");
    let status = Status { copy: 0, refusal: Some(Refusal::NoSession), path: vec![], boot: None, credential: None };
    rig.hear(to, told(to, &sealed, &status.to_bytes(), None));
    rig.pass(Duration::from_millis(10));
    let (_, again, _) = rig.data().pop().expect("it asks again");
    assert!(matches!(again.fixed.authentication, Authentication::Asks(_)));
}

#[test]
fn what_is_not_sealed_is_refused() {
    let near = neighbours();
    let mut rig = rig(&near);
    for authentication in [Authentication::None, Authentication::Signed { key: Some(near[0].key()) }] {
        let said = Statement { authentication, ..near[0].statement(1, Some(somebody(7000).id()), b"hello") };
        let fixed = Immutable::from(said);
        let signature = fixed.hash().sign(&near[0].identity);
        let fixed = if fixed.signer().is_some() { fixed.signed(signature) } else { fixed };
        rig.hear(&near[0], unicast(fixed, &b"hello"[..]));
    }
    assert_eq!((rig.delivered.len(), rig.refusals(Refusal::Unsigned), rig.refusals(Refusal::Unexpected)), (0, 1, 1));
}

#[test]
fn a_clock_that_is_off_by_a_minute_and_a_half_does_no_harm_and_by_ten_minutes_is_refused_by_that_name() {
    let near = neighbours();
    for (off_ms, delivered) in [(90_000, 2), (600_000, 0)] {
        for early in [false, true] {
            let mut rig = rig(&near);
            let made_at = UnixTime(if early { rig::START.0 + off_ms } else { rig::START.0 - off_ms });
            let talk = talk(&near[0], &somebody(7000));
            let authentication = Authentication::Sealed { session: talk.session.id(), opening: Some(talk.opening.clone()) };
            let mut said = Statement { authentication, made_at, length: 21, ..near[0].statement(1, Some(somebody(7000).id()), b"") };
            let sealed = talk.session.seal(&said, b"hello");
            said.digest = PayloadDigest::of(&sealed);
            rig.hear(&near[0], unicast(said.into(), sealed));
            let to_all = Immutable::from(Statement { made_at, ..near[0].statement(2, None, b"to all") });
            let signature = to_all.hash().sign(&near[0].identity);
            rig.hear(&near[0], rig::share(to_all.signed(signature), b"to all"));
            assert_eq!((rig.delivered.len(), rig.refusals(Refusal::WrongTime)), (delivered, 2 - delivered));
            let receipt = rig.data().pop().expect("the sender is told");
            assert_eq!(talk.status(&receipt).expect("sealed").refusal, (delivered == 0).then_some(Refusal::WrongTime));
        }
    }
}
