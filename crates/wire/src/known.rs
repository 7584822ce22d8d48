//! Short names of records, so that nobody sends what the other has.
//!
//! Members near a key know much the same members, and a lookup asks many of them. So a question says which records its asker has,
//! and the answer names those of them that belong into it instead of holding them (known-answer suppression, as in RFC 6762,
//! section 7.1).

use crate::{
    codec::{as_bytes, side_by_side},
    frame::{Found, MAX_RECORDS},
    record::SignedRecord,
};
use minicbor::{
    CborLen, Decode, Decoder, Encode, Encoder,
    decode::Error as DecodeError,
    encode::{Error as EncodeError, Write},
};

/// The most records that a question names: as many near the key as an answer holds on either side of it, and the asker's own.
pub const MAX_KNOWN: usize = 2 * MAX_RECORDS + 1;

/// Names a record, with its signature: the first 6 bytes of its digest.
///
/// Whoever wants to hide a record by one of the same name makes 2^48 signatures or ids for it, and hides it only from those who
/// have his, for as long as neither is renewed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct RecordName(pub [u8; RecordName::BYTES]);
as_bytes!(RecordName, 6, |name| name.0, |bytes| RecordName(bytes));

impl RecordName {
    /// How many bytes name a record.
    pub const BYTES: usize = 6;

    pub(crate) fn of(bytes: &[u8], signature: &[u8; 64]) -> Self {
        let digest = blake3::Hasher::new().update(bytes).update(signature).finalize();
        let mut name = [0; Self::BYTES];
        name.copy_from_slice(&digest.as_bytes()[..Self::BYTES]);
        Self(name)
    }
}

/// Some names, written side by side; none are not written at all.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct RecordNames(pub Vec<RecordName>);

impl<C> Encode<C> for RecordNames {
    fn encode<W: Write>(&self, e: &mut Encoder<W>, _: &mut C) -> Result<(), EncodeError<W::Error>> {
        side_by_side::encode(self.0.iter().map(|name| name.0), e)
    }

    fn is_nil(&self) -> bool {
        self.0.is_empty()
    }
}

impl<'b, C> Decode<'b, C> for RecordNames {
    fn decode(d: &mut Decoder<'b>, _: &mut C) -> Result<Self, DecodeError> {
        side_by_side::decode(d).map(|names| Self(names.iter().copied().map(RecordName).collect()))
    }

    fn nil() -> Option<Self> {
        Some(Self::default())
    }
}

impl<C> CborLen<C> for RecordNames {
    fn cbor_len(&self, context: &mut C) -> usize {
        side_by_side::cbor_len::<{ RecordName::BYTES }, C>(self.0.len(), context)
    }
}

impl Found {
    /// The same, with names instead of the records that the asker has.
    #[must_use]
    pub fn abridged(mut self, known: &RecordNames) -> Self {
        if !known.0.is_empty() {
            self.known_closer = take_out(&mut self.closer, known);
            self.known_responsible = take_out(&mut self.responsible, known);
        }
        self
    }

    /// The same with the records that are named, as far as the asker has them, after the others.
    #[must_use]
    pub fn restored(mut self, record: impl Fn(RecordName) -> Option<SignedRecord>) -> Self {
        self.closer.extend(std::mem::take(&mut self.known_closer).0.into_iter().filter_map(&record));
        self.responsible.extend(std::mem::take(&mut self.known_responsible).0.into_iter().filter_map(&record));
        self
    }
}

fn take_out(records: &mut Vec<SignedRecord>, known: &RecordNames) -> RecordNames {
    let mut names = Vec::new();
    records.retain(|record| {
        let is_known = known.0.contains(&record.name());
        if is_known {
            names.push(record.name());
        }
        !is_known
    });
    RecordNames(names)
}
