//! Joining a swarm through entry points: knock at each address until one opens, then look for our place.
//!
//! An entry point is no authority: it is asked where our own id belongs, and what it says are candidates. A join is complete
//! when the overlay has taken its place (a client: when it is attached). A member that is joined already and connects again may
//! have met another swarm; the overlay looks into that ([`Step::Met`]).

use crate::{
    context::Context,
    event::{ConnectError, Event, Lookup, LookupError},
    input::{DialError, Operation},
    links::{DialId, DialStart},
    overlay::Overlay,
    step::{Finder, Step},
    time::Instant,
};
use cicada_wire::{Address, Hash, Refusal, Role, SignedRecord};
use std::{collections::BTreeMap, time::Duration};

/// All joins under way.
#[derive(Debug, Default)]
pub(crate) struct Joins {
    joins: BTreeMap<Operation, Join>,
    /// Whether this peer was part of a swarm when the tables last changed.
    joined: bool,
    /// Whether who is known is what a join that failed has left: whoever is met then is no other swarm.
    stranded: bool,
}

#[derive(Debug)]
struct Join {
    entries: Vec<Entry>,
    deadline: Instant,
    timeout: Duration,
    /// When our own id is looked up (again), once an entry point has answered.
    look_up: Option<Instant>,
    /// Whether a lookup of our own id succeeded.
    found: bool,
    /// Whether this peer was part of a swarm before.
    was_joined: bool,
}

#[derive(Debug)]
struct Entry {
    address: Address,
    state: Knocking,
    /// Whether anybody has answered there: when its link is lost and made again, no other swarm is met.
    has_answered: bool,
}

#[derive(Debug)]
enum Knocking {
    /// Nobody answered; it is tried again.
    Waiting { at: Instant, pause: Duration },
    /// A dial is under way.
    Dialling { dial: DialId, pause: Duration },
    /// Somebody answered. `met`: the overlay knows, if it has to.
    Answered { peer: SignedRecord, met: bool },
    /// Whoever is there will never let us in.
    Refused(ConnectError),
}

impl Joins {
    /// Starts one. Ends with `Connected` or `ConnectFailed`, always.
    pub(crate) fn start(&mut self, cx: &mut Context<'_>, operation: Operation, addresses: Vec<Address>, timeout: Duration) {
        let mut entries: Vec<Entry> = Vec::new();
        for address in addresses {
            if !entries.iter().any(|entry| entry.address == address) && entries.len() < MAX_ENTRIES {
                entries.push(Entry { address, state: Knocking::Waiting { at: cx.now, pause: FIRST_PAUSE }, has_answered: false });
            }
        }
        let was_joined = self.joined && !self.stranded;
        let join = Join { entries, deadline: cx.now + timeout, timeout, look_up: None, found: false, was_joined };
        self.joins.insert(operation, join);
        self.pursue(cx);
    }

    /// A link is up, to a peer that the overlay knew before or not.
    pub(crate) fn on_link_up(&mut self, cx: &mut Context<'_>, peer: &SignedRecord, dial: Option<DialId>, known: bool) {
        for join in self.joins.values_mut() {
            for entry in &mut join.entries {
                let dialled = matches!(entry.state, Knocking::Dialling { dial: ours, .. } if Some(ours) == dial);
                let there = peer.record().addresses.contains(&entry.address) && !matches!(entry.state, Knocking::Answered { .. });
                if dialled || there {
                    entry.answered(peer, known);
                    join.look_up.get_or_insert(cx.now);
                }
            }
        }
        self.pursue(cx);
    }

    /// A dial failed.
    pub(crate) fn on_dial_failed(&mut self, cx: &mut Context<'_>, to: Address, error: DialError) {
        for join in self.joins.values_mut() {
            for entry in join.entries.iter_mut().filter(|entry| entry.address == to) {
                entry.failed(cx.now, error);
            }
        }
        self.pursue(cx);
    }

    /// The lookup of our own id ended.
    pub(crate) fn on_found(&mut self, cx: &mut Context<'_>, operation: Operation, result: &Result<Lookup, LookupError>) {
        let Some(join) = self.joins.get_mut(&operation) else { return };
        join.found |= result.is_ok();
        // Until the join is complete the neighbourhood may have changed meanwhile, or the answer got lost.
        join.look_up = Some(cx.now + if result.is_ok() { LOOK_AGAIN } else { FIRST_PAUSE });
        // Perhaps nothing else is missing.
        cx.step(Step::TablesChanged);
    }

