//! Trusted peers: those with whom keys were agreed beforehand. What goes to them is sealed, and what comes from them must be.
//!
//! That holds for unicasts and receipts; a broadcast is for everybody. A message is sealed once for all its copies, and bound to one
//! start of its target, so that a restarted target, which remembers nothing, takes no old message for a new one. Who does not know
//! that start is told it. A refusal that is about the keys themselves travels in the clear, since it is for somebody who
//! could not open it: it is a claim, which delays a message and does not end it before others had their chance.

use crate::context::Context;
use bytes::Bytes;
use cicada_wire::{Authentication, Hash, Immutable, Kind, MessageId, PairKeys, PayloadDigest, Refusal, Statement};
use rand::Rng;
use std::collections::BTreeMap;

/// The keys of trusted peers, by their ids.
#[derive(Clone, Debug, Default)]
pub struct Keyring(BTreeMap<Hash, PairKeys>);

impl Keyring {
    /// Trusts a peer from now on; instead of earlier keys for it.
    pub fn trust(&mut self, peer: Hash, keys: PairKeys) {
        self.0.insert(peer, keys);
    }

    /// Whether nobody is trusted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Who is trusted, in the order of the ids.
    pub fn peers(&self) -> impl Iterator<Item = Hash> {
        self.0.keys().copied()
    }

    pub(crate) fn trusts(&self, peer: Hash) -> bool {
        self.0.contains_key(&peer)
    }
}

/// The starts of trusted peers, as they told us. No more than there are keys.
#[derive(Debug, Default)]
pub(crate) struct Boots(BTreeMap<Hash, u64>);

impl Boots {
    pub(crate) fn note(&mut self, cx: &Context<'_>, peer: Hash, boot: u64) {
        if cx.config.trusted.trusts(peer) {
            self.0.insert(peer, boot);
        }
    }

    /// Which start of a peer is known: of its link, else as it told us.
    pub(crate) fn of(&self, cx: &Context<'_>, peer: Hash) -> Option<u64> {
        cx.links.to_peer(peer).map(|link| link.boot).or_else(|| self.0.get(&peer).copied())
    }
}

/// What a message of ours is to be.
pub(crate) struct Draft {
    pub(crate) kind: Kind,
    pub(crate) target: Option<Hash>,
    /// Of a receipt: the message that it is about.
    pub(crate) about: Option<MessageId>,
    /// Which start of its target it is for, if it is sealed.
    pub(crate) boot: Option<u64>,
    /// It is not sealed, whoever it is for.
    pub(crate) clear: bool,
}

impl Draft {
    pub(crate) fn broadcast() -> Self {
        Self { kind: Kind::Broadcast, target: None, about: None, boot: None, clear: true }
    }

    pub(crate) fn unicast(target: Hash, boot: Option<u64>) -> Self {
        Self { kind: Kind::Unicast, target: Some(target), about: None, boot, clear: false }
    }
}

/// Makes a message that begins here: its statement, and its payload as it travels.
pub(crate) fn make(cx: &mut Context<'_>, draft: &Draft, payload: Bytes) -> (Immutable, Bytes) {
    let mut statement = Statement {
        version: Statement::VERSION,
        kind: draft.kind,
        origin: cx.me.origin(),
        target: draft.target,
        number: cx.rng.next_u64(),
        length: payload.len() as u64,
        made_at: cx.clock,
        boot: cx.me.boot,
        authentication: Authentication::None,
        digest: PayloadDigest([0; 32]),
        about: draft.about,
    };
    let keys = draft.target.filter(|_| !draft.clear).and_then(|target| cx.config.trusted.0.get(&target));
    let payload = match keys {
        Some(keys) => {
            let mut nonce = [0; PairKeys::NONCE_BYTES];
            cx.rng.fill_bytes(&mut nonce);
            statement.length += PairKeys::SEAL_BYTES as u64;
            statement.authentication = Authentication::Keyed { nonce, boot: draft.boot };
            Bytes::from(keys.seal(nonce, &statement.associated_data(), &payload))
        }
        None => payload,
    };
    statement.digest = PayloadDigest::of(&payload);
    (statement.into(), payload)
}

/// Whether a message for us is sealed as it should be, as far as its header says.
///
/// # Errors
/// When it is not.
pub(crate) fn check(cx: &Context<'_>, fixed: &Immutable) -> Result<(), Refusal> {
    let trusted = cx.config.trusted.trusts(fixed.origin.id());
    match fixed.authentication {
        Authentication::None if trusted => Err(Refusal::InTheClear),
        Authentication::None => Ok(()),
        Authentication::Keyed { .. } if !trusted => Err(Refusal::NoPairKey),
        Authentication::Keyed { boot, .. } if boot != Some(cx.me.boot) => Err(Refusal::OtherBoot),
        Authentication::Keyed { .. } => Ok(()),
    }
}

/// What a message for us says.
///
/// # Errors
/// When it is not sealed as it should be.
pub(crate) fn open(cx: &Context<'_>, fixed: &Immutable, payload: Bytes) -> Result<Bytes, Refusal> {
    let Authentication::Keyed { nonce, .. } = fixed.authentication else { return check(cx, fixed).map(|()| payload) };
    let keys = cx.config.trusted.0.get(&fixed.origin.id()).ok_or(Refusal::NoPairKey)?;
    let plain = keys.open(nonce, &fixed.associated_data(), &payload)?;
    // Only who has the keys learns which start this is.
    check(cx, fixed).map(|()| Bytes::from(plain))
}

/// How much longer a message is for being sealed.
pub(crate) fn seal_bytes(fixed: &Immutable) -> usize {
    match fixed.authentication {
        Authentication::None => 0,
        Authentication::Keyed { .. } => PairKeys::SEAL_BYTES,
    }
}

/// Whether a message is sealed and its target's start was not known: it will be refused, to learn that.
pub(crate) fn is_unaddressed(fixed: &Immutable) -> bool {
    matches!(fixed.authentication, Authentication::Keyed { boot: None, .. })
}

/// Whether a refusal is about the keys themselves.
pub(crate) fn is_about_keys(refusal: Refusal) -> bool {
    matches!(refusal, Refusal::OtherPairKey | Refusal::NoPairKey | Refusal::InTheClear)
}
