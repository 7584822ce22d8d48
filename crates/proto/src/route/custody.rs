//! The copies that this peer answers for: each is held until the next hop has taken it over, and a moment longer, since that hop
//! may come to a dead end and hand it back.
//!
//! At the limits of [`crate::config::Limits`] those go first that a next hop has taken over; when there are none, nothing more
//! is taken in: the hop before tries another way.

use super::{
    Map,
    copy::{Copy, CopyKey, Previous, State},
    next::{self, Hop, Next},
};
use crate::{
    body::{Body, BodyId, StreamId},
    config::Families,
    context::Context,
    links::LinkId,
    seen::Window,
    step::Step,
    time::Instant,
};
use bytes::Bytes;
use cicada_wire::{Address, Frame, Hash, MAX_HOPS, MessageId, Refusal, SignedRecord};
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::Duration,
};

/// All copies in this peer's hands.
#[derive(Debug, Default)]
pub(super) struct Custody {
    copies: BTreeMap<CopyKey, Copy>,
    timers: BTreeSet<(Instant, CopyKey)>,
    taken: BTreeSet<(Instant, CopyKey)>,
    /// Copies that were here, and who handed them to us: they do not come here again.
    handled: Window<CopyKey, Previous>,
    /// Payloads on their way over links.
    streams: BTreeMap<StreamId, CopyKey>,
    load: Load,
    news: VecDeque<News>,
}

/// How much is held.
#[derive(Debug, Default)]
struct Load {
    messages: usize,
    bytes: usize,
}

/// What became of a copy.
#[derive(Debug)]
pub(super) enum News {
    /// It was handed to this peer.
    Offered { key: CopyKey, to: Hash },
    /// The next hop has taken it over.
    Taken { key: CopyKey },
    /// A payload that was arriving for it is not needed any more.
    Unneeded { body: BodyId },
    /// There is no way on from here, or nobody to give it to.
    DeadEnd { key: CopyKey, copy: Box<Copy>, refusal: Refusal },
}

impl Custody {
    // --- Inputs

    /// Takes a copy in and hands it on. Yields whom it was handed to, if the link to them stands.
    ///
    /// # Errors
    /// When that is not possible; then the copy is not held.
    pub(super) fn take(&mut self, cx: &mut Context<'_>, map: &Map<'_>, mut copy: Copy) -> Result<Option<Hash>, Refusal> {
        let key = CopyKey::of(&copy.header);
        // A link that another copy waits for is that one's first hop.
        copy.tried.extend(self.siblings(cx.me.id(), key).filter_map(Copy::waits_for));
        if copy.charged {
            self.charge(cx, copy.held_bytes())?;
        }
        let (previous, target) = (copy.previous, copy.target());
        self.timers.insert((copy.due, key));
        self.copies.insert(key, copy);
        let handed = self.advance(cx, map, key).inspect_err(|_| {
            self.drop_copy(key);
        });
        // A receipt of ours that has reached its end will not come by.
        let ended = key.receipt && previous == Previous::Here && handed == Ok(target);
        if !ended {
            self.note(cx, key, previous);
        }
        handed
    }

    /// The next hop has taken a copy over, or refused it.
    pub(super) fn on_verdict(&mut self, cx: &mut Context<'_>, map: &Map<'_>, from: Hash, key: CopyKey, refusal: Option<Refusal>) {
        let Some(copy) = self.copies.get_mut(&key) else { return };
        let offered = match &copy.state {
            State::Offered { to, link, since } if *to == from => Some((*link, *since)),
            State::Taken { by } if *by == from => None,
            // Of a hop that was given up.
            State::Held | State::Waiting { .. } | State::Offered { .. } | State::Taken { .. } => return,
        };
        if refusal == Some(Refusal::OtherFamily) {
            let families = cx.links.to_peer(from).map_or(Families::NONE, |link| Families::of(&link.record));
            copy.header.hop.absent |= families.bits();
        }
        match (refusal, offered) {
            (Some(_), _) => self.try_another(cx, map, key, from),
            (None, Some((link, since))) => {
                let telling = copy.payload.len() <= SMALL_BYTES && !copy.header.hop.patient;
                copy.state = State::Taken { by: from };
                if let Some(link) = cx.links.link_mut(link).filter(|_| telling) {
                    link.round_trip.measured(cx.now.since(since));
                }
                self.wait_for_return(cx.now, key);
                self.news.push_back(News::Taken { key });
            }
            (None, None) => {}
        }
    }

