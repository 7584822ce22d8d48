//! The plays in `plays/`: what happens must be what they say. `CICADA_REWRITE_PLAYS=1` writes down what happens instead.

use std::{fs, path::Path};

#[test]
fn every_play_goes_as_written() {
    let mut paths: Vec<_> = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("plays"))
        .expect("the plays lie beside the sources")
        .map(|entry| entry.expect("the directory can be read").path())
        .collect();
    paths.sort();
    assert!(!paths.is_empty());
    let failures: Vec<_> = paths.iter().filter_map(|path| perform(path).err()).collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

fn perform(path: &Path) -> Result<(), String> {
    let written = fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let happened = cicada_sim::play::perform(&written).map_err(|error| format!("{}: {error}", path.display()))?;
    if happened == written {
        return Ok(());
    }
    if std::env::var_os("CICADA_REWRITE_PLAYS").is_some() {
        return fs::write(path, happened).map_err(|error| format!("{}: {error}", path.display()));
    }
    Err(format!("{} goes another way (CICADA_REWRITE_PLAYS=1 writes it down):\n{}", path.display(), difference(&written, &happened)))
}

/// The lines that differ, with those around them: `-` written, `+` happened.
fn difference(written: &str, happened: &str) -> String {
    let (old, new): (Vec<_>, Vec<_>) = (written.lines().collect(), happened.lines().collect());
    let before = old.iter().zip(&new).take_while(|(a, b)| a == b).count();
    let after = old[before..].iter().rev().zip(new[before..].iter().rev()).take_while(|(a, b)| a == b).count();
    let context = |from: usize, to: usize| old[from..to].iter().map(|line| format!("  {line}"));
    let lines = context(before.saturating_sub(3), before)
        .chain(old[before..old.len() - after].iter().map(|line| format!("- {line}")))
        .chain(new[before..new.len() - after].iter().map(|line| format!("+ {line}")))
        .chain(context(old.len() - after, (old.len() - after + 3).min(old.len())));
    lines.take(200).collect::<Vec<_>>().join("\n")
}

#[test]
fn a_play_that_goes_another_way_shows_where() {
    assert_eq!(difference("a\nb\nc\nd", "a\nx\nc\nd"), "  a\n- b\n+ x\n  c\n  d");
}
