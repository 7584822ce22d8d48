//! Who was asked to send what to whom, and who received what.

use crate::run::{Failure, SECOND, failure};
use cicada_proto::{Operation, SendOptions};
use cicada_sim::{PeerIndex, World};
use std::collections::BTreeMap;

/// A life of a peer, from a start to a stop.
type Life = (PeerIndex, u32);

/// What a peer was asked to do.
struct Wish {
    operation: Operation,
    by: Life,
    kind: Kind,
}

/// To whom, if it is a message, and what.
enum Kind {
    Send(PeerIndex, String),
    Cast(String),
    Lookup,
}

#[derive(Default)]
pub(crate) struct Ledger {
    wishes: Vec<Wish>,
    lives: BTreeMap<PeerIndex, u32>,
    received: BTreeMap<(Life, Vec<u8>), usize>,
}

impl Ledger {
    fn life(&self, who: PeerIndex) -> Life {
        (who, self.lives.get(&who).copied().unwrap_or_default())
    }

    pub(crate) fn send(&mut self, world: &mut World, from: PeerIndex, to: PeerIndex) {
        let payload = format!("to one {}", self.wishes.len());
        let target = world.id(to);
        let operation = world.begin_send(from, target, payload.clone(), SendOptions::default());
        self.wishes.push(Wish { operation, by: self.life(from), kind: Kind::Send(to, payload) });
    }

    pub(crate) fn cast(&mut self, world: &mut World, who: PeerIndex) {
        let payload = format!("to all {}", self.wishes.len());
        let operation = world.broadcast(who, payload.clone());
        self.wishes.push(Wish { operation, by: self.life(who), kind: Kind::Cast(payload) });
    }

    pub(crate) fn lookup(&mut self, world: &mut World, who: PeerIndex) {
        let key = world.random_key();
        let operation = world.begin_lookup(who, key);
        self.wishes.push(Wish { operation, by: self.life(who), kind: Kind::Lookup });
    }

    /// A peer that has crashed or left starts again: it may well receive again what its former life received.
    pub(crate) fn restarts(&mut self, world: &mut World, who: PeerIndex) {
        // A failure shows when all are asked next.
        let _ = self.collect_of(world, who);
        *self.lives.entry(who).or_default() += 1;
    }

    /// Takes down what everybody has received.
    pub(crate) fn collect(&mut self, world: &mut World) -> Result<(), Failure> {
        (0..world.count()).try_for_each(|who| self.collect_of(world, PeerIndex(who)))
    }

    fn collect_of(&mut self, world: &mut World, who: PeerIndex) -> Result<(), Failure> {
        let life = self.life(who);
        for delivery in world.take_deliveries(who) {
            let name = world.name(who).to_owned();
            let text = String::from_utf8_lossy(&delivery.payload).into_owned();
            let asked = self.wishes.iter().any(|wish| match &wish.kind {
                Kind::Send(to, payload) => *to == who && !delivery.broadcast && payload.as_bytes() == delivery.payload,
                Kind::Cast(payload) => wish.by != life && delivery.broadcast && payload.as_bytes() == delivery.payload,
                Kind::Lookup => false,
            });
            if !asked {
                return Err(failure("only what was sent to it", format!("{name} received \"{text}\"")));
            }
            let times = self.received.entry((life, delivery.payload.to_vec())).or_default();
            *times += 1;
            if *times > 1 {
                return Err(failure("exactly once", format!("{name} received \"{text}\" twice")));
            }
        }
        Ok(())
    }

    fn has(&self, who: PeerIndex, payload: &str) -> bool {
        let lives = self.lives.get(&who).copied().unwrap_or_default();
        (0..=lives).any(|life| self.received.contains_key(&((who, life), payload.as_bytes().to_vec())))
    }

    /// Every receipt is of something that was received.
    pub(crate) fn receipts_are_true(&self, world: &World) -> Result<(), Failure> {
        for wish in &self.wishes {
            let Kind::Send(to, payload) = &wish.kind else { continue };
            if let Some(Ok(receipt)) = world.sent(wish.operation)
                && receipt.acked
                && !self.has(*to, payload)
            {
                let what = format!("{} has a receipt of {} for \"{payload}\"", world.name(wish.by.0), world.name(*to));
                return Err(failure("true receipts", what));
            }
        }
        Ok(())
    }

    /// What was asked of peers that still live has ended, well or badly.
    pub(crate) fn all_ended(&self, world: &World) -> Result<(), Failure> {
        let open =
            |wish: &&Wish| wish.by == self.life(wish.by.0) && world.lives_still(wish.by.0) && world.outcome(wish.operation).is_none();
        match self.wishes.iter().find(open) {
            None => Ok(()),
            Some(wish) => Err(failure("every operation ends", format!("{:?} of {} has not", wish.operation, world.name(wish.by.0)))),
        }
    }

    /// The last broadcast has reached all of these, but for who made it.
    pub(crate) fn last_cast_reached(&self, world: &World, members: &[PeerIndex]) -> Result<(), Failure> {
        let last =
            self.wishes.iter().rev().find_map(|wish| if let Kind::Cast(payload) = &wish.kind { Some((wish, payload)) } else { None });
        let Some((wish, payload)) = last else { return Ok(()) };
        match members.iter().find(|who| **who != wish.by.0 && !self.has(**who, payload)) {
            None => Ok(()),
            Some(who) => Err(failure("broadcasts reach all", format!("that of {} not {}", world.name(wish.by.0), world.name(*who)))),
        }
    }

    /// How many of the last `count` wishes that were unicasts have no receipt; the first of them in words.
    pub(crate) fn last_sends_acknowledged(&self, world: &World, count: usize) -> Result<(), Failure> {
        for wish in self.wishes.iter().rev().take(count) {
            let Kind::Send(to, _) = &wish.kind else { continue };
            match world.sent(wish.operation) {
                Some(Ok(receipt)) if receipt.acked => {}
                other => {
                    let what = format!("{} to {}: {other:?} after {:?}", world.name(wish.by.0), world.name(*to), SECOND * 11);
                    return Err(failure("unicasts are acknowledged", what));
                }
            }
        }
        Ok(())
    }
}
