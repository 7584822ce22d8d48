//! Broadcasts: a peer that is handed one delivers it, keeps it, and shares its part of the circle among delegates.
//!
//! A task says "everyone within this reach of you". It is acknowledged as soon as its body is held and the tasks that follow from
//! it are on their way, not when they are done; a delegate that does not acknowledge is replaced. Each peer delivers a message
//! once and covers no part twice: of a later, larger task it shares only what is new. Forwarding does not wait for the
//! application; a full queue of deliveries drops for that application only.
//!
//! A long body that breaks off stays, and so do those to whom it is handed on; the rest is fetched from whoever has it (`bodies`).
//!
//! What is bounded: bodies are kept for [`KEPT`] and up to `in_flight_bytes` (beyond that a task is refused, unless older ones
//! that are settled can go); [`FIRST_COPIES`] bodies leave for one message, [`ALL_COPIES`] with those for replaced delegates;
//! [`MAX_PARKED`] extends wait for their bodies. Whose a task's message is, is known before it comes here.
//!
//! Who gets which part is `geometry/shares`; one message here is `recent`; handing over and replacing is `hand`, for others
//! `favour`, what is told and fetched afterwards `repair`.

mod bodies;
mod families;
mod favour;
mod giver;
mod hand;
mod recent;
mod repair;

use crate::{
    body::{Body, StreamId},
    config::{Families, KeyLevel},
    context::Context,
    deliver::Deliveries,
    event::{Event, SendError},
    geometry::{Geometry, Growth, Heir},
    input::Operation,
    links::{Link, LinkId},
    outbox::{Job, JobId, Transmit},
    overlay::Overlay,
    seen::{MessageKey, Seen},
    sessions::Sessions,
    time::Instant,
    trusted::{self, Draft},
};
use bytes::Bytes;
use cicada_wire::{
    Frame, Hash, IdKind, Immutable, MAX_EXCLUDED, MAX_HOPS, Mutable, Reach, Refusal, Role, Signature, Task, TaskVerdict, Ticket,
};
use favour::Favour;
pub(crate) use giver::Giver;
use hand::Errand;
use recent::{Flow, Part, Recent};
use repair::Repair;
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::Duration,
};

/// All broadcasts remembered, and their tasks that wait for a verdict or a link.
#[derive(Debug, Default)]
pub(crate) struct Broadcaster {
    /// With their bodies.
    recent: BTreeMap<MessageKey, Recent>,
    /// How much of the circle was covered for each, longer than the bodies are kept.
    covered: Seen<Reach>,
    errands: BTreeMap<Ticket, Errand>,
    /// Links over which a body was not acknowledged in time, and until when none is handed over them: see `hand`.
    behind: BTreeMap<LinkId, Instant>,
    favours: BTreeMap<Ticket, Favour>,
    /// Long bodies on their way over links, and to whom.
    streams: BTreeMap<StreamId, (MessageKey, Hash)>,
    timers: BTreeSet<(Instant, Timer)>,
    parked: VecDeque<Parked>,
    repair: Repair,
    /// Broadcasts of our application that are being signed.
    unsigned: BTreeMap<JobId, Unsigned>,
    bytes: usize,
}

/// A broadcast of our application until it is signed.
#[derive(Debug)]
struct Unsigned {
    operation: Operation,
    fixed: Immutable,
    payload: Bytes,
    excluded: BTreeSet<Hash>,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Timer {
    /// A delegate's acknowledgement, or the link to it, is overdue.
    Errand(Ticket),
    /// The answer to a favour is.
    Favour(Ticket),
    /// The application is told now, whatever is still open.
    Tell(MessageKey),
    /// The body is dropped.
    Forget(MessageKey),
}

/// An extend that came before its body.
#[derive(Debug)]
struct Parked {
    key: MessageKey,
    link: LinkId,
    task: Task,
    reach: Reach,
    until: Instant,
}

impl Broadcaster {
    // --- The application's broadcasts

