//! What the peers say to each other all the while.

use crate::{
    ledger::Ledger,
    life::{Inhabitant, Inhabitants},
};
use cicada::{BroadcastOptions, Route, SendError, SendOptions};
use std::{
    collections::BTreeMap,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep, timeout},
};

/// Senders, each with one message after another.
pub(crate) struct Traffic {
    stop: Arc<AtomicBool>,
    senders: JoinSet<Sent>,
}

/// How it went.
#[derive(Default)]
pub(crate) struct Sent {
    broadcasts: usize,
    acknowledged: usize,
    /// Of messages to or from peers that came or left meanwhile, by what was said of them.
    failed: BTreeMap<&'static str, usize>,
    slowest: Duration,
}

impl fmt::Display for Sent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { broadcasts, acknowledged, failed, slowest } = self;
        write!(f, "{broadcasts} broadcasts, {acknowledged} acknowledged, the slowest after {slowest:?}; with guests {failed:?}")
    }
}

impl Traffic {
    pub(crate) fn begin(inhabitants: &Inhabitants, ledger: &Arc<Ledger>) -> Self {
        let mut traffic = Self { stop: Arc::default(), senders: JoinSet::new() };
        for sender in 0..UNICASTERS {
            let (stop, inhabitants, ledger) = (Arc::clone(&traffic.stop), inhabitants.clone(), Arc::clone(ledger));
            traffic.senders.spawn(async move { unicasts(&stop, &inhabitants, &ledger, Numbers(sender)).await });
        }
        let (stop, inhabitants, ledger) = (Arc::clone(&traffic.stop), inhabitants.clone(), Arc::clone(ledger));
        traffic.senders.spawn(async move { broadcasts(&stop, &inhabitants, &ledger, Numbers(UNICASTERS)).await });
        traffic
    }

    /// Ends when what was begun has ended.
    pub(crate) async fn end(mut self) -> Sent {
        self.stop.store(true, Ordering::Relaxed);
        let mut all = Sent::default();
        while let Some(sent) = self.senders.join_next().await {
            let sent = sent.expect("no panic");
            all.broadcasts += sent.broadcasts;
            all.acknowledged += sent.acknowledged;
            all.slowest = all.slowest.max(sent.slowest);
            for (what, count) in sent.failed {
                *all.failed.entry(what).or_default() += count;
            }
        }
        assert!(all.broadcasts > 0 && all.acknowledged > 0, "nothing was said");
        all
    }
}

async fn unicasts(stop: &AtomicBool, inhabitants: &Inhabitants, ledger: &Ledger, mut numbers: Numbers) -> Sent {
    let mut sent = Sent::default();
    while !stop.load(Ordering::Relaxed) {
        let mut all = inhabitants.all();
        let from = all.swap_remove(numbers.below(all.len()));
        let to = all.swap_remove(numbers.below(all.len()));
        drop(all);
        let route = if numbers.below(2) == 0 { Route::Overlay } else { Route::Auto };
        let options = SendOptions::default().with_route(route).with_timeout(TIMEOUT);
        let length = LENGTHS[numbers.below(LENGTHS.len())];
        let (number, payload) = ledger.payload(length);
        let begun = Instant::now();
        // For each megabyte it is allowed a second more, and this machine does other things.
        let result = timeout(TIMEOUT * 2, from.peer.send_with(&to.peer, payload, &options)).await;
        let result = result.unwrap_or_else(|_| panic!("{length} bytes by {route:?} have no end after {:?}", begun.elapsed()));
        sent.slowest = sent.slowest.max(begun.elapsed());
        sent.count(result.map(drop), &from, &to, number, ledger);
        sleep(PACE).await;
    }
    sent
}

impl Sent {
    fn count(&mut self, result: Result<(), SendError>, from: &Inhabitant, to: &Inhabitant, number: u64, ledger: &Ledger) {
        match result {
            Ok(()) => {
                self.acknowledged += 1;
                // A guest may leave before it has read what it acknowledged.
                if to.stays {
                    ledger.must_reach(number, vec![to.had.clone()]);
                }
            }
            Err(error) => {
                assert!(!(from.stays && to.stays), "message {number} between two that were there throughout: {error}");
                *self.failed.entry(what(&error)).or_default() += 1;
            }
        }
    }
}

/// In a word.
fn what(error: &SendError) -> &'static str {
    match error {
        SendError::NoRoute { .. } => "no route",
        SendError::NoSuchPeer { .. } => "no such peer",
        SendError::TimedOut { .. } => "timed out",
        SendError::Closed => "closed",
        other => panic!("no honest error: {other}"),
    }
}

async fn broadcasts(stop: &AtomicBool, inhabitants: &Inhabitants, ledger: &Ledger, mut numbers: Numbers) -> Sent {
    let mut sent = Sent::default();
    while !stop.load(Ordering::Relaxed) {
        let mut staying = inhabitants.who_stay();
        let from = staying.swap_remove(numbers.below(staying.len()));
        let (number, payload) = ledger.payload(LENGTHS[numbers.below(LENGTHS.len())]);
        from.peer.broadcast(payload, &BroadcastOptions::default()).await.expect("neither too long nor too many");
        sent.broadcasts += 1;
        ledger.must_reach(number, staying.into_iter().map(|inhabitant| inhabitant.had).collect());
        sleep(PACE).await;
    }
    sent
}

/// A sequence without pattern, the same in every run.
pub(crate) struct Numbers(pub(crate) u64);

impl Numbers {
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        // Knuth's MMIX generator; its high bits are good enough here.
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % bound
    }
}

/// How many unicasts are under way at once.
const UNICASTERS: u64 = 4;

const LENGTHS: [usize; 7] = [100, 100, 1000, 10_000, 30_000, 200_000, 1 << 20];

/// After a sender's message, so that there is time for other tests.
const PACE: Duration = Duration::from_millis(50);

/// Longer than anything should take, and shorter than a peer that is gone is asked for.
const TIMEOUT: Duration = Duration::from_secs(20);
