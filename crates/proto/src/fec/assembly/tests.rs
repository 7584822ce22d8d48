use super::*;
use crate::fec::{Decoded, Outcome, Task};
use cicada_wire::kadcast::RayId;

fn at(port: u16) -> SocketAddr {
    ([10, 0, 0, 1], port).into()
}

struct Sent {
    ray: RayId,
    layout: Layout,
    symbols: Vec<Symbol>,
}

fn sent(length: usize, repair: usize) -> Sent {
    let payload: Vec<u8> = (0..length).map(|at| (at * 7 % 251) as u8).collect();
    let task = Task::Encode { payload: payload.into(), symbol_bytes: 64, repair };
    let Outcome::Encoded(encoded) = task.run() else { panic!("an encoding") };
    Sent { ray: encoded.ray, layout: encoded.coding.layout().expect("possible"), symbols: encoded.symbols }
}

fn forged(symbol: &Symbol) -> Symbol {
    Symbol { id: symbol.id, data: vec![0xab; symbol.data.len()].into() }
}

/// Tries until it is whole; says after how many tries.
fn tries_of(assembly: &mut Assembly, sent: &Sent) -> Option<u32> {
    for tries in 1.. {
        let selection = assembly.next_selection(24)?;
        let decoded = Task::Decode { ray: sent.ray, layout: sent.layout, symbols: selection.symbols }.run();
        if matches!(decoded, Outcome::Decoded(Decoded::Whole(_))) {
            return Some(tries);
        }
    }
    None
}

#[test]
fn an_object_becomes_ready_symbol_by_symbol() {
    let sent = sent(640, 4);
    let mut assembly = Assembly::new(sent.layout);
    let (sources, repair) = sent.symbols.split_at(10);
    for symbol in &sources[1..] {
        assert_eq!(assembly.bring(symbol, at(1), true), Brought::New);
        assert_eq!(assembly.readiness(), Readiness::Missing);
    }
    assert_eq!((assembly.lacks(0), assembly.bring(&sources[1], at(2), true)), (1, Brought::Spare));
    assembly.bring(&repair[0], at(1), true);
    assert_eq!(assembly.readiness(), Readiness::Barely);
    assembly.bring(&repair[1], at(1), true);
    assert_eq!(assembly.readiness(), Readiness::Enough);
    assembly.bring(&sources[0], at(1), true);
    assert_eq!((assembly.readiness(), tries_of(&mut assembly, &sent)), (Readiness::Sources, Some(1)));
}

#[test]
fn one_forged_symbol_of_another_sender_costs_a_few_tries() {
    let sent = sent(6400, 10);
    let mut assembly = Assembly::new(sent.layout);
    assert_eq!(assembly.bring(&forged(&sent.symbols[3]), at(1), true), Brought::New);
    for symbol in &sent.symbols {
        assembly.bring(symbol, at(2), true);
    }
    assert_eq!(tries_of(&mut assembly, &sent), Some(2), "without the first sender");
}

#[test]
fn an_object_forged_from_end_to_end_before_the_honest_symbols_come_is_recovered() {
    let sent = sent(6400, 10);
    let mut assembly = Assembly::new(sent.layout);
    for symbol in &sent.symbols {
        assert_eq!(assembly.bring(&forged(symbol), at(1), true), Brought::New);
    }
    for symbol in &sent.symbols {
        assert_eq!(assembly.bring(symbol, at(2), true), Brought::Contested);
    }
    assert_eq!(tries_of(&mut assembly, &sent), Some(2));
}

#[test]
fn a_forged_symbol_that_an_honest_sender_has_handed_on_is_found_piece_by_piece() {
    let sent = sent(6400, 34);
    let mut assembly = Assembly::new(sent.layout);
    for (number, symbol) in sent.symbols.iter().enumerate() {
        let symbol = if number == 50 { forged(symbol) } else { symbol.clone() };
        assembly.bring(&symbol, at(1), true);
    }
    let tries = tries_of(&mut assembly, &sent).expect("redundancy allows it");
    assert!(tries <= 5, "{tries} tries");
}

#[test]
fn tries_end_and_go_on_when_more_comes() {
    let sent = sent(6400, 10);
    let mut assembly = Assembly::new(sent.layout);
    for symbol in &sent.symbols[..100] {
        assembly.bring(&forged(symbol), at(1), true);
    }
    assert_eq!(tries_of(&mut assembly, &sent), None);
    assert!(assembly.is_polluted());
    for symbol in &sent.symbols {
        assembly.bring(symbol, at(2), true);
    }
    assert!(tries_of(&mut assembly, &sent).is_some());
}

#[test]
fn strangers_who_forge_everything_first_and_in_many_names_take_nothing_from_known_peers() {
    let sent = sent(6400, 10);
    let mut assembly = Assembly::new(sent.layout);
    for name in 0..1000 {
        let symbol = &sent.symbols[usize::from(name) % sent.symbols.len()];
        let data = vec![name as u8; symbol.data.len()].into();
        assembly.bring(&Symbol { id: symbol.id, data }, at(name + 10), false);
    }
    assert_eq!(tries_of(&mut assembly, &sent), None, "the control: nothing honest is there");
    for symbol in &sent.symbols {
        assert_eq!(assembly.bring(symbol, at(2), true), Brought::New);
    }
    assert!(!assembly.is_polluted());
    assert_eq!(tries_of(&mut assembly, &sent), Some(1), "theirs alone");
    assert_eq!(assembly.symbol(sent.symbols[3].id).as_ref(), Some(&sent.symbols[3]));
}

#[test]
fn contested_symbols_are_left_out_where_others_suffice() {
    let sent = sent(640, 12);
    let mut assembly = Assembly::new(sent.layout);
    // In the name of the one who brings the honest ones.
    for symbol in &sent.symbols[..10] {
        assembly.bring(&forged(symbol), at(1), true);
    }
    for symbol in &sent.symbols {
        assembly.bring(symbol, at(1), true);
    }
    assert_eq!(tries_of(&mut assembly, &sent), Some(2));
}

#[test]
fn what_strangers_bring_completes_what_known_peers_bring() {
    let sent = sent(6400, 10);
    let mut assembly = Assembly::new(sent.layout);
    let (first, rest) = sent.symbols.split_at(50);
    for symbol in first {
        assembly.bring(symbol, at(1), true);
    }
    for symbol in rest {
        assembly.bring(symbol, at(2), false);
    }
    assert_eq!(tries_of(&mut assembly, &sent), Some(1));
}

#[test]
fn there_are_bounds_for_symbols_contents_and_senders() {
    let sent = sent(640, 4);
    let mut assembly = Assembly::new(sent.layout);
    let symbol = |number: u32, byte: u8| Symbol { id: SymbolId { block: 0, number }, data: vec![byte; 64].into() };
    let taken = (0..1000).filter(|number| assembly.bring(&symbol(*number, 0), at(1), true) == Brought::New).count();
    assert_eq!(taken, 2 * 10 + SMALLEST_SURPLUS);
    assert_eq!(assembly.bytes(), taken * (64 + HELD_OVERHEAD_BYTES));
    let contents = (1..100).filter(|byte| assembly.bring(&symbol(0, *byte), at(1), true) == Brought::Contested).count();
    assert_eq!(contents, MOST_CONTESTED - 1);
    let mut other = Assembly::new(sent.layout);
    let senders = (0..100).filter(|port| other.bring(&symbol(u32::from(*port) % 80, 0), at(*port), true) == Brought::New).count();
    assert_eq!(senders, MOST_SENDERS);
}
