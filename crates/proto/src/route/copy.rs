//! One copy of a message, or of a receipt, while this peer answers for it.

use crate::{
    body::{Body, StreamId},
    links::LinkId,
    time::Instant,
};
use cicada_wire::{Address, Hash, Header, HopVerdict, Kind, MessageId, Refusal};
use std::collections::BTreeSet;

/// Tells copies apart wherever they are. A repeated attempt of the origin is a copy of its own.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct CopyKey {
    pub(super) origin: Hash,
    pub(super) receipt: bool,
    pub(super) message: MessageId,
    pub(super) copy: u8,
}

impl CopyKey {
    pub(super) fn of(header: &Header) -> Self {
        let receipt = match header.fixed.kind {
            Kind::Receipt => true,
            Kind::Unicast | Kind::Broadcast => false,
        };
        Self { origin: header.fixed.origin.id(), receipt, message: header.fixed.message(), copy: header.hop.copy }
    }

    /// Of a receipt's header: the copy that it is about.
    pub(super) fn of_message(header: &Header) -> Self {
        let origin = header.fixed.target.unwrap_or_else(|| header.fixed.origin.id());
        let message = header.fixed.about.unwrap_or_else(|| header.fixed.message());
        Self { origin, receipt: false, message, copy: header.hop.copy }
    }

    pub(super) fn of_verdict(verdict: &HopVerdict) -> Self {
        Self { origin: verdict.origin, receipt: verdict.receipt, message: verdict.message, copy: verdict.copy }
    }

    pub(super) fn verdict(self, refusal: Option<Refusal>) -> HopVerdict {
        HopVerdict { origin: self.origin, message: self.message, copy: self.copy, receipt: self.receipt, refusal }
    }
}

/// Who handed us a copy.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Previous {
    /// It begins here.
    Here,
    /// This peer, over a link.
    Hop(Hash),
}

/// Which next hops are right.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Choice {
    /// Nearer ones.
    Nearer,
    /// Nearer ones first, then any: the first hop of a further copy, or of a peer that has no place among the members.
    Any,
    /// Only the target.
    Direct,
}

/// A copy in this peer's hands.
#[derive(Debug)]
pub(super) struct Copy {
    /// As it is handed on.
    pub(super) header: Header,
    pub(super) payload: Body,
    pub(super) previous: Previous,
    pub(super) choice: Choice,
    /// Hops that refused it, kept silent, or carry another copy.
    pub(super) tried: BTreeSet<Hash>,
    /// Of a receipt: who handed us the message.
    pub(super) back: Option<Hash>,
    /// How many hops it was handed to here.
    pub(super) tries: usize,
    pub(super) state: State,
    /// While its payload is on its way over a link.
    pub(super) stream: Option<StreamId>,
    /// When the state is over.
    pub(super) due: Instant,
    /// Whether it counts against the limits here; if not, the message that it is a copy of does.
    pub(super) charged: bool,
}

/// Where a copy stands.
#[derive(Debug)]
pub(super) enum State {
    /// Not handed to anybody yet.
    Held,
    /// A link to this peer is being made.
    Waiting { peer: Hash, address: Address, last: bool },
    /// Handed over, not acknowledged.
    Offered { to: Hash, link: LinkId, since: Instant },
    /// Acknowledged. Kept for a moment, since the hop may come to a dead end and hand it back.
    Taken { by: Hash },
}

impl Copy {
    /// A copy that nobody was tried for yet. Its time is set as soon as it stands somewhere.
    pub(super) fn new(header: Header, payload: Body, previous: Previous) -> Self {
        Self {
            header,
            payload,
            previous,
            choice: Choice::Nearer,
            tried: BTreeSet::new(),
            back: None,
            tries: 0,
            state: State::Held,
            stream: None,
            due: Instant::default(),
            charged: true,
        }
    }

    /// How many bytes it holds at most.
    pub(super) fn held_bytes(&self) -> usize {
        match &self.payload {
            Body::Whole(bytes) => bytes.len(),
            Body::Arriving { length, .. } => (*length).min(RELAYED_BYTES),
        }
    }

    pub(super) fn target(&self) -> Option<Hash> {
        self.header.fixed.target
    }

    /// Who has it, or is to have it as soon as there is a link.
    pub(super) fn next_hop(&self) -> Option<Hash> {
        match &self.state {
            State::Waiting { peer, .. } => Some(*peer),
            State::Offered { to: by, .. } | State::Taken { by } => Some(*by),
            State::Held => None,
        }
    }

    /// Whom a link is being made to.
    pub(super) fn waits_for(&self) -> Option<Hash> {
        match &self.state {
            State::Waiting { peer, .. } => Some(*peer),
            State::Held | State::Offered { .. } | State::Taken { .. } => None,
        }
    }
}

/// What a relay holds of a payload that passes through: what it may read ahead, and what it keeps for another hop.
pub const RELAYED_BYTES: usize = 1024 * 1024; // the windows of the shell
