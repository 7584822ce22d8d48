//! A peer in a process of its own: this test binary once more, told by its environment to be one.
//!
//! It reads wishes from its standard input, a line each, and answers each with a line; when its input ends it closes.

use crate::PATIENCE;
use cicada::{BroadcastOptions, Faults, Limits, SwarmPeer};
use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Write},
    net::SocketAddr,
    process::{Child, ChildStdin, Command, Stdio},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{sync::mpsc, time::timeout};

/// The process.
pub(crate) struct Victim {
    child: Child,
    wishes: Option<ChildStdin>,
    answers: mpsc::UnboundedReceiver<String>,
    pub(crate) address: SocketAddr,
}

/// What the victim says of itself.
pub(crate) struct Figures(BTreeMap<String, u64>);

impl Figures {
    pub(crate) fn of(&self, name: &str) -> u64 {
        *self.0.get(name).unwrap_or_else(|| panic!("no {name} in {:?}", self.0))
    }
}

impl Victim {
    /// Starts one at a free port of 127.0.0.1 with some limits changed, by their names.
    pub(crate) async fn start(limits: &[(&str, usize)]) -> Self {
        let settings: Vec<String> = limits.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let mut child = Command::new(std::env::current_exe().expect("a program"))
            .args(["--exact", PART, "--nocapture"])
            .env(SETTINGS, settings.join(","))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("this program");
        let wishes = child.stdin.take();
        let out = BufReader::new(child.stdout.take().expect("piped"));
        let (said, answers) = mpsc::unbounded_channel();
        std::thread::spawn(move || {
            for line in out.lines().map_while(Result::ok) {
                // Beside the answers there is what the test runner in the child says.
                if let Some(answer) = line.split_once(MARK).map(|(_, answer)| answer.to_owned()) {
                    let _ = said.send(answer);
                }
            }
        });
        let unknown = SocketAddr::from(([0, 0, 0, 0], 0));
        let mut victim = Self { child, wishes, answers, address: unknown };
        victim.address = victim.answer().await.parse().expect("an address");
        victim
    }

    async fn answer(&mut self) -> String {
        timeout(PATIENCE, self.answers.recv()).await.expect("it answers").expect("it lives")
    }

    pub(crate) async fn ask(&mut self, wish: &str) -> String {
        writeln!(self.wishes.as_mut().expect("open"), "{wish}").expect("it lives");
        self.answer().await
    }

    /// How many messages its application has had that begin so.
    pub(crate) async fn received(&mut self, beginning: &str) -> usize {
        self.ask(&format!("received {beginning}")).await.parse().expect("a number")
    }

    /// Whether its application reads.
    pub(crate) async fn read(&mut self, reads: bool) {
        self.ask(if reads { "read" } else { "rest" }).await;
    }

    pub(crate) async fn broadcast(&mut self, length: usize) {
        assert_eq!(self.ask(&format!("broadcast {length}")).await, "sent");
    }

    pub(crate) async fn figures(&mut self) -> Figures {
        let line = self.ask("figures").await;
        let pairs = line.split(' ').filter_map(|pair| pair.split_once('='));
        Figures(pairs.map(|(name, value)| (name.to_owned(), value.parse().expect("a number"))).collect())
    }

    /// What of it is in memory, in KiB; 0 where the system does not say.
    pub(crate) fn resident(&self) -> u64 {
        self.status("VmRSS:")
    }

    /// The most that was in memory since [`Self::forget_peak`].
    pub(crate) fn peak(&self) -> u64 {
        self.status("VmHWM:")
    }

    pub(crate) fn forget_peak(&self) {
        // Where it cannot be forgotten, the peak is that of all its life, and the bound only stricter.
        let _ = std::fs::write(format!("/proc/{}/clear_refs", self.child.id()), "5");
    }

    fn status(&self, field: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap_or_default();
        let value = status.lines().find_map(|line| line.strip_prefix(field));
        value.and_then(|value| value.trim().trim_end_matches(" kB").parse().ok()).unwrap_or_default()
    }

    /// Stops its process, or lets it go on.
    pub(crate) fn signal(&self, name: &str) {
        let status = Command::new("kill").args(["-s", name, &self.child.id().to_string()]).status();
        assert!(status.expect("kill is everywhere").success());
    }

    /// Lets it close; it must.
    pub(crate) async fn end(mut self) {
        drop(self.wishes.take());
        let wait = async { while self.answers.recv().await.is_some() {} };
        timeout(PATIENCE, wait).await.expect("it ends with its input");
        assert!(self.child.wait().expect("ours").success());
    }
}

