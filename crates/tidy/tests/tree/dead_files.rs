//! Every Rust file is part of some crate; one that no `mod` reaches is never even compiled.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::assert_none;
use crate::code::{self, FileModule};
use crate::tree;
use crate::workspace::{items, packages, text};

/// Programs of one file each that no cargo builds: losslab has the compiler build its relay, so that a lab needs no crates.
const PROGRAMS: [&str; 1] = ["netlab/delayline.rs"];

/// The files from which a build starts: libraries, programs, tests, benches, examples, build scripts.
fn roots() -> Vec<String> {
    let workspaces = [".", "fuzz", "interop"].into_iter().filter(|directory| tree::root().join(directory).join("Cargo.toml").exists());
    let packages = workspaces.flat_map(packages);
    packages
        .flat_map(|package| {
            let targets = items(&package, "targets").iter();
            targets.map(|target| tree::relative(&tree::root(), Path::new(text(target, "src_path")))).collect::<Vec<_>>()
        })
        .chain(PROGRAMS.map(str::to_owned))
        .collect()
}

fn complaints(files: &BTreeMap<String, String>, roots: &[String]) -> Vec<String> {
    let mut reached = BTreeSet::new();
    let mut to_read: Vec<(String, bool)> = roots.iter().map(|root| (root.clone(), true)).collect();
    while let Some((path, is_root)) = to_read.pop() {
        let Some(text) = files.get(&path) else {
            continue;
        };
        if reached.insert(path.clone()) {
            let Ok(tokens) = code::tokens(&path, text) else {
                continue;
            };
            let modules = code::file_modules(&tokens);
            to_read.extend(modules.iter().flat_map(|module| places(&path, is_root, module)).map(|path| (path, false)));
        }
    }
    let dead = files.keys().filter(|path| !reached.contains(*path));
    dead.map(|path| format!("{path}: no `mod` reaches this file")).collect()
}

/// Where the language looks for a module of the file `path`.
fn places(path: &str, is_root: bool, module: &FileModule) -> Vec<String> {
    let (directory, file) = path.rsplit_once('/').unwrap_or(("", path));
    let owns_directory = is_root || file == "mod.rs";
    let mut base: Vec<&str> = directory.split('/').collect();
    if let (Some(named), true) = (&module.path, module.inside.is_empty()) {
        base.push(named);
        return vec![base.join("/")];
    }
    if !owns_directory {
        base.push(file.trim_end_matches(".rs"));
    }
    base.extend(module.inside.iter().map(String::as_str));
    let base = base.join("/");
    if let Some(named) = &module.path {
        return vec![format!("{base}/{named}")];
    }
    let name = module.name.trim_start_matches("r#");
    vec![format!("{base}/{name}.rs"), format!("{base}/{name}/mod.rs")]
}

#[test]
fn every_rust_file_is_reached_by_some_crate() {
    let files = tree::rust_files().into_iter().map(|file| (file.path, file.text)).collect();
    assert_none(&complaints(&files, &roots()));
}

fn sample(files: &[(&str, &str)]) -> Vec<String> {
    let files = files.iter().map(|(path, text)| (path.to_string(), text.to_string())).collect();
    complaints(&files, &["a/src/lib.rs".to_owned()])
}

#[test]
fn a_file_without_a_mod_is_caught() {
    let files = [("a/src/lib.rs", "mod used;"), ("a/src/used.rs", ""), ("a/src/unused.rs", "")];
    assert_eq!(sample(&files), ["a/src/unused.rs: no `mod` reaches this file"]);
}

#[test]
fn modules_are_followed_as_the_language_does() {
    assert_none(&sample(&[
        ("a/src/lib.rs", "mod flat; mod deep; mod inline { mod inner; } #[path = \"other.rs\"] mod renamed;"),
        ("a/src/flat.rs", "#[cfg(test)] mod tests;"),
        ("a/src/flat/tests.rs", ""),
        ("a/src/deep/mod.rs", "mod below;"),
        ("a/src/deep/below.rs", ""),
        ("a/src/inline/inner.rs", ""),
        ("a/src/other.rs", ""),
    ]));
}
