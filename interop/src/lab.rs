//! A network of real peers in processes of their own: starts them, tells them what to do, keeps what they tell.

use serde_json::Value;
use std::{
    collections::BTreeMap,
    error::Error,
    io::{BufRead, BufReader, Write},
    net::{SocketAddr, UdpSocket},
    path::PathBuf,
    process::{Child, ChildStdin, Command, Stdio},
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

pub type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Whose peer it is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Kind {
    Crate,
    Ours,
}

impl Kind {
    pub fn name(self) -> &'static str {
        match self {
            Self::Crate => "crate",
            Self::Ours => "ours",
        }
    }

    /// The program that has peers of this kind; it lies beside this one.
    fn program(self) -> Result<PathBuf> {
        let name = match self {
            Self::Crate => "crate-peer",
            Self::Ours => "cicada-peer",
        };
        let path = std::env::current_exe()?.with_file_name(name);
        if path.exists() { Ok(path) } else { Err(format!("{} is not built", path.display()).into()) }
    }
}

/// What a network is made of.
#[derive(Clone)]
pub struct Plan {
    /// One for each peer, in the order in which they start. The first [`ENTRIES`] are known to all.
    pub kinds: Vec<Kind>,
    /// Peers that share a process.
    pub per_process: usize,
    /// Settings of the peers of a kind.
    pub settings: Vec<(Kind, String)>,
    /// Whether what arrives is digested by the receiver.
    pub digests: bool,
    /// Whether each process is on a host of its own in the lab of losslab that NETLAB_NAME names.
    pub on_hosts: bool,
}

impl Plan {
    pub fn new(kinds: Vec<Kind>) -> Self {
        Self { kinds, per_process: 4, settings: Vec::new(), digests: true, on_hosts: false }
    }

    /// So many of one kind.
    pub fn of(kind: Kind, size: usize) -> Self {
        Self::new(vec![kind; size])
    }

    /// Half the crate's, half ours, in turns.
    pub fn mixed(size: usize) -> Self {
        Self::new((0..size).map(|number| if number % 2 == 0 { Kind::Crate } else { Kind::Ours }).collect())
    }
}

/// A running network.
pub struct Lab {
    pub kinds: Vec<Kind>,
    pub addresses: Vec<SocketAddr>,
    /// Which process a peer is in, and its number there.
    places: Vec<(usize, usize)>,
    processes: Vec<Process>,
    log: Arc<Log>,
    pub network_id: u8,
}

struct Process {
    child: Child,
    input: ChildStdin,
    kind: Kind,
}

/// What each peer knows: its buckets, and who is in them.
pub type Tables = BTreeMap<usize, Vec<(u8, Vec<SocketAddr>)>>;

/// What the peers told.
#[derive(Default)]
struct Log {
    told: Mutex<Told>,
    /// How many broadcasts were made.
    messages: Arc<AtomicU64>,
    more: Condvar,
}

/// What the peers told, sorted by what one asks for.
#[derive(Default)]
pub struct Told {
    up: usize,
    /// Digest (or tag), then who has it, and when each copy came.
    pub received: BTreeMap<String, BTreeMap<usize, Vec<f64>>>,
    /// Broadcasts, in the order in which they were made.
    pub sent: Vec<Sent>,
    /// The newest table of each peer: bucket and addresses.
    pub tables: Tables,
    /// CPU time and memory, newest last, of each process.
    cpu: BTreeMap<usize, Vec<(u64, u64)>>,
    figures: BTreeMap<usize, Vec<Value>>,
    gone: usize,
}

/// A broadcast that was made. Whoever does not digest what comes knows it by its tag.
pub struct Sent {
    digest: String,
    tag: String,
    pub at_ms: f64,
}

impl Lab {
    /// Starts the peers: the entries first, then the others.
    pub fn start(plan: &Plan) -> Result<Self> {
        let addresses = if plan.on_hosts { on_hosts(plan.kinds.len()) } else { free_addresses(plan.kinds.len())? };
        let mut lab = Self {
            kinds: plan.kinds.clone(),
            places: vec![(0, 0); addresses.len()],
            processes: Vec::new(),
            log: Arc::default(),
            network_id: 7,
            addresses,
        };
        let (entries, others): (Vec<usize>, Vec<usize>) = (0..plan.kinds.len()).partition(|peer| *peer < ENTRIES);
        for peers in [entries, others] {
            for kind in [Kind::Crate, Kind::Ours] {
                let of_kind: Vec<usize> = peers.iter().copied().filter(|peer| plan.kinds[*peer] == kind).collect();
                for together in of_kind.chunks(plan.per_process) {
                    lab.spawn(plan, kind, together)?;
                }
            }
            let before = lab.processes_peers();
            lab.until(Duration::from_secs(120), |told| told.up >= before).map_err(|()| "the peers did not start")?;
        }
        Ok(lab)
    }

