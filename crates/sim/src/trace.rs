//! What happened, as text: one line for each thing that matters, the same for the same seed.

mod words;

pub(crate) use words::Words;

use cicada_proto::Instant;
use cicada_wire::Hash;
use std::{
    collections::BTreeMap,
    fmt::{self, Write},
};

/// The version of the trace's format; its first line says it.
pub const TRACE_VERSION: u32 = 1;

/// How much is traced.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub enum TraceLevel {
    /// Nothing: for speed.
    #[default]
    Off,
    /// What peers tell, and what befalls them.
    Events,
    /// Also every frame, datagram and job.
    Packets,
}

/// The trace of a world.
#[derive(Debug)]
pub struct Trace {
    level: TraceLevel,
    text: String,
    names: BTreeMap<Hash, String>,
}

impl Trace {
    pub(crate) fn new(level: TraceLevel) -> Self {
        let text = match level {
            TraceLevel::Off => String::new(),
            TraceLevel::Events | TraceLevel::Packets => format!("cicada trace, version {TRACE_VERSION}\n"),
        };
        Self { level, text, names: BTreeMap::new() }
    }

    /// Everything that was traced so far.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// A digest of [`Self::text`]: equal traces have equal digests.
    #[must_use]
    pub fn digest(&self) -> Hash {
        Hash::of(&self.text)
    }

    /// Takes out what was traced so far; the level stays.
    pub fn take(&mut self) -> String {
        std::mem::take(&mut self.text)
    }

    /// Traces more, or less, from now on.
    pub fn set_level(&mut self, level: TraceLevel) {
        self.level = level;
    }

    pub(crate) fn wants(&self, level: TraceLevel) -> bool {
        self.level >= level
    }

    pub(crate) fn name(&mut self, id: Hash, name: &str) {
        self.names.insert(id, name.to_owned());
    }

    pub(crate) fn words(&self) -> Words<'_> {
        Words::new(&self.names)
    }

    pub(crate) fn line(&mut self, now: Instant, what: &str) {
        let (seconds, micros) = (now.0 / 1_000_000, now.0 % 1_000_000);
        writeln!(self.text, "t={seconds}.{micros:06} {what}").expect("writing to a string does not fail");
    }
}

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
