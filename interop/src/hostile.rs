//! Hostile traffic on one live peer among honest ones, which broadcast all the while.

use crate::{
    casts::{Cast, Outcome, Patience, cast_all},
    lab::{Kind, Lab, Plan, Result},
    mixed::until_filled,
    payload::{next, payload},
};
use bytes::Bytes;
use cicada_wire::kadcast::{Body, Chunk, Coding, Entry, Header, Id, Mark, Message, Nonce, RayId, Symbol, SymbolId, Version};
use std::{
    net::{SocketAddr, UdpSocket},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

/// What is done to the victim.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Attack {
    RandomDatagrams,
    HostileCodings,
    ForgedSymbols,
    /// In the names of the honest peers, whose IP address the attacker shares.
    ForgedInTheirNames,
    NodesFloods,
    SpoofedSources,
    /// Questions in the name of one who never asked, and nothing else.
    Reflection,
    HeightLies,
    Replays,
}

impl Attack {
    const ALL: [Self; 9] = [
        Self::RandomDatagrams,
        Self::HostileCodings,
        Self::ForgedSymbols,
        Self::ForgedInTheirNames,
        Self::NodesFloods,
        Self::SpoofedSources,
        Self::Reflection,
        Self::HeightLies,
        Self::Replays,
    ];
}

/// Every attack in turn on a peer of ours, or the one that is named, each for so long. Three of them on a peer of the crate too: the
/// control, which must fail, within [`CONTROL`] at the latest.
pub fn hostile(seconds: u64, only: Option<&str>) -> Result<bool> {
    println!("\n8 peers, one of them attacked with {RATE} datagrams a second for {seconds} s each\n");
    println!("| peers | attack | datagrams | honest messages to the victim | to the others | grew by | held at most | reflected |");
    println!("|---|---|---:|---:|---:|---:|---:|---:|");
    let mut right = true;
    let chosen = |attack: &Attack| only.is_none_or(|name| name == format!("{attack:?}"));
    for attack in Attack::ALL.into_iter().filter(chosen) {
        right &= under(attack, Kind::Ours, seconds)?.right();
    }
    for attack in [Attack::HostileCodings, Attack::ForgedSymbols, Attack::Reflection].into_iter().filter(chosen) {
        let end = under(attack, Kind::Crate, seconds.min(5))?;
        if bears(attack, &end.victim, end.reflected) {
            println!("WRONG: the control: the crate's peer bears {attack:?}, so this attack shows nothing");
            right = false;
        }
    }
    Ok(right)
}

/// Whether a victim has withstood an attack so far, as the control must not.
fn bears(attack: Attack, victim: &Outcome, reflected: f64) -> bool {
    if attack == Attack::Reflection { reflected <= MOST_REFLECTED } else { victim.share() > 0.9 }
}

/// How an attack ended.
struct End {
    victim: Outcome,
    others: Outcome,
    grown_kib: u64,
    /// Bytes of symbols and of messages that it held at most, as it counts them.
    held_bytes: u64,
    /// Bytes that reached one who never asked, by those that were sent in its name.
    reflected: f64,
    repeated: usize,
}

impl End {
    fn right(&self) -> bool {
        let all = |outcome: &Outcome| outcome.delivered == outcome.expected && outcome.repeated == 0;
        let right = all(&self.victim)
            && all(&self.others)
            && self.grown_kib < GROWTH_KIB
            && self.held_bytes <= HELD_BYTES
            && self.reflected <= MOST_REFLECTED
            && self.repeated <= 1;
        if !right {
            let End { victim, others, grown_kib, held_bytes, reflected, repeated } = self;
            println!(
                "WRONG: victim {} of {}, others {} of {}, grown {grown_kib} KiB, {held_bytes} bytes held, reflected {reflected:.2}, replay told {repeated} times",
                victim.delivered, victim.expected, others.delivered, others.expected
            );
        }
        right
    }
}

