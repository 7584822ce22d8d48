//! Stub to be replaced: broadcasts.

use crate::{context::Context, deliver::Deliveries, input::Operation, links::LinkId, overlay::Overlay, time::Instant};
use bytes::Bytes;
use cicada_wire::{Hash, Task, TaskVerdict};

/// All broadcasts remembered, and their tasks that wait for a verdict or a link.
#[derive(Debug, Default)]
pub(crate) struct Broadcaster;

impl Broadcaster {
    /// The application sends to everybody. Ends with `BroadcastSent`, always.
    pub(crate) fn send(&mut self, _cx: &mut Context<'_>, _overlay: &Overlay, _operation: Operation, _payload: Bytes, _excluded: Vec<Hash>) {
    }
    /// A task arrived on a link.
    pub(crate) fn on_task(
        &mut self,
        _cx: &mut Context<'_>,
        _overlay: &Overlay,
        _deliveries: &mut Deliveries,
        _link: LinkId,
        _task: Task,
        _payload: Bytes,
    ) {
    }
    /// A delegate took a task over, or refused it.
    pub(crate) fn on_verdict(&mut self, _cx: &mut Context<'_>, _overlay: &Overlay, _link: LinkId, _verdict: &TaskVerdict) {}
    /// A link is up: a task may have waited for it.
    pub(crate) fn on_link_up(&mut self, _cx: &mut Context<'_>, _overlay: &Overlay, _link: LinkId) {}
    /// A link is down: what it was handed goes another way.
    pub(crate) fn on_link_down(&mut self, _cx: &mut Context<'_>, _overlay: &Overlay, _link: LinkId) {}
    /// A dial failed.
    pub(crate) fn on_dial_failed(&mut self, _cx: &mut Context<'_>, _overlay: &Overlay, _to: cicada_wire::Address) {}
    /// This peer leaves: whether tasks still wait.
    pub(crate) fn is_busy(&self) -> bool {
        false
    }
    pub(crate) fn on_wake(&mut self, _cx: &mut Context<'_>, _overlay: &Overlay) {}
    pub(crate) fn next_timeout(&self) -> Option<Instant> {
        None
    }
}
