//! A whole peer as one machine, composed of the others.
//!
//! Each input goes to the machine that it concerns; what machines have to tell each other are `Step`s, passed on in order
//! until none is left. Nothing else connects them.

mod bodies;
mod commands;
mod limits;
mod network;
mod origins;
mod steps;

use crate::{
    attach::Attachments,
    broadcast::Broadcaster,
    budget::Budgets,
    config::{Config, ConfigError},
    context::{Context, Numbers},
    deliver::Deliveries,
    drains::Drains,
    event::Table,
    input::{Input, JobResult, Operation},
    join::Joins,
    linkage::Linkage,
    links::Links,
    lists::{AccessList, Ban},
    liveness::Liveness,
    lookup::Lookups,
    notary::Notary,
    outbox::{Job, JobId, Outbox},
    overlay::Overlay,
    pace::Pace,
    peer::{Me, Proven},
    prover::Prover,
    questions::Questions,
    refusals::Refusals,
    route::{Map, Router},
    sessions::{Mind, Sessions},
    step::Tries,
    time::{Instant, Wake},
    timed::{Timed, Timer},
    unhurried::Unhurried,
};
use cicada_wire::{Record, Role, SignedRecord, UnixTime};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use std::sync::Arc;

/// A peer.
#[derive(Debug)]
pub struct Node {
    me: Me,
    /// Nodes of one program may share it.
    config: Arc<Config>,
    /// The wall time as it was told last, and when: between two tellings it goes on by itself, so that what was made one after the other
    /// has times one after the other.
    clock: UnixTime,
    told: Option<Instant>,
    links: Links,
    rng: ChaCha8Rng,
    numbers: Numbers,
    refusals: Refusals,
    unhurried: Unhurried,
    machines: Machines,
    pace: Pace,
    /// When there is something to do next, as of the last input.
    due: Option<(Instant, Wake)>,
}

/// The machines that a node is composed of.
#[derive(Debug)]
struct Machines {
    phase: Phase,
    overlay: Timed<Overlay>,
    lookups: Timed<Lookups>,
    attachments: Timed<Attachments>,
    joins: Timed<Joins>,
    router: Timed<Router>,
    broadcaster: Timed<Broadcaster>,
    deliveries: Deliveries,
    prover: Timed<Prover>,
    questions: Timed<Questions>,
    liveness: Timed<Liveness>,
    linkage: Timed<Linkage>,
    drains: Timed<Drains>,
    budgets: Budgets,
    lists: AccessList,
    notary: Timed<Notary>,
    sessions: Timed<Sessions>,
}

/// How far a peer is on its way out.
#[derive(Debug, PartialEq, Eq)]
enum Phase {
    Running,
    /// What was sent is still on its way; nothing new is taken.
    Flushing {
        operation: Operation,
        deadline: Instant,
    },
    /// Neighbours were told; links are being closed.
    Leaving {
        operation: Operation,
    },
    Left,
}

impl Node {
    /// A peer that knows nobody yet.
    ///
    /// # Errors
    /// When the configuration contradicts itself.
    pub fn new(me: Me, config: impl Into<Arc<Config>>, seed: [u8; 32], clock: UnixTime) -> Result<Self, ConfigError> {
        let config = config.into();
        config.check()?;
        let machines = Machines::new(&me.record, &config);
        let mut node = Self {
            me,
            config,
            clock,
            told: None,
            links: Links::default(),
            rng: ChaCha8Rng::from_seed(seed),
            numbers: Numbers::default(),
            refusals: Refusals::default(),
            unhurried: Unhurried::default(),
            machines,
            pace: Pace::default(),
            due: None,
        };
        node.due = node.next_due();
        Ok(node)
    }

