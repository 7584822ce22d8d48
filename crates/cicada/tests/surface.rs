//! What the library offers beside sending and receiving: hooks, streams, events, tables, bare nodes.

use cicada::{
    Ack, BroadcastOptions, Event, Hash, Hooks, IdKind, Identity, LocalNode, LocalNodeOptions, Message, Messages, OverlayKind, Place,
    RemoteNode, Role, Route, SendOptions, SwarmPeer, Target,
};
use std::{
    future::poll_fn,
    pin::Pin,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{
    sync::broadcast::error::RecvError,
    time::{Instant, timeout},
};

#[tokio::test]
async fn hooks_see_frames_messages_and_each_new_peer_once() {
    let (seen_a, seen_b) = (Seen::default(), Seen::default());
    let a = SwarmPeer::builder().hooks(seen_a.clone()).bind(("127.0.0.1", 0)).await.expect("bound");
    let b = SwarmPeer::builder().hooks(seen_b.clone()).bind(("127.0.0.1", 0)).await.expect("bound");
    b.connect(&a).await.expect("it listens");
    a.send(&b, "from the listener").await.expect("neighbours");
    b.send(&a, "from the dialler").await.expect("neighbours");
    a.recv().await.expect("open");
    b.recv().await.expect("open");
    a.broadcast("to all", &cicada::BroadcastOptions::default()).await.expect("neighbours");
    assert!(b.recv().await.expect("open").broadcast);
    let (a_id, b_id) = (a.id(), b.id());
    // The thread of the hooks has done everything when close returns.
    a.close().await;
    b.close().await;
    for (seen, other, said, heard) in
        [(&seen_a, b_id, "from the listener", "from the dialler"), (&seen_b, a_id, "from the dialler", "from the listener")]
    {
        let seen = seen.0.lock().expect("no panic");
        assert_eq!(seen.new_peers, [other]);
        assert_eq!(seen.received.first(), Some(&(other, heard.as_bytes().to_vec())));
        assert!(!seen.sent.iter().any(|(_, frame)| contains(frame, said.as_bytes())), "sealed before the link encrypts it");
    }
    let seen = seen_a.0.lock().expect("no panic");
    let carried = seen.sent.iter().filter(|(to, frame)| *to == b_id && contains(frame, b"to all")).count();
    assert_eq!(carried, 1, "signed, and in the clear before the link encrypts it");
}

#[tokio::test]
async fn a_relay_passes_on_what_it_cannot_read() {
    let seen = Seen::default();
    let relay = SwarmPeer::builder().hooks(seen.clone()).bind(("127.0.0.1", 0)).await.expect("bound");
    let from = SwarmPeer::builder().role(Role::Client).bind(("127.0.0.1", 0)).await.expect("bound");
    let to = SwarmPeer::builder().role(Role::Client).bind(("127.0.0.1", 0)).await.expect("bound");
    from.connect(&relay).await.expect("it listens");
    to.connect(&relay).await.expect("it listens");
    let receipt = from.send(to.id(), "over a relay").await.expect("attached there");
    assert_eq!((receipt.hops(), receipt.paths[0].relays.as_slice()), (Some(2), &[relay.id()][..]));
    to.recv().await.expect("open");
    for peer in [from, to, relay] {
        peer.close().await;
    }
    let seen = seen.0.lock().expect("no panic");
    assert!(!seen.sent.is_empty() && !seen.sent.iter().any(|(_, frame)| contains(frame, b"over a relay")));
    assert!(seen.received.is_empty(), "nothing was for its own application");
}

#[tokio::test]
async fn whom_the_hook_does_not_admit_stays_out() {
    let gate = Gate;
    let guarded = SwarmPeer::builder().hooks(gate).bind(("127.0.0.1", 0)).await.expect("bound");
    let stranger = SwarmPeer::bind(("127.0.0.1", 0)).await.expect("bound");
    let options = cicada::ConnectOptions::default().with_timeout(Duration::from_secs(2));
    stranger.connect_with([&guarded], &options).await.expect_err("not admitted");
    assert!(guarded.peers().is_empty());
    stranger.close().await;
    guarded.close().await;
}

#[tokio::test]
async fn hooks_that_hang_do_not_stall_the_peer() {
    let a = SwarmPeer::builder().hooks(Slow).bind(("127.0.0.1", 0)).await.expect("bound");
    let b = SwarmPeer::bind(("127.0.0.1", 0)).await.expect("bound");
    b.connect(&a).await.expect("it listens");
    let started = Instant::now();
    for _ in 0..20 {
        b.send(&a, "x").await.expect("neighbours");
        a.recv().await.expect("open");
    }
    assert!(started.elapsed() < Duration::from_secs(5), "each call of its hook takes a second: {:?}", started.elapsed());
    b.close().await;
}

#[tokio::test]
async fn messages_are_a_stream_that_ends_with_the_peer() {
    let (a, b) = pair().await;
    let mut stream = b.messages();
    for text in ["one", "two", "three"] {
        a.send(&b, text).await.expect("neighbours");
    }
    for text in ["one", "two", "three"] {
        assert_eq!(next(&mut stream).await.expect("sent").data, text);
    }
    b.close().await;
    assert!(next(&mut stream).await.is_none());
    a.close().await;
}

#[tokio::test]
async fn a_cancelled_recv_loses_nothing_and_each_message_has_one_taker() {
    let (a, b) = pair().await;
    for _ in 0..20 {
        assert!(timeout(Duration::from_millis(1), b.recv()).await.is_err());
    }
    let takers: Vec<_> = (0..4)
        .map(|_| {
            let b = b.clone();
            tokio::spawn(async move {
                let mut taken = Vec::new();
                while let Ok(message) = b.recv().await {
                    taken.push(message.id);
                }
                taken
            })
        })
        .collect();
    for _ in 0..40 {
        a.send(&b, "x").await.expect("neighbours");
    }
    b.close().await;
    let mut all = Vec::new();
    for taker in takers {
        all.extend(taker.await.expect("no panic"));
    }
    assert_eq!(all.len(), 40);
    all.sort();
    all.dedup();
    assert_eq!(all.len(), 40);
    a.close().await;
}

#[tokio::test]
async fn a_reader_of_events_that_lags_is_told_how_much_it_missed() {
    let (a, b) = pair().await;
    let mut events = b.events();
    for _ in 0..1500 {
        a.send(&b, "x").await.expect("neighbours");
        b.recv().await.expect("open");
    }
    assert!(matches!(events.recv().await, Err(RecvError::Lagged(missed)) if missed > 0));
    assert!(matches!(events.recv().await, Ok(Event::Delivered(_))));
    a.close().await;
    b.close().await;
}

#[tokio::test]
async fn peers_table_and_lookup_agree_on_who_is_there() {
    let (a, b) = pair().await;
    a.wait_for_peers(1).await.expect("open");
    assert_eq!(a.peers().iter().map(RemoteNode::id).collect::<Vec<_>>(), [b.id()]);
    let table = a.table().await.expect("open");
    assert!(table.entries.iter().any(|entry| entry.record.id() == b.id() && entry.linked && entry.place == Place::Successor(0)));
    let found = a.lookup(b.id()).await.expect("a swarm of two");
    assert_eq!(found.exact.map(|exact| exact.address()), Some(Some(b.listener())));
    assert_eq!(found.responsible[0].id(), b.id());
    a.disconnect(b.id()).await.expect("open");
    b.close().await;
    a.close().await;
}

#[tokio::test]
async fn every_form_of_a_target_means_the_same_peer() {
    let (a, b) = pair().await;
    let (host, port) = (b.listener().ip().to_string(), b.listener().port());
    let known = a.peers()[0];
    let targets: [Target; 8] = [
        (host.as_str(), port).into(),
        (host.clone(), port).into(),
        (b.listener().ip(), port).into(),
        b.listener().into(),
        format!("{host}:{port}").into(),
        b.id().into(),
        known.into(),
        (&b).into(),
    ];
    for target in targets {
        a.send(target.clone(), "x").await.unwrap_or_else(|error| panic!("{target:?}: {error}"));
        b.recv().await.expect("open");
    }
    a.send(("localhost", port), "by name").await.expect("each address of the name is tried");
    a.close().await;
    b.close().await;
}

#[tokio::test]
async fn acknowledgements_are_as_wanted() {
    let (a, b) = pair().await;
    for ack in [Ack::None, Ack::FirstHop, Ack::EndToEnd] {
        let options = SendOptions::default().with_ack(ack).with_route(Route::Overlay);
        let receipt = a.send_with(&b, "x", &options).await.expect("neighbours");
        if ack == Ack::EndToEnd {
            assert!(receipt.acked && receipt.round_trip.is_some());
            assert_eq!(receipt.hops(), Some(1));
        }
        b.recv().await.expect("open");
    }
    a.try_send(&b, "x", &SendOptions::default()).expect("room");
    assert_eq!(b.recv().await.expect("open").data, "x");
    a.close().await;
    b.close().await;
}

#[tokio::test]
async fn a_swarm_of_key_ids_is_addressed_by_place_as_well() {
    let builder = || SwarmPeer::builder().member_ids(IdKind::Key);
    let a = builder().identity(Identity::from_seed(&[1; 32])).bind(("127.0.0.1", 0)).await.expect("bound");
    let b = builder().bind(("127.0.0.1", 0)).await.expect("bound");
    assert_eq!(a.id(), Identity::from_seed(&[1; 32]).public().id());
    b.connect(&a).await.expect("it listens");
    b.send(a.listener(), "by place").await.expect("its record is known");
    b.send(a.id(), "by id").await.expect("neighbours");
    assert_eq!(a.recv().await.expect("open").data, "by place");
    assert_eq!(a.recv().await.expect("open").data, "by id");
    a.close().await;
    b.close().await;
}

#[tokio::test]
async fn a_broadcast_among_nobody_is_no_failure() {
    let alone = SwarmPeer::bind(("127.0.0.1", 0)).await.expect("bound");
    let sent = alone.broadcast("anybody?", &BroadcastOptions::default()).await.expect("not too large");
    assert_eq!(sent.delegates, 0);
    alone.close().await;
}

#[tokio::test]
async fn bare_nodes_join_look_up_and_hand_over_what_they_like() {
    for overlay in [OverlayKind::Ring, OverlayKind::Tree] {
        let mut nodes = Vec::new();
        for data in ["alpha", "beta", "gamma"] {
            let mut options = LocalNodeOptions::default();
            options.overlay = overlay;
            let node = LocalNode::bind(data, ("127.0.0.1", 0), options).await.expect("bound");
            assert_eq!(node.id(), Hash::of(data));
            if let Some(first) = nodes.first() {
                let first: &LocalNode = first;
                node.connect(first.listener()).await.unwrap_or_else(|error| panic!("{overlay}: {error}"));
            }
            nodes.push(node);
        }
        let found = nodes[2].lookup(Hash::of("alpha")).await.expect("a swarm of three");
        assert_eq!(found.responsible[0].id(), Hash::of("alpha"));
        let neighbours = nodes[2].neighbours().await.expect("open");
        let alpha = *neighbours.iter().find(|node| node.id() == Hash::of("alpha")).expect("linked");
        nodes[2].send(&alpha, "opaque").await.expect("a neighbour");
        let (from, payload) = nodes[0].recv().await.expect("open");
        assert_eq!((from.id(), &payload[..]), (Hash::of("gamma"), &b"opaque"[..]));
        nodes.remove(0).close().await;
        let error = timeout(Duration::from_secs(10), async {
            loop {
                if let Err(error) = nodes[1].send(&alpha, "x").await {
                    return error;
                }
            }
        });
        let error = error.await.expect("its link goes down");
        assert!(error.to_string().contains("is no neighbour"), "{overlay}: {error}");
        for node in nodes {
            node.close().await;
        }
    }
}

// --- Helpers

async fn pair() -> (SwarmPeer, SwarmPeer) {
    let a = SwarmPeer::bind(("127.0.0.1", 0)).await.expect("bound");
    let b = SwarmPeer::bind(("127.0.0.1", 0)).await.expect("bound");
    a.connect(&b).await.expect("it listens");
    (a, b)
}

async fn next(stream: &mut Messages) -> Option<Message> {
    poll_fn(|cx| futures_core::Stream::poll_next(Pin::new(&mut *stream), cx)).await
}

fn contains(frame: &[u8], text: &[u8]) -> bool {
    frame.windows(text.len()).any(|window| window == text)
}

/// What hooks were shown.
#[derive(Clone, Default)]
struct Seen(Arc<Mutex<Record>>);

#[derive(Default)]
struct Record {
    sent: Vec<(Hash, Vec<u8>)>,
    received: Vec<(Hash, Vec<u8>)>,
    new_peers: Vec<Hash>,
}

impl Hooks for Seen {
    fn send(&self, to: &RemoteNode, frame: &[u8]) {
        self.0.lock().expect("no panic").sent.push((to.id(), frame.to_vec()));
    }

    fn recv(&self, from: &RemoteNode, data: &[u8]) {
        self.0.lock().expect("no panic").received.push((from.id(), data.to_vec()));
    }

    fn new_peer(&self, peer: &RemoteNode) {
        self.0.lock().expect("no panic").new_peers.push(peer.id());
    }
}

struct Gate;

impl Hooks for Gate {
    fn admit(&self, _: &RemoteNode) -> bool {
        false
    }
}

struct Slow;

impl Hooks for Slow {
    fn recv(&self, _: &RemoteNode, _: &[u8]) {
        std::thread::sleep(Duration::from_secs(1));
    }
}
