//! How peers are found, proven and kept: bootstrap, lookups, pings, and the answers to those of others.
//!
//! Only who has answered a question of ours enters the table. A question is asked again when it is not answered, a few times, at
//! growing distances; there is one a peer at a time. Answers never set off a question to the same peer, so that two peers cannot
//! keep each other busy. Who asks us and is not proven gets little until it has answered a ping.
//!
//! A peer is known by where its answers come from, port included: many may share its IP address, and speak in its name. Who speaks from
//! elsewhere is believed once the peer itself has fallen silent, as one that was started again.

use super::{
    api::{Event, Job, Removal},
    context::{Context, Purse},
    lookup::{Lookup, Target},
    table::{Peer, Table},
};
use crate::{rate::Buckets, scope, seen::Window, time::Instant};
use cicada_wire::{
    Address, Refusal,
    kadcast::{BUCKETS, Body, Entry, Header, Id, Version},
};
use rand::RngExt;
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    net::SocketAddr,
    time::Duration,
};

/// All of it.
#[derive(Debug)]
pub(super) struct Discovery {
    pub(super) table: Table,
    questions: BTreeMap<SocketAddr, Question>,
    /// When questions and checks are due.
    due: BTreeSet<(Instant, SocketAddr, Due)>,
    lookup: Option<Lookup>,
    /// What to look up next.
    targets: VecDeque<Target>,
    /// Lookups in a row that brought nobody new.
    fruitless: u32,
    /// Who was asked for what lately.
    asked: Window<(SocketAddr, Target), ()>,
    /// Heard of, and to be pinged once no lookup needs the answer more.
    heard_of: VecDeque<Entry>,
    /// Whose version is not accepted.
    rejected: Window<SocketAddr, ()>,
    bootstrap: Bootstrap,
    /// The next look around, and the pause after it.
    refresh: Option<(Instant, Duration)>,
    questions_of: Buckets<Purse>,
    questions_in_all: Buckets<()>,
    entries_of: Buckets<SocketAddr>,
    probes_to: Buckets<Purse>,
    probes_in_all: Buckets<()>,
}

/// A place to start from: a peer that somebody told of, or a bootstrap peer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Entrant {
    pub(super) entry: Entry,
    /// The user named it: the budgets of probes do not hold for it.
    pub(super) named: bool,
}

#[derive(Debug)]
struct Question {
    ask: Ask,
    tries: u32,
    most_tries: u32,
    due: Instant,
    named: bool,
    /// What this peer asked, to be answered once it is proven.
    owed: Option<Id>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Ask {
    Ping,
    Find(Id),
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Due {
    /// A question's answer.
    Answer,
    /// A look at whether a known peer is still there.
    Check,
}

#[derive(Debug, Default)]
struct Bootstrap {
    peers: Vec<SocketAddr>,
    /// When to ask again, and how long to wait after that.
    again: Option<(Instant, Duration)>,
}

/// Who sent a message, and what it said of itself.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sender {
    /// Where its datagram came from.
    pub(super) source: SocketAddr,
    /// Where it listens.
    pub(super) address: SocketAddr,
    pub(super) header: Header,
}

impl Discovery {
    pub(super) fn new(table: Table) -> Self {
        Self {
            table,
            questions: BTreeMap::new(),
            due: BTreeSet::new(),
            lookup: None,
            targets: VecDeque::new(),
            fruitless: 0,
            asked: Window::default(),
            heard_of: VecDeque::new(),
            rejected: Window::default(),
            bootstrap: Bootstrap::default(),
            refresh: None,
            questions_of: Buckets::default(),
            questions_in_all: Buckets::default(),
            entries_of: Buckets::default(),
            probes_to: Buckets::default(),
            probes_in_all: Buckets::default(),
        }
    }

    // --- Bootstrap

    pub(super) fn start(&mut self, cx: &mut Context<'_>) {
        cx.job(Job::Resolve);
        self.bootstrap.again = Some((cx.now + cx.settings.retry_first, cx.settings.retry_first * 2));
    }