    /// Takes one input in; what follows from it is in `out`.
    pub fn handle(&mut self, now: Instant, input: Input, out: &mut Outbox) {
        if let Input::Clock(clock) = input {
            (self.clock, self.told) = (clock, Some(now));
        }
        if let Input::JobDone { result: JobResult::Renewed(record), .. } = &input {
            self.renewed(record);
        }
        if let Input::Wake = input
            && !self.pace.on_wake(now, self.due.map(|(due, _)| due).filter(|due| *due <= now))
        {
            return;
        }
        let before = out.transmits.len();
        let clock = self.clock_at(now);
        let mut steps = std::mem::take(&mut out.steps);
        let mut cx = Context {
            now,
            clock,
            slowness: self.pace.slowness(now),
            me: &self.me,
            config: &self.config,
            links: &mut self.links,
            rng: &mut self.rng,
            numbers: &mut self.numbers,
            refusals: &mut self.refusals,
            steps: &mut steps,
            unhurried: &mut self.unhurried,
            out,
        };
        self.machines.on_input(&mut cx, input);
        self.machines.pass_steps(&mut cx);
        self.machines.drain(&mut cx);
        out.steps = steps;
        self.unhurried.join(out, before);
        self.due = self.next_due();
    }

    fn clock_at(&mut self, now: Instant) -> UnixTime {
        let told = *self.told.get_or_insert(now);
        // It runs for centuries before it does not fit.
        let since = u64::try_from(now.since(told).as_millis()).unwrap_or(u64::MAX);
        UnixTime(self.clock.0.saturating_add(since))
    }

    /// A new record of our own replaces the old one; another's would be a bug of the shell.
    fn renewed(&mut self, record: &SignedRecord) {
        if record.key() == self.me.key() && record.id() == self.me.id() {
            self.me.record = record.clone();
            self.machines.overlay.renew(record);
        }
    }

    /// When the node wants a [`Input::Wake`], and why. Earlier wakes do no harm.
    #[must_use]
    pub fn next_timeout(&self) -> Option<(Instant, Wake)> {
        let (due, wake) = self.due?;
        Some((self.pace.next_timeout().map_or(due, |reading| due.max(reading)), wake))
    }

    fn next_due(&mut self) -> Option<(Instant, Wake)> {
        let unhurried = self.unhurried.next_timeout().map(|due| (due, Wake::Route));
        [self.machines.next_timeout(), unhurried].into_iter().flatten().min_by_key(|(due, _)| *due)
    }

    /// Who this node is.
    #[must_use]
    pub fn me(&self) -> &Me {
        &self.me
    }

    /// How this node behaves.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The node's links.
    #[must_use]
    pub fn links(&self) -> &Links {
        &self.links
    }

    /// The node's overlay.
    #[must_use]
    pub fn overlay(&self) -> &Overlay {
        &self.machines.overlay
    }

    /// The tables, the links in them marked, for people to look at.
    #[must_use]
    pub fn table(&self) -> Table {
        let mut table = self.machines.overlay.table();
        for entry in &mut table.entries {
            entry.linked = self.links.to_peer(entry.record.id()).is_some_and(super::links::Link::is_open);
        }
        table.attached = self.machines.attachments.all().into_iter().map(|record| (record.clone(), record.record().role)).collect();
        table
    }

    /// What was refused so far, by reason.
    #[must_use]
    pub fn refusals(&self) -> &Refusals {
        &self.refusals
    }

    /// The bans in force.
    #[must_use]
    pub fn banned(&self, now: Instant) -> Vec<Ban> {
        self.machines.banned(now)
    }

    /// How many deliveries the application has not taken yet, and their bytes.
    #[must_use]
    pub fn undelivered(&self) -> (usize, usize) {
        self.machines.deliveries.waiting()
    }

    /// Whether this peer has taken its place: a member in the overlay, a client at its members.
    #[must_use]
    pub fn is_joined(&self) -> bool {
        match self.me.record.record().role {
            Role::Member => self.machines.overlay.is_joined(),
            Role::Client | Role::Leaf => self.machines.attachments.is_attached(),
        }
    }
}

