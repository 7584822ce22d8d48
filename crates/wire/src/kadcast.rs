//! The dialect of Kadcast, byte for byte as the published `kadcast` crate 0.8 speaks it over UDP.
//!
//! One message per datagram: a [`Header`] of 26 bytes that says who sends, then a [`Body`]. Integers are little-endian, but for the
//! pieces of RFC 6330 in a [`Chunk`]. [`Message::parse`] turns bytes into meaning; whether the header belongs to the address that the
//! datagram came from is a second question, [`Header::check`], because its answer can be remembered.
//!
//! Two things are ours, and harmless to others, which ignore the one and drop the other: the [`Mark`] in the header's reserved bytes,
//! by which peers of ours know each other, and the [`Pull`] of missing symbols, which is sent to marked peers only.

mod chunk;
mod identity;
mod message;
mod nodes;
mod pull;
mod version;

pub use chunk::{Chunk, Coding, Layout, MAX_OBJECT_BYTES, MAX_SYMBOL_BYTES, RayId, SYMBOL_ALIGNMENT, Symbol, SymbolId};
pub use identity::{BUCKETS, Id, MINED_BITS, Nonce, REQUIRED_BITS};
pub use message::{Body, CHUNK_OVERHEAD_BYTES, HEADER_BYTES, Header, MAX_UDP_BYTES, Mark, Message, Unsayable};
pub use nodes::Entry;
pub use pull::{MAX_PULL_BYTES, Pull};
pub use version::{Requirement, Version, VersionError};
