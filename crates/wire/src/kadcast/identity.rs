//! Who is who: ids made of addresses, and the work that a nonce proves.

use crate::{Hash, U256};
use blake2::{Blake2s256, Digest};
use std::{
    fmt,
    net::{IpAddr, SocketAddr},
};

/// A peer's id: the first half of the BLAKE2s hash of its port and IP address.
///
/// It is a pure function of the address; there is no key behind it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id(pub [u8; 16]);

impl Id {
    /// The id of the peer that announces this address. v4-mapped addresses are unmapped first.
    #[must_use]
    pub fn of(address: SocketAddr) -> Self {
        let mut hasher = Blake2s256::new();
        hasher.update(address.port().to_le_bytes());
        match address.ip().to_canonical() {
            IpAddr::V4(ip) => hasher.update(ip.octets()),
            IpAddr::V6(ip) => hasher.update(ip.octets()),
        }
        Self(first_half(&hasher.finalize().into()))
    }

    /// Where it lies on the circle of 2^256 ids: in its lower half, so that cells of the tree are Kadcast's buckets.
    #[must_use]
    pub fn hash(self) -> Hash {
        let mut bytes = [0; 32];
        bytes[16..].copy_from_slice(&u128::from_le_bytes(self.0).to_be_bytes());
        Hash::from_bytes(bytes)
    }

    /// The id at such a point; `None` beyond the lower half.
    #[must_use]
    pub fn at(hash: Hash) -> Option<Self> {
        let bytes = hash.0.to_be_bytes();
        let (high, low) = bytes.split_at(16);
        let low = u128::from_be_bytes(low.try_into().expect("a half has 16 bytes"));
        (hash.0 <= U256::MAX.shifted_right(128) && high == [0; 16]).then(|| Self(low.to_le_bytes()))
    }

    /// The bucket of `other` as seen from here, 0 to 127; `None` for itself.
    #[must_use]
    pub fn bucket(self, other: Self) -> Option<u8> {
        let difference = u128::from_le_bytes(self.0) ^ u128::from_le_bytes(other.0);
        // At most 127.
        difference.checked_ilog2().map(|bucket| bucket as u8)
    }
}

fn first_half(digest: &[u8; 32]) -> [u8; 16] {
    let (half, _) = digest.split_at(16);
    half.try_into().expect("a half has 16 bytes")
}

impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0[..4].iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Four bytes that prove some work for an id.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Nonce(pub [u8; 4]);

impl Nonce {
    /// Looks for the nonce of an id with at least `bits` bits of work, the first in the order of numbers: some 2^`bits` hashes.
    /// `None` if there is none, which for [`MINED_BITS`] nobody will meet.
    #[must_use]
    pub fn mine(id: Id, bits: u32) -> Option<Self> {
        (0..=u32::MAX).map(|number| Self(number.to_le_bytes())).find(|nonce| nonce.bits(id) >= bits)
    }

    /// How much work it proves: the zero bits at the end of the hash of both, as a big-endian number.
    #[must_use]
    pub fn bits(self, id: Id) -> u32 {
        let digest: [u8; 32] = Blake2s256::new().chain_update(id.0).chain_update(self.0).finalize().into();
        let zeros = digest.iter().rev().take_while(|byte| **byte == 0).count();
        let last = digest.iter().rev().nth(zeros).map_or(0, |byte| byte.trailing_zeros());
        // At most 32 bytes.
        zeros as u32 * 8 + last
    }
}

/// How many buckets there are: one for each bit of an id.
pub const BUCKETS: u8 = 128;

/// The work that the crate puts into its nonces, and we into ours.
pub const MINED_BITS: u32 = 20;

/// The work without which nobody listens.
pub const REQUIRED_BITS: u32 = 8;