    fn processes_peers(&self) -> usize {
        // The first peer of all has the place (0, 0), as those have that are not started yet.
        self.places.iter().enumerate().filter(|(peer, place)| **place != (0, 0) || *peer == self.first()).count()
    }

    fn first(&self) -> usize {
        self.kinds.iter().position(|kind| *kind == Kind::Crate).unwrap_or(0)
    }

    fn spawn(&mut self, plan: &Plan, kind: Kind, peers: &[usize]) -> Result<()> {
        let number = self.processes.len();
        let program = kind.program()?;
        let mut command = if plan.on_hosts {
            let mut inside = Command::new(losslab());
            inside.arg("exec").arg(format!("h{}", peers[0] + 1)).arg(program);
            inside
        } else {
            Command::new(program)
        };
        let bootstrap: Vec<String> = self.addresses.iter().take(ENTRIES).map(SocketAddr::to_string).collect();
        command.args(["--network-id", &self.network_id.to_string(), "--bootstrap", &bootstrap.join(",")]);
        for (_, setting) in plan.settings.iter().filter(|(of, _)| *of == kind) {
            command.args(["--set", setting]);
        }
        if !plan.digests {
            command.arg("--no-digests");
        }
        command.args(peers.iter().map(|peer| self.addresses[*peer].to_string()));
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let input = child.stdin.take().ok_or("no input")?;
        let output = child.stdout.take().ok_or("no output")?;
        for (inside, peer) in peers.iter().enumerate() {
            self.places[*peer] = (number, inside);
        }
        self.processes.push(Process { child, input, kind });
        let (log, peers) = (Arc::clone(&self.log), peers.to_vec());
        thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(std::io::Result::ok) {
                if let Ok(event) = serde_json::from_str(&line) {
                    log.told().note(number, &peers, &event);
                    if event["event"] == "sent" {
                        log.messages.fetch_add(1, Ordering::Relaxed);
                    }
                    log.more.notify_all();
                }
            }
            log.told().gone += 1;
            log.more.notify_all();
        });
        Ok(())
    }

    /// Tells a peer what to do: a command of `peer_program.rs`, and what follows the peer's number in it.
    pub fn tell(&mut self, peer: usize, command: &str, rest: &str) -> Result<()> {
        let (process, inside) = self.places[peer];
        writeln!(self.processes[process].input, "{command} {inside} {rest}")?;
        Ok(())
    }

    /// Waits until what was told is enough; at most so long.
    pub fn until(&self, patience: Duration, enough: impl Fn(&Told) -> bool) -> std::result::Result<(), ()> {
        let deadline = Instant::now() + patience;
        let mut told = self.log.told();
        while !enough(&told) {
            let Some(left) = deadline.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) else { return Err(()) };
            told = self.log.more.wait_timeout(told, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        Ok(())
    }

    /// Looks at what was told.
    pub fn look<T>(&self, at: impl FnOnce(&Told) -> T) -> T {
        at(&self.log.told())
    }

    /// Asks every process for its CPU time and memory; sums, in ms and KiB, for a kind.
    pub fn cpu(&mut self, kind: Kind) -> Result<(u64, u64)> {
        let chosen: Vec<usize> = (0..self.processes.len()).filter(|process| self.processes[*process].kind == kind).collect();
        let before = self.look(|told| chosen.iter().map(|process| told.cpu.get(process).map_or(0, Vec::len)).collect::<Vec<_>>());
        for process in &chosen {
            writeln!(self.processes[*process].input, "cpu")?;
        }
        let answered =
            |told: &Told| chosen.iter().zip(&before).all(|(process, before)| told.cpu.get(process).map_or(0, Vec::len) > *before);
        self.until(PATIENCE, answered).map_err(|()| "a process does not tell its CPU time")?;
        Ok(self.look(|told| {
            let last = chosen.iter().filter_map(|process| told.cpu[process].last());
            last.fold((0, 0), |sum, process| (sum.0 + process.0, sum.1 + process.1))
        }))
    }

    /// What of a peer's process is in memory.
    pub fn resident_kib(&self, peer: usize) -> Result<u64> {
        let id = self.processes[self.places[peer].0].child.id();
        let status = std::fs::read_to_string(format!("/proc/{id}/status"))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS")?;
        Ok(line.split_whitespace().next().ok_or("no number")?.parse()?)
    }

    /// What a peer of ours has counted.
    pub fn figures(&mut self, peer: usize) -> Result<Value> {
        let before = self.look(|told| told.figures.get(&peer).map_or(0, Vec::len));
        self.tell(peer, "figures", "")?;
        self.until(PATIENCE, |told| told.figures.get(&peer).map_or(0, Vec::len) > before)
            .map_err(|()| "a peer does not tell its figures")?;
        Ok(self.look(|told| told.figures[&peer].last().cloned().unwrap_or_default()))
    }

    /// The tables of all peers now.
    pub fn tables(&mut self) -> Result<Tables> {
        self.log.told().tables.clear();
        for peer in 0..self.kinds.len() {
            self.tell(peer, "table", "")?;
        }
        let size = self.kinds.len();
        self.until(PATIENCE, |told| told.tables.len() == size).map_err(|()| "a peer does not tell its table")?;
        Ok(self.look(|told| told.tables.clone()))
    }

    /// How many broadcasts were made so far.
    pub fn messages(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.log.messages)
    }

    /// Whether all processes still run.
    pub fn all_live(&self) -> bool {
        self.look(|told| told.gone == 0)
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        for process in &mut self.processes {
            // It may have ended by itself.
            let _ = writeln!(process.input, "quit");
            let _ = process.child.kill();
            let _ = process.child.wait();
        }
    }
}

