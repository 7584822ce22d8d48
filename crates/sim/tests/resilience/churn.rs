//! Members come and go without end.

use crate::{OVERLAYS, SECOND, cities, done, right_per_million, sized};
use cicada_sim::{
    ChurnPlan, Distribution, OverlayKind,
    experiment::{Plan, Workload},
};
use std::time::Duration;

fn plan(overlay: OverlayKind, median: Duration, workload: Workload) -> Plan {
    let (peers, count, span) = sized((100, 100, SECOND * 30), (1000, 3000, SECOND * 300));
    let churn = Some(ChurnPlan { sessions: Distribution::Exponential { median }, ..ChurnPlan::default() });
    Plan { peers, overlay, network: cities(), churn, warm_up: span, workload, count, over: span, ..Plan::default() }
}

/// `least`: how many lookups and receipts of a million are right. `most`: bytes of upkeep a peer and second.
fn endures(overlay: OverlayKind, median: Duration, least: usize, most: f64) {
    let messages = done(plan(overlay, median, Workload::Messages));
    let lookups = done(plan(overlay, median, Workload::Lookups));
    let sent = messages.upkeep_a_peer_and_second();
    println!("{overlay:?}, {median:?}: {:?} lookups, {:?} receipts, {sent:.0} B/s", lookups.right(), messages.right());
    assert!(messages.churned.crashed > 0 && messages.churned.left > 0, "{overlay:?}: {:?}", messages.churned);
    assert!(right_per_million(&lookups) >= least, "{overlay:?}: {:?} lookups", lookups.right());
    assert!(right_per_million(&messages) >= least, "{overlay:?}: {:?} receipts", messages.right());
    assert!(sent <= most, "{overlay:?}: {sent:.0} B/s of upkeep");
}

// Each overlay by itself: with `CICADA_FULL` one takes minutes.

#[test]
fn with_sessions_of_ten_minutes_nearly_everything_is_right_on_the_ring() {
    endures(OverlayKind::Ring, SECOND * 600, 999_000, MOST_AT_TEN_MINUTES);
}

#[test]
fn with_sessions_of_ten_minutes_nearly_everything_is_right_on_the_tree() {
    endures(OverlayKind::Tree, SECOND * 600, 999_000, MOST_AT_TEN_MINUTES);
}

#[test]
fn with_sessions_of_84_seconds_nearly_everything_is_right_on_the_ring() {
    endures(OverlayKind::Ring, SECOND * 84, sized(990_000, 995_000), 1800.0);
}

#[test]
fn with_sessions_of_84_seconds_nearly_everything_is_right_on_the_tree() {
    endures(OverlayKind::Tree, SECOND * 84, sized(990_000, 995_000), 3700.0);
}

/// The control: members that come and go cost something.
#[test]
fn a_swarm_whose_members_stay_costs_less() {
    for overlay in OVERLAYS {
        let plan = |churn| Plan { peers: 60, churn, count: 30, over: SECOND * 20, workload: Workload::Messages, ..Plan::default() };
        let sessions = Distribution::Exponential { median: SECOND * 84 };
        let [stay, go] = [None, Some(ChurnPlan { sessions, ..ChurnPlan::default() })]
            .map(|churn| done(Plan { overlay, ..plan(churn) }).upkeep_a_peer_and_second());
        assert!(stay * 1.5 < go, "{overlay:?}: {stay:.0} and {go:.0} B/s");
    }
}

/// Measured: 616 and 832 of a thousand members. At 84 seconds it is 1549 and 3139; the aim is 900 and 1400.
const MOST_AT_TEN_MINUTES: f64 = 900.0;