    pub(super) fn on_resolved(&mut self, cx: &mut Context<'_>, peers: &[SocketAddr]) {
        let canonical = |peer: &SocketAddr| SocketAddr::new(peer.ip().to_canonical(), peer.port());
        let others = peers.iter().map(canonical).filter(|peer| *peer != cx.me.address() && peer.port() != 0);
        self.bootstrap.peers = others.take(MOST_BOOTSTRAP_PEERS).collect();
        for peer in &self.bootstrap.peers {
            self.asked.remove(&(*peer, Target::Me));
        }
        self.look_for(cx, Target::Me);
    }

    /// Too few peers are known: the bootstrap peers are asked again, at growing distances.
    fn try_again(&mut self, cx: &mut Context<'_>) {
        let Some((due, pause)) = self.bootstrap.again.filter(|(due, _)| *due <= cx.now) else { return };
        if self.alive() >= cx.settings.min_peers {
            self.bootstrap.again = None;
            return;
        }
        self.bootstrap.again = Some((cx.now.max(due) + pause, (pause * 2).min(cx.settings.retry_most)));
        cx.job(Job::Resolve);
    }

    fn alive(&self) -> usize {
        self.table.peers().filter(|peer| !peer.doubted).count()
    }

    // --- Lookups

    fn look_for(&mut self, cx: &mut Context<'_>, target: Target) {
        if !self.targets.contains(&target) && self.targets.len() < usize::from(BUCKETS) {
            self.targets.push_back(target);
        }
        self.pump(cx);
    }

    /// Asks as many as may be asked at once; when nobody is left, goes on to the next target, and in the end pings who was only
    /// heard of.
    fn pump(&mut self, cx: &mut Context<'_>) {
        loop {
            let Some(lookup) = &mut self.lookup else {
                match self.targets.pop_front() {
                    Some(target) => self.begin(cx, target),
                    None => return self.ping_heard_of(cx),
                }
                continue;
            };
            let (id, target) = (lookup.id, lookup.target);
            if let Some(entrant) = lookup.next(cx.settings.lookup_width) {
                let address = entrant.entry.address;
                if self.asked.contains(cx.now, &(address, target)) {
                    lookup.answered(entrant.entry);
                } else if !self.ask(cx, entrant, Ask::Find(id)) {
                    self.give_up_on(address);
                }
                continue;
            }
            if !lookup.is_over() {
                return;
            }
            self.finish(cx);
        }
    }

    fn begin(&mut self, cx: &mut Context<'_>, target: Target) {
        let id = match target {
            Target::Me => cx.me.id(),
            Target::Bucket(bucket) => random_of(cx, bucket),
        };
        // The nearest of all are the most important to know.
        let width = match target {
            Target::Me => cx.settings.lookup_width + 1,
            Target::Bucket(_) => 1,
        };
        let mut lookup = Lookup::new(target, id, width);
        for peer in self.table.nearest(id, width) {
            lookup.offer(Entrant { entry: Entry { address: peer.address, id: peer.id }, named: false });
        }
        if target == Target::Me {
            for peer in &self.bootstrap.peers {
                lookup.offer(Entrant { entry: Entry::of(*peer), named: true });
            }
        }
        self.lookup = Some(lookup);
    }

    fn finish(&mut self, cx: &mut Context<'_>) {
        let Some(lookup) = self.lookup.take() else { return };
        self.fruitless = if lookup.news { 0 } else { self.fruitless + 1 };
        match lookup.target {
            Target::Me if self.refresh.is_none() && self.table.len() > 0 => {
                // The first time: a look into each bucket, the farthest first, as long as that brings anybody new.
                self.refresh = Some((cx.now + SECOND_LOOK, SECOND_LOOK * 4));
                let nearest = self.table.filled_below(BUCKETS).next().unwrap_or_default();
                self.targets.extend((nearest..BUCKETS).rev().map(Target::Bucket));
                self.fruitless = 0;
            }
            Target::Bucket(_) if self.fruitless >= FRUITLESS => self.targets.clear(),
            Target::Me | Target::Bucket(_) => {}
        }
    }

