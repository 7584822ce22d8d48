//! What a peer does with others that are not what they should be, as its application sees it.

use cicada::{
    Builder, ConnectError, ConnectOptions, Event, Hash, IdKind, Limits, LocalNode, LocalNodeOptions, OverlayKind, Refusal, Route,
    SendError, SendOptions, SwarmPeer,
};
use std::{net::SocketAddr, time::Duration};
use tokio::{net::UdpSocket, time::timeout};

#[tokio::test]
async fn peers_of_another_swarm_overlay_secret_or_kind_of_id_do_not_join() {
    let secret = "a secret that is long enough";
    let cases: [(&str, Builder, Refusal); 5] = [
        ("name", SwarmPeer::builder().swarm("other"), Refusal::OtherSwarm),
        ("secret", SwarmPeer::builder().secret(secret), Refusal::OtherSecret),
        ("overlay", SwarmPeer::builder().overlay(OverlayKind::Tree), Refusal::OtherOverlay),
        ("kind of id", SwarmPeer::builder().member_ids(IdKind::Key), Refusal::OtherIdKind),
        ("the same", SwarmPeer::builder(), Refusal::Idle),
    ];
    let member = loopback(SwarmPeer::builder()).await;
    for (what, builder, wanted) in cases {
        let stranger = loopback(builder).await;
        match stranger.connect(&member).await {
            Err(ConnectError::Refused { reason, .. }) => assert_eq!(reason, wanted, "{what}"),
            Err(error) => panic!("{what}: {error}"),
            Ok(_) => assert_eq!(what, "the same", "control"),
        }
        stranger.close().await;
    }
    member.close().await;
}

#[tokio::test]
async fn a_secret_is_proven_by_those_who_have_it() {
    let secret = "a secret that is long enough";
    let a = loopback(SwarmPeer::builder().secret(secret)).await;
    let b = loopback(SwarmPeer::builder().secret(secret)).await;
    b.connect(&a).await.expect("the same secret");
    b.send(&a, "x").await.expect("neighbours");
    assert_eq!(a.recv().await.expect("open").data, "x");
    let guess = loopback(SwarmPeer::builder().secret("another secret of some length")).await;
    let error = guess.connect(&a).await.expect_err("a wrong secret");
    assert!(error.to_string().contains("another swarm secret"), "{error}");
    close([a, b, guess]).await;
}

#[tokio::test]
async fn a_bare_node_and_a_swarm_do_not_mix() {
    let peer = loopback(SwarmPeer::builder().swarm("cicada")).await;
    let node = LocalNode::bind("data", ("127.0.0.1", 0), LocalNodeOptions::default()).await.expect("bound");
    let error = node.connect(peer.listener()).await.expect_err("a swarm");
    assert!(matches!(error, ConnectError::Refused { reason: Refusal::OtherOverlay, .. }), "{error}");
    node.close().await;
    peer.close().await;
}

#[tokio::test]
async fn a_silent_host_is_given_up_when_the_time_is_over() {
    let silent = UdpSocket::bind("127.0.0.1:0").await.expect("loopback has a free port");
    let peer = loopback(SwarmPeer::builder()).await;
    let options = ConnectOptions::default().with_timeout(Duration::from_millis(300));
    let place = silent.local_addr().expect("bound");
    let error = peer.connect_with([place], &options).await.expect_err("nobody answers");
    assert!(matches!(error, ConnectError::TimedOut { .. }), "{error}");
    assert!(error.to_string().contains(&format!("nobody answered at {place}")), "{error}");
    peer.close().await;
}

#[tokio::test]
async fn what_is_no_peer_is_called_so() {
    let other = UdpSocket::bind("127.0.0.1:0").await.expect("loopback has a free port");
    let place = other.local_addr().expect("bound");
    let answering = tokio::spawn(async move {
        let mut buffer = [0; 2048];
        while let Ok((_, from)) = other.recv_from(&mut buffer).await {
            other.send_to(b"what?", from).await.expect("loopback");
        }
    });
    let peer = loopback(SwarmPeer::builder()).await;
    let error = peer.connect(place).await.expect_err("no peer");
    assert!(matches!(error, ConnectError::NotAPeer { .. }), "{error}");
    answering.abort();
    peer.close().await;
}

#[tokio::test]
async fn who_starts_first_does_not_matter() {
    let reserved = std::net::UdpSocket::bind("127.0.0.1:0").expect("loopback has a free port");
    let place = reserved.local_addr().expect("bound");
    let early = loopback(SwarmPeer::builder()).await;
    let joining = tokio::spawn({
        let early = early.clone();
        async move { early.connect(place).await }
    });
    // The joiner's first packets have been sent to nobody when the other starts.
    let mut first = [0; 2048];
    reserved.set_nonblocking(true).expect("a socket");
    let reserved = UdpSocket::from_std(reserved).expect("a socket");
    reserved.recv_from(&mut first).await.expect("the joiner knocks");
    drop(reserved);
    let late = SwarmPeer::bind(place).await.expect("free");
    joining.await.expect("no panic").expect("joined");
    close([early, late]).await;
}

