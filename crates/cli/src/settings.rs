//! Where settings come from: flag over environment over file over default, in this one place.
//!
//! The flags are defined in `flags.rs`, with their environment variables. A configuration file
//! adds nothing of its own: its values become the defaults of the flags they name, so clap itself
//! keeps the order, and a value from the file is read and refused by the same parser as one from
//! the command line.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::builder::Resettable;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Args as _, CommandFactory, FromArgMatches};
use serde_json::json;
use toml::Value;

use crate::failure::Failure;

pub(crate) mod flags;
pub(crate) mod kadcast;
pub(crate) mod simulation;
#[cfg(test)]
mod tests;

use flags::{Action, Program, Reporting};
use simulation::Sim;

/// What the command line, the environment and the file together ask for.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) program: Program,
    /// The secret of the swarm, from its file or from the environment.
    pub(crate) secret: Option<Vec<u8>>,
    /// What to log, if anybody said.
    pub(crate) log: Option<String>,
    /// Every flag of the chosen command, what it is set to, and where that comes from.
    pub(crate) effective: Vec<Effective>,
}

/// One flag in force.
#[derive(Debug, PartialEq)]
pub(crate) struct Effective {
    pub(crate) key: String,
    pub(crate) values: Vec<String>,
    pub(crate) source: Source,
}

/// Where a value comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Source {
    Default,
    File,
    Environment,
    Flag,
}

/// Reads the command line (its first word is the program's name), the environment, and the file
/// that one of them may name.
pub(crate) fn read(words: Vec<OsString>) -> Result<Settings, Failure> {
    let plain = Program::command();
    let matches = plain.try_get_matches_from(words.clone()).map_err(usage)?;
    let (file, matches) = match config_path(&matches) {
        None => (File::default(), matches),
        Some(path) => {
            let file = File::read(&path)?;
            let command = file.beneath(Program::command());
            (file, command.try_get_matches_from(words).map_err(usage)?)
        }
    };
    let effective = effective(&matches, &file);
    refuse_misplaced(&matches)?;
    let program = Program::from_arg_matches(&matches).map_err(usage)?;
    let secret = secret(&program, &effective)?;
    let log = log(&program, &effective);
    Ok(Settings { program, secret, log, effective })
}

impl Settings {
    /// What a simulation follows from, as a table `[sim]` of a configuration file: see [`planned`].
    pub(crate) fn plan(&self) -> String {
        let mut text = "[sim]\n".to_owned();
        let reporting = Reporting::augment_args(clap::Command::new("reporting"));
        let is_result = |key: &str| RESULTS.contains(&key) || reporting.get_arguments().any(|arg| arg.get_long() == Some(key));
        for flag in self.effective.iter().filter(|flag| !flag.values.is_empty() && !is_result(&flag.key)) {
            let mut values: Vec<Value> = flag.values.iter().cloned().map(Value::String).collect();
            let value = if values.len() == 1 { values.remove(0) } else { Value::Array(values) };
            text.push_str(&format!("{} = {value}\n", flag.key));
        }
        text
    }

    /// The settings in force as lines for people, or as one JSON object a line.
    pub(crate) fn describe(&self, as_json: bool) -> Vec<String> {
        let line = |flag: &Effective| {
            let Effective { key, values, source } = flag;
            if as_json {
                return json!({"key": key, "values": values, "source": source.name()}).to_string();
            }
            let values = if values.is_empty() { "-".to_owned() } else { values.join(" ") };
            format!("{key:<20} {values:<32} {}", source.name())
        };
        self.effective.iter().map(line).collect()
    }
}

/// The simulation that a table `[sim]` describes; neither flags nor the environment count.
pub(crate) fn planned(text: &str) -> Result<Sim, String> {
    let unset = |arg: Arg| arg.env(Resettable::Reset);
    let bare = Program::command().mut_args(unset).mut_subcommand("sim", |sim| sim.mut_args(unset));
    let matches = File::parse(text)?.beneath(bare).try_get_matches_from(["cicada", "sim"]).map_err(|error| first_paragraph(&error))?;
    match Program::from_arg_matches(&matches).map_err(|error| first_paragraph(&error))?.action {
        Some(Action::Sim(sim)) => Ok(sim),
        Some(_) | None => Err("no simulation".to_owned()),
    }
}

impl Source {
    fn name(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::File => "file",
            Self::Environment => "environment",
            Self::Flag => "flag",
        }
    }
}