impl Log {
    fn told(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Told {
    /// How often a peer was told the message of this digest.
    pub fn received_by(&self, peer: usize, digest: &str) -> usize {
        self.received.get(digest).and_then(|by| by.get(&peer)).map_or(0, Vec::len)
    }

    /// Who has the broadcast of this number, and when each copy came.
    pub fn of_sent(&self, number: usize) -> Option<&BTreeMap<usize, Vec<f64>>> {
        let sent = self.sent.get(number)?;
        self.received.get(&sent.digest).or_else(|| self.received.get(&sent.tag))
    }

    fn note(&mut self, process: usize, peers: &[usize], event: &Value) {
        let peer = event["peer"].as_u64().and_then(|inside| peers.get(usize::try_from(inside).ok()?)).copied();
        let digest = match event["sha256"].as_str() {
            Some("") | None => event["tag"].as_str(),
            digest => digest,
        };
        let at = event["ms"].as_f64().unwrap_or_default();
        match (event["event"].as_str(), peer, digest) {
            (Some("up"), Some(_), _) => self.up += 1,
            (Some("recv"), Some(peer), Some(digest)) => {
                self.received.entry(digest.to_owned()).or_default().entry(peer).or_default().push(at);
            }
            (Some("sent"), Some(_), Some(digest)) => {
                let tag = event["tag"].as_str().unwrap_or_default().to_owned();
                self.sent.push(Sent { digest: digest.to_owned(), tag, at_ms: at });
            }
            (Some("table"), Some(peer), _) => {
                let buckets = serde_json::from_value(event["buckets"].clone()).unwrap_or_default();
                self.tables.insert(peer, buckets);
            }
            (Some("figures"), Some(peer), _) => self.figures.entry(peer).or_default().push(event["figures"].clone()),
            (Some("cpu"), _, _) => {
                let of = |name: &str| event[name].as_u64().unwrap_or_default();
                self.cpu.entry(process).or_default().push((of("ms"), of("kib")));
            }
            _ => {}
        }
    }
}

/// Ports that are free now. They are given back before the peers take them, since the crate's want to be told theirs; so none of those
/// that the system gives to whoever wants any (from 32 768 on, by ip(7)), as the crate's peers do for what they send.
fn free_addresses(amount: usize) -> Result<Vec<SocketAddr>> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let own = u64::from(std::process::id()).wrapping_mul(101);
    let ports = std::iter::repeat_with(|| LEAST_PORT + ((own + NEXT.fetch_add(1, Ordering::Relaxed)) % PORTS) as u16).take(PORTS as usize);
    let addresses = ports.map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
    let free: Vec<SocketAddr> = addresses.filter(|address| UdpSocket::bind(address).is_ok()).take(amount).collect();
    if free.len() < amount { Err("there are not enough free ports".into()) } else { Ok(free) }
}

/// The hosts of a lab of losslab, see its README.
fn on_hosts(amount: usize) -> Vec<SocketAddr> {
    (0..amount).map(|host| SocketAddr::from(([10, 77, (host / 250) as u8, (host % 250 + 1) as u8], 9000))).collect()
}

pub fn losslab() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../netlab/losslab")
}

/// Entry points that every peer is told of.
pub const ENTRIES: usize = 4;

/// Ports for peers.
const LEAST_PORT: u16 = 10_000;
const PORTS: u64 = 20_000;

/// For an answer of a process on this machine.
const PATIENCE: Duration = Duration::from_secs(20);