impl Drop for Victim {
    fn drop(&mut self) {
        // After a test that failed; one that has ended is not there any more.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What is read by the child's application.
#[derive(Clone, Default)]
struct Application {
    rests: Arc<AtomicBool>,
    beginnings: Arc<Mutex<BTreeMap<[u8; BEGINNING], usize>>>,
    all: Arc<AtomicUsize>,
}

impl Application {
    async fn run(self, peer: SwarmPeer) {
        loop {
            if self.rests.load(Ordering::Relaxed) {
                tokio::time::sleep(Duration::from_millis(10)).await;
                continue;
            }
            let Ok(message) = timeout(Duration::from_millis(100), peer.recv()).await else { continue };
            let Ok(message) = message else { return };
            let mut beginning = [b' '; BEGINNING];
            let length = message.data.len().min(BEGINNING);
            beginning[..length].copy_from_slice(&message.data[..length]);
            *self.beginnings.lock().unwrap_or_else(PoisonError::into_inner).entry(beginning).or_default() += 1;
            self.all.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn received(&self, beginning: &str) -> usize {
        let beginnings = self.beginnings.lock().unwrap_or_else(PoisonError::into_inner);
        beginnings.iter().filter(|(text, _)| text.starts_with(beginning.as_bytes())).map(|(_, count)| count).sum()
    }
}

async fn be_a_peer(settings: &str) {
    let faults = Faults { keeps_slow_streams: settings.contains(KEEPS_SLOW_STREAMS), ..Faults::default() };
    let peer = SwarmPeer::builder().limits(limits(settings)).faults(faults).bind(("127.0.0.1", 0)).await.expect("loopback has a free port");
    say(&peer.listener().to_string());
    let application = Application::default();
    let reading = tokio::spawn(application.clone().run(peer.clone()));
    let (told, mut wishes) = mpsc::channel(1);
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            if told.blocking_send(line).is_err() {
                return;
            }
        }
    });
    while let Some(wish) = wishes.recv().await {
        let (verb, rest) = wish.split_once(' ').unwrap_or((&wish, ""));
        say(&match verb {
            "received" => application.received(rest).to_string(),
            "read" | "rest" => {
                application.rests.store(verb == "rest", Ordering::Relaxed);
                verb.to_owned()
            }
            "broadcast" => {
                let payload = vec![b'v'; rest.parse().expect("a length")];
                peer.broadcast(payload, &BroadcastOptions::default()).await.expect("not too large");
                "sent".to_owned()
            }
            "figures" => figures(&peer, &application).await,
            _ => panic!("what is {wish}?"),
        });
    }
    reading.abort();
    peer.close().await;
}

async fn figures(peer: &SwarmPeer, application: &Application) -> String {
    let metrics = peer.metrics().await.expect("open");
    let levels = metrics.levels;
    let mut text = format!(
        "half_open={} member_links={} other_links={} members={} undelivered={} missed={} received={} refusals={}",
        levels.half_open,
        levels.member_links,
        levels.other_links,
        levels.members,
        levels.undelivered,
        metrics.missed,
        application.all.load(Ordering::Relaxed),
        metrics.refusals.total(),
    );
    let told = [
        ("over_budget", cicada::Refusal::OverBudget),
        ("too_many_links", cicada::Refusal::TooManyLinks),
        ("altered", cicada::Refusal::Altered),
    ];
    for (name, reason) in told {
        text += &format!(" {name}={}", metrics.refusals.of(reason));
    }
    text
}

fn limits(settings: &str) -> Limits {
    let mut limits = Limits::default();
    for (name, value) in settings.split(',').filter_map(|setting| setting.split_once('=')) {
        let value: usize = value.parse().expect("a number");
        match name {
            "exempt_local" => limits.exempt_local = value > 0,
            "message_bytes" => limits.message_bytes = value,
            "delivery_bytes" => limits.delivery_bytes = value,
            "in_flight_bytes" => limits.in_flight_bytes = value,
            KEEPS_SLOW_STREAMS => {}
            _ => panic!("no limit is called {name} here"),
        }
    }
    limits
}

fn say(answer: &str) {
    println!("{MARK}{answer}");
    std::io::stdout().flush().expect("the parent reads");
}

/// In the child the part of the victim; otherwise its own test.
#[test]
fn a_peer_in_a_process_of_its_own_ends_with_its_input() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("threads");
    match std::env::var(SETTINGS) {
        Ok(settings) => runtime.block_on(be_a_peer(&settings)),
        Err(_) => runtime.block_on(async {
            let mut victim = Victim::start(&[]).await;
            assert_eq!(victim.figures().await.of("members"), 0);
            assert!(victim.resident() <= victim.peak());
            victim.end().await;
        }),
    }
}

/// The name of the test above.
const PART: &str = "victim::a_peer_in_a_process_of_its_own_ends_with_its_input";

/// Not a limit: a fault.
pub(crate) const KEEPS_SLOW_STREAMS: &str = "keeps_slow_streams";

/// Set in the child.
const SETTINGS: &str = "CICADA_ABUSE_VICTIM";

/// Stands before each answer.
const MARK: &str = "victim says: ";

/// What is kept of a message.
const BEGINNING: usize = 16;
