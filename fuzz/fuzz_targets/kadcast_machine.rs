//! Hostile datagrams for a Kadcast peer, with headers that let them in: its decoders are fed with codings and symbols that somebody
//! made up. It must not panic, and must not hold more than its bounds.
//!
//! The input is a sequence of a length (2 bytes), who speaks and the time to pass (1), a kind (1) and a body. Who speaks: one of two
//! peers, or one of another port in the name of either.

#![no_main]

use bytes::Bytes;
use cicada_proto::{
    Instant,
    kadcast::{Identity, Input, Job, Machine, Outbox, Settings},
};
use cicada_wire::kadcast::{Header, Id, Mark, Nonce, REQUIRED_BITS};
use libfuzzer_sys::fuzz_target;
use std::{net::SocketAddr, sync::OnceLock, time::Duration};

/// This peer and those who speak to it.
fn peers() -> &'static (Identity, [(SocketAddr, Header); 2]) {
    static PEERS: OnceLock<(Identity, [(SocketAddr, Header); 2])> = OnceLock::new();
    PEERS.get_or_init(|| {
        let me = Identity::mine_bits(([10, 0, 0, 1], 9000).into(), REQUIRED_BITS).expect("one of 256");
        let other = |host: u8, mark: Mark| {
            let address = SocketAddr::from(([10, 0, 0, host], 9000));
            let id = Id::of(address);
            let nonce = Nonce::mine(id, REQUIRED_BITS).expect("one of 256");
            (address, Header { id, nonce, port: 9000, network: 0, mark })
        };
        (me, [other(2, Mark::Cicada), other(3, Mark::None)])
    })
}

fn give(machine: &mut Machine, now: Instant, input: Input) {
    let mut out = Outbox::default();
    machine.handle(now, input, &mut out);
    while let Some((job, work)) = out.jobs.pop_front() {
        let answer = match work {
            Job::Resolve => Input::Resolved { bootstrap: vec![peers().1[0].0] },
            Job::Code(task) => Input::Coded { job, outcome: task.run() },
            _ => continue,
        };
        machine.handle(now, answer, &mut out);
    }
}

fuzz_target!(|data: &[u8]| {
    let (me, others) = *peers();
    let settings = Settings::default();
    let bound = settings.limits.held_bytes;
    let mut machine = Machine::new(settings, me, 1).expect("the defaults can be");
    let mut now = Instant(1);
    give(&mut machine, now, Input::Wake);
    let mut rest = data;
    while let Some((&[low, high, who, kind], tail)) = rest.split_first_chunk() {
        let (other, header) = others[usize::from(who >> 7)];
        let port = if who & 0x40 == 0 { other.port() } else { 40_000 };
        let from = SocketAddr::new(other.ip(), port);
        let wait = who & 0x3f;
        let length = usize::from(u16::from_le_bytes([low, high])).min(tail.len());
        let (body, tail) = tail.split_at(length);
        rest = tail;
        let mut datagram = header.to_bytes(kind).to_vec();
        datagram.extend(body);
        let (bytes, stride) = (Bytes::from(datagram), usize::MAX);
        give(&mut machine, now, Input::Datagrams { from, stride: stride.min(bytes.len()), bytes });
        now = now + Duration::from_millis(wait.into());
        if machine.next_timeout().is_some_and(|(due, _)| due <= now) {
            give(&mut machine, now, Input::Wake);
        }
        assert!(machine.figures().held_bytes <= bound);
    }
});