    fn ping_heard_of(&mut self, cx: &mut Context<'_>) {
        while let Some(entry) = self.heard_of.pop_front() {
            if self.wants(cx, entry) && !self.ask(cx, Entrant { entry, named: false }, Ask::Ping) {
                // The budget is used up: what is left is heard of again in the next lookup.
                self.table.spare(cx, entry);
            }
        }
    }

    /// A look around, from time to time: at the peers near us and into one bucket.
    fn look_around(&mut self, cx: &mut Context<'_>) {
        let Some((due, pause)) = self.refresh.filter(|(due, _)| *due <= cx.now) else { return };
        let most = cx.settings.bucket_ttl;
        self.refresh = Some((cx.now.max(due) + jittered(cx, pause), (pause * 4).min(most)));
        let nearest = self.table.filled_below(BUCKETS).next().unwrap_or(BUCKETS - 1);
        let bucket = cx.rng.random_range(nearest..BUCKETS);
        self.look_for(cx, Target::Me);
        self.look_for(cx, Target::Bucket(bucket));
    }

    /// Somebody we heard of did not answer: dead, or all of our questions were lost. While we are new a look around comes soon.
    fn look_sooner(&mut self, cx: &Context<'_>) {
        if let Some((due, pause)) = &mut self.refresh
            && *pause < SETTLED
        {
            *due = (*due).min(cx.now + SOON);
        }
    }

    // --- Questions

    /// Asks a question, unless one is open that will do; whether an answer may be hoped for.
    fn ask(&mut self, cx: &mut Context<'_>, entrant: Entrant, ask: Ask) -> bool {
        let Entrant { entry: Entry { address, .. }, named } = entrant;
        if let Some(open) = self.questions.get_mut(&address) {
            if ask == Ask::Ping || open.ask == ask {
                return true;
            }
            open.ask = ask;
            return self.utter(cx, address);
        }
        let known = self.table.peer(address).is_some();
        if self.questions.len() >= MOST_QUESTIONS && !known {
            return false;
        }
        let most_tries = if known { tries_for(cx.settings.evict_after) } else { TRIES };
        let question = Question { ask, tries: 0, most_tries, due: cx.now, named: named || known, owed: None };
        self.questions.insert(address, question);
        let asked = self.utter(cx, address);
        if !asked {
            self.questions.remove(&address);
        }
        asked
    }

    /// Sends what is asked, if the budgets allow, and waits for the answer.
    fn utter(&mut self, cx: &mut Context<'_>, to: SocketAddr) -> bool {
        let Some(question) = self.questions.get_mut(&to) else { return false };
        let limits = &cx.settings.limits;
        let exempt = question.named || matches!(Purse::of(to), Purse::Local(_));
        let allowed = question.named
            || ((exempt || self.probes_to.take(cx.now, Purse::of(to), limits.probes_per_ip, 1))
                && self.probes_in_all.take(cx.now, (), limits.probes, 1));
        if !allowed && question.tries == 0 {
            return false;
        }
        self.due.remove(&(question.due, to, Due::Answer));
        // Without a bootstrap peer there is nothing else to do: it is asked more often.
        let alone = question.named && question.owed.is_none() && self.table.len() == 0;
        let doublings = if alone { ALONE_DOUBLINGS } else { MOST_DOUBLINGS };
        question.due = cx.now + PATIENCE * 2_u32.pow(question.tries.min(doublings));
        question.tries += 1;
        self.due.insert((question.due, to, Due::Answer));
        if !allowed {
            return true;
        }
        let version = cx.settings.version;
        match question.ask {
            Ask::Ping => cx.say(to, Body::Ping { version }),
            Ask::Find(target) => {
                let key = self.lookup.as_ref().filter(|lookup| lookup.id == target).map_or(Target::Me, |lookup| lookup.target);
                self.asked.insert(cx.now, (to, key), (), cx.now + ASKED, MOST_REMEMBERED);
                cx.say(to, Body::FindNodes { version, target });
            }
        }
        true
    }

