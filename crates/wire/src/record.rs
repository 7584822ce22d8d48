//! Records: what a peer says of itself, signed, and what peers hand around.

use crate::{
    address::Address,
    codec::{ParseError, at_most, decode_all, encode, numbered},
    hash::Hash,
    identity::{Identity, PublicKey, Signature},
    known::RecordName,
};
use minicbor::{
    CborLen, Decode, Decoder, Encode, Encoder,
    decode::Error as DecodeError,
    encode::{Error as EncodeError, Write},
};
use std::{fmt, sync::Arc};

/// The most addresses in a record; the first is the announced one.
pub const MAX_ADDRESSES: usize = 4; // guess: v4, v6 and two spare

/// Separates record signatures from every other signature of the same key.
const SIGNATURE_CONTEXT: &[u8] = b"cicada record v1\0";

/// Wall time in milliseconds since 1970-01-01 UTC.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default, Encode, Decode, CborLen)]
#[cbor(transparent)]
pub struct UnixTime(#[n(0)] pub u64);

/// How an id is proven.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum IdKind {
    /// By answering from the announced address whose text it is the hash of.
    Address,
    /// By the key that it is the hash of.
    Key,
    /// Not at all: the hash of anything the owner likes. Only in overlays of bare nodes.
    Data,
}
numbered!(IdKind { Address = 0, Key = 1, Data = 2 });

/// An id with how it is proven.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerId {
    /// How the id is proven.
    pub kind: IdKind,
    /// Where it stands on the circle.
    pub hash: Hash,
}

impl fmt::Debug for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.hash.fmt(f)
    }
}

/// What a peer does in the swarm.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Role {
    /// Reachable; stands in tables and routes for others.
    Member,
    /// Short-lived or unwilling to serve; never in tables, attached to members.
    Client,
    /// Behind a NAT that nothing opens; otherwise like a client.
    Leaf,
}
numbered!(Role { Member = 0, Client = 1, Leaf = 2 });

/// What a peer can do beyond the first version, one bit each. Unknown bits are kept and ignored.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Encode, Decode, CborLen)]
#[cbor(transparent)]
pub struct Capabilities(#[n(0)] pub u64);

impl Capabilities {
    /// It reaches members of both address families, whichever its announced address is of.
    pub const BOTH_FAMILIES: Self = Self(1);

    /// Whether all bits of `other` are set.
    #[must_use]
    pub fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

/// What a peer says of itself.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, CborLen)]
pub struct Record {
    /// The peer's key.
    #[n(0)]
    pub key: PublicKey,
    /// How its id is proven.
    #[n(1)]
    pub kind: IdKind,
    /// What it does in the swarm.
    #[n(2)]
    pub role: Role,
    /// Where it can be reached, the announced address first; at most [`MAX_ADDRESSES`].
    #[n(3)]
    pub addresses: Vec<Address>,
    /// What it can do.
    #[n(4)]
    pub capabilities: Capabilities,
    /// A record of the same key with a higher sequence replaces this one.
    #[n(5)]
    pub sequence: u64,
    /// From then on the record is worth nothing.
    #[n(6)]
    pub expires: UnixTime,
    /// The id, for [`IdKind::Data`] only.
    #[n(7)]
    pub data: Option<Hash>,
}

impl Record {
    /// The one address that the peer says it has. `None` for clients and leaves.
    #[must_use]
    pub fn announced(&self) -> Option<Address> {
        self.addresses.first().copied()
    }

    /// Checks what must agree inside a record and computes its id.
    fn checked_id(&self) -> Result<PeerId, RecordError> {
        if self.addresses.len() > MAX_ADDRESSES {
            return Err(RecordError::TooManyAddresses);
        }
        if self.data.is_some() != (self.kind == IdKind::Data) {
            return Err(RecordError::Data);
        }
        if self.role == Role::Member && self.addresses.is_empty() {
            return Err(RecordError::NoAddress);
        }
        let hash = match (self.kind, self.role, self.announced(), self.data) {
            (IdKind::Address, Role::Member, Some(address), _) => address.id(),
            (IdKind::Data, _, _, Some(data)) => data,
            (IdKind::Key, ..) => self.key.id(),
            (IdKind::Address | IdKind::Data, ..) => return Err(RecordError::KindOfRole),
        };
        Ok(PeerId { kind: self.kind, hash })
    }
}

/// A record with its signature. Cloning shares it.
///
/// Parsing checks its shape and bounds; whether the signature holds is asked with [`SignedRecord::verify`], since that costs 50 us.
#[derive(Clone)]
pub struct SignedRecord(Arc<Inner>);

/// What is asked of it most stands at its beginning, where its counts are.
#[repr(C)]
struct Inner {
    id: PeerId,
    name: RecordName,
    record: Record,
    bytes: Vec<u8>,
    signature: Signature,
}

impl SignedRecord {
    /// Signs `record`.
    ///
    /// # Errors
    /// When the record contradicts itself.
    pub fn sign(record: Record, identity: &Identity) -> Result<Self, RecordError> {
        let signature = identity.sign(&Self::signed_message(&encode(&record)));
        Self::assemble(record, signature)
    }

    /// Puts a record together with a signature made elsewhere; it may not hold.
    ///
    /// # Errors
    /// When the record contradicts itself.
    pub fn assemble(record: Record, signature: Signature) -> Result<Self, RecordError> {
        let id = record.checked_id()?;
        let bytes = encode(&record);
        Ok(Self::of(record, bytes, signature, id))
    }

    fn of(record: Record, bytes: Vec<u8>, signature: Signature, id: PeerId) -> Self {
        let name = RecordName::of(&bytes, &signature.0);
        Self(Arc::new(Inner { record, bytes, signature, id, name }))
    }

    /// Reads a signed record that stands alone, as in a state file.
    ///
    /// # Errors
    /// When the bytes are no record.
    pub fn parse(bytes: &[u8]) -> Result<Self, ParseError> {
        decode_all(bytes)
    }

    /// The bytes that [`Self::parse`] reads.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        encode(self)
    }

    fn signed_message(bytes: &[u8]) -> Vec<u8> {
        [SIGNATURE_CONTEXT, bytes].concat()
    }

    /// What the peer says of itself.
    #[must_use]
    pub fn record(&self) -> &Record {
        &self.0.record
    }

    /// The record's bytes as they were signed, without the signature.
    #[must_use]
    pub fn signed_bytes(&self) -> &[u8] {
        &self.0.bytes
    }

    /// The id with its kind.
    #[must_use]
    pub fn peer_id(&self) -> PeerId {
        self.0.id
    }

    /// Where the peer stands on the circle.
    #[must_use]
    pub fn id(&self) -> Hash {
        self.0.id.hash
    }

    /// What it is called between two that both have it.
    #[must_use]
    pub fn name(&self) -> RecordName {
        self.0.name
    }

    /// The peer's key.
    #[must_use]
    pub fn key(&self) -> PublicKey {
        self.0.record.key
    }

    /// The one address that the peer says it has.
    #[must_use]
    pub fn announced(&self) -> Option<Address> {
        self.0.record.announced()
    }

    /// Whether the signature is the key's.
    #[must_use]
    pub fn verify(&self) -> bool {
        self.0.record.key.verify(&Self::signed_message(&self.0.bytes), &self.0.signature)
    }

    /// Whether the record is still worth something at `now`.
    #[must_use]
    pub fn is_current(&self, now: UnixTime) -> bool {
        now < self.0.record.expires
    }
}

impl PartialEq for SignedRecord {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || (self.0.bytes == other.0.bytes && self.0.signature == other.0.signature)
    }
}

