//! Who made a message: whether its signature holds, and whether the key is that of the id it comes from.
//!
//! Nothing of a broadcast is handed on, delivered or remembered before both are known: a message with an invented origin dies
//! at the first honest hop. An id that is the hash of a key proves itself. For one that is the hash of an address the peer there is
//! challenged, once; where it cannot be reached from here, members known here and then such as a lookup over disjoint paths finds near the id are
//! asked whom they have met there (`witness`).
//!
//! What is bounded: messages that wait, [`MAX_WAITING`] and [`MAX_WAITING_BYTES`], of one link [`MAX_OF_LINK`]; keys remembered, [`MAX_KEYS`]; proofs under way,
//! by the prover and the budgets for strangers.

mod witness;

use crate::{
    body::{Body, BodyId},
    broadcast::Giver,
    config::{KeyLevel, Security},
    context::Context,
    event::Event,
    links::LinkId,
    outbox::{Job, JobId},
    overlay::Overlay,
    seen::{Window, check_time},
    step::Step,
    time::Instant,
};
use cicada_wire::{Address, Authentication, Hash, IdKind, Immutable, MessageId, Origin, PublicKey, Refusal, Signature, SignedRecord, Task};
use std::{
    collections::{BTreeMap, VecDeque},
    net::SocketAddr,
    time::Duration,
};
pub(crate) use witness::Testimony;
use witness::{Finding, Witnesses};

/// What is known of origins and their messages, and what waits to be known.
#[derive(Debug, Default)]
pub(crate) struct Notary {
    /// Ids of which nothing could be found out: for a while nobody is asked about them again.
    doubtful: Window<Hash, ()>,
    /// Messages whose signature held.
    valid: Window<MessageId, ()>,
    /// Whose key is which, as this peer or witnesses have found.
    keys: Window<Hash, Known>,
    /// Signatures that are being checked.
    checking: BTreeMap<JobId, (MessageId, Signature)>,
    /// Origins that are being proven.
    proving: BTreeMap<Hash, Proving>,
    waiting: VecDeque<Waiting>,
    bytes: usize,
}

/// What was found of an id.
#[derive(Clone, Copy, Debug)]
struct Known {
    key: PublicKey,
    level: KeyLevel,
    since: Instant,
}

/// A task that waits until its origin is known.
#[derive(Debug)]
pub(crate) struct Waiting {
    pub(crate) giver: Giver,
    pub(crate) task: Task,
    pub(crate) body: Body,
    until: Instant,
}

/// An origin that is being proven.
#[derive(Debug)]
struct Proving {
    address: Address,
    stage: Stage,
    /// Not only for somebody who asks us.
    needed: bool,
}

#[derive(Debug)]
enum Stage {
    /// It is challenged.
    Challenged,
    /// Others are asked.
    Asking(Witnesses),
}

/// What is to become of a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Judgement {
    /// Its origin made it.
    Good(KeyLevel),
    /// That is not known yet; what is lacking is on its way.
    Wait(Lack),
    /// It did not, or that cannot be known.
    Bad(Refusal),
}

/// Tasks that waited, and what speaks against them, if something does.
#[derive(Debug, Default)]
pub(crate) struct Released {
    pub(crate) tasks: Vec<Waiting>,
    pub(crate) refusal: Option<Refusal>,
}

/// What a message waits for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Lack {
    /// A moment's work.
    Signature,
    /// Round trips.
    Key,
}

