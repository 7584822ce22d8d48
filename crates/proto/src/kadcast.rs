//! A peer of the Kadcast network as one machine: discovery, liveness and broadcast in the dialect of [`cicada_wire::kadcast`].
//!
//! [`Machine::handle`] takes an [`Input`] and the time, and puts what follows into an [`Outbox`]; [`Machine::next_timeout`] says when to
//! come back. It knows no clock, no socket and no thread, like the node of a Cicada swarm; the same seed and the same inputs give the
//! same outputs. What it shares with that node and what not is told in decision 16.
//!
//! Read first: [`Settings`], [`Input`] and [`Outbox`], then `machine`, `discovery` (who is there), `objects` (messages), `spread` (to whom).

mod api;
mod arriving;
mod context;
mod discovery;
mod gate;
mod lookup;
mod machine;
mod objects;
mod origin;
mod repair;
mod settings;
mod spread;
mod table;

pub use api::{Blocked, Contact, Event, Figures, Identity, Input, Job, JobId, Outbox, Removal, Run, SendError, Transmit};
pub use machine::Machine;
pub use settings::{Limits, Redundancy, Settings, SettingsError};
