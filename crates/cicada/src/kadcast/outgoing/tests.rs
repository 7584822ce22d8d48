use super::*;
use cicada_proto::kadcast::Identity;
use cicada_wire::kadcast::{Coding, Header, Mark, RayId, Symbol, SymbolId};

/// No time passes in these tests but what they add.
fn start() -> (Outgoing, Instant) {
    let now = Instant::now();
    let pace = Pace { receiver_bytes_per_second: 1_375_000, line_bytes_per_second: 13_750_000, pause: None, segments: 64 };
    (Outgoing::new(pace, now), now)
}

fn address(port: u16) -> SocketAddr {
    ([127, 0, 0, 1], port).into()
}

/// Symbols of a datagram of 1375 bytes each: with the pace above a thousand of them in a second to one receiver.
fn run(to: SocketAddr, symbols: u32) -> Transmit {
    let me = Identity::mine_bits(address(1), 8).expect("such a nonce is near");
    let header = Header { id: me.id(), nonce: cicada_wire::kadcast::Nonce([0; 4]), port: 1, network: 0, mark: Mark::None };
    let data = Bytes::from(vec![0; 1296]);
    let symbols = (0..symbols).map(|number| Symbol { id: SymbolId { block: 0, number }, data: data.clone() }).collect();
    let coding = Coding { length: 1_000_000, symbol_bytes: 1296, blocks: 1, sub_blocks: 1, alignment: 8 };
    Transmit::Run(Run { to, header, height: 0, ray: RayId([0; 32]), coding, symbols })
}

/// Everything that goes until nothing more may go now.
fn all_now(outgoing: &mut Outgoing, now: Instant) -> (Vec<(SocketAddr, usize)>, Next) {
    let (mut sent, mut buffer) = (Vec::new(), Vec::new());
    loop {
        match outgoing.next(now, &mut buffer) {
            Next::Send { to, stride } => sent.push((to, buffer.len() / stride)),
            other => return (sent, other),
        }
    }
}

#[test]
fn datagrams_of_the_protocol_go_before_symbols_and_without_a_pace() {
    let (mut outgoing, now) = start();
    outgoing.push(now, run(address(2), 100));
    for _ in 0..100 {
        outgoing.push(now, Transmit::Datagram { to: address(3), bytes: Bytes::from_static(b"ping") });
    }
    let (sent, _) = all_now(&mut outgoing, now);
    assert!(sent[..100].iter().all(|(to, _)| *to == address(3)));
    assert_eq!(sent[100].0, address(2));
}

#[test]
fn symbols_for_one_receiver_keep_to_its_pace() {
    let (mut outgoing, start) = start();
    outgoing.push(start, run(address(2), 500));
    let (mut now, mut datagrams) = (start, 0);
    for _ in 0..1000 {
        let (sent, next) = all_now(&mut outgoing, now);
        let burst: usize = sent.iter().map(|(_, datagrams)| datagrams).sum();
        assert!(burst <= 2 * SEGMENTS, "no more at once than a call's worth and what a timer may be late: {burst}");
        datagrams += burst;
        match next {
            Next::Later(at) => now = at,
            Next::Nothing => break,
            Next::Send { .. } => unreachable!("taken above"),
        }
    }
    assert_eq!(datagrams, 500);
    let took = now - start;
    assert!((Duration::from_millis(450)..Duration::from_millis(550)).contains(&took), "500 at a thousand a second: {took:?}");
}

#[test]
fn receivers_take_turns() {
    let (mut outgoing, now) = start();
    for port in 2..6 {
        outgoing.push(now, run(address(port), 100));
    }
    let (mut now, mut first) = (now, Vec::new());
    while first.len() < 4 {
        let (sent, next) = all_now(&mut outgoing, now);
        first.extend(sent.iter().map(|(to, _)| to.port()));
        let Next::Later(at) = next else { panic!("{next:?}") };
        now = at;
    }
    assert_eq!(first, [2, 3, 4, 5], "each has a call's worth before the first has a second one");
}

