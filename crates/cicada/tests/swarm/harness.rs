//! A swarm, and an oracle that knows all of its ids.

use cicada::{BroadcastOptions, Builder, Hash, Limits, Message, OverlayKind, Refusal, RemoteNode, Route, SwarmPeer};
use cicada_proto::Geometry;
use std::{collections::BTreeMap, time::Duration};
use tokio::{
    task::JoinSet,
    time::{Instant, timeout},
};

/// How many peers.
pub(crate) const SIZE: usize = 64;

/// The most links of a peer, both directions counted.
pub(crate) const LINKS: usize = 16;

/// How long a swarm may take for what it should do in 3 s, on a machine that does other things as well.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) struct Swarm {
    pub(crate) peers: Vec<SwarmPeer>,
    pub(crate) geometry: Geometry,
}

/// 1 KiB that begins with `text`.
pub(crate) fn payload(text: &str) -> Vec<u8> {
    let mut payload = text.as_bytes().to_vec();
    payload.resize(1024, b' ');
    payload
}

pub(crate) fn geometry(overlay: OverlayKind) -> Geometry {
    overlay.into()
}

pub(crate) fn builder(overlay: OverlayKind) -> Builder {
    let mut limits = Limits::default();
    limits.links = LINKS;
    // The test beside this one may get the port of a peer that was killed here.
    SwarmPeer::builder().swarm(format!("test {}", std::process::id())).overlay(overlay).limits(limits).route(Route::Overlay)
}

pub(crate) async fn peer(overlay: OverlayKind) -> SwarmPeer {
    builder(overlay).bind(("127.0.0.1", 0)).await.expect("loopback has a free port")
}

impl Swarm {
    /// A settled swarm of `size` peers, which joined by various others, and so fast that links are still being made and given up.
    pub(crate) async fn of(overlay: OverlayKind, size: usize) -> Self {
        Self::made(overlay, size, |_, builder| builder).await
    }

    /// The same; each peer is built as `build` says.
    pub(crate) async fn made(overlay: OverlayKind, size: usize, build: impl Fn(usize, Builder) -> Builder) -> Self {
        let mut swarm = Self { peers: Vec::new(), geometry: geometry(overlay) };
        let started = Instant::now();
        for index in 0..size {
            let peer = build(index, builder(overlay)).bind(("127.0.0.1", 0)).await.expect("loopback has a free port");
            if index > 0 {
                peer.connect(&swarm.peers[index / 2]).await.expect("a member");
            }
            swarm.peers.push(peer);
        }
        let joined = Instant::now();
        swarm.settle().await;
        println!("{overlay}: {size} joined in {:?}, settled {:?} after the last", joined - started, joined.elapsed());
        swarm
    }

    /// How many copies of broadcasts each peer has sent so far.
    pub(crate) async fn copies(&self) -> Vec<u64> {
        let mut copies = Vec::new();
        for peer in &self.peers {
            copies.push(peer.metrics().await.expect("open").broadcasts.copies_sent);
        }
        copies
    }

    /// How often anything was refused for this reason.
    pub(crate) async fn refused(&self, reason: Refusal) -> u64 {
        let mut times = 0;
        for peer in &self.peers {
            times += peer.metrics().await.expect("open").refusals.of(reason);
        }
        times
    }

    /// Waits until every peer answers as the oracle does and keeps doing so.
    pub(crate) async fn settle(&self) {
        let deadline = Instant::now() + PATIENCE;
        let mut right = 0;
        while right < 2 {
            let wrong = self.wrong_lookups().await;
            right = if wrong.is_empty() { right + 1 } else { 0 };
            assert!(Instant::now() < deadline, "not settled: {} wrong lookups, such as {}", wrong.len(), wrong[0]);
        }
    }

    /// Each peer looks up its own id's neighbourhood and one key of its own.
    async fn wrong_lookups(&self) -> Vec<String> {
        let mut lookups = JoinSet::new();
        for (index, peer) in self.peers.iter().enumerate() {
            for key in [Hash::of(format!("key {index}")), self.peers[(index * 5 + 1) % self.peers.len()].id()] {
                let (peer, owner) = (peer.clone(), self.owner(key));
                lookups.spawn(async move {
                    match peer.lookup(key).await {
                        Ok(found) if found.responsible.first().map(RemoteNode::id) == Some(owner) => None,
                        Ok(found) => Some(format!("{peer:?} finds {:?} for {key:?} instead of {owner:?}", found.responsible.first())),
                        Err(error) => Some(format!("{peer:?}, {key:?}: {error}")),
                    }
                });
            }
        }
        lookups.join_all().await.into_iter().flatten().collect()
    }

    /// Who is responsible for a key.
    pub(crate) fn owner(&self, key: Hash) -> Hash {
        let ids = self.peers.iter().map(SwarmPeer::id);
        // On the ring the first peer at or after the key, on the tree the nearest.
        ids.min_by_key(|id| self.geometry.offset(key, *id)).expect("a swarm has peers")
    }

    /// Receives `count` messages at every peer but those left out; panics if any is late. Nothing more may come.
    pub(crate) async fn receive_everywhere(&self, count: usize, but: &[usize]) -> BTreeMap<usize, Vec<Message>> {
        let mut receiving = JoinSet::new();
        for (index, peer) in self.peers.iter().enumerate().filter(|(index, _)| !but.contains(index)) {
            let peer = peer.clone();
            receiving.spawn(async move {
                let mut messages = Vec::new();
                while messages.len() < count {
                    match timeout(PATIENCE, peer.recv()).await {
                        Ok(message) => messages.push(message.expect("open")),
                        Err(_) => break,
                    }
                }
                (index, messages)
            });
        }
        let received: BTreeMap<usize, Vec<Message>> = receiving.join_all().await.into_iter().collect();
        for (index, messages) in &received {
            assert_eq!(messages.len(), count, "peer {index} got {:?}", messages.iter().map(|message| message.id).collect::<Vec<_>>());
        }
        self.nothing_more().await;
        received
    }

    /// Nothing waits at any peer, and nothing comes for a moment.
    pub(crate) async fn nothing_more(&self) {
        let more = async {
            let mut receiving = JoinSet::new();
            for peer in &self.peers {
                let peer = peer.clone();
                receiving.spawn(async move { peer.recv().await });
            }
            receiving.join_next().await.expect("there are peers").expect("no panic")
        };
        // Absence can only be waited for.
        if let Ok(message) = timeout(Duration::from_millis(200), more).await {
            panic!("more than was sent: {message:?}");
        }
    }

    pub(crate) async fn broadcast(&self, from: usize, text: &str) {
        self.peers[from].broadcast(payload(text), &BroadcastOptions::default()).await.expect("not too large");
    }

    pub(crate) async fn close(self) {
        let mut closing = JoinSet::new();
        for peer in self.peers {
            closing.spawn(async move { peer.close().await });
        }
        closing.join_all().await;
    }
}

/// A sequence without pattern, the same in every run.
pub(crate) struct Numbers(pub(crate) u64);

impl Numbers {
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        // Knuth's MMIX generator; its high bits are good enough here.
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % bound
    }
}
