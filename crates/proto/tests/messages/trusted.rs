//! Peers with whom keys are agreed: what goes to them is sealed, what comes from them must be.

use crate::desk::{Desk, ME, amend, hello, id, status, unicast};
use bytes::Bytes;
use cicada_proto::{Ack, BodyId, Command, Config, Event, Keyring, Route, SendError, SendOptions};
use cicada_wire::*;
use std::time::Duration;

/// Trusted, with a link.
const NEAR: u8 = 0x40;
/// Trusted, without one.
const FAR: u8 = 0x90;
/// Nobody trusts it.
const STRANGER: u8 = 0x10;
/// The node's own boot number, and that of every link's other end.
const BOOT: u64 = 1;

fn mine(peer: u8) -> PairKeys {
    PairKeys::derive(id(ME), id(peer), "from here to there", "from there to here")
}

fn theirs(peer: u8) -> PairKeys {
    PairKeys::derive(id(peer), id(ME), "from there to here", "from here to there")
}

fn desk() -> Desk {
    let mut config = Config::default();
    config.trusted = Keyring::default();
    config.trusted.trust(id(NEAR), mine(NEAR));
    config.trusted.trust(id(FAR), mine(FAR));
    Desk::linked_to(config, &[STRANGER, NEAR, 0x60, 0x80])
}

/// A message of `from`, or a receipt, sealed with these keys.
fn sealed(mut header: Header, keys: &PairKeys, boot: Option<u64>, plain: &[u8]) -> Frame {
    let nonce = [5; PairKeys::NONCE_BYTES];
    let mut payload = Bytes::new();
    amend(&mut header, |said| {
        said.authentication = Authentication::Keyed { nonce, boot };
        said.length = (plain.len() + PairKeys::SEAL_BYTES) as u64;
        payload = keys.seal(nonce, &said.associated_data(), plain).into();
        said.digest = PayloadDigest::of(&payload);
    });
    Frame::Data(header, payload)
}

fn said_by(from: u8, keys: &PairKeys, boot: Option<u64>) -> Frame {
    sealed(unicast(from, id(ME), 1), keys, boot, b"hello")
}

/// What the receipt that left last says: of a peer that can open it, and of one that cannot.
fn answer(desk: &mut Desk, keys: &PairKeys) -> (Option<Refusal>, bool) {
    let (_, header, payload) = desk.data().pop().expect("a receipt leaves");
    assert_eq!(header.fixed.kind, Kind::Receipt);
    match header.fixed.authentication {
        Authentication::None | Authentication::Signed { .. } | Authentication::Sealed { .. } | Authentication::Asks(_) => {
            (status(&payload).refusal, false)
        }
        Authentication::Keyed { nonce, boot } => {
            assert_eq!(boot, Some(9), "it is for the start that asked");
            let plain = keys.open(nonce, &header.fixed.associated_data(), &payload).expect("it is for us");
            (status(&plain.into()).refusal, true)
        }
    }
}

fn send(desk: &mut Desk, to: u8, ack: Ack) -> (Header, Bytes) {
    let mut options = SendOptions::default();
    (options.route, options.ack) = (Route::Overlay, ack);
    desk.command(|operation| Command::Send { operation, target: id(to), address: None, payload: hello(), options });
    let (_, header, payload) = desk.data().pop().expect("it leaves");
    (header, payload)
}

fn opened(header: &Header, payload: &Bytes, keys: &PairKeys) -> Result<Vec<u8>, Refusal> {
    let Authentication::Keyed { nonce, .. } = header.fixed.authentication else { panic!("it is sealed") };
    keys.open(nonce, &header.fixed.associated_data(), payload)
}

/// A receipt of `from` about a message of ours.
fn receipt(about: &Header, from: u8, refusal: Option<Refusal>) -> (Header, Vec<u8>) {
    let mut header = unicast(from, id(ME), 2);
    header.hop.copy = about.hop.copy;
    let boot = (refusal == Some(Refusal::OtherBoot)).then_some(77);
    let said = Status { copy: about.hop.copy, refusal, path: vec![], boot, credential: None }.to_bytes();
    let about = about.fixed.message();
    amend(&mut header, |receipt| {
        (receipt.kind, receipt.about) = (Kind::Receipt, Some(about));
        (receipt.length, receipt.digest) = (said.len() as u64, PayloadDigest::of(&said));
    });
    (header, said)
}