    /// The application sends to everybody. Ends with `BroadcastSent` or `BroadcastFailed`, always.
    pub(crate) fn send(
        &mut self,
        cx: &mut Context<'_>,
        overlay: &Overlay,
        sessions: &Sessions,
        operation: Operation,
        payload: Bytes,
        excluded: Vec<Hash>,
    ) {
        let limit = cx.config.limits.message_bytes;
        let error = if payload.len() > limit {
            Some(SendError::TooLarge { length: payload.len(), limit })
        } else if excluded.len() > MAX_EXCLUDED {
            Some(SendError::TooManyExcluded { excluded: excluded.len(), limit: MAX_EXCLUDED })
        } else if self.make_room(cx, payload.len()).is_err() {
            Some(SendError::Full)
        } else {
            None
        };
        if let Some(error) = error {
            return cx.out.event(Event::BroadcastFailed { operation, error });
        }
        let (fixed, payload) = trusted::make(cx, sessions, &Draft::broadcast(), payload);
        let unsigned = Unsigned { operation, fixed, payload, excluded: excluded.into_iter().collect() };
        if unsigned.fixed.signer().is_none() {
            return self.begin(cx, overlay, unsigned);
        }
        let job = cx.job(Job::Sign(unsigned.fixed.hash()));
        self.unsigned.insert(job, unsigned);
    }

    /// A broadcast of ours is signed.
    pub(crate) fn on_signed(&mut self, cx: &mut Context<'_>, overlay: &Overlay, job: JobId, signature: Signature) {
        if let Some(unsigned) = self.unsigned.remove(&job) {
            self.begin(cx, overlay, Unsigned { fixed: unsigned.fixed.signed(signature), ..unsigned });
        }
    }

    fn begin(&mut self, cx: &mut Context<'_>, overlay: &Overlay, unsigned: Unsigned) {
        let Unsigned { operation, fixed, payload, excluded } = unsigned;
        let key = MessageKey::of(&fixed);
        let hop = Mutable { hop_limit: MAX_HOPS, ..Mutable::default() };
        let mut recent = Recent::new(fixed, KeyLevel::Proven, hop, Body::Whole(payload), excluded);
        recent.operation = Some(operation);
        self.keep(cx, key, recent);
        self.timers.insert((cx.now + TELL, Timer::Tell(key)));
        if cx.me.record.record().role == Role::Member {
            if self.begin_at_a_bridge(cx, overlay, key) {
                self.note_covered(cx, key, Reach::ALL);
            } else {
                self.cover(cx, overlay, key, Reach::ALL);
            }
        } else {
            self.note_covered(cx, key, Reach::ALL);
            self.enter(cx, overlay, key);
        }
        self.tell_if_settled(cx, key);
    }

    /// Tells the application once no delegate's answer is awaited any more.
    fn tell_if_settled(&mut self, cx: &mut Context<'_>, key: MessageKey) {
        if self.recent.get(&key).is_some_and(Recent::is_settled) {
            self.tell(cx, key);
        }
    }

    fn tell(&mut self, cx: &mut Context<'_>, key: MessageKey) {
        let Some(recent) = self.recent.get_mut(&key) else { return };
        if let Some(operation) = recent.operation.take() {
            cx.out.event(Event::BroadcastSent { operation, message: key.message, delegates: recent.delegates() });
        }
    }

    // --- Inputs

    /// Whether the message of this task was here before.
    pub(crate) fn knows(&self, cx: &Context<'_>, task: &Task) -> bool {
        self.covered.contains(cx.now, &MessageKey::of(&task.header.fixed))
    }

    /// A task arrived on a link.
    pub(crate) fn on_task(
        &mut self,
        cx: &mut Context<'_>,
        overlay: &Overlay,
        deliveries: &mut Deliveries,
        attested: Attested,
        payload: Body,
    ) {
        let Attested { giver, task, level } = attested;
        let (from, ticket, key) = (giver.peer, task.ticket, MessageKey::of(&task.header.fixed));
        let result = check_task(cx, overlay.geometry(), &giver, &task, payload.len()).and_then(|reach| {
            if cx.config.faults.drops_tasks {
                Ok(Answer::Taken)
            } else if task.extend {
                self.take_extend(cx, overlay, giver.link, task, reach)
            } else {
                self.take_body(cx, overlay, deliveries, &Given { from, task: &task, reach, level }, payload)
            }
        });
        let refusal = match result {
            Ok(Answer::Taken) => {
                self.repair.heard(cx, key, from);
                None
            }
            Ok(Answer::Later) => return,
            Err(refusal) => {
                cx.refuse(Some(from), refusal);
                Some(refusal)
            }
        };
        if !giver.relies_on_us {
            cx.out.frame(giver.link, Frame::TaskVerdict(TaskVerdict { ticket, refusal }));
        }
    }

