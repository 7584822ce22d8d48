//! An echo of 1 KiB between two neighbours, beside the same over a bare quinn connection in the same run.
//!
//! The bare echo is one stream a round trip way and back, kept open, as a link keeps its stream: what is left in the ratio is what
//! the swarm adds. The two take turns, so that both meet the same machine; the figures are medians. Run it by `scripts/bench echo`.

use bytes::Bytes;
use cicada::{Ack, SendOptions, SwarmPeer};
use std::{
    error::Error,
    process::ExitCode,
    time::{Duration, Instant},
};

#[path = "measure/allocator.rs"]
mod allocator;
#[path = "measure/bare_quinn.rs"]
mod bare_quinn;
#[allow(dead_code, reason = "others use the rest")]
#[path = "measure/report.rs"]
mod report;

use bare_quinn::BareQuinn;
use report::{Promise, Report, median};

const REPORT: Report = Report { bench: "echo" };

/// What goes way and back.
const BYTES: usize = 1024;

/// Echoes in one turn.
const ECHOES: usize = 500;

/// Turns of each; the first warms up and is not counted.
const TURNS: usize = 21;

fn main() -> ExitCode {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("threads can be made");
    match runtime.block_on(run()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("echo: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), Box<dyn Error>> {
    let mut bare = Bare::connect().await?;
    let neighbours = Neighbours::connect().await?;
    let (mut of_bare, mut of_messages, mut of_receipts, mut ratios) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for turn in 0..=TURNS {
        let floor = bare.echoes().await?;
        let messages = neighbours.echoes().await?;
        let receipts = neighbours.receipts().await?;
        if turn > 0 {
            of_bare.push(micros(floor));
            of_messages.push(micros(messages));
            of_receipts.push(micros(receipts));
            ratios.push(messages.as_secs_f64() / floor.as_secs_f64());
        }
    }
    REPORT.figure("bare quinn, 1 KiB echo", median(&of_bare), "us", Promise::Nothing);
    REPORT.figure("two neighbours, 1 KiB echo", median(&of_messages), "us", Promise::Nothing);
    REPORT.figure("two neighbours, 1 KiB and its receipt", median(&of_receipts), "us", Promise::Nothing);
    REPORT.figure("echo over bare quinn", median(&ratios), "ratio", Promise::AtMost(1.5));
    neighbours.close().await;
    Ok(())
}

fn micros(turn: Duration) -> f64 {
    turn.as_secs_f64() * 1e6 / ECHOES as f64
}

/// The floor: one stream, on whose other end everything comes back.
struct Bare {
    send: quinn::SendStream,
    recv: quinn::RecvStream,
    _link: BareQuinn,
}

impl Bare {
    async fn connect() -> Result<Self, Box<dyn Error>> {
        let link = BareQuinn::connect(None).await?;
        let (send, recv) = link.dialler.open_bi().await?;
        let listener = link.listener.clone();
        tokio::spawn(async move {
            // Ends with the connection.
            let Ok((mut send, mut recv)) = listener.accept_bi().await else { return };
            let mut buffer = [0; BYTES];
            while recv.read_exact(&mut buffer).await.is_ok() && send.write_all(&buffer).await.is_ok() {}
        });
        Ok(Self { send, recv, _link: link })
    }

    async fn echoes(&mut self) -> Result<Duration, Box<dyn Error>> {
        let (said, mut heard) = ([7; BYTES], [0; BYTES]);
        let started = Instant::now();
        for _ in 0..ECHOES {
            self.send.write_all(&said).await?;
            self.recv.read_exact(&mut heard).await?;
        }
        Ok(started.elapsed())
    }
}

/// Two peers with a link between them; the second sends everything back.
struct Neighbours {
    here: SwarmPeer,
    there: SwarmPeer,
}

impl Neighbours {
    async fn connect() -> Result<Self, Box<dyn Error>> {
        let here = SwarmPeer::bind(("127.0.0.1", 0)).await?;
        let there = SwarmPeer::bind(("127.0.0.1", 0)).await?;
        here.connect(&there).await?;
        let peer = there.clone();
        tokio::spawn(async move {
            let options = SendOptions::default().with_ack(Ack::None);
            // Ends with the peer.
            while let Ok(message) = peer.recv().await {
                if message.data.len() == BYTES && peer.send_with(message.source, message.data, &options).await.is_err() {
                    return;
                }
            }
        });
        Ok(Self { here, there })
    }

    /// A message way and a message back, each without waiting for its receipt, as a bare stream waits for none.
    async fn echoes(&self) -> Result<Duration, Box<dyn Error>> {
        let said = Bytes::from_static(&[7; BYTES]);
        let (to, options) = (self.there.id(), SendOptions::default().with_ack(Ack::None));
        let started = Instant::now();
        for _ in 0..ECHOES {
            self.here.send_with(to, said.clone(), &options).await?;
            self.here.recv().await?;
        }
        Ok(started.elapsed())
    }

    /// A message, and the receipt that its target has accepted it.
    async fn receipts(&self) -> Result<Duration, Box<dyn Error>> {
        // One byte less, so that it is not sent back.
        let said = Bytes::from_static(&[7; BYTES - 1]);
        let to = self.there.id();
        let started = Instant::now();
        for _ in 0..ECHOES {
            self.here.send(to, said.clone()).await?;
        }
        Ok(started.elapsed())
    }

    async fn close(self) {
        self.here.close().await;
        self.there.close().await;
    }
}