impl Notary {
    /// Whether `fixed` is its origin's. What is lacking for an answer is set off.
    /// `informer` is where it comes from; without `room` it cannot wait, and nothing is done for it.
    pub(crate) fn judge(
        &mut self,
        cx: &mut Context<'_>,
        overlay: &Overlay,
        fixed: &Immutable,
        informer: SocketAddr,
        room: bool,
    ) -> Judgement {
        let (key, signature) = match (fixed.signer(), fixed.signature(), cx.config.security) {
            (Some(key), Some(signature), Security::Full | Security::Plain) => (key, signature),
            (_, _, Security::Full) => return Judgement::Bad(Refusal::Unsigned),
            (_, _, Security::Plain) => return Judgement::Good(KeyLevel::Claimed),
        };
        let level = match self.level(cx, overlay, &fixed.origin, key) {
            Ok(level) => level,
            Err(refusal) => return Judgement::Bad(refusal),
        };
        let valid = self.valid.contains(cx.now, &fixed.message());
        if valid && level >= cx.config.least_level {
            return Judgement::Good(level);
        }
        if !room {
            return Judgement::Bad(Refusal::OverBudget);
        }
        if valid {
            return self.settle(cx, overlay, &fixed.origin, key, informer);
        }
        if let Err(refusal) = check_time(cx, fixed.made_at) {
            return Judgement::Bad(refusal);
        }
        self.check(cx, fixed, key, signature);
        Judgement::Wait(Lack::Signature)
    }

    /// Whether `key` is the origin's, as well as has to be known. What is lacking for an answer is set off.
    pub(crate) fn settle(
        &mut self,
        cx: &mut Context<'_>,
        overlay: &Overlay,
        origin: &Origin,
        key: PublicKey,
        informer: SocketAddr,
    ) -> Judgement {
        match self.level(cx, overlay, origin, key) {
            Ok(level) if level >= cx.config.least_level => Judgement::Good(level),
            Err(refusal) => Judgement::Bad(refusal),
            Ok(_) => match origin.address() {
                Some(address) if origin.peer_id().kind == IdKind::Address => self.find_out(cx, address, key, informer),
                Some(_) | None => Judgement::Bad(Refusal::UnknownKey),
            },
        }
    }

    /// Whose key is that of the peer at `address`?
    fn find_out(&mut self, cx: &mut Context<'_>, address: Address, key: PublicKey, informer: SocketAddr) -> Judgement {
        let id = address.id();
        if self.doubtful.contains(cx.now, &id) {
            return Judgement::Bad(Refusal::UnknownKey);
        }
        if self.keys.get(cx.now, &id).is_some_and(|known| known.key != key && cx.now.since(known.since) < FRESH) {
            return Judgement::Bad(Refusal::OtherKey);
        }
        if !self.prove(cx, address, informer) {
            return Judgement::Bad(Refusal::OverBudget);
        }
        if let Some(proving) = self.proving.get_mut(&id) {
            proving.needed = true;
        }
        Judgement::Wait(Lack::Key)
    }

    /// How well it is known that `key` is the origin's.
    fn level(&self, cx: &Context<'_>, overlay: &Overlay, origin: &Origin, key: PublicKey) -> Result<KeyLevel, Refusal> {
        let id = origin.id();
        if id == cx.me.id() {
            return if key == cx.me.key() { Ok(KeyLevel::Proven) } else { Err(Refusal::OtherKey) };
        }
        match origin.peer_id().kind {
            IdKind::Key if origin.key() != Some(key) => return Err(Refusal::OtherKey),
            IdKind::Key => return Ok(cx.config.pins.get(&id).map_or(KeyLevel::Proven, |_| KeyLevel::Pinned)),
            // Ids that prove nothing: whoever makes such a swarm wants them so.
            IdKind::Data => return Ok(KeyLevel::Proven),
            IdKind::Address => {}
        }
        self.level_of(cx, overlay, id, key)
    }