impl Eq for SignedRecord {}

impl fmt::Debug for SignedRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.announced() {
            Some(address) => write!(f, "{:?}@{address}", self.id()),
            None => write!(f, "{:?}", self.id()),
        }
    }
}

impl<C> Encode<C> for SignedRecord {
    fn encode<W: Write>(&self, e: &mut Encoder<W>, context: &mut C) -> Result<(), EncodeError<W::Error>> {
        e.array(2)?.bytes(&self.0.bytes)?;
        self.0.signature.encode(e, context)
    }
}

impl<'b, C> Decode<'b, C> for SignedRecord {
    fn decode(d: &mut Decoder<'b>, context: &mut C) -> Result<Self, DecodeError> {
        if d.array()? != Some(2) {
            return Err(DecodeError::message("expected a record and its signature"));
        }
        let bytes = d.bytes()?;
        let record: Record = decode_all(bytes).map_err(|_| DecodeError::message("not a record"))?;
        at_most(&record.addresses, MAX_ADDRESSES, "too many addresses in a record")?;
        let id = record.checked_id().map_err(|_| DecodeError::message("a record that contradicts itself"))?;
        let signature = Signature::decode(d, context)?;
        // The bytes are kept as they came: a field of a later version stays under its signature.
        Ok(Self::of(record, bytes.to_vec(), signature, id))
    }
}

impl<C> CborLen<C> for SignedRecord {
    fn cbor_len(&self, context: &mut C) -> usize {
        1 + self.0.bytes.len().cbor_len(context) + self.0.bytes.len() + self.0.signature.cbor_len(context)
    }
}

/// Why a record contradicts itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// More than [`MAX_ADDRESSES`].
    #[error("a record holds at most {MAX_ADDRESSES} addresses")]
    TooManyAddresses,
    /// A member without an address.
    #[error("a member announces an address")]
    NoAddress,
    /// Only members have address ids.
    #[error("this kind of id does not go with this role")]
    KindOfRole,
    /// A data id without its kind, or the reverse.
    #[error("a data id needs its kind, and its kind needs it")]
    Data,
}
