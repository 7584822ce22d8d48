//! Stub to be replaced: unicasts and receipts on their way.

use crate::{
    attach::Attachments,
    context::Context,
    deliver::Deliveries,
    event::{Lookup, LookupError},
    input::{DialError, Operation, SendOptions},
    links::LinkId,
    overlay::Overlay,
    time::Instant,
};
use bytes::Bytes;
use cicada_wire::{Address, Hash, Header, HopVerdict};

/// What routing looks at while it decides.
pub(crate) struct Map<'a> {
    pub(crate) overlay: &'a Overlay,
    pub(crate) attachments: &'a Attachments,
}

/// A message that the application wants to send.
pub(crate) struct Outgoing {
    pub(crate) operation: Operation,
    pub(crate) target: Hash,
    pub(crate) address: Option<Address>,
    pub(crate) payload: Bytes,
    pub(crate) options: SendOptions,
}

/// All unicasts and receipts that wait for something.
#[derive(Debug, Default)]
pub(crate) struct Router;

impl Router {
    /// The application sends. Ends with `Sent` or `SendFailed`, always.
    pub(crate) fn send(&mut self, _cx: &mut Context<'_>, _map: &Map<'_>, _deliveries: &mut Deliveries, _outgoing: Outgoing) {}
    /// A unicast or a receipt arrived on a link.
    pub(crate) fn on_data(
        &mut self,
        _cx: &mut Context<'_>,
        _map: &Map<'_>,
        _deliveries: &mut Deliveries,
        _link: LinkId,
        _header: Header,
        _payload: Bytes,
    ) {
    }
    /// The next hop took a message over, or refused it.
    pub(crate) fn on_verdict(&mut self, _cx: &mut Context<'_>, _map: &Map<'_>, _link: LinkId, _verdict: &HopVerdict) {}
    /// A link is up: a direct message may have waited for it.
    pub(crate) fn on_link_up(&mut self, _cx: &mut Context<'_>, _map: &Map<'_>, _link: LinkId) {}
    /// A link is down: what it was handed goes another way.
    pub(crate) fn on_link_down(&mut self, _cx: &mut Context<'_>, _map: &Map<'_>, _link: LinkId) {}
    /// A dial failed.
    pub(crate) fn on_dial_failed(&mut self, _cx: &mut Context<'_>, _to: Address, _error: DialError) {}
    /// A lookup for a direct link ended.
    pub(crate) fn on_found(&mut self, _cx: &mut Context<'_>, _target: Hash, _result: &Result<Lookup, LookupError>) {}
    /// This peer leaves: whether messages of ours or receipts still wait, so that leaving should wait a moment.
    pub(crate) fn is_busy(&self) -> bool {
        false
    }
    /// This peer has left: every send fails.
    pub(crate) fn abort(&mut self, _cx: &mut Context<'_>) {}
    pub(crate) fn on_wake(&mut self, _cx: &mut Context<'_>, _map: &Map<'_>) {}
    pub(crate) fn next_timeout(&self) -> Option<Instant> {
        None
    }
}
