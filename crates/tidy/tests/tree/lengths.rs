//! Functions up to 70 lines and files up to 600 lines of code. When it pinches, a noun is missing.

use crate::assert_none;
use crate::code;
use crate::tree;

const FUNCTION_LINES_MAX: usize = 70;
const FILE_LINES_MAX: usize = 600;

fn complaints(path: &str, text: &str) -> Vec<String> {
    let tokens = match code::tokens(path, text) {
        Ok(tokens) => tokens,
        Err(complaint) => return vec![complaint],
    };
    let lines = code::code_lines(&tokens);
    let counted = lines.difference(&code::inline_test_lines(&tokens)).count();
    let too_long = (counted > FILE_LINES_MAX).then(|| format!("{path}: {counted} lines of code, at most {FILE_LINES_MAX}"));
    let functions = code::functions(&tokens).into_iter().filter(|function| function.body_lines > FUNCTION_LINES_MAX);
    let functions = functions.map(|function| {
        let code::Function { name, line, body_lines } = function;
        format!("{path}:{line}: {name} has {body_lines} lines of code, at most {FUNCTION_LINES_MAX}")
    });
    too_long.into_iter().chain(functions).collect()
}

#[test]
fn functions_and_files_are_short_enough() {
    let found: Vec<String> = tree::rust_files().iter().flat_map(|file| complaints(&file.path, &file.text)).collect();
    assert_none(&found);
}

#[test]
fn a_function_of_71_lines_is_caught_and_one_of_70_is_not() {
    let function = |lines: usize| format!("fn f() {{\n{}}}", "    // why\n\n    g();\n".repeat(lines));
    assert_none(&complaints("sample.rs", &function(70)));
    assert_eq!(complaints("sample.rs", &function(71)), ["sample.rs:1: f has 71 lines of code, at most 70"]);
}

#[test]
fn a_file_of_601_lines_is_caught_and_one_of_600_is_not() {
    let file = |lines: usize| "const A: u8 = 1;\n".repeat(lines);
    assert_none(&complaints("sample.rs", &file(600)));
    assert_eq!(complaints("sample.rs", &file(601)), ["sample.rs: 601 lines of code, at most 600"]);
}

#[test]
fn inline_tests_do_not_count_but_a_file_of_tests_does() {
    let tests = "const A: u8 = 1;\n".repeat(601);
    assert_none(&complaints("sample.rs", &format!("#[cfg(test)]\nmod tests {{\n{tests}}}\n")));
    assert_eq!(complaints("tests.rs", &tests).len(), 1);
}