fn under(attack: Attack, kind: Kind, seconds: u64) -> Result<End> {
    let mut plan = Plan::of(kind, 8);
    plan.per_process = 1;
    let mut lab = Lab::start(&plan)?;
    until_filled(&mut lab, Duration::from_secs(5))?;
    let before = lab.resident_kib(VICTIM)?;
    let end = Arc::new(AtomicBool::new(false));
    let attacker = Attacker::new(&lab.addresses, lab.network_id, lab.messages())?;
    let (sent, told) = (Arc::clone(&attacker.sent), Arc::clone(&attacker.replayed));
    let stop = Arc::clone(&end);
    let attacking = thread::spawn(move || attacker.run(attack, &stop));
    let (mut victim, mut others, mut grown_kib, mut held_bytes) = (Outcome::default(), Outcome::default(), 0, 0);
    let begun = Instant::now();
    let mut number = 0;
    loop {
        let goes_on = kind == Kind::Crate && begun.elapsed() < CONTROL && bears(attack, &victim, sent.reflected());
        if begun.elapsed() >= Duration::from_secs(seconds) && !goes_on {
            break;
        }
        number += 1;
        let size = if number % 3 == 0 { 100_000 } else { 2000 };
        // Not by the victim: it is whom they must reach.
        let cast = Cast { by: [0, 1, 2, 3, 5, 6, 7][number as usize % 7], size, seed: number };
        cast_all(&mut lab, &[cast], PATIENCE)?;
        let reached = lab.look(|told| {
            let by = told.of_sent(number as usize - 1).cloned().unwrap_or_default();
            by.iter().map(|(peer, times)| (*peer, times.len())).collect::<Vec<_>>()
        });
        for (outcome, expected) in [(&mut victim, 1), (&mut others, 6)] {
            outcome.expected += expected;
            outcome.casts += 1;
        }
        for (peer, times) in reached {
            let outcome = if peer == VICTIM { &mut victim } else { &mut others };
            outcome.delivered += 1;
            outcome.repeated += times - 1;
        }
        grown_kib = grown_kib.max(lab.resident_kib(VICTIM)?.saturating_sub(before));
        if kind == Kind::Ours {
            held_bytes = held_bytes.max(lab.figures(VICTIM)?["held_bytes"].as_u64().unwrap_or(u64::MAX));
        }
        thread::sleep(Duration::from_millis(100));
    }
    end.store(true, Ordering::Relaxed);
    attacking.join().map_err(|_| "the attacker panicked")?;
    let reflected = sent.reflected();
    let repeated = lab.look(|all| all.received_by(VICTIM, &told));
    let datagrams = sent.datagrams.load(Ordering::Relaxed);
    println!(
        "| {} | {attack:?} | {datagrams} | {} of {} | {} of {} | {:.1} MiB | {:.1} MiB | {reflected:.2} |",
        kind.name(),
        victim.delivered,
        victim.expected,
        others.delivered,
        others.expected,
        grown_kib as f64 / 1024.0,
        held_bytes as f64 / f64::from(1 << 20)
    );
    Ok(End { victim, others, grown_kib, held_bytes, reflected, repeated })
}

/// One that has the wire format, some addresses of its own, and knows what the honest ones will say next.
struct Attacker {
    honest: Vec<SocketAddr>,
    identities: Vec<(UdpSocket, Header)>,
    in_honest_names: Vec<Header>,
    network: u8,
    /// In whose name questions are asked.
    sink: UdpSocket,
    sink_header: Header,
    /// How many messages the honest ones have sent; their seeds are their numbers.
    messages: Arc<AtomicU64>,
    sent: Arc<Sent>,
    /// The digest of the message that is replayed.
    replayed: Arc<String>,
    state: u64,
}

#[derive(Default)]
struct Sent {
    datagrams: AtomicU64,
    /// Bytes in the name of one who never asked, and what came to it.
    in_its_name: AtomicU64,
    reflected: AtomicU64,
}

impl Sent {
    /// Bytes that came to the one who never asked, by those that were sent in its name.
    fn reflected(&self) -> f64 {
        self.reflected.load(Ordering::Relaxed) as f64 / self.in_its_name.load(Ordering::Relaxed).max(1) as f64
    }
}

impl Attacker {
    fn new(honest: &[SocketAddr], network: u8, messages: Arc<AtomicU64>) -> Result<Self> {
        let mut identities = Vec::new();
        for _ in 0..IDENTITIES {
            let socket = UdpSocket::bind("127.0.0.1:0")?;
            let header = header(socket.local_addr()?, network);
            identities.push((socket, header));
        }
        let sink = UdpSocket::bind("127.0.0.1:0")?;
        sink.set_nonblocking(true)?;
        let sink_header = header(sink.local_addr()?, network);
        let replayed = digest(&payload(1000, REPLAYED));
        Ok(Self {
            honest: honest.to_vec(),
            identities,
            in_honest_names: honest.iter().map(|address| header(*address, network)).collect(),
            network,
            sink,
            sink_header,
            messages,
            sent: Arc::default(),
            replayed: Arc::new(replayed),
            state: 1,
        })
    }