    /// How well it is known that `key` is that of the peer at the address whose hash is `id`.
    ///
    /// # Errors
    /// [`Refusal::PinnedKey`] when the user has chosen another.
    pub(crate) fn level_of(&self, cx: &Context<'_>, overlay: &Overlay, id: Hash, key: PublicKey) -> Result<KeyLevel, Refusal> {
        if let Some(pinned) = cx.config.pins.get(&id) {
            return if *pinned == key { Ok(KeyLevel::Pinned) } else { Err(Refusal::PinnedKey) };
        }
        let linked = cx.links.to_peer(id).is_some_and(|link| link.proven.as_ref().is_some_and(|proven| proven.record().key() == key));
        if linked || overlay.member(id).is_some_and(|member| member.record().key() == key) {
            return Ok(KeyLevel::Proven);
        }
        let remembered = self.keys.get(cx.now, &id).filter(|known| known.key == key);
        Ok(remembered.map_or(KeyLevel::Claimed, |known| known.level))
    }

    /// The key that this peer has met at an address.
    pub(crate) fn met(&self, cx: &Context<'_>, overlay: &Overlay, id: Hash) -> Option<PublicKey> {
        let linked = cx.links.to_peer(id).and_then(|link| link.proven.as_ref());
        let member = linked.or_else(|| overlay.member(id)).map(|proven| proven.record().key());
        member.or_else(|| self.keys.get(cx.now, &id).filter(|known| known.level == KeyLevel::Proven).map(|known| known.key))
    }

    fn check(&mut self, cx: &mut Context<'_>, fixed: &Immutable, key: PublicKey, signature: Signature) {
        let about = (fixed.message(), signature);
        if !self.checking.values().any(|checking| *checking == about) {
            let job = cx.job(Job::VerifyMessage { hash: fixed.hash(), key, signature });
            self.checking.insert(job, about);
        }
    }

    /// Whether somebody who asks us may have a peer challenged: most of that is for ourselves.
    pub(crate) fn may_be_asked(&self) -> bool {
        self.proving.len() < MAX_PROVING / 4
    }

    /// Has the peer at an address challenged, unless that is under way. `false` if too many are.
    pub(crate) fn prove(&mut self, cx: &mut Context<'_>, address: Address, informer: SocketAddr) -> bool {
        let id = address.id();
        if self.proving.contains_key(&id) {
            return true;
        }
        if self.proving.len() >= MAX_PROVING {
            return false;
        }
        self.proving.insert(id, Proving { address, stage: Stage::Challenged, needed: false });
        cx.step(Step::ProveOrigin { address, informer });
        true
    }

    // --- Waiting

    /// Whether one more task of this link may wait.
    pub(crate) fn has_room(&self, link: LinkId, body: &Body) -> bool {
        self.waiting.len() < MAX_WAITING
            && self.bytes + held_bytes(body) <= MAX_WAITING_BYTES
            && self.waiting.iter().filter(|waiting| waiting.giver.link == link).count() < MAX_OF_LINK
    }

    /// Keeps a task until its origin is known. There is room for it.
    pub(crate) fn hold(&mut self, cx: &Context<'_>, giver: Giver, task: Task, body: Body) {
        self.bytes += held_bytes(&body);
        self.waiting.push_back(Waiting { giver, task, body, until: cx.now + PATIENCE + cx.slowness });
    }

    /// Those that waited for something of which this is now known.
    fn release(&mut self, which: impl Fn(&Task) -> bool) -> Vec<Waiting> {
        let (ready, rest): (VecDeque<Waiting>, VecDeque<Waiting>) = self.waiting.drain(..).partition(|waiting| which(&waiting.task));
        self.waiting = rest;
        self.bytes -= ready.iter().map(|waiting| held_bytes(&waiting.body)).sum::<usize>();
        ready.into()
    }

    /// Whether a body that is arriving belongs to a task that waits.
    pub(crate) fn holds_body(&self, body: BodyId) -> bool {
        self.waiting.iter().any(|waiting| waiting.body.is(body))
    }

    /// A body arrives no longer.
    pub(crate) fn on_broken(&mut self, body: BodyId) {
        self.release_body(body);
    }

    fn release_body(&mut self, body: BodyId) {
        let (gone, rest): (VecDeque<Waiting>, VecDeque<Waiting>) = self.waiting.drain(..).partition(|waiting| waiting.body.is(body));
        self.waiting = rest;
        self.bytes -= gone.iter().map(|waiting| held_bytes(&waiting.body)).sum::<usize>();
    }

