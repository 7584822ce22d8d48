//! What peers say to each other beside links: proofs of an address, and questions to those one has no link with.
//!
//! Datagrams share the socket of the links and are sealed for the swarm ([`crate::DatagramKey::seal`]).

use crate::{
    codec::{ParseError, as_bytes, decode_all, encode},
    frame::{Introduction, Query, Reply, Ticket},
    identity::{Identity, Signature},
    known::RecordName,
    record::SignedRecord,
    swarm::DatagramKey,
};
use minicbor::{
    CborLen, Decode, Decoder, Encode, Encoder,
    decode::Error as DecodeError,
    encode::{Error as EncodeError, Write},
};

/// No datagram is longer, sealed: what every path of the internet carries (RFC 9000, section 14).
pub const MAX_DATAGRAM_BYTES: usize = 1200;

const ANSWER_CONTEXT: &[u8] = b"cicada answer v1\0";

/// "Do you answer from this address with your key?" The nonce is random and hard to guess.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Challenge(pub [u8; 16]);
as_bytes!(Challenge, 16, |challenge| challenge.0, |bytes| Challenge(bytes));

/// "I do."
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, CborLen)]
pub struct Answer {
    /// Repeats the challenge.
    #[n(0)]
    pub challenge: Challenge,
    /// Who answers.
    #[n(1)]
    pub record: SignedRecord,
    /// By the record's key, over both.
    #[n(2)]
    pub signature: Signature,
}

impl Answer {
    /// What an answerer signs.
    #[must_use]
    pub fn signed_message(challenge: Challenge, record: &SignedRecord) -> Vec<u8> {
        [ANSWER_CONTEXT, &challenge.0, record.signed_bytes()].concat()
    }

    /// Answers a challenge.
    #[must_use]
    pub fn sign(challenge: Challenge, record: SignedRecord, identity: &Identity) -> Self {
        let signature = identity.sign(&Self::signed_message(challenge, &record));
        Self { challenge, record, signature }
    }

    /// Whether both the record and the answer are signed by the record's key.
    #[must_use]
    pub fn verify(&self) -> bool {
        let message = Self::signed_message(self.challenge, &self.record);
        self.record.verify() && self.record.key().verify(&message, &self.signature)
    }
}

/// "I do, and my record is the one that you named", or that it is another.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode, CborLen)]
pub struct BriefAnswer {
    /// Repeats the challenge.
    #[n(0)]
    pub challenge: Challenge,
    /// As in an [`Answer`] with the record of that name. None if there is another record now, for which the challenge is too short.
    #[n(1)]
    pub signature: Option<Signature>,
}

/// Zero bytes that make a question as long as its answer may be, so that nobody's address can be flooded by asking in its name.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Padding(pub u16);

impl<C> Encode<C> for Padding {
    fn encode<W: Write>(&self, e: &mut Encoder<W>, _: &mut C) -> Result<(), EncodeError<W::Error>> {
        e.bytes(&[0; MAX_DATAGRAM_BYTES][..usize::from(self.0).min(MAX_DATAGRAM_BYTES)])?.ok()
    }
}

impl<'b, C> Decode<'b, C> for Padding {
    fn decode(d: &mut Decoder<'b>, _: &mut C) -> Result<Self, DecodeError> {
        let bytes = d.bytes()?;
        if bytes.len() > MAX_DATAGRAM_BYTES || bytes.iter().any(|byte| *byte != 0) {
            return Err(DecodeError::message("padding is zeros"));
        }
        // The bound above is below 2^16.
        Ok(Self(bytes.len() as u16))
    }
}

impl<C> CborLen<C> for Padding {
    fn cbor_len(&self, context: &mut C) -> usize {
        let length = usize::from(self.0).min(MAX_DATAGRAM_BYTES);
        length.cbor_len(context) + length
    }
}

/// What is said beside links.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, CborLen)]
pub enum Datagram {
    /// Asks for proof of an address; with the name of the record that the asker has and wants to see proven, if it has one.
    #[n(0)]
    Challenge(#[n(0)] Challenge, #[n(1)] Padding, #[n(2)] Option<RecordName>),
    /// Gives it.
    #[n(1)]
    Answer(#[n(0)] Answer),
    /// A question, with who asks (members only; clients ask namelessly).
    #[n(2)]
    Query(#[n(0)] Ticket, #[n(1)] Option<SignedRecord>, #[n(2)] Query, #[n(3)] Padding),
    /// An answer.
    #[n(3)]
    Reply(#[n(0)] Ticket, #[n(1)] Reply),
    /// Records worth knowing.
    #[n(4)]
    Introduce(#[n(0)] Introduction),
    /// Gives proof to who has the record.
    #[n(5)]
    BriefAnswer(#[n(0)] BriefAnswer),
}

impl Datagram {
    /// No datagram is longer before it is sealed.
    pub const MAX_BYTES: usize = MAX_DATAGRAM_BYTES - DatagramKey::SEAL_BYTES;

    /// The bytes that [`Self::parse`] reads, before sealing.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        encode(self)
    }

    /// How many bytes [`Self::to_bytes`] makes, without making them.
    #[must_use]
    pub fn len_bytes(&self) -> usize {
        minicbor::len(self)
    }

    /// Reads an opened datagram.
    ///
    /// # Errors
    /// When the bytes are no datagram.
    pub fn parse(bytes: &[u8]) -> Result<Self, ParseError> {
        if bytes.len() > Self::MAX_BYTES {
            return Err(ParseError::too_large("a datagram over the limit"));
        }
        let datagram: Self = decode_all(bytes)?;
        match &datagram {
            Self::Query(_, _, query, _) => query.check(),
            Self::Reply(_, reply) => reply.check(),
            Self::Introduce(introduction) => introduction.check(),
            Self::Challenge(..) | Self::Answer(_) | Self::BriefAnswer(_) => Ok(()),
        }
        .map_err(ParseError::malformed)?;
        Ok(datagram)
    }
}
