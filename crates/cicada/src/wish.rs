//! What handles ask of the task that owns the node.

use crate::{
    metrics::{Metrics, PeerTraffic},
    node::RemoteNode,
    target::Candidate,
};
use bytes::Bytes;
use cicada_proto::{
    ConnectError, LookupError, Receipt, Refusals, SendError, SendOptions, event,
    lists::{Ban, Who},
};
use cicada_wire::{Address, Hash, MessageId, SignedRecord};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, oneshot};

/// Where the outcome goes. Nobody may be waiting any more.
pub(crate) type Done<T> = oneshot::Sender<T>;

pub(crate) enum Wish {
    Connect { addresses: Vec<Address>, timeout: Duration, done: Done<Result<SignedRecord, ConnectError>> },
    Send { to: Candidate, payload: Bytes, options: SendOptions, done: SendDone },
    Broadcast { payload: Bytes, excluded: Vec<Hash>, done: Done<Result<(MessageId, usize), cicada_proto::SendError>> },
    Lookup { target: Hash, done: Done<Result<event::Lookup, LookupError>> },
    HandOver { to: Hash, payload: Bytes, done: Done<bool> },
    Disconnect { peer: Hash },
    Table { done: Done<event::Table> },
    Neighbours { done: Done<Vec<RemoteNode>> },
    Metrics { done: Done<Metrics> },
    Traffic { done: Done<Vec<PeerTraffic>> },
    Refusals { done: Done<Refusals> },
    Ban { who: Who, span: Option<Duration>, done: Done<()> },
    Unban { who: Who, done: Done<bool> },
    Banned { done: Done<Vec<Ban>> },
    Close,
}

/// Who learns what became of a unicast.
pub(crate) enum SendDone {
    /// Somebody waits.
    Told(Done<Result<Receipt, SendError>>),
    /// Nobody waits; a place among those under way is given back.
    Untold(#[expect(dead_code, reason = "held for being dropped")] OwnedSemaphorePermit),
}

/// Operations that the node has not ended yet.
pub(crate) enum Waiting {
    Connect(Done<Result<SignedRecord, ConnectError>>),
    /// The peer's own wish to come back.
    Rejoin,
    Send(SendDone),
    Broadcast(Done<Result<(MessageId, usize), cicada_proto::SendError>>),
    Lookup(Done<Result<event::Lookup, LookupError>>),
    Leave,
}
