//! Words that must not be in the tree: unfinished work, silenced tests, paths of one machine.

use proc_macro2::{Spacing, TokenTree};

use crate::assert_none;
use crate::code::{each_run, is_ident, is_punct, tokens};
use crate::tree;

/// Not in any text file. In two pieces each, so that this file may be read by its own rule.
const WORDS: [(&str, &str); 6] = [
    (concat!("/wo", "rk/"), "is a path of one machine"),
    (concat!("/ro", "ot/"), "is a path of one machine"),
    (concat!("/ho", "me/"), "is a path of one machine"),
    (concat!("FIX", "ME"), "is unfinished work"),
    (concat!("<<<<", "<<< "), "is left over from a merge"),
    (concat!(">>>>", ">>> "), "is left over from a merge"),
];

/// Macros that stand for unfinished work.
const MACROS: [&str; 2] = ["todo", "unimplemented"];

fn in_text(path: &str, text: &str) -> Vec<String> {
    let lines = text.lines().enumerate();
    lines
        .flat_map(|(at, line)| {
            let words = WORDS.iter().filter(move |(word, _)| line.contains(word));
            words.map(move |(word, why)| format!("{path}:{}: {word} {why}", at + 1))
        })
        .collect()
}

fn in_rust(path: &str, text: &str) -> Vec<String> {
    let tokens = match tokens(path, text) {
        Ok(tokens) => tokens,
        Err(complaint) => return vec![complaint],
    };
    let mut found = Vec::new();
    each_run(&tokens, &mut |run| {
        for pair in run.windows(2) {
            let line = pair[0].span().start().line;
            if let Some(name) = MACROS.iter().find(|name| is_ident(&pair[0], name) && is_call(&pair[1])) {
                found.push(format!("{path}:{line}: {name}! is unfinished work"));
            }
            if is_punct(&pair[0], '#') && ignores(&pair[1]) {
                found.push(format!("{path}:{line}: a test that is ignored tests nothing"));
            }
        }
    });
    found
}

/// The `!` of a macro call, not that of `!=`.
fn is_call(tree: &TokenTree) -> bool {
    matches!(tree, TokenTree::Punct(sign) if sign.as_char() == '!' && sign.spacing() == Spacing::Alone)
}

/// `[ignore]`, `[ignore = ".."]`, and either of them behind a `cfg_attr`.
fn ignores(attribute: &TokenTree) -> bool {
    let TokenTree::Group(attribute) = attribute else {
        return false;
    };
    let words: Vec<TokenTree> = attribute.stream().into_iter().collect();
    match words.as_slice() {
        [first, ..] if is_ident(first, "ignore") => true,
        [first, TokenTree::Group(inner), ..] if is_ident(first, "cfg_attr") => {
            inner.stream().into_iter().any(|tree| is_ident(&tree, "ignore"))
        }
        _ => false,
    }
}

#[test]
fn no_file_holds_unfinished_work_or_paths_of_one_machine() {
    let files = tree::files();
    let text = files.iter().flat_map(|file| in_text(&file.path, &file.text));
    let rust = files.iter().filter(|file| file.path.ends_with(".rs"));
    let rust = rust.flat_map(|file| in_rust(&file.path, &file.text));
    assert_none(&text.chain(rust).collect::<Vec<_>>());
}

#[test]
fn each_forbidden_word_is_caught_with_its_line() {
    for (word, why) in WORDS {
        assert_eq!(in_text("a.md", &format!("first\nsee {word}here\n")), [format!("a.md:2: {word} {why}")]);
    }
    assert_none(&in_text("a.md", "the root of the tree, the work at home"));
}

#[test]
fn unfinished_code_and_ignored_tests_are_caught() {
    let lines = |text: &str| in_rust("a.rs", text).len();
    assert_eq!(lines("fn f() { todo!() }"), 1);
    assert_eq!(lines("fn f() {\n    unimplemented!(\"later\")\n}"), 1);
    assert_eq!(lines("#[test]\n#[ignore = \"slow\"]\nfn t() {}"), 1);
    assert_eq!(lines("mod m { #[cfg_attr(windows, ignore)] fn t() {} }"), 1);
}

#[test]
fn words_in_comments_and_names_are_not_taken_for_code() {
    assert_none(&in_rust("a.rs", "//! todo!() is forbidden\nfn ignore(todo: u8) -> bool { todo != 0 }"));
}
