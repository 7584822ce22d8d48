//! Peers that do not keep up: an application that does not read, a child that does not.

use crate::{
    PATIENCE,
    attacker::{self, Attacker, Honest, Served},
    loopback, until,
    victim::Victim,
};
use cicada::{BroadcastOptions, SendError, SendOptions, SwarmPeer};
use std::time::Duration;
use tokio::{
    task::JoinSet,
    time::{Instant, timeout},
};

const KIB: usize = 1024;

/// Receives a broadcast of this length at all of them.
async fn everywhere(peers: &[SwarmPeer], length: usize) {
    let mut receiving = JoinSet::new();
    for peer in peers {
        let peer = peer.clone();
        receiving.spawn(async move {
            loop {
                let message = timeout(PATIENCE, peer.recv()).await.expect("it arrives").expect("open");
                if message.data.len() == length {
                    return;
                }
            }
        });
    }
    receiving.join_all().await;
}

/// How long a broadcast takes to all others here, and a unicast between two of them: of several.
async fn measure(peers: &[SwarmPeer], rounds: usize, length: usize) -> [Duration; 2] {
    let (mut broadcasts, mut unicasts) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        let started = Instant::now();
        let (from, rest) = peers.split_first().expect("some");
        let options = BroadcastOptions::default();
        let (sent, ()) = tokio::join!(from.broadcast(vec![round as u8; length], &options), everywhere(rest, length));
        sent.expect("taken");
        broadcasts.push(started.elapsed());
        let started = Instant::now();
        peers[1].send(&peers[2], vec![1; 100]).await.expect("arrives");
        unicasts.push(started.elapsed());
        peers[2].recv().await.expect("open");
    }
    [broadcasts, unicasts].map(quartile)
}

/// A quarter of them is faster. What else the machine does meanwhile makes half of them slow at times.
fn quartile(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 4]
}

/// Much slower than without the slow one. Generous, since a test shares its machine; who waits for a slow one waits for 700 ms.
fn is_slower(without: Duration, with: Duration) -> bool {
    with > without * 3 + Duration::from_millis(100)
}

