//! The lints that keep clocks, sockets and unordered iteration out of the core are written once for
//! each crate, because clippy reads the nearest file only. The copies must stay the same.

use crate::assert_none;
use crate::tree;

const CORE: [&str; 3] = ["wire", "proto", "sim"];

/// What each of them has to forbid, so that the copies cannot be emptied together.
const FORBIDDEN: [&str; 4] = ["std::time::Instant", "std::net::UdpSocket", "std::collections::HashMap", "std::env::var"];

fn complaints(files: &[(&str, &str)]) -> Vec<String> {
    let Some(((first_path, first), others)) = files.split_first() else {
        return Vec::new();
    };
    let differing = others.iter().filter(|(_, text)| text != first);
    let differing = differing.map(|(path, _)| format!("{path} differs from {first_path}"));
    let missing = FORBIDDEN.iter().filter(|what| !first.contains(*what));
    differing.chain(missing.map(|what| format!("{first_path} no longer forbids {what}"))).collect()
}

#[test]
fn the_crates_of_the_core_share_their_lints() {
    let files = CORE.map(|name| {
        let path = format!("crates/{name}/clippy.toml");
        let text = tree::read(&path);
        (path, text)
    });
    let files: Vec<_> = files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
    assert_none(&complaints(&files));
}

#[test]
fn a_differing_or_emptied_file_is_caught() {
    let full = FORBIDDEN.join("\n");
    assert_none(&complaints(&[("a", &full), ("b", &full)]));
    assert_eq!(complaints(&[("a", &full), ("b", "")]), ["b differs from a"]);
    assert_eq!(complaints(&[("a", ""), ("b", "")]).len(), FORBIDDEN.len());
}
