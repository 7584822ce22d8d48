//! The keys of two peers that exchanged keys beforehand, as a key file holds them: one for each direction.
//!
//! Which messages are sealed with them, under which nonces, and what is associated with them, is their user's to say.

use crate::{hash::Hash, refusal::Refusal};
use chacha20poly1305::{
    KeyInit, XChaCha20Poly1305, XNonce,
    aead::{Aead, Payload},
};
use hkdf::Hkdf;
use sha2::Sha256;
use zeroize::Zeroizing;

/// What one of two trusted peers seals and opens with. Wiped when dropped; never printed.
///
/// The two hold the same strings with the directions swapped, so that what one seals the other opens, and nobody else. A key is made
/// of its string and both ids: the same strings between other peers, or the other way round, give other keys.
#[derive(Clone)]
pub struct PairKeys {
    outbound: Zeroizing<[u8; KEY_BYTES]>,
    inbound: Zeroizing<[u8; KEY_BYTES]>,
}

impl PairKeys {
    /// How many bytes longer than the plain text [`Self::seal`]'s result is.
    pub const SEAL_BYTES: usize = 16;

    /// How long a nonce is: long enough for random ones never to meet.
    pub const NONCE_BYTES: usize = 24;

    /// The keys of the peer `me` for the peer `peer`: `outbound` is the string for what `me` sends, `inbound` that for what it gets.
    /// Every byte of them counts, blanks included.
    ///
    /// HKDF-SHA256 (RFC 5869) is no slow derivation: a string that can be guessed gives a key that can be guessed.
    #[must_use]
    pub fn derive(me: Hash, peer: Hash, outbound: &str, inbound: &str) -> Self {
        Self { outbound: key(outbound, me, peer), inbound: key(inbound, peer, me) }
    }

    /// Seals what goes to the peer. No two texts may be sealed with the same `nonce`; a random one will do. `associated` is not
    /// in the result: the peer must have it by other means, to the byte.
    #[must_use]
    pub fn seal(&self, nonce: [u8; Self::NONCE_BYTES], associated: &[u8], plain: &[u8]) -> Vec<u8> {
        let payload = Payload { msg: plain, aad: associated };
        cipher(&self.outbound).encrypt(&XNonce::from(nonce), payload).expect("no message is as long as the cipher's limit of 256 GiB")
    }

    /// Opens what came from the peer.
    ///
    /// # Errors
    /// [`Refusal::OtherPairKey`] when the peer did not seal this for us, with this nonce and this that is associated.
    pub fn open(&self, nonce: [u8; Self::NONCE_BYTES], associated: &[u8], sealed: &[u8]) -> Result<Vec<u8>, Refusal> {
        let payload = Payload { msg: sealed, aad: associated };
        cipher(&self.inbound).decrypt(&XNonce::from(nonce), payload).map_err(|_| Refusal::OtherPairKey)
    }
}

/// Keys are never printed.
impl std::fmt::Debug for PairKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("keys of a trusted pair")
    }
}

/// The key for what `sender` sends to `receiver`.
fn key(text: &str, sender: Hash, receiver: Hash) -> Zeroizing<[u8; KEY_BYTES]> {
    let mut key = Zeroizing::new([0; KEY_BYTES]);
    Hkdf::<Sha256>::new(Some(SALT), text.as_bytes())
        .expand_multi_info(&[&sender.to_bytes(), &receiver.to_bytes()], key.as_mut())
        .expect("32 bytes are below the limit of HKDF");
    key
}

fn cipher(key: &[u8; KEY_BYTES]) -> XChaCha20Poly1305 {
    XChaCha20Poly1305::new(key.into())
}

/// XChaCha20-Poly1305 (draft-irtf-cfrg-xchacha-03).
const KEY_BYTES: usize = 32;

/// Keeps these keys apart from all that is made of the same strings elsewhere.
const SALT: &[u8] = b"cicada pair key v1";
