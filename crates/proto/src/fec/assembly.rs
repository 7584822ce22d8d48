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
    /// The same of those that known peers brought.
    known: Known,
    senders: Vec<SocketAddr>,
    arrived: usize,
    bytes: usize,
    /// Which try comes next.
    step: usize,
    tries: u32,
    /// The last try has failed: the next one waits for so many symbols.
    retry_at: Option<usize>,
    /// Every try that there was has failed.
    failed: bool,
}

#[derive(Debug, Clone, Copy, Default)]
struct Count {
    symbols: usize,
    sources: usize,
}

/// What known peers brought.
#[derive(Debug)]
struct Known {
    counts: Vec<Count>,
    /// Whether strangers brought something as well, so that there is something to tell apart.
    is_not_all: bool,
    /// How many of their symbols there were when they were tried last by themselves, how often they were, and whether that failed.
    tried: usize,
    tries: u32,
    trying: bool,
    failed: bool,
}

#[derive(Debug)]
struct Held {
    data: Bytes,
    sender: usize,
    known: bool,
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

/// What becomes of symbols that came with several contents.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Contested {
    /// The first one counts.
    First,
    /// None counts.
    LeftOut,
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
        let known = Known { counts: counts.clone(), is_not_all: false, tried: 0, tries: 0, trying: false, failed: false };
        Self {
            layout,
            symbols: BTreeMap::new(),
            counts,
            known,
            senders: Vec::new(),
            arrived: 0,
            bytes: 0,
            step: 0,
            tries: 0,
            retry_at: None,
            failed: false,
        }
    }

    pub(crate) fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Bytes held.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Takes a symbol in that was checked against the layout, and that keeps little more alive than its own bytes. `known`: a known peer brought it, to which it is new if only strangers
    /// brought it before.
    pub(crate) fn bring(&mut self, symbol: &Symbol, sender: SocketAddr, known: bool) -> Brought {
        let block = usize::from(symbol.id.block);
        let needed = self.layout.block_symbols(symbol.id.block);
        let (Some(count), Some(known_count)) = (self.counts.get_mut(block), self.known.counts.get_mut(block)) else {
            return Brought::TooMany;
        };
        let there = self.symbols.get(&symbol.id).map_or(&[][..], Vec::as_slice);
        let of_its_kind = there.iter().filter(|held| held.known == known).count();
        let there_of_kind = if known { known_count.symbols } else { count.symbols };
        let brought = match of_its_kind {
            _ if there.iter().any(|held| held.data == symbol.data && (held.known || !known)) => return Brought::Spare,
            MOST_CONTESTED.. => return Brought::TooMany,
            1.. => Brought::Contested,
            0 if there_of_kind >= needed * 2 + SMALLEST_SURPLUS => return Brought::TooMany,
            0 if known || there.is_empty() => Brought::New,
            0 => Brought::Contested,
        };
        let most_senders = if known { MOST_SENDERS } else { MOST_SENDERS / 2 };
        let sender = match self.senders.iter().position(|known| *known == sender) {
            Some(sender) => sender,
            None if self.senders.len() >= most_senders => return Brought::TooMany,
            None => {
                self.senders.push(sender);
                self.senders.len() - 1
            }
        };
        let is_source = (symbol.id.number as usize) < needed;
        if there.is_empty() {
            count.add(is_source);
        }
        if known && of_its_kind == 0 {
            known_count.add(is_source);
        }
        self.known.is_not_all |= !known;
        let held = Held { data: symbol.data.clone(), sender, known, order: self.arrived };
        self.arrived += 1;
        self.bytes += held.data.len() + HELD_OVERHEAD_BYTES;
        self.symbols.entry(symbol.id).or_default().push(held);
        brought
    }

    /// The symbol as a known peer first brought it.
    pub(crate) fn symbol(&self, id: SymbolId) -> Option<Symbol> {
        let data = self.symbols.get(&id)?.iter().find(|held| held.known)?.data.clone();
        Some(Symbol { id, data })
    }

    /// The numbers of a block's symbols that known peers brought, in order.
    pub(crate) fn numbers(&self, block: u8) -> impl Iterator<Item = u32> {
        let first = SymbolId { block, number: 0 };
        let last = SymbolId { block, number: u32::MAX };
        self.symbols.range(first..=last).filter(|(_, held)| held.iter().any(|held| held.known)).map(|(id, _)| id.number)
    }

    /// How many symbols a block lacks of known peers.
    pub(crate) fn lacks(&self, block: u8) -> usize {
        let there = self.known.counts.get(usize::from(block)).map_or(0, |count| count.symbols);
        self.layout.block_symbols(block).saturating_sub(there)
    }

    pub(crate) fn readiness(&self) -> Readiness {
        let known = self.readiness_of(&self.known.counts);
        if known > Readiness::Missing { known } else { self.readiness_of(&self.counts) }
    }

    fn readiness_of(&self, counts: &[Count]) -> Readiness {
        let of_block = |(block, count): (u8, &Count)| {
            let needed = self.layout.block_symbols(block);
            match count.symbols {
                _ if count.sources == needed => Readiness::Sources,
                there if there > needed => Readiness::Enough,
                there if there == needed => Readiness::Barely,
                _ => Readiness::Missing,
            }
        };
        (0..).zip(counts).map(of_block).min().unwrap_or(Readiness::Missing)
    }

    /// The next symbols to try, if there are any to try, for at most so many tries in all.
    pub(crate) fn next_selection(&mut self, most_tries: u32) -> Option<Selection> {
        self.retry_at = None;
        let selection = self.select(most_tries);
        if selection.is_none() {
            // Every try there is has failed: when some more symbols have come, they may not.
            self.failed = true;
            self.retry_at = Some(self.arrived + self.arrived / 8 + 1);
            self.step = 0;
        }
        selection
    }

    fn select(&mut self, most_tries: u32) -> Option<Selection> {
        self.known.failed |= self.known.trying;
        if std::mem::take(&mut self.known.trying)
            && let Some(selection) = self.all_but(Contested::LeftOut, |held| held.known, None)
        {
            self.known.tries += 1;
            return Some(selection);
        }
        if self.may_try_known(most_tries) {
            self.known.trying = true;
            self.known.tries += 1;
            self.known.tried = self.known_symbols();
            return self.all_but(Contested::First, |held| held.known, None);
        }
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

    /// Whether there is anything to try that was not tried yet.
    pub(crate) fn may_try(&self, most_tries: u32) -> bool {
        self.retry_at.is_none_or(|needed| self.arrived >= needed) || self.may_try_known(most_tries)
    }

    /// Of several assemblies of an object that which is nearest to being whole ranks highest, what known peers brought before all else.
    pub(crate) fn rank(&self) -> impl Ord + use<> {
        (self.readiness_of(&self.known.counts), self.known_symbols(), self.readiness(), self.symbols.len())
    }

    /// Whether what known peers brought may suffice, strangers brought something too, and it was not tried yet by itself.
    fn may_try_known(&self, most_tries: u32) -> bool {
        self.known.is_not_all
            && self.known.tries < most_tries
            && self.known_symbols() > self.known.tried
            && self.readiness_of(&self.known.counts) > Readiness::Missing
    }

    fn known_symbols(&self) -> usize {
        self.known.counts.iter().map(|count| count.symbols).sum()
    }

    /// The symbols did not suffice: the next try is the same with more of them.
    pub(crate) fn wait_for_more(&mut self) {
        self.retry_at = Some(self.arrived + 1);
        if !std::mem::take(&mut self.known.trying) {
            self.step = self.step.saturating_sub(1);
        }
    }

    /// Whether a try has found symbols of known peers that do not fit.
    pub(crate) fn is_polluted(&self) -> bool {
        if self.known.is_not_all { self.known.failed } else { self.step > 1 || self.failed }
    }

    /// Whether strangers brought all of it.
    pub(crate) fn is_strangers(&self) -> bool {
        self.known_symbols() == 0
    }

    /// Whether symbols of the same number with different contents came, or a try has failed.
    pub(crate) fn was_contested(&self) -> bool {
        self.step > 1 || self.failed || self.symbols.values().any(|held| held.len() > 1)
    }

    /// `None`: there are no more tries. `Some(None)`: this one has too few symbols.
    fn selection(&self, step: usize) -> Option<Option<Selection>> {
        let by_sender = match step {
            0 => return Some(self.all_but(Contested::First, |_| true, None)),
            1 if self.symbols.values().any(|held| held.len() > 1) => return Some(self.all_but(Contested::LeftOut, |_| true, None)),
            1 => return Some(None),
            later => later - 2,
        };
        if let Some(sender) = self.senders.get(by_sender) {
            return Some(self.all_but(Contested::First, |held| held.sender != by_sender, Some(*sender)));
        }
        // A piece no longer than what can be spared.
        let spare = (0..).zip(&self.counts).map(|(block, count)| count.symbols.saturating_sub(self.layout.block_symbols(block) + 1));
        let piece = spare.min().filter(|spare| *spare > 0)?;
        let start = (by_sender - self.senders.len()) * piece;
        if start >= self.arrived {
            return None;
        }
        Some(self.all_but(Contested::First, |held| !(start..start + piece).contains(&held.order), None))
    }

    fn all_but(&self, contested: Contested, keep: impl Fn(&Held) -> bool, without: Option<SocketAddr>) -> Option<Selection> {
        let kept = |(id, held): (&SymbolId, &Vec<Held>)| {
            let mut contents = held.iter().filter(|held| keep(held));
            let data = contents.next()?.data.clone();
            if contested == Contested::LeftOut && contents.next().is_some() {
                return None;
            }
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

impl Count {
    fn add(&mut self, is_source: bool) {
        self.symbols += 1;
        self.sources += usize::from(is_source);
    }
}

/// What a held symbol costs beside its bytes.
pub(crate) const HELD_OVERHEAD_BYTES: usize = 240; // guess: two allocations, the head of its datagram, and a place in the map

/// Of a short object so many symbols may come beyond twice its own.
const SMALLEST_SURPLUS: usize = 64; // guess

/// Different contents of one symbol.
const MOST_CONTESTED: usize = 4; // guess

/// Senders of one object.
const MOST_SENDERS: usize = 64; // guess: three of each bucket that a swarm of millions has

#[cfg(test)]
mod tests;
