//! What somebody slow costs the others: an application that reads 10 KB/s, a peer that keeps its links alive and reads no streams,
//! a process that is stopped for 20 s. And what becomes of the slow one afterwards.
//!
//! Two swarms stand side by side, each with one peer that can be slow, and are measured in turns of milliseconds: the one whose
//! peer is slow just now, and the one whose peer is well. So whatever else the machine does slows both down. Then they change
//! parts, so that neither's shape matters. A ratio is that of two medians, of a hundred broadcasts or more and of thousands of unicasts. Should the
//! trouble in one swarm cost the other something, since they share the processor, the ratio would hide it: so there are also
//! rounds in which nobody is slow, and the well swarm's medians are shown over theirs.
//!
//! Run it by `scripts/bench pressure`. Each case on each overlay is a process of its own.

use cicada::{BroadcastOptions, Builder, Limits, OverlayKind, SendError, SendOptions, SwarmPeer};
use cicada_proto::Geometry;
use std::{
    collections::BTreeSet,
    env,
    error::Error,
    process::{Command, ExitCode},
    time::{Duration, Instant},
};
use tokio::{task::JoinSet, time};

#[allow(dead_code, reason = "shared with the tests of abuse, which need more of it")]
#[path = "../tests/abuse/attacker.rs"]
mod attacker;
#[path = "measure/deaf_child.rs"]
mod deaf_child;
#[allow(dead_code, reason = "shared with the other benches, which need more of it")]
#[path = "measure/process.rs"]
mod process;
#[allow(dead_code, reason = "shared with the other benches, which need more of it")]
#[path = "measure/report.rs"]
mod report;
#[path = "measure/slow_peer.rs"]
mod slow_peer;
#[allow(dead_code, reason = "shared with the other benches, which need more of it")]
#[path = "measure/swarm.rs"]
mod swarm;

use deaf_child::DeafChild;
use report::{Promise, Report, median};
use slow_peer::{Figures, SlowPeer};
use swarm::{Plan, Random, Swarm, payload};

const REPORT: Report = Report { bench: "pressure" };

fn main() -> ExitCode {
    match run(&env::args().skip(1).collect::<Vec<_>>()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("pressure: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(words: &[String]) -> Result<(), Box<dyn Error>> {
    let words: Vec<&str> = words.iter().map(String::as_str).filter(|word| *word != "--bench").collect();
    let runtime = || tokio::runtime::Builder::new_multi_thread().enable_all().build();
    match words[..] {
        [] => all_parts(),
        ["--slow", overlay, entry] => runtime()?.block_on(slow_peer::run(builder(overlay_of(overlay)), entry)),
        ["--part", case, overlay] => {
            let case = CASES.into_iter().find(|known| known.name() == case).ok_or("no such case")?;
            runtime()?.block_on(Measurement::run(case, overlay_of(overlay)))
        }
        _ => Err(format!("what is {words:?}?").into()),
    }
}

fn all_parts() -> Result<(), Box<dyn Error>> {
    for case in CASES {
        for overlay in ["ring", "tree"] {
            let status = Command::new(env::current_exe()?).args(["--part", case.name(), overlay]).status()?;
            if !status.success() {
                return Err(format!("{}, {overlay}: failed", case.name()).into());
            }
        }
    }
    Ok(())
}

fn overlay_of(name: &str) -> OverlayKind {
    if name == "tree" { OverlayKind::Tree } else { OverlayKind::Ring }
}

fn limits() -> Limits {
    let mut limits = Limits::default();
    limits.message_bytes = MESSAGE_BYTES;
    limits.delivery_bytes = DELIVERY_BYTES;
    limits.in_flight_bytes = IN_FLIGHT_BYTES;
    limits
}

fn builder(overlay: OverlayKind) -> Builder {
    SwarmPeer::builder().overlay(overlay).limits(limits())
}

/// How somebody is slow.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Case {
    Application,
    Child,
    Process,
}

const CASES: [Case; 3] = [Case::Application, Case::Child, Case::Process];

impl Case {
    fn name(self) -> &'static str {
        match self {
            Self::Application => "application",
            Self::Child => "child",
            Self::Process => "process",
        }
    }

    fn who(self) -> &'static str {
        match self {
            Self::Application => "an application that reads 10 KB/s",
            Self::Child => "a child that stops reading",
            Self::Process => "a peer paused for 20 s",
        }
    }

    /// Who are not slow, in each swarm. A child that reads nothing hands on nothing either, which is another matter (the bench
    /// `swarm` has it), so there are so few that it need not.
    fn others(self) -> usize {
        match self {
            Self::Application | Self::Process => 16,
            Self::Child => 8,
        }
    }

    /// Of a broadcast. What a child does not read must be more than its windows hold; what a paused peer misses must be kept.
    fn broadcast_bytes(self) -> usize {
        match self {
            Self::Application => 100 << 10,
            Self::Child => 256 << 10,
            Self::Process => 20 << 10,
        }
    }

    /// Each swarm's peer in its turn.
    fn rounds(self) -> &'static [usize] {
        match self {
            Self::Application => &[0, 1, 0, 1],
            Self::Child | Self::Process => &[0, 1],
        }
    }

    /// How long somebody is slow.
    fn span(self) -> Duration {
        match self {
            // Less than the timeout of unicasts: all of them must be acknowledged.
            Self::Application => Duration::from_secs(6),
            // More than after which a stream is given up.
            Self::Child => Duration::from_secs(15),
            Self::Process => Duration::from_secs(20),
        }
    }
}

