//! A datagram and its parts.

use super::{
    chunk::Chunk,
    identity::{Id, Nonce, REQUIRED_BITS},
    nodes::Entry,
    pull::{MAX_PULL_BYTES, Pull},
    version::Version,
};
use crate::Refusal;
use bytes::Bytes;
use std::net::SocketAddr;

/// Who sends a datagram, as it says.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Header {
    /// Its id.
    pub id: Id,
    /// Its proof of work.
    pub nonce: Nonce,
    /// The port on which it listens, whatever port it sends from.
    pub port: u16,
    /// Its network.
    pub network: u8,
    /// Whether it speaks our additions.
    pub mark: Mark,
}

/// What stands in the header's two reserved bytes, which the crate sends as zeros and ignores.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Mark {
    /// Nothing that we know.
    None,
    /// A peer of Cicada: it hands on symbols as they come, and answers a [`Pull`].
    Cicada,
}

impl Mark {
    fn to_bytes(self) -> [u8; 2] {
        match self {
            Self::None => [0; 2],
            Self::Cicada => CICADA,
        }
    }

    fn from_bytes(bytes: [u8; 2]) -> Self {
        if bytes == CICADA { Self::Cicada } else { Self::None }
    }
}

impl Header {
    /// Where the sender listens: the IP address that the datagram came from, unmapped, and the header's port.
    #[must_use]
    pub fn address(&self, source: SocketAddr) -> SocketAddr {
        SocketAddr::new(source.ip().to_canonical(), self.port)
    }

    /// Whether the id belongs to that address, and enough work was done for it. Two hashes.
    ///
    /// # Errors
    /// [`Refusal::OtherId`] or [`Refusal::TooLittleWork`].
    pub fn check(&self, source: SocketAddr) -> Result<(), Refusal> {
        if Id::of(self.address(source)) != self.id {
            return Err(Refusal::OtherId);
        }
        if self.nonce.bits(self.id) < REQUIRED_BITS {
            return Err(Refusal::TooLittleWork);
        }
        Ok(())
    }

    /// The first bytes of a datagram: its kind and this header. Those of a relay differ from those of the origin in nothing else.
    #[must_use]
    pub fn to_bytes(&self, kind: u8) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[0] = kind;
        bytes[1..17].copy_from_slice(&self.id.0);
        bytes[17..21].copy_from_slice(&self.nonce.0);
        bytes[21..23].copy_from_slice(&self.port.to_le_bytes());
        bytes[23] = self.network;
        bytes[24..].copy_from_slice(&self.mark.to_bytes());
        bytes
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, Refusal> {
        let (id, nonce) = (Id(reader.array()?), Nonce(reader.array()?));
        let port = reader.u16()?;
        let [network] = reader.array()?;
        let mark = Mark::from_bytes(reader.array()?);
        // Nobody listens on port 0.
        if port == 0 { Err(Refusal::ForbiddenAddress) } else { Ok(Self { id, nonce, port, network, mark }) }
    }
}

/// One datagram.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Message {
    /// Who sends it.
    pub header: Header,
    /// What it says.
    pub body: Body,
}

/// What a datagram says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Body {
    /// Are you there?
    Ping {
        /// The sender's version.
        version: Version,
    },
    /// I am.
    Pong {
        /// The sender's version.
        version: Version,
    },
    /// Whom do you know near this id?
    FindNodes {
        /// The sender's version.
        version: Version,
        /// Near which.
        target: Id,
    },
    /// These.
    Nodes {
        /// The sender's version.
        version: Version,
        /// Whom.
        entries: Vec<Entry>,
    },
    /// A piece of an object.
    Broadcast(Chunk),
    /// Symbols are missing: ours alone.
    Pull(Pull),
}

impl Body {
    /// The number of its kind, a datagram's first byte.
    #[must_use]
    pub fn kind(&self) -> u8 {
        match self {
            Self::Ping { .. } => PING,
            Self::Pong { .. } => PONG,
            Self::FindNodes { .. } => FIND_NODES,
            Self::Nodes { .. } => NODES,
            Self::Broadcast(_) => BROADCAST,
            Self::Pull(_) => PULL,
        }
    }
}

impl Message {
    /// Reads a datagram. What follows a complete message is ignored, as the crate does. Whether the header belongs to the sender is
    /// [`Header::check`]'s to say.
    ///
    /// # Errors
    /// [`Refusal::Malformed`] and other reasons if it is none of Kadcast's.
    pub fn parse(datagram: &Bytes) -> Result<Self, Refusal> {
        let reader = &mut Reader { datagram, at: 0 };
        let [kind] = reader.array()?;
        let header = Header::read(reader)?;
        let body = match kind {
            PING => Body::Ping { version: reader.version()? },
            PONG => Body::Pong { version: reader.version()? },
            FIND_NODES => Body::FindNodes { version: reader.version()?, target: Id(reader.array()?) },
            NODES => Body::Nodes { version: reader.version()?, entries: reader.entries()? },
            BROADCAST => Body::Broadcast(Chunk::read(reader)?),
            PULL => Body::Pull(Pull::read(reader)?),
            _ => return Err(Refusal::Malformed),
        };
        Ok(Self { header, body })
    }

