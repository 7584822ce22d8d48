//! Peers on loopback.

use super::*;
use std::time::Duration;
use tokio::{sync::mpsc, time::timeout};

struct Listener(mpsc::UnboundedSender<(Vec<u8>, MessageInfo)>);

impl NetworkListen for Listener {
    fn on_message(&self, message: Vec<u8>, metadata: MessageInfo) {
        let _ = self.0.send((message, metadata));
    }
}

fn config() -> Config {
    let mut config = Config { public_address: "127.0.0.1:0".to_owned(), ..Config::default() };
    // As few as everybody insists on, so that tests need no minutes.
    config.cicada.work_bits = 8;
    config
}

fn peer(config: Config) -> (Peer, mpsc::UnboundedReceiver<(Vec<u8>, MessageInfo)>) {
    let (messages, received) = mpsc::unbounded_channel();
    (Peer::new(config, Listener(messages)).unwrap(), received)
}

async fn next<T>(received: &mut mpsc::UnboundedReceiver<T>) -> Option<T> {
    timeout(Duration::from_secs(20), received.recv()).await.expect("something comes")
}

#[tokio::test]
async fn a_port_in_use_is_an_error_of_new_and_free_again_after_shutdown() {
    let (first, _) = peer(config());
    let place = first.public_address();
    let taken = Config { public_address: place.to_string(), ..config() };
    let error = Peer::new(taken.clone(), Listener(mpsc::unbounded_channel().0)).expect_err("the port is taken");
    assert!(error.to_string().starts_with("port in use"), "{error}");
    first.shutdown().await;
    Peer::new(taken, Listener(mpsc::unbounded_channel().0)).expect("the port is free");
}

#[tokio::test]
async fn a_wrong_configuration_is_an_error_of_new_that_names_the_field() {
    let wrong = Config { version: "new".to_owned(), ..config() };
    let error = Peer::new(wrong, Listener(mpsc::unbounded_channel().0)).expect_err("no version");
    assert!(error.to_string().starts_with("version: "), "{error}");
}

#[test]
fn without_a_runtime_there_is_an_error_and_no_panic() {
    let error = Peer::new(config(), Listener(mpsc::unbounded_channel().0)).expect_err("no runtime");
    assert!(matches!(error, PeerError::NoRuntime), "{error}");
}

