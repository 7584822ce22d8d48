//! Streams that promise more than they bring: giant lengths, payloads that never come, payloads that drip.

use crate::{
    GROWTH_KIB, PATIENCE,
    attacker::{self, Attacker, Honest, Served, beginning, prefixed},
    loopback,
    traffic::Traffic,
    until,
    victim::{self, Victim},
};
use cicada::{BroadcastOptions, SendOptions, SwarmPeer};
use cicada_wire::{Frame, Hash, PIECE_BYTES, PieceDigests, Refusal, Task};
use quinn::{Connection, SendStream};
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep, timeout},
};

const MIB: usize = 1024 * 1024;

async fn attacking(victim: &Victim) -> (Attacker, Served) {
    let attacker = Attacker::at([127, 0, 0, 1]);
    let link = attacker.link(victim.address).await.serve(Honest).await;
    (attacker, link)
}

async fn two_members(victim: &Victim) -> [SwarmPeer; 2] {
    let peers = [loopback().await, loopback().await];
    for peer in &peers {
        peer.connect(victim.address).await.expect("a member");
    }
    peers
}

/// Opens streams that begin so, as many as are allowed.
async fn streams(link: &Served, beginning: impl Fn() -> Vec<u8>) -> Vec<SendStream> {
    let mut streams = Vec::new();
    while let Ok(Ok(mut stream)) = timeout(Duration::from_millis(300), link.connection.open_uni()).await {
        stream.write_all(&beginning()).await.expect("it reads");
        streams.push(stream);
    }
    streams
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_announces_four_gibibytes_is_thrown_out_and_costs_nothing() {
    let victim = Victim::start(&[]).await;
    let [a, b] = two_members(&victim).await;
    let before = victim.resident();
    victim.forget_peak();
    let traffic = Traffic::among(&[a.clone(), b.clone()], [victim.address]);
    for _ in 0..20 {
        let (_, link) = attacking(&victim).await;
        let mut stream = link.connection.open_uni().await.expect("allowed");
        stream.write_all(&[&u32::MAX.to_be_bytes()[..], &[0; 100]].concat()).await.expect("it reads");
        assert_eq!(link.refusal().await, Refusal::TooLarge, "on a stream");
        let (_, link) = attacking(&victim).await;
        link.mouth.say_bytes(&u32::MAX.to_be_bytes()).await;
        assert_eq!(link.refusal().await, Refusal::TooLarge, "on the stream of control");
        let connection = Attacker::at([127, 0, 0, 1]).connect(victim.address).await.expect("let in");
        let (mut hello, _recv) = connection.open_bi().await.expect("allowed");
        hello.write_all(&u32::MAX.to_be_bytes()).await.expect("it reads");
        let closed = timeout(PATIENCE, connection.closed()).await.expect("it is closed");
        let quinn::ConnectionError::ApplicationClosed(closed) = closed else { panic!("{closed}") };
        assert_eq!(closed.error_code.into_inner(), u64::from(Refusal::TooLarge.number()), "in place of a hello");
    }
    let growth = victim.peak().saturating_sub(before);
    println!("{growth} KiB more");
    traffic.end().await;
    assert!(growth < GROWTH_KIB, "{growth} KiB");
    close([a, b]).await;
    victim.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn control_frames_have_no_megabytes_and_what_only_bare_nodes_say_is_not_even_read() {
    let victim = Victim::start(&[]).await;
    let (_, link) = attacking(&victim).await;
    // As long as the longest message: control frames are far shorter.
    link.mouth.say_bytes(&(16 * MIB as u32).to_be_bytes()).await;
    assert_eq!(link.refusal().await, Refusal::TooLarge);
    let (_, link) = attacking(&victim).await;
    let opaque = Frame::Opaque(bytes::Bytes::new());
    let streams = streams(&link, || beginning(&opaque, 16 * MIB)).await;
    assert!(!streams.is_empty());
    assert_eq!(link.refusal().await, Refusal::Unexpected);
    victim.end().await;
}

/// Broadcasts of 1 MiB, one after another, until told to stop; all must arrive at the victim.
async fn large_broadcasts(from: &SwarmPeer, victim: &mut Victim, span: Duration) {
    let (started, mut sent, mut slowest) = (Instant::now(), 0, Duration::ZERO);
    while started.elapsed() < span {
        let mut payload = vec![b'-'; MIB];
        payload[..6].copy_from_slice(b"honest");
        from.broadcast(payload, &BroadcastOptions::default()).await.expect("taken");
        sent += 1;
        let asked = Instant::now();
        until("a broadcast of 1 MiB arrives", async || victim.received("honest").await == sent).await;
        slowest = slowest.max(asked.elapsed());
        // Bodies are kept until their shares are taken over; more at once would not fit beside each other.
        sleep(Duration::from_millis(100)).await;
    }
    println!("{sent} broadcasts of 1 MiB arrived, the slowest after {slowest:?}");
}

/// Announces 16 MiB that never come; as soon as they are given up, others.
async fn promise(attacker: Attacker, link: Connection, to: Hash, announced: Arc<AtomicUsize>) {
    loop {
        let frame = if announced.fetch_add(1, Ordering::Relaxed).is_multiple_of(2) {
            Frame::Task(attacker.task(to, 16 * MIB), bytes::Bytes::new())
        } else {
            Frame::Data(attacker.header(Some(to), 16 * MIB), bytes::Bytes::new())
        };
        let Ok(mut stream) = link.open_uni().await else { return };
        if stream.write_all(&beginning(&frame, 16 * MIB)).await.is_ok() {
            // Whatever the code.
            let _ = stream.stopped().await;
        }
        let _ = stream.reset(1u32.into());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn payloads_that_are_announced_and_never_come_leave_room_for_those_that_do() {
    let mut victim = Victim::start(&[]).await;
    let [a, b] = two_members(&victim).await;
    let before = victim.resident();
    victim.forget_peak();
    let traffic = Traffic::among(&[a.clone(), b.clone()], [victim.address]);
    let (attacker, link) = attacking(&victim).await;
    let announced = Arc::new(AtomicUsize::new(0));
    let mut attack = JoinSet::new();
    for _ in 0..16 {
        attack.spawn(promise(attacker.clone(), link.connection.clone(), link.them.id(), Arc::clone(&announced)));
    }
    large_broadcasts(&a, &mut victim, Duration::from_secs(7)).await;
    let announced = announced.load(Ordering::Relaxed);
    println!("{announced} payloads of 16 MiB were announced");
    assert!(announced > 16, "control: more than there are places");
    attack.shutdown().await;
    let growth = victim.peak().saturating_sub(before);
    println!("{growth} KiB more");
    traffic.end().await;
    // The honest broadcasts themselves are kept for a while, up to `in_flight_bytes`.
    assert!(growth < GROWTH_KIB + 64 * 1024, "{growth} KiB");
    drop(link);
    close([a, b]).await;
    victim.end().await;
}

/// Writes 10 bytes every tenth of a second until the other end wants no more.
async fn drip(mut stream: SendStream) -> Duration {
    let started = Instant::now();
    let stopped = stream.stopped();
    let dripping = async {
        while stream.write_all(b"0123456789").await.is_ok() {
            sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::select! {
        _ = stopped => {}
        () = dripping => {}
    }
    started.elapsed()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_that_drip_are_given_up_and_hold_up_nobody() {
    let mut victim = Victim::start(&[]).await;
    let [a, b] = two_members(&victim).await;
    let traffic = Traffic::among(&[a.clone(), b.clone()], [victim.address]);
    let (attacker, long) = attacking(&victim).await;
    let to = long.them.id();
    let share = |length| Frame::Task(Task { header: only_you(&attacker, length), ..attacker.task(to, length) }, bytes::Bytes::new());
    let mut dripping = JoinSet::new();
    let mut count = 0;
    for stream in streams(&long, || beginning(&share(MIB), MIB)).await {
        dripping.spawn(drip(stream));
        count += 1;
    }
    // Frames of which not even the head comes, and such that are short enough to be read whole.
    let (_, short) = attacking(&victim).await;
    for stream in streams(&short, || prefixed(&[0; 20_000])[..10].to_vec()).await {
        dripping.spawn(drip(stream));
        count += 1;
    }
    println!("{count} streams drip");
    assert!(count >= 16, "{count}");
    let given_up = async {
        let mut slowest = Duration::ZERO;
        while let Some(took) = timeout(PATIENCE, dripping.join_next()).await.expect("they are given up") {
            slowest = slowest.max(took.expect("no panic"));
        }
        slowest
    };
    let (slowest, ()) = tokio::join!(given_up, large_broadcasts(&a, &mut victim, Duration::from_secs(4)));
    println!("the last was given up after {slowest:?}");
    traffic.end().await;
    // The links themselves stand: what drips on one stream is no fault of the others.
    assert!(long.connection.close_reason().is_none() && short.connection.close_reason().is_none());
    drop((long, short));
    close([a, b]).await;
    victim.end().await;
}

/// What attackers fill the room of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Room {
    Broadcasts,
    Unicasts,
}

/// Keeps so much announced, and brings just enough of it not to be given up for standing still; what is given up is announced once more.
async fn hold(attacker: Attacker, link: Connection, to: Hash, room: Room, length: usize, holding: Arc<AtomicUsize>) {
    loop {
        let frame = match room {
            Room::Broadcasts => Frame::Task(Task { header: only_you(&attacker, length), ..attacker.task(to, length) }, bytes::Bytes::new()),
            Room::Unicasts => Frame::Data(attacker.sealed(to, length), bytes::Bytes::new()),
        };
        let Ok(mut stream) = link.open_uni().await else { return };
        if stream.write_all(&beginning(&frame, length)).await.is_ok() {
            let mut stopped = std::pin::pin!(stream.stopped());
            // It stands, and has had its time to begin.
            if timeout(Duration::from_millis(700), &mut stopped).await.is_err() {
                holding.fetch_add(1, Ordering::Relaxed);
                while timeout(Duration::from_secs(1), &mut stopped).await.is_err() && stream.write_all(&[b'!'; 4096]).await.is_ok() {}
                holding.fetch_sub(1, Ordering::Relaxed);
            }
        }
        let _ = stream.reset(1u32.into());
        sleep(Duration::from_millis(20)).await;
    }
}

/// Attackers at addresses of their own, on a link each. Two of them fill the room of one kind, to the last byte.
async fn fillers(victim: &Victim, rooms: &[Room]) -> (Vec<Served>, JoinSet<()>) {
    let (mut links, mut filling, holding) = (Vec::new(), JoinSet::new(), Arc::new(AtomicUsize::new(0)));
    for (host, room) in (2..).zip(rooms) {
        let attacker = Attacker::at([127, 0, 0, host]);
        let link = attacker.link(victim.address).await.serve(Honest).await;
        for length in HALF_OF_THE_ROOM {
            filling.spawn(hold(attacker.clone(), link.connection.clone(), link.them.id(), *room, length, Arc::clone(&holding)));
        }
        links.push(link);
    }
    let all = rooms.len() * HALF_OF_THE_ROOM.len();
    until("it is full", async || holding.load(Ordering::Relaxed) == all).await;
    (links, filling)
}

/// By default seven eighths of 64 MiB may be announced by all together.
const HALF_OF_THE_ROOM: [usize; 3] = [16 * MIB, 8 * MIB, 4 * MIB];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn links_that_fill_the_room_and_drip_make_room_for_honest_payloads() {
    use Room::{Broadcasts, Unicasts};
    for rooms in [&[Broadcasts, Broadcasts][..], &[Unicasts, Unicasts], &[Broadcasts, Unicasts, Broadcasts, Unicasts]] {
        let mut victim = Victim::start(&[]).await;
        let [a, b] = two_members(&victim).await;
        let traffic = Traffic::among(&[a.clone(), b.clone()], [victim.address]);
        let (links, mut filling) = fillers(&victim, rooms).await;
        let before = victim.figures().await.of("over_budget");
        let asked = Instant::now();
        a.send_with(victim.address, vec![b'u'; 16 * MIB], &SendOptions::default().with_timeout(PATIENCE))
            .await
            .expect("it is acknowledged");
        let unicast = asked.elapsed();
        let asked = Instant::now();
        b.broadcast([&b"honest"[..], &vec![b'-'; MIB]].concat(), &BroadcastOptions::default()).await.expect("taken");
        until("a broadcast of 1 MiB arrives", async || victim.received("honest").await == 1).await;
        println!("{rooms:?}: 16 MiB took {unicast:?}, a broadcast of 1 MiB {:?}", asked.elapsed());
        traffic.end().await;
        assert!(victim.figures().await.of("over_budget") > before, "somebody had to make room");
        assert!(links.iter().all(|link| link.connection.close_reason().is_none()), "the room is lost, and not the links");
        filling.shutdown().await;
        drop(links);
        close([a, b]).await;
        victim.end().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_gave_up_no_slow_stream_would_have_no_room_for_honest_ones() {
    use Room::{Broadcasts, Unicasts};
    let mut victim = Victim::start(&[(victim::KEEPS_SLOW_STREAMS, 1)]).await;
    let [a, b] = two_members(&victim).await;
    let traffic = Traffic::among(&[a.clone(), b.clone()], [victim.address]);
    let (links, mut filling) = fillers(&victim, &[Broadcasts, Unicasts, Broadcasts, Unicasts]).await;
    b.broadcast([&b"honest"[..], &vec![b'-'; MIB]].concat(), &BroadcastOptions::default()).await.expect("taken");
    let options = SendOptions::default().with_timeout(Duration::from_secs(8));
    a.send_with(victim.address, vec![b'u'; 16 * MIB], &options).await.expect_err("there is no room");
    assert_eq!(victim.received("honest").await, 0, "nor was there for the broadcast");
    // What is short needs none.
    traffic.end().await;
    filling.shutdown().await;
    drop(links);
    close([a, b]).await;
    victim.end().await;
}

/// Brings a broadcast up to its last piece, then the rest of it in a frame, as often as it takes.
async fn with_the_rest(rest: u8, ends: impl AsyncFn(&mut Victim, &Served) -> bool) {
    let mut victim = Victim::start(&[]).await;
    let (attacker, link) = attacking(&victim).await;
    let length = 5 * PIECE_BYTES;
    let task = Task { header: only_you(&attacker, length), ..attacker.task(link.them.id(), length) };
    let head = Frame::Task(task.clone(), bytes::Bytes::new());
    let mut begins = beginning(&head, length);
    begins.resize(4 + head.head_bytes().len() + PieceDigests::len_bytes(length) + 4 * PIECE_BYTES, b'!');
    let mut stream = link.connection.open_uni().await.expect("allowed");
    stream.write_all(&begins).await.expect("it reads");
    // What is here is kept when nothing more comes.
    timeout(PATIENCE, stream.stopped()).await.expect("it is given up").expect("and the link stands");
    let rest = Frame::Task(Task { offset: 4 * PIECE_BYTES as u64, ..task }, vec![rest; PIECE_BYTES].into());
    until("the rest is heard", async || {
        link.mouth.say(&rest).await;
        ends(&mut victim, &link).await
    })
    .await;
    victim.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_brings_a_rest_that_is_none_loses_its_link() {
    with_the_rest(b'!', async |victim, link| {
        assert!(link.connection.close_reason().is_none(), "control: the true rest");
        victim.received("!!!").await == 1
    })
    .await;
    with_the_rest(b'?', async |victim, link| {
        if link.connection.close_reason().is_none() {
            return false;
        }
        assert_eq!(link.refusal().await, Refusal::Altered);
        assert_eq!((victim.received("!!!").await, victim.figures().await.of("altered")), (0, 1));
        true
    })
    .await;
}

fn only_you(attacker: &Attacker, length: usize) -> cicada_wire::Header {
    let mut header = attacker.header(None, length);
    header.hop.reach = Some(attacker::ONLY_YOU);
    header
}

async fn close(peers: impl IntoIterator<Item = SwarmPeer>) {
    for peer in peers {
        peer.close().await;
    }
}