/// The values of a configuration file, checked: every key names a flag, every value can be read.
#[derive(Debug, Default)]
struct File {
    entries: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    /// `Some`: the key stands in the table of this command and counts only there.
    command: Option<String>,
    /// The name clap knows the flag by.
    flag: String,
    values: Vec<String>,
}

impl File {
    fn read(path: &Path) -> Result<Self, Failure> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| Failure::refused(format!("cannot read the settings in {}: {error}", path.display())))?;
        Self::parse(&text).map_err(|what| Failure::refused(format!("{}: {what}", path.display())))
    }

    fn parse(text: &str) -> Result<Self, String> {
        let table: toml::Table = text.parse().map_err(|error: toml::de::Error| {
            let line = error.span().map_or(1, |span| 1 + text[..span.start].bytes().filter(|byte| *byte == b'\n').count());
            format!("line {line}: {}", error.message())
        })?;
        let program = Program::command();
        let mut entries = Vec::new();
        for (key, value) in table {
            let Some(command) = program.find_subcommand(&key) else {
                entries.push(Entry::new(&program, None, &key, value)?);
                continue;
            };
            // `settings`, `swarm` and the like: a table is for the command, a value for the flag.
            let Value::Table(table) = value else {
                entries.push(Entry::new(&program, None, &key, value)?);
                continue;
            };
            for (key, value) in table {
                entries.push(Entry::new(command, Some(command.get_name()), &key, value)?);
            }
        }
        Ok(Self { entries })
    }

    /// Makes the values of the file the defaults of the flags they name.
    fn beneath(&self, program: clap::Command) -> clap::Command {
        // What stands in a command's table comes after what stands at the top, and wins.
        let (top, own): (Vec<&Entry>, Vec<&Entry>) = self.entries.iter().partition(|entry| entry.command.is_none());
        let names: Vec<String> = program.get_subcommands().map(|command| command.get_name().to_owned()).collect();
        let mut program = program;
        for entry in top {
            program = entry.apply(program);
            for name in &names {
                program = program.mut_subcommand(name, |command| entry.apply(command));
            }
        }
        for entry in own {
            let name = entry.command.as_deref().expect("partitioned above");
            program = program.mut_subcommand(name, |command| entry.apply(command));
        }
        program
    }

    /// Whether a value of this flag came from the file, when the chosen command is `command`.
    fn holds(&self, command: Option<&str>, flag: &str) -> bool {
        self.entries.iter().any(|entry| entry.flag == flag && (entry.command.is_none() || entry.command.as_deref() == command))
    }
}

impl Entry {
    fn new(command: &clap::Command, table: Option<&str>, key: &str, value: Value) -> Result<Self, String> {
        let shown = table.map_or_else(|| key.to_owned(), |table| format!("{table}.{key}"));
        let found = command.get_arguments().find(|arg| arg.get_long() == Some(key));
        let Some(arg) = found.filter(|arg| may_stand_in_a_file(arg)) else {
            let known: Vec<&str> = command.get_arguments().filter(|arg| may_stand_in_a_file(arg)).filter_map(Arg::get_long).collect();
            return Err(format!("unknown key `{shown}`; there are {}", known.join(", ")));
        };
        let values = texts(arg, value).map_err(|what| format!("key `{shown}`: {what}"))?;
        check(arg, &values).map_err(|what| format!("key `{shown}`: {what}"))?;
        Ok(Self { command: table.map(str::to_owned), flag: arg.get_id().to_string(), values })
    }

    fn apply(&self, command: clap::Command) -> clap::Command {
        if !command.get_arguments().any(|arg| arg.get_id() == self.flag.as_str()) {
            return command;
        }
        command.mut_arg(&self.flag, |arg| arg.default_values(self.values.clone()))
    }
}

/// A file cannot name a file, and which secret is to be made, and where, is said each time.
fn may_stand_in_a_file(arg: &Arg) -> bool {
    arg.get_long().is_some() && !["config", "help", "version"].contains(&arg.get_id().as_str()) && !is_said_each_time(arg)
}

/// Flags that say what to do rather than how: they have no environment variable and no key in a file.
fn is_said_each_time(arg: &Arg) -> bool {
    ["pair", "closed_swarm", "out", "force"].contains(&arg.get_id().as_str())
}

