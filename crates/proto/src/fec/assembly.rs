//! An object on its way in: the symbols that are there, who brought them, and which of them to try when some are forged.
//!
//! What it holds is what was brought, never what was claimed. A symbol cannot be checked by itself; only the whole object can, against
//! its name. So when a try fails, others follow: without what one sender brought, for each sender; then without a piece of what came,
//! for each piece as large as the redundancy allows. Each costs one decoding, and there are no more of them than a limit.

use bytes::Bytes;
use cicada_wire::kadcast::{Layout, Symbol, SymbolId};
use std::{collections::BTreeMap, net::SocketAddr};

/// The symbols of one object in one coding.
#[derive(Debug)]
pub(crate) struct Assembly {
    layout: Layout,
    symbols: BTreeMap<SymbolId, Vec<Held>>,
    /// By block: how many different symbols are there, and how many of them are source symbols.
    counts: Vec<Count>,
    senders: Vec<SocketAddr>,
    arrived: usize,
    bytes: usize,
    /// Which try comes next.
    step: usize,
    tries: u32,
}

#[derive(Debug, Clone, Copy, Default)]
struct Count {
    symbols: usize,
    sources: usize,
}

#[derive(Debug)]
struct Held {
    data: Bytes,
    sender: usize,
    order: usize,
}

/// What became of a symbol that was brought.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Brought {
    /// It was missing.
    New,
    /// It was there already.
    Spare,
    /// It was there with other contents: one of the two is forged.
    Contested,
    /// There are more than anybody needs.
    TooMany,
}

/// How near an object is to being whole.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Readiness {
    /// Symbols are missing.
    Missing,
    /// As many as source symbols: they suffice in 99 of 100 cases.
    Barely,
    /// Some more: they suffice.
    Enough,
    /// All source symbols: nothing need be computed.
    Sources,
}

/// Symbols to try.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Selection {
    pub(crate) symbols: Vec<Symbol>,
    /// Whose symbols were left out.
    pub(crate) without: Option<SocketAddr>,
}

impl Assembly {
    pub(crate) fn new(layout: Layout) -> Self {
        let counts = vec![Count::default(); layout.blocks().into()];
        Self { layout, symbols: BTreeMap::new(), counts, senders: Vec::new(), arrived: 0, bytes: 0, step: 0, tries: 0 }
    }

    pub(crate) fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Bytes held.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// How many different symbols are there.
    pub(crate) fn len(&self) -> usize {
        self.symbols.len()
    }

    /// Takes a symbol in that was checked against the layout.
    pub(crate) fn bring(&mut self, symbol: &Symbol, sender: SocketAddr) -> Brought {
        let block = usize::from(symbol.id.block);
        let needed = self.layout.block_symbols(symbol.id.block);
        let Some(count) = self.counts.get_mut(block) else { return Brought::TooMany };
        let brought = match self.symbols.get(&symbol.id) {
            Some(held) if held.iter().any(|held| held.data == symbol.data) => return Brought::Spare,
            Some(held) if held.len() >= MOST_CONTESTED => return Brought::TooMany,
            Some(_) => Brought::Contested,
            None if count.symbols >= needed * 2 + SMALLEST_SURPLUS => return Brought::TooMany,
            None => Brought::New,
        };
        let sender = match self.senders.iter().position(|known| *known == sender) {
            Some(sender) => sender,
            None if self.senders.len() >= MOST_SENDERS => return Brought::TooMany,
            None => {
                self.senders.push(sender);
                self.senders.len() - 1
            }
        };
        if brought == Brought::New {
            count.symbols += 1;
            count.sources += usize::from((symbol.id.number as usize) < needed);
        }
        // Copied, so that a short symbol does not keep a long buffer alive.
        let held = Held { data: Bytes::copy_from_slice(&symbol.data), sender, order: self.arrived };
        self.arrived += 1;
        self.bytes += held.data.len() + HELD_OVERHEAD_BYTES;
        self.symbols.entry(symbol.id).or_default().push(held);
        brought
    }

    /// The symbol as it was first brought.
    pub(crate) fn symbol(&self, id: SymbolId) -> Option<Symbol> {
        let data = self.symbols.get(&id)?.first()?.data.clone();
        Some(Symbol { id, data })
    }

