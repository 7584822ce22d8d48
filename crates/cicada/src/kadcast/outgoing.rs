//! What waits to be sent, and when it may go.
//!
//! Datagrams of the protocol go first, as they come. Symbols wait in a lane for each receiver, and lanes take turns. Nobody tells how
//! much a receiver takes, so each lane has a pace, and all together have one: bursts stay smaller than the smallest buffer that a
//! receiver is likely to have. What is beyond the bounds is dropped from the tail, as the network would; redundancy makes up for it.
//!
//! Knows no socket and no clock.

use bytes::Bytes;
use cicada_proto::kadcast::{Run, Transmit};
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    net::SocketAddr,
    time::Duration,
};
use tokio::time::Instant;

/// What waits to be sent.
pub(super) struct Outgoing {
    pace: Pace,
    urgent: VecDeque<(SocketAddr, Bytes)>,
    lanes: BTreeMap<SocketAddr, Lane>,
    /// Lanes that have something, by when they may send.
    turns: BTreeSet<(Instant, SocketAddr)>,
    /// When all lanes together may send more.
    line_free: Instant,
    waiting_bytes: usize,
    dropped: u64,
}

/// How fast symbols go.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    pub(super) receiver_bytes_per_second: u64,
    pub(super) line_bytes_per_second: u64,
    /// The least time between two datagrams of a lane.
    pub(super) pause: Option<Duration>,
    /// How many datagrams one call may send.
    pub(super) segments: usize,
}

/// Runs for one receiver.
struct Lane {
    runs: VecDeque<Run>,
    /// Symbols of the first run that are gone already.
    gone: usize,
    bytes: usize,
    /// When it may send more.
    free: Instant,
}

/// What to do next.
#[derive(PartialEq, Eq, Debug)]
pub(super) enum Next {
    /// Send these, so many bytes each.
    Send { to: SocketAddr, stride: usize },
    /// Nothing before then.
    Later(Instant),
    /// Nothing.
    Nothing,
}

impl Outgoing {
    pub(super) fn new(pace: Pace, now: Instant) -> Self {
        Self { pace, urgent: VecDeque::new(), lanes: BTreeMap::new(), turns: BTreeSet::new(), line_free: now, waiting_bytes: 0, dropped: 0 }
    }

    /// Bytes of symbols that wait, as they will be sent.
    pub(super) fn waiting_bytes(&self) -> usize {
        self.waiting_bytes
    }

    /// Datagrams that there was no room for.
    pub(super) fn dropped(&self) -> u64 {
        self.dropped
    }

    pub(super) fn push(&mut self, now: Instant, transmit: Transmit) {
        match transmit {
            Transmit::Datagram { to, bytes } if self.urgent.len() < URGENT => self.urgent.push_back((to, bytes)),
            Transmit::Datagram { .. } => self.dropped += 1,
            Transmit::Run(run) => self.push_run(now, run),
            // The other crate may grow kinds; what cannot be said is not sent.
            _ => self.dropped += 1,
        }
    }

    fn push_run(&mut self, now: Instant, run: Run) {
        let bytes = run.symbols.len() * run.datagram_bytes();
        if self.lanes.len() >= LANES {
            self.forget_lanes(now);
        }
        let lane = self.lanes.entry(run.to).or_insert_with(|| Lane { runs: VecDeque::new(), gone: 0, bytes: 0, free: now });
        if run.symbols.is_empty() || lane.bytes + bytes > LANE_BYTES || self.waiting_bytes + bytes > ALL_BYTES {
            self.dropped += run.symbols.len() as u64;
            return;
        }
        if lane.runs.is_empty() {
            self.turns.insert((lane.free.max(now), run.to));
            lane.free = lane.free.max(now);
        }
        lane.bytes += bytes;
        self.waiting_bytes += bytes;
        match lane.runs.back_mut() {
            // Symbols that follow each other in one lane go in one call.
            Some(last) if is_one_run(last, &run) => last.symbols.extend(run.symbols),
            Some(_) | None => lane.runs.push_back(run),
        }
    }

