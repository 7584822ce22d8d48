//! A piece of a broadcast object: which object, how it is coded (RFC 6330), and one symbol of it.

use super::message::{Reader, Unsayable};
use crate::Refusal;
use blake2::{Blake2s256, Digest};
use bytes::Bytes;
use std::fmt;

/// The name of an object: the BLAKE2s hash of its length and its bytes. What is received can be checked against it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RayId(pub [u8; 32]);

impl RayId {
    /// The name of this payload, of at most 4 GiB.
    #[must_use]
    pub fn of(payload: &[u8]) -> Self {
        // What is longer than 4 GiB cannot be sent: see MAX_OBJECT_BYTES.
        let length = (payload.len() as u32).to_le_bytes();
        Self(Blake2s256::new().chain_update(length).chain_update(payload).finalize().into())
    }
}

impl fmt::Debug for RayId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0[..4].iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Display for RayId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// How an object is cut into symbols, as a chunk claims it: RFC 6330's object transmission information, 12 bytes. Nothing follows
/// from it until [`Coding::layout`] has found it possible.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Coding {
    /// The object's length; F.
    pub length: u64,
    /// A symbol's length; T.
    pub symbol_bytes: u16,
    /// Into how many blocks it is cut; Z.
    pub blocks: u8,
    /// Into how many sub-blocks a block is; N.
    pub sub_blocks: u16,
    /// What every length is a multiple of; Al.
    pub alignment: u8,
}

impl Coding {
    /// The 12 bytes. Lengths of 2^40 and more are cut.
    #[must_use]
    pub fn to_bytes(self) -> [u8; 12] {
        let [_, _, _, f0, f1, f2, f3, f4] = self.length.to_be_bytes();
        let ([t0, t1], [n0, n1]) = (self.symbol_bytes.to_be_bytes(), self.sub_blocks.to_be_bytes());
        [f0, f1, f2, f3, f4, 0, t0, t1, self.blocks, n0, n1, self.alignment]
    }

    /// From 12 bytes, whatever they say. The sixth is reserved and ignored.
    #[must_use]
    pub fn from_bytes([f0, f1, f2, f3, f4, _, t0, t1, blocks, n0, n1, alignment]: [u8; 12]) -> Self {
        Self {
            length: u64::from_be_bytes([0, 0, 0, f0, f1, f2, f3, f4]),
            symbol_bytes: u16::from_be_bytes([t0, t1]),
            blocks,
            sub_blocks: u16::from_be_bytes([n0, n1]),
            alignment,
        }
    }

    /// The layout that this describes, if it is one that Kadcast knows and a codec can work with.
    ///
    /// # Errors
    /// [`Refusal::BadCoding`]: F of 0 or too large, T of 0, too large or no multiple of Al, Al other than 8, Z or N of 0, more blocks than
    /// symbols, more sub-blocks than units of a symbol, more symbols in a block than RFC 6330 codes.
    pub fn layout(self) -> Result<Layout, Refusal> {
        let symbol_bytes = usize::from(self.symbol_bytes);
        let possible = (1..=MAX_OBJECT_BYTES as u64).contains(&self.length)
            && (1..=MAX_SYMBOL_BYTES).contains(&symbol_bytes)
            && usize::from(self.alignment) == SYMBOL_ALIGNMENT
            && symbol_bytes.is_multiple_of(SYMBOL_ALIGNMENT)
            && self.blocks > 0
            && (1..=symbol_bytes / SYMBOL_ALIGNMENT).contains(&usize::from(self.sub_blocks));
        if !possible {
            return Err(Refusal::BadCoding);
        }
        // Below MAX_OBJECT_BYTES.
        let length = self.length as usize;
        let symbols = length.div_ceil(symbol_bytes);
        let blocks = usize::from(self.blocks);
        if blocks > symbols || symbols.div_ceil(blocks) > MAX_BLOCK_SYMBOLS {
            return Err(Refusal::BadCoding);
        }
        Ok(Layout { coding: self, length, symbols })
    }
}

/// A [`Coding`] that was found possible: how many symbols there are, and in which blocks.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Layout {
    coding: Coding,
    length: usize,
    symbols: usize,
}

impl Layout {
    /// What it was made of.
    #[must_use]
    pub fn coding(&self) -> Coding {
        self.coding
    }

    /// The object's length.
    #[must_use]
    pub fn length(&self) -> usize {
        self.length
    }

    /// A symbol's length.
    #[must_use]
    pub fn symbol_bytes(&self) -> usize {
        self.coding.symbol_bytes.into()
    }

