//! Keys: who a peer is, whatever its address.

use crate::hash::Hash;
use ed25519_dalek::{Signer, SigningKey, VerifyingKey};
use sha2::{Digest, Sha256};
use std::fmt;

/// Separates key ids from every other SHA-256 in the system.
const KEY_ID_PREFIX: &[u8] = b"cicada key id v1\0";

/// An Ed25519 public key.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublicKey(pub [u8; 32]);

impl PublicKey {
    /// The id of a peer that has no address of its own: SHA-256 of a fixed prefix and the key.
    #[must_use]
    pub fn id(&self) -> Hash {
        let mut digest = Sha256::new();
        digest.update(KEY_ID_PREFIX);
        digest.update(self.0);
        Hash::from_bytes(digest.finalize().into())
    }

    /// Whether `signature` is this key's for `message`. Strict: weak keys and malleable signatures are refused.
    #[must_use]
    pub fn verify(&self, message: &[u8], signature: &Signature) -> bool {
        let Ok(key) = VerifyingKey::from_bytes(&self.0) else { return false };
        key.verify_strict(message, &ed25519_dalek::Signature::from_bytes(&signature.0)).is_ok()
    }
}

/// 64 hexadecimal digits.
impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Hash::from_bytes(self.0).fmt(f)
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "key {:?}", Hash::from_bytes(self.0))
    }
}

/// An Ed25519 signature.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Signature(pub [u8; 64]);

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "signature {:02x}{:02x}..", self.0[0], self.0[1])
    }
}

/// A peer's secret key. Wiped when dropped; never printed.
#[derive(Clone)]
pub struct Identity(SigningKey);

impl Identity {
    /// The identity with this Ed25519 seed (32 random bytes, kept secret).
    #[must_use]
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self(SigningKey::from_bytes(seed))
    }

    /// The seed, for keeping it in a file.
    #[must_use]
    pub fn seed(&self) -> zeroize::Zeroizing<[u8; 32]> {
        zeroize::Zeroizing::new(self.0.to_bytes())
    }

    /// The key that others know this peer by.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.verifying_key().to_bytes())
    }

    /// Signs `message`. Deterministic (RFC 8032).
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> Signature {
        Signature(self.0.sign(message).to_bytes())
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "identity of {:?}", self.public())
    }
}
