//! The peers: some live throughout, others come and go, politely or not.

use crate::{
    ledger::{Had, Ledger},
    traffic::{self, Traffic},
    watch::{Held, Memory},
};
use cicada::{Limits, OverlayKind, SwarmPeer};
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{
    runtime::Runtime,
    task::{JoinHandle, JoinSet},
    time::{Instant, sleep, timeout},
};

/// A peer whose application reads.
#[derive(Clone)]
pub(crate) struct Inhabitant {
    pub(crate) peer: SwarmPeer,
    pub(crate) had: Had,
    /// Whether it lives throughout.
    pub(crate) stays: bool,
}

/// All that live now.
#[derive(Clone, Default)]
pub(crate) struct Inhabitants(Arc<Mutex<Vec<Inhabitant>>>);

impl Inhabitants {
    pub(crate) fn all(&self) -> Vec<Inhabitant> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn who_stay(&self) -> Vec<Inhabitant> {
        self.all().into_iter().filter(|inhabitant| inhabitant.stays).collect()
    }

    fn add(&self, inhabitant: Inhabitant) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(inhabitant);
    }

    fn remove(&self, peer: &SwarmPeer) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).retain(|inhabitant| inhabitant.peer.id() != peer.id());
    }
}

/// A peer that will leave, and how.
struct Guest {
    inhabitant: Inhabitant,
    reading: JoinHandle<()>,
    /// Of its own, if it is to vanish together with it, without a last packet.
    doomed: Option<Runtime>,
}

/// One soak: traffic and churn for this long, then everything closes.
pub(crate) async fn run(overlay: OverlayKind, span: Duration) {
    let before = Held::now();
    let (inhabitants, ledger) = (Inhabitants::default(), Arc::new(Ledger::new()));
    let mut reading = Vec::new();
    for _ in 0..STAY {
        let (inhabitant, task) = settle_down(overlay, &inhabitants, &ledger, true).await;
        inhabitants.add(inhabitant);
        reading.push(task);
    }
    for inhabitant in inhabitants.all() {
        timeout(PATIENCE, inhabitant.peer.wait_for_peers(STAY - 1)).await.expect("they meet").expect("open");
    }
    let traffic = Traffic::begin(&inhabitants, &ledger);
    let (end, mut memory, mut guests, mut churned) = (Instant::now() + span, Memory::default(), Vec::new(), 0);
    let mut numbers = traffic::Numbers(span.as_secs());
    while Instant::now() < end {
        if guests.len() < GUESTS && (guests.is_empty() || numbers.below(2) == 0) {
            guests.push(arrive(overlay, &inhabitants, &ledger, numbers.below(3) == 0).await);
        } else {
            leave(&inhabitants, guests.swap_remove(numbers.below(guests.len())), numbers.below(2) == 0).await;
            churned += 1;
        }
        ledger.is_settled();
        memory.sample();
        sleep(PACE).await;
    }
    let ended = traffic.end().await;
    while !ledger.is_settled() {
        sleep(Duration::from_millis(20)).await;
    }
    ledger.check();
    for guest in guests {
        leave(&inhabitants, guest, true).await;
    }
    let mut closing = JoinSet::new();
    for inhabitant in inhabitants.all() {
        closing.spawn(async move { inhabitant.peer.close().await });
    }
    closing.join_all().await;
    for task in reading {
        task.await.expect("no panic");
    }
    drop(inhabitants);
    println!("{overlay}: {ended}, {churned} left");
    assert!(churned > 0, "nobody came and went");
    before.is_back().await.expect("nothing is left");
    // A short run ends while what is kept of broadcasts is still growing to its bound.
    let growing = if span / 5 < KEPT { (STAY + GUESTS) * IN_FLIGHT_BYTES / 1024 } else { 0 };
    let [first, last] = memory.has_grown(growing as u64).expect("no growth");
    println!("{overlay}: {first} KiB in the first quarter, {last} KiB in the last");
}

/// A peer that joins by any that is there.
async fn settle_down(overlay: OverlayKind, inhabitants: &Inhabitants, ledger: &Arc<Ledger>, stays: bool) -> (Inhabitant, JoinHandle<()>) {
    let mut limits = Limits::default();
    limits.message_bytes = MESSAGE_BYTES;
    limits.in_flight_bytes = IN_FLIGHT_BYTES;
    // The soak beside this one may get the port of a peer that was killed here.
    let name = format!("soak {}", std::process::id());
    let peer =
        SwarmPeer::builder().swarm(name).overlay(overlay).limits(limits).bind(("127.0.0.1", 0)).await.expect("loopback has a free port");
    // By one that stays: another may be gone before it has answered.
    if let Some(entry) = inhabitants.who_stay().last() {
        peer.connect(&entry.peer).await.expect("a member");
    }
    let inhabitant = Inhabitant { peer, had: Had::nothing(), stays };
    let (reader, had, ledger) = (inhabitant.peer.clone(), inhabitant.had.clone(), Arc::clone(ledger));
    let reading = tokio::spawn(async move {
        while let Ok(message) = reader.recv().await {
            ledger.received(&had, &message.data);
        }
    });
    (inhabitant, reading)
}

async fn arrive(overlay: OverlayKind, inhabitants: &Inhabitants, ledger: &Arc<Ledger>, doomed: bool) -> Guest {
    let (there, ledger) = (inhabitants.clone(), Arc::clone(ledger));
    let settling = async move { settle_down(overlay, &there, &ledger, false).await };
    let (doomed, (inhabitant, reading)) = if doomed {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("threads");
        let settled = runtime.spawn(settling).await.expect("no panic");
        (Some(runtime), settled)
    } else {
        (None, settling.await)
    };
    inhabitants.add(inhabitant.clone());
    Guest { inhabitant, reading, doomed }
}

/// It says goodbye, or its last handle is dropped, or it vanishes with all that it had.
async fn leave(inhabitants: &Inhabitants, guest: Guest, politely: bool) {
    let Guest { inhabitant, reading, doomed } = guest;
    inhabitants.remove(&inhabitant.peer);
    if let Some(runtime) = doomed {
        runtime.shutdown_background();
    } else if politely {
        inhabitant.peer.close().await;
        reading.await.expect("no panic");
    } else {
        reading.abort();
    }
}

/// How many live throughout, and how many come and go beside them.
const STAY: usize = 8;
const GUESTS: usize = 6;

/// Between two who come or go.
const PACE: Duration = Duration::from_millis(250);

/// How long anything may take that should take a moment, on a machine that does other things as well.
const PATIENCE: Duration = Duration::from_secs(30);

/// Enough for all broadcasts of some seconds: what a peer that vanished did not hand on is fetched from those who keep it still.
const IN_FLIGHT_BYTES: usize = 24 << 20;
const MESSAGE_BYTES: usize = 1 << 20;

/// For so long a peer keeps broadcasts at most; until then its memory may grow to the bound above.
const KEPT: Duration = Duration::from_secs(30);