    /// Writes the next datagrams into `buffer`, or says when there are any. What is written counts as sent.
    pub(super) fn next(&mut self, now: Instant, buffer: &mut Vec<u8>) -> Next {
        buffer.clear();
        if let Some((to, bytes)) = self.urgent.pop_front() {
            buffer.extend_from_slice(&bytes);
            return Next::Send { to, stride: bytes.len().max(1) };
        }
        let Some((free, to)) = self.turns.first().copied() else {
            self.forget_lanes(now);
            return Next::Nothing;
        };
        let due = free.max(self.line_free);
        if due > now {
            return Next::Later(due);
        }
        self.turns.pop_first();
        let Some(lane) = self.lanes.get_mut(&to) else { return Next::Nothing };
        let stride = lane.write(self.pace.segments.min(SEGMENTS), buffer);
        self.waiting_bytes = self.waiting_bytes.saturating_sub(buffer.len());
        let datagrams = u32::try_from(buffer.len().div_ceil(stride)).unwrap_or(u32::MAX);
        let pause = self.pace.pause.map_or(Duration::ZERO, |pause| pause * datagrams);
        // Who was idle may catch up a little, so that the grain of timers does not slow it down.
        lane.free = lane.free.max(earlier(now, CATCH_UP)) + span(buffer.len(), self.pace.receiver_bytes_per_second).max(pause);
        self.line_free = self.line_free.max(earlier(now, CATCH_UP)) + span(buffer.len(), self.pace.line_bytes_per_second);
        if !lane.runs.is_empty() {
            self.turns.insert((lane.free, to));
        }
        Next::Send { to, stride }
    }

    /// Lanes are kept while their pace still binds them.
    fn forget_lanes(&mut self, now: Instant) {
        self.lanes.retain(|_, lane| !lane.runs.is_empty() || lane.free > now);
    }
}

impl Lane {
    /// Moves up to so many datagrams of the first run into the buffer; returns the length of each.
    fn write(&mut self, most: usize, buffer: &mut Vec<u8>) -> usize {
        let Some(run) = self.runs.front() else { return 1 };
        let stride = run.datagram_bytes();
        // Large symbols are fewer to a call: the system takes one buffer of at most 65 507 bytes.
        let amount = most.min(CALL_BYTES / stride).max(1);
        let end = (self.gone + amount).min(run.symbols.len());
        // What is sent in one call may be lost in one: copies of a symbol leave in calls of their own.
        let first = run.symbols[self.gone].id;
        let end = (self.gone + 1..end).find(|at| run.symbols[*at].id == first).unwrap_or(end);
        run.write(self.gone..end, buffer);
        self.bytes = self.bytes.saturating_sub(buffer.len());
        self.gone = end;
        if self.gone >= run.symbols.len() {
            self.runs.pop_front();
            self.gone = 0;
        }
        stride
    }
}

fn is_one_run(first: &Run, second: &Run) -> bool {
    (first.ray, first.height, first.coding, first.header) == (second.ray, second.height, second.coding, second.header)
}

fn earlier(now: Instant, span: Duration) -> Instant {
    now.checked_sub(span).unwrap_or(now)
}

fn span(bytes: usize, bytes_per_second: u64) -> Duration {
    Duration::from_nanos((bytes as u64).saturating_mul(1_000_000_000) / bytes_per_second.max(1))
}

/// Datagrams of the protocol that wait; there are a few for each peer of the table.
const URGENT: usize = 4096; // guess

/// Symbols that wait for one receiver: two of the longest messages and their repair.
const LANE_BYTES: usize = 32 << 20;

/// And for all. They share the symbols themselves, so that this costs a thirtieth of it in memory.
const ALL_BYTES: usize = 512 << 20;

/// Receivers after which those that nothing waits for are looked through.
const LANES: usize = 4096; // guess: more than a table has

/// Datagrams for one receiver in one call: 22 KB, so that lanes take turns often.
const SEGMENTS: usize = 16;

/// What the system takes in one call.
const CALL_BYTES: usize = 65_507;

/// Timers of tokio have a grain of a millisecond. Of a lane this makes bursts of 32 KB and a call's worth, which the stock buffer of Linux
/// (208 KiB, its bookkeeping included) takes from two senders at once.
const CATCH_UP: Duration = Duration::from_millis(1);

#[cfg(test)]
mod tests;
