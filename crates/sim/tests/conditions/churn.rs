//! Members that come and go.

use super::*;
use cicada_sim::{ChurnPlan, Distribution, TraceLevel};

fn sessions(sessions: Distribution) -> ChurnPlan {
    ChurnPlan { sessions, ..ChurnPlan::default() }
}

const MINUTE: Duration = Duration::from_secs(60);

#[test]
fn the_swarm_keeps_its_size_while_its_members_come_and_go_and_lookups_stay_right() {
    for overlay in OVERLAYS {
        for distribution in [Distribution::Exponential { median: MINUTE * 2 }, Distribution::Pareto { median: MINUTE * 2, shape: 1.5 }] {
            let (mut world, peers) = settled(overlay, 1, 40);
            world.start_churn(&peers, sessions(distribution)).expect("a possible plan");
            let (mut right, mut asked) = (0, 0);
            for _ in 0..18 {
                world.run_for(SECOND * 10);
                let members = world.swarms().concat();
                assert!((34..=40).contains(&members.len()), "{}", members.len());
                asked += 10;
                let wrong = world.wrong_lookups(&members, 10, SECOND * 5);
                wrong.iter().for_each(|wrong| println!("{:?} {wrong}", world.now()));
                right += 10 - wrong.len();
            }
            let counts = world.churned();
            assert!(counts.crashed > 5 && counts.left > 5 && counts.arrived == counts.crashed + counts.left, "{counts:?}");
            assert!(right * 100 >= asked * 95, "{overlay:?} {distribution:?}: {right} of {asked}, {counts:?}");
            world.stop_churn();
            world.run_for(SECOND * 20);
            let members = world.swarms().concat();
            assert_eq!(members.len(), 40);
            world.settle(&members, MINUTE).unwrap_or_else(|what| panic!("{overlay:?}: {what}"));
        }
    }
}

#[test]
fn half_are_gone_after_the_median_when_nobody_comes() {
    for (polite_per_million, crashed, left) in [(0, 1, 0), (1_000_000, 0, 1)] {
        let (mut world, peers) = settled(OverlayKind::Tree, 2, 60);
        let plan = ChurnPlan { polite_per_million, replaces: false, ..sessions(Distribution::Exponential { median: MINUTE }) };
        world.start_churn(&peers, plan).expect("a possible plan");
        world.run_for(MINUTE);
        let (counts, live) = (world.churned(), world.live().count() as u64);
        assert!((20..=40).contains(&live), "{live}");
        assert_eq!((counts.crashed, counts.left, counts.arrived), (crashed * (60 - live), left * (60 - live), 0));
    }
}

#[test]
fn the_same_seed_churns_the_same_way() {
    let run = |seed| {
        let (mut world, peers) = settled(OverlayKind::Ring, seed, 10);
        world.trace_mut().set_level(TraceLevel::Packets);
        world.start_churn(&peers, sessions(Distribution::Pareto { median: SECOND * 20, shape: 1.2 })).expect("a possible plan");
        world.run_for(MINUTE);
        world.trace().digest()
    };
    assert_eq!(run(3), run(3));
    assert_ne!(run(3), run(4), "the control");
}

#[test]
fn an_impossible_plan_is_told() {
    let mut world = world(OverlayKind::Ring, 1);
    let plan = sessions(Distribution::Pareto { median: MINUTE, shape: -1.0 });
    assert!(world.start_churn(&[], plan).is_err());
}
