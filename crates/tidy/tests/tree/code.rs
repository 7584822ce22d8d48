//! Rust source as tokens: which lines hold code, where functions and modules are.
//!
//! Tokens rather than a syntax tree, so that functions inside macros (`proptest!`) count as well, and
//! so that comments and blank lines vanish without any parsing of our own.

use std::collections::BTreeSet;

use proc_macro2::{Delimiter, Group, Punct, Span, TokenStream, TokenTree};

/// The numbers, from 1, of lines that hold code.
pub(crate) type Lines = BTreeSet<usize>;

/// A function with a body.
#[derive(Debug, PartialEq)]
pub(crate) struct Function {
    pub(crate) name: String,
    pub(crate) line: usize,
    /// Lines of code between its braces, which is what clippy counts too.
    pub(crate) body_lines: usize,
}

/// A `mod name;`, which makes another file part of the crate.
#[derive(Debug, PartialEq)]
pub(crate) struct FileModule {
    /// The inline modules around it, outermost first.
    pub(crate) inside: Vec<String>,
    pub(crate) name: String,
    /// What a `#[path = ".."]` before it says.
    pub(crate) path: Option<String>,
}

/// The tokens of a file, or a complaint that names it.
pub(crate) fn tokens(path: &str, text: &str) -> Result<TokenStream, String> {
    text.parse().map_err(|error| format!("{path}: is not Rust: {error}"))
}

/// The lines that hold code: not blank, and more than a comment.
pub(crate) fn code_lines(tokens: &TokenStream) -> Lines {
    let mut lines = Lines::new();
    add_code_lines(tokens, &mut lines);
    lines
}

fn add_code_lines(tokens: &TokenStream, lines: &mut Lines) {
    let mut comment = None;
    for tree in tokens.clone() {
        if is_doc_comment(&tree) {
            comment = Some(extent(tree.span()));
        }
        if comment == Some(extent(tree.span())) {
            continue;
        }
        match &tree {
            TokenTree::Group(group) => {
                lines.insert(group.span_open().start().line);
                add_code_lines(&group.stream(), lines);
                lines.insert(group.span_close().end().line);
            }
            TokenTree::Ident(_) | TokenTree::Punct(_) | TokenTree::Literal(_) => {
                lines.extend(tree.span().start().line..=tree.span().end().line);
            }
        }
    }
}

/// A doc comment arrives as the tokens of `#[doc = ".."]`, each with the comment's whole extent;
/// a `#` that was written is one column wide.
fn is_doc_comment(tree: &TokenTree) -> bool {
    let TokenTree::Punct(punct) = tree else {
        return false;
    };
    let ((first_line, first), (last_line, last)) = extent(punct.span());
    punct.as_char() == '#' && (first_line != last_line || last - first > 1)
}

fn extent(span: Span) -> ((usize, usize), (usize, usize)) {
    let (start, end) = (span.start(), span.end());
    ((start.line, start.column), (end.line, end.column))
}

/// The lines of inline `#[cfg(test)] mod name { .. }` blocks, which do not count for a file.
pub(crate) fn inline_test_lines(tokens: &TokenStream) -> Lines {
    let mut lines = Lines::new();
    each_run(tokens, &mut |run| {
        for (at, tree) in run.iter().enumerate() {
            if !is_attribute(run, at, "cfg (test)") {
                continue;
            }
            if let Some(body) = module_body(item_after_attributes(&run[at..])) {
                lines.extend(tree.span().start().line..=body.span_close().end().line);
            }
        }
    });
    lines
}

/// Every function with a body, those in other functions and in macros included.
pub(crate) fn functions(tokens: &TokenStream) -> Vec<Function> {
    let mut found = Vec::new();
    each_run(tokens, &mut |run| {
        for (at, pair) in run.windows(2).enumerate() {
            let (true, TokenTree::Ident(name)) = (is_ident(&pair[0], "fn"), &pair[1]) else {
                continue;
            };
            if let Some(body) = body_of(&run[at..]) {
                found.push(Function {
                    name: name.to_string(),
                    line: name.span().start().line,
                    body_lines: code_lines(&body.stream()).len(),
                });
            }
        }
    });
    found
}

/// The braces that come before the item's end.
fn body_of(item: &[TokenTree]) -> Option<&Group> {
    item.iter().take_while(|tree| !is_punct(tree, ';')).find_map(|tree| braces(tree))
}

/// Every `mod name;`.
pub(crate) fn file_modules(tokens: &TokenStream) -> Vec<FileModule> {
    let mut found = Vec::new();
    add_file_modules(tokens, &[], &mut found);
    found
}

