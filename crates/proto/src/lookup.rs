//! Stub to be replaced: iterative lookups.

use crate::{context::Context, overlay::Overlay, step::Finder, time::Instant};
use cicada_wire::{Hash, Reply, SignedRecord};

/// All lookups under way.
#[derive(Debug, Default)]
pub(crate) struct Lookups;

impl Lookups {
    /// Starts one. Ends with [`crate::step::Step::Found`], always.
    pub(crate) fn start(&mut self, _cx: &mut Context<'_>, _overlay: &Overlay, _target: Hash, _seeds: &[SignedRecord], _finder: Finder) {}
    /// A question of lookup `number` was answered (`Some`) or not.
    pub(crate) fn on_answer(
        &mut self,
        _cx: &mut Context<'_>,
        _overlay: &Overlay,
        _number: u64,
        _from: &SignedRecord,
        _reply: Option<Reply>,
    ) {
    }
    pub(crate) fn on_wake(&mut self, _cx: &mut Context<'_>, _overlay: &Overlay) {}
    pub(crate) fn next_timeout(&self) -> Option<Instant> {
        None
    }
}