    // --- Findings

    /// A signature was checked: those that waited for it, and what is wrong with them, if it does not hold.
    pub(crate) fn on_verified(&mut self, cx: &Context<'_>, job: JobId, holds: bool) -> Released {
        let Some((message, signature)) = self.checking.remove(&job) else { return Released::default() };
        if holds {
            self.valid.insert(cx.now, message, (), cx.now + REMEMBERED, cx.config.limits.seen);
            return Released { tasks: self.release(|task| task.header.fixed.message() == message), refusal: None };
        }
        let same = |task: &Task| task.header.fixed.message() == message && task.header.fixed.signature() == Some(signature);
        Released { tasks: self.release(same), refusal: Some(Refusal::BadSignature) }
    }

    /// A peer has proven its address: those of its messages that waited.
    pub(crate) fn on_proven(&mut self, cx: &mut Context<'_>, record: &SignedRecord) -> Released {
        if record.peer_id().kind != IdKind::Address {
            return Released::default();
        }
        self.known(cx, record.id(), record.key(), KeyLevel::Proven)
    }

    fn known(&mut self, cx: &mut Context<'_>, id: Hash, key: PublicKey, level: KeyLevel) -> Released {
        let asked = self.proving.remove(&id).is_some();
        // Whoever is met is remembered: it may be gone when a message of its comes, or when others ask.
        if asked || self.keys.get(cx.now, &id).is_none_or(|known| known.key != key) {
            let known = Known { key, level, since: cx.now };
            if let Some(before) = self.keys.get(cx.now, &id).filter(|known| known.key != key) {
                cx.out.event(Event::KeyChanged { peer: id, before: before.key, now: key });
            }
            self.keys.insert(cx.now, id, known, cx.now + cx.config.upkeep.record_lifetime, MAX_KEYS);
        }
        Released { tasks: self.release(|task| task.header.fixed.origin.id() == id), refusal: None }
    }

    /// An origin could not be challenged, or did not answer. Others are asked; if there are none, those that waited come back.
    pub(crate) fn on_unproven(&mut self, cx: &mut Context<'_>, overlay: &Overlay, id: Hash) -> Released {
        let Some(proving) = self.proving.get_mut(&id) else { return Released::default() };
        if let Stage::Asking(_) = proving.stage {
            return Released::default();
        }
        // Whoever is asked to bear witness does not ask others to.
        if !proving.needed {
            return self.give_up(cx, id);
        }
        let mut witnesses = Witnesses::ask(cx, overlay, proving.address);
        let finding = witnesses.finding(cx);
        proving.stage = Stage::Asking(witnesses);
        self.conclude(cx, id, finding)
    }

    /// A lookup has met these members near an address, each on one of its paths.
    pub(crate) fn on_found_near(&mut self, cx: &mut Context<'_>, about: Address, near: Vec<(usize, SignedRecord)>) -> Released {
        let id = about.id();
        let Some(Proving { stage: Stage::Asking(witnesses), .. }) = self.proving.get_mut(&id) else { return Released::default() };
        let finding = witnesses.on_found_near(cx, near);
        self.conclude(cx, id, finding)
    }

    /// A witness has spoken, or kept silent.
    pub(crate) fn on_testimony(&mut self, cx: &mut Context<'_>, from: Hash, about: Address, testimony: Testimony) -> Released {
        let id = about.id();
        let Some(Proving { stage: Stage::Asking(witnesses), .. }) = self.proving.get_mut(&id) else { return Released::default() };
        let finding = witnesses.hear(cx, from, testimony);
        self.conclude(cx, id, finding)
    }

    fn conclude(&mut self, cx: &mut Context<'_>, id: Hash, finding: Finding) -> Released {
        match finding {
            Finding::Open => Released::default(),
            Finding::Key(key) => self.known(cx, id, key, KeyLevel::Witnessed),
            Finding::Nothing => self.give_up(cx, id),
        }
    }

