//! Experiments: what is planned happens, what comes of it is counted, and without faults everything is right.

use cicada_sim::{
    Adversary, ChurnPlan, Distribution, OverlayKind, TraceLevel,
    experiment::{Experiment, Ill, Outcome, Plan, Stage, Verdict, Workload},
};
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);
const WORKLOADS: [Workload; 3] = [Workload::Lookups, Workload::Messages, Workload::Broadcasts];

fn small() -> Plan {
    Plan { peers: 24, count: 60, over: SECOND * 3, ..Plan::default() }
}

fn done(plan: Plan) -> Outcome {
    let mut experiment = Experiment::new(plan).expect("a possible plan");
    while experiment.step() {}
    experiment.outcome()
}

fn refused(plan: Plan) -> String {
    let error = Experiment::new(plan).map(|_| ()).expect_err("an impossible plan");
    assert!(!error.contains('\n'), "{error}");
    error
}

#[test]
fn without_faults_everything_is_right_on_both_overlays() {
    for overlay in [OverlayKind::Ring, OverlayKind::Tree] {
        for workload in WORKLOADS {
            let count = if workload == Workload::Broadcasts { 3 } else { 60 };
            let outcome = done(Plan { overlay, workload, count, ..small() });
            assert!(outcome.ended && outcome.settled.as_ref().is_some_and(Result::is_ok), "{overlay:?} {workload}: {:?}", outcome.settled);
            assert_eq!((outcome.joined, outcome.failed, outcome.right()), (24, 0, (count, count)), "{overlay:?} {workload}");
            assert!(outcome.latencies().quantile(0.0) > Some(0.0) && outcome.hops().mean() >= Some(1.0), "{overlay:?} {workload}");
            assert!(outcome.sent_a_peer_and_second().1 > 0.0);
            let last = outcome.coverage().last().map(|(_, share)| *share);
            assert_eq!(last, (workload == Workload::Broadcasts).then_some(1.0));
        }
    }
}

#[test]
fn the_same_plan_gives_the_same_trace_and_outcome_and_another_seed_another() {
    let run = |seed| {
        let sessions = Distribution::Exponential { median: SECOND * 20 };
        let churn = Some(ChurnPlan { sessions, ..ChurnPlan::default() });
        let adversaries = vec![Ill { per_million: 100_000, does: Adversary::Drop }];
        let plan = Plan { seed, churn, adversaries, crashed_per_million: 200_000, trace: TraceLevel::Packets, ..small() };
        let mut experiment = Experiment::new(plan).expect("a possible plan");
        let mut trace = String::new();
        while experiment.step() {
            trace.push_str(&experiment.take_trace());
        }
        (trace, format!("{:?}", experiment.outcome()))
    };
    let (first, again, other) = (run(1), run(1), run(2));
    assert!(first == again, "the same seed goes the same way");
    assert_ne!(first.0, other.0);
    assert!(first.0.lines().count() > 1000);
}

#[test]
fn members_that_drop_cost_receipts_and_duplicates_win_some_back() {
    let receipts = |per_million, duplicates| {
        let adversaries = vec![Ill { per_million, does: Adversary::Drop }];
        // As many as two in five can only be passed by luck: what is seen is one try in the time of one.
        let outcome = done(Plan { peers: 48, workload: Workload::Messages, adversaries, duplicates, count: 100, ..small() });
        assert_eq!(outcome.adversaries, 48 * per_million as usize / 1_000_000);
        let (right, of) = outcome.right();
        (right * 100 / of, outcome.latencies().quantile(0.95).unwrap_or_default())
    };
    let (none, some, many) = (receipts(0, 0), receipts(375_000, 0), receipts(375_000, 4));
    println!("receipts in %, and their 95th percentile in s: {none:?}, with two in five dropping {some:?}, and four duplicates {many:?}");
    assert_eq!(none.0, 100, "control");
    assert!(some.0 < none.0 || some.1 > none.1 * 5.0, "{some:?} against {none:?}");
    assert!(many.0 >= some.0 && many.1 <= some.1, "{many:?} against {some:?}");
}

#[test]
fn half_crash_in_the_instant_in_which_the_work_begins_and_the_tables_heal() {
    let plan = Plan { peers: 40, crashed_per_million: 500_000, over: SECOND * 20, trace: TraceLevel::Events, ..small() };
    let mut experiment = Experiment::new(plan).expect("a possible plan");
    let mut trace = String::new();
    while experiment.step() {
        trace.push_str(&experiment.take_trace());
    }
    let outcome = experiment.outcome();
    assert_eq!(outcome.crashed, 20);
    assert!(outcome.healed.as_ref().is_some_and(Result::is_ok), "{:?}", outcome.healed);
    let crashes: Vec<_> = trace.lines().filter(|line| line.ends_with(": crashes")).collect();
    let at = crashes[0].split(' ').next().expect("a line begins with its time");
    assert_eq!(crashes.len(), 20);
    assert!(crashes.iter().all(|line| line.starts_with(at)), "all in one instant");
    let first = trace.lines().find(|line| line.contains("shall look")).expect("there are lookups");
    assert!(first.starts_with(at), "{first} begins at {at}");
}

#[test]
fn an_experiment_that_is_stopped_tells_what_it_knows() {
    let mut experiment = Experiment::new(small()).expect("a possible plan");
    let none = experiment.outcome();
    assert!(!none.ended && none.joined == 1 && none.asked.is_empty() && none.settled.is_none());
    while experiment.stage() != Stage::Working || experiment.progress().0 < 10 {
        assert!(experiment.step(), "it works at some time");
    }
    let some = experiment.outcome();
    assert!(!some.ended && some.asked.len() < 60 && some.right().0 >= 10, "{:?}", some.right());
    assert!(some.asked.iter().any(|asked| asked.verdict == Verdict::Right));
}

#[test]
fn impossible_plans_are_refused_in_one_line() {
    assert!(Experiment::new(small()).is_ok(), "control");
    assert!(refused(Plan { peers: 1, ..small() }).contains("1 peers"));
    assert!(refused(Plan { crashed_per_million: 1_000_000, ..small() }).contains("crash"));
    assert!(refused(Plan { payload_bytes: 1, ..small() }).contains("payload of 1 bytes"));
    assert!(refused(Plan { count: 0, ..small() }).contains("at least 1"));
    let ill = |per_million| Ill { per_million, does: Adversary::Drop };
    assert!(refused(Plan { adversaries: vec![ill(600_000), ill(600_000)], ..small() }).contains("mean ill"));
    let mut plan = small();
    plan.network.lost_per_million = 1_000_001;
    assert!(refused(plan).contains("more than all"));
}
