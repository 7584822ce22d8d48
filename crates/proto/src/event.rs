//! What a node tells: one closed list for application, log, trace and tests.

use crate::{config::KeyLevel, input::Operation, peer::Proven};
use bytes::Bytes;
use cicada_wire::{Address, Hash, MessageId, Origin, PublicKey, Refusal, Role, SignedRecord};
use std::time::Duration;

/// Something worth telling.
#[derive(Clone, Debug)]
pub enum Event {
    /// A link stands.
    LinkUp {
        /// To whom.
        peer: SignedRecord,
    },
    /// A link is gone.
    LinkDown {
        /// To whom.
        peer: Hash,
        /// Why.
        reason: Refusal,
    },
    /// A member entered the tables: proven and admitted. Told once until it leaves them.
    PeerJoined(Proven),
    /// A member left the tables.
    PeerLeft {
        /// Which.
        peer: Hash,
        /// Whether it said goodbye.
        politely: bool,
    },
    /// The neighbourhood changed: successor list and predecessor on the ring, the nearest members on the tree.
    NeighboursChanged {
        /// Ring: the predecessor.
        predecessor: Option<Hash>,
        /// Ring: the successors; tree: the nearest members; in order.
        nearest: Vec<Hash>,
    },
    /// A message for the application.
    Delivered(Delivery),
    /// A bare node's payload from a neighbour.
    Opaque {
        /// From whom.
        from: SignedRecord,
        /// What.
        payload: Bytes,
    },
    /// `Connect` succeeded: this peer is part of the swarm (a client: attached to it).
    Connected {
        /// Of which operation.
        operation: Operation,
        /// The entry point that answered.
        peer: SignedRecord,
    },
    /// `Connect` failed.
    ConnectFailed {
        /// Of which operation.
        operation: Operation,
        /// Why.
        error: ConnectError,
    },
    /// `Send` succeeded.
    Sent {
        /// Of which operation.
        operation: Operation,
        /// What is known of it.
        receipt: Receipt,
    },
    /// `Send` failed.
    SendFailed {
        /// Of which operation.
        operation: Operation,
        /// Why.
        error: SendError,
    },
    /// The first tasks of a broadcast were acknowledged, or given up after every alternative was tried.
    BroadcastSent {
        /// Of which operation.
        operation: Operation,
        /// The message.
        message: MessageId,
        /// How many delegates took a share.
        delegates: usize,
    },
    /// `Broadcast` failed; nothing was sent.
    BroadcastFailed {
        /// Of which operation.
        operation: Operation,
        /// Why.
        error: SendError,
    },
    /// A lookup ended.
    LookedUp {
        /// Of which operation.
        operation: Operation,
        /// The member(s) responsible, the owner first.
        result: Result<Lookup, LookupError>,
    },
    /// A message was not delivered to the application because its queue was full.
    Lagged {
        /// How many since the last time.
        dropped: u64,
    },
    /// Something from the network was refused.
    Refused {
        /// Who sent it, if known.
        from: Option<Hash>,
        /// Why.
        reason: Refusal,
    },
    /// Another key than before was met at a peer's address: it has started anew without its identity, or somebody else is there now.
    KeyChanged {
        /// Which peer.
        peer: Hash,
        /// The key that was met before.
        before: PublicKey,
        /// The key that it has now.
        now: PublicKey,
    },
    /// The node has left.
    Left {
        /// Of which operation.
        operation: Operation,
    },
}

/// A message for the application.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// Its number.
    pub message: MessageId,
    /// Who made it.
    pub origin: Origin,
    /// What it says.
    pub payload: Bytes,
    /// How well the key is known that proves it.
    pub level: KeyLevel,
    /// Whether it was for everybody.
    pub broadcast: bool,
    /// How many links it travelled, as its relays say; 0 on the peer that made it.
    pub hops: usize,
    /// Of a unicast: the relays that it visited, as they themselves say.
    pub path: Vec<Hash>,
}

/// What a lookup found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lookup {
    /// The members responsible for the key, the confirmed owner first.
    pub responsible: Vec<SignedRecord>,
    /// The peer with exactly this id (a member or an attached client), if there is one.
    pub exact: Option<SignedRecord>,
    /// How many peers were asked.
    pub asked: usize,
}

/// What is known of a message that was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Receipt {
    /// The message.
    pub message: MessageId,
    /// Whether the target accepted it.
    pub acked: bool,
    /// What happened to each copy, in the order of the copies.
    pub paths: Vec<PathReport>,
    /// From sending to the first receipt.
    pub round_trip: Option<Duration>,
    /// How well the key is known that proves the receipt; `None` without one.
    pub level: Option<KeyLevel>,
}