    /// Nothing can be found out about an origin: those of its messages that waited.
    fn give_up(&mut self, cx: &Context<'_>, id: Hash) -> Released {
        self.proving.remove(&id);
        self.doubtful.insert(cx.now, id, (), cx.now + DOUBT, MAX_KEYS);
        Released { tasks: self.release(|task| task.header.fixed.origin.id() == id), refusal: Some(Refusal::UnknownKey) }
    }

    pub(crate) fn on_wake(&mut self, cx: &mut Context<'_>) -> Released {
        for proving in self.proving.values_mut() {
            if let Stage::Asking(witnesses) = &mut proving.stage {
                witnesses.ask_again(cx);
            }
        }
        let now = cx.now;
        let overdue: Vec<MessageId> =
            self.waiting.iter().filter(|waiting| waiting.until <= now).map(|waiting| waiting.task.header.fixed.message()).collect();
        let mut late = Vec::new();
        for message in overdue {
            late.extend(self.release(|task| task.header.fixed.message() == message));
        }
        for waiting in &late {
            let id = waiting.task.header.fixed.origin.id();
            self.proving.remove(&id);
            self.doubtful.insert(cx.now, id, (), cx.now + DOUBT, MAX_KEYS);
        }
        Released { tasks: late, refusal: Some(Refusal::UnknownKey) }
    }

    pub(crate) fn next_timeout(&self) -> Option<Instant> {
        let waiting = self.waiting.iter().map(|waiting| waiting.until).min();
        let asking = self.proving.values().filter_map(|proving| match &proving.stage {
            Stage::Asking(witnesses) => witnesses.due(),
            Stage::Challenged => None,
        });
        asking.chain(waiting).min()
    }
}

/// Whether a message is proven by a signature, and not in another way.
pub(crate) fn signs(cx: &Context<'_>) -> bool {
    match cx.config.security {
        Security::Full => true,
        Security::Plain => false,
    }
}

/// How the statement of a signed message of ours says whose key proves it.
pub(crate) fn by_our_signature(cx: &Context<'_>) -> Authentication {
    let key = cx.me.key();
    Authentication::Signed { key: (cx.me.origin().key() != Some(key)).then_some(key) }
}

fn held_bytes(body: &Body) -> usize {
    match body {
        Body::Whole(bytes) => bytes.len(),
        // It waits with its sender.
        Body::Arriving { .. } => 0,
    }
}

/// Tasks that wait for their origins to be known: a burst of the broadcasts of some peers that just joined.
const MAX_WAITING: usize = 256; // guess
const MAX_WAITING_BYTES: usize = 4 * 1024 * 1024; // guess: most of them are short

/// So many of them came by one link: whoever invents origins keeps nobody else's from being found out.
const MAX_OF_LINK: usize = MAX_WAITING / 8;

/// Keys remembered: 100 bytes each.
const MAX_KEYS: usize = 4096; // guess

const MAX_PROVING: usize = 256; // guess: as above

/// Within this time of a proof another key at the same address is a forgery, not a peer that has started anew.
const FRESH: Duration = Duration::from_secs(2); // guess: less than a peer takes to start anew and be heard of

/// All tries of a challenge, the lookup for witnesses, and their rounds.
const PATIENCE: Duration = Duration::from_secs(8); // guess: 1.5, 2 and 4 times a second

/// How long an origin is let alone of which nothing could be found out.
const DOUBT: Duration = Duration::from_secs(3); // guess: as the prover lets alone who has not answered

/// How long a message is not asked for whose origin is being found out.
pub(crate) const SET_ASIDE: Duration = Duration::from_secs(10); // guess: bodies are kept three times as long

/// That a signature held is remembered as long as the message can come again.
const REMEMBERED: Duration = Duration::from_secs(135); // the window of `seen` with its slack
