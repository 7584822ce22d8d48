use crate::harness::{Copies, LINKS, MARK, PATIENCE, Swarm};
use cicada::{BroadcastOptions, OverlayKind, Route, SendOptions};
use tokio::time::{Instant, timeout};

/// `length` bytes, no two pieces alike.
fn large(length: usize) -> Vec<u8> {
    let mut state = 0x2545_f491_4f6c_dd1du64;
    let mut bytes: Vec<u8> = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    })
    .flatten()
    .take(length - MARK.len())
    .collect();
    bytes.extend_from_slice(MARK);
    bytes
}

const MIB: usize = 1024 * 1024;

/// A peer that `from` reaches only over relays.
async fn far_from(swarm: &Swarm, from: usize) -> usize {
    for (index, peer) in swarm.peers.iter().enumerate().filter(|(index, _)| *index != from) {
        let receipt = swarm.peers[from].send(peer, "where are you?").await.expect("it arrives");
        timeout(PATIENCE, peer.recv()).await.expect("acknowledged").expect("open");
        if receipt.hops().is_some_and(|hops| hops > 1) {
            return index;
        }
    }
    panic!("{} links are not enough for {} peers", LINKS, swarm.peers.len());
}

/// Sends `length` bytes and checks what arrives; returns the links travelled.
async fn send(swarm: &Swarm, [from, to]: [usize; 2], length: usize, route: Route) -> usize {
    let payload = large(length);
    let started = Instant::now();
    let options = SendOptions::default().with_route(route).with_timeout(PATIENCE);
    let receipt = swarm.peers[from].send_with(&swarm.peers[to], payload.clone(), &options).await.expect("it arrives");
    println!("{length} bytes, {route:?}, {:?} links, {:?}", receipt.hops(), started.elapsed());
    let message = timeout(PATIENCE, swarm.peers[to].recv()).await.expect("acknowledged").expect("open");
    assert!(message.data == payload, "as it was sent");
    receipt.hops().expect("acknowledged")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sixteen_mebibytes_arrive_at_a_neighbour() {
    let swarm = Swarm::of(OverlayKind::Ring, 2).await;
    for length in [100_000, MIB, 16 * MIB] {
        assert_eq!(send(&swarm, [0, 1], length, Route::Direct).await, 1);
    }
    swarm.nothing_more().await;
    swarm.close().await;
}

async fn unicasts(overlay: OverlayKind) {
    let swarm = Swarm::of(overlay, LINKS * 2).await;
    let far = far_from(&swarm, 3).await;
    for length in [100_000, MIB, 16 * MIB] {
        assert!(send(&swarm, [3, far], length, Route::Overlay).await > 1, "over relays");
    }
    swarm.nothing_more().await;
    swarm.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sixteen_mebibytes_arrive_over_relays_of_the_ring() {
    unicasts(OverlayKind::Ring).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sixteen_mebibytes_arrive_over_relays_of_the_tree() {
    unicasts(OverlayKind::Tree).await;
}

async fn broadcasts(overlay: OverlayKind) {
    let swarm = Swarm::of(overlay, LINKS * 2).await;
    swarm.copies.iter().for_each(|copies| {
        copies.take();
    });
    for length in [100_000, MIB, 16 * MIB] {
        let payload = large(length);
        let started = Instant::now();
        swarm.peers[5].broadcast(payload.clone(), &BroadcastOptions::default()).await.expect("taken");
        for (index, peer) in swarm.peers.iter().enumerate().filter(|(index, _)| *index != 5) {
            let message = timeout(PATIENCE, peer.recv()).await.unwrap_or_else(|_| panic!("{index} misses {length} bytes")).expect("open");
            assert!(message.data == payload, "as it was sent");
        }
        println!("{overlay}: {length} bytes everywhere after {:?}", started.elapsed());
        let copies: usize = swarm.copies.iter().map(Copies::take).sum();
        assert_eq!(copies, swarm.peers.len() - 1, "one copy a peer");
    }
    swarm.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn broadcasts_of_up_to_sixteen_mebibytes_reach_everybody_once_on_the_ring() {
    broadcasts(OverlayKind::Ring).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn broadcasts_of_up_to_sixteen_mebibytes_reach_everybody_once_on_the_tree() {
    broadcasts(OverlayKind::Tree).await;
}
