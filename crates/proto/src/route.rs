//! Unicasts and their receipts on their way.
//!
//! A message travels hop by hop over live links, each hop acknowledged, another one tried when it is not. Its target answers
//! with a receipt, which travels the same way back to the origin; without one the origin sends a further copy over another first
//! hop until its time is over. However many copies arrive, the application gets one.
//!
//! What is bounded: `in_flight` messages and `in_flight_bytes` of payload are held, ours and others' together. At the limit our
//! own are refused as `Full`, those of others as over budget, so that the hop before tries another way; receipts are dropped, and
//! their origins try again. `seen` numbers are remembered, for as long as a copy could still be accepted.
//!
//! Read on in `next` (which way), `custody` (hop by hop), `sending` (end to end).

mod arrival;
mod arriving;
mod copy;
mod custody;
mod direct;
mod next;
mod sealing;
mod sending;

use crate::{
    attach::Attachments,
    body::{Body, BodyId, LONG_BYTES},
    config::KeyLevel,
    context::Context,
    deliver::Deliveries,
    event::{Delivery, Event, HopOutcome, PathReport, Receipt, SendError},
    input::{Ack, DialError, Operation, Route, SendOptions},
    links::{Link, LinkId, RoundTrip},
    outbox::Transmit,
    overlay::Overlay,
    seen::{Seen, Window},
    sessions::{Acquaintance, Purpose, Sessions},
    step::Step,
    time::Instant,
    trusted::{self, Boots, Draft},
};
use arriving::Arrival;
use bytes::Bytes;
use cicada_wire::{Address, Authentication, Frame, Hash, Header, HopVerdict, MAX_HOPS, MessageId, Mutable, Refusal};
pub use copy::RELAYED_BYTES;
use copy::{Choice, Copy, CopyKey, Previous};
pub(crate) use custody::{AHEAD_BYTES, LEAST_PATIENCE, MOST_PATIENCE, at_slowest};
use custody::{Custody, News};
use sealing::{Unopened, read_status};
use sending::{Sending, Verdict};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// What routing looks at while it decides.
pub(crate) struct Map<'a> {
    pub(crate) overlay: &'a Overlay,
    pub(crate) attachments: &'a Attachments,
    pub(crate) sessions: &'a Sessions,
}

/// A message that the application wants to send.
pub(crate) struct Outgoing {
    pub(crate) operation: Operation,
    pub(crate) target: Hash,
    pub(crate) address: Option<Address>,
    pub(crate) payload: Bytes,
    pub(crate) options: SendOptions,
}

/// All unicasts and receipts that wait for something.
#[derive(Debug, Default)]
pub(crate) struct Router {
    custody: Custody,
    sendings: BTreeMap<MessageId, Sending>,
    timers: BTreeSet<(Instant, MessageId)>,
    /// What the application has got, or takes as sent to itself.
    seen: Seen<()>,
    /// To whom links for later messages were wished lately.
    dialled: Window<Hash, ()>,
    /// Long messages for this peer's application that are not whole yet.
    arriving: BTreeMap<BodyId, Arrival>,
    boots: Boots,
    /// Messages for this peer's application that wait for their session.
    unopened: Unopened,
    /// From a message to its receipt, whoever the target.
    journey: RoundTrip,
}

impl Router {
    // --- The application's messages

    /// The application sends. Ends with `Sent` or `SendFailed`, always.
    pub(crate) fn send(&mut self, cx: &mut Context<'_>, map: &Map<'_>, deliveries: &mut Deliveries, outgoing: Outgoing) {
        let (operation, length) = (outgoing.operation, outgoing.payload.len());
        let limit = cx.config.limits.message_bytes;
        if length > limit {
            return cx.out.event(Event::SendFailed { operation, error: SendError::TooLarge { length, limit } });
        }
        if self.custody.charge(cx, length).is_err() {
            return cx.out.event(Event::SendFailed { operation, error: SendError::Full });
        }
        let draft = Draft::unicast(outgoing.target, self.boots.of(cx, outgoing.target));
        let (fixed, sealed) = trusted::make(cx, map.sessions, &draft, outgoing.payload.clone());
        let message = fixed.message();
        let sending = Sending::new(cx.now, outgoing, fixed, sealed);
        self.timers.insert((sending.due, message));
        self.sendings.insert(message, sending);
        self.first_attempts(cx, map, deliveries, message);
        self.hear_news(cx, map);
    }

