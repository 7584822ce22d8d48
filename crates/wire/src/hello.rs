//! The hello: the first thing said on a link, by the dialler first.
//!
//! The listener reveals nothing of itself before the dialler has proven the swarm's secret.

use crate::{
    codec::{ParseError, decode_all, encode, numbered},
    record::{Capabilities, IdKind, SignedRecord},
    refusal::Refusal,
};
use minicbor::{CborLen, Decode, Encode};

/// The version of the dialect that this crate speaks.
pub const HELLO_VERSION: u16 = 1;

/// Which overlay the members of a swarm form.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub enum OverlayKind {
    /// Chord's ring.
    #[default]
    Ring,
    /// Kademlia's tree.
    Tree,
}
numbered!(OverlayKind { Ring = 0, Tree = 1 });

impl std::fmt::Display for OverlayKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::Ring => "ring",
            Self::Tree => "tree",
        })
    }
}

/// What an overlay is used for. The two do not mix.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub enum Purpose {
    /// A swarm: messages, broadcasts, streams.
    #[default]
    Swarm,
    /// Bare nodes that join, look up, and carry opaque payloads of their owners.
    Bare,
}
numbered!(Purpose { Swarm = 0, Bare = 1 });

/// What each end of a link says of itself first.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, CborLen)]
pub struct Hello {
    /// [`HELLO_VERSION`] of the speaker.
    #[n(0)]
    pub version: u16,
    /// Which swarm, see [`crate::SwarmKeys::tag`].
    #[cbor(n(1), with = "minicbor::bytes")]
    pub swarm: [u8; 8],
    /// Which overlay.
    #[n(2)]
    pub overlay: OverlayKind,
    /// What for.
    #[n(3)]
    pub purpose: Purpose,
    /// Which kind of id this swarm's members have.
    #[n(4)]
    pub member_ids: IdKind,
    /// Proof of the swarm's secret, see [`crate::SwarmKeys::link_proof`].
    #[cbor(n(5), with = "minicbor::bytes")]
    pub proof: [u8; 32],
    /// What the speaker can do on this link.
    #[n(6)]
    pub capabilities: Capabilities,
    /// Who the speaker is.
    #[n(7)]
    pub record: SignedRecord,
    /// Drawn anew at each start of the speaker.
    #[n(8)]
    pub boot: u64,
}

impl Hello {
    /// No hello is longer.
    pub const MAX_BYTES: usize = 1024;

    /// The bytes that [`Self::parse`] reads.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        encode(self)
    }

    /// Reads a dialler's hello.
    ///
    /// # Errors
    /// When the bytes are no hello.
    pub fn parse(bytes: &[u8]) -> Result<Self, ParseError> {
        if bytes.len() > Self::MAX_BYTES {
            return Err(ParseError::too_large("a hello over the limit"));
        }
        decode_all(bytes)
    }
}

/// The listener's answer.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, CborLen)]
pub enum HelloReply {
    /// The link stands once the dialler finds nothing wrong with this hello.
    #[n(0)]
    Welcome(#[n(0)] Hello),
    /// The link is closed, for this reason.
    #[n(1)]
    Refused(#[n(0)] Refusal),
}

impl HelloReply {
    /// The bytes that [`Self::parse`] reads.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        encode(self)
    }

    /// Reads a listener's answer.
    ///
    /// # Errors
    /// When the bytes are no answer.
    pub fn parse(bytes: &[u8]) -> Result<Self, ParseError> {
        if bytes.len() > Hello::MAX_BYTES + 8 {
            return Err(ParseError::too_large("a hello over the limit"));
        }
        decode_all(bytes)
    }
}
