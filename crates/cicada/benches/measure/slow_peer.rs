//! A peer in a process of its own: this program once more. Its application can be told to read slowly, and all of it can be stopped.
//!
//! It reads wishes from its standard input, a line each, and answers each with a line; when its input ends it closes.

use crate::process;
use cicada::{Builder, MessageId, SwarmPeer};
use std::{
    collections::BTreeSet,
    env,
    error::Error,
    io::{BufRead, BufReader, Write},
    net::SocketAddr,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::time;

/// The process. It is ended by its own handle, whatever happens.
pub(crate) struct SlowPeer {
    child: Child,
    wishes: ChildStdin,
    answers: BufReader<ChildStdout>,
    pub(crate) address: SocketAddr,
}

/// What it says of itself.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Figures {
    /// Messages that its application has had.
    pub(crate) broadcasts: usize,
    pub(crate) unicasts: usize,
    /// Of those, such as it had before.
    pub(crate) repeated: usize,
    /// Broadcasts that it was told it missed.
    pub(crate) missed: usize,
    pub(crate) peers: usize,
    /// The most that was in memory since [`SlowPeer::forget_peak`], beyond what was there then.
    pub(crate) grown_bytes: u64,
}

impl SlowPeer {
    /// Starts one that joins by `entry`. `words` are passed on to [`run`].
    pub(crate) fn start(words: &[&str], entry: SocketAddr) -> Result<Self, Box<dyn Error>> {
        let mut child =
            Command::new(env::current_exe()?).args(words).arg(entry.to_string()).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let (wishes, answers) = (child.stdin.take(), child.stdout.take());
        let (wishes, answers) = (wishes.ok_or("no input")?, BufReader::new(answers.ok_or("no output")?));
        let mut slow = Self { child, wishes, answers, address: SocketAddr::from(([0, 0, 0, 0], 0)) };
        slow.address = slow.answer()?.parse()?;
        Ok(slow)
    }

    fn answer(&mut self) -> Result<String, Box<dyn Error>> {
        let mut line = String::new();
        if self.answers.read_line(&mut line)? == 0 {
            return Err("the slow peer has ended".into());
        }
        Ok(line.trim_end().to_owned())
    }

    fn ask(&mut self, wish: &str) -> Result<String, Box<dyn Error>> {
        writeln!(self.wishes, "{wish}")?;
        self.answer()
    }

    /// Whether its application reads no more than [`SLOW_BYTES_PER_SECOND`].
    pub(crate) fn read_slowly(&mut self, slowly: bool) -> Result<(), Box<dyn Error>> {
        self.ask(if slowly { "slow" } else { "fast" }).map(drop)
    }

    pub(crate) fn forget_peak(&mut self) -> Result<(), Box<dyn Error>> {
        self.ask("forget").map(drop)
    }

    pub(crate) fn figures(&mut self) -> Result<Figures, Box<dyn Error>> {
        let line = self.ask("figures")?;
        let numbers: Vec<u64> = line.split(' ').map(str::parse).collect::<Result<_, _>>()?;
        let [broadcasts, unicasts, repeated, missed, peers, grown_bytes] = numbers[..] else {
            return Err(format!("what is {line}?").into());
        };
        let [broadcasts, unicasts, repeated, missed, peers] = [broadcasts, unicasts, repeated, missed, peers].map(|count| count as usize);
        Ok(Figures { broadcasts, unicasts, repeated, missed, peers, grown_bytes })
    }

    /// Stops the whole process (`STOP`), or lets it go on (`CONT`).
    pub(crate) fn signal(&self, name: &str) -> Result<(), Box<dyn Error>> {
        let status = Command::new("kill").args(["-s", name, &self.child.id().to_string()]).status()?;
        if status.success() { Ok(()) } else { Err(format!("no signal {name}").into()) }
    }
}

impl Drop for SlowPeer {
    fn drop(&mut self) {
        // A process that is stopped ends by this too.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

// --- In the child

/// What its application has had.
#[derive(Default)]
struct Had {
    broadcasts: BTreeSet<MessageId>,
    unicasts: BTreeSet<MessageId>,
    repeated: usize,
}

/// Is such a peer until the input ends.
pub(crate) async fn run(builder: Builder, entry: &str) -> Result<(), Box<dyn Error>> {
    let peer = builder.bind(("127.0.0.1", 0)).await?;
    peer.connect(entry.parse::<SocketAddr>()?).await?;
    say(&peer.listener().to_string())?;
    let (had, slowly) = (Arc::new(Mutex::new(Had::default())), Arc::new(AtomicBool::new(false)));
    let reading = tokio::spawn(read(peer.clone(), Arc::clone(&had), Arc::clone(&slowly)));
    let (told, mut wishes) = tokio::sync::mpsc::channel(1);
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            if told.blocking_send(line).is_err() {
                return;
            }
        }
    });
    let mut resident = 0;
    while let Some(wish) = wishes.recv().await {
        match wish.as_str() {
            "slow" | "fast" => {
                slowly.store(wish == "slow", Ordering::Relaxed);
                say(&wish)?;
            }
            "forget" => {
                process::forget_peak();
                resident = process::resident_bytes().unwrap_or_default();
                say(&wish)?;
            }
            _ => {
                let grown = process::peak_bytes().unwrap_or_default().saturating_sub(resident);
                say(&format!("{} {grown}", figures(&peer, &had).await?))?;
            }
        }
    }
    reading.abort();
    peer.close().await;
    Ok(())
}

async fn read(peer: SwarmPeer, had: Arc<Mutex<Had>>, slowly: Arc<AtomicBool>) {
    while let Ok(message) = peer.recv().await {
        {
            let mut had = had.lock().unwrap_or_else(PoisonError::into_inner);
            let kind = if message.broadcast { &mut had.broadcasts } else { &mut had.unicasts };
            let new = kind.insert(message.id);
            had.repeated += usize::from(!new);
        }
        let mut left = Duration::from_secs_f64(message.data.len() as f64 / SLOW_BYTES_PER_SECOND);
        while slowly.load(Ordering::Relaxed) && !left.is_zero() {
            time::sleep(STEP).await;
            left = left.saturating_sub(STEP);
        }
    }
}

async fn figures(peer: &SwarmPeer, had: &Mutex<Had>) -> Result<String, Box<dyn Error>> {
    let missed = peer.metrics().await?.missed;
    let had = had.lock().unwrap_or_else(PoisonError::into_inner);
    let counts = [had.broadcasts.len(), had.unicasts.len(), had.repeated].map(|count| count.to_string()).join(" ");
    Ok(format!("{counts} {missed} {}", peer.peers().len()))
}

fn say(answer: &str) -> std::io::Result<()> {
    println!("{answer}");
    std::io::stdout().flush()
}

/// A slow application takes this much.
pub(crate) const SLOW_BYTES_PER_SECOND: f64 = 10_000.0;

/// How long it takes to notice that it may be fast again.
const STEP: Duration = Duration::from_millis(10);
