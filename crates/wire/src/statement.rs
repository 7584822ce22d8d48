//! What the origin of a message says of it, and the id that follows.
//!
//! A message's id is a digest of all that its origin says, the payload's digest and the proof of authorship included. So whoever
//! changes anything on the way makes another message: what peers remember of messages, they remember by id, and a forged one never
//! stands in the way of the honest one. Each hop checks the payload against its digest before it hands it on.
//!
//! A signature is over that digest, and is not part of it: the id is known before the message is signed. Nobody remembers a signed
//! message before its signature was checked, and there is one signature only that holds (RFC 8032 is deterministic, and who checks
//! is strict), so that this leaves no second message with the same id.

use crate::{
    codec::{HEAD_ROOM, append, as_bytes},
    hash::Hash,
    header::{Kind, Origin},
    identity::{Identity, PublicKey, Signature},
    pair::PairKeys,
    record::UnixTime,
    session::{Credential, Opening, SessionId},
};
use minicbor::{
    CborLen, Decode, Decoder, Encode, Encoder,
    decode::Error as DecodeError,
    encode::{Error as EncodeError, Write},
};
use std::{borrow::Cow, fmt, ops::Deref};

/// A message's id: a digest of its [`Statement`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageId(pub [u8; 16]);
as_bytes!(MessageId, 16, |id| id.0, |bytes| MessageId(bytes));

impl MessageId {
    fn of(hash: &StatementHash) -> Self {
        let mut id = [0; 16];
        id.copy_from_slice(&hash.0[..16]);
        Self(id)
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

impl fmt::Debug for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "m{:02x}{:02x}{:02x}{:02x}", self.0[0], self.0[1], self.0[2], self.0[3])
    }
}

/// The BLAKE3 hash of a payload as it travels. A tree: pieces can be checked without the rest.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PayloadDigest(pub [u8; 32]);

impl<C> Encode<C> for PayloadDigest {
    fn encode<W: Write>(&self, e: &mut Encoder<W>, _: &mut C) -> Result<(), EncodeError<W::Error>> {
        let bytes: &[u8] = if *self == Self::LEFT_OUT { &[] } else { &self.0 };
        e.bytes(bytes)?.ok()
    }
}

impl<'b, C> Decode<'b, C> for PayloadDigest {
    fn decode(d: &mut Decoder<'b>, _: &mut C) -> Result<Self, DecodeError> {
        match d.bytes()? {
            [] => Ok(Self::LEFT_OUT),
            bytes => match bytes.try_into() {
                Ok(digest) if digest != Self::LEFT_OUT.0 => Ok(Self(digest)),
                Ok(_) | Err(_) => Err(DecodeError::message("not the digest of a payload")),
            },
        }
    }
}

impl<C> CborLen<C> for PayloadDigest {
    fn cbor_len(&self, _: &mut C) -> usize {
        if *self == Self::LEFT_OUT { 1 } else { 2 + self.0.len() }
    }
}

impl PayloadDigest {
    /// Written as nothing. No payload is known that has it, and none will be found.
    const LEFT_OUT: Self = Self([0; 32]);

    /// The digest of this payload. A gigabyte takes some tenths of a second.
    #[must_use]
    pub fn of(payload: &[u8]) -> Self {
        Self(*blake3::hash(payload).as_bytes())
    }
}

impl fmt::Debug for PayloadDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "d{:02x}{:02x}{:02x}{:02x}", self.0[0], self.0[1], self.0[2], self.0[3])
    }
}