    /// The tables (or a client's attachments) changed: perhaps a join is complete.
    pub(crate) fn on_progress(&mut self, cx: &mut Context<'_>, overlay: &Overlay, attached: bool) {
        let is_member = cx.me.record.record().role == Role::Member;
        for join in self.joins.values_mut() {
            join.tell_of_meetings(cx, self.joined && !self.stranded && is_member);
        }
        self.joined = overlay.is_joined();
        self.stranded &= self.joined;
        let in_place = if is_member { self.joined } else { attached };
        let complete = |join: &Join| in_place && (join.found || !is_member) && join.entry_point().is_some();
        for (operation, join) in self.joins.extract_if(.., |_, join| complete(join)) {
            if let Some(peer) = join.entry_point().cloned() {
                self.stranded = false;
                cx.out.event(Event::Connected { operation, peer });
            }
        }
    }

    /// This peer leaves: every join fails.
    pub(crate) fn abort(&mut self, cx: &mut Context<'_>) {
        for operation in std::mem::take(&mut self.joins).into_keys() {
            cx.out.event(Event::ConnectFailed { operation, error: ConnectError::Closing });
        }
    }

    pub(crate) fn on_wake(&mut self, cx: &mut Context<'_>) {
        self.pursue(cx);
    }

    pub(crate) fn next_timeout(&self) -> Option<Instant> {
        self.joins.values().map(Join::next_timeout).min()
    }

    fn pursue(&mut self, cx: &mut Context<'_>) {
        for (operation, join) in &mut self.joins {
            join.pursue(cx, *operation);
        }
        let failed: Vec<_> = self.joins.iter().filter_map(|(operation, join)| Some((*operation, join.failure(cx.now)?))).collect();
        for (operation, error) in failed {
            let was_joined = self.joins.remove(&operation).is_some_and(|join| join.was_joined);
            self.stranded |= self.joined && !was_joined;
            cx.out.event(Event::ConnectFailed { operation, error });
        }
    }
}

impl Join {
    fn pursue(&mut self, cx: &mut Context<'_>, operation: Operation) {
        let mut answered = false;
        for entry in &mut self.entries {
            entry.pursue(cx);
            answered |= matches!(entry.state, Knocking::Answered { .. });
        }
        if answered && self.look_up.is_none() {
            self.look_up = Some(cx.now);
        }
        if self.look_up.is_some_and(|at| at <= cx.now) {
            let seeds: Vec<SignedRecord> = self.answered().cloned().collect();
            // Asked again only when this lookup has ended.
            self.look_up = None;
            if !seeds.is_empty() {
                let is_member = cx.me.record.record().role == Role::Member;
                let finder = if is_member { Finder::Join(operation) } else { Finder::Attach };
                // A client's lookup ends at its attachments: it is repeated until they are complete.
                self.look_up = Some(if is_member { self.deadline } else { cx.now + LOOK_AGAIN });
                cx.step(Step::Find { target: cx.me.id(), seeds, finder });
            }
        }
    }

    fn answered(&self) -> impl Iterator<Item = &SignedRecord> {
        self.entries.iter().filter_map(|entry| match &entry.state {
            Knocking::Answered { peer, .. } => Some(peer),
            Knocking::Waiting { .. } | Knocking::Dialling { .. } | Knocking::Refused(_) => None,
        })
    }

    fn entry_point(&self) -> Option<&SignedRecord> {
        self.answered().next()
    }

    /// If this peer was part of a swarm before an entry point answered, that may be of another one.
    fn tell_of_meetings(&mut self, cx: &mut Context<'_>, was_joined: bool) {
        for entry in &mut self.entries {
            let Knocking::Answered { peer, met } = &mut entry.state else { continue };
            let proven = cx.links.to_peer(peer.id()).and_then(|link| link.proven.clone());
            let Some(proven) = proven.filter(|_| !*met) else { continue };
            *met = true;
            if was_joined {
                cx.step(Step::Met(proven));
            }
        }
    }

    /// Why this join has failed, if it has.
    fn failure(&self, now: Instant) -> Option<ConnectError> {
        let refusals = || {
            self.entries.iter().filter_map(|entry| match &entry.state {
                Knocking::Refused(error) => Some(error.clone()),
                Knocking::Waiting { .. } | Knocking::Dialling { .. } | Knocking::Answered { .. } => None,
            })
        };
        let refused = refusals().count() == self.entries.len();
        if !refused && now < self.deadline {
            return None;
        }
        if let Some(peer) = self.entry_point() {
            let address = self.entries.iter().find(|entry| entry.is_answered_by(peer.id())).map(|entry| entry.address);
            return address.map(|address| ConnectError::NoPlace { address, within: self.timeout });
        }
        let addresses = self.entries.iter().map(|entry| entry.address).collect();
        Some(refusals().next().unwrap_or(ConnectError::TimedOut { addresses, within: self.timeout }))
    }