fn add_file_modules(tokens: &TokenStream, inside: &[String], found: &mut Vec<FileModule>) {
    let run: Vec<TokenTree> = tokens.clone().into_iter().collect();
    let mut path = None;
    for (at, tree) in run.iter().enumerate() {
        path = path_attribute(&run, at).or(path);
        let module = match &run[at..] {
            [word, TokenTree::Ident(name), ..] if is_ident(word, "mod") => Some(name.to_string()),
            _ => None,
        };
        match (module, run.get(at + 2)) {
            (Some(name), Some(end)) if is_punct(end, ';') => {
                found.push(FileModule { inside: inside.to_vec(), name, path: path.take() });
            }
            (Some(name), Some(TokenTree::Group(body))) => {
                let deeper: Vec<String> = inside.iter().cloned().chain([name]).collect();
                add_file_modules(&body.stream(), &deeper, found);
            }
            _ => {}
        }
        // The body of an inline module was read with its name above.
        let inline_body = at >= 2 && is_ident(&run[at - 2], "mod");
        if let (TokenTree::Group(group), false) = (tree, inline_body) {
            add_file_modules(&group.stream(), inside, found);
        }
    }
}

fn path_attribute(run: &[TokenTree], at: usize) -> Option<String> {
    let [hash, TokenTree::Group(attribute), ..] = &run[at..] else {
        return None;
    };
    let text = attribute.stream().to_string();
    let quoted = text.strip_prefix("path = ").filter(|_| is_punct(hash, '#'))?;
    Some(quoted.trim_matches('"').to_owned())
}

/// Every identifier in the file, once.
pub(crate) fn identifiers(tokens: &TokenStream) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    each_run(tokens, &mut |run| {
        for tree in run {
            if let TokenTree::Ident(ident) = tree {
                found.insert(ident.to_string());
            }
        }
    });
    found
}

/// Calls `visit` with the tokens of the file, then with those of each group in it, however deep.
pub(crate) fn each_run(tokens: &TokenStream, visit: &mut dyn FnMut(&[TokenTree])) {
    let run: Vec<TokenTree> = tokens.clone().into_iter().collect();
    visit(&run);
    for tree in &run {
        if let TokenTree::Group(group) = tree {
            each_run(&group.stream(), visit);
        }
    }
}

fn is_attribute(run: &[TokenTree], at: usize, text: &str) -> bool {
    match &run[at..] {
        [hash, TokenTree::Group(attribute), ..] => is_punct(hash, '#') && attribute.stream().to_string() == text,
        _ => false,
    }
}

fn item_after_attributes(run: &[TokenTree]) -> &[TokenTree] {
    match run {
        [hash, TokenTree::Group(_), rest @ ..] if is_punct(hash, '#') => item_after_attributes(rest),
        _ => run,
    }
}

fn module_body(item: &[TokenTree]) -> Option<&Group> {
    match item {
        [word, _, body, ..] if is_ident(word, "mod") => braces(body),
        _ => None,
    }
}

fn braces(tree: &TokenTree) -> Option<&Group> {
    match tree {
        TokenTree::Group(group) if group.delimiter() == Delimiter::Brace => Some(group),
        _ => None,
    }
}

pub(crate) fn is_punct(tree: &TokenTree, sign: char) -> bool {
    matches!(tree, TokenTree::Punct(punct) if Punct::as_char(punct) == sign)
}

pub(crate) fn is_ident(tree: &TokenTree, word: &str) -> bool {
    matches!(tree, TokenTree::Ident(ident) if ident == word)
}

const SAMPLE: &str = "\
//! Not code.

/// Not code either.
#[derive(Debug)]
struct Point {
    /* nor this */
    x: u8, // but this is
}

fn long(
    a: u8,
) -> u8 {
    // why
    let text = \"two
lines\";

    a
}

#[cfg(test)]
mod tests {
    mod deep;
    fn in_tests() {}
}

proptest! {
    fn in_a_macro() { one(); }
}

mod outside;
#[path = \"elsewhere.rs\"]
mod named;
";

#[test]
fn lines_of_code_leave_out_blanks_and_comments() {
    let tokens = tokens("sample", SAMPLE).unwrap();
    let expected = [4, 5, 7, 8, 10, 11, 12, 14, 15, 17, 18, 20, 21, 22, 23, 24, 26, 27, 28, 30, 31, 32];
    assert_eq!(code_lines(&tokens), Lines::from(expected));
}

#[test]
fn inline_test_modules_are_found_with_their_attribute() {
    let tokens = tokens("sample", SAMPLE).unwrap();
    assert_eq!(inline_test_lines(&tokens), (20..=24).collect());
}

#[test]
fn functions_are_found_wherever_they_stand_and_measured_between_their_braces() {
    let tokens = tokens("sample", SAMPLE).unwrap();
    let found: Vec<_> = functions(&tokens).into_iter().map(|f| (f.name, f.line, f.body_lines)).collect();
    let expected = [("long", 10, 3), ("in_tests", 23, 0), ("in_a_macro", 27, 1)];
    assert_eq!(found, expected.map(|(name, line, lines)| (name.to_owned(), line, lines)));
}

#[test]
fn modules_in_files_are_found_with_what_surrounds_them() {
    let tokens = tokens("sample", SAMPLE).unwrap();
    let module = |inside: &[&str], name: &str, path: Option<&str>| FileModule {
        inside: inside.iter().map(ToString::to_string).collect(),
        name: name.to_owned(),
        path: path.map(str::to_owned),
    };
    let expected = [module(&["tests"], "deep", None), module(&[], "outside", None), module(&[], "named", Some("elsewhere.rs"))];
    assert_eq!(file_modules(&tokens), expected);
}