#[tokio::test]
async fn a_message_over_the_limit_is_refused_before_it_is_queued() {
    let mut limits = Limits::default();
    limits.message_bytes = 1000;
    let peer = loopback(SwarmPeer::builder().limits(limits)).await;
    let error = peer.send(Hash::of("x"), vec![0; 1001]).await.expect_err("too large");
    assert_eq!(error.to_string(), "the message has 1001 bytes, the limit is 1000");
    let error = peer.try_send(Hash::of("x"), vec![0; 1001], &SendOptions::default()).expect_err("too large");
    assert!(matches!(error, SendError::TooLarge { length: 1001, limit: 1000 }));
    let error = peer.broadcast(vec![0; 1001], &Default::default()).await.expect_err("too large");
    assert_eq!(error.to_string(), "the message has 1001 bytes, the limit is 1000");
    let error = peer.send_with(Hash::of("x"), "x", &SendOptions::default().with_duplicates(17)).await.expect_err("too many");
    assert!(matches!(error, SendError::TooManyDuplicates { duplicates: 17, limit: 16 }), "{error}");
    peer.close().await;
}

#[tokio::test]
async fn the_largest_message_arrives_whole() {
    let (a, b) = pair().await;
    let largest: Vec<u8> = (0..Limits::default().message_bytes).map(|index| index as u8).collect();
    a.send(&b, largest.clone()).await.expect("within the limit");
    assert_eq!(b.recv().await.expect("open").data, largest);
    close([a, b]).await;
}

#[tokio::test]
async fn an_application_that_takes_nothing_makes_senders_wait_or_fail_with_busy() {
    let mut limits = Limits::default();
    limits.deliveries = 2;
    let a = loopback(SwarmPeer::builder()).await;
    let b = loopback(SwarmPeer::builder().limits(limits)).await;
    a.connect(&b).await.expect("it listens");
    a.send(&b, "1").await.expect("room");
    a.send(&b, "2").await.expect("room");
    let options = SendOptions::default().with_timeout(Duration::from_millis(500));
    let error = a.send_with(&b, "3", &options).await.expect_err("no room");
    assert!(matches!(error, SendError::Busy { .. }), "{error}");
    assert!(error.never_arrived());
    let waiting = tokio::spawn({
        let (a, to) = (a.clone(), b.listener());
        async move { a.send(to, "4").await }
    });
    for wanted in ["1", "2", "4"] {
        assert_eq!(b.recv().await.expect("open").data, wanted);
    }
    waiting.await.expect("no panic").expect("sent again when there was room");
    close([a, b]).await;
}

#[tokio::test]
async fn messages_that_nobody_waits_for_are_bounded() {
    let mut limits = Limits::default();
    limits.in_flight = 4;
    let peer = loopback(SwarmPeer::builder().limits(limits)).await;
    let target: SocketAddr = "127.0.0.1:49610".parse().expect("an address");
    let outcomes: Vec<_> = (0..10).map(|_| peer.try_send(target, "x", &SendOptions::default())).collect();
    assert!(outcomes[..4].iter().all(Result::is_ok));
    assert!(outcomes[4..].iter().all(|outcome| matches!(outcome, Err(SendError::Full))));
    peer.close().await;
}

#[tokio::test]
async fn a_peer_that_claims_an_address_of_another_is_no_member_and_gets_none_of_its_messages() {
    let (a, b) = pair().await;
    let mut events = a.events();
    let liar = loopback(SwarmPeer::builder().external(b.listener())).await;
    assert_eq!(liar.id(), b.id(), "that is what it claims");
    let options = ConnectOptions::default().with_timeout(Duration::from_secs(2));
    liar.connect_with([a.listener()], &options).await.expect_err("it has no place in the swarm");
    a.send(&b, "for b").await.expect("b is there");
    assert_eq!(b.recv().await.expect("open").data, "for b");
    assert!(timeout(Duration::from_millis(50), liar.recv()).await.is_err());
    assert_eq!(a.peers().len(), 1);
    while let Ok(event) = events.try_recv() {
        if let Event::PeerJoined(peer) = event {
            assert_eq!(peer.record().key(), b.key());
        }
    }
    close([a, b, liar]).await;
}

#[tokio::test]
async fn random_datagrams_and_random_packets_change_nothing() {
    let (a, b) = pair().await;
    let noise = UdpSocket::bind("127.0.0.1:0").await.expect("loopback has a free port");
    let mut state = 1u32;
    for length in (1..1400).step_by(7) {
        let bytes: Vec<u8> = (0..length)
            .map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (state >> 24) as u8
            })
            .collect();
        noise.send_to(&bytes, a.listener()).await.expect("loopback");
    }
    b.send(&a, "still here").await.expect("neighbours");
    assert_eq!(a.recv().await.expect("open").data, "still here");
    close([a, b]).await;
}

#[tokio::test]
async fn an_id_that_nobody_has_is_told_so() {
    let (a, b) = pair().await;
    for route in [Route::Auto, Route::Overlay] {
        let error = a.send_with(Hash::of("nobody"), "x", &SendOptions::default().with_route(route)).await.expect_err("nobody");
        assert!(matches!(error, SendError::NoSuchPeer { .. }), "{route:?}: {error}");
    }
    let found = a.lookup(Hash::of("nobody")).await.expect("somebody is responsible");
    assert!(found.exact.is_none() && !found.responsible.is_empty(), "{found:?}");
    close([a, b]).await;
}

// --- Helpers

async fn loopback(builder: Builder) -> SwarmPeer {
    builder.bind(("127.0.0.1", 0)).await.expect("loopback has a free port")
}

async fn pair() -> (SwarmPeer, SwarmPeer) {
    let (a, b) = (loopback(SwarmPeer::builder()).await, loopback(SwarmPeer::builder()).await);
    a.connect(&b).await.expect("it listens");
    (a, b)
}

async fn close(peers: impl IntoIterator<Item = SwarmPeer>) {
    for peer in peers {
        peer.close().await;
    }
}
