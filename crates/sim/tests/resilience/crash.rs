//! Half of the members crash in the same instant.

use crate::{OVERLAYS, SECOND, cities, done, right_per_million, sized};
use cicada_sim::{OverlayKind, experiment::Plan};

fn plan(overlay: OverlayKind, crashed_per_million: u32) -> Plan {
    // All are asked before much is repaired.
    let (peers, count) = sized((150, 300), (1000, 2000));
    Plan { peers, overlay, network: cities(), crashed_per_million, count, over: SECOND, ..Plan::default() }
}

#[test]
fn lookups_are_right_in_the_instant_in_which_half_are_dead_and_the_tables_heal_within_a_minute() {
    for overlay in OVERLAYS {
        let outcome = done(plan(overlay, 500_000));
        let (right, of) = outcome.right();
        println!("{overlay:?}: {right} of {of} right, 95 % within {:?} s, healed {:?}", outcome.latencies().quantile(0.95), outcome.healed);
        // Ten seconds is what each has.
        let least = match overlay {
            OverlayKind::Ring => 999_000,
            OverlayKind::Tree => 990_000,
        };
        assert!(right_per_million(&outcome) >= least, "{overlay:?}: {right} of {of}");
        let healed = outcome.healed.clone().expect("half have crashed").unwrap_or_else(|wrong| panic!("{overlay:?}: {wrong}"));
        // The control: nobody on a ring could know at once. On the tree the nearest that live may all be known beforehand.
        assert!(overlay == OverlayKind::Tree || healed > SECOND / 2, "{overlay:?}: {healed:?}");
        let unhurt = done(Plan { peers: 50, ..plan(overlay, 0) });
        assert!(outcome.latencies().mean() > unhurt.latencies().mean().map(|mean| mean * 2.0), "{overlay:?}: the dead are met");
    }
}