/// A swarm with somebody who can be slow.
struct Side {
    swarm: Swarm,
    slow: Slow,
    /// Who broadcasts; anybody if there is none.
    origin: Option<usize>,
    /// Broadcasts that were sent, also before the slow one was there.
    broadcasts: usize,
    /// Calls of `broadcast` that have not returned.
    calling: JoinSet<Duration>,
    /// Unicasts to the slow one that are under way, and how the others ended.
    sending: JoinSet<Result<(), SendError>>,
    acknowledged: usize,
    refused: usize,
}

enum Slow {
    Peer(SlowPeer),
    Child(DeafChild),
}

/// How long things took, in milliseconds.
#[derive(Default)]
struct Times {
    broadcasts: Vec<f64>,
    /// Until the call returned.
    calls: Vec<f64>,
    unicasts: Vec<f64>,
}

impl Times {
    fn append(&mut self, mut more: Self) {
        self.broadcasts.append(&mut more.broadcasts);
        self.calls.append(&mut more.calls);
        self.unicasts.append(&mut more.unicasts);
    }
}

impl Side {
    async fn new(case: Case, overlay: OverlayKind, random: &mut Random) -> Result<Self, Box<dyn Error>> {
        let plan = Plan { peers: case.others(), overlay, limits: limits(), count_frames: false, build: |_, builder| builder };
        let swarm = Swarm::join(&plan, random).await?;
        swarm.settle().await;
        let mut origin = None;
        let slow = match case {
            Case::Application | Case::Process => Slow::Peer(SlowPeer::start(&["--slow", &overlay.to_string()], swarm.peers[0].listener())?),
            Case::Child => {
                let child = DeafChild::new(overlay);
                // Of the tree it is a leaf only below the peer next to it.
                let distance = |index: &usize| Geometry::Tree.offset(swarm.peers[*index].id(), child.id());
                let next = (0..swarm.peers.len()).min_by_key(distance).ok_or("a swarm has peers")?;
                origin = Some(next);
                Slow::Child(child.join(&swarm.peers[next]).await?)
            }
        };
        let mut side =
            Self { swarm, slow, origin, broadcasts: 0, calling: JoinSet::new(), sending: JoinSet::new(), acknowledged: 0, refused: 0 };
        side.until_all_are_there().await?;
        side.swarm.settle().await;
        Ok(side)
    }

