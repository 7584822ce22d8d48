//! The files of the tree, without what builds leave behind.

use std::fs;
use std::path::{Path, PathBuf};

/// What no rule is about: history (a file where the tree is a second checkout), build output, inputs
/// that fuzzing made.
const SKIPPED: [&str; 4] = [".git", "target", "corpus", "artifacts"];

/// The directory that holds the workspace.
pub(crate) fn root() -> PathBuf {
    let crate_directory = Path::new(env!("CARGO_MANIFEST_DIR"));
    crate_directory.join("../..").canonicalize().expect("a crate lies two levels below the root")
}

/// One file: its path from the root with forward slashes, and its text.
pub(crate) struct File {
    pub(crate) path: String,
    pub(crate) text: String,
}

/// Every text file of the tree, in the order of their paths.
pub(crate) fn files() -> Vec<File> {
    let root = root();
    let mut paths = Vec::new();
    add_files(&root, &mut paths);
    paths.sort();
    paths
        .into_iter()
        .filter_map(|path| {
            let text = String::from_utf8(fs::read(&path).ok()?).ok()?;
            Some(File { path: relative(&root, &path), text })
        })
        .collect()
}

/// Every Rust file of the tree.
pub(crate) fn rust_files() -> Vec<File> {
    files().into_iter().filter(|file| file.path.ends_with(".rs")).collect()
}

/// The text of one file that has to be there.
pub(crate) fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

pub(crate) fn relative(root: &Path, path: &Path) -> String {
    let path = path.strip_prefix(root).unwrap_or(path);
    path.to_string_lossy().replace('\\', "/")
}

fn add_files(directory: &Path, paths: &mut Vec<PathBuf>) {
    let entries = fs::read_dir(directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
    for entry in entries {
        let entry = entry.expect("a directory that was opened can be read");
        let skipped = SKIPPED.iter().any(|name| entry.file_name() == *name);
        let kind = entry.file_type().expect("an entry of a directory has a type");
        if skipped {
            continue;
        }
        if kind.is_dir() {
            add_files(&entry.path(), paths);
        } else if kind.is_file() {
            paths.push(entry.path());
        }
    }
}

#[test]
fn the_tree_is_listed_without_build_output() {
    let paths: Vec<String> = files().into_iter().map(|file| file.path).collect();
    assert!(paths.contains(&"crates/tidy/tests/tree/tree.rs".to_owned()));
    assert!(!paths.iter().any(|path| path.starts_with("target/") || path.starts_with(".git/")));
}
