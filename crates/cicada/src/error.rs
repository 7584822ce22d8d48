//! What can go wrong for a caller: one type per operation, with texts for people.

use crate::{node::RemoteNode, trusted::KeyFileError};
use cicada_wire::{Address, Hash, Refusal};
use std::{io, net::SocketAddr, time::Duration};

/// A name or an address that cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ResolveError {
    /// Not `host:port`.
    #[error("{text:?} is not an address: expected host:port, an IPv6 address in brackets")]
    Text {
        /// What was given.
        text: String,
    },
    /// The name is known to nobody, or nobody could be asked.
    #[error("the host {host:?} cannot be resolved: {source}")]
    Host {
        /// The name.
        host: String,
        /// What the system says.
        source: io::Error,
    },
    /// The name has no address that a peer can have.
    #[error("{host:?} has no address that a peer can have")]
    NoAddress {
        /// The name.
        host: String,
    },
    /// A name where nothing may wait for its resolution.
    #[error("{host:?} would have to be resolved first; name an address or an id")]
    WouldWait {
        /// The name.
        host: String,
    },
}

/// Why a peer was not made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BindError {
    /// The interface to bind is unknown.
    #[error(transparent)]
    Resolve(#[from] ResolveError),
    /// A port that is not allowed.
    #[error("port {port} is refused: 0 and 1025 to 65535 accepted, others refused")]
    Port {
        /// The port.
        port: u16,
    },
    /// Somebody else has the port.
    #[error("the address {address} is in use by another program")]
    InUse {
        /// The address with the port.
        address: SocketAddr,
    },
    /// The operating system does not give the address.
    #[error("cannot listen on {address}: {source}")]
    System {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// The address to announce cannot be announced.
    #[error("the address {address} cannot be announced: {reason}")]
    Announced {
        /// The address.
        address: SocketAddr,
        /// Why.
        reason: cicada_wire::AddressError,
    },
    /// A setting is out of bounds.
    #[error(transparent)]
    Config(#[from] cicada_proto::ConfigError),
    /// The trusted keys are of no use.
    #[error(transparent)]
    Keys(#[from] KeyFileError),
    /// The swarm's secret could be guessed.
    #[error(transparent)]
    Secret(#[from] cicada_wire::SecretTooShort),
    /// Settings that contradict each other.
    #[error("these settings contradict each other: {0}")]
    Contradiction(#[from] cicada_wire::RecordError),
    /// The state directory is of no use.
    #[error(transparent)]
    State(#[from] crate::state::StateError),
    /// The operating system gives no randomness.
    #[error("the operating system gives no randomness: {0}")]
    Randomness(#[source] io::Error),
}

/// Why a peer did not join.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The entry point cannot be resolved.
    #[error(transparent)]
    Resolve(#[from] ResolveError),
    /// No entry point was named.
    #[error("no entry point was named")]
    Nowhere,
    /// The entry point is this peer itself.
    #[error("{address} is this peer itself; join by the address of another member")]
    SelfJoin {
        /// The address.
        address: SocketAddr,
    },
    /// Nobody answered in time.
    #[error("nobody answered at {} within {within:?}", list(.addresses))]
    TimedOut {
        /// Where.
        addresses: Vec<Address>,
        /// The timeout.
        within: Duration,
    },
    /// Something answered that is no Cicada peer.
    #[error("what answers at {address} is not a Cicada peer")]
    NotAPeer {
        /// Where.
        address: Address,
    },
    /// One refused the other.
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
    /// This peer is closed.
    #[error("this peer is closed")]
    Closed,
}

fn list(addresses: &[Address]) -> String {
    addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// Why a message was not sent, or is not known to have arrived.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// The target cannot be resolved; nothing was sent.
    #[error(transparent)]
    Resolve(#[from] ResolveError),
    /// Longer than the limit; nothing was sent.
    #[error("the message has {length} bytes, the limit is {limit}")]
    TooLarge {
        /// Its length.
        length: usize,
        /// The limit.
        limit: usize,
    },
    /// More copies than allowed; nothing was sent.
    #[error("{duplicates} duplicates are too many, the limit is {limit}")]
    TooManyDuplicates {
        /// How many were asked for.
        duplicates: u8,
        /// The limit.
        limit: u8,
    },
    /// Not connected to anybody, or nobody nearer to the target is known; nothing arrived.
    #[error("no route to {target}")]
    NoRoute {
        /// To whom.
        target: Hash,
    },
    /// The swarm has no such peer; nothing arrived, unless it was handed the message and taken for dead before it answered.
    #[error("the swarm has no peer {target}")]
    NoSuchPeer {
        /// Whom.
        target: Hash,
    },
    /// The target's application takes no more messages; nothing arrived.
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
        receipt: Box<cicada_proto::Receipt>,
    },
    /// A direct link was asked for and cannot be made; nothing was sent.
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
    /// Too many messages are on their way; nothing was sent.
    #[error("too many messages on their way; try again later")]
    Full,
    /// This peer is closed.
    #[error("this peer is closed")]
    Closed,
}

impl SendError {
    /// Whether the message arrived nowhere, so that sending it again makes no second one. That is certain but for a peer that was
    /// taken for dead while it had the message, see [`SendError::NoSuchPeer`].
    #[must_use]
    pub fn never_arrived(&self) -> bool {
        match self {
            Self::TimedOut { .. } | Self::Closed => false,
            Self::Resolve(_)
            | Self::TooLarge { .. }
            | Self::TooManyDuplicates { .. }
            | Self::NoRoute { .. }
            | Self::NoSuchPeer { .. }
            | Self::Busy { .. }
            | Self::NoLink { .. }
            | Self::Refused { .. }
            | Self::Full => true,
        }
    }
}

impl From<cicada_proto::SendError> for SendError {
    fn from(error: cicada_proto::SendError) -> Self {
        use cicada_proto::SendError as Proto;
        match error {
            Proto::TooLarge { length, limit } => Self::TooLarge { length, limit },
            Proto::NoRoute { target } => Self::NoRoute { target },
            Proto::NoSuchPeer { target } => Self::NoSuchPeer { target },
            Proto::Busy { target } => Self::Busy { target },
            Proto::TimedOut { target, within, receipt } => Self::TimedOut { target, within, receipt: Box::new(receipt) },
            Proto::NoLink { target } => Self::NoLink { target },
            Proto::Refused { target, reason } => Self::Refused { target, reason },
            Proto::Full => Self::Full,
            Proto::Closing => Self::Closed,
            // The other crate may grow reasons; exclusions are a broadcast's.
            _ => Self::Full,
        }
    }
}

impl From<cicada_proto::ConnectError> for ConnectError {
    fn from(error: cicada_proto::ConnectError) -> Self {
        use cicada_proto::ConnectError as Proto;
        match error {
            Proto::SelfJoin(address) => Self::SelfJoin { address: address.socket() },
            Proto::TimedOut { addresses, within } => Self::TimedOut { addresses, within },
            Proto::NotAPeer(address) => Self::NotAPeer { address },
            Proto::Refused { address, reason } => Self::Refused { address, reason },
            Proto::NoPlace { address, within } => Self::NoPlace { address, within },
            Proto::Closing => Self::Closed,
            // The other crate may grow reasons.
            _ => Self::Closed,
        }
    }
}

/// Why a broadcast was not sent.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BroadcastError {
    /// Longer than the limit.
    #[error("the message has {length} bytes, the limit is {limit}")]
    TooLarge {
        /// Its length.
        length: usize,
        /// The limit.
        limit: usize,
    },
    /// More exclusions than the limit.
    #[error("{excluded} exclusions are too many, the limit is {limit}")]
    TooManyExclusions {
        /// How many.
        excluded: usize,
        /// The limit.
        limit: usize,
    },
    /// Too many messages of ours are on their way; try again later.
    #[error("too many messages on their way")]
    Full,
    /// This peer is closed.
    #[error("this peer is closed")]
    Closed,
}

impl From<cicada_proto::SendError> for BroadcastError {
    fn from(error: cicada_proto::SendError) -> Self {
        match error {
            cicada_proto::SendError::TooLarge { length, limit } => Self::TooLarge { length, limit },
            cicada_proto::SendError::TooManyExcluded { excluded, limit } => Self::TooManyExclusions { excluded, limit },
            cicada_proto::SendError::Closing => Self::Closed,
            // What else a node may say concerns unicasts only.
            _ => Self::Full,
        }
    }
}

/// Why a lookup failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LookupError {
    /// Nobody to ask.
    #[error("not connected to a swarm")]
    Alone,
    /// No owner confirmed in time.
    #[error("the lookup found no peer that confirms being responsible")]
    Unconfirmed,
    /// Too many lookups are under way.
    #[error("too many lookups are under way; try again later")]
    Full,
    /// This peer is closed.
    #[error("this peer is closed")]
    Closed,
}

impl From<cicada_proto::LookupError> for LookupError {
    fn from(error: cicada_proto::LookupError) -> Self {
        use cicada_proto::LookupError as Proto;
        match error {
            Proto::Alone => Self::Alone,
            Proto::Unconfirmed => Self::Unconfirmed,
            Proto::Full => Self::Full,
            Proto::Closing => Self::Closed,
            // The other crate may grow reasons.
            _ => Self::Unconfirmed,
        }
    }
}

/// Why a bare node's payload was not handed over.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HandOverError {
    /// Longer than the limit.
    #[error("the payload has {length} bytes, the limit is {limit}")]
    TooLarge {
        /// Its length.
        length: usize,
        /// The limit.
        limit: usize,
    },
    /// No link to that peer.
    #[error("{peer} is no neighbour: there is no link to it")]
    NoNeighbour {
        /// Which peer.
        peer: RemoteNode,
    },
    /// This node is closed.
    #[error("this node is closed")]
    Closed,
}

/// The peer is closed: nothing more comes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("this peer is closed")]
pub struct Closed;
