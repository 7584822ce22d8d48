use crate::harness::{PATIENCE, SIZE, Swarm, builder, geometry, peer};
use cicada::{BroadcastOptions, Builder, Faults, OverlayKind, Refusal, SwarmPeer};
use std::{net::SocketAddr, time::Duration};
use tokio::{
    runtime::Runtime,
    task::JoinSet,
    time::{Instant, timeout},
};

/// How many die at once.
const VICTIMS: usize = 16;

/// Peers on a runtime of their own, which takes them along without a last packet when it ends.
fn doomed(overlay: OverlayKind, entry: SocketAddr) -> (Runtime, Vec<SwarmPeer>) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("threads");
    let peers = runtime.block_on(async {
        let mut peers = Vec::new();
        for _ in 0..VICTIMS {
            let peer = peer(overlay).await;
            peer.connect(entry).await.expect("a member");
            peers.push(peer);
        }
        peers
    });
    (runtime, peers)
}

async fn killed_without_goodbye(overlay: OverlayKind) {
    let mut swarm = Swarm::of(overlay, SIZE - VICTIMS).await;
    let entry = swarm.peers[1].listener();
    let (runtime, victims) = tokio::task::spawn_blocking(move || doomed(overlay, entry)).await.expect("no panic");
    swarm.peers.extend(victims);
    swarm.settle().await;

    swarm.peers.truncate(SIZE - VICTIMS);
    runtime.shutdown_background();
    let killed = Instant::now();
    let mut pairs_tried = 0;
    // All pairs of neighbours in order, and a sample of the others, until all succeed in one round.
    loop {
        let mut sending = JoinSet::new();
        for (index, from) in swarm.peers.iter().enumerate() {
            for step in [1, 5, 11, 23] {
                let (from, to) = (from.clone(), swarm.peers[(index + step) % swarm.peers.len()].clone());
                sending.spawn(async move {
                    let sent = from.send(&to, "alive?").await;
                    if sent.is_ok() {
                        timeout(PATIENCE, to.recv()).await.expect("acked").expect("open");
                    }
                    sent.is_ok()
                });
                pairs_tried += 1;
            }
        }
        if sending.join_all().await.into_iter().all(|sent| sent) {
            break;
        }
        assert!(killed.elapsed() < PATIENCE, "some pairs do not reach each other");
    }
    println!("{overlay}: all pairs {:?} after {VICTIMS} of {SIZE} were killed ({pairs_tried} tried)", killed.elapsed());
    swarm.settle().await;
    println!("{overlay}: settled again after {:?}", killed.elapsed());
    // What arrived without its sender learning of it.
    for peer in &swarm.peers {
        while timeout(Duration::from_millis(5), peer.recv()).await.is_ok() {}
    }
    swarm.broadcast(0, "who is left").await;
    swarm.receive_everywhere(1, &[0]).await;
    swarm.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_quarter_killed_without_goodbye_is_made_up_for_on_the_ring() {
    killed_without_goodbye(OverlayKind::Ring).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_quarter_killed_without_goodbye_is_made_up_for_on_the_tree() {
    killed_without_goodbye(OverlayKind::Tree).await;
}

/// A peer that listens where another has just been killed.
async fn in_place_of(victim: SocketAddr, overlay: OverlayKind) -> SwarmPeer {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match builder(overlay).bind(victim).await {
            Ok(peer) => return peer,
            // Its runtime ends in the background.
            Err(error) => assert!(Instant::now() < deadline, "{victim}: {error}"),
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Both have the same name, and members of the tree ask where members of the ring listen now.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ring_and_a_tree_on_one_machine_stay_two() {
    let mut tree = Swarm::of(OverlayKind::Tree, 8).await;
    let entry = tree.peers[1].listener();
    let (runtime, victims) = tokio::task::spawn_blocking(move || doomed(OverlayKind::Tree, entry)).await.expect("no panic");
    tree.peers.extend(victims);
    tree.settle().await;
    let victims = tree.peers.split_off(8);
    runtime.shutdown_background();

    let mut ring = Swarm { peers: Vec::new(), geometry: geometry(OverlayKind::Ring) };
    for victim in &victims {
        let peer = in_place_of(victim.listener(), OverlayKind::Ring).await;
        if let Some(entry) = ring.peers.first() {
            peer.connect(entry).await.expect("a member");
        }
        ring.peers.push(peer);
    }
    let deadline = Instant::now() + PATIENCE;
    while ring.refused(Refusal::Unsealed).await == 0 {
        assert!(Instant::now() < deadline, "nobody of the tree asks where members of the ring listen");
    }
    ring.settle().await;
    tree.settle().await;
    ring.close().await;
    tree.close().await;
}

async fn two_become_one(overlay: OverlayKind) {
    let (mut first, second) = (Swarm::of(overlay, 16).await, Swarm::of(overlay, 16).await);
    first.peers[3].connect(&second.peers[9]).await.expect("it listens");
    first.peers.extend(second.peers);
    let met = Instant::now();
    first.settle().await;
    println!("{overlay}: two swarms are one after {:?}", met.elapsed());
    first.broadcast(20, "one swarm").await;
    first.receive_everywhere(1, &[20]).await;
    first.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_swarms_become_one_by_one_connect_on_the_ring() {
    two_become_one(OverlayKind::Ring).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_swarms_become_one_by_one_connect_on_the_tree() {
    two_become_one(OverlayKind::Tree).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_peer_may_leave_and_others_join_by_whoever_is_there() {
    for overlay in [OverlayKind::Ring, OverlayKind::Tree] {
        let mut swarm = Swarm::of(overlay, 12).await;
        let first = swarm.peers.remove(0);
        first.close().await;
        swarm.settle().await;
        let late = peer(overlay).await;
        late.connect(&swarm.peers[7]).await.expect("a member");
        swarm.peers.push(late);
        swarm.settle().await;
        swarm.close().await;
    }
}

/// A peer that listens on both families and announces the loopback address of one.
async fn of_both_families(overlay: OverlayKind, announced: &str) -> SwarmPeer {
    loop {
        let free = std::net::UdpSocket::bind(("::", 0)).and_then(|socket| socket.local_addr()).expect("both families are there");
        let announced = SocketAddr::new(announced.parse().expect("an address"), free.port());
        // Another test may have taken the port meanwhile.
        if let Ok(peer) = builder(overlay).external(announced).bind(("", free.port())).await {
            return peer;
        }
    }
}

const FOUR: &str = "127.0.0.1";
const SIX: &str = "::1";

/// Four peers of both families, three of each alone; who has one joins by a peer that announces the other.
async fn of_mixed_families(overlay: OverlayKind) -> Swarm {
    let mut swarm = Swarm { peers: Vec::new(), geometry: geometry(overlay) };
    for announced in [FOUR, SIX, FOUR, SIX] {
        swarm.peers.push(of_both_families(overlay, announced).await);
    }
    for host in [FOUR, SIX, FOUR, SIX, FOUR, SIX] {
        swarm.peers.push(builder(overlay).bind((host, 0)).await.expect("loopback has a free port"));
    }
    for (index, peer) in swarm.peers.iter().enumerate().skip(1) {
        let entry = &swarm.peers[if index < 4 { index - 1 } else { (index + 1) % 2 }];
        let host = if peer.listener().is_ipv4() { FOUR } else { SIX };
        let port = entry.listener().port();
        peer.connect((host, port)).await.unwrap_or_else(|error| panic!("{overlay}, {}: {error}", peer.listener()));
    }
    swarm
}

async fn all_pairs_and_broadcasts_of_mixed_families(overlay: OverlayKind) {
    let swarm = of_mixed_families(overlay).await;
    let deadline = Instant::now() + PATIENCE;
    for from in &swarm.peers {
        for to in swarm.peers.iter().filter(|to| to.id() != from.id()) {
            while let Err(error) = from.send(to, "x").await {
                assert!(Instant::now() < deadline, "{overlay}, {} to {}: {error}", from.listener(), to.listener());
            }
            let message = timeout(PATIENCE, to.recv()).await.expect("acked").expect("open");
            assert_eq!(message.source.id(), from.id());
        }
    }
    println!("{overlay}: {:?} until all pairs of both families have spoken", PATIENCE - (deadline - Instant::now()));
    for from in [0, 1, 4, 5] {
        swarm.broadcast(from, "to both").await;
        assert_eq!(swarm.receive_everywhere(1, &[from]).await.len(), swarm.peers.len() - 1);
    }
    swarm.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn peers_of_both_families_reach_each_other_by_those_that_have_both_on_the_ring() {
    all_pairs_and_broadcasts_of_mixed_families(OverlayKind::Ring).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn peers_of_both_families_reach_each_other_by_those_that_have_both_on_the_tree() {
    all_pairs_and_broadcasts_of_mixed_families(OverlayKind::Tree).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_swarm_of_ipv6_alone_works_as_any_other() {
    let first = builder(OverlayKind::Ring).bind(("::1", 0)).await.expect("IPv6 loopback");
    let second = builder(OverlayKind::Ring).bind("[::1]:0").await.expect("IPv6 loopback");
    second.connect(&first).await.expect("it listens");
    let receipt = second.send(first.listener(), "over IPv6").await.expect("neighbours");
    assert!(receipt.acked);
    assert_eq!(first.recv().await.expect("open").source.address(), Some(second.listener()));
    first.close().await;
    second.close().await;
}

/// Every fifth peer acknowledges its share of a broadcast and drops it.
fn every_fifth_drops(index: usize, builder: Builder) -> Builder {
    builder.faults(Faults { drops_tasks: drops(index), ..Faults::default() })
}

fn drops(index: usize) -> bool {
    index % 5 == 3
}

async fn a_fifth_acknowledge_and_drop(overlay: OverlayKind) {
    let swarm = Swarm::made(overlay, SIZE, every_fifth_drops).await;
    let mut unaided = 0;
    for (number, length) in [1024, 1024, 1024, 1024, 200_000].into_iter().enumerate() {
        let (origin, mut payload) = (number * 15, vec![0; length]);
        payload[0] = u8::try_from(number).expect("few");
        let sent = Instant::now();
        swarm.peers[origin].broadcast(payload.clone(), &BroadcastOptions::default()).await.expect("taken");
        for (index, peer) in swarm.peers.iter().enumerate().filter(|(index, _)| *index != origin && !drops(*index)) {
            let message = timeout(PATIENCE, peer.recv()).await.unwrap_or_else(|_| panic!("{overlay}: {index} misses {length} bytes"));
            assert!(message.expect("open").data == payload, "as it was sent");
        }
        unaided += usize::from(sent.elapsed() < Duration::from_secs(1));
        println!("{overlay}: {length} bytes at all others after {:?}", sent.elapsed());
    }
    // The control: peers are told of what they lack after a second, so these broadcasts did meet those who drop.
    assert!(unaided < 5, "nobody was left out");
    for (index, from) in swarm.peers.iter().enumerate() {
        let to = &swarm.peers[(index + 23) % SIZE];
        from.send(to, "unicasts go on").await.expect("acknowledged");
        while !timeout(PATIENCE, to.recv()).await.expect("acknowledged").expect("open").data.starts_with(b"unicasts") {}
    }
    swarm.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fifth_that_acknowledge_and_drop_keep_no_broadcast_from_the_others_on_the_ring() {
    a_fifth_acknowledge_and_drop(OverlayKind::Ring).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fifth_that_acknowledge_and_drop_keep_no_broadcast_from_the_others_on_the_tree() {
    a_fifth_acknowledge_and_drop(OverlayKind::Tree).await;
}