    /// The numbers of a block's symbols that are there, in order.
    pub(crate) fn numbers(&self, block: u8) -> impl Iterator<Item = u32> {
        let first = SymbolId { block, number: 0 };
        let last = SymbolId { block, number: u32::MAX };
        self.symbols.range(first..=last).map(|(id, _)| id.number)
    }

    /// How many symbols a block lacks.
    pub(crate) fn lacks(&self, block: u8) -> usize {
        let there = self.counts.get(usize::from(block)).map_or(0, |count| count.symbols);
        self.layout.block_symbols(block).saturating_sub(there)
    }

    pub(crate) fn readiness(&self) -> Readiness {
        let of_block = |(block, count): (u8, &Count)| {
            let needed = self.layout.block_symbols(block);
            match count.symbols {
                _ if count.sources == needed => Readiness::Sources,
                there if there > needed => Readiness::Enough,
                there if there == needed => Readiness::Barely,
                _ => Readiness::Missing,
            }
        };
        (0..).zip(&self.counts).map(of_block).min().unwrap_or(Readiness::Missing)
    }

    /// The next symbols to try, if there are any to try, for at most so many tries in all.
    pub(crate) fn next_selection(&mut self, most_tries: u32) -> Option<Selection> {
        while self.tries < most_tries {
            let selection = self.selection(self.step)?;
            self.step += 1;
            if let Some(selection) = selection {
                self.tries += 1;
                return Some(selection);
            }
        }
        None
    }

    /// The symbols did not suffice: the next try is the same with more of them.
    pub(crate) fn wait_for_more(&mut self) {
        self.step = self.step.saturating_sub(1);
    }

    /// New symbols came after every try had failed: what failed before may succeed now.
    pub(crate) fn start_over(&mut self) {
        self.step = 0;
    }

    /// Whether a try has found symbols that do not fit.
    pub(crate) fn is_polluted(&self) -> bool {
        self.step > 1
    }

    /// Whether symbols of the same number with different contents came, or a try has failed.
    pub(crate) fn was_contested(&self) -> bool {
        self.step > 1 || self.symbols.values().any(|held| held.len() > 1)
    }

    /// `None`: there are no more tries. `Some(None)`: this one has too few symbols.
    fn selection(&self, step: usize) -> Option<Option<Selection>> {
        if step == 0 {
            return Some(self.all_but(|_| true, None));
        }
        let by_sender = step - 1;
        if let Some(sender) = self.senders.get(by_sender) {
            return Some(self.all_but(|held| held.sender != by_sender, Some(*sender)));
        }
        // A piece no longer than what can be spared.
        let spare = (0..).zip(&self.counts).map(|(block, count)| count.symbols.saturating_sub(self.layout.block_symbols(block) + 1));
        let piece = spare.min().filter(|spare| *spare > 0)?;
        let start = (by_sender - self.senders.len()) * piece;
        if start >= self.arrived {
            return None;
        }
        Some(self.all_but(|held| !(start..start + piece).contains(&held.order), None))
    }

    fn all_but(&self, keep: impl Fn(&Held) -> bool, without: Option<SocketAddr>) -> Option<Selection> {
        let kept = |(id, held): (&SymbolId, &Vec<Held>)| {
            let data = held.iter().find(|held| keep(held))?.data.clone();
            Some(Symbol { id: *id, data })
        };
        let symbols: Vec<Symbol> = self.symbols.iter().filter_map(kept).collect();
        let mut there = vec![0_usize; self.counts.len()];
        for symbol in &symbols {
            there[usize::from(symbol.id.block)] += 1;
        }
        let enough = (0..).zip(there).all(|(block, there)| there >= self.layout.block_symbols(block));
        enough.then_some(Selection { symbols, without })
    }
}

/// What a held symbol costs beside its bytes.
pub(crate) const HELD_OVERHEAD_BYTES: usize = 160; // guess: two allocations and a place in the map

/// Of a short object so many symbols may come beyond twice its own.
const SMALLEST_SURPLUS: usize = 64; // guess

/// Different contents of one symbol.
const MOST_CONTESTED: usize = 4; // guess

/// Senders of one object.
const MOST_SENDERS: usize = 64; // guess: three of each bucket that a swarm of millions has

#[cfg(test)]
mod tests;
