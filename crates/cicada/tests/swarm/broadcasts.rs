use crate::harness::{PATIENCE, SIZE, Swarm};
use cicada::{BroadcastOptions, OverlayKind};
use std::collections::BTreeSet;
use tokio::time::{Instant, timeout};

/// The most copies that a peer makes of a broadcast before anything is repaired.
const FIRST_COPIES: u64 = 8;

async fn broadcasts(overlay: OverlayKind) {
    let swarm = Swarm::of(overlay, SIZE).await;
    for origin in [0, 17, 63] {
        let before = swarm.copies().await;
        let started = Instant::now();
        swarm.broadcast(origin, "to all").await;
        // Nobody has called recv yet: relays forward without their applications. The last one is asked first.
        let received = swarm.receive_everywhere(1, &[origin]).await;
        println!("{overlay}: broadcast everywhere and acknowledged after {:?}", started.elapsed());
        assert_eq!(received.len(), SIZE - 1);
        for message in received.values().flatten() {
            assert!(message.broadcast && message.data.starts_with(b"to all"));
            assert_eq!(message.source.id(), swarm.peers[origin].id());
        }
        let copies: Vec<u64> = swarm.copies().await.iter().zip(before).map(|(now, before)| now - before).collect();
        assert!(copies.iter().all(|copies| *copies <= FIRST_COPIES), "{copies:?}");
        assert_eq!(copies.iter().sum::<u64>(), SIZE as u64 - 1, "one copy a peer");
    }
    swarm.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broadcast_reaches_everybody_once_on_the_ring() {
    broadcasts(OverlayKind::Ring).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broadcast_reaches_everybody_once_on_the_tree() {
    broadcasts(OverlayKind::Tree).await;
}

async fn eight_at_once(overlay: OverlayKind) {
    let swarm = Swarm::of(overlay, SIZE).await;
    let origins: Vec<usize> = (0..8).map(|index| index * 8).collect();
    for origin in &origins {
        let peer = swarm.peers[*origin].clone();
        let text = format!("from {origin}.");
        tokio::spawn(async move { peer.broadcast(super::harness::payload(&text), &BroadcastOptions::default()).await });
    }
    for (index, peer) in swarm.peers.iter().enumerate() {
        let wanted: BTreeSet<_> = origins.iter().filter(|origin| **origin != index).map(|origin| swarm.peers[*origin].id()).collect();
        let mut sources = BTreeSet::new();
        for _ in &wanted {
            let message = timeout(PATIENCE, peer.recv()).await.unwrap_or_else(|_| panic!("peer {index} misses some")).expect("open");
            sources.insert(message.source.id());
        }
        assert_eq!(sources, wanted, "one of each");
    }
    swarm.nothing_more().await;
    swarm.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn eight_broadcasts_at_once_arrive_everywhere_on_the_ring() {
    eight_at_once(OverlayKind::Ring).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn eight_broadcasts_at_once_arrive_everywhere_on_the_tree() {
    eight_at_once(OverlayKind::Tree).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whom_a_broadcast_excludes_does_not_get_it() {
    for overlay in [OverlayKind::Ring, OverlayKind::Tree] {
        let swarm = Swarm::of(overlay, 12).await;
        let excluded = [3, 7];
        let options = BroadcastOptions::default().with_exclude(excluded.map(|index| swarm.peers[index].id()));
        swarm.peers[0].broadcast("not for all", &options).await.expect("not too large");
        let received = swarm.receive_everywhere(1, &[0, 3, 7]).await;
        assert_eq!(received.len(), 9);
        swarm.close().await;
    }
}
