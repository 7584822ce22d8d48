//! How large a world, and how fast: members join through the protocol, settle, look keys up and broadcast once.
//!
//! `cargo run --release -p cicada-sim --example scale -- MEMBERS ring|tree uniform|LATENCIES JOINS_PER_SECOND`, all with defaults;
//! `LATENCIES` is `wonder222` or a file. With a fifth word, `figures`, it prints what `scripts/bench` reads instead. Prints events a second of the processor's time (so that other programs do not count), virtual
//! times, and the memory that the process has taken at most.

#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "it measures real time; the world it measures knows none")]

use cicada_proto::{Config, Route, SendOptions};
use cicada_sim::{Latency, Matrix, Network, PeerIndex, World, WorldConfig};
use cicada_wire::OverlayKind;
use mimalloc::MiMalloc;
use std::time::{Duration, Instant};

/// As in the program `cicada`.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() {
    let words: Vec<_> = std::env::args().skip(1).collect();
    let word = |place: usize, default: &str| words.get(place).cloned().unwrap_or_else(|| default.to_owned());
    let members: usize = word(0, "1000").parse().expect("the first word is the number of members");
    let mut config = Config::default();
    config.overlay = if word(1, "ring") == "tree" { OverlayKind::Tree } else { OverlayKind::Ring };
    let latency = match word(2, "uniform").as_str() {
        "uniform" => Latency::Uniform(Duration::from_millis(20), Duration::from_millis(60)),
        name => Latency::Matrix(Matrix::load(name).unwrap_or_else(|error| panic!("{error}")).into()),
    };
    let per_second: u32 = word(3, "500").parse().expect("the fourth word is how many join a second");
    let network = Network { latency, ..Network::default() };
    let mut world = World::new(WorldConfig { seed: 1, network, config, ..WorldConfig::default() });
    let figures = (word(4, "") == "figures").then(|| format!("{members} on a {}", word(1, "ring")));
    let mut clock = Clock { began: Instant::now(), used: processor(), events: 0, virtual_us: 0, figures };

    let peers = world.add_peers(members);
    clock.lap(&world, "added", "");
    let assembly = world.join_all(&peers, per_second);
    clock.lap(&world, "joined", &format!("{} failed, {} repeated", assembly.failed.len(), assembly.repeated));
    let settled = world.settle(&peers, Duration::from_secs(120));
    clock.lap(&world, "settled", &format!("{settled:?}"));
    if clock.figures.is_some() && members >= LARGE {
        assert!(assembly.failed.is_empty() && settled.is_ok(), "not all are in: {:?}, {settled:?}", assembly.failed);
        broadcast(&mut world, &peers, &mut clock);
        return clock.tell_of_a_large_one();
    }
    world.run_for(Duration::from_secs(10));
    clock.lap(&world, "ran 10 s", "");
    if clock.figures.is_some() {
        // Links are still made and given up for a while.
        world.run_for(Duration::from_secs(120));
        clock.lap(&world, "calmed down", "");
        world.run_for(Duration::from_secs(300));
        clock.lap(&world, AT_REST, "");
    }
    let lookups = members.min(2000);
    let right = world.right_lookups(&peers, lookups, Duration::from_secs(30));
    clock.lap(&world, "looked up", &format!("{right} of {lookups} right"));
    let (sent, hops, stretch) = messages(&mut world, &peers, lookups);
    let hops_mean = hops.iter().sum::<usize>() as f64 / hops.len().max(1) as f64;
    let stretches =
        (stretch.iter().sum::<f64>() / stretch.len().max(1) as f64, stretch.get(stretch.len() / 2).copied().unwrap_or_default());
    let said = format!("{sent} of {lookups} receipts, {hops_mean:.2} hops, stretch {:.2} (median {:.2})", stretches.0, stretches.1);
    clock.lap(&world, "messages", &said);
    broadcast(&mut world, &peers, &mut clock);
}

/// From one member to all others.
fn broadcast(world: &mut World, peers: &[PeerIndex], clock: &mut Clock) {
    let origin = world.choose(peers);
    world.broadcast(origin, vec![7; 1024]);
    let rest: Vec<_> = peers.iter().copied().filter(|who| *who != origin).collect();
    let payload = [7; 1024];
    let whole =
        world.run_until_every(Duration::from_millis(500), Duration::from_secs(30), |world| world.reached(&rest, &payload).0 == rest.len());
    let (once, again) = world.reached(&rest, &payload);
    assert!(clock.figures.is_none() || once == rest.len(), "it comes to {once} of {}", rest.len());
    clock.lap(world, "broadcast", &format!("{once} of {} in {whole:?}, {again} more than once", rest.len()));
}