/// Tells when it is dropped, as the task does that owns it.
struct Watched(#[expect(dead_code, reason = "held for its end")] mpsc::UnboundedSender<()>);

impl NetworkListen for Watched {
    fn on_message(&self, _message: Vec<u8>, _metadata: MessageInfo) {}
}

#[tokio::test]
async fn a_dropped_peer_leaves_no_task_and_no_socket() {
    let (alive, mut ends) = mpsc::unbounded_channel();
    let before = tokio::runtime::Handle::current().metrics().num_alive_tasks();
    let peer = Peer::new(config(), Watched(alive)).unwrap();
    let place = peer.local_address();
    assert!(tokio::runtime::Handle::current().metrics().num_alive_tasks() > before, "the control: there are some");
    drop(peer);
    assert_eq!(next(&mut ends).await, None, "the listener is gone");
    while tokio::runtime::Handle::current().metrics().num_alive_tasks() > before {
        tokio::task::yield_now().await;
    }
    std::net::UdpSocket::bind(place).expect("the port is free");
}

#[tokio::test]
async fn shutdown_waits_until_nothing_is_left_and_may_be_called_twice() {
    let before = tokio::runtime::Handle::current().metrics().num_alive_tasks();
    let (peer, mut received) = peer(config());
    let place = peer.local_address();
    peer.shutdown().await;
    peer.shutdown().await;
    std::net::UdpSocket::bind(place).expect("the port is free");
    assert_eq!(next(&mut received).await, None, "the listener is gone");
    while tokio::runtime::Handle::current().metrics().num_alive_tasks() > before {
        tokio::task::yield_now().await;
    }
    // What is asked of it afterwards ends too.
    peer.broadcast(b"nobody sends this", None).await;
    assert_eq!(peer.try_broadcast("nor this", None).await, Err(SendError::Closed));
    assert!(peer.alive_nodes(3).await.is_empty());
    assert!(peer.events().recv().await.is_err());
}

#[tokio::test]
async fn figures_are_served_until_the_peer_ends() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let (peer, _received) = peer(config());
    let server = peer.serve_metrics("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let mut stream = tokio::net::TcpStream::connect(server.local_addr()).await.unwrap();
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: here\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    timeout(Duration::from_secs(10), stream.read_to_string(&mut answer)).await.unwrap().unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    for figure in ["cicada_kadcast_peers 0", "cicada_kadcast_datagrams_total", "cicada_kadcast_receive_buffer_bytes"] {
        assert!(answer.contains(figure), "{figure} is not in {answer}");
    }
    assert!(answer.ends_with("# EOF\n"));
}

#[tokio::test]
async fn a_listener_that_panics_takes_nothing_else_along() {
    struct Panics;
    impl NetworkListen for Panics {
        fn on_message(&self, _message: Vec<u8>, _metadata: MessageInfo) {
            panic!("on purpose");
        }
    }
    let victim = Peer::new(config(), Panics).unwrap();
    let (sender, _) = peer(config());
    sender.try_send("panic!", vec![victim.public_address()]).await.unwrap();
    let mut events = victim.events();
    sender.try_send("panic again!", vec![victim.public_address()]).await.unwrap();
    while !matches!(timeout(Duration::from_secs(20), events.recv()).await.unwrap().unwrap(), Event::Received { .. } | Event::Missed { .. })
    {
    }
    victim.shutdown().await;
}

#[tokio::test]
async fn messages_come_with_their_sender_height_and_name() {
    let (receiver, mut received) = peer(config());
    let (sender, _) = peer(config());
    for size in [1, 200, 1000, 1297, 100_000, 1_000_000] {
        let message: Vec<u8> = (0..size).map(|at| (at % 251) as u8).collect();
        sender.send(&message, receiver.public_address()).await;
        let (came, about) = next(&mut received).await.unwrap();
        assert!(came == message, "{size} bytes");
        assert_eq!((about.src(), about.height(), about.ray_id().len()), (sender.public_address(), 0, 32));
    }
    assert_eq!(sender.try_send("", vec![receiver.public_address()]).await, Err(SendError::Empty));
    let long = vec![0; 10_485_760];
    assert!(matches!(sender.try_send(long, vec![receiver.public_address()]).await, Err(SendError::TooLarge { limit: 10_485_759, .. })));
}

#[tokio::test]
async fn peers_find_each_other_through_one_and_a_broadcast_reaches_all_once() {
    a_broadcast_reaches_all_once(config()).await;
}

#[tokio::test]
async fn so_do_peers_of_ipv6() {
    if std::net::UdpSocket::bind("[::1]:0").is_err() {
        println!("this system has no IPv6");
        return;
    }
    a_broadcast_reaches_all_once(Config { public_address: "[::1]:0".to_owned(), ..config() }).await;
}

/// Row 13: the crate's peers refuse each other so.
#[tokio::test]
async fn so_do_peers_that_listen_to_both_families_and_announce_an_ipv4_address() {
    if std::net::UdpSocket::bind("[::]:0").is_err() {
        println!("this system has no IPv6");
        return;
    }
    a_broadcast_reaches_all_once(Config { listen_address: Some("[::]:0".to_owned()), ..config() }).await;
}

async fn a_broadcast_reaches_all_once(config: Config) {
    let (first, mut first_received) = peer(config.clone());
    let bootstrap = Config { bootstrapping_nodes: vec![first.public_address().to_string()], ..config };
    let mut others: Vec<_> = (0..7).map(|_| peer(bootstrap.clone())).collect();
    for (peer, _) in &others {
        let mut events = peer.events();
        while peer.table().await.values().map(Vec::len).sum::<usize>() < 7 {
            let _ = timeout(Duration::from_secs(20), events.recv()).await.expect("peers are found");
        }
    }
    assert_eq!(first.alive_nodes(100).await.len(), 7);
    others[3].0.broadcast(b"to everybody", None).await;
    assert_eq!(next(&mut first_received).await.unwrap().0, b"to everybody");
    for (number, (_, received)) in others.iter_mut().enumerate() {
        if number != 3 {
            assert_eq!(next(received).await.unwrap().0, b"to everybody");
        }
    }
    others[4].0.broadcast(b"the next one", None).await;
    assert_eq!(next(&mut first_received).await.unwrap().0, b"the next one", "nothing came twice");
}

#[tokio::test]
async fn who_is_blocked_is_not_heard_until_it_is_unblocked() {
    let (receiver, mut received) = peer(config());
    let (good, _) = peer(config());
    let (bad, _) = peer(config());
    receiver.block_source(bad.public_address()).await;
    bad.send(b"one", receiver.public_address()).await;
    // The table is asked of the same task, which has blocked it by then; and it tells of what it refuses.
    let mut events = receiver.events();
    bad.send(b"two", receiver.public_address()).await;
    while !matches!(timeout(Duration::from_secs(20), events.recv()).await.unwrap().unwrap(), Event::Refused { .. }) {}
    good.send(b"three", receiver.public_address()).await;
    assert_eq!(next(&mut received).await.unwrap().0, b"three");
    receiver.unblock_source(bad.public_address()).await;
    bad.send(b"four", receiver.public_address()).await;
    assert_eq!(next(&mut received).await.unwrap().0, b"four");
}

#[tokio::test]
async fn names_of_bootstrapping_nodes_are_resolved() {
    let (first, _received) = peer(config());
    let name = format!("localhost:{}", first.public_address().port());
    let (second, _also) = peer(Config { bootstrapping_nodes: vec!["no.such.name.invalid:9000".to_owned(), name], ..config() });
    let mut events = second.events();
    while second.alive_nodes(1).await != [first.public_address()] {
        let _ = timeout(Duration::from_secs(20), events.recv()).await.expect("the first peer is found");
    }
}

#[tokio::test]
async fn v4_peers_and_one_that_listens_to_both_families_hear_each_other() {
    let both = Config { listen_address: Some("[::]:0".to_owned()), ..config() };
    let (told, mut received) = mpsc::unbounded_channel();
    let Ok(both) = Peer::new(both, Listener(told)) else {
        println!("this system has no IPv6");
        return;
    };
    let (v4, mut v4_received) = peer(config());
    v4.send(b"to both", both.public_address()).await;
    assert_eq!(next(&mut received).await.unwrap().1.src(), v4.public_address());
    both.send(b"back", v4.public_address()).await;
    assert_eq!(next(&mut v4_received).await.unwrap().1.src(), both.public_address());
}