#[test]
fn all_receivers_together_keep_to_the_line() {
    let (mut outgoing, start) = start();
    for port in 2..102 {
        outgoing.push(start, run(address(port), 100));
    }
    let (mut now, mut datagrams) = (start, 0);
    while now - start < Duration::from_millis(100) {
        let (sent, next) = all_now(&mut outgoing, now);
        datagrams += sent.iter().map(|(_, datagrams)| datagrams).sum::<usize>();
        match next {
            Next::Later(at) => now = at,
            other => panic!("{other:?}"),
        }
    }
    // Ten thousand a second.
    assert!((900..1100).contains(&datagrams), "{datagrams} in 100 ms");
}

#[test]
fn a_configured_pause_between_datagrams_is_kept() {
    let (mut outgoing, now) = start();
    outgoing.pace.pause = Some(Duration::from_millis(10));
    outgoing.push(now, run(address(2), 32));
    let (sent, next) = all_now(&mut outgoing, now);
    assert_eq!(sent, [(address(2), 16)]);
    let Next::Later(at) = next else { panic!("{next:?}") };
    assert!(at - now > Duration::from_millis(150), "16 pauses, less what it may catch up");
}

#[test]
fn what_is_beyond_the_bounds_is_dropped_from_the_tail_and_counted() {
    let (mut outgoing, now) = start();
    let one = 1000 * 1375;
    for _ in 0..100 {
        outgoing.push(now, run(address(2), 1000));
    }
    assert_eq!(outgoing.waiting_bytes(), LANE_BYTES / one * one);
    assert_eq!(outgoing.dropped(), (100 - LANE_BYTES / one) as u64 * 1000);
    for port in 3..100 {
        for _ in 0..10 {
            outgoing.push(now, run(address(port), 1000));
        }
    }
    assert!(outgoing.waiting_bytes() <= ALL_BYTES);
    // The control: what waited first still goes.
    assert_eq!(all_now(&mut outgoing, now).0[0], (address(2), 16));
    let (mut outgoing, now) = start();
    for _ in 0..=URGENT {
        outgoing.push(now, Transmit::Datagram { to: address(3), bytes: Bytes::from_static(b"ping") });
    }
    assert_eq!(outgoing.dropped(), 1);
}

#[test]
fn receivers_that_nothing_waits_for_are_forgotten() {
    let (mut outgoing, now) = start();
    for port in 0..10_000 {
        let to = SocketAddr::from(([10, 0, (port / 250) as u8, (port % 250) as u8], 9000));
        outgoing.push(now, run(to, 1));
        all_now(&mut outgoing, now + Duration::from_secs(port + 1));
    }
    assert!(outgoing.lanes.len() <= LANES, "{}", outgoing.lanes.len());
}

#[test]
fn copies_of_a_symbol_leave_in_calls_of_their_own_and_different_symbols_in_one() {
    let (mut outgoing, now) = start();
    let Transmit::Run(one) = run(address(2), 1) else { panic!("a run") };
    outgoing.push(now, Transmit::Run(Run { symbols: [one.symbols.clone(), one.symbols.clone(), one.symbols.clone()].concat(), ..one }));
    outgoing.push(now, run(address(3), 3));
    let (mut sent, mut at) = (Vec::new(), now);
    while sent.iter().map(|(_, datagrams)| datagrams).sum::<usize>() < 6 {
        let (more, next) = all_now(&mut outgoing, at);
        sent.extend(more);
        at = if let Next::Later(due) = next { due } else { at };
    }
    let calls = |to| sent.iter().filter(|(receiver, _)| *receiver == to).map(|(_, datagrams)| *datagrams).collect::<Vec<_>>();
    assert_eq!((calls(address(2)), calls(address(3))), (vec![1, 1, 1], vec![3]));
}
