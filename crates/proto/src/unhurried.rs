//! Acknowledgements that nobody waits for: each waits a moment for something else to go over its link, and travels with that.
//!
//! A packet costs far more than a frame. Who sends without waiting says so in the header (`Mutable::patient`), and what says that
//! such a message has arrived goes with the answer, with the next message, or with others of its kind; a refusal never waits.

use crate::{
    links::LinkId,
    outbox::{Outbox, Transmit},
    time::Instant,
};
use cicada_wire::Frame;
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::Duration,
};

/// What waits for company. At most [`COMPANY`] frames a link.
#[derive(Debug, Default)]
pub(crate) struct Unhurried(BTreeMap<LinkId, Waiting>);

#[derive(Debug)]
struct Waiting {
    /// When it goes by itself.
    due: Instant,
    frames: Vec<Frame>,
}

impl Unhurried {
    /// Takes what acknowledges a message that nobody waits to hear of.
    pub(crate) fn hold(&mut self, now: Instant, out: &mut Outbox, link: LinkId, frame: Frame) {
        let waiting = self.0.entry(link).or_insert_with(|| Waiting { due: now + MOMENT, frames: Vec::new() });
        waiting.frames.push(frame);
        if waiting.frames.len() >= COMPANY {
            self.release(link, out);
        }
    }

    /// Lets those go whose link carries something anyway: `out` beyond the first `before`. They go ahead of it, since it may be
    /// the link's end.
    pub(crate) fn join(&mut self, out: &mut Outbox, before: usize) {
        if self.0.is_empty() {
            return;
        }
        let links: BTreeSet<LinkId> = out.transmits.range(before..).filter_map(link_of).collect();
        let mut news = out.transmits.split_off(before);
        for link in links {
            self.release(link, out);
        }
        out.transmits.append(&mut news);
    }

    /// A link is gone. The other end sends again what it takes for lost.
    pub(crate) fn on_link_down(&mut self, link: LinkId) {
        self.0.remove(&link);
    }

    pub(crate) fn on_wake(&mut self, now: Instant, out: &mut Outbox) {
        let due: VecDeque<LinkId> = self.0.iter().filter(|(_, waiting)| waiting.due <= now).map(|(link, _)| *link).collect();
        for link in due {
            self.release(link, out);
        }
    }

    pub(crate) fn next_timeout(&self) -> Option<Instant> {
        self.0.values().map(|waiting| waiting.due).min()
    }

    fn release(&mut self, link: LinkId, out: &mut Outbox) {
        for frame in self.0.remove(&link).into_iter().flat_map(|waiting| waiting.frames) {
            out.frame(link, frame);
        }
    }
}

/// The link that a transmission goes over.
fn link_of(transmit: &Transmit) -> Option<LinkId> {
    match transmit {
        Transmit::Frame { link, .. } | Transmit::Stream { link, .. } | Transmit::Close { link, .. } => Some(*link),
        Transmit::Abandon { .. }
        | Transmit::Collect { .. }
        | Transmit::Append { .. }
        | Transmit::Discard { .. }
        | Transmit::Datagram { .. }
        | Transmit::Dial { .. } => None,
    }
}

/// How long an acknowledgement waits for company. A fraction of the 250 ms after which a hop counts as silent, and of the 25 ms
/// that QUIC lets its own acknowledgements wait (RFC 9000, section 18.2).
const MOMENT: Duration = Duration::from_millis(10); // guess

/// That many are company enough.
const COMPANY: usize = 32; // guess: they fill two packets
