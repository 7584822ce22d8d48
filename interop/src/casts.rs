//! Broadcasts through a network, and what became of them.

use crate::lab::{Kind, Lab, Result, Told};
use std::{
    thread,
    time::{Duration, Instant},
};

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
    /// Milliseconds until all had it, of the broadcasts that all received.
    pub complete_ms: Vec<f64>,
    pub casts: usize,
}

impl Outcome {
    pub fn add(&mut self, other: &Self) {
        self.expected += other.expected;
        self.delivered += other.delivered;
        self.repeated += other.repeated;
        self.after_ms.extend(&other.after_ms);
        self.complete_ms.extend(&other.complete_ms);
        self.casts += other.casts;
    }

    pub fn sum<'a>(outcomes: impl IntoIterator<Item = &'a Self>) -> Self {
        let mut sum = Self::default();
        outcomes.into_iter().for_each(|outcome| sum.add(outcome));
        sum
    }

    /// Of those expected.
    pub fn share(&self) -> f64 {
        if self.expected == 0 { 1.0 } else { self.delivered as f64 / self.expected as f64 }
    }

    pub fn percentile(&self, share: f64) -> f64 {
        percentile(&self.after_ms, share)
    }
}

pub fn percentile(values: &[f64], share: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = (sorted.len() as f64 * share).ceil() as usize;
    sorted.get(at.saturating_sub(1)).copied().unwrap_or(f64::NAN)
}

/// How long to wait for a broadcast.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// Before the next one is made, if this one is not complete.
    pub each: Duration,
    /// After the last one, once nothing comes any more.
    pub quiet: Duration,
}

/// Makes broadcasts, one after the other: the next when all have the last one, or after some time. What became of each, for the
/// crate's receivers and for ours, is judged when all is quiet.
pub fn cast_all(lab: &mut Lab, casts: &[Cast], patience: Patience) -> Result<Vec<[Outcome; 2]>> {
    let first = lab.look(|told| told.sent.len());
    for (number, cast) in casts.iter().enumerate() {
        lab.tell(cast.by, "broadcast", &format!("{} {}", cast.size, cast.seed))?;
        let number = first + number;
        lab.until(Duration::from_secs(30), |told| told.sent.len() > number).map_err(|()| "a peer does not broadcast")?;
        let others = lab.kinds.len() - 1;
        // Those that nothing reaches any more are what is measured.
        let _ = lab.until(patience.each, |told| receivers(told, number) >= others);
    }
    until_quiet(lab, first, casts.len(), patience.quiet);
    let outcome = |(number, cast): (usize, &Cast)| [Kind::Crate, Kind::Ours].map(|kind| outcome(lab, cast.by, first + number, kind));
    Ok(casts.iter().enumerate().map(outcome).collect())
}

/// How many have the broadcast of this number.
fn receivers(told: &Told, number: usize) -> usize {
    told.of_sent(number).map_or(0, |by| by.len())
}

fn until_quiet(lab: &Lab, first: usize, casts: usize, quiet: Duration) {
    let count = |told: &Told| (first..first + casts).map(|number| receivers(told, number)).sum::<usize>();
    let all = casts * (lab.kinds.len() - 1);
    let mut last = (lab.look(count), Instant::now());
    while last.0 < all && last.1.elapsed() < quiet {
        thread::sleep(Duration::from_millis(50));
        let now = lab.look(count);
        if now > last.0 {
            last = (now, Instant::now());
        }
    }
    // A second copy of anything would come a little later.
    thread::sleep(Duration::from_millis(100));
}

fn outcome(lab: &Lab, by: usize, number: usize, kind: Kind) -> Outcome {
    let expected: Vec<usize> = (0..lab.kinds.len()).filter(|peer| lab.kinds[*peer] == kind && *peer != by).collect();
    lab.look(|told| {
        let sent = told.sent[number].at_ms;
        let mut outcome = Outcome { expected: expected.len(), casts: 1, ..Outcome::default() };
        for receiver in &expected {
            let Some(times) = told.of_sent(number).and_then(|by| by.get(receiver)) else { continue };
            let first = times.iter().copied().fold(f64::INFINITY, f64::min);
            outcome.delivered += 1;
            outcome.repeated += times.len() - 1;
            outcome.after_ms.push(first - sent);
        }
        if outcome.delivered == outcome.expected && outcome.expected > 0 {
            outcome.complete_ms.push(percentile(&outcome.after_ms, 1.0));
        }
        outcome
    })
}
