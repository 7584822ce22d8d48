//! A world of virtual time around the machines of `cicada-proto`: latency, loss, faults, churn, adversaries, traces, invariants.
//!
//! [`World`] owns peers, each a [`cicada_proto::Node`], and moves what they put into their outboxes. It has no clock, no
//! socket and next to no cryptography: proofs of an address are tokens of the key that would have signed them, a secret is
//! compared instead of proven. Everything follows from its seed, so the same seed gives the same trace, byte for byte.
//! `docs/simulation.md` says what it models and what not.
//!
//! ```
//! use cicada_sim::{Adversary, ChurnPlan, Latency, Matrix, Network, World, WorldConfig};
//! use std::time::Duration;
//!
//! let latency = Latency::Matrix(Matrix::load("wonder222")?.into());
//! let network = Network { latency, lost_per_million: 10_000, ..Network::default() };
//! let mut world = World::new(WorldConfig { seed: 7, network, ..WorldConfig::default() });
//! let peers = world.add_peers(8);
//! assert!(world.join_all(&peers, 100).failed.is_empty());
//! world.settle(&peers, Duration::from_secs(60))?;
//! assert_eq!(world.right_lookups(&peers, 10, Duration::from_secs(10)), 10);
//!
//! world.set_adversary(peers[3], &[Adversary::Drop]);
//! world.start_churn(&peers[4..], ChurnPlan::default())?;
//! world.run_for(Duration::from_secs(60));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Read in this order: [`World`] (time and what happens in it), `shell` (what a peer's shell does here), [`Network`] and `passage` (how a
//! packet gets across), `transport` (links as QUIC gives them), `faults`, [`ChurnPlan`] and [`Adversary`] (what befalls peers, and
//! what they do wrong), `wishes` and [`Assembly`] (what tests ask peers to do), `oracle` (what is true, seen from above), [`zave`] (what must
//! be true of a ring at any time), [`Trace`], and [`experiment`] (all of it in one plan).

mod adversary;
mod assembly;
mod churn;
mod cost;
mod distribution;
pub mod experiment;
mod faults;
pub mod kadcast;
mod links;
mod matrix;
mod network;
mod oracle;
mod passage;
mod peer;
pub mod play;
mod queue;
mod rules;
mod shell;
mod trace;
mod transport;
mod truth;
mod wishes;
mod world;
pub mod zave;

pub use adversary::Adversary;
pub use assembly::Assembly;
pub use churn::{ChurnCounts, ChurnPlan};
pub use cost::{Cost, Kind, Tally};
pub use distribution::Distribution;
pub use faults::Memory;
pub use matrix::{Matrix, MatrixError};
pub use network::{Bursts, Latency, Line, Network, Reordering};
pub use peer::{PeerIndex, PeerOptions, Swarm};
pub use queue::Ties;
pub use rules::{Packet, Passing, Verdict};
pub use trace::{TRACE_VERSION, Trace, TraceLevel};
pub use world::{World, WorldConfig};

pub use cicada_wire::OverlayKind;
