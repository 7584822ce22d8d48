//! The header of every message that travels through the swarm.
//!
//! The [`Immutable`] part is the origin's, see [`crate::Statement`]: relays pass it on as it is. The
//! [`Mutable`] part belongs to the hop: each relay writes its own.

use crate::{
    address::Address,
    codec::{as_bytes, numbered},
    hash::{Hash, Reach},
    identity::PublicKey,
    record::{IdKind, PeerId},
    refusal::Refusal,
    session::Credential,
    statement::{Authentication, Immutable, MessageId, Statement},
};
use minicbor::{
    CborLen, Decode, Decoder, Encode, Encoder,
    decode::Error as DecodeError,
    encode::{Error as EncodeError, Write},
};
use std::fmt;

/// The most links that a message may travel.
pub const MAX_HOPS: u8 = 32; // 0.5 log2 N + 0.5 is 9 at N = 100 000; the rest is for detours

/// The most relays that an origin may choose for a copy.
pub const MAX_SOURCE_ROUTE: usize = 8;

/// The most peers that a broadcast may exclude.
pub const MAX_EXCLUDED: usize = 64; // guess: 2 KiB of ids

/// No header is longer: the paths and the exclusions at their limits.
pub const MAX_HEADER_BYTES: usize = 8 * 1024;

/// A broadcast's name where many are named: the first 6 bytes of its id.
///
/// 48 bits are enough. Honest ids are as random: of the 6000 broadcasts that a swarm remembers at 200 a second two share a name
/// once in 15 million times. Nobody can make two honest messages meet, since neither is his; to make his own meet an honest one he
/// has half a minute from when he learns its id, and 2^48 hashes to make: the work of a thousand graphics cards. Even then only peers that have got his message go without the repair of the other,
/// which they would need only if those who should have handed it to them failed as well.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShortId(pub [u8; ShortId::BYTES]);
as_bytes!(ShortId, 6, |id| id.0, |bytes| ShortId(bytes));

impl ShortId {
    /// How many bytes name a broadcast.
    pub const BYTES: usize = 6;

    /// The name of the broadcast with this id.
    #[must_use]
    pub fn of(message: MessageId) -> Self {
        let mut short = [0; Self::BYTES];
        short.copy_from_slice(&message.0[..Self::BYTES]);
        Self(short)
    }
}

impl fmt::Debug for ShortId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("s")?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// What a message is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Kind {
    /// For one peer.
    Unicast,
    /// The target's answer to a unicast, for its origin.
    Receipt,
    /// For everybody.
    Broadcast,
}
numbered!(Kind { Unicast = 0, Receipt = 1, Broadcast = 2 });

/// Who made a message, with what its id is made of.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Origin {
    id: PeerId,
    key: Option<PublicKey>,
    address: Option<Address>,
}

