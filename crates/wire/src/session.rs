//! Sessions: what seals unicasts between two peers that never agreed on keys beforehand.
//!
//! A peer has a key to seal to, drawn anew at each start, and a [`Credential`] that says so, signed by its identity. Who wants to send
//! opens a session: HPKE in its authenticated mode (RFC 9180, section 5.1.3; DHKEM(X25519, HKDF-SHA256), HKDF-SHA256) between the two
//! keys to seal to. Only its exported secrets are used, one for each direction. Each message is sealed with a key of its own, derived
//! from its direction's secret and from what tells it apart, so that no counters have to be kept in step over routes that reorder.
//!
//! Whoever learns the secret of a start can open what was sealed to it during that start; what was sealed to earlier and later ones
//! stays closed.

use crate::{
    codec::as_bytes,
    identity::{PublicKey, Signature},
    refusal::Refusal,
    statement::{Statement, StatementHash},
};
use hpke::{
    Deserializable, Kem as _, OpModeR, OpModeS, Serializable,
    aead::ExportOnlyAead,
    kdf::HkdfSha256,
    kem::X25519HkdfSha256,
    rand_core::{TryCryptoRng, TryRng},
};
use minicbor::{
    CborLen, Decode, Decoder, Encode, Encoder,
    decode::Error as DecodeError,
    encode::{Error as EncodeError, Write},
};
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use std::{convert::Infallible, fmt};
use zeroize::Zeroizing;

type Kem = X25519HkdfSha256;

/// An X25519 public key that messages are sealed to.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct SealingKey(pub [u8; 32]);
as_bytes!(SealingKey, 32, |key| key.0, |bytes| SealingKey(bytes));

impl fmt::Debug for SealingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sealing key {:02x}{:02x}..", self.0[0], self.0[1])
    }
}

/// The secret of a [`SealingKey`]. Wiped when dropped; never printed.
#[derive(Clone)]
pub struct SealingSecret {
    secret: <Kem as hpke::Kem>::PrivateKey,
    public: SealingKey,
}

impl SealingSecret {
    /// That made of these random bytes.
    #[must_use]
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        let (secret, public) = Kem::derive_keypair(seed);
        Self { secret, public: SealingKey(public.to_bytes().into()) }
    }

    /// What others seal to.
    #[must_use]
    pub fn public(&self) -> SealingKey {
        self.public
    }

    /// Opens a session with whoever has the secret of `to`. `random` is fresh. `terms` is what both ends know of each other.
    ///
    /// # Errors
    /// [`Refusal::Malformed`] when `to` is no key.
    pub fn open(&self, to: SealingKey, terms: &Terms, random: [u8; 32]) -> Result<(Share, Session), Refusal> {
        let them = <Kem as hpke::Kem>::PublicKey::from_bytes(&to.0).map_err(|_| Refusal::Malformed)?;
        let own = <Kem as hpke::Kem>::PublicKey::from_bytes(&self.public.0).map_err(|_| Refusal::Malformed)?;
        let mode = OpModeS::Auth((self.secret.clone(), own));
        let mut rng = Stream(blake3::Hasher::new_derive_key(RANDOM_CONTEXT).update(&random).finalize_xof());
        let (share, context) = hpke::setup_sender_with_rng::<ExportOnlyAead, HkdfSha256, Kem>(&mode, &them, &terms.0, &mut rng)
            .map_err(|_| Refusal::Malformed)?;
        let share = Share(share.to_bytes().into());
        let export = |label: &[u8]| {
            let mut key = Zeroizing::new([0; 32]);
            context.export(label, key.as_mut()).map_err(|_| Refusal::Malformed).map(|()| key)
        };
        Ok((share, Session { id: SessionId::of(share, self.public, to), outbound: export(THERE)?, inbound: export(BACK)? }))
    }

    /// Takes part in a session that the owner of `from` has opened with `share`.
    ///
    /// # Errors
    /// [`Refusal::Malformed`] when `share` or `from` is no key. If they are of somebody else, nothing can be opened.
    pub fn accept(&self, from: SealingKey, share: Share, terms: &Terms) -> Result<Session, Refusal> {
        let them = <Kem as hpke::Kem>::PublicKey::from_bytes(&from.0).map_err(|_| Refusal::Malformed)?;
        let encapped = <Kem as hpke::Kem>::EncappedKey::from_bytes(&share.0).map_err(|_| Refusal::Malformed)?;
        let context = hpke::setup_receiver::<ExportOnlyAead, HkdfSha256, Kem>(&OpModeR::Auth(them), &self.secret, &encapped, &terms.0)
            .map_err(|_| Refusal::Malformed)?;
        let export = |label: &[u8]| {
            let mut key = Zeroizing::new([0; 32]);
            context.export(label, key.as_mut()).map_err(|_| Refusal::Malformed).map(|()| key)
        };
        Ok(Session { id: SessionId::of(share, from, self.public), outbound: export(BACK)?, inbound: export(THERE)? })
    }
}

