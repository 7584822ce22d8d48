//! Payloads of our own: named, cut into symbols once, and handed to the first delegates or to those named.

use super::{
    api::{Event, SendError},
    context::Context,
    objects::{Done, Objects, Purpose},
    spread::{Runs, Spread},
    table::Table,
};
use crate::fec::{Encoded, Outcome, Task, coding_of};
use bytes::Bytes;
use cicada_wire::kadcast::BUCKETS;
use std::net::SocketAddr;

/// A payload on its way out.
#[derive(Debug)]
pub(super) struct Own {
    operation: u64,
    payload: Bytes,
    to: Receivers,
}

/// Whom it is for.
#[derive(Debug)]
pub(super) enum Receivers {
    /// Everybody up to this bucket.
    Everybody(Option<u8>),
    /// These.
    These(Vec<SocketAddr>),
}

impl Objects {
    /// The application wants to send.
    pub(super) fn on_own(&mut self, cx: &mut Context<'_>, table: &Table, operation: u64, payload: Bytes, to: Receivers) {
        let limit = cx.settings.limits.object_bytes;
        let encoding = self.jobs.values().filter(|purpose| matches!(purpose, Purpose::Own(_))).count();
        let error = match payload.len() {
            0 => Some(SendError::Empty),
            length if length > limit => Some(SendError::TooLarge { length, limit }),
            _ if encoding >= MOST_ENCODING => Some(SendError::Full),
            _ => None,
        };
        if let Some(error) = error {
            cx.event(Event::NotSent { operation, error });
            return;
        }
        let symbol_bytes = cx.settings.symbol_bytes;
        let coding = coding_of(payload.len(), symbol_bytes);
        let symbols = coding.layout().map_or(1, |layout| layout.block_symbols(0));
        let repair = cx.settings.redundancy.repair_symbols(symbols);
        let task = Task::Encode { payload: payload.clone(), symbol_bytes, repair };
        let own = Own { operation, payload, to };
        if symbols == 1 {
            // One hash: not worth a job.
            if let Outcome::Encoded(encoded) = task.run() {
                self.on_encoded(cx, table, own, encoded);
            }
        } else {
            let job = cx.code(task);
            self.jobs.insert(job, Purpose::Own(own));
        }
    }

    /// A payload of our own is cut into symbols.
    pub(super) fn on_encoded(&mut self, cx: &mut Context<'_>, table: &Table, own: Own, encoded: Encoded) {
        let Encoded { ray, coding, symbols } = encoded;
        let Ok(layout) = coding.layout() else { return };
        let mut spread = Spread::default();
        let mut runs = Runs::default();
        let targets = match own.to {
            Receivers::Everybody(height) => {
                let below = height.map_or(BUCKETS, |height| height.saturating_add(1).min(BUCKETS));
                symbols.iter().for_each(|symbol| spread.cover(cx, table, (ray, &layout), symbol, below, &mut runs));
                spread.delegates()
            }
            Receivers::These(peers) => {
                let copies = if layout.symbols() == 1 { 2 } else { 1 };
                for to in &peers {
                    symbols
                        .iter()
                        .flat_map(|symbol| std::iter::repeat_n(symbol, copies))
                        .for_each(|symbol| runs.push(*to, 0, ray, &layout, symbol));
                }
                peers.len()
            }
        };
        runs.send(cx);
        cx.event(Event::Sent { operation: own.operation, ray, targets });
        let repair = symbols.into_iter().filter(|symbol| symbol.id.number as usize >= layout.block_symbols(symbol.id.block)).collect();
        let done = Done::own(cx, layout, own.payload, repair, spread);
        self.keep(cx, table, ray, done);
    }
}

/// Payloads of ours that are being encoded at once.
const MOST_ENCODING: usize = 256; // guess: the shell's queue is shorter