impl Machines {
    fn new(me: &SignedRecord, config: &Config) -> Self {
        Self {
            phase: Phase::Running,
            overlay: Timed::new(Overlay::new(config.overlay, me)),
            lookups: Timed::new(Lookups::default()),
            attachments: Timed::new(Attachments::default()),
            joins: Timed::new(Joins::default()),
            router: Timed::new(Router::default()),
            broadcaster: Timed::new(Broadcaster::default()),
            deliveries: Deliveries::default(),
            prover: Timed::new(Prover::default()),
            questions: Timed::new(Questions::default()),
            liveness: Timed::new(Liveness::default()),
            linkage: Timed::new(Linkage::default()),
            drains: Timed::new(Drains::default()),
            budgets: Budgets::default(),
            lists: AccessList::new(config.allow.clone(), config.deny.clone()),
            notary: Timed::new(Notary::default()),
            sessions: Timed::new(Sessions::default()),
        }
    }

    fn on_input(&mut self, cx: &mut Context<'_>, input: Input) {
        if self.phase == Phase::Left {
            return self.on_input_after_leaving(cx, input);
        }
        match input {
            Input::LinkUp(up) => self.on_link_up(cx, up),
            Input::LinkDown { link, reason } => self.on_link_down(cx, link, reason),
            Input::DialFailed { dial, error } => self.on_dial_failed(cx, dial, error),
            Input::Frame { link, frame } => self.on_whole_frame(cx, link, frame),
            Input::Arriving { link, head, body, length } => self.on_arriving(cx, link, head, body, length),
            Input::Crowded { link, head } => self.on_crowded(cx, link, &head),
            Input::Arrived { body, payload } => self.on_arrived(cx, body, payload),
            Input::Broken { body, arrived } => self.on_broken(cx, body, arrived),
            Input::Streamed { stream, complete } => self.on_streamed(cx, stream, complete),
            Input::Datagram { from, datagram } => self.on_datagram(cx, from, datagram),
            Input::JobDone { job, result } => self.on_job_done(cx, job, result),
            Input::Command(command) => self.on_command(cx, command),
            Input::Wake => self.on_wake(cx),
            Input::Clock(_) => self.keep_records_current(cx),
        }
    }

    fn on_job_done(&mut self, cx: &mut Context<'_>, job: JobId, result: JobResult) {
        match result {
            JobResult::Answered(answer) => self.prover.on_answered(cx, job, answer),
            JobResult::Verified(holds) => self.prover.on_verified(cx, job, holds),
            // The node has taken it over already.
            JobResult::Renewed(_) => {}
            JobResult::Admitted(admitted) => self.prover.on_admitted(cx, job, admitted),
            JobResult::Signed(signature) => self.broadcaster.on_signed(cx, &self.overlay, job, signature),
            JobResult::SessionOpened(result) => self.sessions.on_opened(cx, job, result),
            JobResult::SessionAccepted(result) => self.sessions.on_accepted(cx, job, result),
            JobResult::MessageVerified(holds) => {
                let mut mind = Mind { overlay: &self.overlay, notary: &mut self.notary };
                if self.sessions.on_verified(cx, &mut mind, job, holds) {
                    return;
                }
                let released = self.notary.on_verified(cx, job, holds);
                self.take_released(cx, released);
            }
        }
    }

    /// Makes a new record of our own at half of its life, and asks members for theirs before they expire.
    fn keep_records_current(&mut self, cx: &mut Context<'_>) {
        let lifetime_ms = u64::try_from(cx.config.upkeep.record_lifetime.as_millis()).unwrap_or(u64::MAX);
        let ours = cx.me.record.record();
        let clock = cx.clock;
        let ends_within = |expires: UnixTime, span_ms: u64| expires.0.saturating_sub(clock.0) < span_ms;
        if ends_within(ours.expires, lifetime_ms / 2) {
            let expires = UnixTime(cx.clock.0.saturating_add(lifetime_ms));
            let sequence = ours.sequence.saturating_add(1).max(cx.clock.0);
            let renewed = Record { expires, sequence, ..ours.clone() };
            cx.job(Job::Renew(renewed));
        }
        let stale = |member: &Proven| ends_within(member.record().record().expires, lifetime_ms / 4);
        for member in self.overlay.members().into_iter().filter(stale).take(REFRESHED_AT_ONCE) {
            self.prover.refresh(cx, member.record(), Tries::AsUsual);
        }
    }

