//! Points on the circle of 2^256 ids, and the distances between them.

use crate::uint::U256;
use sha2::{Digest, Sha256};
use std::{fmt, str::FromStr};

/// A point on the circle of 2^256 ids: where a peer stands, or where a key falls.
///
/// Displayed in hexadecimal (64 digits); [`Hash::decimal`] gives the form that the original Cicada's key file uses.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Hash(pub U256);

impl Hash {
    /// The SHA-256 of `value`.
    #[must_use]
    pub fn of(value: impl AsRef<[u8]>) -> Self {
        Self::from_bytes(Sha256::digest(value.as_ref()).into())
    }

    /// An id that is already known, in decimal or in hexadecimal (64 digits, or any number after `0x`).
    ///
    /// # Errors
    /// When the text is neither, or the value does not fit into 256 bits.
    pub fn from_hashed(text: &str) -> Result<Self, HashError> {
        let hex = match text.strip_prefix("0x") {
            Some(digits) => Some(digits),
            // A decimal of 64 digits is below 2^256 and would be read as hexadecimal by its length alone:
            // 64 digits are hexadecimal because that is how ids are displayed.
            None if text.len() == 64 => Some(text),
            None => None,
        };
        match hex {
            Some(digits) => Self::from_hex(digits),
            None => U256::from_decimal(text).map(Self).ok_or(HashError),
        }
    }

    fn from_hex(digits: &str) -> Result<Self, HashError> {
        if digits.is_empty() || digits.len() > 64 || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(HashError);
        }
        let padded = format!("{digits:0>64}");
        let mut bytes = [0; 32];
        for (byte, at) in bytes.iter_mut().zip((0..64).step_by(2)) {
            *byte = u8::from_str_radix(&padded[at..at + 2], 16).map_err(|_| HashError)?;
        }
        Ok(Self::from_bytes(bytes))
    }

    /// From 32 big-endian bytes.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(U256::from_be_bytes(bytes))
    }

    /// As 32 big-endian bytes.
    #[must_use]
    pub fn to_bytes(self) -> [u8; 32] {
        self.0.to_be_bytes()
    }

    /// In decimal, as the original Cicada wrote ids.
    #[must_use]
    pub fn decimal(self) -> String {
        self.0.to_string()
    }

    /// The first 8 hexadecimal digits: enough for people to tell peers apart.
    #[must_use]
    pub fn short(self) -> String {
        let mut text = self.to_string();
        text.truncate(8);
        text
    }
}

/// 64 hexadecimal digits.
impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}", self.0)
    }
}

/// The first 8 hexadecimal digits.
impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.short())
    }
}

impl FromStr for Hash {
    type Err = HashError;
    fn from_str(text: &str) -> Result<Self, HashError> {
        Self::from_hashed(text)
    }
}

/// The text is not an id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an id: expected a decimal number below 2^256, 64 hexadecimal digits, or 0x and hexadecimal digits")]
#[non_exhaustive]
pub struct HashError;

/// How far one point is from another, in the sense of one geometry.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug)]
pub struct Offset(pub U256);

/// So many bytes of a reach are said; a peer in what the rest would have covered is one of 2^56 that are as near.
const ROUNDED_BYTES: usize = 8;

/// "Everyone whose offset from you is at most this": the task of a broadcast's delegate.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug)]
pub struct Reach(pub U256);

impl Reach {
    /// The whole circle.
    pub const ALL: Self = Self(U256::MAX);
    /// Only the peer itself.
    pub const ME: Self = Self(U256::ZERO);

    /// Everyone within a Kadcast height: offsets below 2^`height`.
    #[must_use]
    pub fn of_height(height: u32) -> Self {
        Self(U256::power_of_two(height).map_or(U256::MAX, |power| power.wrapping_sub(U256::ONE)))
    }

    /// The largest reach within this one that a few bytes can say. What it leaves out is less than 2^-56 of it, and at its far end.
    #[must_use]
    pub fn rounded(self) -> Self {
        let mut bytes = self.end().to_be_bytes();
        let first = bytes.iter().position(|byte| *byte != 0).unwrap_or(0);
        bytes.iter_mut().skip(first + ROUNDED_BYTES).for_each(|byte| *byte = 0);
        Self(U256::from_be_bytes(bytes).wrapping_sub(U256::ONE))
    }

    /// What lies just beyond it; zero for [`Self::ALL`].
    fn end(self) -> U256 {
        self.0.wrapping_add(U256::ONE)
    }

    /// How many zero bytes end the number just beyond it, and the bytes before those from the first that is not zero; nothing for
    /// [`Self::ALL`]. Kadcast's heights and rounded reaches are short.
    pub(crate) fn to_bytes(self) -> Vec<u8> {
        let bytes = self.end().to_be_bytes();
        let Some(last) = bytes.iter().rposition(|byte| *byte != 0) else { return Vec::new() };
        let first = bytes.iter().position(|byte| *byte != 0).unwrap_or(last);
        // There are 32 of them.
        let zeros = (bytes.len() - 1 - last) as u8;
        [&[zeros], &bytes[first..=last]].concat()
    }

    /// `None` if there is a shorter way to say it, or it is none.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let Some((zeros, digits)) = bytes.split_first() else { return Some(Self::ALL) };
        let last = 32_usize.checked_sub(usize::from(*zeros))?;
        let first = last.checked_sub(digits.len())?;
        if *digits.first()? == 0 || *digits.last()? == 0 {
            return None;
        }
        let mut end = [0; 32];
        end[first..last].copy_from_slice(digits);
        Some(Self(U256::from_be_bytes(end).wrapping_sub(U256::ONE)))
    }
}
