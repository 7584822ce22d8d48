//! A machine on a desk: inputs are handed to it, what it puts out is looked at, and jobs are done when the test wants.

use bytes::Bytes;
use cicada_proto::{
    Instant,
    fec::{Encoded, Outcome, Task},
    kadcast::{Event, Identity, Input, Job, JobId, Machine, Outbox, Run, Settings, Transmit},
};
use cicada_wire::{Refusal, kadcast::*};
use std::{net::SocketAddr, time::Duration};

pub(crate) struct Desk {
    pub(crate) machine: Machine,
    pub(crate) now: Instant,
    pub(crate) datagrams: Vec<(SocketAddr, Message)>,
    pub(crate) runs: Vec<Run>,
    pub(crate) events: Vec<Event>,
    pub(crate) jobs: Vec<(JobId, Task)>,
    pub(crate) resolves: usize,
    /// Whether jobs are done at once.
    pub(crate) busy: bool,
    bootstrap: Vec<SocketAddr>,
}

pub(crate) fn at(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

pub(crate) const ME: &str = "10.0.0.1:9000";

impl Desk {
    pub(crate) fn new(settings: Settings, bootstrap: &[SocketAddr]) -> Self {
        let me = Identity::mine_bits(at(ME), REQUIRED_BITS).expect("one of 256");
        let machine = Machine::new(settings, me, 7).expect("settings that can be");
        let mut desk = Self {
            machine,
            now: Instant(1_000_000),
            datagrams: Vec::new(),
            runs: Vec::new(),
            events: Vec::new(),
            jobs: Vec::new(),
            resolves: 0,
            busy: false,
            bootstrap: bootstrap.to_vec(),
        };
        desk.give(Input::Wake);
        desk
    }

    pub(crate) fn give(&mut self, input: Input) {
        let mut out = Outbox::default();
        self.machine.handle(self.now, input, &mut out);
        while let Some((job, work)) = out.jobs.pop_front() {
            match work {
                Job::Resolve => {
                    self.resolves += 1;
                    self.machine.handle(self.now, Input::Resolved { bootstrap: self.bootstrap.clone() }, &mut out);
                }
                Job::Code(task) if self.busy => self.jobs.push((job, task)),
                Job::Code(task) => self.machine.handle(self.now, Input::Coded { job, outcome: task.run() }, &mut out),
                other => panic!("{other:?}"),
            }
        }
        self.events.extend(out.events.drain(..));
        for transmit in out.transmits.drain(..) {
            match transmit {
                Transmit::Datagram { to, bytes } => self.datagrams.push((to, Message::parse(&bytes).expect("ours can be read"))),
                Transmit::Run(run) => self.runs.push(run),
                other => panic!("{other:?}"),
            }
        }
    }

    pub(crate) fn datagram(&mut self, from: SocketAddr, bytes: Bytes) {
        let stride = bytes.len();
        self.give(Input::Datagrams { from, bytes, stride });
    }

    /// A peer says something, from the port on which it listens.
    pub(crate) fn hear(&mut self, from: &Other, body: Body) {
        self.datagram(from.address, from.says(body));
    }

    /// Lets time pass, with every wake-up in it.
    pub(crate) fn pass(&mut self, span: Duration) {
        let end = self.now + span;
        while let Some((due, _)) = self.machine.next_timeout().filter(|(due, _)| *due <= end) {
            self.now = self.now.max(due);
            self.give(Input::Wake);
        }
        self.now = end;
    }

    /// Lets time pass, while the others answer pings and know nobody.
    pub(crate) fn pass_among(&mut self, span: Duration, others: &[&Other]) {
        let end = self.now + span;
        while let Some((due, _)) = self.machine.next_timeout().filter(|(due, _)| *due <= end) {
            self.now = self.now.max(due);
            self.give(Input::Wake);
            self.answer(others);
        }
        self.now = end;
    }

    /// The others answer what they were asked.
    pub(crate) fn answer(&mut self, others: &[&Other]) {
        for (to, message) in std::mem::take(&mut self.datagrams) {
            let Some(other) = others.iter().find(|other| other.address == to) else { continue };
            match message.body {
                Body::Ping { .. } => self.hear(other, Body::Pong { version: other.version }),
                Body::FindNodes { .. } => self.hear(other, Body::Nodes { version: other.version, entries: Vec::new() }),
                Body::Pong { .. } | Body::Nodes { .. } | Body::Broadcast(_) | Body::Pull(_) => {}
            }
        }
    }

    /// Makes these known: they ping, and answer the ping that follows.
    pub(crate) fn befriend(&mut self, others: &[&Other]) {
        for other in others {
            self.hear(other, Body::Ping { version: other.version });
            self.answer(others);
            assert!(self.knows(other), "{} is known", other.address);
        }
    }

    pub(crate) fn knows(&self, other: &Other) -> bool {
        self.machine.table(self.now).values().flatten().any(|contact| contact.address == other.address)
    }

    pub(crate) fn refused(&self, reason: Refusal) -> u64 {
        self.machine.refusals().of(reason)
    }

    /// The payloads told so far.
    pub(crate) fn told(&self) -> Vec<Bytes> {
        let told = self.events.iter().filter_map(|event| match event {
            Event::Message { payload, .. } => Some(payload.clone()),
            _ => None,
        });
        told.collect()
    }

    /// Bytes that went to this address.
    pub(crate) fn bytes_to(&self, to: SocketAddr) -> usize {
        let datagrams = self.datagrams.iter().filter(|(other, _)| *other == to);
        datagrams.map(|(_, message)| message.encode().expect("it was sent").len()).sum()
    }
}

/// A peer that the test speaks for.
#[derive(Clone, Debug)]
pub(crate) struct Other {
    pub(crate) address: SocketAddr,
    pub(crate) header: Header,
    pub(crate) version: Version,
}

impl Other {
    pub(crate) fn new(address: SocketAddr) -> Self {
        let id = Id::of(address);
        let nonce = Nonce::mine(id, REQUIRED_BITS).expect("one of 256");
        let header = Header { id, nonce, port: address.port(), network: 0, mark: Mark::None };
        Self { address, header, version: Version { major: 0, minor: 0, patch: 1 } }
    }

    /// The first of many that lies in this bucket of the machine's.
    pub(crate) fn in_bucket(bucket: u8, number: usize) -> Self {
        let me = Id::of(at(ME));
        let addresses = (1..=254_u8).flat_map(|host| (9001..9200).map(move |port| SocketAddr::from(([10, 0, 1, host], port))));
        let found = addresses.filter(|address| me.bucket(Id::of(*address)) == Some(bucket)).nth(number);
        Self::new(found.expect("there are enough addresses"))
    }

    pub(crate) fn marked(mut self) -> Self {
        self.header.mark = Mark::Cicada;
        self
    }

    pub(crate) fn says(&self, body: Body) -> Bytes {
        Message { header: self.header, body }.encode().expect("it can be said")
    }

    pub(crate) fn chunk(&self, encoded: &Encoded, number: usize, height: u8) -> Bytes {
        let symbol = encoded.symbols[number].clone();
        self.says(Body::Broadcast(Chunk { height, ray: encoded.ray, coding: encoded.coding, symbol }))
    }
}

pub(crate) fn encoded(payload: &Bytes, repair: usize) -> Encoded {
    match (Task::Encode { payload: payload.clone(), symbol_bytes: 1300, repair }).run() {
        Outcome::Encoded(encoded) => encoded,
        other => panic!("{other:?}"),
    }
}

pub(crate) fn payload(length: usize) -> Bytes {
    (0..length).map(|at| (at * 31 % 251) as u8).collect()
}

pub(crate) const fn ms(count: u64) -> Duration {
    Duration::from_millis(count)
}

pub(crate) const fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}