#[derive(Encode, Decode, CborLen)]
enum OriginForm {
    #[n(0)]
    Address(#[n(0)] Address),
    #[n(1)]
    Key(#[n(0)] PublicKey, #[n(1)] Option<Address>),
    #[n(2)]
    Data(#[n(0)] Hash, #[n(1)] Option<Address>),
}

impl Origin {
    /// A member whose id is that of its address.
    #[must_use]
    pub fn of_address(address: Address) -> Self {
        let id = PeerId { kind: IdKind::Address, hash: address.id() };
        Self { id, key: None, address: Some(address) }
    }

    /// A peer whose id is that of its key.
    #[must_use]
    pub fn of_key(key: PublicKey, address: Option<Address>) -> Self {
        Self { id: PeerId { kind: IdKind::Key, hash: key.id() }, key: Some(key), address }
    }

    /// A bare node.
    #[must_use]
    pub fn of_data(hash: Hash, address: Option<Address>) -> Self {
        Self { id: PeerId { kind: IdKind::Data, hash }, key: None, address }
    }

    /// The origin that a record describes.
    #[must_use]
    pub fn of_record(record: &crate::record::SignedRecord) -> Self {
        let (id, address) = (record.peer_id(), record.announced());
        let key = match id.kind {
            IdKind::Key => Some(record.key()),
            IdKind::Address | IdKind::Data => None,
        };
        Self { id, key, address }
    }

    /// Where the origin stands on the circle.
    #[must_use]
    pub fn id(&self) -> Hash {
        self.id.hash
    }

    /// The id with how it is proven.
    #[must_use]
    pub fn peer_id(&self) -> PeerId {
        self.id
    }

    /// The address that the origin says it has.
    #[must_use]
    pub fn address(&self) -> Option<Address> {
        self.address
    }

    /// The origin's key, if its id is made of that.
    #[must_use]
    pub fn key(&self) -> Option<PublicKey> {
        self.key
    }

    fn form(&self) -> OriginForm {
        match (self.id.kind, self.key, self.address) {
            (IdKind::Address, _, Some(address)) => OriginForm::Address(address),
            (IdKind::Key, Some(key), address) => OriginForm::Key(key, address),
            (IdKind::Address | IdKind::Key | IdKind::Data, _, address) => OriginForm::Data(self.id.hash, address),
        }
    }
}

impl fmt::Debug for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.id.fmt(f)
    }
}

impl<C> Encode<C> for Origin {
    fn encode<W: Write>(&self, e: &mut Encoder<W>, context: &mut C) -> Result<(), EncodeError<W::Error>> {
        self.form().encode(e, context)
    }
}

impl<'b, C> Decode<'b, C> for Origin {
    fn decode(d: &mut Decoder<'b>, context: &mut C) -> Result<Self, DecodeError> {
        Ok(match OriginForm::decode(d, context)? {
            OriginForm::Address(address) => Self::of_address(address),
            OriginForm::Key(key, address) => Self::of_key(key, address),
            OriginForm::Data(hash, address) => Self::of_data(hash, address),
        })
    }
}

impl<C> CborLen<C> for Origin {
    fn cbor_len(&self, context: &mut C) -> usize {
        self.form().cbor_len(context)
    }
}

/// The part of a header that each relay writes anew.
#[derive(Clone, PartialEq, Eq, Debug, Default, Encode, Decode, CborLen)]
pub struct Mutable {
    /// How many more links the message may travel, this one included.
    #[n(0)]
    pub hop_limit: u8,
    /// A label for messages of one flow.
    #[n(1)]
    pub flow: u32,
    /// Which copy of the message this is, 0 for the first.
    #[n(2)]
    pub copy: u8,
    /// Relays still to visit, chosen by the origin; at most [`MAX_SOURCE_ROUTE`].
    #[n(3)]
    pub route: Vec<Hash>,
    /// Of a unicast: relays visited, as they themselves say; at most [`MAX_HOPS`].
    #[n(4)]
    pub path: Vec<Hash>,
    /// The message has reached the member responsible for its target, which may hand it only to the target itself.
    #[n(5)]
    pub last: bool,
    /// For broadcasts: whom the receiver is to cover.
    #[n(6)]
    pub reach: Option<Reach>,
    /// How often the message left the greedy way because nobody nearer could be linked.
    #[cbor(n(7), default)]
    pub detours: u8,
    /// Address families among whose members the target is not: 1 for IPv4, 2 for IPv6, 3 for both.
    #[cbor(n(8), default)]
    pub absent: u8,
    /// Nobody waits to hear that the message has arrived: what says so may wait a moment for company.
    #[cbor(n(9), default)]
    pub patient: bool,
}

/// What a message carries with its payload.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, CborLen)]
pub struct Header {
    /// The origin's part.
    #[n(0)]
    pub fixed: Immutable,
    /// The hop's part.
    #[n(1)]
    pub hop: Mutable,
}

impl Header {
    pub(crate) fn check(&self) -> Result<(), &'static str> {
        if self.fixed.version != Statement::VERSION {
            return Err("a message of another version");
        }
        if self.hop.route.len() > MAX_SOURCE_ROUTE {
            return Err("a source route over the limit");
        }
        if self.hop.path.len() > usize::from(MAX_HOPS) || self.hop.hop_limit > MAX_HOPS {
            return Err("a path over the limit");
        }
        if self.fixed.kind == Kind::Broadcast && !self.hop.path.is_empty() {
            return Err("a broadcast with a path");
        }
        let signs = matches!(self.fixed.authentication, Authentication::Signed { .. });
        if signs != self.fixed.signature().is_some() || signs != self.fixed.signer().is_some() {
            return Err("a signature where there should be none, or the reverse, or nobody's");
        }
        if self.fixed.target.is_none() != (self.fixed.kind == Kind::Broadcast) {
            return Err("a target where there should be none, or the reverse");
        }
        if self.fixed.about.is_some() != (self.fixed.kind == Kind::Receipt) {
            return Err("about a message where there should be none, or the reverse");
        }
        Ok(())
    }
}

/// What a target says of a message, in the payload of a receipt.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, CborLen)]
pub struct Status {
    /// The copy that this is about.
    #[n(0)]
    pub copy: u8,
    /// `None`: accepted for the application. Otherwise why not, for example [`Refusal::Busy`] or [`Refusal::NoSuchPeer`].
    #[n(1)]
    pub refusal: Option<Refusal>,
    /// The relays that the copy visited, as they themselves say.
    #[n(2)]
    pub path: Vec<Hash>,
    /// With [`Refusal::OtherBoot`]: the target's boot number.
    #[cbor(n(3), default)]
    pub boot: Option<u64>,
    /// With [`Refusal::KeyWanted`]: what is needed to seal to the target.
    #[cbor(n(4), default)]
    pub credential: Option<Credential>,
}

impl Status {
    /// The bytes that [`Self::parse`] reads.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        crate::codec::encode(self)
    }

    /// Reads a receipt's payload.
    ///
    /// # Errors
    /// When the bytes are no status.
    pub fn parse(bytes: &[u8]) -> Result<Self, crate::codec::ParseError> {
        let status: Self = crate::codec::decode_all(bytes)?;
        if status.path.len() > usize::from(MAX_HOPS) {
            return Err(crate::codec::ParseError::malformed("a path over the limit"));
        }
        Ok(status)
    }
}
