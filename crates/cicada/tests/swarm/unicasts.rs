use crate::harness::{LINKS, Numbers, PATIENCE, SIZE, Swarm};
use cicada::{OverlayKind, SendOptions};
use std::time::Duration;
use tokio::{
    task::JoinSet,
    time::{Instant, timeout},
};

/// How many pairs speak.
const PAIRS: usize = 500;

/// How many of them at once.
const AT_ONCE: usize = 20;

async fn random_pairs(overlay: OverlayKind, mean_hops: f64) {
    let swarm = Swarm::of(overlay, SIZE).await;
    let (mut numbers, mut hops, mut relayed) = (Numbers(1), 0, 0);
    let started = Instant::now();
    for round in 0..PAIRS / AT_ONCE {
        let mut sending = JoinSet::new();
        for turn in 0..AT_ONCE {
            let (from, to) = (numbers.below(SIZE), numbers.below(SIZE - 1));
            let to = if to < from { to } else { to + 1 };
            let (from, to) = (swarm.peers[from].clone(), swarm.peers[to].clone());
            sending.spawn(async move {
                let text = format!("{round}.{turn}");
                let receipt = from.send(&to, text.clone()).await.unwrap_or_else(|error| panic!("{from:?} to {to:?}: {error}"));
                assert!(receipt.acked);
                (text, from, to, receipt)
            });
        }
        let mut sent = sending.join_all().await;
        // Several may be for one peer; each arrives at its target, by whichever order.
        sent.sort_by_key(|(_, _, to, _)| to.id());
        for group in sent.chunk_by(|(_, _, a, _), (_, _, b, _)| a.id() == b.id()) {
            let mut wanted: Vec<_> = group.iter().map(|(text, from, _, _)| (text.clone().into_bytes(), from.id())).collect();
            for _ in group {
                let message = timeout(PATIENCE, group[0].2.recv()).await.expect("acked").expect("open");
                let place = wanted.iter().position(|wanted| *wanted == (message.data.to_vec(), message.source.id()));
                wanted.remove(place.expect("what was sent, from whom it was"));
                assert!(!message.broadcast);
            }
        }
        for (_, from, to, receipt) in &sent {
            let taken = receipt.hops().expect("acked");
            hops += taken;
            relayed += usize::from(taken > 1);
            let relays = &receipt.paths[0].relays;
            assert!(!relays.contains(&from.id()) && !relays.contains(&to.id()), "{relays:?}");
        }
    }
    println!("{overlay}: {PAIRS} pairs in {:?}", started.elapsed());
    swarm.nothing_more().await;
    for peer in &swarm.peers {
        let links = peer.table().await.expect("open").entries.iter().filter(|entry| entry.linked).count();
        assert!(links <= LINKS, "{peer:?} has {links} links");
    }
    let mean = hops as f64 / PAIRS as f64;
    println!("{overlay}: mean hops {mean:.2}, {relayed} of {PAIRS} relayed");
    assert!(relayed > PAIRS / 4, "with {LINKS} links most peers are not neighbours");
    assert!(mean <= mean_hops, "{mean}");
    swarm.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn random_pairs_reach_each_other_over_relays_on_the_ring() {
    random_pairs(OverlayKind::Ring, 2.8).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn random_pairs_reach_each_other_over_relays_on_the_tree() {
    random_pairs(OverlayKind::Tree, 2.4).await;
}

async fn duplicates(overlay: OverlayKind) {
    let swarm = Swarm::of(overlay, 24).await;
    let mut numbers = Numbers(2);
    for round in 0..30 {
        let from = numbers.below(24);
        let to = (from + 1 + numbers.below(23)) % 24;
        let options = SendOptions::default().with_duplicates(3).with_timeout(Duration::from_secs(20));
        let receipt = swarm.peers[from].send_with(&swarm.peers[to], format!("{round}"), &options).await.expect("there");
        assert!(receipt.acked && !receipt.paths.is_empty() && receipt.paths.len() <= 4, "{receipt:?}");
        let first_hops: std::collections::BTreeSet<_> = receipt.paths.iter().map(|path| path.first_hop).collect();
        // A copy that had to be sent again may go where another went before.
        assert!(first_hops.len() >= 2, "copies go by different first hops: {receipt:?}");
        let message = timeout(PATIENCE, swarm.peers[to].recv()).await.expect("acked").expect("open");
        assert_eq!(message.data, format!("{round}"));
    }
    swarm.nothing_more().await;
    swarm.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn duplicates_are_delivered_once_on_the_ring() {
    duplicates(OverlayKind::Ring).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn duplicates_are_delivered_once_on_the_tree() {
    duplicates(OverlayKind::Tree).await;
}
