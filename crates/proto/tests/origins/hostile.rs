//! A relay that changes what it hands on, in every way: nothing of that is delivered, and nothing of it holds up what is true.

use crate::{
    neighbours,
    rig::{Rig, Somebody, somebody},
    sealed::{Talk, talk},
};
use bytes::Bytes;
use cicada_wire::*;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::collections::{BTreeSet, VecDeque};

/// What a relay does to a message: what it says then, and with which payload.
type Deed = fn(&mut Relay, Statement, Option<Signature>, Vec<u8>) -> (Immutable, Vec<u8>);

/// All of them.
const DEEDS: [Deed; 10] = [
    Relay::flip,
    Relay::flip_and_say_so,
    Relay::truncate,
    Relay::substitute,
    Relay::re_address,
    Relay::re_boot,
    Relay::re_sign,
    Relay::re_number,
    Relay::re_date,
    Relay::rename,
];

/// The relay, and where it draws its deeds from.
struct Relay {
    rng: ChaCha8Rng,
    itself: Somebody,
    for_another: (Statement, Vec<u8>),
}

impl Relay {
    fn byte_of(&mut self, payload: &mut [u8]) {
        let place = self.rng.random_range(0..payload.len());
        payload[place] ^= self.rng.random_range(1..=255u8);
    }

    fn made(said: Statement, signature: Option<Signature>) -> Immutable {
        let fixed = Immutable::from(said);
        signature.map_or(fixed.clone(), |signature| fixed.signed(signature))
    }

    fn flip(&mut self, said: Statement, signature: Option<Signature>, mut payload: Vec<u8>) -> (Immutable, Vec<u8>) {
        self.byte_of(&mut payload);
        (Self::made(said, signature), payload)
    }

    fn flip_and_say_so(&mut self, mut said: Statement, signature: Option<Signature>, mut payload: Vec<u8>) -> (Immutable, Vec<u8>) {
        self.byte_of(&mut payload);
        said.digest = PayloadDigest::of(&payload);
        (Self::made(said, signature), payload)
    }

    fn truncate(&mut self, mut said: Statement, signature: Option<Signature>, mut payload: Vec<u8>) -> (Immutable, Vec<u8>) {
        payload.truncate(self.rng.random_range(0..payload.len()));
        (said.length, said.digest) = (payload.len() as u64, PayloadDigest::of(&payload));
        (Self::made(said, signature), payload)
    }

    fn substitute(&mut self, mut said: Statement, signature: Option<Signature>, mut payload: Vec<u8>) -> (Immutable, Vec<u8>) {
        payload.fill_with(|| self.rng.random());
        said.digest = PayloadDigest::of(&payload);
        (Self::made(said, signature), payload)
    }

    /// What was sealed for another is sent to this one.
    fn re_address(&mut self, _: Statement, _: Option<Signature>, _: Vec<u8>) -> (Immutable, Vec<u8>) {
        let (mut said, payload) = self.for_another.clone();
        (said.target, said.number) = (Some(somebody(7000).id()), self.rng.random());
        (said.into(), payload)
    }

    /// It is said to be of another start of its origin.
    fn re_boot(&mut self, mut said: Statement, signature: Option<Signature>, payload: Vec<u8>) -> (Immutable, Vec<u8>) {
        said.boot ^= 1;
        (Self::made(said, signature), payload)
    }

    fn re_sign(&mut self, mut said: Statement, _: Option<Signature>, payload: Vec<u8>) -> (Immutable, Vec<u8>) {
        said.authentication = Authentication::Signed { key: Some(self.itself.key()) };
        let fixed = Immutable::from(said);
        let signature = fixed.hash().sign(&self.itself.identity);
        (fixed.signed(signature), payload)
    }

    fn re_number(&mut self, mut said: Statement, signature: Option<Signature>, payload: Vec<u8>) -> (Immutable, Vec<u8>) {
        said.number = self.rng.random();
        (Self::made(said, signature), payload)
    }

