//! Peers that tell of others: of strangers who should be left alone, of more than anybody can remember.

use crate::{
    GROWTH_KIB, PATIENCE,
    attacker::{self, Answers, Attacker, Honest},
    loopback,
    traffic::Traffic,
    until,
    victim::Victim,
};
use cicada::{Limits, SwarmPeer};
use cicada_wire::{
    Datagram, Find, Found, Frame, Hash, Introduction, MAX_RECORDS, Padding, Query, RecordNames, Reply, SignedRecord, Ticket,
};
use std::{
    net::{Ipv4Addr, SocketAddr, UdpSocket},
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{
    task::JoinSet,
    time::{Instant, timeout},
};

/// What arrives at the addresses of strangers, all of which end at one socket.
#[derive(Default)]
struct Strangers {
    datagrams: AtomicU64,
    bytes: AtomicU64,
    /// Attempts at links.
    dials: AtomicU64,
    /// How many of them were named.
    named: AtomicUsize,
    /// What was said to name them.
    bytes_told: AtomicU64,
}

impl Strangers {
    /// Returns with the port at which they all are.
    async fn watch() -> (Arc<Self>, u16) {
        let all = tokio::net::UdpSocket::bind("0.0.0.0:0").await.expect("a free port");
        let port = all.local_addr().expect("bound").port();
        let strangers = Arc::new(Self::default());
        let noting = Arc::clone(&strangers);
        tokio::spawn(async move {
            let mut buffer = [0; 2048];
            while let Ok(length) = all.recv(&mut buffer).await {
                noting.datagrams.fetch_add(1, Ordering::Relaxed);
                noting.bytes.fetch_add(length as u64, Ordering::Relaxed);
                // The bit that is set in every packet of QUIC.
                noting.dials.fetch_add(u64::from(buffer[0] >> 6 & 1), Ordering::Relaxed);
            }
        });
        (strangers, port)
    }

    /// Records of some of a thousand of them, each with a key of its own.
    fn name(&self, port: u16) -> Vec<SignedRecord> {
        let records: Vec<SignedRecord> = (0..MAX_RECORDS)
            .map(|_| {
                let number = self.named.fetch_add(1, Ordering::Relaxed) % 1000;
                let ip = Ipv4Addr::new(127, 9, (number / 250) as u8, 1 + (number % 250) as u8);
                attacker::record_of(&attacker::fresh_identity(), SocketAddr::from((ip, port)))
            })
            .collect();
        let bytes: usize = records.iter().map(|record| record.to_bytes().len()).sum();
        self.bytes_told.fetch_add(bytes as u64, Ordering::Relaxed);
        records
    }
}

/// Answers every lookup with strangers.
struct Misleading(Arc<Strangers>, u16);

impl Answers for Misleading {
    fn reply(&self, query: &Query) -> Reply {
        match query {
            Query::Find(_) => Reply::Found(Found { closer: self.0.name(self.1), ..Found::default() }),
            Query::Ping | Query::Neighbours | Query::Records(_) | Query::Attach(_) | Query::Witness(_) => Honest.reply(query),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_names_a_thousand_strangers_makes_no_scanner_of_a_peer() {
    let victim = Victim::start(&[]).await;
    let (a, b) = (loopback().await, loopback().await);
    for peer in [&a, &b] {
        peer.connect(victim.address).await.expect("a member");
    }
    let traffic = Traffic::among(&[a.clone(), b.clone()], [victim.address]);
    let (strangers, port) = Strangers::watch().await;
    let attacker = Attacker::at([127, 0, 0, 1]);
    let started = Instant::now();
    let link = attacker.link(victim.address).await.serve(Misleading(Arc::clone(&strangers), port)).await;
    for _ in 0..1000 / MAX_RECORDS {
        let records = strangers.name(port);
        assert!(link.mouth.say(&Frame::Introduce(Introduction { records })).await);
    }
    until("some are asked for proof, a control", async || strangers.datagrams.load(Ordering::Relaxed) > 0).await;
    // Those that did not answer are asked again, so it takes a while until all has come that will.
    let mut seen = 0;
    until("nothing more comes", async || {
        tokio::time::sleep(Duration::from_secs(2)).await;
        std::mem::replace(&mut seen, strangers.datagrams.load(Ordering::Relaxed)) == seen || started.elapsed() > PATIENCE / 2
    })
    .await;
    let took = started.elapsed();
    let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    let (datagrams, bytes, told) = (count(&strangers.datagrams), count(&strangers.bytes), count(&strangers.bytes_told));
    println!("{took:?}: {told} bytes named strangers, who got {datagrams} datagrams of {bytes} bytes");
    traffic.end().await;
    assert_eq!(count(&strangers.dials), 0, "nobody is dialled who has proven nothing");
    assert!(bytes <= 3 * told, "no reflector");
    let rate = Limits::default().addresses_per_informer;
    let heard = rate.burst + rate.per_second * (took.as_secs() + 1);
    // An address is tried three times, each time three datagrams go out, and a lookup may ask it twice.
    assert!(datagrams <= heard * (3 * 3 + 2), "{datagrams} datagrams to {heard} addresses");
    drop(link);
    close([a, b]).await;
    victim.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_to_an_address_that_has_proven_nothing_are_short() {
    let victim = Victim::start(&[]).await;
    let peers = [loopback().await, loopback().await, loopback().await, loopback().await];
    for peer in &peers {
        peer.connect(victim.address).await.expect("a member");
    }
    // Whoever it is whose address the questions seem to come from.
    let named = tokio::net::UdpSocket::bind("127.0.0.77:0").await.expect("loopback has a free port");
    let mut buffer = [0; 2048];
    for (what, padding, answered) in [("short", 0, true), ("long", 250, true)] {
        let (mut asked, mut answers) = (0, 0);
        for number in 0..20 {
            let find = Query::Find(Find { target: Hash::of(format!("{number}")), count: MAX_RECORDS as u8, known: RecordNames::default() });
            let question = attacker::seal(&Datagram::Query(Ticket(number), None, find, Padding(padding)));
            asked += named.send_to(&question, victim.address).await.expect("loopback");
            answers += timeout(PATIENCE, named.recv(&mut buffer)).await.expect("an answer").expect("a socket");
        }
        println!("{what} questions of {asked} bytes, answers of {answers}");
        assert!(answers <= 3 * asked && (answers > 0) == answered, "{what}: {answers} for {asked}");
    }
    // What is not of the swarm gets nothing, which the answer to the next question shows.
    for junk in [&[0x0c; 200][..], &[0; 1200], b"x"] {
        named.send_to(junk, victim.address).await.expect("loopback");
    }
    let ping = attacker::seal(&Datagram::Query(Ticket(77), None, Query::Ping, Padding(0)));
    named.send_to(&ping, victim.address).await.expect("loopback");
    let length = timeout(PATIENCE, named.recv(&mut buffer)).await.expect("an answer").expect("a socket");
    assert_eq!(attacker::open(&buffer[..length]), Some(Datagram::Reply(Ticket(77), Reply::WhoAreYou)));
    close(peers).await;
    victim.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_by_the_hundred_thousand_fill_no_memory_and_no_table() {
    let mut victim = Victim::start(&[]).await;
    let (a, b) = (loopback().await, loopback().await);
    for peer in [&a, &b] {
        peer.connect(victim.address).await.expect("a member");
    }
    let before = victim.resident();
    victim.forget_peak();
    let traffic = Traffic::among(&[a.clone(), b.clone()], [victim.address]);
    let (count, started) = (100_000 * crate::times(), Instant::now());
    let attacker = Attacker::at([127, 0, 0, 1]);
    let link = attacker.link(victim.address).await.serve(Honest).await;
    let mut telling = JoinSet::new();
    for worker in 0..2 {
        let (mouth, to) = (link.mouth.clone(), victim.address);
        telling.spawn(async move {
            let beside = UdpSocket::bind("127.0.0.1:0").expect("loopback has a free port");
            for batch in 0..count / MAX_RECORDS / 2 {
                let number = |at: usize| (batch * MAX_RECORDS + at) * 2 + worker;
                let records: Vec<SignedRecord> = (0..MAX_RECORDS).map(|at| stranger(number(at))).collect();
                if batch % 10 == 0 {
                    // Some beside the link.
                    let few = records[..4].to_vec();
                    let told = attacker::seal(&Datagram::Introduce(Introduction { records: few }));
                    assert!(told.len() > 500);
                    beside.send_to(&told, to).expect("loopback");
                }
                assert!(mouth.say(&Frame::Introduce(Introduction { records })).await, "the link stands");
            }
        });
    }
    let mut most = 0;
    while !telling.is_empty() {
        tokio::select! {
            Some(told) = telling.join_next() => told.expect("no panic"),
            () = tokio::time::sleep(Duration::from_millis(200)) => most = most.max(victim.figures().await.of("members")),
        }
    }
    let growth = victim.peak().saturating_sub(before);
    println!("{count} records in {:?}: {before} KiB, {growth} KiB more, at most {most} members", started.elapsed());
    traffic.end().await;
    let figures = victim.figures().await;
    assert!(figures.of("over_budget") > count as u64 / 2, "most of them were passed over");
    assert!(most <= 3, "the two, and the attacker: {most}");
    assert!(growth < GROWTH_KIB, "{growth} KiB");
    drop(link);
    close([a, b]).await;
    victim.end().await;
}

/// A member that nobody has heard of, at an address where nobody is.
fn stranger(number: usize) -> SignedRecord {
    let ip = Ipv4Addr::new(127, 16 + (number >> 16 & 0x7f) as u8, (number >> 8) as u8, number as u8);
    let address = SocketAddr::from((ip, 40_000));
    attacker::record_of(&attacker::fresh_identity(), address)
}

async fn close(peers: impl IntoIterator<Item = SwarmPeer>) {
    for peer in peers {
        peer.close().await;
    }
}
