//! Trusted peers: those with whom keys were agreed beforehand. What goes to them is sealed, and what comes from them must be.
//!
//! That holds for unicasts and receipts; a broadcast is for everybody. A message is sealed once for all its copies, and bound to one
//! start of its target, so that a restarted target, which remembers nothing, takes no old message for a new one. Who does not know
//! that start is told it. A refusal that is about the keys themselves travels in the clear, since it is for somebody who
//! could not open it: it is a claim, which delays a message and does not end it before others had their chance.

use crate::{
    config::{Config, KeyLevel},
    context::Context,
    notary,
    sessions::Sessions,
};
use bytes::Bytes;
use cicada_wire::{Authentication, Hash, Immutable, Kind, MessageId, PairKeys, PayloadDigest, Refusal, Session, SessionId, Statement};
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
    /// Which start of its target it is for, if it is sealed with the keys of a pair.
    pub(crate) boot: Option<u64>,
    /// Of a receipt: with which session its message was sealed.
    pub(crate) sealed_with: Option<SessionId>,
    /// It is not sealed, whoever it is for.
    pub(crate) clear: bool,
}

impl Draft {
    pub(crate) fn broadcast() -> Self {
        Self { kind: Kind::Broadcast, target: None, about: None, boot: None, sealed_with: None, clear: true }
    }

    pub(crate) fn unicast(target: Hash, boot: Option<u64>) -> Self {
        Self { kind: Kind::Unicast, target: Some(target), about: None, boot, sealed_with: None, clear: false }
    }

    /// Only asks the target for its credential.
    pub(crate) fn question(target: Hash) -> Self {
        Self { clear: true, ..Self::unicast(target, None) }
    }
}

/// With what a message of ours is sealed.
enum Seal<'a> {
    None,
    Pair(&'a PairKeys),
    Session(&'a Session),
}

/// Makes a message that begins here: its statement, and its payload as it travels.
pub(crate) fn make(cx: &mut Context<'_>, sessions: &Sessions, draft: &Draft, payload: Bytes) -> (Immutable, Bytes) {
    let mut statement = Statement {
        version: Statement::VERSION,
        kind: draft.kind,
        origin: cx.me.origin(),
        target: draft.target,
        number: cx.rng.next_u64(),
        length: 0,
        made_at: cx.clock,
        boot: cx.me.boot,
        authentication: Authentication::None,
        digest: PayloadDigest([0; 32]),
        about: draft.about,
    };
    let (authentication, seal) = protection(cx, cx.config, sessions, draft);
    let asks = matches!(authentication, Authentication::Asks(_));
    statement.authentication = authentication;
    // A question says nothing.
    let payload = if asks { Bytes::new() } else { payload };
    statement.length = (payload.len() + seal_bytes_of(&statement)) as u64;
    let payload = match (seal, &statement.authentication) {
        (Seal::Pair(keys), Authentication::Keyed { nonce, .. }) => Bytes::from(keys.seal(*nonce, &statement.associated_data(), &payload)),
        (Seal::Session(session), _) => Bytes::from(session.seal(&statement, &payload)),
        (Seal::None | Seal::Pair(_), _) => payload,
    };
    statement.digest = PayloadDigest::of(&payload);
    (statement.into(), payload)
}

/// What proves that a message of ours is ours, and what seals it.
fn protection<'a>(cx: &mut Context<'_>, config: &'a Config, sessions: &'a Sessions, draft: &Draft) -> (Authentication, Seal<'a>) {
    let secured = notary::signs(cx);
    let Some(target) = draft.target else {
        return (if secured { notary::by_our_signature(cx) } else { Authentication::None }, Seal::None);
    };
    if let Some(keys) = config.trusted.0.get(&target).filter(|_| !draft.clear) {
        let mut nonce = [0; PairKeys::NONCE_BYTES];
        cx.rng.fill_bytes(&mut nonce);
        return (Authentication::Keyed { nonce, boot: draft.boot }, Seal::Pair(keys));
    }
    let credential = cx.me.credential.clone().filter(|_| secured);
    match (draft.kind, credential) {
        (Kind::Unicast, Some(credential)) => match sessions.for_peer(cx.now, target).filter(|_| !draft.clear) {
            Some((session, opening)) => {
                (Authentication::Sealed { session: session.id(), opening: opening.cloned() }, Seal::Session(session))
            }
            None => (Authentication::Asks(credential), Seal::None),
        },
        (Kind::Receipt, Some(_)) if !draft.clear => match draft.sealed_with.and_then(|session| sessions.get(cx.now, session)) {
            Some(known) => (Authentication::Sealed { session: known.session.id(), opening: None }, Seal::Session(&known.session)),
            None => (Authentication::None, Seal::None),
        },
        (Kind::Unicast | Kind::Receipt | Kind::Broadcast, _) => (Authentication::None, Seal::None),
    }
}

