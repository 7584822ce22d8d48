//! Traces in files: what happened, behind what it follows from, so that it can happen again.
//!
//! The first line says the format's version; then come the settings of the experiment as the table `[sim]` of a configuration
//! file, a line `----`, one line for each thing that happened, and a last line that says whether the experiment went to its end.

use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Read as _, Write as _};
use std::path::{Path, PathBuf};

use cicada_sim::TRACE_VERSION;
use cicada_sim::experiment::Experiment;
use serde_json::json;

use super::{Bar, Stop, plan};
use crate::failure::Failure;
use crate::output;
use crate::settings;

/// Writes a trace while it happens.
pub(super) struct Writer {
    path: PathBuf,
    file: BufWriter<File>,
}

impl Writer {
    pub(super) fn new(path: &Path, head: &str) -> Result<Self, Failure> {
        let file = File::create(path).map_err(|error| Failure::refused(format!("{}: {error}", path.display())))?;
        let mut writer = Self { path: path.to_owned(), file: BufWriter::new(file) };
        writer.append(&format!("{FIRST}{TRACE_VERSION}\n{head}{END_OF_HEAD}\n"))?;
        Ok(writer)
    }

    /// What was traced since the last time.
    pub(super) fn write(&mut self, traced: &str) -> Result<(), Failure> {
        events(traced).try_for_each(|line| self.append(line).and_then(|()| self.append("\n")))
    }

    pub(super) fn end(mut self, whole: bool) -> Result<(), Failure> {
        self.append(if whole { WHOLE } else { CUT })?;
        self.append("\n")?;
        self.file.flush().map_err(|error| Failure::failed(format!("cannot write {}: {error}", self.path.display())))
    }

    fn append(&mut self, text: &str) -> Result<(), Failure> {
        let written = self.file.write_all(text.as_bytes());
        written.map_err(|error| Failure::failed(format!("cannot write {}: {error}", self.path.display())))
    }
}

/// The lines about what happened: all but the world's own first line, which the file has already.
fn events(traced: &str) -> impl Iterator<Item = &str> {
    traced.lines().filter(|line| !line.starts_with(FIRST))
}

/// `cicada sim replay`: success is that the same happens again.
pub(super) fn replay(path: &Path, stop: &Stop, as_json: bool) -> Result<(), Failure> {
    let refused = |what: String| Failure::refused(format!("{}{what}", path.display()));
    let mut recorded = Recorded::open(path).map_err(refused)?;
    let head = recorded.head().map_err(refused)?;
    let mut sim = settings::planned(&head).map_err(|what| refused(format!(": {what}")))?;
    // Only that there is a trace matters, not where.
    sim.trace = Some(path.to_owned());
    let plan = plan(&sim).map_err(|what| refused(format!(": {what}")))?;
    let mut experiment = Experiment::new(plan).map_err(|what| refused(format!(": {what}")))?;
    let bar = Bar::new(as_json);
    let difference = compare(&mut experiment, &mut recorded, stop, &bar)?;
    bar.end();
    match difference {
        None => {
            let lines = recorded.events;
            let text = format!("the same {lines} lines");
            Ok(output::either(as_json, &json!({"same": true, "lines": lines}), &text)?)
        }
        Some(Difference { recorded: old, happens: new }) => {
            let (place, number) = (path.display(), recorded.number);
            if as_json {
                let object = json!({"same": false, "line": number, "recorded": old, "happens": new});
                output::line(&object.to_string())?;
            }
            Err(Failure::failed(format!("{place}:{number}: recorded is `{}`, what happens is `{}`", shown(&old), shown(&new))))
        }
    }
}

/// The first line that is not the same.
struct Difference {
    recorded: String,
    happens: String,
}

/// Steps through the experiment as far as the trace goes.
fn compare(experiment: &mut Experiment, recorded: &mut Recorded, stop: &Stop, bar: &Bar) -> Result<Option<Difference>, Failure> {
    loop {
        let more = experiment.step();
        let traced = experiment.take_trace();
        bar.show(experiment);
        for happens in events(&traced) {
            let old = recorded.next().map_err(Failure::failed)?;
            match old.as_str() {
                CUT => return Ok(None),
                _ if old == happens => recorded.events += 1,
                _ => return Ok(Some(Difference { recorded: old, happens: happens.to_owned() })),
            }
        }
        if !more {
            let old = recorded.next().map_err(Failure::failed)?;
            let ends = old == WHOLE || old == CUT;
            return Ok((!ends).then(|| Difference { recorded: old, happens: WHOLE.to_owned() }));
        }
        if stop.is_asked() {
            return Err(Failure::interrupted());
        }
    }
}

/// A trace being read, line by line.
struct Recorded {
    file: BufReader<File>,
    /// Of the line read last, from 1.
    number: usize,
    /// How many lines about what happened were the same.
    events: usize,
}

impl Recorded {
    /// Errors begin behind the file's name.
    fn open(path: &Path) -> Result<Self, String> {
        let file = File::open(path).map_err(|error| format!(": {error}"))?;
        let mut recorded = Self { file: BufReader::new(file), number: 0, events: 0 };
        let first = recorded.next().map_err(|_| not_one())?;
        let version = first.strip_prefix(FIRST).ok_or_else(not_one)?;
        if version != TRACE_VERSION.to_string() {
            return Err(format!(":1: a trace of version {}; this program reads version {TRACE_VERSION}", shown(version)));
        }
        Ok(recorded)
    }

    /// The head as a configuration file whose lines have the numbers that they have in the trace.
    fn head(&mut self) -> Result<String, String> {
        let mut head = "\n".to_owned();
        for _ in 0..HEAD_LINES {
            let line = self.next().map_err(|what| format!(":{}: {what}", self.number))?;
            if line == END_OF_HEAD {
                return Ok(head);
            }
            head.push_str(&line);
            head.push('\n');
        }
        Err(format!(":{}: no line `{END_OF_HEAD}` ends the head of the trace", self.number))
    }

    /// The next line; nothing stands behind the end of the file.
    fn next(&mut self) -> Result<String, String> {
        self.number += 1;
        let mut line = Vec::new();
        let read = (&mut self.file).take(LONGEST_LINE).read_until(b'\n', &mut line);
        read.map_err(|error| error.to_string())?;
        if line.last() == Some(&b'\n') {
            line.pop();
        }
        String::from_utf8(line).map_err(|_| "not UTF-8".to_owned())
    }
}

fn not_one() -> String {
    format!(":1: not a trace: it does not begin with `{FIRST}{TRACE_VERSION}`; `cicada sim --trace FILE` writes traces")
}

/// A line of a file as part of a message.
fn shown(line: &str) -> String {
    output::printable(line.chars().take(LONGEST_SHOWN).collect::<String>().as_bytes())
}

const FIRST: &str = "cicada trace, version ";
const END_OF_HEAD: &str = "----";
const WHOLE: &str = "---- the end";
const CUT: &str = "---- interrupted";
const HEAD_LINES: usize = 1000; // far more than there are settings
const LONGEST_LINE: u64 = 1 << 20; // guess: far more than an event takes
const LONGEST_SHOWN: usize = 300; // guess: readable
