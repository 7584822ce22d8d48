//! Throughput of long messages to a neighbour and over one relay, beside a bare quinn stream.
//!
//! What is compared takes turns, so that all of it meets the same machine; the best turn of each counts. Run it by
//! `scripts/bench unicast`.

use bytes::Bytes;
use cicada::{Limits, Route, SendOptions, SwarmPeer};
use std::{
    error::Error,
    process::ExitCode,
    time::{Duration, Instant},
};
use tokio::{task::JoinSet, time};

#[path = "measure/allocator.rs"]
mod allocator;
#[path = "measure/bare_quinn.rs"]
mod bare_quinn;
#[allow(dead_code, reason = "broadcast.rs uses the rest")]
#[path = "measure/process.rs"]
mod process;
#[allow(dead_code, reason = "broadcast.rs uses the rest")]
#[path = "measure/report.rs"]
mod report;

use bare_quinn::BareQuinn;
use process::Usage;
use report::{Promise, Report, size_name};

const REPORT: Report = Report { bench: "unicast" };

fn main() -> ExitCode {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("threads can be made");
    match runtime.block_on(run()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("unicast: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), Box<dyn Error>> {
    let limit = Limits::default().message_bytes;
    let bytes = limit.min(MESSAGE_BYTES);
    let default_windows = BareQuinn::connect(None).await?;
    let small_windows = BareQuinn::connect(Some(SMALL_WINDOW_BYTES)).await?;
    let neighbours = Pair::neighbours().await?;
    let apart = Pair::over_one_relay().await?;
    let mut runs: [Runs; 4] = Default::default();
    let start = Instant::now();
    for turn in 0..=TURNS {
        for (kind, runs) in runs.iter_mut().enumerate() {
            let before = Usage::since(start);
            let took = match kind {
                0 => stream(&default_windows).await?,
                1 => stream(&small_windows).await?,
                2 => neighbours.messages(bytes).await?,
                _ => apart.messages(bytes).await?,
            };
            // The first turn lets each link find out how large its packets may be.
            if turn > 0 {
                runs.add(took, Usage::since(start) - before);
            }
        }
    }
    let [default_windows, small_windows, neighbours, apart] = runs.map(|runs| runs.report());
    let size = size_name(bytes);
    default_windows.print("bare quinn stream, quinn's windows");
    small_windows.print(&format!("bare quinn stream, {} windows", size_name(SMALL_WINDOW_BYTES as usize)));
    neighbours.print(&format!("{size} messages to a neighbour"));
    apart.print(&format!("{size} messages over one relay"));
    // Large windows may overflow a socket's buffer, small ones wait: which is faster depends on the machine.
    let floor = default_windows.rate.max(small_windows.rate);
    REPORT.figure("neighbour over bare stream", neighbours.rate / floor, "ratio", Promise::AtLeast(0.7));
    REPORT.figure("one relay over bare stream", apart.rate / floor, "ratio", Promise::AtLeast(0.35));
    REPORT.figure("length of the messages", bytes as f64, "bytes", Promise::AtLeast(MESSAGE_BYTES as f64));
    Ok(())
}

/// What one kind of transport took, turn by turn.
#[derive(Default)]
struct Runs {
    rates: Vec<f64>,
    cpu: Vec<f64>,
}

struct Rate {
    rate: f64,
    cpu: f64,
}

impl Runs {
    fn add(&mut self, took: Duration, used: Usage) {
        self.rates.push(TURN_BYTES as f64 / 1e6 / took.as_secs_f64());
        self.cpu.push(used.cpu.as_secs_f64() * 1e3 / (TURN_BYTES as f64 / 1e6));
    }

    /// The best turn: whatever else this machine does only makes a turn worse.
    fn report(&self) -> Rate {
        Rate { rate: self.rates.iter().copied().fold(0.0, f64::max), cpu: self.cpu.iter().copied().fold(f64::INFINITY, f64::min) }
    }
}

impl Rate {
    fn print(&self, what: &str) {
        REPORT.figure(what, self.rate, "MB/s", Promise::Nothing);
        REPORT.figure(&format!("{what}: CPU"), self.cpu, "ms/MB", Promise::Nothing);
    }
}

/// One long stream, from its first byte to its last.
async fn stream(pair: &BareQuinn) -> Result<Duration, Box<dyn Error>> {
    let begun = Instant::now();
    let mut sending = pair.dialler.open_uni().await?;
    let write = async {
        let chunk = Bytes::from(vec![1; CHUNK_BYTES]);
        for _ in 0..TURN_BYTES / CHUNK_BYTES {
            sending.write_chunk(chunk.clone()).await?;
        }
        Ok::<_, Box<dyn Error>>(sending.finish()?)
    };
    let read = async {
        let mut receiving = pair.listener.accept_uni().await?;
        let mut read = 0;
        while let Some(chunk) = receiving.read_chunk(usize::MAX, true).await? {
            read += chunk.bytes.len();
        }
        Ok::<_, Box<dyn Error>>(read)
    };
    let (written, read) = tokio::join!(write, read);
    written?;
    if read? != TURN_BYTES {
        return Err("the stream was cut off".into());
    }
    Ok(begun.elapsed())
}

/// Two peers, the links that lie between them, and the rest of their swarm.
struct Pair {
    from: SwarmPeer,
    to: SwarmPeer,
    hops: usize,
    _others: Vec<SwarmPeer>,
}

impl Pair {
    async fn neighbours() -> Result<Self, Box<dyn Error>> {
        let from = SwarmPeer::bind(("127.0.0.1", 0)).await?;
        let to = SwarmPeer::bind(("127.0.0.1", 0)).await?;
        from.connect(to.listener()).await?;
        Ok(Self { from, to, hops: 1, _others: Vec::new() })
    }

    /// In a swarm with so few links that not everybody has one to everybody.
    async fn over_one_relay() -> Result<Self, Box<dyn Error>> {
        let mut limits = Limits::default();
        limits.links = 6;
        let mut peers = Vec::<SwarmPeer>::new();
        for _ in 0..SWARM {
            let peer = SwarmPeer::builder().limits(limits.clone()).bind(("127.0.0.1", 0)).await?;
            if let Some(entry) = peers.last() {
                peer.connect(entry.listener()).await?;
            }
            peers.push(peer);
        }
        // Links are made and given up until the tables are at rest.
        time::sleep(SETTLE).await;
        for from in 0..SWARM {
            for to in (0..SWARM).filter(|to| *to != from) {
                let receipt = peers[from].send_with(peers[to].id(), "how far?", &overlay()).await;
                peers[to].recv().await?;
                if receipt.is_ok_and(|receipt| receipt.hops() == Some(2)) {
                    let (from, to) = (peers[from].clone(), peers[to].clone());
                    return Ok(Self { from, to, hops: 2, _others: peers });
                }
            }
        }
        Err("no two peers are one relay apart".into())
    }

    /// Some messages at once, until all have arrived.
    async fn messages(&self, bytes: usize) -> Result<Duration, Box<dyn Error>> {
        let payload = Bytes::from(vec![2; bytes]);
        let begun = Instant::now();
        let send = async {
            let mut sending = JoinSet::new();
            for number in 0..TURN_BYTES / bytes {
                if number >= AT_ONCE {
                    self.check(sending.join_next().await)?;
                }
                let (from, to, payload) = (self.from.clone(), self.to.id(), payload.clone());
                sending.spawn(async move { from.send_with(to, payload, &overlay()).await });
            }
            while let Some(sent) = sending.join_next().await {
                self.check(Some(sent))?;
            }
            Ok::<_, Box<dyn Error>>(())
        };
        let receive = async {
            for _ in 0..TURN_BYTES / bytes {
                let message = self.to.recv().await?;
                if message.data.len() != bytes {
                    return Err("a message of another length".into());
                }
            }
            Ok::<_, Box<dyn Error>>(begun.elapsed())
        };
        let (sent, received) = tokio::join!(send, receive);
        sent?;
        received
    }

    fn check(
        &self,
        sent: Option<Result<Result<cicada::Receipt, cicada::SendError>, tokio::task::JoinError>>,
    ) -> Result<(), Box<dyn Error>> {
        let receipt = sent.ok_or("nothing is being sent")???;
        if receipt.hops() == Some(self.hops) {
            return Ok(());
        }
        Err(format!("a message travelled {:?} links and not {}", receipt.hops(), self.hops).into())
    }
}

fn overlay() -> SendOptions {
    SendOptions::default().with_route(Route::Overlay)
}

/// What the promise is about.
const MESSAGE_BYTES: usize = 1 << 20;

/// What is moved in a turn.
const TURN_BYTES: usize = 64 << 20;

const TURNS: usize = 5;

/// Messages under way at once: enough that nobody waits for a receipt.
const AT_ONCE: usize = 4;

const CHUNK_BYTES: usize = 1 << 16;

/// So much fits into the buffer of a socket that nobody made larger.
const SMALL_WINDOW_BYTES: u32 = 128 << 10;

/// Peers of the swarm that has too few links for all.
const SWARM: usize = 16;

const SETTLE: Duration = Duration::from_secs(5);