    fn re_date(&mut self, mut said: Statement, signature: Option<Signature>, payload: Vec<u8>) -> (Immutable, Vec<u8>) {
        said.made_at.0 += self.rng.random_range(1..600_000u64);
        (Self::made(said, signature), payload)
    }

    /// The message is said to be somebody else's.
    fn rename(&mut self, mut said: Statement, signature: Option<Signature>, payload: Vec<u8>) -> (Immutable, Vec<u8>) {
        said.origin = Origin::of_address(somebody(7004).address);
        (Self::made(said, signature), payload)
    }
}

/// Hands over `count` changed messages, and now and then a true one, before or after its changes.
fn attack(count: usize) {
    let near = neighbours();
    let mut rig = Rig::new(|config| config.limits.deliveries = usize::MAX, &near.iter().collect::<Vec<_>>());
    let me = somebody(7000);
    let talk: Talk = talk(&near[0], &me);
    let for_another = match crate::sealed::talk(&near[0], &near[3]).message(&near[0], &near[3], 1, true) {
        Frame::Data(header, payload) => (Statement::from(header.fixed), payload.to_vec()),
        other => panic!("no unicast: {other:?}"),
    };
    let mut relay = Relay { rng: ChaCha8Rng::seed_from_u64(1), itself: somebody(7002), for_another };
    let (mut hostile, mut honest, mut kept) = (0, BTreeSet::new(), VecDeque::new());
    while hostile < count {
        let number = honest.len() as u64 + 1;
        let frame =
            if number.is_multiple_of(2) { near[0].broadcast(number, b"for everybody") } else { talk.message(&near[0], &me, number, true) };
        honest.insert(message_of(&frame));
        kept.push_back(frame.clone());
        if kept.len() > KEPT {
            kept.pop_front();
        }
        let first = relay.rng.random::<bool>();
        if first {
            rig.hear(&near[2], frame.clone());
        }
        for deed in DEEDS {
            if !rig.is_linked(&relay.itself) {
                rig.link(&relay.itself);
            }
            let changed = change(&mut relay, &frame, deed);
            rig.hear(&near[1], changed);
            hostile += 1;
        }
        if !first {
            rig.hear(&near[2], frame);
        }
        rig.said.clear();
        rig.datagrams.clear();
    }
    // Again, and in another order.
    for frame in kept.into_iter().rev() {
        rig.hear(&near[3], frame);
    }
    let delivered: BTreeSet<MessageId> = rig.delivered.iter().map(|delivery| delivery.message).collect();
    assert_eq!((rig.delivered.len(), &delivered), (honest.len(), &honest), "the true ones, once each");
    let counted: usize = rig.refused.values().sum();
    assert_eq!(counted, hostile, "each is refused for a reason: {:?}", rig.refused);
    println!("{hostile} hostile messages: {:?}", rig.refused);
}

/// Honest messages that are said again at the end: not more than the node remembers.
const KEPT: usize = 20_000;

fn message_of(frame: &Frame) -> MessageId {
    match frame {
        Frame::Data(header, _) => header.fixed.message(),
        Frame::Task(task, _) => task.header.fixed.message(),
        other => panic!("no message: {other:?}"),
    }
}

fn change(relay: &mut Relay, frame: &Frame, deed: Deed) -> Frame {
    let mut frame = frame.clone();
    let (header, payload) = match &mut frame {
        Frame::Data(header, payload) => (header, payload),
        Frame::Task(task, payload) => (&mut task.header, payload),
        other => panic!("no message: {other:?}"),
    };
    let (signature, said) = (header.fixed.signature(), Statement::from(header.fixed.clone()));
    let (fixed, changed) = deed(relay, said, signature, payload.to_vec());
    header.fixed = fixed;
    *payload = Bytes::from(changed);
    frame
}

#[test]
fn of_many_thousand_messages_that_a_relay_has_changed_none_is_delivered_and_no_true_one_is_lost() {
    attack(if std::env::var_os("CICADA_FULL").is_some() { 1_000_000 } else { 9_000 });
}
