//! Rules of a test's own: what becomes of a packet, asked when it is sent.

use crate::peer::PeerIndex;
use cicada_proto::Instant;
use cicada_wire::{Datagram, Frame};
use std::{fmt, time::Duration};

/// A packet under way, as a rule sees it.
#[derive(Clone, Copy, Debug)]
pub struct Passing<'a> {
    /// Now.
    pub now: Instant,
    /// Who sent it.
    pub from: PeerIndex,
    /// For whom.
    pub to: PeerIndex,
    /// What it is.
    pub packet: Packet<'a>,
}

/// What is under way.
#[derive(Clone, Copy, Debug)]
pub enum Packet<'a> {
    /// A frame on a link.
    Frame(&'a Frame),
    /// A datagram.
    Datagram(&'a Datagram),
    /// The first packet of a dial.
    Dial,
}

/// What a rule decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing against it; the next rule is asked.
    Pass,
    /// It vanishes, also from a link: as if the receiver had taken it and done nothing.
    Vanish,
    /// It vanishes, and its sender is told that it was taken over: the receiver acknowledges and drops. What is not acknowledged
    /// vanishes only.
    Swallow,
    /// It is this much later.
    Delay(Duration),
}

/// What all rules together decide.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It travels, this much later.
    Travels(Duration),
    Vanishes,
    IsSwallowed,
}

/// The rules of a test, asked in order for each packet when it is sent.
#[derive(Default)]
pub(crate) struct Rules(Vec<Rule>);

pub(crate) type Rule = Box<dyn FnMut(&Passing<'_>) -> Verdict>;

impl Rules {
    pub(crate) fn add(&mut self, rule: Rule) {
        self.0.push(rule);
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    pub(crate) fn judge(&mut self, passing: &Passing<'_>) -> Fate {
        let mut late = Duration::ZERO;
        for rule in &mut self.0 {
            match rule(passing) {
                Verdict::Pass => {}
                Verdict::Vanish => return Fate::Vanishes,
                Verdict::Swallow => return Fate::IsSwallowed,
                Verdict::Delay(more) => late += more,
            }
        }
        Fate::Travels(late)
    }
}

impl fmt::Debug for Rules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} rules", self.0.len())
    }
}
