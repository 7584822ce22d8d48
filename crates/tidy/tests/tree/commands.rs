//! The commands that README and CONTRIBUTING show are there to be run: scripts exist, packages
//! exist, and the program knows the subcommands and flags it is shown with.

use std::collections::BTreeSet;
use std::fs;

use crate::assert_none;
use crate::code;
use crate::tree;
use crate::workspace::{packages, text};

const PAGES: [&str; 2] = ["README.md", "CONTRIBUTING.md"];

/// Programs that are not ours, which a page may name all the same.
const OTHERS: [&str; 2] = ["cd", "git"];

/// What a command may name.
struct Known {
    packages: BTreeSet<String>,
    /// Identifiers in the program's source. clap makes flags from fields and subcommands from
    /// variants, so a flag that no identifier matches does not exist.
    program: BTreeSet<String>,
    script: fn(&str) -> Option<String>,
}

impl Known {
    fn tree() -> Known {
        let sources = tree::rust_files();
        let program = sources.iter().filter(|file| file.path.starts_with("crates/cli/src/"));
        let program = program.filter_map(|file| code::tokens(&file.path, &file.text).ok());
        Known {
            packages: packages(".").iter().map(|package| text(package, "name").to_owned()).collect(),
            program: program.flat_map(|tokens| code::identifiers(&tokens)).collect(),
            script: |path| fs::read_to_string(tree::root().join(path)).ok(),
        }
    }

    fn complaint(&self, command: &str) -> Option<String> {
        let words: Vec<&str> = command.split_whitespace().collect();
        match words.as_slice() {
            ["cargo", rest @ ..] => self.cargo(rest),
            ["cicada", rest @ ..] => self.program(rest),
            [script, rest @ ..] if script.starts_with("./") => self.script(script, rest),
            [other, ..] if OTHERS.contains(other) => None,
            _ => Some("is not a command this rule knows".to_owned()),
        }
    }

    fn cargo(&self, words: &[&str]) -> Option<String> {
        let (own, program) = match words.iter().position(|word| *word == "--") {
            Some(at) => (&words[..at], &words[at + 1..]),
            None => (words, &[][..]),
        };
        let package = own.iter().skip_while(|word| **word != "-p").nth(1);
        match package {
            Some(package) if !self.packages.contains(*package) => Some(format!("there is no package {package}")),
            None if own.first() == Some(&"run") => self.program(program),
            _ => None,
        }
    }

    fn program(&self, words: &[&str]) -> Option<String> {
        let flags = words.iter().filter_map(|word| word.strip_prefix("--")).filter(|flag| !BUILT_IN.contains(flag));
        let unknown = flags.map(|flag| (flag, flag.replace('-', "_"))).find(|(_, field)| !self.program.contains(field));
        if let Some((flag, _)) = unknown {
            return Some(format!("the program has no flag --{flag}"));
        }
        let subcommand = words.first().filter(|word| word.chars().all(|letter| letter.is_ascii_lowercase()))?;
        let variant = format!("{}{}", subcommand[..1].to_uppercase(), &subcommand[1..]);
        (!self.program.contains(&variant)).then(|| format!("the program has no subcommand {subcommand}"))
    }

    fn script(&self, path: &str, words: &[&str]) -> Option<String> {
        let Some(text) = (self.script)(path) else {
            return Some(format!("there is no {path}"));
        };
        let unknown = words.iter().find(|word| word.starts_with("--") && !text.contains(*word))?;
        Some(format!("{path} has no {unknown}"))
    }
}

/// Flags that clap adds without a field.
const BUILT_IN: [&str; 2] = ["help", "version"];

/// The lines of the page's shell blocks that are commands.
fn commands(page: &str) -> Vec<&str> {
    let mut in_shell = false;
    let mut found = Vec::new();
    for line in page.lines() {
        match line.trim_start().strip_prefix("```") {
            Some(language) => in_shell = !in_shell && matches!(language, "sh" | "console" | "bash"),
            None if in_shell => found.push(line.split(" #").next().unwrap_or_default().trim().trim_start_matches("$ ")),
            None => {}
        }
    }
    found.retain(|command| !command.is_empty() && !command.starts_with('#'));
    found
}

#[test]
fn every_command_of_the_front_pages_exists() {
    let known = Known::tree();
    for page in PAGES {
        let text = tree::read(page);
        let commands = commands(&text);
        assert!(!commands.is_empty(), "{page} shows no command");
        let complaints = commands.iter().filter_map(|command| Some(format!("{page}: {command}: {}", known.complaint(command)?)));
        assert_none(&complaints.collect::<Vec<_>>());
    }
}

#[test]
#[cfg(unix)]
fn every_script_can_be_run() {
    use std::os::unix::fs::PermissionsExt;
    let files = tree::files();
    let scripts = files.iter().filter(|file| file.text.starts_with("#!"));
    let scripts: Vec<_> = scripts.map(|file| &file.path).collect();
    assert!(scripts.iter().any(|path| *path == "scripts/test"), "{scripts:?}");
    for path in scripts {
        let mode = fs::metadata(tree::root().join(path)).unwrap().permissions().mode();
        assert_eq!(mode & 0o111, 0o111, "{path} is not executable");
    }
}

fn sample() -> Known {
    let words = |words: &[&str]| words.iter().map(ToString::to_string).collect();
    Known {
        packages: words(&["cicada-wire"]),
        program: words(&["Demo", "no_port_mapping"]),
        script: |path| (path == "./scripts/test").then(|| "--full) full=yes".to_owned()),
    }
}

#[test]
fn commands_that_exist_are_accepted() {
    let page = "Run\n```sh\n# the demo\n$ cargo run --release -- demo  # now\n\n./scripts/test --full\n```\n```rust\nnot a command\n```\n";
    assert_eq!(commands(page), ["cargo run --release -- demo", "./scripts/test --full"]);
    for good in
        ["cargo run -- demo --help", "cargo test -p cicada-wire", "./scripts/test", "cicada --no-port-mapping a.conf", "git clone x"]
    {
        assert_eq!(sample().complaint(good), None, "{good}");
    }
}

#[test]
fn commands_that_do_not_exist_are_caught() {
    for bad in [
        "cargo run -- dance",
        "cargo run -- --colour",
        "cicada demo --port 1",
        "cargo test -p other",
        "./scripts/tset",
        "./scripts/test --fast",
        "make",
    ] {
        assert!(sample().complaint(bad).is_some(), "{bad}");
    }
}