impl fmt::Debug for SealingSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "secret of {:?}", self.public)
    }
}

/// Who has which key to seal to, signed by its identity.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, CborLen)]
pub struct Credential {
    /// The identity.
    #[n(0)]
    pub key: PublicKey,
    /// Its key to seal to.
    #[n(1)]
    pub seal: SealingKey,
    /// Its boot number: each start has a key of its own.
    #[n(2)]
    pub boot: u64,
    /// By the identity, over [`Self::hash`].
    #[n(3)]
    pub signature: Signature,
}

impl Credential {
    /// What is signed.
    #[must_use]
    pub fn hash(key: PublicKey, seal: SealingKey, boot: u64) -> StatementHash {
        let mut hasher = blake3::Hasher::new();
        hasher.update(b"cicada sealing key v1\0").update(&key.0).update(&seal.0).update(&boot.to_be_bytes());
        StatementHash(*hasher.finalize().as_bytes())
    }

    /// The hash of this one.
    #[must_use]
    pub fn own_hash(&self) -> StatementHash {
        Self::hash(self.key, self.seal, self.boot)
    }
}

/// What the two ends of a session must agree on: who they are, and of which start.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Terms(Vec<u8>);

impl Terms {
    /// Those of a session that the owner of `opener` opens with the owner of `other`, with the ids that they have for each other.
    #[must_use]
    pub fn of(opener: &Credential, opener_id: crate::hash::Hash, other: &Credential, other_id: crate::hash::Hash) -> Self {
        Self(
            [b"cicada session v1\0".as_slice(), &opener.own_hash().0, &opener_id.to_bytes(), &other.own_hash().0, &other_id.to_bytes()]
                .concat(),
        )
    }

    /// As bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// What the opener of a session sends to the other end (HPKE's encapsulated key).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Share(pub [u8; 32]);
as_bytes!(Share, 32, |share| share.0, |bytes| Share(bytes));

/// Tells sessions apart.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(pub [u8; 16]);
as_bytes!(SessionId, 16, |id| id.0, |bytes| SessionId(bytes));

impl SessionId {
    /// That of the session that `opener` opens with `other` by `share`.
    #[must_use]
    pub fn of(share: Share, opener: SealingKey, other: SealingKey) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(b"cicada session id v1\0").update(&share.0).update(&opener.0).update(&other.0);
        let mut id = [0; 16];
        id.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
        Self(id)
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "session {:02x}{:02x}{:02x}{:02x}", self.0[0], self.0[1], self.0[2], self.0[3])
    }
}

/// With the first messages of a session: what the other end needs to take part.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, CborLen)]
pub struct Opening {
    /// The opener's share.
    #[n(0)]
    pub share: Share,
    /// To which key of the other end.
    #[n(1)]
    pub to: SealingKey,
    /// Who opens.
    #[n(2)]
    pub credential: Credential,
}