    fn on_unanswered(&mut self, cx: &mut Context<'_>, to: SocketAddr) {
        let Some(question) = self.questions.get(&to).filter(|question| question.due <= cx.now) else { return };
        if question.tries < question.most_tries {
            if question.tries >= DOUBTED_AFTER
                && let Some(peer) = self.table.peer_mut(to)
            {
                peer.doubted = true;
            }
            self.utter(cx, to);
            return;
        }
        self.questions.remove(&to);
        if self.table.peer(to).is_some() {
            self.put_out(cx, to, Removal::Silent);
        } else {
            self.look_sooner(cx);
        }
        self.give_up_on(to);
        self.pump(cx);
    }

    fn give_up_on(&mut self, address: SocketAddr) {
        if let Some(lookup) = &mut self.lookup {
            lookup.silent(address);
        }
    }

    // --- What others say

    /// Whether the sender's version is accepted; if not, it is refused and remembered.
    pub(super) fn accepts(&mut self, cx: &mut Context<'_>, sender: Sender, version: Version) -> bool {
        if cx.settings.accepts.accepts(version) {
            self.rejected.remove(&sender.address);
            return true;
        }
        cx.refuse(sender.source, Refusal::OtherApplication);
        if self.table.is_impostor(sender) {
            return false;
        }
        self.rejected.insert(cx.now, sender.address, (), cx.now + REJECTED, MOST_REMEMBERED);
        if self.table.peer(sender.address).is_some() {
            self.put_out(cx, sender.address, Removal::Refused);
        }
        false
    }

    /// Whether it was seen to have a version that is not accepted.
    pub(super) fn is_rejected(&self, now: Instant, address: SocketAddr) -> bool {
        self.rejected.contains(now, &address)
    }

    /// A known peer said something. If somebody else did in its name, nothing follows from that.
    pub(super) fn heard(&mut self, cx: &Context<'_>, sender: Sender, version: Option<Version>) {
        if !self.table.knows(sender) {
            return;
        }
        self.table.heard(sender.address, |peer| {
            peer.heard = cx.now;
            peer.doubted = false;
            peer.mark = sender.header.mark;
            peer.version = version.unwrap_or(peer.version);
        });
    }

    pub(super) fn on_ping(&mut self, cx: &mut Context<'_>, sender: Sender, version: Version) {
        if !self.may_ask(cx, sender) {
            return;
        }
        self.heard(cx, sender, Some(version));
        cx.say(sender.address, Body::Pong { version: cx.settings.version });
        self.meet(cx, sender, None);
    }

    pub(super) fn on_find(&mut self, cx: &mut Context<'_>, sender: Sender, version: Version, target: Id) {
        if !self.may_ask(cx, sender) {
            return;
        }
        self.heard(cx, sender, Some(version));
        if self.table.knows(sender) {
            self.answer(cx, sender.address, target, ANSWERED);
        } else if self.table.peer(sender.address).is_some() {
            // It may have been started again, and is asked. A short answer is less than three times the question.
            self.answer(cx, sender.address, target, UNPROVEN_ANSWERED);
            let entry = Entry { address: sender.address, id: sender.header.id };
            self.ask(cx, Entrant { entry, named: false }, Ask::Ping);
        } else {
            self.meet(cx, sender, Some(target));
        }
    }

    fn answer(&mut self, cx: &mut Context<'_>, to: SocketAddr, target: Id, most: usize) {
        let nearest = self.table.nearest(target, most + 2);
        let others = nearest.into_iter().filter(|peer| peer.id != target && peer.address != to);
        let entries = others.map(|peer| Entry { address: peer.address, id: peer.id }).take(most).collect();
        cx.say(to, Body::Nodes { version: cx.settings.version, entries });
    }

    /// Whether a question is answered at all.
    fn may_ask(&mut self, cx: &mut Context<'_>, sender: Sender) -> bool {
        let limits = &cx.settings.limits;
        let known = self.table.peer(sender.address).is_some();
        let allowed = self.questions_of.take(cx.now, Purse::of(sender.address), limits.questions_per_ip, 1)
            && (known || self.questions_in_all.take(cx.now, (), limits.questions, 1));
        if !allowed {
            cx.refuse(sender.source, Refusal::OverBudget);
        }
        allowed
    }