fn outcome(desk: &Desk) -> Option<Result<(), SendError>> {
    desk.events.iter().find_map(|event| match event {
        Event::Sent { .. } => Some(Ok(())),
        Event::SendFailed { error, .. } => Some(Err(error.clone())),
        _ => None,
    })
}

#[test]
fn what_goes_to_a_trusted_peer_is_sealed_for_its_start_and_what_goes_to_others_is_not() {
    let mut desk = desk();
    let (header, payload) = send(&mut desk, NEAR, Ack::EndToEnd);
    assert_eq!(opened(&header, &payload, &theirs(NEAR)), Ok(b"hello".to_vec()));
    assert!(matches!(header.fixed.authentication, Authentication::Keyed { boot: Some(BOOT), .. }));
    let (header, payload) = send(&mut desk, 0x60, Ack::EndToEnd);
    assert_eq!((header.fixed.authentication.clone(), payload), (Authentication::None, hello()));
}

#[test]
fn only_what_is_sealed_with_the_keys_of_the_pair_is_delivered_and_the_origin_is_told_why_not() {
    let other = PairKeys::derive(id(NEAR), id(ME), "something else", "from here to there");
    let swapped = PairKeys::derive(id(NEAR), id(ME), "from here to there", "from there to here");
    let stranger = PairKeys::derive(id(STRANGER), id(ME), "from there to here", "from here to there");
    let clear = Frame::Data(unicast(NEAR, id(ME), 1), hello());
    for (from, frame, expected, delivered) in [
        (NEAR, said_by(NEAR, &theirs(NEAR), Some(BOOT)), (None, true), 1),
        (NEAR, clear, (Some(Refusal::InTheClear), false), 0),
        (NEAR, said_by(NEAR, &other, Some(BOOT)), (Some(Refusal::OtherPairKey), false), 0),
        (NEAR, said_by(NEAR, &swapped, Some(BOOT)), (Some(Refusal::OtherPairKey), false), 0),
        (STRANGER, said_by(STRANGER, &stranger, Some(BOOT)), (Some(Refusal::NoPairKey), false), 0),
        (NEAR, said_by(NEAR, &theirs(NEAR), Some(BOOT + 1)), (Some(Refusal::OtherBoot), true), 0),
        (NEAR, said_by(NEAR, &theirs(NEAR), None), (Some(Refusal::OtherBoot), true), 0),
    ] {
        let mut desk = desk();
        desk.hear(id(from), frame);
        assert_eq!((answer(&mut desk, &theirs(from)), desk.delivered()), (expected, delivered));
        let told = desk.events.iter().any(|event| matches!(event, Event::Refused { from: Some(who), .. } if *who == id(from)));
        assert_eq!(told, delivered == 0, "the application learns whose message was refused");
    }
}

#[test]
fn a_broadcast_of_a_trusted_peer_is_for_everybody_and_not_sealed() {
    let mut desk = desk();
    let mut header = unicast(NEAR, id(0), 1);
    crate::desk::for_all(&mut header, Reach::ME);
    let task = Task { ticket: Ticket(1), header, excluded: vec![], extend: false, avoided: vec![], offset: 0 };
    desk.hear(id(NEAR), Frame::Task(task, hello()));
    assert_eq!(desk.delivered(), 1);
}

#[test]
fn an_acceptance_counts_only_if_it_is_sealed() {
    let mut desk = desk();
    let (sent, _) = send(&mut desk, NEAR, Ack::EndToEnd);
    let (header, said) = receipt(&sent, NEAR, None);
    desk.hear(id(NEAR), Frame::Data(header.clone(), said.clone().into()));
    assert_eq!(outcome(&desk), None);
    desk.hear(id(NEAR), sealed(header, &theirs(NEAR), Some(BOOT), &said));
    assert_eq!(outcome(&desk), Some(Ok(())));
}

