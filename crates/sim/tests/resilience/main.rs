//! Swarms under trial: many crash at once, members come and go, halves are cut off from each other, some drop what they should hand
//! on.
//!
//! Each is tried in a swarm of some hundred members; with `CICADA_FULL` in one of a thousand, for as long as promised, which takes
//! minutes. The figures stand in `docs/simulation.md`.

#![allow(clippy::print_stdout)] // what was measured

mod churn;
mod crash;
mod droppers;
mod splits;

use cicada_sim::{
    Latency, Matrix, Network, OverlayKind,
    experiment::{Experiment, Outcome, Plan},
};
use std::time::Duration;

const OVERLAYS: [OverlayKind; 2] = [OverlayKind::Ring, OverlayKind::Tree];
const SECOND: Duration = Duration::from_secs(1);

/// One of two figures: of the short trial and of the long one.
fn sized<T>(small: T, full: T) -> T {
    if std::env::var_os("CICADA_FULL").is_some() { full } else { small }
}

/// Members all over the world.
fn cities() -> Network {
    let matrix = Matrix::load("wonder222").expect("it comes with the crate");
    Network { latency: Latency::Matrix(matrix.into()), ..Network::default() }
}

fn done(plan: Plan) -> Outcome {
    let mut experiment = Experiment::new(plan).expect("a possible plan");
    while experiment.step() {}
    experiment.outcome()
}

/// How many of a million were right.
fn right_per_million(outcome: &Outcome) -> usize {
    let (right, of) = outcome.right();
    right * 1_000_000 / of.max(1)
}
