//! Broadcasts among 64 peers in one process, beside bare UDP sockets that do the same.
//!
//! Run it by `scripts/bench broadcast`, which puts it into a network of its own: only there are bytes on the wire counted. Each
//! overlay is measured by a process of its own, since memory that one has given back would make the next one look smaller, and
//! once more by one that counts copies, since counting costs time.
//!
//! `--peers N` measures a smaller swarm.

use cicada::{Broadcast, BroadcastError, BroadcastOptions, Limits, OverlayKind, SwarmPeer};
use std::{
    collections::BTreeMap,
    env,
    error::Error,
    process::{Command, ExitCode},
    time::{Duration, Instant},
};
use tokio::time;

#[allow(dead_code, reason = "pressure.rs uses the rest")]
#[path = "measure/process.rs"]
mod process;
#[path = "measure/report.rs"]
mod report;
#[path = "measure/swarm.rs"]
mod swarm;
#[path = "measure/udp_tree.rs"]
mod udp_tree;

use process::Usage;
use report::{Promise, Report, median, size_name};
use swarm::{Arrival, Plan, Random, Swarm, payload};

const REPORT: Report = Report { bench: "broadcast" };

/// What is sent: how large, how often, and with what pause from one to the next. Without a pause the next is sent when the last
/// one has arrived everywhere.
struct Series {
    bytes: usize,
    times: usize,
    every: Option<Duration>,
    /// The most bytes on the wire for each byte of payload and peer.
    wire: f64,
}

const SERIES: [Series; 4] = [
    Series { bytes: 1 << 10, times: 100, every: Some(Duration::from_millis(50)), wire: 1.6 },
    Series { bytes: 100 << 10, times: 20, every: None, wire: 1.3 },
    Series { bytes: 1 << 20, times: 5, every: None, wire: 1.3 },
    Series { bytes: 16 << 20, times: 2, every: None, wire: 1.3 },
];