    fn first_attempts(&mut self, cx: &mut Context<'_>, map: &Map<'_>, deliveries: &mut Deliveries, message: MessageId) {
        match self.sendings.get(&message) {
            Some(sending) if sending.target == cx.me.id() => self.deliver_to_self(cx, deliveries, message),
            Some(_) => self.launch(cx, map, message),
            None => {}
        }
    }

    /// Sends as many copies as were asked for.
    fn launch(&mut self, cx: &mut Context<'_>, map: &Map<'_>, message: MessageId) {
        let Some(sending) = self.sendings.get(&message) else { return };
        let (target, route, copies) = (sending.target, sending.options.route, sending.options.duplicates.min(MAX_DUPLICATES));
        match route {
            Route::Direct => return self.attempt_directly(cx, map, message),
            Route::Auto => self.wish_link(cx, map, target),
            Route::Overlay => {}
        }
        for slot in 0..=copies {
            if !self.attempt(cx, map, message, slot, None) && slot > 0 {
                break;
            }
            // What became of this copy decides which first hops the next one has left.
            self.hear_news(cx, map);
        }
        if let Some(sending) = self.sendings.get_mut(&message) {
            sending.launched = true;
        }
        self.end_unattended(cx, message, Ack::None);
    }

    /// Sends a copy for `slot`: the usual way, or over any first hop but the `avoided` ones. Whether somebody was found for it.
    fn attempt(&mut self, cx: &mut Context<'_>, map: &Map<'_>, message: MessageId, slot: u8, avoided: Option<&BTreeSet<Hash>>) -> bool {
        let Some(sending) = self.sendings.get_mut(&message) else { return false };
        let mut tried: BTreeSet<Hash> = sending.first_hops_beside(slot);
        tried.extend(avoided.into_iter().flatten());
        let direct = sending.options.route == Route::Direct;
        let Some(number) = sending.attempt(cx.now, slot) else {
            sending.due = sending.deadline;
            self.update_timer(message);
            return false;
        };
        // Who handed on the question will hand on what it was for.
        let route = if number == 0 && !direct { sending.take_way() } else { Vec::new() };
        let hop = Mutable { hop_limit: MAX_HOPS, copy: number, route, patient: sending.options.ack == Ack::None, ..Mutable::default() };
        let mut copy = Copy::new(Header { fixed: sending.fixed.clone(), hop }, Body::Whole(sending.payload.clone()), Previous::Here);
        copy.charged = false;
        copy.choice = match (direct, slot == 0 && number == 0) {
            (true, _) => Choice::Direct,
            (false, true) => Choice::Nearer,
            (false, false) => Choice::Any,
        };
        // A repeated first copy goes where the first one would, as long as that was not silent.
        if !direct && slot == 0 && avoided.is_none() {
            copy.choice = Choice::Nearer;
            tried.clear();
        }
        copy.tried = tried;
        let usual = cx.slowness + self.journey.timeout(LEAST_JOURNEY, MOST_JOURNEY) + at_slowest(sending.payload.len());
        sending.wait_for_receipt(cx.now, usual);
        let result = self.custody.take(cx, map, copy);
        if let (Err(refusal), Some(sending)) = (result, self.sendings.get_mut(&message)) {
            if slot > 0 {
                sending.drop_last();
            } else {
                let verdict = sending.on_failed(cx.now, number, refusal);
                self.act(cx, message, verdict);
            }
        }
        self.update_timer(message);
        result.is_ok()
    }