    /// A machine whose time has not come has nothing to do, and is not touched. The overlay looks around at every wake-up, and joins
    /// at every one while there are any.
    fn on_wake(&mut self, cx: &mut Context<'_>) {
        let now = cx.now;
        cx.unhurried.on_wake(now, cx.out);
        if self.questions.may_be_due(now) {
            self.questions.on_wake(cx);
        }
        if self.prover.may_be_due(now) {
            self.prover.on_wake(cx);
        }
        if self.liveness.may_be_due(now) {
            self.liveness.on_wake(cx, &self.overlay);
        }
        self.overlay.on_wake(cx);
        if self.lookups.may_be_due(now) {
            self.lookups.on_wake(cx, &self.overlay);
        }
        if self.attachments.may_be_due(now) {
            self.attachments.on_wake(cx, &self.overlay);
        }
        if self.joins.may_wait() {
            self.joins.on_wake(cx);
        }
        if self.router.may_be_due(now) {
            let map = Map { overlay: &self.overlay, attachments: &self.attachments, sessions: &self.sessions };
            self.router.on_wake(cx, &map, &mut self.deliveries);
        }
        if self.broadcaster.may_be_due(now) {
            self.broadcaster.on_wake(cx, &self.overlay);
        }
        if self.linkage.may_be_due(now) {
            self.linkage.on_wake(cx, &self.overlay);
        }
        if self.sessions.may_be_due(now) {
            self.sessions.on_wake(cx);
        }
        if self.notary.may_be_due(now) {
            let released = self.notary.on_wake(cx);
            self.take_known(cx, released);
        }
        self.go_on_leaving(cx);
    }

    /// Goes on with links that are being given up: whatever has happened may have been the last that was awaited on one.
    fn drain(&mut self, cx: &mut Context<'_>) {
        if !self.drains.is_empty() {
            let (router, broadcaster) = (&self.router, &self.broadcaster);
            self.drains.go_on(cx, |link, peer| router.awaits(link, peer) || broadcaster.awaits(link, peer));
        }
    }

    fn next_timeout(&mut self) -> Option<(Instant, Wake)> {
        self.settle();
        let leaving = match &self.phase {
            Phase::Flushing { deadline, .. } => Some(*deadline),
            Phase::Running | Phase::Leaving { .. } => None,
            Phase::Left => return None,
        };
        let mut first = None;
        for (due, wake) in [
            (self.questions.due(), Wake::Lookup),
            (self.prover.due(), Wake::Upkeep),
            (self.liveness.due(), Wake::Liveness),
            (self.overlay.due(), Wake::Upkeep),
            (self.lookups.due(), Wake::Lookup),
            (self.attachments.due(), Wake::Join),
            (self.joins.due(), Wake::Join),
            (self.router.due(), Wake::Route),
            (self.broadcaster.due(), Wake::Broadcast),
            (self.notary.due(), Wake::Broadcast),
            (self.sessions.due(), Wake::Route),
            (self.linkage.due(), Wake::Links),
            (self.drains.due(), Wake::Links),
            (leaving, Wake::Leave),
        ] {
            if let Some(due) = due
                && first.is_none_or(|(soonest, _)| due < soonest)
            {
                first = Some((due, wake));
            }
        }
        first
    }

    /// Finds out when those are due that may have changed.
    fn settle(&mut self) {
        self.overlay.settle();
        self.lookups.settle();
        self.attachments.settle();
        self.joins.settle();
        self.router.settle();
        self.broadcaster.settle();
        self.prover.settle();
        self.questions.settle();
        self.liveness.settle();
        self.linkage.settle();
        self.drains.settle();
        self.notary.settle();
        self.sessions.settle();
    }
}

macro_rules! timers {
    ($($machine:ty),*) => {
        $(impl Timer for $machine {
            fn next_timeout(&self) -> Option<Instant> {
                self.next_timeout()
            }
        })*
    };
}

timers!(Overlay, Lookups, Attachments, Joins, Router, Broadcaster, Prover, Questions, Liveness, Linkage, Drains, Notary, Sessions);

/// Members whose records are asked for at one tick of the clock: a table of hundreds is through in minutes.
const REFRESHED_AT_ONCE: usize = 16; // guess
