//! Members acknowledge what they should hand on, and drop it.

use crate::{OVERLAYS, SECOND, cities, done, sized};
use cicada_sim::{
    Adversary, OverlayKind,
    experiment::{Ill, Outcome, Plan, Workload},
};

fn messages(overlay: OverlayKind, dropping_per_million: u32, duplicates: u8) -> Outcome {
    let (peers, count) = sized((100, 200), (200, 1000));
    let adversaries = vec![Ill { per_million: dropping_per_million, does: Adversary::Drop }];
    let over = SECOND * 10;
    done(Plan { peers, overlay, network: cities(), adversaries, workload: Workload::Messages, count, over, duplicates, ..Plan::default() })
}

fn receipts_percent(outcome: &Outcome) -> f64 {
    let (right, of) = outcome.right();
    100.0 * right as f64 / of as f64
}

#[test]
fn receipts_come_although_two_in_five_drop_and_duplicates_bring_nearly_all_of_them() {
    for overlay in OVERLAYS {
        let [alone, few, many] = [0, 4, 7].map(|duplicates| receipts_percent(&messages(overlay, 400_000, duplicates)));
        println!("{overlay:?}: {alone:.1} % of the receipts, with 4 duplicates {few:.1} %, with 7 {many:.1} %");
        // What is tried again for ten seconds gets through mostly; before receipts went back the way of their copies, it were 58 %.
        assert!(alone >= 90.0, "{overlay:?}: {alone}");
        assert!(few >= 97.0 && many >= 98.0, "{overlay:?}: {few}, {many}");
    }
}

#[test]
fn duplicates_make_the_first_try_succeed_where_some_drop() {
    for overlay in OVERLAYS {
        let late = |duplicates| messages(overlay, 400_000, duplicates).latencies().quantile(0.9).unwrap_or_default();
        let [none, four] = [0, 4].map(late);
        let unhurt = messages(overlay, 0, 0).latencies().quantile(0.9).unwrap_or_default();
        println!("{overlay:?}: nine of ten receipts within {none:.2} s, with 4 duplicates {four:.2} s, without droppers {unhurt:.2} s");
        assert!(four < none / 2.0, "{overlay:?}: {four} against {none}");
        assert!(unhurt < none / 2.0, "{overlay:?}: the control, {unhurt} against {none}");
    }
}