    /// The time of a message has come: another attempt, or its end.
    fn on_due(&mut self, cx: &mut Context<'_>, map: &Map<'_>, message: MessageId) {
        let Some(sending) = self.sendings.get_mut(&message) else { return };
        if cx.now >= sending.deadline || sending.is_acked() {
            let end = sending.end();
            return self.finish(cx, message, end);
        }
        if !sending.launched {
            return self.launch(cx, map, message);
        }
        match sending.options.route {
            Route::Direct => self.attempt_directly(cx, map, message),
            Route::Auto | Route::Overlay => {
                let avoided = sending.on_silence().then(|| sending.avoided());
                if !self.attempt(cx, map, message, 0, avoided.as_ref()) && avoided.is_some_and(|avoided| !avoided.is_empty()) {
                    self.sendings.get_mut(&message).into_iter().for_each(Sending::begin_round);
                    self.attempt(cx, map, message, 0, None);
                }
            }
        }
    }

    /// What the target, or the member responsible for it, says of a message of ours.
    fn on_receipt(&mut self, cx: &mut Context<'_>, map: &Map<'_>, hop: Hash, header: &Header, payload: &Bytes) {
        let from = header.fixed.origin.id();
        let (status, level) = match read_status(cx, map.sessions, header, payload) {
            Ok(status) => status,
            Err(refusal) => return cx.refuse(Some(from), refusal),
        };
        let Some(message) = header.fixed.about else { return cx.refuse(Some(from), Refusal::Malformed) };
        // A receipt for what has had its end already is nobody's fault.
        let Some(sending) = self.sendings.get_mut(&message) else { return };
        let from_target = from == sending.target;
        let speaks_for_others = status.refusal == Some(Refusal::NoSuchPeer);
        if !from_target && !speaks_for_others {
            return cx.refuse(Some(from), Refusal::Unexpected);
        }
        if let (true, Some(Refusal::OtherBoot), Some(boot)) = (from_target, status.refusal, status.boot) {
            self.boots.note(cx, from, boot);
            return self.make_again(cx, map.sessions, message, Some(boot));
        }
        match (&sending.fixed.authentication, status.refusal, status.credential.as_ref()) {
            (Authentication::Asks(_), Some(Refusal::KeyWanted), Some(credential)) if from_target => {
                sending.on_introduced(cx.now, status.path.clone());
                let informer = cx.links.to_peer(hop).map(|link| link.remote);
                let who = informer.map(|informer| Acquaintance { origin: header.fixed.origin, credential: credential.clone(), informer });
                who.into_iter().for_each(|who| cx.step(Step::Introduced { who: Box::new(who), purpose: Purpose::Ours }));
                return self.update_timer(message);
            }
            (Authentication::Sealed { session, .. }, Some(Refusal::NoSession), _) if from_target => {
                let session = *session;
                cx.step(Step::SessionOver { peer: from, session });
                return self.ask_again(cx, map.sessions, message);
            }
            _ => {}
        }
        if let Authentication::Sealed { session, .. } = header.fixed.authentication {
            cx.step(Step::SessionAnswered { peer: from, session });
        }
        let (verdict, took) = sending.on_receipt(cx.now, from_target, status, level);
        if let Some(took) = took.filter(|_| sending.payload.len() <= LONG_BYTES) {
            self.journey.measured(took);
        }
        self.act(cx, message, verdict);
    }

    fn act(&mut self, cx: &mut Context<'_>, message: MessageId, verdict: Verdict) {
        match verdict {
            Verdict::Wait => self.update_timer(message),
            Verdict::End(result) => self.finish(cx, message, result),
        }
    }

    fn finish(&mut self, cx: &mut Context<'_>, message: MessageId, result: Result<Receipt, SendError>) {
        let Some(sending) = self.sendings.remove(&message) else { return };
        self.timers.remove(&(sending.timer, message));
        self.custody.discharge(sending.plain.len());
        let unattended = sending.options.ack != Ack::EndToEnd && result.is_ok();
        self.custody.release(cx.me.id(), message, unattended);
        let operation = sending.operation;
        cx.out.event(match result {
            Ok(receipt) => Event::Sent { operation, receipt },
            Err(error) => Event::SendFailed { operation, error },
        });
    }