#[test]
fn a_refusal_for_want_of_keys_is_believed_only_after_a_while() {
    for sealed_meanwhile in [false, true] {
        let mut desk = desk();
        desk.answers = true;
        let (mut sent, _) = send(&mut desk, NEAR, Ack::EndToEnd);
        for pause in [450, 850, 1650, 0] {
            let (header, said) = receipt(&sent, NEAR, Some(Refusal::NoPairKey));
            desk.hear(id(NEAR), Frame::Data(header, said.into()));
            if sealed_meanwhile {
                let (header, said) = receipt(&sent, NEAR, None);
                desk.hear(id(NEAR), sealed(header, &theirs(NEAR), Some(BOOT), &said));
                break;
            }
            desk.pass(Duration::from_millis(pause));
            sent = desk.data().into_iter().map(|(_, header, _)| header).next_back().unwrap_or(sent);
        }
        let refused = Err(SendError::Refused { target: id(NEAR), reason: Refusal::NoPairKey });
        assert_eq!(outcome(&desk), Some(if sealed_meanwhile { Ok(()) } else { refused }));
    }
}

#[test]
fn whoever_is_told_of_another_start_seals_its_message_for_that_one() {
    for ack in [Ack::EndToEnd, Ack::None] {
        let mut desk = desk();
        let (first, _) = send(&mut desk, FAR, ack);
        assert!(matches!(first.fixed.authentication, Authentication::Keyed { boot: None, .. }));
        assert_eq!(outcome(&desk), None, "it has not arrived anywhere");
        let (header, said) = receipt(&first, FAR, Some(Refusal::OtherBoot));
        desk.hear(id(0x80), sealed(header, &theirs(FAR), Some(BOOT), &said));
        desk.pass(Duration::from_millis(1));
        let (_, again, payload) = desk.data().pop().expect("it leaves again");
        assert!(matches!(again.fixed.authentication, Authentication::Keyed { boot: Some(77), .. }));
        assert_ne!(again.fixed.message(), first.fixed.message());
        assert_eq!(opened(&again, &payload, &theirs(FAR)), Ok(b"hello".to_vec()));
        assert_eq!(outcome(&desk).is_some(), ack == Ack::None);
        // The next one is sealed for it at once.
        let (next, _) = send(&mut desk, FAR, ack);
        assert!(matches!(next.fixed.authentication, Authentication::Keyed { boot: Some(77), .. }));
    }
}

#[test]
fn a_long_message_is_refused_at_its_head_and_opened_when_it_is_whole() {
    const LONG: usize = 100_000;
    let plain = vec![7; LONG];
    let whole = |boot| {
        let Frame::Data(header, payload) = sealed(unicast(NEAR, id(ME), 1), &theirs(NEAR), Some(boot), &plain) else { panic!("a message") };
        (header, payload)
    };
    let body = BodyId(70);
    let mut desk = desk();
    let (header, payload) = whole(BOOT + 1);
    desk.hear_of(id(NEAR), Frame::Data(header, Bytes::new()), body, payload.len());
    assert_eq!(answer(&mut desk, &theirs(NEAR)), (Some(Refusal::OtherBoot), true));
    let (header, payload) = whole(BOOT);
    desk.hear_of(id(NEAR), Frame::Data(header, Bytes::new()), BodyId(71), payload.len());
    desk.arrived(BodyId(71), payload);
    let delivered =
        desk.events.iter().find_map(|event| if let Event::Delivered(delivery) = event { Some(&delivery.payload) } else { None });
    assert_eq!(delivered.map(|payload| &payload[..]), Some(&plain[..]));
}

#[test]
fn a_sealed_message_that_comes_again_is_delivered_once() {
    let mut desk = desk();
    desk.answers = true;
    let Frame::Data(header, payload) = said_by(NEAR, &theirs(NEAR), Some(BOOT)) else { panic!("a message") };
    for copy in 0..3 {
        let mut again = header.clone();
        again.hop.copy = copy;
        desk.hear(id([NEAR, 0x60, 0x80][usize::from(copy)]), Frame::Data(again, payload.clone()));
    }
    assert_eq!(desk.delivered(), 1);
    desk.clock(UnixTime(crate::desk::START.0 + 10 * 60_000));
    desk.pass(Duration::from_secs(600));
    let mut again = header;
    again.hop.copy = 3;
    desk.hear(id(NEAR), Frame::Data(again, payload));
    assert_eq!(desk.delivered(), 1, "by then it is too old");
}