    /// Somebody unproven has spoken to us: it is pinged, if there would be a place for it or an answer is owed. At most two pings, three
    /// if it has sent a longer question, so that whoever it pretends to be gets less than three times what it sent.
    pub(super) fn meet(&mut self, cx: &mut Context<'_>, sender: Sender, owed: Option<Id>) {
        let entry = Entry { address: sender.address, id: sender.header.id };
        if self.table.peer(sender.address).is_some() || !(owed.is_some() || self.wants(cx, entry)) {
            return;
        }
        if self.questions.get(&sender.address).is_some_and(|question| question.ask != Ask::Ping) {
            // Each has asked the other, and would wait for the other to be proven first. A short answer is less than three times the
            // question, and proves us to it.
            if let Some(target) = owed {
                self.answer(cx, sender.address, target, UNPROVEN_ANSWERED);
            }
            return;
        }
        let fresh = !self.questions.contains_key(&sender.address);
        if self.ask(cx, Entrant { entry, named: false }, Ask::Ping)
            && let Some(question) = self.questions.get_mut(&sender.address)
        {
            question.owed = owed.or(question.owed);
            if fresh {
                question.most_tries = if owed.is_some() { TRIES_FOR_QUESTION } else { TRIES_FOR_PING };
            }
        }
    }

    /// An answer to a ping.
    pub(super) fn on_pong(&mut self, cx: &mut Context<'_>, sender: Sender, version: Version) {
        if self.table.is_impostor(sender) {
            cx.refuse(sender.source, Refusal::UnprovenAddress);
            return;
        }
        let owed = match self.questions.get_mut(&sender.address) {
            Some(question) if question.ask == Ask::Ping => self.settle(sender.address).and_then(|question| question.owed),
            // Its answer to our question is still to come.
            Some(question) => question.owed.take(),
            // Late, or a second answer: of a known peer a sign of life.
            None if self.table.knows(sender) => None,
            None => {
                cx.refuse(sender.source, Refusal::Unasked);
                return;
            }
        };
        self.prove(cx, sender, version);
        if let Some(target) = owed {
            self.answer(cx, sender.address, target, ANSWERED);
        }
        self.pump(cx);
    }

    /// An answer to a question for peers.
    pub(super) fn on_nodes(&mut self, cx: &mut Context<'_>, sender: Sender, version: Version, entries: &[Entry]) {
        if self.table.is_impostor(sender) {
            cx.refuse(sender.source, Refusal::UnprovenAddress);
            return;
        }
        let settled = self.settle(sender.address);
        let lately = (0..BUCKETS).map(Target::Bucket).chain([Target::Me]);
        let asked = settled.is_some()
            || (self.table.knows(sender) && lately.into_iter().any(|target| self.asked.contains(cx.now, &(sender.address, target))));
        if !asked {
            cx.refuse(sender.source, Refusal::Unasked);
            return;
        }
        self.prove(cx, sender, version);
        if let Some(target) = settled.and_then(|question| question.owed) {
            self.answer(cx, sender.address, target, ANSWERED);
        }
        for entry in entries.iter().take(LOOKED_AT) {
            self.on_entry(cx, sender, *entry);
        }
        if let Some(lookup) = &mut self.lookup {
            lookup.answered(Entry { address: sender.address, id: sender.header.id });
        }
        self.pump(cx);
    }