/// How the origin proves that it made the message. Versioned by its number.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, CborLen)]
pub enum Authentication {
    /// Not at all.
    #[n(0)]
    None,
    /// By the keys of a trusted pair: the payload is sealed with them.
    #[n(1)]
    Keyed {
        /// The nonce of the seal.
        #[cbor(n(0), with = "minicbor::bytes")]
        nonce: [u8; PairKeys::NONCE_BYTES],
        /// Which start of the target this is for; `None` if its origin does not know.
        #[n(1)]
        boot: Option<u64>,
    },
    /// By a signature, see [`Immutable::signature`].
    #[n(2)]
    Signed {
        /// Whose; `None` when the origin's id is that of its key.
        #[n(0)]
        key: Option<PublicKey>,
    },
    /// By a session: the payload is sealed with it.
    #[n(3)]
    Sealed {
        /// Which.
        #[n(0)]
        session: SessionId,
        /// What the target needs to take part in it, as long as it is not known to have that.
        #[n(1)]
        opening: Option<Opening>,
    },
    /// Not at all: it says nothing, and asks its target for what is needed to seal to it. Tells the same of its origin.
    #[n(4)]
    Asks(#[n(0)] Credential),
}

/// What an origin says of its message; relays pass it on as it is.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, CborLen)]
pub struct Statement {
    /// [`Self::VERSION`].
    #[n(0)]
    pub version: u8,
    /// What the message is.
    #[n(1)]
    pub kind: Kind,
    /// Who made it.
    #[n(2)]
    pub origin: Origin,
    /// For whom; `None` for everybody.
    #[n(3)]
    pub target: Option<Hash>,
    /// Drawn at random: tells apart messages that are alike otherwise.
    #[n(4)]
    pub number: u64,
    /// Length of the payload in bytes.
    #[n(5)]
    pub length: u64,
    /// When it was made.
    #[n(6)]
    pub made_at: UnixTime,
    /// The origin's boot number.
    #[n(7)]
    pub boot: u64,
    /// The origin's proof.
    #[n(8)]
    pub authentication: Authentication,
    /// The payload's digest.
    #[n(9)]
    pub digest: PayloadDigest,
    /// Of a receipt: the message that it is about.
    #[n(10)]
    pub about: Option<MessageId>,
}

impl Statement {
    /// The version that this crate writes.
    pub const VERSION: u8 = 2;

    /// What is bound to a sealed payload: all but the digest of the seal itself.
    #[must_use]
    pub fn associated_data(&self) -> Vec<u8> {
        Self { digest: PayloadDigest::LEFT_OUT, ..self.clone() }.bytes_after(b"cicada sealed v2\0")
    }

    /// The id that follows from it.
    #[must_use]
    pub fn id(&self) -> MessageId {
        MessageId::of(&self.hash())
    }

    /// The key that the origin says is its own, if it signs.
    #[must_use]
    pub fn signer(&self) -> Option<PublicKey> {
        match &self.authentication {
            Authentication::Signed { key } => key.or(self.origin.key()),
            Authentication::None | Authentication::Keyed { .. } | Authentication::Sealed { .. } | Authentication::Asks(_) => None,
        }
    }

    fn hash(&self) -> StatementHash {
        StatementHash(*blake3::hash(&self.bytes_after(b"cicada message id v2\0")).as_bytes())
    }

    fn bytes_after(&self, context: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEAD_ROOM);
        bytes.extend_from_slice(context);
        append(self, &mut bytes);
        bytes
    }
}

/// What a signature of a statement is over: 32 bytes that stand for all of it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct StatementHash(pub [u8; 32]);

impl StatementHash {
    /// Signs it.
    #[must_use]
    pub fn sign(&self, identity: &Identity) -> Signature {
        identity.sign(&self.signed_message())
    }

    /// Whether this is the key's signature.
    #[must_use]
    pub fn is_signed_by(&self, key: PublicKey, signature: &Signature) -> bool {
        key.verify(&self.signed_message(), signature)
    }

    fn signed_message(&self) -> [u8; SIGNATURE_CONTEXT.len() + 32] {
        let mut message = [0; SIGNATURE_CONTEXT.len() + 32];
        message[..SIGNATURE_CONTEXT.len()].copy_from_slice(SIGNATURE_CONTEXT);
        message[SIGNATURE_CONTEXT.len()..].copy_from_slice(&self.0);
        message
    }
}

