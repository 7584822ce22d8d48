//! Members that come and go, for as long as they please.

use crate::{
    distribution::Distribution,
    peer::{PeerIndex, PeerOptions},
    world::{Happening, World},
};
use cicada_proto::{Command, Event, Node, Operation};
use cicada_wire::Role;
use rand::{Rng, RngExt};
use std::{collections::BTreeMap, time::Duration};

/// How members come and go.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct ChurnPlan {
    /// How long a member stays.
    pub sessions: Distribution,
    /// How many of a million leave politely; the others vanish.
    pub polite_per_million: u32,
    /// Whether somebody new comes for each that goes. A newcomer joins through a random live member, through another when that
    /// fails, and stays for a session of its own from when it is in.
    pub replaces: bool,
}

impl Default for ChurnPlan {
    /// Sessions without memory, half of them under ten minutes; half leave politely; the swarm keeps its size.
    fn default() -> Self {
        Self { sessions: Distribution::Exponential { median: Duration::from_secs(600) }, polite_per_million: 500_000, replaces: true }
    }
}

/// How many came and went.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ChurnCounts {
    /// Vanished.
    pub crashed: u64,
    /// Left politely.
    pub left: u64,
    /// Began to join.
    pub arrived: u64,
    /// Are in, or were.
    pub joined: u64,
    /// Attempts to join that came to nothing, and were repeated.
    pub failed: u64,
}

/// The churn of a world.
#[derive(Debug, Default)]
pub(crate) struct Churn {
    plan: Option<ChurnPlan>,
    /// Counts the plans; what was arranged for an earlier one is void.
    number: u32,
    counts: ChurnCounts,
    joining: BTreeMap<Operation, PeerIndex>,
}

/// A peer comes or goes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Turnover {
    /// Its session ends.
    Departure { who: PeerIndex, start: u32, plan: u32 },
    /// A newcomer is in.
    Entered { who: PeerIndex, start: u32 },
    /// It tries (again) to get in.
    Entry { who: PeerIndex, start: u32 },
}

impl World {
    /// From now on these members, and those that come for them, stay for sessions of this plan.
    ///
    /// # Errors
    /// Says what of the plan is impossible.
    pub fn start_churn(&mut self, members: &[PeerIndex], plan: ChurnPlan) -> Result<(), String> {
        plan.sessions.check()?;
        self.churn.plan = Some(plan);
        self.churn.number += 1;
        for who in members {
            self.begin_session(*who);
        }
        Ok(())
    }

    /// From now on everybody stays; who is on the way in still comes in.
    pub fn stop_churn(&mut self) {
        self.churn.plan = None;
        self.churn.number += 1;
    }

    /// How many came and went so far.
    #[must_use]
    pub fn churned(&self) -> ChurnCounts {
        self.churn.counts
    }

    fn begin_session(&mut self, who: PeerIndex) {
        let Some(plan) = self.churn.plan else { return };
        let end = self.now + plan.sessions.draw(&mut self.rng);
        let departure = Turnover::Departure { who, start: self.peers[who.0].start, plan: self.churn.number };
        self.queue.push(end, who.class(), Happening::Turnover(departure));
    }

    pub(crate) fn turn_over(&mut self, turnover: Turnover) {
        match turnover {
            Turnover::Departure { who, start, plan } if plan == self.churn.number && self.is_started(who, start) => self.depart(who),
            Turnover::Entered { who, start } if self.is_started(who, start) => self.begin_session(who),
            Turnover::Entry { who, start } if self.is_started(who, start) => self.enter(who),
            Turnover::Departure { .. } | Turnover::Entered { .. } | Turnover::Entry { .. } => {}
        }
    }

    fn depart(&mut self, who: PeerIndex) {
        let Some(plan) = self.churn.plan else { return };
        if self.rng.next_u32() % 1_000_000 < plan.polite_per_million {
            self.churn.counts.left += 1;
            let operation = self.operation();
            self.command(who, Command::Leave { operation });
        } else {
            self.churn.counts.crashed += 1;
            self.crash(who);
        }
        if plan.replaces {
            let newcomer = self.add(PeerOptions::default());
            self.churn.counts.arrived += 1;
            self.enter(newcomer);
        }
    }

    fn enter(&mut self, who: PeerIndex) {
        match self.random_entry(who) {
            Some(entry) => {
                let operation = self.connect(who, entry);
                self.churn.joining.insert(operation, who);
            }
            None => self.enter_later(who),
        }
    }

    fn enter_later(&mut self, who: PeerIndex) {
        let entry = Turnover::Entry { who, start: self.peers[who.0].start };
        self.queue.push(self.now + RETRY, who.class(), Happening::Turnover(entry));
    }

    /// A connect has ended; it may be that of a newcomer.
    pub(crate) fn note_connect(&mut self, operation: Operation, event: &Event) {
        let Some(who) = self.churn.joining.remove(&operation) else { return };
        if let Event::Connected { .. } = event {
            self.churn.counts.joined += 1;
            let entered = Turnover::Entered { who, start: self.peers[who.0].start };
            self.queue.push(self.now, who.class(), Happening::Turnover(entered));
        } else {
            self.churn.counts.failed += 1;
            self.enter_later(who);
        }
    }

    /// A live member that is in a swarm, drawn from the seed; not `who`.
    pub(crate) fn random_entry(&mut self, who: PeerIndex) -> Option<PeerIndex> {
        for _ in 0..DRAWS {
            let drawn = PeerIndex(self.rng.random_range(0..self.peers.len()));
            if drawn != who && self.is_entry(drawn) {
                return Some(drawn);
            }
        }
        // Most peers have gone: these are the ones that have not.
        let entries: Vec<_> = self.live().filter(|other| *other != who && self.is_entry(*other)).collect();
        (!entries.is_empty()).then(|| self.choose(&entries))
    }

    fn is_entry(&self, who: PeerIndex) -> bool {
        // Whose own attempt is under way may know nobody but an entry that has gone: those who enter by it would never meet the rest.
        let enters = self.churn.joining.values().any(|other| *other == who);
        let peer = &self.peers[who.0];
        !enters && peer.paused.is_none() && peer.record.record().role == Role::Member && peer.node.as_ref().is_some_and(Node::is_joined)
    }
}

const RETRY: Duration = Duration::from_secs(1); // guess
const DRAWS: usize = 64; // enough while one of ten lives
