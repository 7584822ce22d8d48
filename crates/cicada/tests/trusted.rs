//! Peers that agreed on keys beforehand: nobody on the way reads or changes what they say to each other.

use cicada::{
    Builder, Event, Hash, Hooks, Limits, OverlayKind, Refusal, RemoteNode, Route, Security, SendError, SendOptions, SwarmPeer, TrustedKeys,
};
use std::{
    collections::BTreeSet,
    net::{SocketAddr, UdpSocket},
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::time::{Instant, sleep, timeout};

/// Every frame that a peer hands to its links, before they encrypt it.
#[derive(Clone, Default)]
struct Tap(Arc<Mutex<Vec<Vec<u8>>>>);

impl Hooks for Tap {
    fn send(&self, _: &RemoteNode, frame: &[u8]) {
        self.0.lock().expect("no panic").push(frame.to_vec());
    }
}

impl Tap {
    /// Whether a piece of `secret` of 8 bytes or more was seen.
    fn has_seen(&self, secret: &[u8]) -> bool {
        let pieces: BTreeSet<&[u8]> = secret.windows(8).collect();
        let frames = self.0.lock().expect("no panic");
        frames.iter().any(|frame| frame.windows(8).any(|window| pieces.contains(window)))
    }
}

/// Ports that are free now, each given once.
fn free_addresses(count: usize) -> Vec<SocketAddr> {
    let sockets: Vec<_> = (0..count).map(|_| UdpSocket::bind("127.0.0.1:0").expect("loopback has a free port")).collect();
    sockets.iter().map(|socket| socket.local_addr().expect("bound")).collect()
}

fn id(address: SocketAddr) -> Hash {
    Hash::of(address.to_string())
}

/// A key file of the peer that shares keys with `others`. The first of two is the one with the smaller port.
fn key_file(me: SocketAddr, others: &[SocketAddr], salt: &str, by_address: impl Fn(usize) -> bool) -> TrustedKeys {
    let hosts = others.iter().enumerate().map(|(at, other)| {
        let key = |from: SocketAddr, to: SocketAddr| format!(" from {} to {} {salt}", from.port(), to.port());
        let name = if by_address(at) { format!(r#""address": "{other}""#) } else { format!(r#""peer": "{}""#, id(*other).decimal()) };
        format!(r#"{{{name}, "outbound_key": "{}", "inbound_key": "{}"}}"#, key(me, *other), key(*other, me))
    });
    let hosts: Vec<String> = hosts.chain(["{}".to_owned()]).collect();
    TrustedKeys::parse(&format!(r#"{{"trusted_hosts": [{}]}}"#, hosts.join(","))).expect("a key file")
}

/// So few links that not everybody has one to everybody.
fn builder(overlay: OverlayKind) -> Builder {
    let mut limits = Limits::default();
    limits.links = 6;
    SwarmPeer::builder().overlay(overlay).limits(limits).route(Route::Overlay)
}

struct Relayed {
    /// The first trusts all others, and they it; they do not trust each other.
    peers: Vec<SwarmPeer>,
    taps: Vec<Tap>,
}

impl Relayed {
    async fn swarm(overlay: OverlayKind, security: Security) -> Self {
        let addresses = free_addresses(16);
        let (mut peers, mut taps) = (Vec::<SwarmPeer>::new(), Vec::new());
        for (at, address) in addresses.iter().enumerate() {
            let others = if at == 0 { &addresses[1..] } else { &addresses[..1] };
            let keys = key_file(*address, others, "", |other| (at + other) % 2 == 0);
            let tap = Tap::default();
            let peer = builder(overlay).security(security).trusted_keys(keys).hooks(tap.clone()).bind(*address).await.expect("a free port");
            if let Some(entry) = peers.last() {
                peer.connect(entry).await.expect("a member");
            }
            peers.push(peer);
            taps.push(tap);
        }
        Self { peers, taps }
    }

    async fn close(self) {
        for peer in self.peers {
            peer.close().await;
        }
    }

    /// Somebody to whom messages of `from` go over relays.
    async fn far_from(&self, from: usize) -> usize {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            for to in (1..self.peers.len()).filter(|to| *to != from) {
                let receipt = self.peers[from].send(&self.peers[to], "how far?").await.expect("delivered");
                self.peers[to].recv().await.expect("open");
                if receipt.hops().is_some_and(|hops| hops > 1) {
                    return to;
                }
            }
            sleep(Duration::from_millis(100)).await;
        }
        panic!("everybody is a neighbour");
    }

    /// Sends `secret` over relays, and says who of those that are neither end saw a piece of it.
    async fn spied(&self, from: usize, to: usize, secret: &[u8]) -> usize {
        let options = SendOptions::default().with_duplicates(2);
        let receipt = self.peers[from].send_with(&self.peers[to], secret.to_vec(), &options).await.expect("delivered");
        assert!(receipt.hops().is_some());
        assert_eq!(timeout(PATIENCE, self.peers[to].recv()).await.expect("it arrives").expect("open").data, secret);
        let relays = self.taps.iter().enumerate().filter(|(at, _)| *at != from && *at != to);
        relays.filter(|(_, tap)| tap.has_seen(secret)).count()
    }
}

async fn relays_see_nothing(overlay: OverlayKind) {
    let swarm = Relayed::swarm(overlay, Security::Full).await;
    // Two that trust each other, and two that have no keys for each other.
    for from in [0, 1] {
        let far = swarm.far_from(from).await;
        for (number, (from, to)) in [(from, far), (far, from)].into_iter().enumerate() {
            for length in [64, 100_000] {
                let secret = secret(length, number);
                assert_eq!(swarm.spied(from, to, &secret).await, 0, "{length} bytes");
            }
        }
    }
    swarm.close().await;
}

async fn the_taps_work(overlay: OverlayKind) {
    let swarm = Relayed::swarm(overlay, Security::Plain).await;
    let far = swarm.far_from(1).await;
    assert!(swarm.spied(1, far, &secret(64, 7)).await > 0);
    swarm.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_protection_relays_see_everything_which_is_the_control() {
    the_taps_work(OverlayKind::Ring).await;
    the_taps_work(OverlayKind::Tree).await;
}

fn secret(length: usize, number: usize) -> Vec<u8> {
    (0..length.div_ceil(32)).flat_map(|block| Hash::of(format!("secret {number} {block}")).to_bytes()).take(length).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn relays_of_the_ring_see_nothing_of_what_others_say() {
    relays_see_nothing(OverlayKind::Ring).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn relays_of_the_tree_see_nothing_of_what_others_say() {
    relays_see_nothing(OverlayKind::Tree).await;
}

/// Two peers with a link, and what each trusts the other with.
async fn two(keys: impl Fn([SocketAddr; 2]) -> [Option<TrustedKeys>; 2]) -> [SwarmPeer; 2] {
    let addresses = free_addresses(2);
    let addresses = [addresses[0], addresses[1]];
    let mut peers = Vec::new();
    for (address, keys) in addresses.into_iter().zip(keys(addresses)) {
        let builder = keys.map_or_else(SwarmPeer::builder, |keys| SwarmPeer::builder().trusted_keys(keys));
        peers.push(builder.bind(address).await.expect("a free port"));
    }
    peers[1].connect(&peers[0]).await.expect("a member");
    <[SwarmPeer; 2]>::try_from(peers).expect("two")
}

/// How one refuses what the other sends, and what the sender is told.
async fn refused(from: &SwarmPeer, to: &SwarmPeer) -> (Refusal, Refusal) {
    let mut events = to.events();
    let error = from.send(to, "in vain").await.expect_err("refused");
    assert!(error.to_string().contains(&to.id().to_string()), "it names the peer: {error}");
    let SendError::Refused { target, reason } = error else { panic!("{error}") };
    assert_eq!(target, to.id());
    loop {
        match timeout(PATIENCE, events.recv()).await.expect("it is told").expect("open") {
            Event::Refused { from: Some(origin), reason: here } if origin == from.id() => return (reason, here),
            _ => {}
        }
    }
}

#[tokio::test]
async fn keys_that_one_side_lacks_are_named_on_both_and_nothing_goes_through() {
    let [a, b] = two(|[a, b]| [Some(key_file(a, &[b], "", |_| true)), None]).await;
    assert_eq!(refused(&a, &b).await, (Refusal::NoPairKey, Refusal::NoPairKey));
    assert_eq!(refused(&b, &a).await, (Refusal::InTheClear, Refusal::InTheClear));
    nothing_arrived([a, b]).await;
}

#[tokio::test]
async fn keys_that_differ_are_named_on_both_sides_and_nothing_goes_through() {
    let [a, b] = two(|[a, b]| [Some(key_file(a, &[b], "", |_| true)), Some(key_file(b, &[a], "other", |_| true))]).await;
    for [from, to] in [[&a, &b], [&b, &a]] {
        assert_eq!(refused(from, to).await, (Refusal::OtherPairKey, Refusal::OtherPairKey));
    }
    nothing_arrived([a, b]).await;
}

#[tokio::test]
async fn a_file_that_was_not_mirrored_is_as_good_as_other_keys() {
    let same = |other: SocketAddr| {
        let text = format!(r#"{{"trusted_hosts": [{{"address": "{other}", "outbound_key": "one way", "inbound_key": "the other way"}}]}}"#);
        Some(TrustedKeys::parse(&text).expect("a key file"))
    };
    let [a, b] = two(|[a, b]| [same(b), same(a)]).await;
    assert_eq!(refused(&a, &b).await, (Refusal::OtherPairKey, Refusal::OtherPairKey));
    nothing_arrived([a, b]).await;
}

async fn nothing_arrived(peers: [SwarmPeer; 2]) {
    for peer in peers {
        peer.close().await;
        assert!(peer.recv().await.is_err(), "nothing was delivered");
    }
}

#[tokio::test]
async fn a_trusted_peer_that_starts_again_is_found_again_and_gets_each_message_once() {
    let addresses = free_addresses(3);
    let [a, b, c] = [addresses[0], addresses[1], addresses[2]];
    let first = builder(OverlayKind::Ring).trusted_keys(key_file(a, &[b], "", |_| true)).bind(a).await.expect("a free port");
    let other = builder(OverlayKind::Ring).bind(c).await.expect("a free port");
    other.connect(&first).await.expect("a member");
    for start in 0..3 {
        let second = builder(OverlayKind::Ring).trusted_keys(key_file(b, &[a], "", |_| true)).bind(b).await.expect("free again");
        second.connect(&other).await.expect("a member");
        for number in 0..5 {
            let text = format!("{start} {number}");
            first.send(b, text.clone()).await.expect("delivered");
            assert_eq!(second.recv().await.expect("open").data, text);
            second.send(a, text.clone()).await.expect("delivered");
            assert_eq!(first.recv().await.expect("open").data, text);
        }
        second.close().await;
        assert!(second.recv().await.is_err(), "nothing came twice");
    }
    for peer in [first, other] {
        peer.close().await;
    }
}

#[tokio::test]
async fn what_cannot_be_trusted_is_refused_before_a_peer_is_made() {
    let addresses = free_addresses(2);
    let own = key_file(addresses[1], &addresses[..1], "", |_| true);
    let error = SwarmPeer::builder().trusted_keys(own).bind(addresses[0]).await.expect_err("it is this peer");
    assert!(error.to_string().contains("names this peer itself"), "{error}");
    let text = r#"{"trusted_hosts": [{"address": "127.0.0.1", "outbound_key": "a", "inbound_key": "b"}]}"#;
    let nobody = TrustedKeys::parse(text).expect("a key file");
    let error = SwarmPeer::builder().trusted_keys(nobody).bind(addresses[0]).await.expect_err("nobody is known there");
    assert!(error.to_string().contains("write host:port"), "{error}");
}

/// For what takes moments on a machine that has nothing else to do.
const PATIENCE: Duration = Duration::from_secs(60);
