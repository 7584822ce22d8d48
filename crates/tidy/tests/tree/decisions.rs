//! Every page in docs/decisions has a number of its own, counted from 0001 without gaps, and says
//! what was at stake, what was decided and what follows from it.

use crate::assert_none;
use crate::tree;

const DIRECTORY: &str = "docs/decisions/";
const SECTIONS: [&str; 3] = ["## Context", "## Decision", "## Consequences"];

/// `pages` are (file name, text) in the order of their names.
fn complaints(pages: &[(&str, &str)]) -> Vec<String> {
    let mut found = Vec::new();
    for (at, (name, text)) in pages.iter().enumerate() {
        let number = format!("{:04}", at + 1);
        if !name.starts_with(&format!("{number}-")) || !name.ends_with(".md") {
            found.push(format!("{DIRECTORY}{name}: should be named {number}-what-it-decides.md"));
        }
        if !text.starts_with(&format!("# {number}: ")) {
            found.push(format!("{DIRECTORY}{name}: should open with its title, `# {number}: ..`"));
        }
        let missing = SECTIONS.iter().filter(|section| !text.lines().any(|line| line == **section));
        found.extend(missing.map(|section| format!("{DIRECTORY}{name}: has no `{section}`")));
    }
    found
}

#[test]
fn decisions_are_numbered_and_complete() {
    let files = tree::files();
    let pages = files.iter().filter_map(|file| Some((file.path.strip_prefix(DIRECTORY)?, file.text.as_str())));
    let pages: Vec<_> = pages.collect();
    assert!(!pages.is_empty(), "{DIRECTORY} is empty");
    assert_none(&complaints(&pages));
}

const GOOD: &str = "# 0001: A title\n\n## Context\n\n## Decision\n\n## Consequences\n";

#[test]
fn a_page_without_number_or_sections_is_caught() {
    assert_none(&complaints(&[("0001-a-title.md", GOOD)]));
    assert_eq!(complaints(&[("a-title.md", GOOD)]).len(), 1);
    assert_eq!(complaints(&[("0001-a-title.md", "# 0001: A title\n")]).len(), 3);
    assert_eq!(complaints(&[("0001-a-title.md", &GOOD.replace("0001: ", ""))]).len(), 1);
}

#[test]
fn a_gap_and_a_number_used_twice_are_caught() {
    let second = GOOD.replace("0001", "0002");
    assert_none(&complaints(&[("0001-a.md", GOOD), ("0002-b.md", &second)]));
    assert!(!complaints(&[("0001-a.md", GOOD), ("0001-b.md", GOOD)]).is_empty());
    assert!(!complaints(&[("0001-a.md", GOOD), ("0003-b.md", &second)]).is_empty());
}