    /// A receipt came from the hop that was handed the message: it has taken the message over, and the target has it. A copy
    /// that began here is of no use any more; of others the one before may ask again.
    pub(super) fn on_receipt(&mut self, cx: &mut Context<'_>, map: &Map<'_>, from: Hash, about: CopyKey) {
        self.on_verdict(cx, map, from, about, None);
        let ended = self
            .copies
            .get(&about)
            .is_some_and(|copy| copy.previous == Previous::Here && copy.next_hop() == Some(from) && copy.stream.is_none());
        if ended {
            self.drop_copy(about);
        }
    }

    /// A payload has left over a link, or will not.
    pub(super) fn on_streamed(&mut self, cx: &mut Context<'_>, map: &Map<'_>, stream: StreamId, complete: bool) {
        let Some(key) = self.streams.remove(&stream) else { return };
        let Some(copy) = self.copies.get_mut(&key).filter(|copy| copy.stream == Some(stream)) else { return };
        copy.stream = None;
        match &copy.state {
            State::Taken { .. } if complete => self.wait_for_return(cx.now, key),
            State::Taken { by } | State::Offered { to: by, .. } if !complete => {
                let by = *by;
                self.try_another(cx, map, key, by);
            }
            // Its verdict is on its way.
            State::Held | State::Waiting { .. } | State::Offered { .. } | State::Taken { .. } => {}
        }
    }

    /// A payload does not arrive: what is handed on of it ends by itself.
    pub(super) fn on_broken(&mut self, body: BodyId) {
        for key in self.those(|copy| copy.payload.is(body)) {
            self.drop_copy(key);
        }
    }

    /// A link is up, or its other end was proven.
    pub(super) fn on_link_up(&mut self, cx: &mut Context<'_>, map: &Map<'_>, peer: Hash) {
        if next::usable(cx, peer) {
            for key in self.those(|copy| copy.waits_for() == Some(peer)) {
                self.hand_over_waiting(cx, map, key, peer);
            }
        }
    }

    /// A link is down: what it was handed and what nobody acknowledged goes another way, or the same if another link stands.
    pub(super) fn on_link_down(&mut self, cx: &mut Context<'_>, map: &Map<'_>, down: LinkId, peer: Hash) {
        if cx.links.to_peer(peer).is_none() {
            for key in self.those(|copy| copy.waits_for() == Some(peer)) {
                self.try_another(cx, map, key, peer);
            }
        }
        for key in self.those(|copy| matches!(&copy.state, State::Offered { link, .. } if *link == down)) {
            let Some(State::Offered { to, .. }) = self.copies.get(&key).map(|copy| &copy.state) else { continue };
            let to = *to;
            if next::usable(cx, to) {
                let last = self.copies.get(&key).is_some_and(|copy| copy.header.hop.last);
                self.offer(cx, key, &Hop { peer: to, last, detour: false, absent: Families::NONE });
            } else {
                self.try_another(cx, map, key, to);
            }
        }
    }

    /// A dial came to nothing.
    pub(super) fn on_dial_failed(&mut self, cx: &mut Context<'_>, map: &Map<'_>, failed: Address) {
        for key in self.those(|copy| matches!(&copy.state, State::Waiting { address, .. } if *address == failed)) {
            if let Some(peer) = self.copies.get(&key).and_then(Copy::waits_for) {
                self.try_another(cx, map, key, peer);
            }
        }
    }

    pub(super) fn on_wake(&mut self, cx: &mut Context<'_>, map: &Map<'_>) {
        while let Some((due, key)) = self.timers.first().copied() {
            if due > cx.now {
                return;
            }
            match self.copies.get(&key).map(|copy| &copy.state) {
                Some(State::Offered { to, .. }) => {
                    let to = *to;
                    cx.step(Step::Suspect(to));
                    self.try_another(cx, map, key, to);
                }
                Some(State::Waiting { peer, .. }) => {
                    let peer = *peer;
                    self.try_another(cx, map, key, peer);
                }
                Some(State::Held | State::Taken { .. }) => {
                    self.drop_copy(key);
                }
                None => {
                    self.timers.pop_first();
                }
            }
        }
    }

