//! Forward error correction: objects as symbols of RFC 6330 (RaptorQ), and back.
//!
//! The codec itself is the `raptorq` crate, which panics on impossible input and allocates what is claimed. So nothing reaches it that
//! [`cicada_wire::kadcast::Coding::layout`] has not found possible, and it is never given more than the symbols that are there.
//! Its work is a [`Task`], done wherever there is CPU time for it.

mod assembly;
mod codec;
mod task;

pub(crate) use assembly::{Assembly, Brought, Readiness, Selection};
pub use codec::coding_of;
pub(crate) use codec::{LEAST_SYMBOL_BYTES, source_symbol, source_symbols};
pub use task::{Decoded, Encoded, Outcome, Task};
