//! What honest peers do meanwhile: they send to each other, and want a receipt for everything.

use cicada::{SendOptions, SwarmPeer, Target};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep},
};

/// Messages that are being sent, one after another between each pair.
pub(crate) struct Traffic {
    stop: Arc<AtomicBool>,
    pairs: JoinSet<Sent>,
    receiving: JoinSet<()>,
}

/// How it went.
#[derive(Default)]
pub(crate) struct Sent {
    pub(crate) round_trips: Vec<Duration>,
    failures: Vec<String>,
}

impl Sent {
    pub(crate) fn median(&mut self) -> Duration {
        self.round_trips.sort();
        self.round_trips[self.round_trips.len() / 2]
    }

    fn slowest(&self) -> Duration {
        self.round_trips.iter().max().copied().unwrap_or_default()
    }
}

impl Traffic {
    /// Between all these, and from each of them to `also`, whose application reads by itself.
    pub(crate) fn among(peers: &[SwarmPeer], also: impl IntoIterator<Item = impl Into<Target>>) -> Self {
        let mut traffic = Self { stop: Arc::default(), pairs: JoinSet::new(), receiving: JoinSet::new() };
        let mut targets: Vec<Target> = peers.iter().map(Target::from).collect();
        targets.extend(also.into_iter().map(Into::into));
        for (from, peer) in peers.iter().enumerate() {
            for (_, target) in targets.iter().enumerate().filter(|(to, _)| *to != from) {
                let (stop, peer, target) = (Arc::clone(&traffic.stop), peer.clone(), target.clone());
                traffic.pairs.spawn(async move { send(&stop, &peer, &target).await });
            }
            let peer = peer.clone();
            traffic.receiving.spawn(async move { while peer.recv().await.is_ok() {} });
        }
        traffic
    }

    /// Ends; everything must have been acknowledged, and there must have been something.
    pub(crate) async fn end(mut self) -> Sent {
        self.stop.store(true, Ordering::Relaxed);
        let mut all = Sent::default();
        while let Some(sent) = self.pairs.join_next().await {
            let sent = sent.expect("no panic");
            all.round_trips.extend(sent.round_trips);
            all.failures.extend(sent.failures);
        }
        println!("honest traffic: {} acknowledged, the slowest after {:?}", all.round_trips.len(), all.slowest());
        assert!(all.failures.is_empty(), "{} failed, such as {}", all.failures.len(), all.failures[0]);
        assert!(all.round_trips.len() >= LEAST, "{} messages prove nothing", all.round_trips.len());
        all
    }
}

async fn send(stop: &AtomicBool, peer: &SwarmPeer, target: &Target) -> Sent {
    let mut sent = Sent::default();
    while !stop.load(Ordering::Relaxed) {
        let started = Instant::now();
        match peer.send_with(target.clone(), vec![b't'; 256], &SendOptions::default()).await {
            Ok(_) => sent.round_trips.push(started.elapsed()),
            Err(error) => sent.failures.push(error.to_string()),
        }
        sleep(PACE).await;
    }
    sent
}

/// Between two messages of a pair, so that the traffic is no flood itself.
const PACE: Duration = Duration::from_millis(5);

/// Fewer messages were no traffic.
const LEAST: usize = 10;