    pub(super) fn next_timeout(&self) -> Option<Instant> {
        self.timers.first().map(|(due, _)| *due)
    }

    /// What became of copies, in order.
    pub(super) fn next_news(&mut self) -> Option<News> {
        self.news.pop_front()
    }

    // --- Questions

    /// Whether copies wait to be taken over.
    pub(super) fn is_busy(&self) -> bool {
        self.copies.len() > self.taken.len()
    }

    /// Whether a copy that went over this link to `peer` is not acknowledged yet, or has not left.
    pub(super) fn awaits(&self, over: LinkId, peer: Hash) -> bool {
        self.copies.values().any(|copy| match &copy.state {
            State::Offered { link, .. } => *link == over,
            State::Taken { by } => *by == peer && copy.stream.is_some(),
            State::Held | State::Waiting { .. } => false,
        })
    }

    /// Who handed us this copy, if it was here lately.
    pub(super) fn previous(&self, cx: &Context<'_>, key: CopyKey) -> Option<Previous> {
        self.handled.get(cx.now, &key).copied()
    }

    /// A copy was here and goes no further.
    pub(super) fn note(&mut self, cx: &Context<'_>, key: CopyKey, previous: Previous) {
        self.handled.insert(cx.now, key, previous, cx.now + REMEMBERED, cx.config.limits.seen);
    }

    /// Whether a copy here has this payload.
    pub(super) fn holds_body(&self, body: BodyId) -> bool {
        self.copies.values().any(|copy| copy.payload.is(body))
    }

    /// Whether a receipt of `me` about this copy is in our hands still.
    pub(super) fn holds_receipt(&self, me: Hash, about: CopyKey) -> bool {
        let first = CopyKey { origin: me, receipt: true, message: MessageId([0; 16]), copy: 0 };
        let last = CopyKey { message: MessageId([u8::MAX; 16]), copy: u8::MAX, ..first };
        let is_about = |copy: &Copy| copy.header.fixed.about == Some(about.message) && copy.header.hop.copy == about.copy;
        self.copies.range(first..=last).any(|(_, copy)| is_about(copy))
    }

    /// Whether this copy is in our hands still.
    pub(super) fn holds(&self, key: CopyKey) -> bool {
        self.copies.contains_key(&key)
    }

    // --- Limits

    /// Makes room for a message of `length` bytes.
    ///
    /// # Errors
    /// [`Refusal::OverBudget`] when there is none.
    pub(super) fn charge(&mut self, cx: &Context<'_>, length: usize) -> Result<(), Refusal> {
        let limits = &cx.config.limits;
        while self.load.messages >= limits.in_flight || self.load.bytes.saturating_add(length) > limits.in_flight_bytes {
            let (_, oldest) = self.taken.first().copied().ok_or(Refusal::OverBudget)?;
            self.drop_copy(oldest);
        }
        self.load.messages += 1;
        self.load.bytes += length;
        Ok(())
    }

    /// Undoes [`Self::charge`].
    pub(super) fn discharge(&mut self, length: usize) {
        self.load.messages -= 1;
        self.load.bytes -= length;
    }

