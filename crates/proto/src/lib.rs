//! The machines of a Cicada peer: what should happen next, and nothing of where bytes and time come from.
//!
//! [`Node`] is the whole peer as one machine: it is given an [`Input`] and the time, and puts what follows from it into an
//! [`Outbox`]: transmissions, events and jobs. There is no fourth way out. It knows no clock, socket, thread, lock or global
//! randomness, so the same seed and the same inputs give the same outputs, byte for byte.
//!
//! Read in this order: [`Geometry`] (the one idea), [`Node`], then the machines it is composed of: the overlay with its
//! maintenance, lookups, routing, broadcast.

pub mod config;
pub mod event;
pub mod fec;
pub mod gate;
pub mod geometry;
pub mod input;
pub mod kadcast;
pub mod known;
pub mod links;
pub mod lists;
pub mod node;
pub mod outbox;
pub mod overlay;
pub mod peer;
pub mod time;

mod attach;
mod body;
mod broadcast;
mod bucket;
mod budget;
mod context;
mod deliver;
mod drains;
mod join;
mod linkage;
mod liveness;
mod lookup;
mod notary;
mod order;
mod pace;
mod prover;
mod questions;
mod rate;
mod refusals;
mod route;
mod scope;
mod seen;
mod sessions;
mod step;
mod timed;
mod trusted;
mod unhurried;

pub use body::{Body, BodyId, LONG_BYTES, StreamId};
pub use config::{Config, ConfigError, KeyLevel, Security};
pub use event::{ConnectError, Delivery, Event, HopOutcome, LookupError, PathReport, Receipt, SendError};
pub use geometry::Geometry;
pub use input::{Ack, Command, DialError, Input, JobResult, LinkUp, Operation, Route, SendOptions};
pub use links::{DialId, LinkId};
pub use node::Node;
pub use outbox::{Job, JobId, Outbox, Transmit};
pub use peer::{Me, Proven};
pub use refusals::Refusals;
pub use route::RELAYED_BYTES;
pub use time::{Instant, Wake};
pub use trusted::Keyring;