    fn take_body(
        &mut self,
        cx: &mut Context<'_>,
        overlay: &Overlay,
        deliveries: &mut Deliveries,
        given: &Given<'_>,
        payload: Body,
    ) -> Result<Answer, Refusal> {
        let Given { from, task, reach, level } = *given;
        let key = MessageKey::of(&task.header.fixed);
        self.go_on(cx, from, task, &payload)?;
        let covered = self.covered.get(cx.now, &key).copied();
        if covered.is_some_and(|covered| covered >= reach) {
            return Ok(Answer::Taken);
        }
        if covered.is_none() {
            self.covered.check_time(cx, &key, task.header.fixed.made_at)?;
        }
        if let Some(recent) = self.recent.get_mut(&key) {
            recent.exclude(task);
        } else {
            self.make_room(cx, payload.len())?;
            let mut hop = task.header.hop.clone();
            hop.hop_limit = hop.hop_limit.saturating_sub(1);
            let mut recent = Recent::new(task.header.fixed.clone(), level, hop, payload.clone(), BTreeSet::new());
            recent.exclude(task);
            recent.flow = payload.arriving().map(|_| Flow::Comes { from, since: 0, tail: None });
            self.keep(cx, key, recent);
        }
        // On its way before the application sees it.
        self.cover(cx, overlay, key, reach);
        if covered.is_none() {
            self.hand_to_clients(cx, overlay, key);
            match payload {
                Body::Whole(payload) => self.deliver(cx, deliveries, key, payload),
                Body::Arriving { body, .. } => cx.out.transmits.push_back(Transmit::Collect { body }),
            }
        }
        self.unpark(cx, overlay, key);
        Ok(Answer::Taken)
    }

    fn take_extend(&mut self, cx: &mut Context<'_>, overlay: &Overlay, link: LinkId, task: Task, reach: Reach) -> Result<Answer, Refusal> {
        let key = MessageKey::of(&task.header.fixed);
        if self.recent.contains_key(&key) {
            return self.follow(cx, overlay, key, &task, reach);
        }
        let covered = self.covered.get(cx.now, &key).copied();
        if covered.is_some_and(|covered| covered >= reach) && task.header.hop.route.is_empty() {
            return Ok(Answer::Taken);
        }
        if covered.is_some() || self.parked.len() >= MAX_PARKED {
            // The body is gone already, or there are too many such.
            return Err(Refusal::OverBudget);
        }
        self.parked.push_back(Parked { key, link, task, reach, until: cx.now + PARKED });
        Ok(Answer::Later)
    }

    /// Does what a task without a body asks for.
    fn follow(&mut self, cx: &mut Context<'_>, overlay: &Overlay, key: MessageKey, task: &Task, reach: Reach) -> Result<Answer, Refusal> {
        if let Some(recent) = self.recent.get_mut(&key) {
            recent.exclude(task);
        }
        if let Some(wanted) = task.header.hop.route.first() {
            return self.do_favour(cx, overlay, key, *wanted, reach);
        }
        self.cover(cx, overlay, key, reach);
        Ok(Answer::Taken)
    }

    /// The body of parked extends is here.
    fn unpark(&mut self, cx: &mut Context<'_>, overlay: &Overlay, key: MessageKey) {
        let (ready, rest): (VecDeque<Parked>, VecDeque<Parked>) = self.parked.drain(..).partition(|parked| parked.key == key);
        self.parked = rest;
        for Parked { link, task, reach, .. } in ready {
            let refusal = self.follow(cx, overlay, key, &task, reach).err();
            if cx.links.link(link).is_some() {
                cx.out.frame(link, Frame::TaskVerdict(TaskVerdict { ticket: task.ticket, refusal }));
            }
        }
    }

    /// Whether a task that went over this link to `peer` is not acknowledged yet, or its body has not left.
    pub(crate) fn awaits(&self, link: LinkId, peer: Hash) -> bool {
        self.errands.values().any(|errand| errand.is_over(link))
            || self.favours.values().any(|favour| favour.link == link)
            || self.streams.values().any(|(_, to)| *to == peer)
    }

    /// This peer leaves: whether tasks still wait.
    pub(crate) fn is_busy(&self) -> bool {
        !self.unsigned.is_empty() || !self.errands.is_empty() || !self.favours.is_empty() || !self.streams.is_empty()
    }

    pub(crate) fn on_wake(&mut self, cx: &mut Context<'_>, overlay: &Overlay) {
        self.repair_on_wake(cx);
        while self.parked.front().is_some_and(|parked| parked.until <= cx.now) {
            self.parked.pop_front();
        }
        while let Some((due, timer)) = self.timers.first().copied() {
            if due > cx.now {
                return;
            }
            self.timers.pop_first();
            match timer {
                Timer::Errand(ticket) => self.on_overdue(cx, overlay, ticket),
                Timer::Favour(ticket) => self.end_favour(cx, overlay, ticket, false),
                Timer::Tell(key) => self.tell(cx, key),
                Timer::Forget(key) => self.forget(cx, key),
            }
        }
    }