    /// A message of ours has its end. Its copies are dropped, or, when nobody waits for its receipt, go on as others' do.
    pub(super) fn release(&mut self, me: Hash, message: MessageId, keep: bool) {
        let key = |copy| CopyKey { origin: me, receipt: false, message, copy };
        let keys: Vec<CopyKey> = self.copies.range(key(0)..=key(u8::MAX)).map(|(key, _)| *key).collect();
        for key in keys {
            match self.copies.get_mut(&key) {
                Some(copy) if keep => {
                    copy.charged = true;
                    self.load.messages += 1;
                    self.load.bytes += copy.held_bytes();
                }
                Some(_) => {
                    self.drop_copy(key);
                }
                None => {}
            }
        }
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    // --- Steps

    /// Hands a copy to the next hop, or starts to make a link to it.
    fn advance(&mut self, cx: &mut Context<'_>, map: &Map<'_>, key: CopyKey) -> Result<Option<Hash>, Refusal> {
        loop {
            let Some(copy) = self.copies.get_mut(&key) else { return Ok(None) };
            match next::next(cx, map, copy) {
                Next::Hop(hop) => {
                    self.offer(cx, key, &hop);
                    return Ok(Some(hop.peer));
                }
                Next::Dial { member, last, absent } => {
                    copy.header.hop.absent |= absent.bits();
                    if self.wait_for_link(cx, key, &member, last) {
                        return Ok(None);
                    }
                    if let Some(copy) = self.copies.get_mut(&key) {
                        copy.tried.insert(member.id());
                    }
                }
                Next::Nobody => return Err(Refusal::NoSuchPeer),
                Next::OtherFamily => return Err(Refusal::OtherFamily),
                Next::Nowhere => return Err(Refusal::NoRoute),
            }
        }
    }

    fn offer(&mut self, cx: &mut Context<'_>, key: CopyKey, hop: &Hop) {
        let Some(copy) = self.copies.get_mut(&key) else { return };
        let Some(link) = cx.links.to_peer(hop.peer).map(|link| link.id) else { return };
        let slowness = cx.slowness;
        let Some(link) = cx.links.link_mut(link) else { return };
        link.used = cx.now;
        let patience = slowness + link.round_trip.timeout(LEAST_PATIENCE, MOST_PATIENCE) + at_slowest(copy.payload.len().min(AHEAD_BYTES));
        let link = link.id;
        copy.header.hop.detours += u8::from(hop.detour);
        copy.header.hop.absent |= hop.absent.bits();
        let mut header = copy.header.clone();
        header.hop.last = hop.last && !hop.detour;
        if header.hop.route.first() == Some(&hop.peer) {
            header.hop.route.remove(0);
        }
        copy.tries += 1;
        copy.state = State::Offered { to: hop.peer, link, since: cx.now };
        let ends_there = key.receipt && copy.target() == Some(hop.peer);
        copy.stream = match &copy.payload {
            // Held only as long as a true one can be.
            Body::Whole(status) if key.receipt && header.hop.patient && status.len() <= STATUS_BYTES => {
                cx.acknowledge(link, true, Frame::Data(header, status.clone()));
                None
            }
            body @ (Body::Whole(_) | Body::Arriving { .. }) => cx.hand(link, Frame::Data(header, Bytes::new()), body),
        };
        self.streams.extend(copy.stream.map(|stream| (stream, key)));
        if ends_there {
            // Nobody acknowledges that: whoever waits for a receipt in vain sends its message again, and is told again.
            self.drop_copy(key);
        } else {
            self.set_due(key, cx.now + patience);
            self.news.push_back(News::Offered { key, to: hop.peer });
        }
    }

    fn wait_for_link(&mut self, cx: &mut Context<'_>, key: CopyKey, member: &SignedRecord, last: bool) -> bool {
        use crate::links::DialStart;
        let Some(address) = cx.address(member) else { return false };
        match cx.dial_for_message(address, Some(member.key())) {
            // A link that stands but may not be used yet is being proven.
            DialStart::Linked(_) | DialStart::Dialling(_) => {}
            DialStart::Refused(_) => return false,
        }
        if let Some(copy) = self.copies.get_mut(&key) {
            copy.state = State::Waiting { peer: member.id(), address, last };
        }
        self.set_due(key, cx.now + MOST_PATIENCE + cx.slowness);
        true
    }

    fn hand_over_waiting(&mut self, cx: &mut Context<'_>, map: &Map<'_>, key: CopyKey, peer: Hash) {
        let Some(State::Waiting { last, .. }) = self.copies.get(&key).map(|copy| &copy.state) else { return };
        let last = *last;
        if next::usable(cx, peer) {
            self.offer(cx, key, &Hop { peer, last, detour: false, absent: Families::NONE });
        } else {
            self.try_another(cx, map, key, peer);
        }
    }

    fn try_another(&mut self, cx: &mut Context<'_>, map: &Map<'_>, key: CopyKey, failed: Hash) {
        let siblings: Vec<Hash> = self.siblings(cx.me.id(), key).filter_map(Copy::next_hop).collect();
        let Some(copy) = self.copies.get_mut(&key) else { return };
        copy.tried.insert(failed);
        copy.tried.extend(siblings);
        let (until, was_taken) = (copy.due, matches!(copy.state, State::Taken { .. }));
        copy.state = State::Held;
        self.taken.remove(&(until, key));
        // Of what passed through, the beginning is not here any more: its origin tries again.
        let has_passed = was_taken && copy.payload.arriving().is_some();
        let advanced = if has_passed { Err(Refusal::NoRoute) } else { self.advance(cx, map, key) };
        if let Err(refusal) = advanced
            && let Some(copy) = self.drop_copy(key)
        {
            self.news.push_back(News::DeadEnd { key, copy: Box::new(copy), refusal });
        }
    }

    /// A copy was taken over. From now on it can be handed back, and goes when there is no room; but not while its payload leaves.
    fn wait_for_return(&mut self, now: Instant, key: CopyKey) {
        let Some(copy) = self.copies.get(&key) else { return };
        if copy.stream.is_some() {
            return self.set_due(key, now + LONGEST_STREAM);
        }
        let until = now + KEPT;
        self.set_due(key, until);
        self.taken.insert((until, key));
    }

    // --- Book-keeping

    /// The other copies of a message of ours: each goes by a first hop of its own.
    fn siblings(&self, me: Hash, key: CopyKey) -> impl Iterator<Item = &Copy> {
        let ours = key.origin == me && !key.receipt;
        let range = CopyKey { copy: 0, ..key }..=CopyKey { copy: u8::MAX, ..key };
        self.copies.range(range).filter(move |(sibling, _)| ours && **sibling != key).map(|(_, copy)| copy)
    }

    fn those(&self, which: impl Fn(&Copy) -> bool) -> Vec<CopyKey> {
        self.copies.iter().filter(|(_, copy)| which(copy)).map(|(key, _)| *key).collect()
    }

    fn set_due(&mut self, key: CopyKey, due: Instant) {
        if let Some(copy) = self.copies.get_mut(&key) {
            self.timers.remove(&(copy.due, key));
            self.timers.insert((due, key));
            copy.due = due;
        }
    }

    fn drop_copy(&mut self, key: CopyKey) -> Option<Copy> {
        let copy = self.copies.remove(&key)?;
        self.timers.remove(&(copy.due, key));
        self.taken.remove(&(copy.due, key));
        if copy.charged {
            self.discharge(copy.held_bytes());
        }
        self.news.extend(copy.payload.arriving().map(|body| News::Unneeded { body }));
        Some(copy)
    }
}

/// As a relay hands a copy on: one link less to go, itself on the path.
///
/// # Errors
/// [`Refusal::HopLimit`] when it may go no further.
pub(super) fn relayed(hop: &mut cicada_wire::Mutable, me: Hash) -> Result<(), Refusal> {
    if hop.hop_limit <= 1 || hop.path.len() >= usize::from(MAX_HOPS) {
        return Err(Refusal::HopLimit);
    }
    hop.hop_limit -= 1;
    hop.path.push(me);
    Ok(())
}

/// How long a link may take to carry `bytes` before that counts as silence.
pub(crate) fn at_slowest(bytes: usize) -> Duration {
    Duration::from_micros(u64::try_from(bytes).unwrap_or(u64::MAX) / SLOWEST_BYTES_PER_US)
}

/// A link that carries less than 1 MB/s is slower than going another way.
const SLOWEST_BYTES_PER_US: u64 = 1; // guess

/// How long an acknowledgement is waited for.
pub(crate) const LEAST_PATIENCE: Duration = Duration::from_millis(250); // architecture: 250 ms to 1 s
pub(crate) const MOST_PATIENCE: Duration = Duration::from_secs(1);

/// A copy that was taken over can be handed back for this long.
const KEPT: Duration = Duration::from_secs(3); // guess: three silent hops behind the next

/// A payload that has not left after this long never will.
const LONGEST_STREAM: Duration = Duration::from_secs(600); // guess: the longest message at 2 MB/s

/// What may be on its way over a link before the beginning of another payload.
pub(crate) const AHEAD_BYTES: usize = 1024 * 1024; // guess

/// A copy that was here is known again for this long.
const REMEMBERED: Duration = Duration::from_secs(10); // guess: longer than a copy can wander about

/// Larger payloads say nothing of a link's round trip; nor does what was acknowledged without hurry.
const SMALL_BYTES: usize = 4096;

/// What a receipt says is no longer: a path of 32 ids, and a few bytes.
const STATUS_BYTES: usize = 2048;
