//! Cicada: peers that form a swarm with no server, and send each other messages.
//!
//! ```
//! use cicada::SwarmPeer;
//!
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let first = SwarmPeer::bind(("127.0.0.1", 0)).await?;
//! let second = SwarmPeer::bind(("127.0.0.1", 0)).await?;
//! second.connect(first.listener()).await?;
//!
//! let receipt = second.send(first.listener(), "hello!").await?;
//! assert!(receipt.acked);
//!
//! let message = first.recv().await?;
//! assert_eq!(message.data, "hello!");
//! assert_eq!(message.source.address(), Some(second.listener()));
//!
//! second.close().await;
//! first.close().await;
//! # Ok(())
//! # }
//! ```
//!
//! Read first: [`SwarmPeer`] (the peer), [`Builder`] (its settings), [`Target`] (whom a message is for). What should happen
//! next is decided in `cicada-proto`; here are the clock, the socket and the links.

mod bind;
mod body;
mod builder;
mod driver;
mod entrance;
mod error;
mod hello;
mod hook_thread;
mod hooks;
mod identity_file;
pub mod kadcast;
mod keys;
mod known_peers;
mod link;
mod local_node;
mod messages;
mod metrics;
mod network;
mod node;
mod options;
mod oversight;
mod peer;
mod quinn_tasks;
mod random;
mod socket;
mod start;
mod state;
mod target;
mod tls;
mod trusted;
mod wish;

pub use builder::Builder;
pub use error::{BindError, BroadcastError, Closed, ConnectError, HandOverError, LookupError, ResolveError, SendError};
pub use hooks::Hooks;
pub use identity_file::{IdentityFile, IdentityFileError};
pub use known_peers::{KnownPeer, KnownPeers, KnownPeersError, WrongLine};
pub use local_node::{LocalNode, LocalNodeOptions};
pub use messages::Messages;
pub use metrics::{BroadcastCounts, Levels, Metrics, MetricsServer, PeerTraffic, Traffic};
pub use node::{Broadcast, Lookup, Message, RemoteNode};
pub use options::{BroadcastOptions, ConnectOptions, SendOptions};
pub use peer::SwarmPeer;
pub use state::StateError;
pub use target::{HostPort, Target};
pub use trusted::{KeyFileError, KeyWarning, TrustedAddress, TrustedKeys, TrustedPeer, TrustedWhom};

#[doc(hidden)]
pub use cicada_proto::config::Faults;
pub use cicada_proto::{
    Ack, Event, HopOutcome, KeyLevel, PathReport, Receipt, Refusals, Route, Security,
    config::{Bound, ConfigError, Limits, Rate, Upkeep},
    event::{Place, Table, TableEntry},
    lists::{Ban, Subnet, Who, WhoError},
};
pub use cicada_wire::{
    Address, AddressError, Hash, HashError, IdKind, Identity, MAX_EXCLUDED, MIN_SECRET_BYTES, MessageId, OverlayKind, PairKeys, PublicKey,
    Refusal, Role, SecretTooShort, SignedRecord,
};

/// The examples of the README are compiled with those of this crate.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;