/// Separates signatures of messages from every other signature of the same key.
const SIGNATURE_CONTEXT: &[u8] = b"cicada message v2\0";

/// A statement that cannot be changed any more, with its id, and with its signature if it has one.
#[derive(Clone, Debug)]
pub struct Immutable {
    statement: Statement,
    hash: StatementHash,
    signature: Option<Signature>,
    digest_from: DigestFrom,
}

/// Where the payload's digest is from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum DigestFrom {
    /// The origin, as far as is known.
    Said,
    /// Nowhere: it is not written. Whoever reads it has the payload.
    LeftOut,
    /// The payload that came with it.
    Found,
}

/// Wherever the digest is from.
impl PartialEq for Immutable {
    fn eq(&self, other: &Self) -> bool {
        (&self.statement, self.hash, self.signature) == (&other.statement, other.hash, other.signature)
    }
}

impl Eq for Immutable {}

impl Immutable {
    /// The message's id.
    #[must_use]
    pub fn message(&self) -> MessageId {
        MessageId::of(&self.hash)
    }

    /// What its signature is over.
    #[must_use]
    pub fn hash(&self) -> StatementHash {
        self.hash
    }

    /// The signature, of a signed statement. Whether it holds is for whoever takes the message to check.
    #[must_use]
    pub fn signature(&self) -> Option<Signature> {
        self.signature
    }

    /// The same with this signature.
    #[must_use]
    pub fn signed(self, signature: Signature) -> Self {
        Self { signature: Some(signature), ..self }
    }

    /// It will be written without the payload's digest, right before the payload.
    pub(crate) fn be_brief(&mut self) {
        self.digest_from = DigestFrom::LeftOut;
    }

    fn written(&self) -> Cow<'_, Statement> {
        if self.is_brief() {
            Cow::Owned(Statement { digest: PayloadDigest::LEFT_OUT, ..self.statement.clone() })
        } else {
            Cow::Borrowed(&self.statement)
        }
    }

    /// Whether the digest was left out, so that it is not known yet whose message this is.
    pub(crate) fn is_brief(&self) -> bool {
        self.digest_from == DigestFrom::LeftOut
    }

    /// Like [`Self::is_of`], for the payload that came in one frame with this: what was found out from that is not found out again.
    #[must_use]
    pub fn fits(&self, payload: &[u8]) -> bool {
        (self.digest_from == DigestFrom::Found && self.length == payload.len() as u64) || self.is_of(payload)
    }

    /// It was read without a digest: here is the payload.
    pub(crate) fn complete(&mut self, payload: &[u8]) {
        self.statement.digest = PayloadDigest::of(payload);
        self.hash = self.statement.hash();
        self.digest_from = DigestFrom::Found;
    }

    /// Whether this payload is the one that the origin speaks of.
    #[must_use]
    pub fn is_of(&self, payload: &[u8]) -> bool {
        self.length == payload.len() as u64 && self.digest == PayloadDigest::of(payload)
    }
}

impl From<Statement> for Immutable {
    fn from(statement: Statement) -> Self {
        let hash = statement.hash();
        Self { statement, hash, signature: None, digest_from: DigestFrom::Said }
    }
}

impl From<Immutable> for Statement {
    fn from(immutable: Immutable) -> Self {
        immutable.statement
    }
}

impl Deref for Immutable {
    type Target = Statement;

    fn deref(&self) -> &Statement {
        &self.statement
    }
}

impl<C> Encode<C> for Immutable {
    fn encode<W: Write>(&self, e: &mut Encoder<W>, context: &mut C) -> Result<(), EncodeError<W::Error>> {
        (self.written(), &self.signature).encode(e, context)
    }
}