    fn on_entry(&mut self, cx: &mut Context<'_>, informer: Sender, entry: Entry) {
        if entry.id == cx.me.id() || self.table.peer(entry.address).is_some() {
            return;
        }
        // The id follows from the address: who lies about it is not worth a datagram.
        if !entry.is_genuine() {
            cx.refuse(informer.source, Refusal::OtherId);
            return;
        }
        let may_dial = Address::new(entry.address).is_ok_and(|address| scope::may_dial(address, informer.source));
        if !may_dial {
            cx.refuse(informer.source, Refusal::ForbiddenAddress);
            return;
        }
        if !self.entries_of.take(cx.now, informer.address, cx.settings.limits.entries_per_informer, 1) {
            cx.refuse(informer.source, Refusal::OverBudget);
            return;
        }
        let known = self.heard_of.contains(&entry) || self.questions.contains_key(&entry.address);
        if let Some(lookup) = &mut self.lookup {
            lookup.news |= !known;
            if cx.settings.recursive_discovery {
                lookup.offer(Entrant { entry, named: false });
            }
        }
        if !known && self.heard_of.len() < MOST_HEARD_OF {
            self.heard_of.push_back(entry);
        }
    }

    /// The open question to a peer, which is answered now.
    fn settle(&mut self, address: SocketAddr) -> Option<Question> {
        let question = self.questions.remove(&address)?;
        self.due.remove(&(question.due, address, Due::Answer));
        Some(question)
    }

    /// A peer has answered from the address that it announces: it is in, if there is a place.
    fn prove(&mut self, cx: &mut Context<'_>, sender: Sender, version: Version) {
        if let Some(peer) = self.table.peer_mut(sender.address) {
            // From elsewhere only if it was silent where it was.
            peer.source = sender.source;
            self.heard(cx, sender, Some(version));
            self.table.heard(sender.address, |peer| peer.steady += 1);
            return;
        }
        let Header { id, nonce, mark, .. } = sender.header;
        let Sender { source, address, .. } = sender;
        let peer = Peer { address, source, id, nonce, version, mark, heard: cx.now, steady: 0, doubted: false };
        if self.table.insert(cx, peer) {
            self.due.insert((cx.now + jittered(cx, cx.settings.node_ttl), sender.address, Due::Check));
            if let Some(peer) = self.table.peer(sender.address) {
                let contact = self.table.contact(cx.now, peer);
                cx.event(Event::PeerAdded(contact));
            }
        } else {
            self.table.spare(cx, Entry { address: sender.address, id });
        }
    }

    fn wants(&self, cx: &Context<'_>, entry: Entry) -> bool {
        self.table.peer(entry.address).is_none() && self.table.has_room(cx, entry)
    }

    // --- Who goes

    pub(super) fn put_out(&mut self, cx: &mut Context<'_>, address: SocketAddr, reason: Removal) {
        let spare = self.table.remove(address);
        cx.event(Event::PeerRemoved { address, reason });
        if let Some(entry) = spare {
            self.ask(cx, Entrant { entry, named: false }, Ask::Ping);
        }
        if self.alive() < cx.settings.min_peers && self.bootstrap.again.is_none() {
            self.bootstrap.again = Some((cx.now + cx.settings.retry_first, cx.settings.retry_first * 2));
        }
    }

    /// Has nothing to do any more with those for whom this holds.
    pub(super) fn put_out_if(&mut self, cx: &mut Context<'_>, blocked: impl Fn(SocketAddr) -> bool) {
        let known: Vec<SocketAddr> = self.table.peers().map(|peer| peer.address).filter(|address| blocked(*address)).collect();
        for address in known {
            self.put_out(cx, address, Removal::Blocked);
        }
        self.questions.retain(|address, _| !blocked(*address));
        self.heard_of.retain(|entry| !blocked(entry.address));
    }

    // --- Time

    pub(super) fn on_wake(&mut self, cx: &mut Context<'_>) {
        while let Some((_, address, due)) = self.due.first().copied().filter(|(at, ..)| *at <= cx.now) {
            self.due.pop_first();
            match due {
                Due::Answer => self.on_unanswered(cx, address),
                Due::Check => self.check(cx, address),
            }
        }
        self.try_again(cx);
        self.look_around(cx);
    }

