//! A peer from its start to its end, alone or with one other.

use cicada::{BindError, Closed, ConnectError, ConnectOptions, Hash, HostPort, Role, SendOptions, SwarmPeer};
use std::{net::SocketAddr, time::Duration};
use tokio::{
    runtime::Handle,
    time::{Instant, timeout},
};

#[tokio::test]
async fn low_ports_are_refused_with_the_documented_sentence() {
    for port in [1, 80, 1024] {
        let error = SwarmPeer::bind(("127.0.0.1", port)).await.expect_err("refused");
        assert!(error.to_string().contains("0 and 1025 to 65535 accepted, others refused"), "{error}");
    }
    SwarmPeer::bind(("127.0.0.1", 0)).await.expect("control: any free port").close().await;
}

#[tokio::test]
async fn a_port_in_use_is_told_with_its_address() {
    let first = loopback().await;
    let error = SwarmPeer::bind(first.listener()).await.expect_err("taken");
    assert!(matches!(&error, BindError::InUse { address } if *address == first.listener()), "{error:?}");
    assert!(error.to_string().contains(&first.listener().to_string()), "{error}");
    first.close().await;
}

#[tokio::test]
async fn a_host_that_cannot_be_resolved_is_told_by_its_name() {
    let error = SwarmPeer::bind(("nowhere.invalid", 0)).await.expect_err("no such host");
    assert!(error.to_string().contains("nowhere.invalid"), "{error}");
    let peer = loopback().await;
    let error = peer.connect(("nowhere.invalid", 5000)).await.expect_err("no such host");
    assert!(matches!(error, ConnectError::Resolve(_)), "{error}");
    let error = peer.send(("nowhere.invalid", 5000), "x").await.expect_err("no such host");
    assert!(error.to_string().contains("nowhere.invalid"), "{error}");
    peer.close().await;
}

#[tokio::test]
async fn an_address_of_another_machine_cannot_be_bound() {
    let error = SwarmPeer::bind(("192.0.2.1", 0)).await.expect_err("not ours");
    assert!(matches!(error, BindError::System { .. }), "{error:?}");
}

#[tokio::test]
async fn all_interfaces_announce_an_address_that_others_can_use() {
    let peer = SwarmPeer::bind(("", 0)).await.expect("all interfaces");
    assert!(peer.local_addr().ip().is_unspecified());
    assert!(!peer.listener().ip().is_unspecified(), "{}", peer.listener());
    assert_eq!(peer.listener().port(), peer.local_addr().port());
    assert_eq!(peer.id(), Hash::of(peer.listener().to_string()));
    peer.close().await;
}

#[tokio::test]
async fn an_external_address_is_announced_and_makes_the_id() {
    let external: SocketAddr = "192.0.2.7:7000".parse().expect("an address");
    let peer = SwarmPeer::builder().external(external).bind(("127.0.0.1", 0)).await.expect("bound");
    assert_eq!(peer.listener(), external);
    assert_eq!(peer.id(), Hash::of("192.0.2.7:7000"));
    assert_ne!(peer.local_addr(), external);
    peer.close().await;
    for wrong in ["192.0.2.7:0", "0.0.0.0:7000", "224.0.0.1:7000", "192.0.2.7:80"] {
        let external: SocketAddr = wrong.parse().expect("an address");
        let error = SwarmPeer::builder().external(external).bind(("127.0.0.1", 0)).await.expect_err(wrong);
        assert!(matches!(error, BindError::Announced { .. } | BindError::Port { .. }), "{wrong}: {error}");
    }
}

#[tokio::test]
async fn a_client_announces_nothing_and_has_an_id_of_its_key() {
    let client = SwarmPeer::builder().role(Role::Client).bind(("127.0.0.1", 0)).await.expect("bound");
    assert_eq!(client.id(), client.key().id());
    assert_eq!(client.listener(), client.local_addr());
    client.close().await;
}

#[tokio::test]
async fn a_short_secret_is_refused() {
    let error = SwarmPeer::builder().secret("short").bind(("127.0.0.1", 0)).await.expect_err("too short");
    assert!(matches!(error, BindError::Secret(_)), "{error}");
}

#[tokio::test]
async fn a_peer_does_not_join_itself_by_any_of_its_addresses() {
    let peer = SwarmPeer::bind(("", 0)).await.expect("all interfaces");
    let port = peer.local_addr().port();
    let places = [HostPort::from(peer.listener()), ("127.0.0.1", port).into(), ("127.0.0.2", port).into(), ("localhost", port).into()];
    for place in places {
        let asked = Instant::now();
        let error = peer.connect(&place).await.expect_err("itself");
        assert!(matches!(error, ConnectError::SelfJoin { .. }), "{place}: {error}");
        assert!(error.to_string().contains("is this peer itself"), "{error}");
        assert!(asked.elapsed() < Duration::from_secs(1), "at once");
    }
    let other = loopback().await;
    let places = [HostPort::from(peer.listener()), other.listener().into()];
    peer.connect_with(places, &ConnectOptions::default()).await.expect("control: another entry point beside itself");
    other.close().await;
    peer.close().await;
}

