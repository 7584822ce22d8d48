//! A world of virtual time around the machines of `cicada-proto`: latency, loss, crashes, partitions, traces, invariants.
//!
//! [`World`] owns peers, each a [`cicada_proto::Node`], and moves what they put into their outboxes. It has no clock, no
//! socket and next to no cryptography: proofs of an address are tokens of the key that would have signed them, a secret is
//! compared instead of proven. Everything follows from its seed, so the same seed gives the same trace, byte for byte.
//!
//! ```
//! use cicada_sim::{World, WorldConfig};
//!
//! let mut world = World::new(WorldConfig { seed: 7, ..WorldConfig::default() });
//! let peers = world.add_peers(2);
//! world.run_for(std::time::Duration::from_secs(1));
//! assert_eq!(world.live().collect::<Vec<_>>(), peers);
//! ```
//!
//! Read in this order: [`World`] (time and what happens in it), [`Network`] (what is bad about it), `transport` (links as
//! QUIC gives them), `wishes` (what tests ask peers to do), `oracle` (what is true, seen from above), [`Trace`].

mod cost;
mod network;
mod oracle;
mod peer;
pub mod play;
mod queue;
mod trace;
mod transport;
mod wishes;
mod world;

pub use cost::{Cost, Kind, Tally};
pub use network::{Latency, Network, Packet, Passing, Verdict};
pub use peer::{PeerIndex, PeerOptions, Swarm};
pub use trace::{TRACE_VERSION, Trace, TraceLevel};
pub use world::{World, WorldConfig};
