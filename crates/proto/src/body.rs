//! Payloads: whole, or still arriving while they are handed on.
//!
//! The head of a long frame comes first, as [`crate::Input::Arriving`]; its payload stays with the shell, which the node tells what
//! to do with it: hand it on over links while it arrives ([`crate::Transmit::Stream`]), collect it
//! ([`crate::Transmit::Collect`]), which ends in [`crate::Input::Arrived`], or let it go ([`crate::Transmit::Discard`]). When one
//! stops arriving the node hears [`crate::Input::Broken`]; what was collected of it stays, and can be gone on with from elsewhere
//! ([`crate::Transmit::Append`]).

use bytes::Bytes;

/// Numbers a payload that arrives piece by piece. Chosen by the shell, never used twice.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct BodyId(pub u64);

/// Numbers a payload that leaves over a link piece by piece. Chosen by the node, never used twice.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct StreamId(pub u64);

/// A payload in the hands of a node.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Body {
    /// All of it is here.
    Whole(Bytes),
    /// It is with the shell, and may still be arriving.
    Arriving {
        /// Which.
        body: BodyId,
        /// How many bytes it will have.
        length: usize,
    },
}

impl Body {
    /// How many bytes it has, or will have.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Whole(bytes) => bytes.len(),
            Self::Arriving { length, .. } => *length,
        }
    }

    /// Whether it has no bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether it travels piece by piece.
    #[must_use]
    pub fn is_long(&self) -> bool {
        self.len() > LONG_BYTES
    }

    pub(crate) fn is(&self, which: BodyId) -> bool {
        self.arriving() == Some(which)
    }

    /// Its number, if it is not whole.
    pub(crate) fn arriving(&self) -> Option<BodyId> {
        match self {
            Self::Whole(_) => None,
            Self::Arriving { body, .. } => Some(*body),
        }
    }
}

/// Longer payloads are handed on while they arrive.
pub const LONG_BYTES: usize = 16 * 1024; // guess: a dozen packets
