//! An experiment: a swarm is assembled as a [`Plan`] says, works while it is being tried, and what came of it is counted.
//!
//! It reads no file and no clock. Whoever runs it steps through it, may stop at any step, and asks for the [`Outcome`]; what is
//! traced can be taken step by step.

mod bounds;
mod load;
mod outcome;
mod plan;

pub use outcome::{Asked, Outcome, Spread, Verdict};
pub use plan::{Ill, Plan, Workload};

use crate::{
    assembly::Assembling,
    peer::PeerIndex,
    truth::Truth,
    world::{World, WorldConfig},
};
use bounds::Bounds;
use cicada_proto::{Config, Instant};
use load::Load;
use plan::share_of;
use rand::seq::SliceRandom;
use std::{fmt, time::Duration};

/// An experiment under way.
///
/// ```
/// use cicada_sim::experiment::{Experiment, Plan};
///
/// let plan = Plan { peers: 8, count: 20, ..Plan::default() };
/// let mut experiment = Experiment::new(plan)?;
/// while experiment.step() {}
/// assert_eq!(experiment.outcome().right(), (20, 20));
/// # Ok::<(), String>(())
/// ```
#[derive(Debug)]
pub struct Experiment {
    plan: Plan,
    world: World,
    stage: Stage,
    assembling: Assembling,
    settled: Option<Result<Duration, String>>,
    /// When members that come and go have done so for long enough.
    warm: Instant,
    crashed: usize,
    adversaries: usize,
    load: Option<Load>,
    healing: Option<Settling>,
    healed: Option<Result<Duration, String>>,
    cost: Option<(crate::Cost, Duration, Duration)>,
    bounds: Bounds,
}

/// What an experiment is at.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stage {
    /// Members join.
    Joining,
    /// Their tables become right.
    Settling,
    /// They do what they are asked to.
    Working,
    /// Their tables become right again.
    Healing,
    /// Nothing more will happen.
    Ended,
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Joining => "joining",
            Self::Settling => "settling",
            Self::Working => "working",
            Self::Healing => "healing",
            Self::Ended => "ended",
        })
    }
}

impl Experiment {
    /// Prepares what `plan` says.
    ///
    /// # Errors
    /// Says in one line what of the plan is impossible.
    pub fn new(plan: Plan) -> Result<Self, String> {
        plan.check()?;
        let mut config = Config::default();
        config.overlay = plan.overlay;
        config.limits.links = plan.links.unwrap_or(config.limits.links);
        config.check().map_err(|error| error.to_string())?;
        let network = plan.network.clone();
        let mut world = World::new(WorldConfig { seed: plan.seed, network, trace: plan.trace, config, ..WorldConfig::default() });
        let peers = world.add_peers(plan.peers);
        let assembling = Assembling::new(world.now, &peers, plan.joins_per_second);
        Ok(Self {
            plan,
            world,
            stage: Stage::Joining,
            assembling,
            settled: None,
            warm: Instant(0),
            crashed: 0,
            adversaries: 0,
            load: None,
            healing: None,
            healed: None,
            cost: None,
            bounds: Bounds::default(),
        })
    }

    /// Goes on for some milliseconds of virtual time; says whether there is more to come.
    pub fn step(&mut self) -> bool {
        match self.stage {
            Stage::Joining => {
                self.assembling.tick(&mut self.world);
                if self.assembling.is_done() {
                    self.stage = Stage::Settling;
                    self.healing = Some(Settling::of(&self.world, &self.assembling.assembly.joined, SETTLING));
                }
            }
            Stage::Settling => self.settle(),
            Stage::Working => self.work(),
            Stage::Healing => {
                self.world.run_for(PAUSE);
                self.healed = self.look();
                if self.healed.is_some() {
                    self.stage = Stage::Ended;
                }
            }
            Stage::Ended => {}
        }
        self.bounds.look(&self.world);
        self.stage != Stage::Ended
    }

    fn settle(&mut self) {
        self.world.run_for(PAUSE);
        if self.settled.is_none() {
            self.settled = self.look();
            if let (Some(_), Some(churn)) = (&self.settled, self.plan.churn) {
                let members = self.assembling.assembly.joined.clone();
                self.world.start_churn(&members, churn).expect("the plan was checked");
                self.warm = self.world.now + self.plan.warm_up;
            }
        }
        if self.settled.is_some() && self.warm <= self.world.now {
            self.try_it();
        }
    }

    /// Looks whether the tables are right, if anybody waits for that.
    fn look(&mut self) -> Option<Result<Duration, String>> {
        let found = self.healing.as_mut()?.look(&self.world);
        if found.is_some() {
            self.healing = None;
        }
        found
    }