    /// Whether a known peer is still there: it is pinged if it has said nothing for long enough.
    fn check(&mut self, cx: &mut Context<'_>, address: SocketAddr) {
        let Some(peer) = self.table.peer(address) else { return };
        let pause = cx.settings.node_ttl * 2_u32.pow(peer.steady.min(MOST_DOUBLINGS));
        let next = peer.heard + pause;
        if next > cx.now {
            self.due.insert((next, address, Due::Check));
            return;
        }
        let entry = Entry { address, id: peer.id };
        self.due.insert((cx.now + jittered(cx, cx.settings.node_ttl), address, Due::Check));
        self.ask(cx, Entrant { entry, named: false }, Ask::Ping);
    }

    pub(super) fn next_timeout(&self) -> Option<Instant> {
        let due = self.due.first().map(|(at, ..)| *at);
        let again = self.bootstrap.again.map(|(at, _)| at);
        let refresh = self.refresh.map(|(at, _)| at);
        [due, again, refresh].into_iter().flatten().min()
    }
}

/// A point of this bucket, seen from us: its bit differs, and those below are random.
fn random_of(cx: &mut Context<'_>, bucket: u8) -> Id {
    let below: u128 = (1_u128 << bucket) - 1;
    let offset = (1_u128 << bucket) | (cx.rng.random::<u128>() & below);
    Id((u128::from_le_bytes(cx.me.id().0) ^ offset).to_le_bytes())
}

/// Up to an eighth more, so that what began together does not stay together.
fn jittered(cx: &mut Context<'_>, span: Duration) -> Duration {
    span + span / 8 * cx.rng.random_range(0..=100) / 100
}

/// How many tries take at least so long.
fn tries_for(span: Duration) -> u32 {
    let waits = |tries: &u32| (0..*tries).map(|tried| PATIENCE * 2_u32.pow(tried.min(MOST_DOUBLINGS))).sum::<Duration>();
    (TRIES..MOST_TRIES).find(|tries| waits(tries) >= span).unwrap_or(MOST_TRIES)
}

/// How long an answer may take at first; each further try waits twice as long.
const PATIENCE: Duration = Duration::from_millis(500); // the specification: retries from 0.5 s

const MOST_DOUBLINGS: u32 = 3; // guess
const ALONE_DOUBLINGS: u32 = 1; // guess: a second

/// How often somebody unproven that asked for peers is pinged: three times 31 bytes are less than three times its 47.
const TRIES_FOR_QUESTION: u32 = 3;

/// And somebody that sent a ping, which has an answer of 31 bytes already.
const TRIES_FOR_PING: u32 = 2;

/// How often somebody unknown is asked.
const TRIES: u32 = 4; // guess: of a thousand at 12 % loss each way three are missed

/// How often at most a known peer is asked before it is put out.
const MOST_TRIES: u32 = 8;

/// From so many tries on a peer gets no broadcasts if there are others.
const DOUBTED_AFTER: u32 = 2; // guess: one datagram may be lost

/// Who was asked is not asked the same again for so long.
const ASKED: Duration = Duration::from_secs(4); // guess: shorter than the time between two looks

/// The second look around; each pause after it is four times as long.
const SECOND_LOOK: Duration = Duration::from_secs(10); // guess: those who began with us have found each other

/// A look around that is due after a silence, while the pauses are shorter than [`SETTLED`].
const SOON: Duration = Duration::from_secs(1); // guess
const SETTLED: Duration = Duration::from_secs(600); // guess: two looks later

/// Lookups in a row that bring nobody new: then everybody is known.
const FRUITLESS: u32 = 2; // guess

/// How long a peer of a version that is not accepted is remembered.
const REJECTED: Duration = Duration::from_secs(600); // guess

/// Peers in one answer: the crate's K.
const ANSWERED: usize = 20;

/// And in one to an address that is not proven: 33 bytes and 22 or 35 for each peer are less than three times a question of 47.
const UNPROVEN_ANSWERED: usize = 3;

/// Peers of one answer that are looked at: twice the crate's K.
const LOOKED_AT: usize = 40;

const MOST_QUESTIONS: usize = 1024; // guess
const MOST_HEARD_OF: usize = 512; // guess
const MOST_REMEMBERED: usize = 4096; // guess
const MOST_BOOTSTRAP_PEERS: usize = 64; // guess
