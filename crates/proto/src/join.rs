//! Stub to be replaced: joining a swarm through entry points.

use crate::{
    context::Context,
    event::{Lookup, LookupError},
    input::{DialError, Operation},
    links::DialId,
    overlay::Overlay,
    time::Instant,
};
use cicada_wire::{Address, SignedRecord};
use std::time::Duration;

/// All joins under way.
#[derive(Debug, Default)]
pub(crate) struct Joins;

impl Joins {
    /// Starts one. Ends with `Connected` or `ConnectFailed`, always.
    pub(crate) fn start(&mut self, _cx: &mut Context<'_>, _operation: Operation, _addresses: Vec<Address>, _timeout: Duration) {}
    /// A link is up.
    pub(crate) fn on_link_up(&mut self, _cx: &mut Context<'_>, _peer: &SignedRecord, _dial: Option<DialId>) {}
    /// A dial failed.
    pub(crate) fn on_dial_failed(&mut self, _cx: &mut Context<'_>, _to: Address, _error: DialError) {}
    /// The lookup of our own id ended.
    pub(crate) fn on_found(&mut self, _cx: &mut Context<'_>, _operation: Operation, _result: &Result<Lookup, LookupError>) {}
    /// The tables (or a client's attachments) changed: perhaps a join is complete.
    pub(crate) fn on_progress(&mut self, _cx: &mut Context<'_>, _overlay: &Overlay, _attached: bool) {}
    /// This peer leaves: every join fails.
    pub(crate) fn abort(&mut self, _cx: &mut Context<'_>) {}
    pub(crate) fn on_wake(&mut self, _cx: &mut Context<'_>) {}
    pub(crate) fn next_timeout(&self) -> Option<Instant> {
        None
    }
}