/// The value of a key as the words that the flag's parser reads.
fn texts(arg: &Arg, value: Value) -> Result<Vec<String>, String> {
    let is_switch = matches!(arg.get_action(), ArgAction::SetTrue);
    let is_list = matches!(arg.get_action(), ArgAction::Append);
    match value {
        Value::Boolean(value) if is_switch => Ok(vec![value.to_string()]),
        _ if is_switch => Err("wanted: true or false".to_owned()),
        Value::String(value) => Ok(vec![value]),
        Value::Integer(value) => Ok(vec![value.to_string()]),
        Value::Float(value) => Ok(vec![value.to_string()]),
        Value::Array(values) if is_list => {
            let nested = values.into_iter().map(|value| match value {
                Value::String(value) => Ok(value),
                other => Err(format!("wanted: a list of texts, not {}", with_article(other.type_str()))),
            });
            nested.collect()
        }
        other => Err(format!("wanted: one value, not {}", with_article(other.type_str()))),
    }
}

fn with_article(noun: &str) -> String {
    let article = if noun.starts_with(['a', 'i']) { "an" } else { "a" };
    format!("{article} {noun}")
}

/// Reads the words with the flag's own parser, on a command that has this flag only.
fn check(arg: &Arg, values: &[String]) -> Result<(), String> {
    if matches!(arg.get_action(), ArgAction::SetTrue) {
        return Ok(());
    }
    let long = arg.get_long().expect("only flags with long names come here");
    let alone = clap::Command::new("check").no_binary_name(true).arg(arg.clone());
    let words = values.iter().map(|value| format!("--{long}={value}"));
    match alone.try_get_matches_from(words) {
        Ok(_) => Ok(()),
        Err(error) => Err(first_paragraph(&error)),
    }
}

/// Flags that were given before a command to which they do not belong would be passed over in silence: refused.
fn refuse_misplaced(matches: &ArgMatches) -> Result<(), Failure> {
    let (mut level, mut matches) = (Program::command(), matches);
    while let Some((command, below)) = matches.subcommand() {
        refuse_misplaced_before(command, &level, matches, below)?;
        let Some(next) = level.find_subcommand(command).cloned() else { break };
        (level, matches) = (next, below);
    }
    Ok(())
}

fn refuse_misplaced_before(command: &str, level: &clap::Command, matches: &ArgMatches, below: &ArgMatches) -> Result<(), Failure> {
    let misplaced = level.get_arguments().find(|arg| {
        let id = arg.get_id().as_str();
        let given = matches.try_contains_id(id).is_ok() && matches.value_source(id) == Some(ValueSource::CommandLine);
        given && !arg.is_global_set()
    });
    let Some(arg) = misplaced else {
        return Ok(());
    };
    let shown = arg.get_long().map_or_else(|| "a script".to_owned(), |long| format!("--{long}"));
    let hint = if below.try_contains_id(arg.get_id().as_str()).is_ok() {
        format!("write it after `{command}`")
    } else {
        format!("it does not go with `{command}`")
    };
    let script = if level.get_name() == "cicada" { format!(" (a script of that name is ./{command})") } else { String::new() };
    Err(Failure::refused(format!("{shown} stands before the command `{command}`: {hint}{script}")))
}

fn effective(matches: &ArgMatches, file: &File) -> Vec<Effective> {
    let (name, matches) = match matches.subcommand() {
        Some((name, matches)) => (Some(name), matches),
        None => (None, matches),
    };
    let program = Program::command();
    let command = name.and_then(|name| program.find_subcommand(name)).unwrap_or(&program);
    let globals = program.get_arguments().filter(|arg| name.is_some() && arg.is_global_set());
    let mut flags = Vec::new();
    for arg in command.get_arguments().chain(globals) {
        let id = arg.get_id().as_str();
        let Some(key) = arg.get_long() else { continue };
        let Ok(raw) = matches.try_get_raw(id) else { continue };
        let values = raw.into_iter().flatten().map(|value| value.to_string_lossy().into_owned());
        let source = match matches.value_source(id) {
            Some(ValueSource::CommandLine) => Source::Flag,
            Some(ValueSource::EnvVariable) => Source::Environment,
            Some(_) if file.holds(name, id) => Source::File,
            Some(_) | None => Source::Default,
        };
        flags.push(Effective { key: key.to_owned(), values: values.collect(), source });
    }
    flags
}

fn source_of(effective: &[Effective], key: &str) -> Source {
    let found = effective.iter().find(|flag| flag.key == key);
    found.map_or(Source::Default, |flag| flag.source)
}

