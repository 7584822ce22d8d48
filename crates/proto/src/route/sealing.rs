//! Messages and the sessions that they are sealed with: what waits for one at either end.

use super::{Map, Router, sending::Verdict};
use crate::{
    config::{KeyLevel, Limits},
    context::Context,
    deliver::Deliveries,
    sessions::{Acquaintance, Purpose, Sessions},
    step::Step,
    trusted::{self, Draft},
};
use bytes::Bytes;
use cicada_wire::{Authentication, Hash, Header, MessageId, Refusal, Session, SessionId, Status};

/// A message at its target.
#[derive(Debug)]
pub(super) struct Parcel {
    pub(super) from: Hash,
    pub(super) header: Header,
    pub(super) payload: Bytes,
}

/// Messages whose sessions are being accepted; at most [`MAX_UNOPENED`], as long as two of the longest, and half of either by one link.
#[derive(Debug, Default)]
pub(super) struct Unopened {
    parcels: Vec<(SessionId, Parcel)>,
    bytes: usize,
}

impl Unopened {
    pub(super) fn is_empty(&self) -> bool {
        self.parcels.is_empty()
    }

    /// Gives the message back if too many wait.
    fn hold(&mut self, limits: &Limits, session: SessionId, parcel: Parcel) -> Option<Parcel> {
        let length = parcel.payload.len();
        let of_link = || self.parcels.iter().filter(|(_, other)| other.from == parcel.from);
        let bytes_of_link: usize = of_link().map(|(_, other)| other.payload.len()).sum();
        let longest = limits.message_bytes + Session::SEAL_BYTES;
        if self.parcels.len() >= MAX_UNOPENED
            || self.bytes.saturating_add(length) > 2 * longest
            || of_link().count() >= MAX_UNOPENED / 2
            || bytes_of_link.saturating_add(length) > longest
        {
            return Some(parcel);
        }
        self.bytes += length;
        self.parcels.push((session, parcel));
        None
    }

    fn take(&mut self, session: SessionId) -> Vec<Parcel> {
        let (ready, rest): (Vec<_>, Vec<_>) = std::mem::take(&mut self.parcels).into_iter().partition(|(of, _)| *of == session);
        self.parcels = rest;
        let ready: Vec<Parcel> = ready.into_iter().map(|(_, parcel)| parcel).collect();
        self.bytes -= ready.iter().map(|parcel| parcel.payload.len()).sum::<usize>();
        ready
    }
}

impl Router {
    // --- At the target

    /// A message for this peer's application is here. Yields whom its receipt was handed to, and whether it was accepted.
    pub(super) fn take_in(
        &mut self,
        cx: &mut Context<'_>,
        map: &Map<'_>,
        deliveries: &mut Deliveries,
        parcel: Parcel,
    ) -> (Option<Hash>, bool) {
        let Some(Parcel { from, header, payload }) = self.wait_for_session(cx, map.sessions, parcel) else { return (None, true) };
        let refusal = self.accept(cx, map, deliveries, &header, payload).err();
        let informer = cx.links.to_peer(from).map(|link| link.remote);
        if let (Some(Refusal::KeyWanted), Authentication::Asks(credential), Some(informer)) =
            (refusal, &header.fixed.authentication, informer)
        {
            // It will open a session: whose key it is can be found out meanwhile.
            let who = Acquaintance { origin: header.fixed.origin, credential: credential.clone(), informer };
            cx.step(Step::Introduced { who: Box::new(who), purpose: Purpose::Acquaint });
        }
        (self.answer(cx, map, from, &header, refusal), refusal.is_none())
    }

    /// Holds a message that opens a session; gives it back if that stands already, or never can.
    fn wait_for_session(&mut self, cx: &mut Context<'_>, sessions: &Sessions, parcel: Parcel) -> Option<Parcel> {
        let fixed = &parcel.header.fixed;
        let Authentication::Sealed { session, opening: Some(opening) } = &fixed.authentication else { return Some(parcel) };
        let own = cx.me.credential.as_ref().is_some_and(|own| own.seal == opening.to);
        let informer = cx.links.to_peer(parcel.from).map(|link| link.remote);
        let (true, Some(informer)) = (own && sessions.get(cx.now, *session).is_none(), informer) else { return Some(parcel) };
        let (session, share) = (*session, opening.share);
        let who = Acquaintance { origin: fixed.origin, credential: opening.credential.clone(), informer };
        let refused = self.unopened.hold(&cx.config.limits, session, parcel);
        if refused.is_none() {
            cx.step(Step::Introduced { who: Box::new(who), purpose: Purpose::Theirs(session, share) });
        }
        refused
    }