impl<'b, C> Decode<'b, C> for Immutable {
    fn decode(d: &mut Decoder<'b>, context: &mut C) -> Result<Self, DecodeError> {
        let (statement, signature) = <(Statement, Option<Signature>)>::decode(d, context)?;
        if statement.digest == PayloadDigest::LEFT_OUT {
            return Ok(Self { statement, hash: StatementHash([0; 32]), signature, digest_from: DigestFrom::LeftOut });
        }
        Ok(Self { signature, ..Self::from(statement) })
    }
}

impl<C> CborLen<C> for Immutable {
    fn cbor_len(&self, context: &mut C) -> usize {
        (self.written(), &self.signature).cbor_len(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn statement() -> Statement {
        Statement {
            version: Statement::VERSION,
            kind: Kind::Unicast,
            origin: Origin::of_address("127.0.0.1:5000".parse().expect("an address")),
            target: Some(Hash::of("you")),
            number: 1,
            length: 5,
            made_at: UnixTime(1_800_000_000_000),
            boot: 9,
            authentication: Authentication::None,
            digest: PayloadDigest::of(b"hello"),
            about: None,
        }
    }

    #[test]
    fn the_digest_of_a_payload_is_its_blake3_hash() {
        // As b3sum says.
        let golden = "ea8f163db38682925e4491c5e58d4bb3506ef8c14eb78a86e908c5624a67200f";
        let digest = PayloadDigest::of(b"hello").0;
        assert_eq!(digest.iter().map(|byte| format!("{byte:02x}")).collect::<String>(), golden);
    }

    #[test]
    fn whatever_is_changed_makes_another_message() {
        type Change = fn(&mut Statement);
        let changes: [Change; 10] = [
            |said| said.version += 1,
            |said| said.kind = Kind::Receipt,
            |said| said.origin = Origin::of_address("127.0.0.1:5001".parse().expect("an address")),
            |said| said.target = None,
            |said| said.number += 1,
            |said| said.length += 1,
            |said| said.made_at.0 += 1,
            |said| said.boot += 1,
            |said| said.digest = PayloadDigest::of(b"hellO"),
            |said| said.about = Some(MessageId([1; 16])),
        ];
        let ids = changes.iter().map(|change| {
            let mut changed = statement();
            change(&mut changed);
            changed.id()
        });
        let mut ids: Vec<MessageId> = ids.chain([statement().id()]).collect();
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), changes.len() + 1);
        assert_eq!(Immutable::from(statement()).message(), statement().id());
    }

    #[test]
    fn a_payload_fits_by_its_length_and_its_digest() {
        let fixed = Immutable::from(statement());
        assert!(fixed.is_of(b"hello"));
        assert!(!fixed.is_of(b"hellO") && !fixed.is_of(b"hell") && !fixed.is_of(b""));
    }

    #[test]
    fn a_signature_is_of_one_statement_by_one_key() {
        let (identity, other) = (Identity::from_seed(&[1; 32]), Identity::from_seed(&[2; 32]));
        let said = Statement { authentication: Authentication::Signed { key: Some(identity.public()) }, ..statement() };
        let fixed = Immutable::from(said.clone());
        let signature = fixed.hash().sign(&identity);
        assert_eq!(fixed.signer(), Some(identity.public()));
        assert!(fixed.hash().is_signed_by(identity.public(), &signature));
        assert!(!fixed.hash().is_signed_by(other.public(), &signature));
        let changed = Immutable::from(Statement { number: said.number + 1, ..said });
        assert!(!changed.hash().is_signed_by(identity.public(), &signature));
        assert_eq!(fixed.clone().signed(signature).message(), fixed.message(), "the id is known before");
    }

    #[test]
    fn an_origin_whose_id_is_its_key_need_not_name_it() {
        let key = Identity::from_seed(&[1; 32]).public();
        let said = Statement { origin: Origin::of_key(key, None), authentication: Authentication::Signed { key: None }, ..statement() };
        assert_eq!(said.signer(), Some(key));
    }
}
