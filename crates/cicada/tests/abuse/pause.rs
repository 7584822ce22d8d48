//! A peer that is stopped by its system for a while, and goes on.

use crate::{PATIENCE, loopback, traffic::Traffic, until, victim::Victim};
use cicada::{BroadcastOptions, SwarmPeer};
use std::time::Duration;
use tokio::time::{sleep, timeout};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_is_stopped_for_twenty_seconds_holds_up_nobody_and_comes_back() {
    let mut victim = Victim::start(&[]).await;
    let mut peers: Vec<SwarmPeer> = Vec::new();
    for _ in 0..4 {
        let peer = loopback().await;
        peer.connect(victim.address).await.expect("a member");
        peers.push(peer);
    }
    for peer in &peers {
        timeout(PATIENCE, peer.wait_for_peers(4)).await.expect("they meet").expect("open");
    }
    let none: [SwarmPeer; 0] = [];
    let others = Traffic::among(&peers, none.iter());
    sleep(Duration::from_secs(2)).await;
    let awake = others.end().await.median();

    victim.signal("STOP");
    let others = Traffic::among(&peers, none.iter());
    sleep(AWAY - LATELY).await;
    peers[1].broadcast("meanwhile", &BroadcastOptions::default()).await.expect("taken");
    sleep(LATELY).await;
    let stopped = others.end().await.median();
    victim.signal("CONT");
    println!("unicasts among the others: {awake:?}, while one is stopped {stopped:?}");
    assert!(stopped < awake * 3 + Duration::from_millis(20), "{awake:?}, then {stopped:?}");

    until("it is a member again", async || victim.figures().await.of("members") == 4).await;
    until("the others reach it", async || peers[3].send(victim.address, "are you there?").await.is_ok()).await;
    for peer in &peers {
        until("they all know it", async || peer.peers().len() == 4).await;
    }
    until("what was said lately is made up for", async || victim.received("meanwhile").await == 1).await;
    peers[2].broadcast("again", &BroadcastOptions::default()).await.expect("taken");
    until("broadcasts reach it", async || victim.received("again").await == 1).await;
    for peer in peers {
        peer.close().await;
    }
    victim.end().await;
}

/// How long it is away: twice as long as a link is kept for somebody silent.
const AWAY: Duration = Duration::from_secs(20);

/// What was said this long before its return is not forgotten yet.
const LATELY: Duration = Duration::from_secs(3);