    /// A session that somebody else has opened stands, or does not.
    pub(crate) fn on_opened(
        &mut self,
        cx: &mut Context<'_>,
        map: &Map<'_>,
        deliveries: &mut Deliveries,
        session: SessionId,
        refusal: Option<Refusal>,
    ) {
        for Parcel { from, header, payload } in self.unopened.take(session) {
            let refusal = refusal.or_else(|| self.accept(cx, map, deliveries, &header, payload).err());
            self.answer(cx, map, from, &header, refusal);
        }
        self.hear_news(cx, map);
    }

    // --- At the origin

    /// There is a session with this peer: what waited for it goes.
    pub(crate) fn on_session(&mut self, cx: &mut Context<'_>, map: &Map<'_>, peer: Hash) {
        for message in self.questions_to(peer) {
            self.make_again(cx, map.sessions, message, None);
        }
    }

    /// There is none, and why.
    pub(crate) fn on_no_session(&mut self, cx: &mut Context<'_>, peer: Hash, refusal: Refusal) {
        for message in self.questions_to(peer) {
            let Some(sending) = self.sendings.get_mut(&message) else { continue };
            let verdict = sending.on_no_session(cx.now, refusal);
            match verdict {
                Verdict::Wait => self.update_timer(message),
                Verdict::End(_) => self.act(cx, message, verdict),
            }
        }
    }

    fn questions_to(&self, peer: Hash) -> Vec<MessageId> {
        let asks = self
            .sendings
            .values()
            .filter(|sending| sending.target == peer && matches!(sending.fixed.authentication, Authentication::Asks(_)));
        asks.map(super::Sending::message).collect()
    }

    /// What a message was sealed for is over, or more is known of its target: it is sealed anew, as a message of its own. No target has
    /// delivered it: that one would have said so.
    pub(super) fn make_again(&mut self, cx: &mut Context<'_>, sessions: &Sessions, message: MessageId, boot: Option<u64>) {
        let Some(target) = self.sendings.get(&message).map(|sending| sending.target) else { return };
        self.replace(cx, sessions, message, &Draft::unicast(target, boot));
    }

    /// The target does not know the session: it is asked for its credential.
    pub(super) fn ask_again(&mut self, cx: &mut Context<'_>, sessions: &Sessions, message: MessageId) {
        let Some(target) = self.sendings.get(&message).map(|sending| sending.target) else { return };
        self.replace(cx, sessions, message, &Draft::question(target));
    }

    fn replace(&mut self, cx: &mut Context<'_>, sessions: &Sessions, message: MessageId, draft: &Draft) {
        let Some(mut sending) = self.sendings.remove(&message) else { return };
        self.timers.remove(&(sending.timer, message));
        self.custody.release(cx.me.id(), message, false);
        let (fixed, sealed) = trusted::make(cx, sessions, draft, sending.plain.clone());
        sending.begin_again(cx.now, fixed, sealed);
        let message = sending.message();
        self.timers.insert((sending.timer, message));
        self.sendings.insert(message, sending);
    }
}

/// What a receipt says, and how well the key is known that proves it.
pub(super) fn read_status(cx: &Context<'_>, sessions: &Sessions, header: &Header, payload: &Bytes) -> Result<(Status, KeyLevel), Refusal> {
    let parse = |bytes: &Bytes| Status::parse(bytes).map_err(|_| Refusal::Malformed);
    match trusted::open(cx, sessions, &header.fixed, payload.clone()) {
        Ok((opened, level)) => Ok((parse(&opened)?, level)),
        // Whoever has no keys for us, or others, can say so in no other way; nor whoever speaks for nobody.
        Err(refusal @ (Refusal::InTheClear | Refusal::Unsigned)) => {
            let status = parse(payload)?;
            let about_keys = status.refusal.is_some_and(trusted::is_about_keys);
            let for_nobody = status.refusal == Some(Refusal::NoSuchPeer);
            if about_keys || (for_nobody && refusal == Refusal::Unsigned) { Ok((status, KeyLevel::Claimed)) } else { Err(refusal) }
        }
        Err(refusal) => Err(refusal),
    }
}

/// Messages that wait for their sessions: a burst of those that open some.
const MAX_UNOPENED: usize = 256; // guess