#[tokio::test]
async fn nothing_is_left_after_close() {
    let before = Handle::current().metrics().num_alive_tasks();
    for _ in 0..3 {
        let (a, b) = pair().await;
        a.send(b.listener(), "x").await.expect("neighbours");
        let (a_place, b_place) = (a.listener(), b.listener());
        a.close().await;
        b.close().await;
        for place in [a_place, b_place] {
            std::net::UdpSocket::bind(place).expect("the port is free when close returns");
        }
        assert_eq!(settled_tasks(before).await, before);
    }
}

#[tokio::test]
async fn nothing_is_left_after_the_last_handle_is_dropped() {
    let before = Handle::current().metrics().num_alive_tasks();
    let (a, b) = pair().await;
    let (a_place, a_clone, stream) = (a.listener(), a.clone(), a.messages());
    drop((a, stream));
    assert!(std::net::UdpSocket::bind(a_place).is_err(), "control: a clone keeps it");
    drop((a_clone, b));
    assert_eq!(settled_tasks(before).await, before);
    std::net::UdpSocket::bind(a_place).expect("the port is free");
}

#[tokio::test]
async fn a_peer_can_be_bound_again_where_it_was_and_is_another_to_its_neighbours() {
    let (a, b) = pair().await;
    let place = a.listener();
    a.close().await;
    let again = SwarmPeer::bind(place).await.expect("free at once");
    again.connect(b.listener()).await.expect("still there");
    again.send(b.listener(), "again").await.expect("neighbours");
    assert_eq!(b.recv().await.expect("open").data, "again");
    again.close().await;
    b.close().await;
}

#[tokio::test]
async fn recv_yields_what_had_arrived_and_then_that_the_peer_is_closed() {
    let (a, b) = pair().await;
    for text in ["one", "two"] {
        a.send(b.listener(), text).await.expect("neighbours");
    }
    b.close().await;
    let first = b.recv().await.expect("had arrived");
    assert_eq!((&first.data[..], first.more), (&b"one"[..], true));
    let second = b.recv().await.expect("had arrived");
    assert_eq!((&second.data[..], second.more), (&b"two"[..], false));
    assert_eq!(b.recv().await.expect_err("nothing more"), Closed);
    b.closed().await;
    a.close().await;
    a.close().await;
}

#[tokio::test]
async fn everything_on_a_closed_peer_says_that_it_is_closed() {
    let peer = loopback().await;
    let waiting = tokio::spawn({
        let peer = peer.clone();
        async move { peer.recv().await }
    });
    peer.close().await;
    assert_eq!(waiting.await.expect("no panic").expect_err("nothing came"), Closed);
    let closed = "this peer is closed";
    assert_eq!(peer.connect(("127.0.0.1", 5000)).await.expect_err("closed").to_string(), closed);
    assert_eq!(peer.send(Hash::of("x"), "x").await.expect_err("closed").to_string(), closed);
    assert_eq!(peer.try_send(Hash::of("x"), "x", &SendOptions::default()).expect_err("closed").to_string(), closed);
    assert_eq!(peer.broadcast("x", &Default::default()).await.expect_err("closed").to_string(), closed);
    assert_eq!(peer.lookup(Hash::of("x")).await.expect_err("closed").to_string(), closed);
    assert_eq!(peer.table().await.expect_err("closed"), Closed);
    assert_eq!(peer.disconnect(Hash::of("x")).await.expect_err("closed"), Closed);
    assert_eq!(peer.wait_for_peers(1).await.expect_err("closed"), Closed);
    assert!(peer.events().recv().await.is_err());
}

// --- Helpers

async fn loopback() -> SwarmPeer {
    SwarmPeer::bind(("127.0.0.1", 0)).await.expect("loopback has a free port")
}

async fn pair() -> (SwarmPeer, SwarmPeer) {
    let (a, b) = (loopback().await, loopback().await);
    a.connect(&b).await.expect("it listens");
    (a, b)
}

/// How many tasks are alive once that is `wanted`, or after a while.
async fn settled_tasks(wanted: usize) -> usize {
    let alive = || Handle::current().metrics().num_alive_tasks();
    let settled = async {
        while alive() != wanted {
            tokio::task::yield_now().await;
        }
    };
    // What remains by then is left over.
    let _ = timeout(Duration::from_secs(5), settled).await;
    alive()
}