    fn update_timer(&mut self, message: MessageId) {
        let Some(sending) = self.sendings.get_mut(&message) else { return };
        if sending.timer != sending.due {
            self.timers.remove(&(sending.timer, message));
            sending.timer = sending.due;
        }
        self.timers.insert((sending.due, message));
    }

    /// Ends a message whose sender waits for no more than `reached`.
    fn end_unattended(&mut self, cx: &mut Context<'_>, message: MessageId, reached: Ack) {
        let Some(sending) = self.sendings.get(&message) else { return };
        let handed = !sending.first_hops().is_empty();
        // Whoever seals for a start that it does not know, or asks, has to hear of the target first.
        if sending.launched && handed && sending.options.ack == reached && !trusted::is_unaddressed(&sending.fixed) {
            let receipt = sending.receipt();
            self.finish(cx, message, Ok(receipt));
        }
    }

    /// What became of copies here.
    fn hear_news(&mut self, cx: &mut Context<'_>, map: &Map<'_>) {
        while let Some(news) = self.custody.next_news() {
            match news {
                News::Offered { key, to } if self.is_own(cx, key) => {
                    if let Some(sending) = self.sendings.get_mut(&key.message) {
                        sending.on_offered(key.copy, to);
                    }
                    self.end_unattended(cx, key.message, Ack::None);
                }
                News::Taken { key } if self.is_own(cx, key) => self.end_unattended(cx, key.message, Ack::FirstHop),
                News::Offered { .. } | News::Taken { .. } => {}
                News::Unneeded { body } => cx.out.transmits.push_back(Transmit::Discard { body }),
                News::DeadEnd { key, copy, refusal } => self.on_dead_end(cx, map, key, &copy, refusal),
            }
        }
    }

    fn is_own(&self, cx: &Context<'_>, key: CopyKey) -> bool {
        key.origin == cx.me.id() && !key.receipt
    }

    fn on_dead_end(&mut self, cx: &mut Context<'_>, map: &Map<'_>, key: CopyKey, copy: &Copy, refusal: Refusal) {
        match copy.previous {
            Previous::Here if key.receipt => cx.refuse(copy.target(), refusal),
            Previous::Here => {
                if let Some(sending) = self.sendings.get_mut(&key.message) {
                    let verdict = sending.on_failed(cx.now, key.copy, refusal);
                    self.act(cx, key.message, verdict);
                }
            }
            Previous::Hop(from) if refusal == Refusal::NoSuchPeer && !key.receipt => {
                self.answer(cx, map, from, &copy.header, Some(refusal));
            }
            Previous::Hop(from) => {
                if let Some(link) = cx.links.to_peer(from).map(|link| link.id) {
                    cx.out.frame(link, Frame::HopVerdict(key.verdict(Some(refusal))));
                }
            }
        }
    }

    // --- To oneself

    fn deliver_to_self(&mut self, cx: &mut Context<'_>, deliveries: &mut Deliveries, message: MessageId) {
        let Some(sending) = self.sendings.get_mut(&message) else { return };
        if !deliveries.has_room(cx) {
            sending.on_busy(cx.now);
            return self.update_timer(message);
        }
        let delivery = Delivery {
            message,
            origin: cx.me.origin(),
            payload: sending.plain.clone(),
            level: KeyLevel::Proven,
            broadcast: false,
            hops: 0,
            path: Vec::new(),
        };
        let path = PathReport { first_hop: cx.me.id(), relays: Vec::new(), outcome: HopOutcome::Acked };
        let receipt = Receipt {
            message,
            acked: true,
            paths: vec![path],
            round_trip: Some(cx.now.since(sending.started)),
            level: Some(KeyLevel::Proven),
        };
        deliveries.deliver(cx, delivery);
        self.finish(cx, message, Ok(receipt));
    }

