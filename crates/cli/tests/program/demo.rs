//! The demo keeps its promises on both overlays, and prints what programs can read.

use crate::harness::Cicada;

#[test]
fn the_demo_keeps_every_promise_on_both_overlays() {
    for overlay in ["ring", "tree"] {
        let ended = Cicada::new(&format!("demo --overlay {overlay}")).finish().succeeded();
        for step in [
            "join",
            "look up",
            "message and answer",
            "broadcast of 1 KiB",
            "broadcast of 1 MiB",
            "a quarter killed",
            "leave",
            "Every promise was kept.",
        ] {
            assert!(ended.stdout.iter().any(|line| line.starts_with(step)), "{step} is missing: {ended:#?}");
        }
        assert!(!ended.stdout.iter().any(|line| line.contains(" NO ")), "{ended:#?}");
    }
}

#[test]
fn the_demo_prints_one_json_object_for_each_promise() {
    let ended = Cicada::new("demo --peers 4 --pairs 10 --seed 7 --json").finish().succeeded();
    assert!(ended.stdout.len() > 5, "{ended:#?}");
    for line in &ended.stdout {
        assert!(line.starts_with("{\"step\":") && line.contains("\"kept\":true") && line.ends_with('}'), "{line}");
    }
}
