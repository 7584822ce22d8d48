//! Which crate may depend on which. A new arrow is a decision, not a line in a Cargo.toml.

use serde_json::Value;

use crate::assert_none;
use crate::workspace::{items, packages, text};

/// Everything that is allowed. What is not here needs a page in docs/decisions before its line.
const ARROWS: [(&str, &str); 13] = [
    ("cicada-cli", "cicada-viz"),
    ("cicada-cli", "cicada-sim"),
    ("cicada-cli", "cicada"),
    ("cicada-viz", "cicada-proto"),
    ("cicada-sim", "cicada-proto"),
    ("cicada-sim", "cicada-wire"),
    ("cicada", "cicada-proto"),
    ("cicada", "cicada-wire"),
    ("cicada-proto", "cicada-wire"),
    ("cicada-fuzz", "cicada-wire"),
    ("cicada-fuzz", "cicada-proto"),
    ("cicada-interop", "cicada"),
    ("cicada-interop", "cicada-wire"),
];

/// Dependencies for tests and builds are arrows too: who reads a crate's tests reads those crates.
fn complaints(packages: &[Value]) -> Vec<String> {
    let ours: Vec<&str> = packages.iter().map(|package| text(package, "name")).collect();
    let arrows = packages.iter().flat_map(|package| {
        let to = items(package, "dependencies").iter().map(|dependency| text(dependency, "name"));
        to.map(|to| (text(package, "name"), to))
    });
    arrows
        .filter(|(from, to)| ours.contains(to) && from != to && !ARROWS.contains(&(from, to)))
        .map(|(from, to)| {
            format!(
                "{from} -> {to} is a new arrow between crates. It needs a decision: write down in \
                 docs/decisions why {from} has to know {to}, then add the arrow to ARROWS in {}",
                file!()
            )
        })
        .collect()
}

#[test]
fn crates_depend_on_each_other_only_as_decided() {
    assert_none(&complaints(&packages(".")));
}

fn sample(dependency: &str) -> Vec<Value> {
    let sample = r#"[
        {"name": "cicada-proto", "dependencies": [{"name": "bytes"}, {"name": "cicada-wire"}]},
        {"name": "cicada-wire", "dependencies": [{"name": "TO", "kind": "dev"}]}
    ]"#;
    serde_json::from_str(&sample.replace("TO", dependency)).unwrap()
}

#[test]
fn a_new_arrow_is_caught_even_if_only_tests_need_it() {
    let found = complaints(&sample("cicada-proto"));
    assert!(found[0].starts_with("cicada-wire -> cicada-proto is a new arrow"), "{found:?}");
    assert!(found[0].contains("needs a decision"));
}

#[test]
fn an_arrow_to_a_crate_that_is_not_ours_is_none_of_this_rules_business() {
    assert_none(&complaints(&sample("proptest")));
}
