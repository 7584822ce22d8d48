//! Broadcasts through a network, and what became of them.

use crate::lab::{Kind, Lab, Result};
use std::time::Duration;

/// A broadcast to be made.
#[derive(Clone, Copy, Debug)]
pub struct Cast {
    pub by: usize,
    pub size: usize,
    pub seed: u64,
}

/// What became of broadcasts, for the receivers of one kind.
#[derive(Clone, Default, Debug)]
pub struct Outcome {
    pub expected: usize,
    pub delivered: usize,
    /// Copies beyond the first.
    pub repeated: usize,
    /// Milliseconds from sending to each delivery.
    pub after_ms: Vec<f64>,
    /// Broadcasts that all of the kind received.
    pub complete: usize,
    pub casts: usize,
}

impl Outcome {
    pub fn add(&mut self, other: &Self) {
        self.expected += other.expected;
        self.delivered += other.delivered;
        self.repeated += other.repeated;
        self.after_ms.extend(&other.after_ms);
        self.complete += other.complete;
        self.casts += other.casts;
    }

    /// Of those expected.
    pub fn share(&self) -> f64 {
        if self.expected == 0 { 1.0 } else { self.delivered as f64 / self.expected as f64 }
    }

    pub fn percentile(&self, share: f64) -> f64 {
        let mut sorted = self.after_ms.clone();
        sorted.sort_by(f64::total_cmp);
        let at = (sorted.len() as f64 * share).ceil() as usize;
        sorted.get(at.saturating_sub(1)).copied().unwrap_or(f64::NAN)
    }
}

/// Makes a broadcast and waits until everybody has it, or until nothing more has come for some time.
pub fn cast(lab: &mut Lab, cast: Cast, patience: Duration) -> Result<[Outcome; 2]> {
    let before = lab.look(|told| told.sent.keys().cloned().collect::<std::collections::BTreeSet<_>>());
    lab.tell(cast.by, "broadcast", &format!("{} {}", cast.size, cast.seed))?;
    lab.until(Duration::from_secs(30), |told| told.sent.len() > before.len()).map_err(|()| "a peer does not broadcast")?;
    // Two names of one broadcast: its digest and its tag.
    let names = lab.look(|told| told.sent.keys().filter(|name| !before.contains(*name)).cloned().collect::<Vec<_>>());
    let others = lab.kinds.len() - 1;
    let has = |told: &crate::lab::Told| names.iter().filter_map(|name| told.received.get(name)).map(|by| by.len()).sum::<usize>();
    // Those that nothing reaches any more are what is measured.
    let _ = lab.until(patience, |told| has(told) >= others);
    Ok([Kind::Crate, Kind::Ours].map(|kind| outcome(lab, cast, &names, kind)))
}

fn outcome(lab: &Lab, cast: Cast, names: &[String], kind: Kind) -> Outcome {
    let receivers: Vec<usize> = (0..lab.kinds.len()).filter(|peer| lab.kinds[*peer] == kind && *peer != cast.by).collect();
    lab.look(|told| {
        let sent = names.iter().find_map(|name| told.sent.get(name)).copied().unwrap_or_default();
        let mut outcome = Outcome { expected: receivers.len(), casts: 1, ..Outcome::default() };
        for receiver in &receivers {
            let times: Vec<f64> = names.iter().filter_map(|name| told.received.get(name)?.get(receiver)).flatten().copied().collect();
            let Some(first) = times.iter().copied().min_by(f64::total_cmp) else { continue };
            outcome.delivered += 1;
            outcome.repeated += times.len() - 1;
            outcome.after_ms.push(first - sent);
        }
        outcome.complete = usize::from(outcome.delivered == outcome.expected);
        outcome
    })
}
