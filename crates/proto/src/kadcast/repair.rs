//! Asking for symbols that do not come, and answering who asks.
//!
//! Among peers of ours only. Who has had no new symbol for a while asks two of those that brought some, or others, each for half of what
//! is missing; whoever is asked sends what it has of that, whole or not.

use super::{
    arriving::{Arriving, FIRST_PULL},
    context::Context,
    discovery::Sender,
    objects::Objects,
    spread::Runs,
    table::Table,
};
use cicada_wire::{
    Refusal,
    kadcast::{Body, Layout, MAX_PULL_BYTES, Mark, Pull, RayId, Symbol, SymbolId},
};
use rand::{RngExt, seq::SliceRandom};
use std::{net::SocketAddr, time::Duration};

impl Arriving {
    /// How long to wait for the next symbol before asking: longer for what has been coming slowly, and longer each time that asking
    /// was in vain.
    pub(super) fn patience(&self) -> Duration {
        let lately = if self.pulls == 0 { self.progress.since(self.begun) / SLOW } else { Duration::ZERO };
        (FIRST_PULL * 2_u32.pow(self.in_vain.min(MOST_DOUBLINGS))).max(lately)
    }
}

impl Objects {
    /// Asks for what is missing of an object that has stalled.
    pub(super) fn pull(&mut self, cx: &mut Context<'_>, table: &Table, ray: RayId) {
        let Some(arriving) = self.arriving.get_mut(&ray) else { return };
        arriving.pulls += 1;
        arriving.in_vain += 1;
        // Not all at the same time: what one gets it can hand on.
        let pause = arriving.patience();
        arriving.pull_at = cx.now + pause + pause * cx.rng.random_range(0..=50) / 100;
        let Some(assembly) = arriving.best() else { return };
        let layout = *assembly.layout();
        let polluted = assembly.is_polluted();
        let blocks = (0..layout.blocks()).map(|block| (assembly.lacks(block), block));
        let Some((lacks, block)) = blocks.max() else { return };
        // Of forged symbols as many more are needed.
        let wanted = if polluted { layout.block_symbols(block) } else { lacks + SPARE };
        let asked = whom(cx, table, &arriving.senders);
        let share = wanted.div_ceil(asked.len().max(1)).clamp(1, MOST_PULLED);
        let held = if polluted { Vec::new() } else { bits(assembly.numbers(block)) };
        for peer in asked {
            // At most MOST_PULLED.
            let wanted = share as u16;
            cx.figures.pulls_sent += 1;
            cx.say(peer, Body::Pull(Pull { ray, coding: layout.coding(), block, wanted, first: 0, held: held.clone().into() }));
        }
    }

    /// A peer of ours lacks symbols.
    pub(super) fn on_pull(&mut self, cx: &mut Context<'_>, table: &Table, sender: Sender, pull: &Pull) {
        if !table.knows(sender) || !cx.settings.extensions {
            cx.refuse(sender.source, Refusal::Unexpected);
            return;
        }
        let wanted = usize::from(pull.wanted).min(MOST_PULLED);
        // Two that are asked for the same do well to send different symbols.
        let turn = cx.rng.random_range(0..=u16::MAX).into();
        let (layout, symbols) = match (self.done.get(&pull.ray), self.arriving.get(&pull.ray)) {
            (Some(done), _) if done.layout.coding() == pull.coding => {
                let missing = |id: SymbolId| id.block == pull.block && !pull.has(id.number);
                let mut symbols = in_turn(done.source_symbols(missing), turn);
                symbols.extend(done.repair.iter().filter(|symbol| missing(symbol.id)).cloned());
                (done.layout, symbols)
            }
            (None, Some(arriving)) => match arriving.assembly(pull.coding) {
                Some(assembly) if !assembly.is_polluted() => {
                    let missing = assembly.numbers(pull.block).filter(|number| !pull.has(*number));
                    let symbols = missing.filter_map(|number| assembly.symbol(SymbolId { block: pull.block, number }));
                    (*assembly.layout(), in_turn(symbols.collect(), turn))
                }
                Some(_) | None => return,
            },
            (Some(_) | None, Some(_) | None) => return,
        };
        self.serve(cx, sender.address, pull.ray, &layout, &symbols[..wanted.min(symbols.len())]);
    }

    fn serve(&mut self, cx: &mut Context<'_>, to: SocketAddr, ray: RayId, layout: &Layout, symbols: &[Symbol]) {
        let cost = symbols.len() as u64;
        if !self.pulls_of.take(cx.now, to, cx.settings.limits.pulled_symbols_per_peer, cost) {
            cx.refuse(to, Refusal::OverBudget);
            return;
        }
        cx.figures.pulled_out += cost;
        let mut runs = Runs::default();
        // Height 0: for the asker alone.
        symbols.iter().for_each(|symbol| runs.push(to, 0, ray, layout, symbol));
        runs.send(cx);
    }
}

/// Two peers of ours: senders of the object, or else anybody.
fn whom(cx: &mut Context<'_>, table: &Table, senders: &[SocketAddr]) -> Vec<SocketAddr> {
    let ours = |address: &SocketAddr| table.peer(*address).is_some_and(|peer| peer.mark == Mark::Cicada && !peer.doubted);
    let mut senders: Vec<SocketAddr> = senders.iter().copied().filter(ours).collect();
    senders.shuffle(cx.rng);
    let mut others: Vec<SocketAddr> = table.peers().map(|peer| peer.address).filter(|peer| ours(peer) && !senders.contains(peer)).collect();
    others.shuffle(cx.rng);
    // One that brought symbols of it and one that may be whole.
    let mut asked: Vec<SocketAddr> = senders.first().into_iter().chain(&others).copied().take(ASKED).collect();
    asked.extend(senders.iter().skip(1).take(ASKED - asked.len()));
    asked
}

fn in_turn(mut symbols: Vec<Symbol>, turn: usize) -> Vec<Symbol> {
    let length = symbols.len().max(1);
    symbols.rotate_left(turn % length);
    symbols
}

/// A bit for each number from 0 on, as many as a pull holds.
fn bits(numbers: impl Iterator<Item = u32>) -> Vec<u8> {
    let mut bits = Vec::new();
    for number in numbers.map(|number| number as usize).take_while(|number| *number < MAX_PULL_BYTES * 8) {
        if bits.len() <= number / 8 {
            bits.resize(number / 8 + 1, 0);
        }
        bits[number / 8] |= 1 << (number % 8);
    }
    bits
}

/// Peers asked at once.
const ASKED: usize = 2; // guess: one of them may have what the other lacks

/// Symbols wanted beyond those that are lacking: two that are asked may send the same.
const SPARE: usize = 2; // guess

/// Symbols sent for one pull.
const MOST_PULLED: usize = 512; // guess: 700 KB

const MOST_DOUBLINGS: u32 = 4; // guess: one second

/// A pause of this part of the time since the first symbol is none.
const SLOW: u32 = 4; // guess