async fn settled(victim: &Victim, count: usize) -> Vec<SwarmPeer> {
    let mut peers = Vec::new();
    for _ in 0..count {
        let peer = loopback().await;
        peer.connect(victim.address).await.expect("a member");
        peers.push(peer);
    }
    for peer in &peers {
        timeout(PATIENCE, peer.wait_for_peers(count)).await.expect("they meet").expect("open");
    }
    peers
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_application_that_does_not_read_holds_up_nobody_and_catches_up() {
    const LENGTH: usize = 256 * KIB;
    let limits = [("message_bytes", 1024 * KIB), ("delivery_bytes", 4096 * KIB), ("in_flight_bytes", 8192 * KIB)];
    let mut victim = Victim::start(&limits).await;
    let peers = settled(&victim, 4).await;
    let reading = measure(&peers, 40, LENGTH).await;
    let before = victim.resident();
    victim.forget_peak();
    victim.read(false).await;
    let resting = measure(&peers, 80, LENGTH).await;
    let figures = victim.figures().await;
    let (growth, kept) = (victim.peak().saturating_sub(before), figures.of("undelivered"));
    println!("broadcast and unicast among the others: {reading:?}, beside one that does not read {resting:?}");
    for (without, with) in reading.into_iter().zip(resting) {
        assert!(!is_slower(without, with), "{without:?}, then {with:?}");
    }
    assert_eq!(kept, 4096 / 256, "`delivery_bytes`, and not all 20 MiB");
    // What waits for the application, what is kept for others, and what the allocator keeps.
    assert!(growth < (4 + 8 + 24) * 1024, "{growth} KiB");
    let options = SendOptions::default().with_timeout(Duration::from_millis(500));
    let error = peers[1].send_with(victim.address, "1", &options).await.expect_err("no room");
    assert!(matches!(error, SendError::Busy { .. }), "{error}");

    let sending = tokio::spawn({
        let (peer, to) = (peers[1].clone(), victim.address);
        async move { peer.send(to, "waited for").await }
    });
    victim.read(true).await;
    sending.await.expect("no panic").expect("there is room again");
    peers[0].broadcast("news", &BroadcastOptions::default()).await.expect("taken");
    until("it has what is new", async || victim.received("news").await == 1 && victim.received("waited for").await == 1).await;
    // 120 broadcasts and the news, and one unicast.
    until("each was received or told as missed", async || {
        let figures = victim.figures().await;
        figures.of("received") + figures.of("missed") == 122
    })
    .await;
    let missed = victim.figures().await.of("missed");
    println!("it kept {kept} and was told that it missed {missed}; {growth} KiB more");
    assert!(missed > 0);
    close(peers).await;
    victim.end().await;
}

/// Takes the shares of broadcasts over; reads their payloads or does not. Returns how many it took and how many of those
/// the other end gave up.
async fn be_a_child(link: &Served, reads: bool, count: usize) -> (usize, usize) {
    let (mut taken, mut holding) = (0, JoinSet::new());
    while taken < count {
        let Ok(Ok(mut recv)) = timeout(PATIENCE, link.connection.accept_uni()).await else { break };
        let Some((task, _)) = attacker::read_task(&mut recv).await else { continue };
        link.acknowledge(task.ticket).await;
        taken += 1;
        holding.spawn(async move {
            if reads {
                return recv.read_to_end(usize::MAX).await.is_err();
            }
            let reset = timeout(PATIENCE, recv.received_reset()).await;
            reset.is_ok_and(|reset| reset.is_ok_and(|code| code.is_some()))
        });
    }
    let given_up = holding.join_all().await.into_iter().filter(|given_up| *given_up).count();
    (taken, given_up)
}

/// How long the victim's broadcasts take to the others.
async fn cast(victim: &mut Victim, peers: &[SwarmPeer], rounds: usize, length: usize) -> Duration {
    let mut times = Vec::new();
    for _ in 0..rounds {
        let started = Instant::now();
        let arrived = async {
            everywhere(peers, length).await;
            started.elapsed()
        };
        // That ends only once its first delegates have taken their shares over, or were given up.
        let ((), took) = tokio::join!(victim.broadcast(length), arrived);
        times.push(took);
    }
    quartile(times)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_child_that_stops_reading_is_given_up_and_its_siblings_notice_nothing() {
    const LENGTH: usize = 512 * KIB;
    let limits = [("message_bytes", 1024 * KIB), ("in_flight_bytes", 8192 * KIB)];
    let mut victim = Victim::start(&limits).await;
    let peers = settled(&victim, 3).await;
    let attacker = Attacker::at([127, 0, 0, 1]);
    let link = attacker.link(victim.address).await.serve(Honest).await;
    until("it is a member", async || victim.figures().await.of("members") == 4).await;
    let (reading, (taken, given_up)) = tokio::join!(cast(&mut victim, &peers, 10, LENGTH), be_a_child(&link, true, 10));
    assert_eq!((taken, given_up), (10, 0), "control: it is a child, and reads");

    let before = victim.resident();
    victim.forget_peak();
    // Four streams are sent at a time, so a fifth waits until one of them is given up.
    let (deaf, (taken, given_up)) = tokio::join!(cast(&mut victim, &peers, 20, LENGTH), be_a_child(&link, false, 4));
    let growth = victim.peak().saturating_sub(before);
    println!("a broadcast took {reading:?}, with a child that does not read {deaf:?}; {given_up} of {taken} given up; {growth} KiB more");
    assert!(link.connection.close_reason().is_none(), "streams are given up, not the link: {:?}", link.connection.close_reason());
    assert!(!is_slower(reading, deaf), "{reading:?}, then {deaf:?}");
    assert_eq!((taken, given_up), (4, 4));
    // What is kept for others, and what the allocator keeps: not the 10 MiB that wait for it.
    assert!(growth < (8 + 12) * 1024, "{growth} KiB");
    drop(link);
    close(peers).await;
    victim.end().await;
}

async fn close(peers: impl IntoIterator<Item = SwarmPeer>) {
    for peer in peers {
        peer.close().await;
    }
}
