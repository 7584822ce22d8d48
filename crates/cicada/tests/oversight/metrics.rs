use crate::{PATIENCE, loopback};
use cicada::{BroadcastOptions, SwarmPeer};
use std::net::SocketAddr;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

async fn say(address: SocketAddr, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.expect("it listens");
    stream.write_all(request).await.expect("it reads");
    let mut answer = String::new();
    timeout(PATIENCE, stream.read_to_string(&mut answer)).await.expect("it answers").expect("it closes");
    answer
}

async fn get(address: SocketAddr, path: &str) -> String {
    say(address, format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes()).await
}

/// The value of a line that begins so.
fn value(text: &str, line: &str) -> f64 {
    let found = text.lines().find_map(|candidate| candidate.strip_prefix(line));
    found.unwrap_or_else(|| panic!("no {line} in\n{text}")).trim().parse().expect("a number")
}

async fn pair() -> (SwarmPeer, SwarmPeer) {
    let (a, b) = (loopback().await, loopback().await);
    b.connect(a.listener()).await.expect("joined");
    (a, b)
}

#[tokio::test]
async fn what_a_peer_does_is_counted_for_its_application_and_for_a_scraper() {
    let (a, b) = pair().await;
    let before = b.metrics().await.expect("open");
    for _ in 0..3 {
        b.send(a.listener(), vec![7; 10_000]).await.expect("arrives");
    }
    b.broadcast("all", &BroadcastOptions::default()).await.expect("sent");
    for _ in 0..4 {
        a.recv().await.expect("arrived");
    }
    b.lookup(a.id()).await.expect("found");
    let after = b.metrics().await.expect("open");
    assert_eq!(after.sent.payload_bytes - before.sent.payload_bytes, 30_003 + 3 * 16, "with their seals");
    assert!(after.sent.bytes - before.sent.bytes > 30_003);
    assert_eq!(after.levels.member_links, 1);
    assert_eq!((after.broadcasts.copies_sent, after.broadcasts.delivered), (1, 0));
    let of_a = a.metrics().await.expect("open");
    assert_eq!((of_a.broadcasts.copies_received, of_a.broadcasts.delivered, of_a.broadcasts.duplicates()), (1, 1, 0));

    let server = b.serve_metrics("127.0.0.1:0".parse().expect("an address")).await.expect("a free port");
    let answer = get(server.local_addr(), "/metrics").await;
    let (head, text) = answer.split_once("\r\n\r\n").expect("a head and a body");
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n") && head.contains("application/openmetrics-text"), "{head}");
    assert!(head.contains(&format!("Content-Length: {}", text.len())), "{head}");
    assert!(text.ends_with("# EOF\n"), "{text}");
    assert_eq!(value(text, "cicada_messages_total{direction=\"sent\",kind=\"unicast\"} "), 4.0, "one asked for the key");
    assert_eq!(value(text, "cicada_payload_bytes_total{direction=\"sent\",kind=\"unicast\"} "), 30_048.0, "with their seals");
    assert_eq!(value(text, "cicada_send_round_trip_seconds_count "), 3.0);
    assert_eq!(value(text, "cicada_lookup_seconds_count "), 1.0);
    assert!(value(text, "cicada_hop_seconds_count ") >= 3.0);
    assert_eq!(value(text, "cicada_member_links "), 1.0);
    assert_eq!(value(text, "cicada_broadcast_copies_total{copy=\"sent\"} "), 1.0);
    assert!(value(text, &format!("cicada_peer_traffic_bytes_total{{direction=\"sent\",peer=\"{}\"}} ", a.listener())) > 30_000.0);
    b.close().await;
    a.close().await;
}

#[tokio::test]
async fn traffic_is_told_by_peer_and_agrees_on_both_ends() {
    let (a, b) = pair().await;
    b.send(a.listener(), vec![7; 5000]).await.expect("arrives");
    let of = |all: Vec<cicada::PeerTraffic>, peer: &SwarmPeer| {
        all.into_iter().find(|traffic| traffic.peer.id() == peer.id()).expect("they are linked")
    };
    let (from_b, to_a) = (of(a.traffic().await.expect("open"), &b), of(b.traffic().await.expect("open"), &a));
    assert_eq!((from_b.received.payload_bytes, to_a.sent.payload_bytes), (5016, 5016), "with its seal");
    assert!(from_b.linked && to_a.linked);
    b.close().await;
    crate::until("the link is gone", async || !of(a.traffic().await.expect("open"), &b).linked).await;
    a.close().await;
}

#[tokio::test]
async fn what_is_no_scrape_is_answered_as_http_says_and_costs_little() {
    let peer = loopback().await;
    let server = peer.serve_metrics("127.0.0.1:0".parse().expect("an address")).await.expect("a free port");
    let address = server.local_addr();
    assert!(get(address, "/").await.starts_with("HTTP/1.1 404 "));
    assert!(get(address, "/metrics?x=1").await.starts_with("HTTP/1.1 200 "));
    assert!(say(address, b"POST /metrics HTTP/1.1\r\n\r\n").await.starts_with("HTTP/1.1 405 "));
    assert!(say(address, b"nonsense\r\n\r\n").await.starts_with("HTTP/1.1 400 "));
    let head = say(address, b"HEAD /metrics HTTP/1.1\r\n\r\n").await;
    assert!(head.starts_with("HTTP/1.1 200 ") && head.ends_with("\r\n\r\n"), "{head}");
    let long = [b"GET /metrics HTTP/1.1\r\nX: ".as_slice(), &[b'x'; 8 * 1024]].concat();
    assert!(say(address, &long).await.starts_with("HTTP/1.1 431 "));
    peer.close().await;
}

#[tokio::test]
async fn scrapers_that_never_ask_keep_nobody_out_for_long_and_the_server_ends_with_its_peer() {
    let peer = loopback().await;
    let server = peer.serve_metrics("127.0.0.1:0".parse().expect("an address")).await.expect("a free port");
    let mut silent = Vec::new();
    for _ in 0..8 {
        silent.push(TcpStream::connect(server.local_addr()).await.expect("it listens"));
    }
    crate::until("a place is free again", async || {
        let mut stream = TcpStream::connect(server.local_addr()).await.expect("it listens");
        let request = stream.write_all(b"GET /metrics HTTP/1.1\r\n\r\n").await;
        let mut answer = String::new();
        request.is_ok() && stream.read_to_string(&mut answer).await.is_ok() && answer.starts_with("HTTP/1.1 200 ")
    })
    .await;
    peer.close().await;
    crate::until("nobody listens", async || TcpStream::connect(server.local_addr()).await.is_err()).await;
}
