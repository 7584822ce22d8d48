//! Asking for the symbols that are missing: a message of ours, for peers that carry our mark.

use super::{
    chunk::{Coding, RayId},
    message::Reader,
};
use crate::Refusal;
use bytes::Bytes;

/// "Of this object I have these symbols; send me so many others."
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Pull {
    /// Of which object.
    pub ray: RayId,
    /// In which coding: symbols of others are of no use.
    pub coding: Coding,
    /// Of which block.
    pub block: u8,
    /// How many symbols are wanted.
    pub wanted: u16,
    /// The number of the first symbol that `held` speaks of.
    pub first: u32,
    /// Which symbols are there: a bit for each, the lowest bit of the first byte for `first`. What lies beyond is missing.
    pub held: Bytes,
}

impl Pull {
    /// Whether the asker has the symbol of this number.
    #[must_use]
    pub fn has(&self, number: u32) -> bool {
        let Some(offset) = number.checked_sub(self.first) else { return false };
        let byte = self.held.get(offset as usize / 8).copied().unwrap_or_default();
        byte >> (offset % 8) & 1 == 1
    }

    pub(super) fn write(&self, bytes: &mut Vec<u8>) {
        bytes.extend(self.ray.0);
        bytes.extend(self.coding.to_bytes());
        bytes.push(self.block);
        bytes.extend(self.wanted.to_le_bytes());
        bytes.extend(self.first.to_le_bytes());
        // The constructor of a message has checked that it is short.
        bytes.extend((self.held.len() as u16).to_le_bytes());
        bytes.extend(&self.held);
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, Refusal> {
        let ray = RayId(reader.array()?);
        let coding = Coding::from_bytes(reader.array()?);
        let [block] = reader.array()?;
        let (wanted, first, length) = (reader.u16()?, reader.u32()?, reader.u16()?);
        if usize::from(length) > MAX_PULL_BYTES {
            return Err(Refusal::TooLarge);
        }
        Ok(Self { ray, coding, block, wanted, first, held: reader.bytes(length.into())? })
    }
}

/// The bytes of `held` that fit into one datagram with everything around them.
pub const MAX_PULL_BYTES: usize = 1100; // beside 79 others they stay below IPv6's least MTU of 1280 with its headers
