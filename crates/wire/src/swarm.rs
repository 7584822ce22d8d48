//! What the members of a swarm share: its name, its secret, and the keys made of them.

use crate::{
    codec::encode,
    hello::{OverlayKind, Purpose},
    identity::PublicKey,
    record::IdKind,
    refusal::Refusal,
};
use chacha20poly1305::{KeyInit, XChaCha20Poly1305, XNonce, aead::Aead};
use hkdf::Hkdf;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// First byte of our datagrams. Its bit 0x40 is clear, which no QUIC packet's is (RFC 9443), so both share one socket.
pub const DATAGRAM_TAG: u8 = 0x0c;

/// The shortest secret that is accepted, in bytes: 128 bits when it is random.
pub const MIN_SECRET_BYTES: usize = 16;

const NONCE_BYTES: usize = 24;
const MAC_BYTES: usize = 16;

/// Which end of a link one is. The two prove the swarm's secret differently, so that neither can mirror the other.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LinkSide {
    /// It opened the link.
    Dialler,
    /// It accepted the link.
    Listener,
}

impl LinkSide {
    /// The other end.
    #[must_use]
    pub fn other(self) -> Self {
        match self {
            Self::Dialler => Self::Listener,
            Self::Listener => Self::Dialler,
        }
    }

    fn label(self) -> &'static [u8] {
        match self {
            Self::Dialler => b"cicada link proof v1 dialler",
            Self::Listener => b"cicada link proof v1 listener",
        }
    }
}

/// The keys of a swarm, made of its name and, if it has one, its secret. Wiped when dropped.
#[derive(Clone)]
pub struct SwarmKeys {
    tag: [u8; 8],
    link: Zeroizing<[u8; 32]>,
    datagram: Zeroizing<[u8; 32]>,
}

impl SwarmKeys {
    /// The keys of the swarm `name`, closed by `secret` if there is one.
    ///
    /// # Errors
    /// When the secret is shorter than [`MIN_SECRET_BYTES`].
    pub fn new(name: &str, secret: Option<&[u8]>) -> Result<Self, SecretTooShort> {
        if secret.is_some_and(|secret| secret.len() < MIN_SECRET_BYTES) {
            return Err(SecretTooShort);
        }
        let digest = Sha256::digest([b"cicada swarm v1\0", name.as_bytes()].concat());
        let mut tag = [0; 8];
        tag.copy_from_slice(&digest[..8]);
        let root = Hkdf::<Sha256>::new(Some(&digest), secret.unwrap_or_default());
        let key = |info: &[u8]| {
            let mut key = Zeroizing::new([0; 32]);
            root.expand(info, key.as_mut()).expect("32 bytes are below the limit of HKDF");
            key
        };
        Ok(Self { tag, link: key(b"cicada link v1"), datagram: key(b"cicada datagrams v2") })
    }

    /// Says which swarm this is to those who know its name. Not a secret.
    #[must_use]
    pub fn tag(&self) -> [u8; 8] {
        self.tag
    }

    /// Proves the swarm's secret on one link: `exporter` binds it to the TLS session (RFC 9266), `side` and the keys to who says it.
    #[must_use]
    pub fn link_proof(&self, exporter: &[u8; 32], side: LinkSide, dialler: &PublicKey, listener: &PublicKey) -> [u8; 32] {
        let mut proof = [0; 32];
        Hkdf::<Sha256>::new(Some(exporter), self.link.as_ref())
            .expand(&[side.label(), &dialler.0, &listener.0].concat(), &mut proof)
            .expect("32 bytes are below the limit of HKDF");
        proof
    }

    /// Whether `proof` is the one of `side` on this link, compared in constant time.
    #[must_use]
    pub fn check_link_proof(
        &self,
        proof: &[u8; 32],
        exporter: &[u8; 32],
        side: LinkSide,
        dialler: &PublicKey,
        listener: &PublicKey,
    ) -> bool {
        self.link_proof(exporter, side, dialler, listener).ct_eq(proof).into()
    }

    /// The key of the datagrams between members that agree on all this as well. Links say in their hello what does not fit; a datagram
    /// that strays to the member of another overlay, under the same name on the same machine, is not opened there.
    #[must_use]
    pub fn datagrams(&self, overlay: OverlayKind, purpose: Purpose, member_ids: IdKind) -> DatagramKey {
        let mut key = Zeroizing::new([0; 32]);
        Hkdf::<Sha256>::new(Some(&encode(&(overlay, purpose, member_ids))), self.datagram.as_ref())
            .expand(b"cicada datagram v2", key.as_mut())
            .expect("32 bytes are below the limit of HKDF");
        DatagramKey(key)
    }
}

/// What datagrams between the members of a swarm are sealed with. Wiped when dropped.
#[derive(Clone)]
pub struct DatagramKey(Zeroizing<[u8; 32]>);

impl DatagramKey {
    /// How many bytes [`Self::seal`] adds.
    pub const SEAL_BYTES: usize = 1 + NONCE_BYTES + MAC_BYTES;

    /// Seals a datagram for members of the swarm. `nonce` must be random.
    #[must_use]
    pub fn seal(&self, nonce: [u8; NONCE_BYTES], plain: &[u8]) -> Vec<u8> {
        let sealed = self.cipher().encrypt(&XNonce::from(nonce), plain).expect("a datagram is far below the cipher's limit");
        [&[DATAGRAM_TAG], &nonce[..], &sealed].concat()
    }

    /// Opens a datagram that a member of the swarm sealed.
    ///
    /// # Errors
    /// [`Refusal::Unsealed`] when it was not.
    pub fn open(&self, datagram: &[u8]) -> Result<Vec<u8>, Refusal> {
        let (head, sealed) = datagram.split_at_checked(1 + NONCE_BYTES).ok_or(Refusal::Unsealed)?;
        let nonce: [u8; NONCE_BYTES] = head[1..].try_into().map_err(|_| Refusal::Unsealed)?;
        if head[0] != DATAGRAM_TAG {
            return Err(Refusal::Unsealed);
        }
        self.cipher().decrypt(&XNonce::from(nonce), sealed).map_err(|_| Refusal::Unsealed)
    }

    fn cipher(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new((&*self.0).into())
    }
}

/// Keys are never printed.
impl std::fmt::Debug for DatagramKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("key of a swarm's datagrams")
    }
}

/// Keys are never printed.
impl std::fmt::Debug for SwarmKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "keys of swarm {:02x}{:02x}..", self.tag[0], self.tag[1])
    }
}

/// The swarm's secret could be guessed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a swarm secret has at least {MIN_SECRET_BYTES} bytes")]
#[non_exhaustive]
pub struct SecretTooShort;
