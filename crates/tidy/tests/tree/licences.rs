//! Everything the workspace is built from may be used under a licence that deny.toml allows.
//!
//! cargo-deny checks the same and more; this holds where it is not installed.

use serde_json::Value;

use crate::assert_none;
use crate::tree;
use crate::workspace::{packages_with_dependencies, text};

fn complaints(packages: &[Value], allowed: &[String]) -> Vec<String> {
    let refused = packages.iter().filter(|package| !permits(text(package, "license"), allowed));
    refused
        .map(|package| {
            let (name, version) = (text(package, "name"), text(package, "version"));
            let licence = match text(package, "license") {
                "" => "no licence that cargo knows",
                licence => licence,
            };
            format!("{name} {version}: {licence}, which deny.toml does not allow")
        })
        .collect()
}

/// Whether an SPDX expression leaves a way to use the package under allowed licences alone.
/// `/` is how crates wrote OR before SPDX.
fn permits(expression: &str, allowed: &[String]) -> bool {
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let mut words = spaced.split_whitespace().peekable();
    let permitted = any_of(&mut words, allowed);
    permitted && words.next().is_none()
}

type Words<'a> = std::iter::Peekable<std::str::SplitWhitespace<'a>>;

fn any_of(words: &mut Words<'_>, allowed: &[String]) -> bool {
    let mut permitted = all_of(words, allowed);
    while words.next_if_eq(&"OR").is_some() {
        permitted |= all_of(words, allowed);
    }
    permitted
}

fn all_of(words: &mut Words<'_>, allowed: &[String]) -> bool {
    let mut permitted = one(words, allowed);
    while words.next_if_eq(&"AND").is_some() {
        permitted &= one(words, allowed);
    }
    permitted
}

fn one(words: &mut Words<'_>, allowed: &[String]) -> bool {
    let Some(word) = words.next() else {
        return false;
    };
    if word == "(" {
        return any_of(words, allowed) & words.next_if_eq(&")").is_some();
    }
    let mut licence = word.to_owned();
    if words.next_if_eq(&"WITH").is_some() {
        licence = format!("{word} WITH {}", words.next().unwrap_or_default());
    }
    allowed.contains(&licence)
}

/// The `allow` list of deny.toml's `[licenses]`.
fn allow_list(deny_toml: &str) -> Vec<String> {
    let (_, list) = deny_toml.split_once("\nallow = [").expect("deny.toml has an allow list");
    let (list, _) = list.split_once("\n]").expect("the allow list ends");
    let entries = list.lines().filter_map(|line| line.split('"').nth(1));
    entries.map(str::to_owned).collect()
}

#[test]
fn every_dependency_has_an_allowed_licence() {
    let packages = packages_with_dependencies();
    assert!(packages.len() > 50, "cargo named {} packages only", packages.len());
    assert_none(&complaints(&packages, &allow_list(&tree::read("deny.toml"))));
}

#[test]
fn every_allowed_licence_is_one_that_something_needs() {
    let packages = packages_with_dependencies();
    let allowed = allow_list(&tree::read("deny.toml"));
    let idle = allowed.iter().filter(|licence| !packages.iter().any(|package| text(package, "license").contains(licence.as_str())));
    assert_none(&idle.map(|licence| format!("deny.toml allows {licence}, which nothing uses")).collect::<Vec<_>>());
}

#[test]
fn a_choice_needs_one_allowed_licence_and_a_sum_needs_all() {
    let allowed = ["MIT".to_owned(), "Apache-2.0 WITH LLVM-exception".to_owned()];
    for good in ["MIT", "GPL-3.0 OR MIT", "GPL-3.0/MIT", "(GPL-3.0 OR MIT) AND MIT", "Apache-2.0 WITH LLVM-exception"] {
        assert!(permits(good, &allowed), "{good}");
    }
    for bad in ["", "GPL-3.0", "MIT AND GPL-3.0", "Apache-2.0", "(MIT", "MIT GPL-3.0", "MIT AND (GPL-3.0 OR ISC)"] {
        assert!(!permits(bad, &allowed), "{bad}");
    }
}

#[test]
fn a_package_with_another_licence_or_none_is_caught() {
    let packages = r#"[
        {"name": "fine", "version": "1.0.0", "license": "MIT"},
        {"name": "viral", "version": "1.0.0", "license": "GPL-3.0"},
        {"name": "silent", "version": "1.0.0", "license": null}
    ]"#;
    let packages: Vec<Value> = serde_json::from_str(packages).unwrap();
    let found = complaints(&packages, &["MIT".to_owned()]);
    assert_eq!(
        found,
        [
            "viral 1.0.0: GPL-3.0, which deny.toml does not allow",
            "silent 1.0.0: no licence that cargo knows, which deny.toml does not allow",
        ]
    );
}