/// The part in which nothing happens but upkeep.
const AT_REST: &str = "at rest";

/// Events a second of that part.
const PROMISED: u32 = 300_000;

/// So many members join, settle and hear one broadcast within [`PROMISED_S`] and [`PROMISED_MIB`].
const LARGE: usize = 20_000;
const PROMISED_S: u32 = 300;
const PROMISED_MIB: u32 = 8192;

/// Sends messages over the overlay, all at once; returns how many receipts came, over how many links each message went, and how
/// often the direct round trip the receipt took, in order.
fn messages(world: &mut World, peers: &[PeerIndex], count: usize) -> (usize, Vec<usize>, Vec<f64>) {
    let began = world.now();
    let sending: Vec<_> = (0..count)
        .map(|_| {
            let (from, to) = (world.choose(peers), world.choose(peers));
            let mut options = SendOptions::default();
            options.route = Route::Overlay;
            let target = world.id(to);
            (world.begin_send(from, target, vec![7; 100], options), from, to)
        })
        .filter(|(_, from, to)| from != to)
        .collect();
    world.run_for(Duration::from_secs(15));
    let (mut came, mut hops, mut stretch) = (count - sending.len(), Vec::new(), Vec::new());
    for (operation, from, to) in sending {
        let Some(Ok(receipt)) = world.sent(operation) else { continue };
        came += 1;
        hops.extend(receipt.hops());
        let took = world.outcome(operation).map(|(at, _)| at.since(began));
        let direct = world.direct_latency(from, to) + world.direct_latency(to, from);
        stretch.extend(took.filter(|_| !direct.is_zero()).map(|took| took.as_secs_f64() / direct.as_secs_f64()));
    }
    stretch.sort_unstable_by(f64::total_cmp);
    (came, hops, stretch)
}

/// Measures one part after the other.
struct Clock {
    began: Instant,
    used: Duration,
    events: u64,
    virtual_us: u64,
    /// What figures are called, if they are printed for another program.
    figures: Option<String>,
}

impl Clock {
    fn lap(&mut self, world: &World, what: &str, more: &str) {
        let used = processor().saturating_sub(self.used);
        let events = world.happened() - self.events;
        let virtual_s = (world.now().0 - self.virtual_us) as f64 / 1e6;
        if let Some(name) = &self.figures {
            let rate = events as f64 / used.as_secs_f64().max(0.01);
            let promise = if what == AT_REST { format!(",\"min\":{PROMISED}") } else { String::new() };
            println!("{{\"bench\":\"simulator\",\"name\":\"{name}: {what}\",\"value\":{rate:.0},\"unit\":\"events/s\"{promise}}}");
        } else {
            self.tell(world, what, more, (events, used, virtual_s));
        }
        (self.used, self.events, self.virtual_us) = (processor(), world.happened(), world.now().0);
    }

    fn tell_of_a_large_one(&self) {
        let name = self.figures.as_deref().unwrap_or_default();
        let (took, mib) = (processor().as_secs_f64(), resident_mib());
        println!(
            "{{\"bench\":\"simulator\",\"name\":\"{name}: joined, settled, one broadcast\",\"value\":{took:.1},\"unit\":\"s\",\"max\":{PROMISED_S}}}"
        );
        println!("{{\"bench\":\"simulator\",\"name\":\"{name}: memory\",\"value\":{mib},\"unit\":\"MiB\",\"max\":{PROMISED_MIB}}}");
    }

    fn tell(&self, world: &World, what: &str, more: &str, (events, used, virtual_s): (u64, Duration, f64)) {
        println!(
            "{what:>10}: {events:>10} events in {:>7.2} s, {:>7.0} a second; {virtual_s:>7.2} virtual s; {} pending, {} links; {} MiB; in all {:.1} s of {:.1}. {more}",
            used.as_secs_f64(),
            events as f64 / used.as_secs_f64().max(0.01),
            world.pending(),
            world.link_count(),
            resident_mib(),
            processor().as_secs_f64(),
            self.began.elapsed().as_secs_f64(),
        );
    }
}

/// The processor's time that this process has used, as Linux tells in ticks of 10 ms; 0 elsewhere.
fn processor() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat.rsplit(") ").next().unwrap_or_default().split(' ').skip(11).take(2);
    Duration::from_millis(fields.filter_map(|ticks| ticks.parse::<u64>().ok()).sum::<u64>() * 10)
}

/// What the process has taken at most, as Linux tells; 0 elsewhere.
fn resident_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok()).unwrap_or(0) / 1024
}