    /// The swarm has settled: what else it is tried with begins, and its work in the same instant.
    fn try_it(&mut self) {
        let mut members = if self.plan.churn.is_some() { self.world.live_members() } else { self.assembling.assembly.joined.clone() };
        members.shuffle(&mut self.world.rng);
        let mut rest = members.as_slice();
        for ill in &self.plan.adversaries {
            let (doing, others) = rest.split_at(share_of(self.plan.peers, ill.per_million).min(rest.len()));
            doing.iter().for_each(|who| self.world.set_adversary(*who, &[ill.does]));
            self.adversaries += doing.len();
            rest = others;
        }
        members.shuffle(&mut self.world.rng);
        let (crashing, left) = members.split_at(share_of(self.plan.peers, self.plan.crashed_per_million).min(members.len()));
        crashing.iter().for_each(|who| self.world.crash(*who));
        self.crashed = crashing.len();
        if self.crashed > 0 && self.plan.churn.is_none() {
            self.healing = Some(Settling::of(&self.world, left, HEALING));
        }
        self.load = Some(Load::begin(&mut self.world));
        self.stage = Stage::Working;
    }

    fn work(&mut self) {
        let Some(load) = &mut self.load else { return };
        let done = load.tick(&mut self.world, &self.plan);
        if done {
            self.cost = Some(load.cost(&self.world));
            self.world.stop_churn();
        }
        if self.healing.is_some() {
            self.healed = self.look();
        }
        if done {
            self.stage = if self.healing.is_some() { Stage::Healing } else { Stage::Ended };
        }
    }

    /// What it is at.
    #[must_use]
    pub fn stage(&self) -> Stage {
        self.stage
    }

    /// How much of its stage is done, and of how much.
    #[must_use]
    pub fn progress(&self) -> (u64, u64) {
        let waiting = |span| self.healing.as_ref().map_or((0, 1), |settling| settling.waited(self.world.now, span));
        match self.stage {
            Stage::Joining => (self.assembling.assembly.joined.len() as u64, self.plan.peers as u64),
            Stage::Settling => waiting(SETTLING),
            Stage::Working => (self.load.as_ref().map_or(0, Load::ended) as u64, self.plan.count as u64),
            Stage::Healing => waiting(HEALING),
            Stage::Ended => (1, 1),
        }
    }

    /// What was traced since this was asked last; its first line says the format's version.
    pub fn take_trace(&mut self) -> String {
        self.world.trace_mut().take()
    }

    /// How many things have happened in its world.
    #[must_use]
    pub fn events(&self) -> u64 {
        self.world.happened()
    }

    /// What has come of it so far.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        let assembly = &self.assembling.assembly;
        let cost = self.cost.clone().or_else(|| self.load.as_ref().map(|load| load.cost(&self.world)));
        let (cost, lived, working) = cost.unwrap_or_default();
        Outcome {
            ended: self.stage == Stage::Ended,
            joined: assembly.joined.len(),
            failed: assembly.failed.len(),
            repeated: assembly.repeated,
            joining: assembly.span,
            settled: self.settled.clone(),
            crashed: self.crashed,
            adversaries: self.adversaries,
            churned: self.world.churned(),
            healed: self.healed.clone(),
            asked: self.load.as_ref().map(|load| load.so_far(&self.world)).unwrap_or_default(),
            busiest: self.bounds.busiest,
            broken: self.bounds.broken.clone(),
            cost,
            lived,
            working,
            events: self.world.happened(),
            virtual_time: self.world.now.since(Instant(0)),
        }
    }
}

/// Waits for right tables.
#[derive(Debug)]
struct Settling {
    since: Instant,
    at_most: Duration,
    truth: Truth,
    /// Whoever erred last is asked first: nearly always that answers for all.
    erring: Option<PeerIndex>,
}

impl Settling {
    fn of(world: &World, members: &[PeerIndex], at_most: Duration) -> Self {
        Self { since: world.now, at_most, truth: Truth::of(world, members, world.geometry(members)), erring: members.first().copied() }
    }

    /// After how long all tables were right, or what is still wrong when the time is over.
    fn look(&mut self, world: &World) -> Option<Result<Duration, String>> {
        let waited = world.now.since(self.since);
        let errs = |who: PeerIndex| self.truth.check(world, who).err();
        let error = self.erring.and_then(errs).or_else(|| {
            self.erring = self.truth.order().iter().copied().find(|who| errs(*who).is_some());
            self.erring.and_then(errs)
        });
        match error {
            None => Some(Ok(waited)),
            Some(error) => (waited >= self.at_most).then_some(Err(error)),
        }
    }

    fn waited(&self, now: Instant, span: Duration) -> (u64, u64) {
        (now.since(self.since).as_millis() as u64, span.as_millis() as u64)
    }
}

/// How long a swarm has to settle, in virtual time. Guess: ten times what it takes.
const SETTLING: Duration = Duration::from_secs(120);

/// How long it has to heal: what is promised.
const HEALING: Duration = Duration::from_secs(60);

const PAUSE: Duration = Duration::from_millis(100);