    /// Sends in bursts of ten milliseconds until it is told to stop.
    fn run(mut self, attack: Attack, stop: &AtomicBool) {
        while !stop.load(Ordering::Relaxed) {
            // Those are whole messages, and it is the application that must bear them.
            let rate = if attack == Attack::HeightLies { RATE / 10 } else { RATE };
            for _ in 0..rate / 100 {
                let (from, datagram) = self.make(attack);
                // A full buffer of the system is the victim's luck.
                let _ = self.identities[from].0.send_to(&datagram, self.honest[VICTIM]);
                self.sent.datagrams.fetch_add(1, Ordering::Relaxed);
            }
            thread::sleep(Duration::from_millis(10));
            // Often, so that its buffer does not overflow and hide what comes.
            self.look_into_the_sink();
        }
        thread::sleep(Duration::from_millis(300));
        self.look_into_the_sink();
    }

    fn look_into_the_sink(&self) {
        let mut buffer = [0; 2048];
        while let Ok(length) = self.sink.recv(&mut buffer) {
            self.sent.reflected.fetch_add(length as u64, Ordering::Relaxed);
        }
    }

    fn random(&mut self, below: u64) -> u64 {
        next(&mut self.state) % below
    }

    fn bytes(&mut self, length: usize) -> Vec<u8> {
        let seed = next(&mut self.state);
        payload(length.max(8), seed)[..length].to_vec()
    }

    /// A datagram, and from which socket it goes.
    fn make(&mut self, attack: Attack) -> (usize, Vec<u8>) {
        let from = self.random(IDENTITIES as u64) as usize;
        let own = self.identities[from].1;
        let datagram = match attack {
            Attack::RandomDatagrams => {
                let length = self.random(1500) as usize;
                let mut bytes = self.bytes(length);
                if let Some(kind) = bytes.first_mut() {
                    // Half of them look like messages at their first byte.
                    *kind = if *kind % 2 == 0 { *kind } else { [0, 1, 2, 3, 10][usize::from(*kind) % 5] };
                }
                bytes
            }
            Attack::HostileCodings => self.hostile_coding(own),
            Attack::ForgedSymbols => self.forged(own),
            Attack::ForgedInTheirNames => {
                let which = self.random(self.in_honest_names.len() as u64) as usize;
                self.forged(self.in_honest_names[which])
            }
            Attack::NodesFloods => self.nodes(own),
            Attack::SpoofedSources => self.spoofed(),
            Attack::Reflection => self.question(),
            Attack::HeightLies => {
                let payload = self.bytes(1000);
                whole(own, &payload, 255)
            }
            Attack::Replays => whole(own, &payload(1000, REPLAYED), 0),
        };
        (from, datagram)
    }

    /// A valid header, and a coding that no codec should see.
    fn hostile_coding(&mut self, header: Header) -> Vec<u8> {
        let lengths = [0, 1, 10_485_759, 10_485_760, (1 << 40) - 1, 56_403 * 8, self.random(1 << 24)];
        let coding = Coding {
            length: lengths[self.random(7) as usize],
            symbol_bytes: [0, 1, 8, 64, 1296, 8192, 65_535][self.random(7) as usize],
            blocks: [0, 1, 2, 255][self.random(4) as usize],
            sub_blocks: [0, 1, 2, 65_535][self.random(4) as usize],
            alignment: [0, 1, 8, 8, 8, 255][self.random(6) as usize],
        };
        // Half of the symbols have another length than is claimed.
        let length = if self.random(2) == 0 { usize::from(coding.symbol_bytes).clamp(1, 8192) } else { self.random(1300) as usize + 1 };
        let mut ray = [0; 32];
        ray.copy_from_slice(&self.bytes(32));
        let id = SymbolId { block: self.random(3) as u8, number: self.random(1 << 24) as u32 };
        let data = Bytes::from(self.bytes(length));
        encode(header, Body::Broadcast(Chunk { height: 100, ray: RayId(ray), coding, symbol: Symbol { id, data } }))
    }

