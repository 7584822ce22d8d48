//! More than anybody's share: of questions, of broadcasts.

use crate::{
    GROWTH_KIB, PATIENCE,
    attacker::{self, Answers, Attacker, Honest, Served},
    loopback,
    traffic::Traffic,
    until,
    victim::Victim,
};
use cicada::{BroadcastOptions, Limits, SwarmPeer};
use cicada_wire::{Datagram, Find, Frame, Hash, Padding, Query, RecordNames, Refusal, Reply, Ticket};
use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::{
    task::JoinSet,
    time::{Instant, timeout},
};

/// Counts what became of its questions.
#[derive(Clone, Default)]
struct Asking {
    answered: Arc<AtomicU64>,
    refused: Arc<AtomicU64>,
}

impl Answers for Asking {
    fn reply(&self, query: &Query) -> Reply {
        Honest.reply(query)
    }

    fn hear(&self, frame: &Frame) {
        if let Frame::Reply(_, reply) = frame {
            let counter = if *reply == Reply::Refused(Refusal::OverBudget) { &self.refused } else { &self.answered };
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }
}

fn find(number: u64) -> Query {
    Query::Find(Find { target: Hash::of(number.to_be_bytes()), count: 20, known: RecordNames::default() })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_lookups_is_answered_within_its_share() {
    let victim = Victim::start(&[("exempt_local", 0)]).await;
    let (a, b) = (loopback().await, loopback().await);
    for peer in [&a, &b] {
        peer.connect(victim.address).await.expect("a member");
    }
    let before = victim.resident();
    victim.forget_peak();
    let traffic = Traffic::among(&[a.clone(), b.clone()], [victim.address]);
    let (count, started) = (20_000 * crate::times() as u64, Instant::now());
    let asking = Asking::default();
    let link = Attacker::at([127, 0, 0, 1]).link(victim.address).await.serve(asking.clone()).await;
    let beside = tokio::spawn(ask_beside(victim.address, count));
    let (of, told) = (|counter: &AtomicU64| counter.load(Ordering::Relaxed), &asking);
    for number in 0..count {
        assert!(link.mouth.say(&Frame::Query(Ticket(number), find(number))).await, "the link stands");
        // As fast as it hears the answers; who hears none is cut, see below.
        while of(&told.answered) + of(&told.refused) + UNHEARD < number {
            tokio::task::yield_now().await;
        }
    }
    until("every question has its answer", async || of(&told.answered) + of(&told.refused) == count).await;
    let (took, answered) = (started.elapsed(), of(&asking.answered));
    // Whoever looks something up honestly is answered meanwhile.
    a.lookup(Hash::of("x")).await.expect("found");
    let beside = beside.await.expect("no panic");
    let growth = victim.peak().saturating_sub(before);
    println!("{took:?}: of {count} questions {answered} answered on the link and {beside} beside it; {growth} KiB more");
    traffic.end().await;
    let (limits, seconds) = (Limits::default(), started.elapsed().as_secs() + 1);
    assert!(answered <= limits.questions_per_peer.burst + limits.questions_per_peer.per_second * seconds, "{answered}");
    assert!(beside <= limits.questions_per_ip.burst + limits.questions_per_ip.per_second * seconds, "{beside}");
    assert!(answered > 0 && beside > 0, "control");
    assert!(growth < GROWTH_KIB, "{growth} KiB");
    drop(link);
    close([a, b]).await;
    victim.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_asks_and_hears_no_answers_is_cut() {
    let mut victim = Victim::start(&[]).await;
    let before = victim.resident();
    victim.forget_peak();
    let link = Attacker::at([127, 0, 0, 1]).link(victim.address).await;
    assert_eq!(victim.figures().await.of("over_budget"), 0, "control");
    let mut asked = 0;
    while link.mouth.say(&Frame::Query(Ticket(asked), find(asked))).await {
        asked += 1;
    }
    let growth = victim.peak().saturating_sub(before);
    println!("cut after {asked} questions; {growth} KiB more");
    // In such a flood the datagram that says why may be lost.
    link.end().await;
    assert!(victim.figures().await.of("over_budget") > 0);
    assert!(growth < GROWTH_KIB, "{growth} KiB");
    victim.end().await;
}

/// Asks by datagram, and counts the answers.
async fn ask_beside(to: SocketAddr, count: u64) -> u64 {
    let socket = tokio::net::UdpSocket::bind("127.0.0.99:0").await.expect("loopback has a free port");
    let (mut answers, mut buffer) = (0, [0; 2048]);
    for number in 0..count {
        let question = attacker::seal(&Datagram::Query(Ticket(number), None, find(number), Padding(200)));
        socket.send_to(&question, to).await.expect("loopback");
        while socket.try_recv(&mut buffer).is_ok() {
            answers += 1;
        }
    }
    // The last are on their way.
    while timeout(Duration::from_millis(500), socket.recv(&mut buffer)).await.is_ok() {
        answers += 1;
    }
    answers
}

/// Broadcasts as fast as the link takes them.
async fn pour(link: &Served, attacker: &Attacker, count: usize) {
    for _ in 0..count {
        let task = attacker.task(link.them.id(), 1024);
        assert!(link.mouth.say(&Frame::Task(task, vec![b'!'; 1024].into())).await, "the link stands");
    }
}

async fn count_honest(peer: SwarmPeer, wanted: usize) -> usize {
    let mut honest = 0;
    while honest < wanted {
        let message = timeout(PATIENCE, peer.recv()).await.expect("honest ones arrive").expect("open");
        honest += usize::from(message.data.starts_with(b"honest"));
    }
    honest
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_broadcasts_leaves_others_their_share() {
    let mut victim = Victim::start(&[]).await;
    let peers = [loopback().await, loopback().await, loopback().await];
    for peer in &peers {
        peer.connect(victim.address).await.expect("a member");
    }
    for peer in &peers {
        peer.wait_for_peers(3).await.expect("open");
    }
    let before = victim.resident();
    victim.forget_peak();
    let attacker = Attacker::at([127, 0, 0, 1]);
    let link = attacker.link(victim.address).await.serve(Honest).await;
    let (count, each, started) = (20_000 * crate::times(), 100, Instant::now());
    let mut receiving = JoinSet::new();
    for peer in &peers {
        receiving.spawn(count_honest(peer.clone(), each * (peers.len() - 1)));
    }
    let mut slowest = Duration::ZERO;
    let sending = async {
        for round in 0..each {
            for peer in &peers {
                let asked = Instant::now();
                peer.broadcast(format!("honest {round}"), &BroadcastOptions::default()).await.expect("within its share");
                slowest = slowest.max(asked.elapsed());
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::join!(pour(&link, &attacker, count), sending);
    while let Some(received) = receiving.join_next().await {
        assert_eq!(received.expect("no panic"), each * (peers.len() - 1));
    }
    until("the victim has all honest ones", async || victim.received("honest").await == each * peers.len()).await;
    let (took, flooded) = (started.elapsed(), victim.received("!").await as u64);
    let growth = victim.peak().saturating_sub(before);
    println!("{took:?}: {flooded} of {count} of the flood delivered, all of the others'; the slowest took {slowest:?}; {growth} KiB more");
    let rate = Limits::default().broadcasts_per_origin;
    assert!(flooded <= rate.burst + rate.per_second * (took.as_secs() + 1), "{flooded}");
    assert!(flooded > 0, "control");
    assert!(victim.figures().await.of("over_budget") > 0);
    assert!(growth < GROWTH_KIB, "{growth} KiB");
    drop(link);
    close(peers).await;
    victim.end().await;
}

/// Answers that may be on their way.
const UNHEARD: u64 = 256;

async fn close(peers: impl IntoIterator<Item = SwarmPeer>) {
    for peer in peers {
        peer.close().await;
    }
}
