//! The beginnings of ids, where a whole id would say no more.

use crate::{
    codec::{as_bytes, side_by_side},
    hash::Hash,
};
use minicbor::{
    CborLen, Decode, Decoder, Encode, Encoder,
    decode::Error as DecodeError,
    encode::{Error as EncodeError, Write},
};
use std::fmt;

/// The first 8 bytes of a member's id: where on the circle it stands, for those who know it or can ask for its record.
///
/// Of a million members two begin alike once in thirty million swarms. Whoever wants to be taken for another makes 2^64
/// ids for it, and stands next to it then, where he can do no more than any neighbour.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IdPrefix(pub [u8; IdPrefix::BYTES]);
as_bytes!(IdPrefix, 8, |prefix| prefix.0, |bytes| IdPrefix(bytes));

impl IdPrefix {
    /// How many bytes of an id are told.
    pub const BYTES: usize = 8;

    /// How this id begins.
    #[must_use]
    pub fn of(id: Hash) -> Self {
        let mut prefix = [0; Self::BYTES];
        prefix.copy_from_slice(&id.to_bytes()[..Self::BYTES]);
        Self(prefix)
    }

    /// The first of the ids that begin so.
    #[must_use]
    pub fn first(self) -> Hash {
        let mut bytes = [0; 32];
        bytes[..Self::BYTES].copy_from_slice(&self.0);
        Hash::from_bytes(bytes)
    }
}

impl fmt::Debug for IdPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
        f.write_str("..")
    }
}

/// Some of them, written side by side.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct IdPrefixes(pub Vec<IdPrefix>);

impl IdPrefixes {
    /// How these ids begin.
    #[must_use]
    pub fn of(ids: impl IntoIterator<Item = Hash>) -> Self {
        Self(ids.into_iter().map(IdPrefix::of).collect())
    }

    /// Whether one of them begins this id.
    #[must_use]
    pub fn contains(&self, id: Hash) -> bool {
        self.0.contains(&IdPrefix::of(id))
    }
}

impl<C> Encode<C> for IdPrefixes {
    fn encode<W: Write>(&self, e: &mut Encoder<W>, _: &mut C) -> Result<(), EncodeError<W::Error>> {
        side_by_side::encode(self.0.iter().map(|prefix| prefix.0), e)
    }
}

impl<'b, C> Decode<'b, C> for IdPrefixes {
    fn decode(d: &mut Decoder<'b>, _: &mut C) -> Result<Self, DecodeError> {
        side_by_side::decode(d).map(|prefixes| Self(prefixes.iter().copied().map(IdPrefix).collect()))
    }
}

impl<C> CborLen<C> for IdPrefixes {
    fn cbor_len(&self, context: &mut C) -> usize {
        side_by_side::cbor_len::<{ IdPrefix::BYTES }, C>(self.0.len(), context)
    }
}