fn main() -> ExitCode {
    match run(&env::args().skip(1).collect::<Vec<_>>()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("broadcast: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(words: &[String]) -> Result<(), Box<dyn Error>> {
    let after = |flag: &str| words.iter().skip_while(|word| *word != flag).nth(1).map(String::as_str);
    let peers: usize = after("--peers").unwrap_or("64").parse()?;
    if peers < 3 {
        return Err("--peers wants 3 at least".into());
    }
    match after("--part") {
        None => all_parts(peers),
        Some("floor") => floor(peers),
        Some(part) => {
            let (overlay, count_frames) = part.split_once(' ').unwrap_or((part, ""));
            let kind = if overlay == "tree" { OverlayKind::Tree } else { OverlayKind::Ring };
            let plan = Plan {
                peers,
                overlay: kind,
                limits: Limits::default(),
                count_frames: !count_frames.is_empty(),
                build: |_, builder| builder,
            };
            let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
            runtime.block_on(Measurement::run(overlay, &plan))
        }
    }
}

/// Each in a process of its own.
fn all_parts(peers: usize) -> Result<(), Box<dyn Error>> {
    if !process::is_alone() {
        eprintln!("broadcast: not alone on this network, so that bytes on the wire are not counted (see netlab/in-a-box)");
    }
    for part in ["floor", "ring", "tree", "ring copies", "tree copies"] {
        let status = Command::new(env::current_exe()?).args(["--peers", &peers.to_string(), "--part", part]).status()?;
        if !status.success() {
            return Err(format!("the part `{part}` failed").into());
        }
    }
    Ok(())
}

fn floor(peers: usize) -> Result<(), Box<dyn Error>> {
    let start = Instant::now();
    for Series { bytes, times, wire: _, every: _ } in SERIES {
        let (mut before, mut after) = (Usage::default(), Usage::default());
        let took = udp_tree::run(peers, bytes, times, &mut || before = Usage::since(start), &mut || after = Usage::since(start))?;
        let took: Vec<f64> = took.iter().map(|took| took.as_secs_f64() * 1e3).collect();
        let about = |what: &str| format!("bare UDP, {}: {what}", size_name(bytes));
        REPORT.figure(&about("to full coverage"), median(&took), "ms", Promise::Nothing);
        cost(&about, after - before, bytes * times * (peers - 1), Promise::Nothing);
    }
    Ok(())
}

/// What was used, for each byte that was delivered.
fn cost(about: &dyn Fn(&str) -> String, used: Usage, delivered: usize, wire: Promise) {
    REPORT.figure(&about("CPU"), used.cpu.as_secs_f64() * 1e3 / (delivered as f64 / 1e6), "ms/MB", Promise::Nothing);
    if process::is_alone() {
        REPORT.figure(&about("bytes on the wire"), used.wire_bytes as f64 / delivered as f64, "of payload", wire);
        REPORT.figure(&about("datagrams dropped by full buffers"), used.dropped as f64, "datagrams", Promise::Nothing);
    }
}

/// One overlay, from joining to leaving.
struct Measurement<'a> {
    overlay: &'a str,
    start: Instant,
    swarm: Swarm,
    random: Random,
    idle: Usage,
    /// Of the next broadcast.
    number: u64,
    /// What the process had before there was a peer.
    resident: u64,
}

impl<'a> Measurement<'a> {
    async fn run(overlay: &'a str, plan: &Plan) -> Result<(), Box<dyn Error>> {
        let resident = process::resident_bytes().unwrap_or_default();
        let (start, mut random) = (Instant::now(), Random(1));
        let swarm = Swarm::join(plan, &mut random).await?;
        let joined = start.elapsed();
        swarm.settle().await;
        let mut measurement = Self { overlay, start, swarm, random, idle: Usage::default(), number: 0, resident };
        if plan.count_frames {
            measurement.copies(plan.limits.message_bytes).await?;
        } else {
            REPORT.figure(&measurement.about("joining, one after another"), joined.as_secs_f64(), "s", Promise::Nothing);
            measurement.costs(plan.limits.message_bytes).await?;
        }
        measurement.swarm.close().await;
        Ok(())
    }

    fn about(&self, what: &str) -> String {
        format!("{}: {what}", self.overlay)
    }

    fn others(&self) -> usize {
        self.swarm.peers.len() - 1
    }

    /// Time, bytes, CPU and memory.
    async fn costs(&mut self, limit: usize) -> Result<(), Box<dyn Error>> {
        self.rest().await;
        self.memory("before load", 2.0);
        self.warm_up(limit).await?;
        for series in SERIES.iter().filter(|series| series.bytes <= limit) {
            let name = size_name(series.bytes);
            let before = Usage::since(self.start);
            let tally = self.play(series).await?;
            // Repair tells what it has for seconds after the last broadcast: that belongs to its price.
            time::sleep(LINGER).await;
            let used = (Usage::since(self.start) - before).without_idle(&self.idle);
            let overlay = self.overlay;
            let about = |what: &str| format!("{overlay}, {name}: {what}");
            let late = self.late(&tally);
            REPORT.figure(
                &about("delivered"),
                tally.delivered() as f64 / (self.others() * tally.sent()) as f64,
                "of all",
                Promise::AtLeast(1.0),
            );
            REPORT.figure(&about("delivered twice or damaged"), (tally.wrong + late) as f64, "messages", Promise::AtMost(0.0));
            REPORT.figure(&about("to full coverage, median"), median(&tally.coverage_ms()), "ms", Promise::Nothing);
            REPORT.figure(&about("to full coverage, worst"), tally.coverage_ms().into_iter().fold(0.0, f64::max), "ms", Promise::Nothing);
            cost(&about, used, series.bytes * tally.delivered().max(1), Promise::AtMost(series.wire));
            if series.bytes == 1 << 20 {
                // Bodies are kept for whoever lacks them; at rest again, they are gone.
                time::sleep(KEPT).await;
                self.memory("at rest after broadcasts of 1 MiB", 5.0);
            }
        }
        let largest = SERIES[SERIES.len() - 1].bytes as f64;
        REPORT.figure(&self.about("longest message"), limit as f64, "bytes", Promise::AtLeast(largest));
        Ok(())
    }

    /// How often payload is handed to a link, for each peer that is to have it, and by whom most.
    async fn copies(&mut self, limit: usize) -> Result<(), Box<dyn Error>> {
        for series in SERIES.iter().filter(|series| series.bytes <= limit) {
            let (mut copies, mut delivered, mut most) = (0.0, 0, 0.0_f64);
            for _ in 0..series.times.min(ROUNDS_COUNTED) {
                let before = self.handed(series.bytes);
                delivered += self.play(&Series { times: 1, every: None, ..*series }).await?.delivered();
                time::sleep(LINGER).await;
                let after = self.handed(series.bytes);
                let handed = after.iter().zip(&before).map(|(after, before)| after - before);
                copies += handed.clone().sum::<f64>();
                most = handed.fold(most, f64::max);
            }
            let about = |what: &str| format!("{}, {}: {what}", self.overlay, size_name(series.bytes));
            REPORT.figure(&about("copies of the payload"), copies / delivered.max(1) as f64, "a peer", Promise::AtMost(1.05));
            REPORT.figure(&about("handed out by one peer, most"), most, "of payload", Promise::AtMost(8.0));
        }
        Ok(())
    }

    /// Payloads' worth that each peer handed to its links since it began.
    fn handed(&self, bytes: usize) -> Vec<f64> {
        self.swarm.handed.iter().map(|handed| handed.bytes() as f64 / bytes as f64).collect()
    }

    /// Waits until the swarm uses no less than before, and reports what that is.
    async fn rest(&mut self) {
        time::sleep(SETTLED.saturating_sub(self.start.elapsed())).await;
        self.idle = self.look().await;
        for _ in 0..RESTS {
            let before = self.idle;
            self.idle = self.look().await;
            let calmer = self.idle.cpu < before.cpu.mul_f64(CALMER) || self.idle.wire_bytes < (before.wire_bytes as f64 * CALMER) as u64;
            if !calmer {
                break;
            }
        }
        let seconds = self.idle.elapsed.as_secs_f64() * self.swarm.peers.len() as f64;
        let cpu = 100.0 * self.idle.cpu.as_secs_f64() / seconds;
        REPORT.figure(&self.about("CPU of an idle peer"), cpu, "% of a core", Promise::AtMost(0.1));
        if process::is_alone() {
            let sent = self.idle.wire_bytes as f64 / seconds;
            REPORT.figure(&self.about("sent by an idle peer"), sent, "B/s", Promise::AtMost(500.0));
        }
    }

    /// What the swarm uses when nobody sends.
    async fn look(&self) -> Usage {
        let before = Usage::since(self.start);
        time::sleep(QUIET).await;
        Usage::since(self.start) - before
    }

    fn memory(&self, when: &str, most_mib: f64) {
        let Some(resident) = process::resident_bytes() else { return };
        let each = resident.saturating_sub(self.resident) as f64 / self.swarm.peers.len() as f64 / f64::from(1 << 20);
        REPORT.figure(&self.about(&format!("memory of a peer {when}")), each, "MiB", Promise::AtMost(most_mib));
    }

    /// Lets each link find out how large its packets may be.
    async fn warm_up(&mut self, limit: usize) -> Result<(), Box<dyn Error>> {
        let bytes = limit.min(WARM_UP_BYTES);
        self.play(&Series { bytes, times: 8, every: None, wire: 0.0 }).await?;
        time::sleep(LINGER).await;
        Ok(())
    }

    /// Sends a series from random origins, and waits until all has arrived or too long.
    async fn play(&mut self, series: &Series) -> Result<Tally, Box<dyn Error>> {
        let mut tally = Tally::new(self.number, self.others());
        let mut sending = tokio::task::JoinSet::new();
        let mut turn = Instant::now();
        for _ in 0..series.times {
            let payload = payload(self.number, series.bytes);
            let origin = self.random.below(self.swarm.peers.len());
            let peer = self.swarm.peers[origin].clone();
            tally.begin(self.number, origin, &payload);
            self.number += 1;
            sending.spawn(send(peer, payload));
            if let Some(every) = series.every {
                turn += every;
                self.gather(&mut tally, turn, false).await;
                continue;
            }
            self.gather(&mut tally, Instant::now() + PATIENCE, true).await;
            if tally.incomplete() >= HOPELESS {
                break;
            }
        }
        self.gather(&mut tally, Instant::now() + PATIENCE, true).await;
        while let Some(sent) = sending.join_next().await {
            sent??;
        }
        Ok(tally)
    }

    /// Takes arrivals until the time, or until nothing is missing any more.
    async fn gather(&mut self, tally: &mut Tally, until: Instant, or_complete: bool) {
        while !(or_complete && tally.is_complete()) {
            match time::timeout_at(until.into(), self.swarm.arrivals.recv()).await {
                Ok(Some(arrival)) => tally.arrived(&arrival),
                Ok(None) | Err(_) => return,
            }
        }
    }

    /// How many messages arrived after everybody had all: each is one too many.
    fn late(&mut self, tally: &Tally) -> usize {
        let mut late = 0;
        while self.swarm.arrivals.try_recv().is_ok() {
            late += 1;
        }
        if tally.is_complete() { late } else { 0 }
    }
}

async fn send(peer: SwarmPeer, payload: Vec<u8>) -> Result<Broadcast, BroadcastError> {
    peer.broadcast(payload, &BroadcastOptions::default()).await
}

/// What arrived of a series.
struct Tally {
    first: u64,
    others: usize,
    rounds: BTreeMap<u64, Round>,
    wrong: usize,
}

struct Round {
    begun: Instant,
    origin: usize,
    payload: Vec<u8>,
    arrived: BTreeMap<usize, Instant>,
}

impl Tally {
    fn new(first: u64, others: usize) -> Self {
        Self { first, others, rounds: BTreeMap::new(), wrong: 0 }
    }

    fn begin(&mut self, number: u64, origin: usize, payload: &[u8]) {
        // The edges tell whether a message is whole; comparing all of it would cost as much as some of what is measured.
        let edges = [&payload[..EDGE_BYTES], &payload[payload.len() - EDGE_BYTES..]].concat();
        self.rounds.insert(number, Round { begun: Instant::now(), origin, payload: edges, arrived: BTreeMap::new() });
    }

    fn arrived(&mut self, arrival: &Arrival) {
        let data = &arrival.message.data;
        let number = data.first_chunk().map(|number| u64::from_le_bytes(*number));
        // What is left of an earlier series was reported there.
        if number.is_some_and(|number| number < self.first) {
            return;
        }
        let round = number.and_then(|number| self.rounds.get_mut(&number));
        let right = round.is_some_and(|round| {
            let whole = data.starts_with(&round.payload[..EDGE_BYTES]) && data.ends_with(&round.payload[EDGE_BYTES..]);
            whole && arrival.peer != round.origin && round.arrived.insert(arrival.peer, arrival.at).is_none()
        });
        self.wrong += usize::from(!right);
    }

    fn sent(&self) -> usize {
        self.rounds.len()
    }

    /// Broadcasts that did not get everywhere.
    fn incomplete(&self) -> usize {
        self.rounds.values().filter(|round| round.arrived.len() < self.others).count()
    }

    fn delivered(&self) -> usize {
        self.rounds.values().map(|round| round.arrived.len()).sum()
    }

    fn is_complete(&self) -> bool {
        self.incomplete() == 0
    }

    /// Of those that got everywhere.
    fn coverage_ms(&self) -> Vec<f64> {
        let complete = self.rounds.values().filter(|round| round.arrived.len() == self.others);
        complete.filter_map(|round| Some(round.arrived.values().max()?.duration_since(round.begun).as_secs_f64() * 1e3)).collect()
    }
}

/// How long a broadcast may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// So many incomplete broadcasts end a series: each costs all of the patience.
const HOPELESS: usize = 3;

/// Traffic that a broadcast causes after it has arrived.
const LINGER: Duration = Duration::from_secs(3);

/// Tables are looked over ever more seldom after the last change, and links are checked ever more seldom.
const SETTLED: Duration = Duration::from_secs(150);

/// How long an idle swarm is looked at: longer than any of its usual intervals.
const QUIET: Duration = Duration::from_secs(20);

/// How often it is looked at again in the hope that it calms down.
const RESTS: usize = 8;

/// A swarm that uses this much of what it used before is still calming down.
const CALMER: f64 = 0.9;

/// Broadcasts of which the copies are counted, one after another.
const ROUNDS_COUNTED: usize = 5;

/// Enough for a few round trips of full packets on each link.
const WARM_UP_BYTES: usize = 1 << 20;

const EDGE_BYTES: usize = 64;

/// How long peers keep bodies, and a little more.
const KEPT: Duration = Duration::from_secs(35);