/// Whether a message for us is sealed as it should be, as far as its header says.
///
/// # Errors
/// When it is not.
pub(crate) fn check(cx: &Context<'_>, sessions: &Sessions, fixed: &Immutable) -> Result<(), Refusal> {
    let origin = fixed.origin.id();
    let trusted = cx.config.trusted.trusts(origin);
    match &fixed.authentication {
        Authentication::None | Authentication::Sealed { .. } | Authentication::Asks(_) if trusted => Err(Refusal::InTheClear),
        Authentication::None if notary::signs(cx) && cx.me.credential.is_some() => Err(Refusal::Unsigned),
        Authentication::None => Ok(()),
        // Signatures are for those who read what is for everybody.
        Authentication::Signed { .. } => Err(Refusal::Unexpected),
        Authentication::Keyed { .. } if !trusted => Err(Refusal::NoPairKey),
        Authentication::Keyed { boot, .. } if *boot != Some(cx.me.boot) => Err(Refusal::OtherBoot),
        Authentication::Keyed { .. } => Ok(()),
        Authentication::Asks(_) => Err(Refusal::KeyWanted),
        Authentication::Sealed { session, opening } => match sessions.get(cx.now, *session) {
            Some(known) if known.peer == origin => Ok(()),
            None if opening.is_some() => Ok(()),
            Some(_) | None => Err(Refusal::NoSession),
        },
    }
}

/// What a message for us says, and how well the key is known that proves it.
///
/// # Errors
/// When it is not sealed as it should be.
pub(crate) fn open(cx: &Context<'_>, sessions: &Sessions, fixed: &Immutable, payload: Bytes) -> Result<(Bytes, KeyLevel), Refusal> {
    match &fixed.authentication {
        Authentication::Keyed { nonce, .. } => {
            let keys = cx.config.trusted.0.get(&fixed.origin.id()).ok_or(Refusal::NoPairKey)?;
            let plain = keys.open(*nonce, &fixed.associated_data(), &payload)?;
            // Only who has the keys learns which start this is.
            check(cx, sessions, fixed).map(|()| (Bytes::from(plain), KeyLevel::Pinned))
        }
        Authentication::Sealed { session, .. } => {
            check(cx, sessions, fixed)?;
            let known = sessions.get(cx.now, *session).ok_or(Refusal::NoSession)?;
            let plain = known.session.open(fixed, Vec::from(payload))?;
            Ok((Bytes::from(plain), known.level))
        }
        Authentication::None | Authentication::Signed { .. } | Authentication::Asks(_) => {
            check(cx, sessions, fixed).map(|()| (payload, KeyLevel::Claimed))
        }
    }
}

/// How much longer a message is for being sealed.
pub(crate) fn seal_bytes(fixed: &Immutable) -> usize {
    seal_bytes_of(fixed)
}

fn seal_bytes_of(statement: &Statement) -> usize {
    match statement.authentication {
        Authentication::None | Authentication::Signed { .. } | Authentication::Asks(_) => 0,
        Authentication::Keyed { .. } => PairKeys::SEAL_BYTES,
        Authentication::Sealed { .. } => Session::SEAL_BYTES,
    }
}

/// Whether a message will be refused, to learn what is needed to seal it.
pub(crate) fn is_unaddressed(fixed: &Immutable) -> bool {
    matches!(fixed.authentication, Authentication::Keyed { boot: None, .. } | Authentication::Asks(_))
}

/// Whether a refusal is about the keys themselves.
pub(crate) fn is_about_keys(refusal: Refusal) -> bool {
    matches!(
        refusal,
        Refusal::OtherPairKey
            | Refusal::NoPairKey
            | Refusal::InTheClear
            | Refusal::Unsigned
            | Refusal::UnknownKey
            | Refusal::OtherKey
            | Refusal::PinnedKey
            | Refusal::BadSignature
            | Refusal::NoSession
            | Refusal::KeyWanted
    )
}
