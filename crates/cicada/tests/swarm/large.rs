use crate::harness::{LINKS, PATIENCE, Swarm};
use cicada::{BroadcastOptions, Builder, Faults, Hooks, OverlayKind, RemoteNode, Route, SendOptions};
use cicada_wire::Frame;
use std::sync::{Arc, Mutex};
use tokio::time::{Instant, timeout};

/// `length` bytes, no two pieces alike.
fn large(length: usize) -> Vec<u8> {
    let mut state = 0x2545_f491_4f6c_dd1du64;
    std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    })
    .flatten()
    .take(length)
    .collect()
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
    for length in [100_000, MIB, 16 * MIB] {
        let payload = large(length);
        let before: u64 = swarm.copies().await.iter().sum();
        let started = Instant::now();
        swarm.peers[5].broadcast(payload.clone(), &BroadcastOptions::default()).await.expect("taken");
        for (index, peer) in swarm.peers.iter().enumerate().filter(|(index, _)| *index != 5) {
            let message = timeout(PATIENCE, peer.recv()).await.unwrap_or_else(|_| panic!("{index} misses {length} bytes")).expect("open");
            assert!(message.data == payload, "as it was sent");
        }
        println!("{overlay}: {length} bytes everywhere after {:?}", started.elapsed());
        let copies = swarm.copies().await.iter().sum::<u64>() - before;
        assert_eq!(copies, swarm.peers.len() as u64 - 1, "one copy a peer");
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

/// Notes from which byte on a peer asks for the rest of a message.
#[derive(Clone, Default)]
struct Resumed(Arc<Mutex<Vec<u64>>>);

impl Hooks for Resumed {
    fn send(&self, _: &RemoteNode, frame: &[u8]) {
        if let Ok(Frame::Pull(pull)) = Frame::parse(&frame.to_vec().into())
            && pull.offset > 0
        {
            self.0.lock().expect("nobody panics here").push(pull.offset);
        }
    }
}

/// Every fourth peer breaks off whatever it hands on.
fn breaks(index: usize) -> bool {
    index % 4 == 2
}

async fn received(swarm: &Swarm) -> Vec<u64> {
    let mut received = Vec::new();
    for peer in &swarm.peers {
        received.push(peer.metrics().await.expect("open").received.payload_bytes);
    }
    received
}

/// One broadcast of `length` bytes; returns how many peers would have received too much, had they thrown away what broke off.
async fn broken_off_from(swarm: &Swarm, resumed: &[Resumed], origin: usize, length: usize) -> usize {
    let before = received(swarm).await;
    let (payload, started) = (large(length), Instant::now());
    swarm.peers[origin].broadcast(payload.clone(), &BroadcastOptions::default()).await.expect("taken");
    for (index, peer) in swarm.peers.iter().enumerate().filter(|(index, _)| *index != origin) {
        let message = timeout(PATIENCE, peer.recv()).await.unwrap_or_else(|_| panic!("{index} misses it")).expect("open");
        assert!(message.data == payload, "as it was sent");
    }
    println!("from {origin} everywhere after {:?}", started.elapsed());
    swarm.nothing_more().await;
    let bound = length as u64 * 6 / 5;
    let mut over = 0;
    for (index, (after, before)) in received(swarm).await.into_iter().zip(before).enumerate() {
        let offsets = std::mem::take(&mut *resumed[index].0.lock().expect("nobody panics there"));
        let anew = after - before + offsets.last().copied().unwrap_or(0);
        println!("{index} received {} bytes, would have {anew}; went on at {offsets:?}", after - before);
        assert!(after - before <= bound, "{index} received {} bytes", after - before);
        over += usize::from(anew > bound);
    }
    over
}

async fn broken_off(overlay: OverlayKind) {
    let resumed: Vec<Resumed> = (0..LINKS * 3 / 2).map(|_| Resumed::default()).collect();
    let build = |index: usize, builder: Builder| {
        let faults = Faults { breaks_streams_after: breaks(index).then_some(300_000), ..Faults::default() };
        builder.faults(faults).hooks(resumed[index].clone())
    };
    let swarm = Swarm::made(overlay, resumed.len(), build).await;
    let mut over = 0;
    // Nobody may lie behind those who break off, so that several may have to begin. They do not begin themselves.
    for origin in (0..swarm.peers.len()).filter(|index| !breaks(*index)).step_by(2) {
        over += broken_off_from(&swarm, &resumed, origin, 2 * MIB).await;
        if over > 0 {
            break;
        }
    }
    assert!(over > 0, "the control: nothing was broken off that mattered");
    swarm.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_breaks_off_again_and_again_is_received_once_on_the_ring() {
    broken_off(OverlayKind::Ring).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_breaks_off_again_and_again_is_received_once_on_the_tree() {
    broken_off(OverlayKind::Tree).await;
}