    /// Until the slow one is a member, and knows the others.
    async fn until_all_are_there(&mut self) -> Result<(), Box<dyn Error>> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let count = self.swarm.peers.len();
            let there = match &mut self.slow {
                Slow::Peer(slow) => slow.figures()?.peers == count && self.swarm.peers.iter().all(|peer| peer.peers().len() == count),
                Slow::Child(child) => {
                    self.origin.is_some_and(|origin| self.swarm.peers[origin].peers().iter().any(|peer| peer.id() == child.id()))
                }
            };
            if there {
                return Ok(());
            }
            if Instant::now() > deadline {
                return Err("not all are there".into());
            }
            time::sleep(STEP).await;
        }
    }

    /// One broadcast to all others and some unicasts among them; and a unicast to the slow one, for which nobody waits here.
    async fn turn(&mut self, length: usize, random: &mut Random, times: &mut Times) -> Result<(), Box<dyn Error>> {
        let count = self.swarm.peers.len();
        let origin = self.origin.unwrap_or_else(|| random.below(count));
        let (peer, payload) = (self.swarm.peers[origin].clone(), self.next_payload(length));
        let begun = Instant::now();
        let sent = payload.clone();
        self.calling.spawn(async move {
            let _ = peer.broadcast(sent, &BroadcastOptions::default()).await;
            begun.elapsed()
        });
        let mut missing: BTreeSet<usize> = (0..count).filter(|index| *index != origin).collect();
        while !missing.is_empty() {
            let arrival = time::timeout(PATIENCE, self.swarm.arrivals.recv()).await?.ok_or("the readers have ended")?;
            if arrival.message.data == payload && missing.remove(&arrival.peer) && missing.is_empty() {
                times.broadcasts.push((arrival.at - begun).as_secs_f64() * 1e3);
            }
        }
        for _ in 0..UNICASTS {
            let from = random.below(count);
            let to = (from + 1 + random.below(count - 1)) % count;
            let begun = Instant::now();
            self.swarm.peers[from].send(&self.swarm.peers[to], vec![1; 256]).await?;
            times.unicasts.push(begun.elapsed().as_secs_f64() * 1e3);
        }
        if let Slow::Peer(slow) = &self.slow {
            let (from, to) = (self.swarm.peers[random.below(count)].clone(), slow.address);
            let options = SendOptions::default().with_timeout(UNICAST_TIMEOUT);
            self.sending.spawn(async move { from.send_with(to, vec![2; UNICAST_BYTES], &options).await.map(drop) });
        }
        Ok(())
    }

    /// It is slow from now on.
    fn slow_down(&mut self, case: Case) -> Result<(), Box<dyn Error>> {
        match (&mut self.slow, case) {
            (Slow::Peer(slow), Case::Process) => slow.signal("STOP"),
            (Slow::Peer(slow), Case::Application | Case::Child) => slow.read_slowly(true),
            (Slow::Child(child), _) => {
                child.read(false);
                Ok(())
            }
        }
    }

    /// It is as fast as the others again. Returns how long it took until it had everything that it was promised.
    async fn catch_up(&mut self, case: Case) -> Result<Duration, Box<dyn Error>> {
        let begun = Instant::now();
        match (&mut self.slow, case) {
            (Slow::Peer(slow), Case::Process) => slow.signal("CONT")?,
            (Slow::Peer(slow), Case::Application | Case::Child) => slow.read_slowly(false)?,
            (Slow::Child(child), _) => child.read(true),
        }
        let deadline = begun + PATIENCE;
        while !self.has_it_all().await? {
            if Instant::now() > deadline {
                // The figure tells.
                break;
            }
            time::sleep(STEP).await;
        }
        Ok(begun.elapsed())
    }

    /// Whether every broadcast was received, or told as missed by an application that did not take it, and every unicast that was
    /// acknowledged was received. Of a child: whether it has read one that was sent after it began to read again.
    async fn has_it_all(&mut self) -> Result<bool, Box<dyn Error>> {
        while let Some(sent) = self.sending.try_join_next() {
            match sent? {
                Ok(()) => self.acknowledged += 1,
                Err(_) => self.refused += 1,
            }
        }
        let next = self.origin.map(|origin| (self.swarm.peers[origin].clone(), self.next_payload(Case::Child.broadcast_bytes())));
        match &mut self.slow {
            Slow::Peer(slow) => {
                let Figures { broadcasts, unicasts, missed, .. } = slow.figures()?;
                Ok(self.sending.is_empty() && broadcasts + missed >= self.broadcasts && unicasts >= self.acknowledged)
            }
            Slow::Child(child) => {
                let heard = child.whole();
                if let Some((origin, payload)) = next {
                    origin.broadcast(payload, &BroadcastOptions::default()).await?;
                }
                time::sleep(STEP).await;
                Ok(child.whole() > heard)
            }
        }
    }

    /// What the slow one says of itself, if it is a peer.
    fn slow_figures(&mut self) -> Result<Option<Figures>, Box<dyn Error>> {
        match &mut self.slow {
            Slow::Peer(slow) => slow.figures().map(Some),
            Slow::Child(_) => Ok(None),
        }
    }

    fn forget_peak(&mut self) -> Result<(), Box<dyn Error>> {
        match &mut self.slow {
            Slow::Peer(slow) => slow.forget_peak(),
            Slow::Child(_) => Ok(()),
        }
    }

    /// Another one each time.
    fn next_payload(&mut self, length: usize) -> Vec<u8> {
        self.broadcasts += 1;
        payload(self.broadcasts as u64, length)
    }
}

