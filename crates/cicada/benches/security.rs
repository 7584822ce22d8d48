//! What protection costs: the same messages between the same peers with it and without, taking turns; the first message
//! to somebody; and how many signatures a core checks. Run it by `scripts/bench security`.

use bytes::Bytes;
use cicada::{Hash, Identity, Route, Security, SendOptions, SwarmPeer};
use cicada_wire::StatementHash;
use std::{
    error::Error,
    process::ExitCode,
    time::{Duration, Instant},
};
use tokio::task::JoinSet;

#[path = "measure/allocator.rs"]
mod allocator;
#[allow(dead_code, reason = "the others use the rest")]
#[path = "measure/report.rs"]
mod report;

use report::{Promise, Report, median, size_name};

const REPORT: Report = Report { bench: "security" };

fn main() -> ExitCode {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("threads can be made");
    match runtime.block_on(run()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("security: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), Box<dyn Error>> {
    signatures();
    let (full, plain) = (Pair::new(Security::Full).await?, Pair::new(Security::Plain).await?);
    for load in LOADS {
        let (mut with, mut without) = (Vec::new(), Vec::new());
        for turn in 0..=TURNS {
            let (took_full, took_plain) = (full.messages(load).await?, plain.messages(load).await?);
            // In the first turn the session is made, and each link finds out how large its packets may be.
            if turn > 0 {
                with.push(took_full.as_secs_f64());
                without.push(took_plain.as_secs_f64());
            }
        }
        let best = |times: &[f64]| times.iter().copied().fold(f64::INFINITY, f64::min);
        let (with, without) = (best(&with), best(&without));
        let size = size_name(load.bytes);
        REPORT.figure(&format!("{size} messages, sealed"), load.count as f64 / with, "1/s", Promise::Nothing);
        REPORT.figure(&format!("{size} messages, plain"), load.count as f64 / without, "1/s", Promise::Nothing);
        REPORT.figure(&format!("{size}: rate of sealed over plain"), without / with, "ratio", Promise::AtLeast(0.8));
    }
    for (security, name) in [(Security::Full, "sealed"), (Security::Plain, "plain")] {
        let mut firsts = Vec::new();
        for _ in 0..FIRSTS {
            let pair = Pair::new(security).await?;
            let begun = Instant::now();
            pair.from.send_with(pair.to.id(), "hello", &overlay()).await?;
            firsts.push(begun.elapsed().as_secs_f64() * 1e6);
            pair.to.recv().await?;
        }
        REPORT.figure(&format!("first message to a neighbour, {name}"), median(&firsts), "us", Promise::Nothing);
    }
    Ok(())
}

/// One by one, and strictly: see decision 14.
fn signatures() {
    let identity = Identity::from_seed(&[1; 32]);
    let hashes: Vec<StatementHash> = (0..SIGNATURES).map(|number| StatementHash(Hash::of(number.to_string()).to_bytes())).collect();
    let begun = Instant::now();
    let signatures: Vec<_> = hashes.iter().map(|hash| hash.sign(&identity)).collect();
    let signed = begun.elapsed();
    let begun = Instant::now();
    let hold = hashes.iter().zip(&signatures).filter(|(hash, signature)| hash.is_signed_by(identity.public(), signature)).count();
    let checked = begun.elapsed();
    assert_eq!(hold, SIGNATURES);
    REPORT.figure("signatures made, one core", SIGNATURES as f64 / signed.as_secs_f64(), "1/s", Promise::Nothing);
    REPORT.figure("signatures checked, one core", SIGNATURES as f64 / checked.as_secs_f64(), "1/s", Promise::Nothing);
}

struct Pair {
    from: SwarmPeer,
    to: SwarmPeer,
}

impl Pair {
    async fn new(security: Security) -> Result<Self, Box<dyn Error>> {
        let from = SwarmPeer::builder().security(security).bind(("127.0.0.1", 0)).await?;
        let to = SwarmPeer::builder().security(security).bind(("127.0.0.1", 0)).await?;
        from.connect(to.listener()).await?;
        Ok(Self { from, to })
    }

    /// So many messages, some at once, until all are acknowledged.
    async fn messages(&self, load: Load) -> Result<Duration, Box<dyn Error>> {
        let payload = Bytes::from(vec![2; load.bytes]);
        let begun = Instant::now();
        let send = async {
            let mut sending = JoinSet::new();
            for number in 0..load.count {
                if number >= load.at_once {
                    sending.join_next().await.ok_or("nothing is being sent")???;
                }
                let (from, to, payload) = (self.from.clone(), self.to.id(), payload.clone());
                sending.spawn(async move { from.send_with(to, payload, &overlay()).await });
            }
            while let Some(sent) = sending.join_next().await {
                sent??;
            }
            Ok::<_, Box<dyn Error>>(())
        };
        let receive = async {
            for _ in 0..load.count {
                self.to.recv().await?;
            }
            Ok::<_, Box<dyn Error>>(begun.elapsed())
        };
        // A message that fails is not waited for.
        let ((), received) = tokio::try_join!(send, receive)?;
        Ok(received)
    }
}

fn overlay() -> SendOptions {
    SendOptions::default().with_route(Route::Overlay)
}

/// What is sent in a turn.
#[derive(Clone, Copy)]
struct Load {
    bytes: usize,
    count: usize,
    at_once: usize,
}

const LOADS: [Load; 2] = [Load { bytes: 1 << 10, count: 20_000, at_once: 32 }, Load { bytes: 1 << 20, count: 64, at_once: 4 }];

const TURNS: usize = 5;

/// Pairs that meet for the first time.
const FIRSTS: usize = 51;

const SIGNATURES: usize = 20_000;