/// The secret itself may come from the environment, never from the command line, which every user
/// of the machine can read.
fn secret(program: &Program, effective: &[Effective]) -> Result<Option<Vec<u8>>, Failure> {
    let Some(swarm) = program.swarm() else {
        return Ok(None);
    };
    let source = source_of(effective, "swarm-secret-file");
    let path = match (std::env::var_os(SECRET_VARIABLE), &swarm.secret_file) {
        (None, None) => return Ok(None),
        (Some(_), Some(_)) if source == Source::Environment => {
            return Err(Failure::refused(format!("{SECRET_VARIABLE} and {SECRET_VARIABLE}_FILE are both set; leave one out")));
        }
        (Some(secret), Some(_)) if source < Source::Environment => {
            return Ok(Some(secret.into_encoded_bytes()));
        }
        (Some(secret), None) => return Ok(Some(secret.into_encoded_bytes())),
        (Some(_) | None, Some(path)) => path,
    };
    let mut secret =
        std::fs::read(path).map_err(|error| Failure::refused(format!("cannot read the swarm's secret in {}: {error}", path.display())))?;
    for end in [b'\n', b'\r'] {
        if secret.last() == Some(&end) {
            secret.pop();
        }
    }
    Ok(Some(secret))
}

/// `-d` is `--log debug`; where both are given, the one from the stronger source counts, and
/// between equals `--log`, which says more.
fn log(program: &Program, effective: &[Effective]) -> Option<String> {
    let reporting = &program.reporting;
    let debug = reporting.debug.then(|| "debug".to_owned());
    if source_of(effective, "debug") > source_of(effective, "log") {
        debug.or_else(|| reporting.log.clone())
    } else {
        reporting.log.clone().or(debug)
    }
}

fn config_path(matches: &ArgMatches) -> Option<PathBuf> {
    let deepest = matches.subcommand().map_or(matches, |(_, below)| below);
    deepest.get_one::<PathBuf>("config").cloned()
}

/// A command line that clap refuses, or `--help`, which it answers in the same way. What clap does
/// not say is added: that a wrong value came from the environment.
fn usage(error: clap::Error) -> Failure {
    let from_environment = || {
        let ContextValue::String(arg) = error.get(ContextKind::InvalidArg)? else { return None };
        let ContextValue::String(value) = error.get(ContextKind::InvalidValue)? else {
            return None;
        };
        let long = arg.split([' ', '=']).next()?.strip_prefix("--")?;
        let variable = format!("CICADA_{}", long.replace('-', "_").to_uppercase());
        (std::env::var(&variable).ok()?.contains(value.as_str()) && !std::env::args().any(|word| word.contains(value.as_str())))
            .then_some(variable)
    };
    match from_environment() {
        Some(variable) => Failure::refused(format!("variable {variable}: {}", first_paragraph(&error))),
        // A wrong value says all that there is to say in one line.
        None if matches!(error.kind(), ErrorKind::ValueValidation | ErrorKind::InvalidValue) => Failure::refused(first_paragraph(&error)),
        None => Failure::Usage(error),
    }
}

/// What clap says of an error, without its advice, on one line.
fn first_paragraph(error: &clap::Error) -> String {
    let text = error.render().to_string();
    let text = text.strip_prefix("error: ").unwrap_or(&text);
    let paragraph = text.split("\n\n").next().unwrap_or(text);
    let words: Vec<&str> = paragraph.split_whitespace().collect();
    words.join(" ")
}

impl Program {
    /// The settings about a swarm, if the chosen command has any.
    pub(crate) fn swarm(&self) -> Option<&flags::Swarm> {
        match &self.action {
            None => Some(&self.run.swarm),
            Some(Action::Settings(run)) => Some(&run.swarm),
            Some(Action::Status(client)) => Some(&client.swarm),
            Some(Action::Lookup(lookup)) => Some(&lookup.swarm),
            Some(Action::Send(send)) => Some(&send.swarm),
            Some(Action::Cast(cast)) => Some(&cast.swarm),
            Some(Action::Demo(_) | Action::Sim(_) | Action::Kadcast(_) | Action::Keygen(_) | Action::Completions(_)) => None,
        }
    }
}

/// Flags of `cicada sim` that say what is written where: nothing that happens follows from them.
const RESULTS: [&str; 3] = ["trace", "csv", "plots"];

/// Holds the swarm's secret itself, for those who have no file to put it in.
const SECRET_VARIABLE: &str = "CICADA_SWARM_SECRET";