/// One case on one overlay.
struct Measurement {
    case: Case,
    overlay: OverlayKind,
    sides: [Side; 2],
    random: Random,
    /// While nobody is slow; beside somebody slow; in the other swarm meanwhile.
    alone: Times,
    with: Times,
    without: Times,
}

impl Measurement {
    async fn run(case: Case, overlay: OverlayKind) -> Result<(), Box<dyn Error>> {
        let mut random = Random(5);
        let sides = [Side::new(case, overlay, &mut random).await?, Side::new(case, overlay, &mut random).await?];
        let [alone, with, without] = Default::default();
        let mut measurement = Self { case, overlay, sides, random, alone, with, without };
        // Until what is kept of broadcasts has reached its bound, and the allocator what it needs for that.
        for _ in 0..WARM_UP_TURNS {
            measurement.both(None).await?;
        }
        measurement.alone = Times::default();
        process::forget_peak();
        measurement.sides.iter_mut().try_for_each(Side::forget_peak)?;
        measurement.round(case.span(), None).await?;
        let peak = process::peak_bytes().unwrap_or_default();
        let mut caught_up = Vec::new();
        for slow in case.rounds() {
            measurement.sides[*slow].slow_down(case)?;
            let measured = measurement.round(case.span(), Some(*slow)).await;
            caught_up.push(measurement.sides[*slow].catch_up(case).await?.as_secs_f64());
            measured?;
        }
        for side in &mut measurement.sides {
            while !side.sending.is_empty() {
                side.has_it_all().await?;
                time::sleep(STEP).await;
            }
        }
        let more = process::peak_bytes().unwrap_or_default().saturating_sub(peak);
        measurement.report(more, &caught_up)?;
        for side in measurement.sides {
            drop(side.slow);
            side.swarm.close().await;
        }
        Ok(())
    }

    /// Takes turns for this long.
    async fn round(&mut self, span: Duration, slow: Option<usize>) -> Result<(), Box<dyn Error>> {
        let begun = Instant::now();
        let mut next = begun;
        while begun.elapsed() < span {
            self.both(slow).await?;
            next += TURN;
            time::sleep_until(next.into()).await;
        }
        for index in 0..self.sides.len() {
            let took = std::mem::take(&mut self.sides[index].calling).join_all().await;
            self.times(slow, index).calls.extend(took.into_iter().map(|took| took.as_secs_f64() * 1e3));
        }
        Ok(())
    }

    async fn both(&mut self, slow: Option<usize>) -> Result<(), Box<dyn Error>> {
        for index in 0..self.sides.len() {
            let mut times = Times::default();
            self.sides[index].turn(self.case.broadcast_bytes(), &mut self.random, &mut times).await?;
            self.times(slow, index).append(times);
        }
        Ok(())
    }

    /// Where the times of one swarm belong.
    fn times(&mut self, slow: Option<usize>, side: usize) -> &mut Times {
        match slow {
            None => &mut self.alone,
            Some(slow) if slow == side => &mut self.with,
            Some(_) => &mut self.without,
        }
    }