    pub(crate) fn next_timeout(&self) -> Option<Instant> {
        let parked = self.parked.front().map(|parked| parked.until);
        let timer = self.timers.first().map(|(due, _)| *due);
        [parked, timer, self.repair.next_timeout()].into_iter().flatten().min()
    }

    // --- Memory

    fn keep(&mut self, cx: &mut Context<'_>, key: MessageKey, mut recent: Recent) {
        recent.forget_at = cx.now + KEPT;
        self.bytes += recent.payload.len();
        self.timers.insert((recent.forget_at, Timer::Forget(key)));
        self.repair.keep(cx, key, &recent);
        self.recent.insert(key, recent);
    }

    fn forget(&mut self, cx: &mut Context<'_>, key: MessageKey) {
        self.tell(cx, key);
        self.forget_favours(key);
        let whole = self.recent.get(&key).is_none_or(|recent| recent.payload.arriving().is_none());
        self.repair.forget(key, whole);
        if let Some(recent) = self.recent.remove(&key) {
            self.bytes -= recent.payload.len();
            self.timers.remove(&(recent.forget_at, Timer::Forget(key)));
            if let Some(body) = recent.payload.arriving() {
                // It was not delivered: it may come once more.
                cx.out.transmits.push_back(Transmit::Discard { body });
                self.covered.remove(&key);
            }
        }
        self.abandon(cx, key);
        let open: Vec<(Ticket, Instant)> =
            self.errands.iter().filter(|(_, errand)| errand.key == key).map(|(ticket, errand)| (*ticket, errand.due)).collect();
        for (ticket, due) in open {
            self.errands.remove(&ticket);
            self.timers.remove(&(due, Timer::Errand(ticket)));
        }
    }

    /// Makes room for a body; those whose tasks are settled go, the oldest first.
    fn make_room(&mut self, cx: &mut Context<'_>, length: usize) -> Result<(), Refusal> {
        let limits = &cx.config.limits;
        let (messages, bytes) = (limits.in_flight, limits.in_flight_bytes);
        while self.recent.len() >= messages || self.bytes.saturating_add(length) > bytes {
            let done = |recent: &Recent| recent.is_settled() && recent.flow.is_none_or(|_| recent.stopped_at().is_some());
            let done = self.recent.iter().filter(|(_, recent)| done(recent));
            let oldest = done.min_by_key(|(_, recent)| recent.forget_at).map(|(key, _)| *key);
            self.forget(cx, oldest.ok_or(Refusal::OverBudget)?);
        }
        Ok(())
    }

    // --- Sharing

    /// Shares what lies within `reach` and was not shared before.
    fn cover(&mut self, cx: &mut Context<'_>, overlay: &Overlay, key: MessageKey, reach: Reach) {
        let covered = self.covered.get(cx.now, &key).copied();
        if covered.is_some_and(|covered| covered >= reach) {
            return;
        }
        self.note_covered(cx, key, reach);
        self.share_out(cx, overlay, key, covered.unwrap_or(Reach::ME), reach);
    }

    fn note_covered(&mut self, cx: &Context<'_>, key: MessageKey, reach: Reach) {
        if let Some(recent) = self.recent.get(&key) {
            self.covered.insert(cx, key, reach, recent.fixed.made_at);
        }
    }

    fn share_out(&mut self, cx: &mut Context<'_>, overlay: &Overlay, key: MessageKey, covered: Reach, reach: Reach) {
        let Some(recent) = self.recent.get(&key) else { return };
        let candidates = recent.candidates(cx, overlay);
        let room = FIRST_COPIES.saturating_sub(recent.copies);
        let task = Growth { covered, reach, standing: &recent.standing() };
        let (shares, stretched) = families::shares(cx, overlay, &task, candidates, room);
        // Whoever is behind fails at once, and is replaced by those that have their shares by then.
        let (behind, able): (Vec<_>, Vec<_>) = shares.into_iter().partition(|share| self.is_behind(cx, share.delegate));
        for share in able.into_iter().chain(behind) {
            self.hand_out(cx, overlay, key, Part::Region(share));
        }
        for heir in stretched {
            if let Heir::Extend { .. } = heir {
                self.replace(cx, overlay, key, heir);
            }
        }
        self.tell_if_settled(cx, key);
    }