/// One end of a session. Wiped when dropped; never printed.
#[derive(Clone)]
pub struct Session {
    id: SessionId,
    outbound: Zeroizing<[u8; 32]>,
    inbound: Zeroizing<[u8; 32]>,
}

impl Session {
    /// How many bytes longer than the plain text [`Self::seal`]'s result is.
    pub const SEAL_BYTES: usize = 16;

    /// Its number.
    #[must_use]
    pub fn id(&self) -> SessionId {
        self.id
    }

    /// One end of a session whose secrets were agreed in another way, as in a simulated world.
    #[must_use]
    pub fn from_secrets(id: SessionId, outbound: [u8; 32], inbound: [u8; 32]) -> Self {
        Self { id, outbound: Zeroizing::new(outbound), inbound: Zeroizing::new(inbound) }
    }

    /// Seals what goes to the other end as the payload of `statement`, whose digest does not count.
    #[must_use]
    pub fn seal(&self, statement: &Statement, plain: &[u8]) -> Vec<u8> {
        let mut sealed = Vec::with_capacity(plain.len() + Self::SEAL_BYTES);
        sealed.extend_from_slice(plain);
        let (key, nonce) = message_key(&self.outbound, statement);
        key.seal_in_place_append_tag(nonce, Aad::from(statement.associated_data()), &mut sealed)
            .expect("no message is as long as the cipher's limit of 64 GiB");
        sealed
    }

    /// Opens the payload of `statement`, which came from the other end.
    ///
    /// # Errors
    /// [`Refusal::Altered`] when the other end did not seal this as the payload of this statement.
    pub fn open(&self, statement: &Statement, sealed: Vec<u8>) -> Result<Vec<u8>, Refusal> {
        let mut bytes = sealed;
        let (key, nonce) = message_key(&self.inbound, statement);
        let length = key
            .open_in_place(nonce, Aad::from(statement.associated_data()), &mut bytes)
            .map(|plain| plain.len())
            .map_err(|_| Refusal::Altered)?;
        bytes.truncate(length);
        Ok(bytes)
    }
}

/// Keys are never printed.
impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.id.fmt(f)
    }
}

/// The key of one message: of its direction, its random number, its time and its origin's start. It is used once, and so is its nonce.
fn message_key(secret: &[u8; 32], statement: &Statement) -> (LessSafeKey, Nonce) {
    let mut hasher = blake3::Hasher::new_keyed(secret);
    hasher.update(b"cicada sealed message v1\0").update(&statement.number.to_be_bytes());
    hasher.update(&statement.made_at.0.to_be_bytes()).update(&statement.boot.to_be_bytes());
    let mut derived = Zeroizing::new([0; 32 + NONCE_LEN]);
    hasher.finalize_xof().fill(derived.as_mut());
    let key = UnboundKey::new(&AES_256_GCM, &derived[..32]).expect("32 bytes are a key of this cipher");
    let mut nonce = [0; NONCE_LEN];
    nonce.copy_from_slice(&derived[32..]);
    (LessSafeKey::new(key), Nonce::assume_unique_for_key(nonce))
}

/// Randomness that the caller gives, stretched.
struct Stream(blake3::OutputReader);

impl TryRng for Stream {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let mut bytes = [0; 4];
        self.0.fill(&mut bytes);
        Ok(u32::from_le_bytes(bytes))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let mut bytes = [0; 8];
        self.0.fill(&mut bytes);
        Ok(u64::from_le_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        self.0.fill(bytes);
        Ok(())
    }
}

impl TryCryptoRng for Stream {}

const RANDOM_CONTEXT: &str = "cicada 2026 randomness of a session";

/// From the opener to the other end, and back.
const THERE: &[u8] = b"there";
const BACK: &[u8] = b"back";

#[cfg(test)]
mod tests;