    fn report(&mut self, more: u64, caught_up: &[f64]) -> Result<(), Box<dyn Error>> {
        let about = |what: &str| format!("{}, {}: {what}", self.overlay, self.case.who());
        let of = |times: &Times| [&times.broadcasts, &times.unicasts, &times.calls].map(|times| median(times));
        let (alone, with, without) = (of(&self.alone), of(&self.with), of(&self.without));
        // A call waits until whoever fails is replaced, so that it may be slower by a little: that is shown, and not promised.
        let promised = Promise::AtMost(SLOWER);
        for (index, (what, promise)) in
            [("broadcasts to the others", promised), ("unicasts among the others", promised), ("calls of broadcast", Promise::Nothing)]
                .into_iter()
                .enumerate()
        {
            REPORT.figure(&about(&format!("{what}, median")), with[index], "ms", Promise::Nothing);
            REPORT.figure(&about(&format!("{what}, over those of a swarm without")), with[index] / without[index], "ratio", promise);
            let beside = format!("{what}, that swarm over itself before");
            REPORT.figure(&about(&beside), without[index] / alone[index], "ratio", Promise::Nothing);
        }
        let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        let others = self.sides.iter().map(|side| side.swarm.peers.len()).sum::<usize>();
        REPORT.figure(&about("memory of each other peer, growth"), mib(more) / others as f64, "MiB", Promise::AtMost(OTHERS_MIB));
        let worst = caught_up.iter().copied().fold(0.0, f64::max);
        REPORT.figure(&about("until it has all that it was promised, worst"), worst, "s", Promise::AtMost(CATCH_UP));
        let mut slow = self.sides.iter_mut().map(Side::slow_figures).collect::<Result<Vec<_>, _>>()?.into_iter().flatten().peekable();
        if slow.peek().is_none() {
            return Ok(());
        }
        let (mut grown, mut repeated, mut missed) = (0, 0, 0);
        for figures in slow {
            grown = grown.max(figures.grown_bytes);
            repeated += figures.repeated;
            missed += figures.missed;
        }
        let bound = mib((DELIVERY_BYTES + IN_FLIGHT_BYTES) as u64) + ALLOCATOR_MIB;
        REPORT.figure(&about("its memory, growth"), mib(grown), "MiB", Promise::AtMost(bound));
        REPORT.figure(&about("delivered twice to it"), repeated as f64, "messages", Promise::AtMost(0.0));
        // An application that does not take them is told so; nobody else misses any.
        let most = if self.case == Case::Application { Promise::Nothing } else { Promise::AtMost(0.0) };
        REPORT.figure(&about("broadcasts that it was told it missed"), missed as f64, "messages", most);
        let [acknowledged, refused] = self.sides.iter().fold([0, 0], |[a, r], side| [a + side.acknowledged, r + side.refused]);
        // Who is taken for dead meanwhile is told of as somebody who is not there.
        let least = if self.case == Case::Application { Promise::AtLeast(1.0) } else { Promise::Nothing };
        let share = acknowledged as f64 / (acknowledged + refused) as f64;
        REPORT.figure(&about("unicasts to it acknowledged within their timeout"), share, "of all", least);
        Ok(())
    }
}

/// Each swarm has one broadcast in this time.
const TURN: Duration = Duration::from_millis(100);

/// And so many unicasts.
const UNICASTS: usize = 16;

/// To the slow one: with one in a turn ten times what a slow application reads.
const UNICAST_BYTES: usize = 10_000;

const UNICAST_TIMEOUT: Duration = Duration::from_secs(30);

/// What must happen soon.
const PATIENCE: Duration = Duration::from_secs(60);

/// Between two looks.
const STEP: Duration = Duration::from_millis(20);

/// Enough to fill [`IN_FLIGHT_BYTES`] with the shortest broadcasts.
const WARM_UP_TURNS: usize = 420;

/// What a peer may hold more beside somebody slow: nothing, but what is freed later is allocated anew meanwhile.
const OTHERS_MIB: f64 = 1.0; // guess: an eighth of what it keeps of broadcasts

/// What is promised of the others beside somebody slow.
const SLOWER: f64 = 1.1;

/// What a peer may catch up in.
const CATCH_UP: f64 = 10.0;

/// The bounds of each peer here: the longest message, what waits for its application, and what it keeps for others.
const MESSAGE_BYTES: usize = 1 << 20;
const DELIVERY_BYTES: usize = 1 << 20;
const IN_FLIGHT_BYTES: usize = 8 << 20;

/// What the allocator may keep of memory that was freed, beside what the bounds allow; the same as in the tests of abuse.
const ALLOCATOR_MIB: f64 = 24.0;
