//! The rules of the house, held by tests that read the tree.
//!
//! Each module below is one rule: a plain function from text to complaints, a test which applies it
//! to every file it is meant for, and controls which show that it catches what it should. `code`
//! reads Rust, `tree` lists files, `workspace` asks cargo; the rest are rules.

mod arrows;
mod code;
mod commands;
mod dead_files;
mod decisions;
mod lengths;
mod licences;
mod lint_files;
mod tree;
mod words;
mod workspace;

/// Fails with every complaint on a line of its own.
#[track_caller]
fn assert_none(complaints: &[String]) {
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}