    // --- Inputs

    /// The next hop took a message over, or refused it.
    pub(crate) fn on_verdict(&mut self, cx: &mut Context<'_>, map: &Map<'_>, link: LinkId, verdict: &HopVerdict) {
        let Some(from) = cx.links.link(link).map(Link::peer) else { return };
        self.custody.on_verdict(cx, map, from, CopyKey::of_verdict(verdict), verdict.refusal);
        self.hear_news(cx, map);
    }

    /// A link is up, or its other end was proven: messages may have waited for it.
    pub(crate) fn on_link_up(&mut self, cx: &mut Context<'_>, map: &Map<'_>, link: LinkId) {
        let Some(peer) = cx.links.link(link).map(Link::peer) else { return };
        self.custody.on_link_up(cx, map, peer);
        self.hear_news(cx, map);
        if next::usable(cx, peer) {
            let waiting = self.sendings.values().filter(|sending| sending.wants_link() && sending.target != cx.me.id());
            let waiting: Vec<MessageId> = waiting.map(Sending::message).collect();
            for message in waiting {
                self.on_due(cx, map, message);
            }
            self.hear_news(cx, map);
        }
    }

    /// A link is down: what it was handed goes another way.
    pub(crate) fn on_link_down(&mut self, cx: &mut Context<'_>, map: &Map<'_>, link: LinkId, peer: Hash) {
        self.custody.on_link_down(cx, map, link, peer);
        self.hear_news(cx, map);
    }

    /// A dial failed.
    pub(crate) fn on_dial_failed(&mut self, cx: &mut Context<'_>, map: &Map<'_>, to: Address, _error: DialError) {
        self.custody.on_dial_failed(cx, map, to);
        self.hear_news(cx, map);
        self.on_direct_dial_failed(cx, to);
    }

    /// Whether something that was handed over this link to `peer` is not acknowledged yet, or has not left.
    pub(crate) fn awaits(&self, link: LinkId, peer: Hash) -> bool {
        self.custody.awaits(link, peer)
    }

    /// This peer leaves: whether messages of ours or receipts still wait, so that leaving should wait a moment.
    pub(crate) fn is_busy(&self) -> bool {
        !self.sendings.is_empty() || !self.arriving.is_empty() || !self.unopened.is_empty() || self.custody.is_busy()
    }

    /// This peer has left: every send fails.
    pub(crate) fn abort(&mut self, cx: &mut Context<'_>) {
        for sending in std::mem::take(&mut self.sendings).into_values() {
            cx.out.event(Event::SendFailed { operation: sending.operation, error: SendError::Closing });
        }
        self.timers.clear();
        self.unopened = Unopened::default();
        self.arriving.clear();
        self.custody.clear();
    }

    pub(crate) fn on_wake(&mut self, cx: &mut Context<'_>, map: &Map<'_>, deliveries: &mut Deliveries) {
        self.custody.on_wake(cx, map);
        self.hear_news(cx, map);
        while let Some((due, message)) = self.timers.first().copied() {
            if due > cx.now {
                break;
            }
            let own = self.sendings.get(&message).is_some_and(|sending| sending.target == cx.me.id() && cx.now < sending.deadline);
            if own {
                self.deliver_to_self(cx, deliveries, message);
            } else {
                self.on_due(cx, map, message);
            }
            self.hear_news(cx, map);
        }
    }

    pub(crate) fn next_timeout(&self) -> Option<Instant> {
        let message = self.timers.first().map(|(due, _)| *due);
        [message, self.custody.next_timeout()].into_iter().flatten().min()
    }
}

/// Copies beyond this are not made.
const MAX_DUPLICATES: u8 = 16; // architecture

/// Between sending and the next attempt. The shortest is twice the longest wait for a single hop's acknowledgement.
const LEAST_JOURNEY: Duration = Duration::from_millis(500); // guess
const MOST_JOURNEY: Duration = Duration::from_millis(1500); // guess
