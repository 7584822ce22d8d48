//! The codec, and what must hold before it may be called.
//!
//! Called with a [`Layout`], which has been found possible, and symbols that were checked against it: of the right length, of a block
//! that there is, numbered with 24 bits. Under these conditions nothing in the `raptorq` crate panics.

use super::task::{Decoded, Encoded};
use bytes::{Bytes, BytesMut};
use cicada_wire::kadcast::{Coding, Layout, RayId, SYMBOL_ALIGNMENT, Symbol, SymbolId};
use raptorq::{EncodingPacket, ObjectTransmissionInformation, PayloadId, SourceBlockDecoder, SourceBlockEncoder};

/// How a payload of this length is cut: what fits into one symbol is one, no longer than it must be; what does not, as RFC 6330
/// derives it (section 4.3) for a decoder with 10 MiB, which is what the crate does.
#[must_use]
pub fn coding_of(length: usize, symbol_bytes: u16) -> Coding {
    let most = usize::from(symbol_bytes) / SYMBOL_ALIGNMENT * SYMBOL_ALIGNMENT;
    if length <= most {
        // At most `symbol_bytes`.
        let symbol_bytes = length.next_multiple_of(SYMBOL_ALIGNMENT) as u16;
        return Coding { length: length as u64, symbol_bytes, blocks: 1, sub_blocks: 1, alignment: SYMBOL_ALIGNMENT as u8 };
    }
    let information = ObjectTransmissionInformation::with_defaults(length as u64, symbol_bytes.max(LEAST_SYMBOL_BYTES));
    Coding::from_bytes(information.serialize())
}

pub(super) fn encode(payload: &Bytes, symbol_bytes: u16, repair: usize) -> Encoded {
    let ray = RayId::of(payload);
    let coding = coding_of(payload.len(), symbol_bytes);
    let Ok(layout) = coding.layout() else {
        // Empty or too long: whoever gives the task has looked at the length.
        return Encoded { ray, coding, symbols: Vec::new() };
    };
    let mut symbols = Vec::new();
    for block in 0..layout.blocks() {
        let bytes = block_bytes(payload, &layout, block);
        if layout.symbols() == 1 {
            // Of one symbol every other is a copy: no code is needed.
            symbols.push(Symbol { id: SymbolId { block, number: 0 }, data: bytes });
            continue;
        }
        let encoder = SourceBlockEncoder::new(block, &information(&layout), &bytes);
        if coding.sub_blocks == 1 {
            symbols.extend(sources(&bytes, &layout, block));
        } else {
            symbols.extend(encoder.source_packets().into_iter().map(symbol));
        }
        // Settings bound it far below 2^24.
        symbols.extend(encoder.repair_packets(0, repair as u32).into_iter().map(symbol));
    }
    Encoded { ray, coding, symbols }
}

/// The source symbols of a whole object, as many as `keep` lets through.
pub(crate) fn source_symbols(payload: &Bytes, layout: &Layout, keep: impl Fn(SymbolId) -> bool) -> Vec<Symbol> {
    let mut symbols = Vec::new();
    for block in 0..layout.blocks() {
        for number in 0..layout.block_symbols(block) {
            // Below 2^16.
            let id = SymbolId { block, number: number as u32 };
            if keep(id) {
                symbols.push(Symbol { id, data: source_symbol(payload, layout, block, number) });
            }
        }
    }
    symbols
}

/// A source symbol is a piece of its block; where the block is cut into sub-blocks, it is a piece of each (RFC 6330, section 4.4.1.2).
pub(crate) fn source_symbol(payload: &Bytes, layout: &Layout, block: u8, number: usize) -> Bytes {
    let Coding { sub_blocks, .. } = layout.coding();
    let mut start = layout.block_start(block);
    if sub_blocks <= 1 {
        return padded(payload, start + number * layout.symbol_bytes(), layout.symbol_bytes());
    }
    // The first ones are longer by one unit of alignment, if they cannot all be of one length.
    let units = layout.symbol_bytes() / SYMBOL_ALIGNMENT;
    let (least, longer) = (units / usize::from(sub_blocks), units % usize::from(sub_blocks));
    let mut symbol = BytesMut::with_capacity(layout.symbol_bytes());
    for sub_block in 0..usize::from(sub_blocks) {
        let piece = (least + usize::from(sub_block < longer)) * SYMBOL_ALIGNMENT;
        symbol.extend_from_slice(&padded(payload, start + number * piece, piece));
        start += piece * layout.block_symbols(block);
    }
    symbol.freeze()
}