    fn next_timeout(&self) -> Instant {
        let knocks = self.entries.iter().filter_map(|entry| match entry.state {
            Knocking::Waiting { at, .. } => Some(at),
            Knocking::Dialling { .. } | Knocking::Answered { .. } | Knocking::Refused(_) => None,
        });
        knocks.chain(self.look_up).chain([self.deadline]).min().unwrap_or(self.deadline)
    }
}

impl Entry {
    fn pursue(&mut self, cx: &mut Context<'_>) {
        match &self.state {
            Knocking::Waiting { at, pause } if *at <= cx.now => {
                let pause = *pause;
                self.knock(cx, pause);
            }
            Knocking::Answered { peer, met: _ } if cx.links.to_peer(peer.id()).is_none() => {
                self.state = Knocking::Waiting { at: cx.now + FIRST_PAUSE, pause: FIRST_PAUSE };
            }
            Knocking::Waiting { .. } | Knocking::Dialling { .. } | Knocking::Answered { .. } | Knocking::Refused(_) => {}
        }
    }

    fn knock(&mut self, cx: &mut Context<'_>, pause: Duration) {
        match cx.dial(self.address, None) {
            DialStart::Dialling(dial) => self.state = Knocking::Dialling { dial, pause },
            DialStart::Linked(link) => {
                if let Some(peer) = cx.links.link(link).map(|link| link.record.clone()) {
                    // Whoever was linked before is no stranger.
                    self.answered(&peer, true);
                }
            }
            DialStart::Refused(Refusal::SelfDial) => self.state = Knocking::Refused(ConnectError::SelfJoin(self.address)),
            DialStart::Refused(_) => self.wait(cx.now, pause),
        }
    }

    fn answered(&mut self, peer: &SignedRecord, known: bool) {
        let known = std::mem::replace(&mut self.has_answered, true) || known;
        self.state = if peer.record().role == Role::Member {
            Knocking::Answered { peer: peer.clone(), met: known }
        } else {
            Knocking::Refused(ConnectError::Refused { address: self.address, reason: Refusal::Unexpected })
        };
    }

    fn is_answered_by(&self, peer: Hash) -> bool {
        matches!(&self.state, Knocking::Answered { peer: answered, .. } if answered.id() == peer)
    }

    fn wait(&mut self, now: Instant, pause: Duration) {
        self.state = Knocking::Waiting { at: now + pause, pause: (pause * 2).min(LONGEST_PAUSE) };
    }

    fn failed(&mut self, now: Instant, error: DialError) {
        let Knocking::Dialling { pause, .. } = self.state else { return };
        let address = self.address;
        match error {
            DialError::TimedOut | DialError::Unreachable => self.wait(now, pause),
            DialError::NotAPeer => self.state = Knocking::Refused(ConnectError::NotAPeer(address)),
            DialError::Refused(Refusal::SelfDial) => self.state = Knocking::Refused(ConnectError::SelfJoin(address)),
            DialError::Refused(reason) if is_for_good(reason) => {
                self.state = Knocking::Refused(ConnectError::Refused { address, reason });
            }
            DialError::Refused(_) => self.wait(now, pause),
        }
    }
}

/// Whether trying again cannot help.
fn is_for_good(reason: Refusal) -> bool {
    matches!(
        reason,
        Refusal::Version
            | Refusal::OtherSwarm
            | Refusal::OtherOverlay
            | Refusal::OtherSecret
            | Refusal::OtherIdKind
            | Refusal::InvalidRecord
            | Refusal::ExpiredRecord
            | Refusal::PinnedKey
            | Refusal::NotAdmitted
            | Refusal::Denied
            | Refusal::UnprovenAddress
    )
}

/// The pause after a knock that nobody answered; it doubles.
const FIRST_PAUSE: Duration = Duration::from_millis(250); // guess: people start two programs within seconds of each other
const LONGEST_PAUSE: Duration = Duration::from_secs(2); // guess

/// A join that found its place but is not complete looks again after this long.
const LOOK_AGAIN: Duration = Duration::from_secs(1); // guess

const MAX_ENTRIES: usize = 64; // guess
