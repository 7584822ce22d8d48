//! Members come and go without end.

use crate::{OVERLAYS, SECOND, cities, done, right_per_million, sized};
use cicada_proto::Config;
use cicada_sim::{
    ChurnPlan, Distribution, Kind, OverlayKind, World, WorldConfig,
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
    endures(OverlayKind::Ring, SECOND * 84, sized(990_000, 995_000), sized(1200.0, 900.0));
}

#[test]
fn with_sessions_of_84_seconds_nearly_everything_is_right_on_the_tree() {
    endures(OverlayKind::Tree, SECOND * 84, sized(990_000, 995_000), sized(1400.0, 1400.0));
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

/// Whoever lets a newcomer in says how many go, so that it makes few links, which would not last. The control: where all stay it makes many.
#[test]
fn a_newcomer_hears_that_many_go_and_makes_few_links() {
    for overlay in OVERLAYS {
        let links_of_newcomers = |goes: bool| {
            let mut config = Config::default();
            config.overlay = overlay;
            let mut world = World::new(WorldConfig { seed: 5, config, network: cities(), ..WorldConfig::default() });
            let mut members = world.add_peers(100);
            assert_eq!(world.assemble(&members, SECOND / 20), []);
            for _ in 0..90 {
                if goes {
                    let crashed = members.remove(0);
                    world.crash(crashed);
                    let newcomer = world.add_peers(1)[0];
                    // Its entry may go before it is in: that is not what is asked here.
                    let _ = world.join(newcomer, members[50]);
                    members.push(newcomer);
                }
                world.run_for(SECOND / 2);
            }
            let newcomers = world.add_peers(8);
            for newcomer in &newcomers {
                world.join(*newcomer, members[60]).expect("it joins");
            }
            world.run_for(SECOND * 15);
            newcomers.iter().map(|who| world.cost(*who).of(Kind::Dial).messages).sum::<u64>()
        };
        let (few, many) = (links_of_newcomers(true), links_of_newcomers(false));
        println!("{overlay:?}: 8 newcomers made {few} links where many go, {many} where all stay");
        assert!(few * 2 < many, "{overlay:?}: {few} and {many}");
    }
}

/// Measured: 516 and 630 of a thousand members. At 84 seconds it is 874 and 1272 after five minutes of that.
const MOST_AT_TEN_MINUTES: f64 = 900.0;
