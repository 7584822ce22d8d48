//! Work for the codec, as values that any thread can do.

use super::codec;
use bytes::Bytes;
use cicada_wire::kadcast::{Coding, Layout, RayId, Symbol};

/// One piece of work. [`Task::run`] is a plain function of it: it may run on any thread, or at once.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Task {
    /// Name a payload and cut it into symbols.
    Encode {
        /// The payload, not empty.
        payload: Bytes,
        /// The most bytes of a symbol.
        symbol_bytes: u16,
        /// How many repair symbols follow, for each block.
        repair: usize,
    },
    /// Put an object together from symbols, and check it against its name.
    Decode {
        /// The name.
        ray: RayId,
        /// How it is coded.
        layout: Layout,
        /// The symbols, each once.
        symbols: Vec<Symbol>,
    },
}

/// What came of a [`Task`].
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Outcome {
    /// Of `Encode`.
    Encoded(Encoded),
    /// Of `Decode`.
    Decoded(Decoded),
}

/// A payload as symbols.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Encoded {
    /// Its name.
    pub ray: RayId,
    /// How it is coded.
    pub coding: Coding,
    /// Block by block, source symbols first.
    pub symbols: Vec<Symbol>,
}

/// What became of a set of symbols.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Decoded {
    /// They make the object.
    Whole(Bytes),
    /// They do not suffice yet.
    TooFew,
    /// They make something else: at least one of them is forged.
    Forged,
}

impl Task {
    /// Does the work.
    #[must_use]
    pub fn run(self) -> Outcome {
        match self {
            Self::Encode { payload, symbol_bytes, repair } => Outcome::Encoded(codec::encode(&payload, symbol_bytes, repair)),
            Self::Decode { ray, layout, symbols } => Outcome::Decoded(codec::decode(ray, &layout, symbols)),
        }
    }
}