/// The bytes of a block, shared with the payload but for the last one, which may need padding.
fn block_bytes(payload: &Bytes, layout: &Layout, block: u8) -> Bytes {
    padded(payload, layout.block_start(block), layout.block_symbols(block) * layout.symbol_bytes())
}

fn padded(payload: &Bytes, start: usize, length: usize) -> Bytes {
    let end = (start + length).min(payload.len());
    let bytes = payload.slice(start.min(end)..end);
    if bytes.len() == length {
        return bytes;
    }
    let mut padded = BytesMut::zeroed(length);
    padded[..bytes.len()].copy_from_slice(&bytes);
    padded.freeze()
}

fn sources(block_bytes: &Bytes, layout: &Layout, block: u8) -> impl Iterator<Item = Symbol> {
    let length = layout.symbol_bytes();
    // Below 2^16 symbols.
    (0..layout.block_symbols(block)).map(move |number| Symbol {
        id: SymbolId { block, number: number as u32 },
        data: block_bytes.slice(number * length..(number + 1) * length),
    })
}

fn symbol(packet: EncodingPacket) -> Symbol {
    let (id, data) = packet.split();
    Symbol { id: SymbolId { block: id.source_block_number(), number: id.encoding_symbol_id() }, data: data.into() }
}

fn information(layout: &Layout) -> ObjectTransmissionInformation {
    ObjectTransmissionInformation::deserialize(&layout.coding().to_bytes())
}

pub(super) fn decode(ray: RayId, layout: &Layout, symbols: Vec<Symbol>) -> Decoded {
    let mut blocks: Vec<Vec<Symbol>> = vec![Vec::new(); layout.blocks().into()];
    for symbol in symbols {
        if layout.check(&symbol).is_ok()
            && symbol.id.number < SYMBOL_NUMBERS
            && let Some(block) = blocks.get_mut(usize::from(symbol.id.block))
        {
            block.push(symbol);
        }
    }
    let mut object = Vec::with_capacity(layout.symbols() * layout.symbol_bytes());
    for (block, mut symbols) in (0..layout.blocks()).zip(blocks) {
        if !join_sources(layout, block, &mut symbols, &mut object) && !solve(layout, block, &symbols, &mut object) {
            return Decoded::TooFew;
        }
    }
    object.truncate(layout.length());
    let object = Bytes::from(object);
    if RayId::of(&object) == ray { Decoded::Whole(object) } else { Decoded::Forged }
}

/// Where all source symbols are there, nothing need be computed.
fn join_sources(layout: &Layout, block: u8, symbols: &mut [Symbol], object: &mut Vec<u8>) -> bool {
    symbols.sort_unstable_by_key(|symbol| symbol.id.number);
    let wanted = layout.block_symbols(block);
    let in_place = |(number, symbol): (usize, &Symbol)| symbol.id.number as usize == number;
    if layout.coding().sub_blocks > 1 || symbols.len() < wanted || !symbols[..wanted].iter().enumerate().all(in_place) {
        return false;
    }
    symbols[..wanted].iter().for_each(|symbol| object.extend_from_slice(&symbol.data));
    true
}

fn solve(layout: &Layout, block: u8, symbols: &[Symbol], object: &mut Vec<u8>) -> bool {
    let block_bytes = layout.block_symbols(block) * layout.symbol_bytes();
    if symbols.len() < layout.block_symbols(block) {
        return false;
    }
    let mut decoder = SourceBlockDecoder::new(block, &information(layout), block_bytes as u64);
    let packets = symbols.iter().map(|symbol| EncodingPacket::new(PayloadId::new(block, symbol.id.number), symbol.data.to_vec()));
    match decoder.decode(packets) {
        Some(bytes) => {
            object.extend_from_slice(&bytes);
            true
        }
        None => false,
    }
}

/// RFC 6330's derivation aligns to 8 bytes from here on.
pub(crate) const LEAST_SYMBOL_BYTES: u16 = 64;

/// Symbols are numbered with 24 bits.
const SYMBOL_NUMBERS: u32 = 1 << 24;

#[cfg(test)]
mod tests;