    /// How many source symbols the object has.
    #[must_use]
    pub fn symbols(&self) -> usize {
        self.symbols
    }

    /// How many blocks it has.
    #[must_use]
    pub fn blocks(&self) -> u8 {
        self.coding.blocks
    }

    /// How many source symbols this block has: K. The first blocks have one more where it does not come out even (RFC 6330, section
    /// 4.4.1.2). 0 if there is no such block.
    #[must_use]
    pub fn block_symbols(&self, block: u8) -> usize {
        let (blocks, block) = (usize::from(self.coding.blocks), usize::from(block));
        if block >= blocks {
            return 0;
        }
        self.symbols / blocks + usize::from(block < self.symbols % blocks)
    }

    /// Where in the object this block begins.
    #[must_use]
    pub fn block_start(&self, block: u8) -> usize {
        let (blocks, block) = (usize::from(self.coding.blocks), usize::from(block));
        let before = block * (self.symbols / blocks) + block.min(self.symbols % blocks);
        before * self.symbol_bytes()
    }

    /// Whether a chunk may carry this symbol.
    ///
    /// # Errors
    /// [`Refusal::BadSymbol`] if it is too short or too long, or of no block of this object.
    pub fn check(&self, symbol: &Symbol) -> Result<(), Refusal> {
        let fits = symbol.data.len() == self.symbol_bytes() && symbol.id.block < self.coding.blocks;
        if fits { Ok(()) } else { Err(Refusal::BadSymbol) }
    }
}

/// Which symbol of an object: RFC 6330's payload id.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct SymbolId {
    /// Its block.
    pub block: u8,
    /// Its number in the block, below 2^24; from K on they are repair symbols.
    pub number: u32,
}

/// One symbol.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Symbol {
    /// Which.
    pub id: SymbolId,
    /// What it says.
    pub data: Bytes,
}

/// What a BROADCAST carries.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Chunk {
    /// Serve all buckets below this one; 0: nobody.
    pub height: u8,
    /// Of which object.
    pub ray: RayId,
    /// How it is coded, as the sender says.
    pub coding: Coding,
    /// A symbol of it.
    pub symbol: Symbol,
}

impl Chunk {
    pub(super) fn write(&self, bytes: &mut Vec<u8>) -> Result<(), Unsayable> {
        if self.symbol.data.is_empty() || self.symbol.data.len() > MAX_SYMBOL_BYTES || self.symbol.id.number >= SYMBOL_NUMBERS {
            return Err(Unsayable::Symbol);
        }
        bytes.push(self.height);
        let length = CHUNK_HEAD_BYTES + self.symbol.data.len();
        bytes.extend((length as u32).to_le_bytes()); // at most 8240
        bytes.extend(self.ray.0);
        bytes.extend(self.coding.to_bytes());
        let [_, n0, n1, n2] = self.symbol.id.number.to_be_bytes();
        bytes.extend([self.symbol.id.block, n0, n1, n2]);
        bytes.extend(&self.symbol.data);
        Ok(())
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, Refusal> {
        let [height] = reader.array()?;
        let length = usize::try_from(reader.u32()?).map_err(|_| Refusal::Malformed)?;
        let symbol_bytes = length.checked_sub(CHUNK_HEAD_BYTES).filter(|bytes| *bytes > 0).ok_or(Refusal::Malformed)?;
        let ray = RayId(reader.array()?);
        let coding = Coding::from_bytes(reader.array()?);
        let [block, n0, n1, n2] = reader.array()?;
        let id = SymbolId { block, number: u32::from_be_bytes([0, n0, n1, n2]) };
        Ok(Self { height, ray, coding, symbol: Symbol { id, data: reader.bytes(symbol_bytes)? } })
    }
}

/// Ray id, coding, symbol id.
const CHUNK_HEAD_BYTES: usize = 48;

/// The crate's decoder refuses objects of 10 MiB and more.
pub const MAX_OBJECT_BYTES: usize = 10 * 1024 * 1024 - 1;

/// The crate's decoder refuses longer symbols.
pub const MAX_SYMBOL_BYTES: usize = 8192;

/// The only alignment that the crate takes.
pub const SYMBOL_ALIGNMENT: usize = 8;

/// RFC 6330, section 5.1.2: K'_max.
const MAX_BLOCK_SYMBOLS: usize = 56_403;

/// Symbols are numbered with 24 bits.
const SYMBOL_NUMBERS: u32 = 1 << 24;