impl Receipt {
    /// How many links the first acknowledged copy travelled, the last one included.
    #[must_use]
    pub fn hops(&self) -> Option<usize> {
        let first = self.paths.iter().find(|path| path.outcome == HopOutcome::Acked)?;
        Some(first.relays.len() + 1)
    }
}

/// What happened to one copy.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PathReport {
    /// The peer that it was handed to first.
    pub first_hop: Hash,
    /// The relays that it visited, the first hop included unless that is the target, as they themselves say.
    pub relays: Vec<Hash>,
    /// How it ended.
    pub outcome: HopOutcome,
}

/// How a copy ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HopOutcome {
    /// The target accepted it.
    Acked,
    /// It was refused.
    Refused(Refusal),
    /// Nothing is known (yet).
    Pending,
}

/// Why a join failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The address is this peer's own.
    #[error("{0} is this peer itself; join the address of another member")]
    SelfJoin(Address),
    /// Nobody answered in time.
    #[error("nobody answered at {} within {within:?}", .addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))]
    TimedOut {
        /// Where.
        addresses: Vec<Address>,
        /// The timeout.
        within: Duration,
    },
    /// Something answered that is no Cicada peer.
    #[error("what answers at {0} is not a Cicada peer")]
    NotAPeer(Address),
    /// The peer refused us, or we it.
    #[error("{address} cannot be joined: {reason}")]
    Refused {
        /// Who.
        address: Address,
        /// Why.
        reason: Refusal,
    },
    /// An entry point answered, but no place in its swarm was found in time.
    #[error("{address} answers, but within {within:?} no place in its swarm was found")]
    NoPlace {
        /// Who answered.
        address: Address,
        /// The timeout.
        within: Duration,
    },
    /// The peer is leaving.
    #[error("this peer is closing")]
    Closing,
}

/// Why a message was not sent, or not acknowledged.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// Longer than the limit; nothing was sent.
    #[error("the message has {length} bytes, the limit is {limit}")]
    TooLarge {
        /// Its length.
        length: usize,
        /// The limit.
        limit: usize,
    },
    /// Not connected to anybody, or nobody nearer to the target is known; nothing arrived.
    #[error("no route to {target}")]
    NoRoute {
        /// To whom.
        target: Hash,
    },
    /// The responsible member says that nobody has this id.
    #[error("the swarm has no peer {target}")]
    NoSuchPeer {
        /// Whom.
        target: Hash,
    },
    /// The target's application does not keep up.
    #[error("the peer {target} is busy: its application takes no more messages")]
    Busy {
        /// Whom.
        target: Hash,
    },
    /// Not acknowledged in time; it may have arrived nevertheless.
    #[error("no acknowledgement from {target} within {within:?}")]
    TimedOut {
        /// From whom.
        target: Hash,
        /// The timeout.
        within: Duration,
        /// What is known.
        receipt: Receipt,
    },
    /// A direct link was asked for and cannot be made.
    #[error("no direct link to {target} can be made")]
    NoLink {
        /// To whom.
        target: Hash,
    },
    /// The target refused the message.
    #[error("{target} refused the message: {reason}")]
    Refused {
        /// Which target.
        target: Hash,
        /// Why.
        reason: Refusal,
    },
    /// A broadcast excludes more peers than its header holds; nothing was sent.
    #[error("{excluded} peers are excluded, the limit is {limit}")]
    TooManyExcluded {
        /// How many.
        excluded: usize,
        /// The limit.
        limit: usize,
    },
    /// Too many messages of ours are on their way; try again later.
    #[error("too many messages on their way")]
    Full,
    /// The peer is leaving.
    #[error("this peer is closing")]
    Closing,
}

/// Why a lookup failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LookupError {
    /// Nobody to ask.
    #[error("not connected to a swarm")]
    Alone,
    /// No owner confirmed in time.
    #[error("the lookup found no peer that confirms being responsible")]
    Unconfirmed,
    /// Too many lookups are under way; try again later.
    #[error("too many lookups under way")]
    Full,
    /// The peer is leaving.
    #[error("this peer is closing")]
    Closing,
}

/// A member for people to look at.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TableEntry {
    /// Who.
    pub record: SignedRecord,
    /// Its cell: finger index on the ring, bucket index on the tree.
    pub cell: u32,
    /// What it is to us.
    pub place: Place,
    /// Whether a link to it stands.
    pub linked: bool,
}

/// What a member is to us.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// The ring's predecessor.
    Predecessor,
    /// The n-th successor, from 0.
    Successor(usize),
    /// An anchor beyond a run of one subnet.
    Anchor,
    /// A finger.
    Finger,
    /// A contact of a bucket.
    Bucket,
    /// Held for another reason.
    Other,
}

/// What a peer's tables look like.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Table {
    /// Members, in the order of their cells.
    pub entries: Vec<TableEntry>,
    /// Clients and leaves attached here.
    pub attached: Vec<(SignedRecord, Role)>,
}