    /// A wrong symbol of the message that comes next.
    fn forged(&mut self, header: Header) -> Vec<u8> {
        let number = self.messages.load(Ordering::Relaxed) + 1;
        let size = if number.is_multiple_of(3) { 100_000 } else { 2000 };
        let honest = payload(size, number);
        let symbol_bytes = 1296;
        let coding = Coding { length: size as u64, symbol_bytes, blocks: 1, sub_blocks: 1, alignment: 8 };
        let number = self.random(2 * size.div_ceil(1296) as u64) as u32;
        let data = Bytes::from(self.bytes(symbol_bytes.into()));
        let symbol = Symbol { id: SymbolId { block: 0, number }, data };
        encode(header, Body::Broadcast(Chunk { height: 0, ray: RayId::of(&honest), coding, symbol }))
    }

    /// Peers that are none.
    fn nodes(&mut self, header: Header) -> Vec<u8> {
        let sink = Entry::of(self.sink_header.address(self.honest[0]));
        let invented = |attacker: &mut Self| {
            let ip = [127, 1, attacker.random(256) as u8, attacker.random(256) as u8];
            Entry::of(SocketAddr::from((ip, attacker.random(60_000) as u16 + 1024)))
        };
        let mut entries: Vec<Entry> = (0..39).map(|_| invented(self)).collect();
        entries.push(sink);
        self.sent.in_its_name.fetch_add(22, Ordering::Relaxed);
        encode(header, Body::Nodes { version: Version::default(), entries })
    }

    /// In the name of honest peers, and of one that never asked.
    fn spoofed(&mut self) -> Vec<u8> {
        let which = self.random(self.in_honest_names.len() as u64) as usize;
        let honest = self.in_honest_names[which];
        let version = Version { major: 0, minor: 0, patch: 1 };
        match self.random(4) {
            0 => encode(Header { network: self.network.wrapping_add(1), ..honest }, Body::Ping { version }),
            1 => self.hostile_coding(honest),
            2 => encode(honest, Body::Nodes { version, entries: vec![] }),
            _ => self.question(),
        }
    }

    /// In the name of one that never asked.
    fn question(&mut self) -> Vec<u8> {
        let target = Id(self.bytes(16).try_into().unwrap_or_default());
        let datagram = encode(self.sink_header, Body::FindNodes { version: Version { major: 0, minor: 0, patch: 1 }, target });
        self.sent.in_its_name.fetch_add(datagram.len() as u64, Ordering::Relaxed);
        datagram
    }
}

/// A whole message in one symbol.
fn whole(header: Header, payload: &[u8], height: u8) -> Vec<u8> {
    let symbol_bytes = payload.len().next_multiple_of(8);
    let mut data = payload.to_vec();
    data.resize(symbol_bytes, 0);
    let coding = Coding { length: payload.len() as u64, symbol_bytes: symbol_bytes as u16, blocks: 1, sub_blocks: 1, alignment: 8 };
    let symbol = Symbol { id: SymbolId { block: 0, number: 0 }, data: data.into() };
    encode(header, Body::Broadcast(Chunk { height, ray: RayId::of(payload), coding, symbol }))
}

fn encode(header: Header, body: Body) -> Vec<u8> {
    Message { header, body }.encode().map(|bytes| bytes.to_vec()).unwrap_or_default()
}

fn header(address: SocketAddr, network: u8) -> Header {
    let id = Id::of(address);
    Header { id, nonce: Nonce::mine(id, 8).expect("one of some hundreds"), port: address.port(), network, mark: Mark::Cicada }
}

fn digest(payload: &[u8]) -> String {
    use sha2::Digest;
    sha2::Sha256::digest(payload).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// How long the control may take to fail: which datagram the crate falls over is left to chance.
const CONTROL: Duration = Duration::from_secs(60);

/// Which peer is attacked: the first that is no entry point.
const VICTIM: usize = 4;

/// Addresses of the attacker's own.
const IDENTITIES: usize = 16;

/// Datagrams a second: 6 MB/s of symbols, which one core must bear beside all else that runs here.
const RATE: usize = 5000;

/// What the victim may grow by: what it may hold (64 MiB), keep (32) and remember (8), and what its allocator keeps of it again.
const GROWTH_KIB: u64 = 160 << 10;

/// What symbols of unfinished messages may take: the default of the machine's limits.
const HELD_BYTES: u64 = 64 << 20;

/// Bytes that one who never asked may be sent, by those that were sent in its name.
const MOST_REFLECTED: f64 = 3.0;

/// The seed of the message that is replayed; honest ones count from 1.
const REPLAYED: u64 = u64::MAX;

const PATIENCE: Patience = Patience { each: Duration::from_secs(5), quiet: Duration::from_millis(300) };
