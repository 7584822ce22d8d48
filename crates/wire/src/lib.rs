//! The bytes of a Cicada swarm and their meaning.
//!
//! Everything that two peers say to each other is defined here: ids, addresses, records, the hello of a link, the
//! frames on it, the datagrams beside it. A byte string becomes a value once, at the edge, by a `parse` that never
//! panics and is bounded by the limits written beside each type; `parse(encode(m)) == m` holds for every message.
//!
//! This crate knows no clock, socket, lock or randomness. What should happen next is the business of `cicada-proto`.
//!
//! The dialect of the published Kadcast network is a world of its own, in [`kadcast`].
//!
//! Read first: [`Hash`](struct@Hash) (the circle), [`Record`] (who is who), [`Frame`] and [`Datagram`] (what is said).

mod address;
mod codec;
mod datagram;
mod frame;
mod hash;
mod header;
mod hello;
mod identity;
pub mod kadcast;
mod known;
mod pair;
mod pieces;
mod prefix;
mod record;
mod refusal;
mod session;
mod statement;
mod swarm;
mod uint;

pub use address::{Address, AddressError};
pub use codec::ParseError;
pub use datagram::{Answer, BriefAnswer, Challenge, Datagram, MAX_DATAGRAM_BYTES, Padding};
pub use frame::{
    Attachment, Churn, Digest, Find, Found, Frame, Goodbye, HopVerdict, Introduction, MAX_DIGEST, MAX_LOST, MAX_NEIGHBOURS, MAX_RECORDS,
    Neighbours, Pull, Query, Reply, Task, TaskVerdict, Ticket, Unify,
};
pub use hash::{Hash, HashError, Offset, Reach};
pub use header::{Header, Kind, MAX_EXCLUDED, MAX_HEADER_BYTES, MAX_HOPS, MAX_SOURCE_ROUTE, Mutable, Origin, ShortId, Status};
pub use hello::{HELLO_VERSION, Hello, HelloReply, OverlayKind, Purpose};
pub use identity::{Identity, PublicKey, Signature};
pub use known::{MAX_KNOWN, RecordName, RecordNames};
pub use pair::PairKeys;
pub use pieces::{PIECE_BYTES, PieceDigests};
pub use prefix::{IdPrefix, IdPrefixes};
pub use record::{Capabilities, IdKind, MAX_ADDRESSES, PeerId, Record, RecordError, Role, SignedRecord, UnixTime};
pub use refusal::Refusal;
pub use session::{Credential, Opening, SealingKey, SealingSecret, Session, SessionId, Share, Terms};
pub use statement::{Authentication, Immutable, MessageId, PayloadDigest, Statement, StatementHash};
pub use swarm::{DATAGRAM_TAG, DatagramKey, LinkSide, MIN_SECRET_BYTES, SecretTooShort, SwarmKeys};
pub use uint::U256;
