//! What the application sees of others: peers, messages, what a lookup found.

use bytes::Bytes;
use cicada_proto::{Delivery, KeyLevel, event};
use cicada_wire::{Hash, MessageId, Origin, PublicKey, SignedRecord};
use std::{fmt, net::SocketAddr};

/// Another peer, as far as it is known.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct RemoteNode {
    id: Hash,
    address: Option<SocketAddr>,
    key: Option<PublicKey>,
}

impl RemoteNode {
    /// Where it stands on the circle.
    #[must_use]
    pub fn id(&self) -> Hash {
        self.id
    }

    /// The address that it says it has; clients have none.
    #[must_use]
    pub fn address(&self) -> Option<SocketAddr> {
        self.address
    }

    /// Its key, where it is known.
    #[must_use]
    pub fn key(&self) -> Option<PublicKey> {
        self.key
    }
}

/// The address, or the id of a peer that has none.
impl fmt::Display for RemoteNode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.address {
            Some(address) => address.fmt(f),
            None => self.id.fmt(f),
        }
    }
}

impl From<&SignedRecord> for RemoteNode {
    fn from(record: &SignedRecord) -> Self {
        Self { id: record.id(), address: record.announced().map(Into::into), key: Some(record.key()) }
    }
}

impl From<&Origin> for RemoteNode {
    fn from(origin: &Origin) -> Self {
        Self { id: origin.id(), address: origin.address().map(Into::into), key: None }
    }
}

/// A message that arrived.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Message {
    /// Its number.
    pub id: MessageId,
    /// Who made it.
    pub source: RemoteNode,
    /// What it says.
    pub data: Bytes,
    /// How well the key is known that proves that `source` made it.
    pub level: KeyLevel,
    /// Whether it was for everybody.
    pub broadcast: bool,
    /// How many links it travelled, as its relays say; 0 on the peer that made it.
    pub hops: usize,
    /// Of a unicast: the relays that it visited, as they themselves say.
    pub path: Vec<Hash>,
    /// Whether more messages were waiting when this one was taken.
    pub more: bool,
}

impl Message {
    /// A bare node's payload, which has no number and no path.
    pub(crate) fn opaque(from: &SignedRecord, data: Bytes) -> Self {
        Self {
            id: MessageId([0; 16]),
            source: RemoteNode::from(from),
            data,
            level: KeyLevel::Proven,
            broadcast: false,
            hops: 1,
            path: Vec::new(),
            more: false,
        }
    }
}

impl From<Delivery> for Message {
    fn from(delivery: Delivery) -> Self {
        Self {
            id: delivery.message,
            source: RemoteNode::from(&delivery.origin),
            data: delivery.payload,
            level: delivery.level,
            broadcast: delivery.broadcast,
            hops: delivery.hops,
            path: delivery.path,
            more: false,
        }
    }
}

/// What a lookup found.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Lookup {
    /// The members responsible for the id, the confirmed owner first.
    pub responsible: Vec<RemoteNode>,
    /// The peer with exactly this id, if there is one.
    pub exact: Option<RemoteNode>,
    /// How many peers were asked.
    pub asked: usize,
}

impl From<event::Lookup> for Lookup {
    fn from(found: event::Lookup) -> Self {
        Self {
            responsible: found.responsible.iter().map(RemoteNode::from).collect(),
            exact: found.exact.as_ref().map(RemoteNode::from),
            asked: found.asked,
        }
    }
}

/// What became of a broadcast at its origin.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Broadcast {
    /// The message.
    pub id: MessageId,
    /// How many peers took a share of the work; 0 when nobody is there to hear it.
    pub delegates: usize,
}
