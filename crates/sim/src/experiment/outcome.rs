//! What came of an experiment.

use crate::{churn::ChurnCounts, cost::Cost};
use std::time::Duration;

/// What came of an experiment, or has come of it so far. Times are virtual; the same plan has the same outcome.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Outcome {
    /// Whether it went to its end.
    pub ended: bool,
    /// How many members are in.
    pub joined: usize,
    /// How many did not get in, for all their attempts.
    pub failed: usize,
    /// How many attempts to join were repeated.
    pub repeated: u64,
    /// How long joining took.
    pub joining: Duration,
    /// How long after the last join all tables were right, or what was still wrong when nobody waited any longer.
    pub settled: Option<Result<Duration, String>>,
    /// How many members crashed in one instant.
    pub crashed: usize,
    /// How many members mean ill.
    pub adversaries: usize,
    /// How many came and went.
    pub churned: ChurnCounts,
    /// How long after a crash the tables of those left were right again, or what was still wrong; nothing if nobody crashed in
    /// one instant, or members come and go.
    pub healed: Option<Result<Duration, String>>,
    /// What was asked, in the order of asking.
    pub asked: Vec<Asked>,
    /// The most bytes that one member sent in a second for its upkeep.
    pub busiest: u64,
    /// Who first held or sent more than it may, and what.
    pub broken: Option<String>,
    /// What everybody sent while it worked.
    pub cost: Cost,
    /// How long those lived who sent it, added up, while it worked.
    pub lived: Duration,
    /// How long it worked.
    pub working: Duration,
    /// How many things happened in the world in all.
    pub events: u64,
    /// How long all of it took in virtual time.
    pub virtual_time: Duration,
}

/// One lookup, message or broadcast.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// How long after the beginning of the work.
    pub at: Duration,
    /// What came of it.
    pub verdict: Verdict,
    /// How long the answer or the receipt took; of a broadcast, how long until the last of those it reached had it.
    pub took: Option<Duration>,
    /// How long a message and its receipt travel between the two without others, in the mean.
    pub direct: Option<Duration>,
    /// How many links the message travelled; of a lookup, how many peers were asked.
    pub hops: Option<usize>,
    /// How many a broadcast was for and lived to see its end.
    pub audience: usize,
    /// When, after its beginning, a broadcast reached each of those, the first first; over how many links.
    pub arrivals: Vec<(Duration, usize)>,
    /// How many of those received it more than once.
    pub doubled: usize,
}

/// What came of one lookup, message or broadcast.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// The owner was named, the receipt came, everybody was reached.
    Right,
    /// Somebody else was named, or not everybody was reached.
    Wrong,
    /// The peer itself said that it failed, or said nothing in time.
    Failed,
    /// Who asked, or was to be reached, has gone meanwhile: it does not count.
    Void,
    /// Not known yet.
    Open,
}

impl Verdict {
    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Right => "right",
            Self::Wrong => "wrong",
            Self::Failed => "failed",
            Self::Void => "void",
            Self::Open => "open",
        }
    }
}

impl Outcome {
    /// How many were right, and of how many that count.
    #[must_use]
    pub fn right(&self) -> (usize, usize) {
        let counts = |asked: &&Asked| match asked.verdict {
            Verdict::Right | Verdict::Wrong | Verdict::Failed => true,
            Verdict::Void | Verdict::Open => false,
        };
        let right = self.asked.iter().filter(|asked| asked.verdict == Verdict::Right).count();
        (right, self.asked.iter().filter(counts).count())
    }

    /// How many members broadcasts reached, and how many they were for, added up.
    #[must_use]
    pub fn reached(&self) -> (usize, usize) {
        self.asked.iter().fold((0, 0), |(reached, of), asked| (reached + asked.arrivals.len(), of + asked.audience))
    }

    /// How long answers, receipts and arrivals took, in seconds.
    #[must_use]
    pub fn latencies(&self) -> Spread {
        let answers = self.asked.iter().filter(|asked| asked.arrivals.is_empty()).filter_map(|asked| asked.took);
        let arrivals = self.asked.iter().flat_map(|asked| asked.arrivals.iter().map(|(after, _)| *after));
        Spread::of(answers.chain(arrivals).map(|span| span.as_secs_f64()).collect())
    }

    /// How many times longer than straight from one to the other and back messages and their receipts took. Those between peers at
    /// the same place are left out.
    #[must_use]
    pub fn stretches(&self) -> Spread {
        let stretch = |asked: &Asked| {
            let (took, direct) = (asked.took?, asked.direct.filter(|direct| !direct.is_zero())?);
            Some(took.as_secs_f64() / direct.as_secs_f64())
        };
        Spread::of(self.asked.iter().filter_map(stretch).collect())
    }

    /// How many links messages and broadcasts travelled; of lookups, how many peers were asked.
    #[must_use]
    pub fn hops(&self) -> Spread {
        let answers = self.asked.iter().filter(|asked| asked.arrivals.is_empty()).filter_map(|asked| asked.hops);
        let arrivals = self.asked.iter().flat_map(|asked| asked.arrivals.iter().map(|(_, hops)| *hops));
        Spread::of(answers.chain(arrivals).map(|hops| hops as f64).collect())
    }

    /// What share of those whom broadcasts were for had them, so and so long after the beginning: each time at which that changed.
    #[must_use]
    pub fn coverage(&self) -> Vec<(Duration, f64)> {
        let (_, of) = self.reached();
        let mut times: Vec<_> = self.asked.iter().flat_map(|asked| asked.arrivals.iter().map(|(after, _)| *after)).collect();
        times.sort_unstable();
        let mut curve: Vec<(Duration, f64)> = Vec::new();
        for (number, after) in times.into_iter().enumerate() {
            let share = (number + 1) as f64 / of.max(1) as f64;
            match curve.last_mut() {
                Some(last) if last.0 == after => last.1 = share,
                Some(_) | None => curve.push((after, share)),
            }
        }
        curve
    }

    /// How many messages, and how many bytes, each member sent a second while it worked, in the mean.
    #[must_use]
    pub fn sent_a_peer_and_second(&self) -> (f64, f64) {
        let lived = self.lived.as_secs_f64();
        let total = self.cost.total();
        if lived > 0.0 { (total.messages as f64 / lived, total.bytes as f64 / lived) } else { (0.0, 0.0) }
    }

    /// How many bytes of those it sent to be in the swarm: all but messages, their acknowledgements and repair.
    #[must_use]
    pub fn upkeep_a_peer_and_second(&self) -> f64 {
        let lived = self.lived.as_secs_f64();
        if lived > 0.0 { self.cost.upkeep().bytes as f64 / lived } else { 0.0 }
    }
}

/// How measured values spread.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Spread {
    /// In their order.
    sorted: Vec<f64>,
}

impl Spread {
    /// Of these values.
    #[must_use]
    pub fn of(mut values: Vec<f64>) -> Self {
        values.sort_unstable_by(f64::total_cmp);
        Self { sorted: values }
    }

    /// All of them, the least first.
    #[must_use]
    pub fn values(&self) -> &[f64] {
        &self.sorted
    }

    /// Their mean, if there are any.
    #[must_use]
    pub fn mean(&self) -> Option<f64> {
        (!self.sorted.is_empty()).then(|| self.sorted.iter().sum::<f64>() / self.sorted.len() as f64)
    }

    /// The least value that a `share` of all does not exceed.
    #[must_use]
    pub fn quantile(&self, share: f64) -> Option<f64> {
        let rank = (share * self.sorted.len() as f64).ceil() as usize;
        self.sorted.get(rank.clamp(1, self.sorted.len().max(1)) - 1).copied()
    }
}