    /// Writes a datagram.
    ///
    /// # Errors
    /// When Kadcast has no bytes for it, or everybody would drop it.
    pub fn encode(&self) -> Result<Bytes, Unsayable> {
        if self.header.nonce.bits(self.header.id) < REQUIRED_BITS {
            return Err(Unsayable::Work);
        }
        let mut bytes = self.header.to_bytes(self.body.kind()).to_vec();
        match &self.body {
            Body::Ping { version } | Body::Pong { version } => bytes.extend(version.to_bytes()),
            Body::FindNodes { version, target } => {
                bytes.extend(version.to_bytes());
                bytes.extend(target.0);
            }
            Body::Nodes { version, entries } => {
                bytes.extend(version.to_bytes());
                bytes.extend(u16::try_from(entries.len()).map_err(|_| Unsayable::TooLong)?.to_le_bytes());
                entries.iter().try_for_each(|entry| entry.write(&mut bytes))?;
            }
            Body::Broadcast(chunk) => chunk.write(&mut bytes)?,
            Body::Pull(pull) if pull.held.len() > MAX_PULL_BYTES => return Err(Unsayable::TooLong),
            Body::Pull(pull) => pull.write(&mut bytes),
        }
        if bytes.len() > MAX_UDP_BYTES { Err(Unsayable::TooLong) } else { Ok(bytes.into()) }
    }
}

/// What the dialect has no bytes for. Nothing was written.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Unsayable {
    /// An IPv4 address that begins with 0 would be read as an IPv6 one.
    #[error("the address {0} cannot be said: an IPv4 address that begins with 0")]
    Address(SocketAddr),
    /// The header's nonce proves too little work: everybody would drop it.
    #[error("the nonce proves less than {REQUIRED_BITS} bits of work")]
    Work,
    /// A symbol without bytes, or longer than any peer takes, or with a number beyond 24 bits.
    #[error("a symbol that no peer would take")]
    Symbol,
    /// It does not fit into a datagram.
    #[error("longer than a datagram")]
    TooLong,
}

/// Reads from the front of a datagram.
pub(super) struct Reader<'a> {
    datagram: &'a Bytes,
    at: usize,
}

impl Reader<'_> {
    pub(super) fn array<const LENGTH: usize>(&mut self) -> Result<[u8; LENGTH], Refusal> {
        let rest = self.datagram.get(self.at..).ok_or(Refusal::Malformed)?;
        let bytes = *rest.first_chunk().ok_or(Refusal::Malformed)?;
        self.at += LENGTH;
        Ok(bytes)
    }

    pub(super) fn u16(&mut self) -> Result<u16, Refusal> {
        self.array().map(u16::from_le_bytes)
    }

    pub(super) fn u32(&mut self) -> Result<u32, Refusal> {
        self.array().map(u32::from_le_bytes)
    }

    /// As many bytes, shared with the datagram.
    pub(super) fn bytes(&mut self, length: usize) -> Result<Bytes, Refusal> {
        let end = self.at.checked_add(length).filter(|end| *end <= self.datagram.len()).ok_or(Refusal::Malformed)?;
        let bytes = self.datagram.slice(self.at..end);
        self.at = end;
        Ok(bytes)
    }

    fn version(&mut self) -> Result<Version, Refusal> {
        self.array().map(Version::from_bytes)
    }

    fn entries(&mut self) -> Result<Vec<Entry>, Refusal> {
        let count = usize::from(self.u16()?);
        // Room for what is there, not for what is claimed.
        let possible = (self.datagram.len() - self.at) / Entry::LEAST_BYTES;
        if count > possible {
            return Err(Refusal::Malformed);
        }
        (0..count).map(|_| Entry::read(self)).collect()
    }
}

/// Kind, id, nonce, port, network and two reserved bytes.
pub const HEADER_BYTES: usize = 26;

/// What a chunk's datagram has beside its symbol.
pub const CHUNK_OVERHEAD_BYTES: usize = 79;

/// The most that a UDP datagram carries over IPv4.
pub const MAX_UDP_BYTES: usize = 65_507;

const PING: u8 = 0;
const PONG: u8 = 1;
const FIND_NODES: u8 = 2;
const NODES: u8 = 3;
const BROADCAST: u8 = 10;
/// Far from the crate's, which has used 0 to 3 and 10.
const PULL: u8 = 100;

/// "CI", and the version of our additions.
const CICADA: [u8; 2] = [0xC1, 0x01];
