//! Tables of figures, kept as files: what a swarm achieves, over its size, loss, crashes, ill-meaning members and duplicates. Who changes the
//! protocol sees here what that does to its figures, and whoever reads the change sees it too.
//!
//! Everything follows from seeds, so a table differs only if the protocol or the world does. `INSTA_UPDATE=always` writes new tables in the
//! place of the old ones.

use cicada_sim::{
    Adversary, Distribution, Kind, Latency, Network, OverlayKind,
    experiment::{Experiment, Ill, Outcome, Plan, Workload},
};
use std::{fmt::Write, time::Duration};

#[test]
fn lookups_on_the_ring() {
    keep("lookups_ring", &lookups(OverlayKind::Ring));
}

#[test]
fn lookups_on_the_tree() {
    keep("lookups_tree", &lookups(OverlayKind::Tree));
}

#[test]
fn broadcasts_on_the_ring() {
    keep("broadcasts_ring", &broadcasts(OverlayKind::Ring));
}

#[test]
fn broadcasts_on_the_tree() {
    keep("broadcasts_tree", &broadcasts(OverlayKind::Tree));
}

#[test]
fn messages_on_the_ring() {
    keep("messages_ring", &messages(OverlayKind::Ring));
}

#[test]
fn messages_on_the_tree() {
    keep("messages_tree", &messages(OverlayKind::Tree));
}

#[test]
fn the_same_plan_gives_the_same_row_and_a_worse_world_another() {
    let row = |loss| broadcast_row(&Trial { peers: 16, loss, crashed: 25 }, OverlayKind::Tree);
    assert_eq!(row(5), row(5), "the control: figures follow from the plan");
    assert_ne!(row(5), row(0));
}

/// Compares with the table in the file.
fn keep(name: &str, table: &str) {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("figures");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!(name, table));
}

/// What a swarm goes through: shares of a hundred.
struct Trial {
    peers: usize,
    /// Packets lost.
    loss: u32,
    /// Members that vanish in the instant in which the work begins.
    crashed: u32,
}

fn trials() -> impl Iterator<Item = Trial> {
    let conditions = [(0, 0), (5, 0), (0, 25), (0, 50), (5, 50)];
    [16, 48, 96].into_iter().flat_map(move |peers| conditions.map(|(loss, crashed)| Trial { peers, loss, crashed }))
}

fn lookups(overlay: OverlayKind) -> String {
    let mut table = "peers loss crashed |   right | peers asked: mean worst | ms: median    p95 | healed\n".to_owned();
    for trial in trials() {
        let outcome = done(Plan { workload: Workload::Lookups, count: 200, ..plan(&trial, overlay) });
        let (hops, ms) = (outcome.hops(), outcome.latencies());
        let healed = match &outcome.healed {
            None => "-".to_owned(),
            Some(Ok(after)) => format!("{:.1} s", after.as_secs_f64()),
            Some(Err(_)) => "no".to_owned(),
        };
        let line = format!(
            "{:>5} {:>3}% {:>6}% | {} | {:>17.2} {:>5.0} | {:>10.0} {:>6.0} | {healed:>6}",
            trial.peers,
            trial.loss,
            trial.crashed,
            share(outcome.right()),
            shown(hops.mean()),
            shown(hops.quantile(1.0)),
            shown(ms.quantile(0.5)) * 1e3,
            shown(ms.quantile(0.95)) * 1e3,
        );
        writeln!(table, "{line}").expect("writing to a string does not fail");
    }
    table
}

fn broadcasts(overlay: OverlayKind) -> String {
    let mut table = "peers loss crashed | complete | coverage | copies | hops: mean worst | ms: median    p95\n".to_owned();
    for trial in trials() {
        writeln!(table, "{}", broadcast_row(&trial, overlay)).expect("writing to a string does not fail");
    }
    table
}

fn broadcast_row(trial: &Trial, overlay: OverlayKind) -> String {
    let outcome = done(Plan { workload: Workload::Broadcasts, count: 8, ..plan(trial, overlay) });
    let (hops, ms) = (outcome.hops(), outcome.latencies());
    let copies = outcome.cost.of(Kind::Task).messages as f64 / outcome.reached().0.max(1) as f64;
    format!(
        "{:>5} {:>3}% {:>6}% |  {} |  {} | {copies:>6.3} | {:>10.2} {:>5.0} | {:>10.0} {:>6.0}",
        trial.peers,
        trial.loss,
        trial.crashed,
        share(outcome.right()),
        share(outcome.reached()),
        shown(hops.mean()),
        shown(hops.quantile(1.0)),
        shown(ms.quantile(0.5)) * 1e3,
        shown(ms.quantile(0.95)) * 1e3,
    )
}

fn messages(overlay: OverlayKind) -> String {
    let mut table = "loss dropping duplicates | receipts | frames | hops: mean worst | ms: median    p95 | stretch: median\n".to_owned();
    for (loss, dropping) in [(0, 0), (5, 0), (0, 25)] {
        for duplicates in [0, 1, 3, 7] {
            let plan = plan(&Trial { peers: 64, loss, crashed: 0 }, overlay);
            let adversaries = vec![Ill { per_million: dropping * PERCENT, does: Adversary::Drop }];
            let outcome = done(Plan { workload: Workload::Messages, count: 100, links: Some(16), duplicates, adversaries, ..plan });
            let (hops, ms) = (outcome.hops(), outcome.latencies());
            let frames = outcome.cost.of(Kind::Data).messages as f64 / outcome.asked.len() as f64;
            let line = format!(
                "{loss:>3}% {dropping:>7}% {duplicates:>10} |  {} | {frames:>6.2} | {:>10.2} {:>5.0} | {:>10.0} {:>6.0} | {:>15.2}",
                share(outcome.right()),
                shown(hops.mean()),
                shown(hops.quantile(1.0)),
                shown(ms.quantile(0.5)) * 1e3,
                shown(ms.quantile(0.95)) * 1e3,
                shown(outcome.stretches().quantile(0.5)),
            );
            writeln!(table, "{line}").expect("writing to a string does not fail");
        }
    }
    table
}

fn plan(trial: &Trial, overlay: OverlayKind) -> Plan {
    let latency = Latency::Pairs(Distribution::Uniform(Duration::from_millis(10), Duration::from_millis(100)));
    let network = Network { latency, lost_per_million: trial.loss * PERCENT, ..Network::default() };
    let over = Duration::from_secs(4);
    Plan { peers: trial.peers, overlay, network, crashed_per_million: trial.crashed * PERCENT, over, ..Plan::default() }
}

fn done(plan: Plan) -> Outcome {
    let mut experiment = Experiment::new(plan).expect("a possible plan");
    while experiment.step() {}
    let outcome = experiment.outcome();
    assert_eq!((outcome.failed, &outcome.broken), (0, &None), "everybody is in, and holds and sends no more than it may");
    outcome
}

fn share((part, whole): (usize, usize)) -> String {
    format!("{:>6.2}%", part as f64 * 100.0 / whole.max(1) as f64)
}

/// There is always something measured, but for trials in which nothing came.
fn shown(value: Option<f64>) -> f64 {
    value.unwrap_or(f64::NAN)
}

const PERCENT: u32 = 10_000;