    /// Clients and leaves get it from the member that owns their id.
    fn hand_to_clients(&mut self, cx: &mut Context<'_>, overlay: &Overlay, key: MessageKey) {
        if cx.me.record.record().role != Role::Member {
            return;
        }
        let Some(recent) = self.recent.get(&key) else { return };
        let is_client =
            |link: &&Link| link.is_open() && link.record.record().role != Role::Member && link.record.record().kind == IdKind::Key;
        let clients = cx.links.iter().filter(is_client).map(Link::peer);
        let ours = |id: &Hash| !recent.excluded.contains(id) && *id != key.origin && overlay.owns(*id);
        let clients: Vec<Hash> = clients.filter(ours).collect();
        for client in clients {
            self.hand_out(cx, overlay, key, Part::Client(client));
        }
    }

    /// A client's broadcast enters the swarm at one member, the root.
    fn enter(&mut self, cx: &mut Context<'_>, overlay: &Overlay, key: MessageKey) {
        use rand::Rng;
        if cx.me.record.record().role == Role::Member {
            if !self.begin_at_a_bridge(cx, overlay, key) {
                // Those that we see are better than none.
                self.share_out(cx, overlay, key, Reach::ME, Reach::ALL);
            }
            return;
        }
        let Some(recent) = self.recent.get(&key) else { return };
        let members: Vec<Hash> = cx.links.members().map(Link::peer).filter(|peer| !recent.is_out(*peer)).collect();
        if !members.is_empty() {
            let entry = members[cx.rng.next_u32() as usize % members.len()];
            self.hand_out(cx, overlay, key, Part::Entry(entry));
        }
    }
}

/// A task of which it is known whose message it is.
pub(crate) struct Attested {
    pub(crate) giver: Giver,
    pub(crate) task: Task,
    /// How well.
    pub(crate) level: KeyLevel,
}

/// A task that brings a body.
struct Given<'a> {
    from: Hash,
    task: &'a Task,
    reach: Reach,
    level: KeyLevel,
}

/// What the sender of a task hears.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Answer {
    Taken,
    /// When the body is here.
    Later,
}

/// Checks a task against who hands it over: the reach that it asks for.
fn check_task(cx: &Context<'_>, geometry: Geometry, giver: &Giver, task: &Task, length: usize) -> Result<Reach, Refusal> {
    let reach = task.header.hop.reach.ok_or(Refusal::Malformed)?;
    if (length as u64).saturating_add(task.offset) > cx.config.limits.message_bytes as u64 {
        return Err(Refusal::TooLarge);
    }
    if task.excluded.contains(&cx.me.id()) {
        return Err(Refusal::Unexpected);
    }
    let limit = match task.header.hop.route.first() {
        Some(wanted) if task.extend => geometry.passable(cx.me.id(), *wanted),
        Some(_) | None => geometry.admissible(cx.me.id(), giver.peer),
    };
    let is_own = task.header.fixed.origin.id() == giver.peer && !task.extend;
    let sees_less = cx.config.families.without(giver.families) != Families::NONE;
    match (giver.role, cx.me.record.record().role) {
        (Role::Member, Role::Member) if reach <= limit => Ok(reach),
        // Of those that it does not see we are the root.
        (Role::Member, Role::Member) if is_own && sees_less => Ok(reach),
        (Role::Member, Role::Client | Role::Leaf) if reach == Reach::ME => Ok(reach),
        (Role::Member, Role::Member | Role::Client | Role::Leaf) => Err(Refusal::NotAdmissible),
        // A client hands its own broadcasts to a member, which begins as their root.
        (Role::Client | Role::Leaf, Role::Member) if is_own => Ok(Reach::ALL),
        (Role::Client | Role::Leaf, Role::Member | Role::Client | Role::Leaf) => Err(Refusal::Unexpected),
    }
}

/// Bodies that a peer sends for one message, if nobody fails.
const FIRST_COPIES: usize = 8; // architecture

/// The same, with those for replaced delegates.
const ALL_COPIES: usize = 16; // architecture

/// Bodies are kept for whoever asks for them later.
pub(crate) const KEPT: Duration = Duration::from_secs(30); // guess: the offers of repair end after 15 s

/// The application is told of its broadcast after this long at the latest.
const TELL: Duration = Duration::from_secs(10);

/// An extend waits for its body this long.
const PARKED: Duration = Duration::from_secs(5);

const MAX_PARKED: usize = 64; // guess
