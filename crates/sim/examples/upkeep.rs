//! What upkeep costs a swarm whose members come and go, by kind of message.
//!
//!     cargo run --release -p cicada-sim --example upkeep -- PEERS ring|tree MEDIAN_S WARM_UP_S OVER_S COUNT messages|lookups SEED

#![allow(clippy::print_stdout)] // an example is there to print

use cicada_sim::{
    ChurnPlan, Distribution, Kind, Latency, Matrix, Network, OverlayKind,
    experiment::{Experiment, Plan, Workload},
};
use std::time::Duration;

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let number = |at: usize, default: u64| args.get(at).map_or(default, |word| word.parse().expect("a number"));
    let overlay = if args.get(2).is_some_and(|word| word == "tree") { OverlayKind::Tree } else { OverlayKind::Ring };
    let matrix = Matrix::load("wonder222").expect("it comes with the crate");
    let churn = match number(3, 84) {
        0 => None,
        median => Some(ChurnPlan { sessions: Distribution::Exponential { median: Duration::from_secs(median) }, ..ChurnPlan::default() }),
    };
    let workload = if args.get(7).is_some_and(|word| word == "lookups") { Workload::Lookups } else { Workload::Messages };
    let plan = Plan {
        peers: number(1, 200) as usize,
        overlay,
        seed: number(8, 1),
        network: Network { latency: Latency::Matrix(matrix.into()), ..Network::default() },
        churn,
        warm_up: Duration::from_secs(number(4, 60)),
        workload,
        count: number(6, 500) as usize,
        over: Duration::from_secs(number(5, 60)),
        ..Plan::default()
    };
    let mut experiment = Experiment::new(plan).expect("a possible plan");
    while experiment.step() {}
    let outcome = experiment.outcome();
    let lived = outcome.lived.as_secs_f64();
    for kind in Kind::ALL {
        let tally = outcome.cost.of(*kind);
        if tally.messages > 0 {
            println!("{:>18} {:8.3}/s {:8.1} B/s", kind.name(), tally.messages as f64 / lived, tally.bytes as f64 / lived);
        }
    }
    let latencies = outcome.latencies();
    println!(
        "{overlay:?} {}: upkeep {:.0} B/s, right {:?}, churned {:?}, busiest {}, latency {:.2?} p95 {:.2?}",
        args[1..].join(" "),
        outcome.upkeep_a_peer_and_second(),
        outcome.right(),
        outcome.churned,
        outcome.busiest,
        latencies.mean(),
        latencies.quantile(0.95)
    );
}
