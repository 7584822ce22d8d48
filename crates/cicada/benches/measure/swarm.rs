//! Many peers in this process, joined and at rest.

use cicada::{Builder, Hooks, Limits, Message, OverlayKind, RemoteNode, SwarmPeer};
use std::{
    error::Error,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::{sync::mpsc, task::JoinSet, time};

/// How to make a swarm.
pub(crate) struct Plan {
    pub(crate) peers: usize,
    pub(crate) overlay: OverlayKind,
    pub(crate) limits: Limits,
    /// Whether to count what peers hand to their links. It costs a thread a peer, so that nothing else should be measured then.
    pub(crate) count_frames: bool,
    /// What is particular about a peer, by its number.
    pub(crate) build: fn(usize, Builder) -> Builder,
}

/// The peers, and what arrives at any of them.
pub(crate) struct Swarm {
    pub(crate) peers: Vec<SwarmPeer>,
    pub(crate) arrivals: mpsc::UnboundedReceiver<Arrival>,
    /// What each peer handed to its links; empty if that is not counted.
    pub(crate) handed: Vec<Arc<Handed>>,
    readers: JoinSet<()>,
}

/// A message that reached an application.
pub(crate) struct Arrival {
    pub(crate) peer: usize,
    pub(crate) at: Instant,
    pub(crate) message: Message,
}

/// How many blocks of payload a peer handed to its links.
#[derive(Default)]
pub(crate) struct Handed(AtomicU64);

impl Swarm {
    /// Makes the peers and joins each by one that joined before. Returns when all have.
    pub(crate) async fn join(plan: &Plan, random: &mut Random) -> Result<Self, Box<dyn Error>> {
        let (told, arrivals) = mpsc::unbounded_channel();
        let mut swarm = Self { peers: Vec::new(), arrivals, handed: Vec::new(), readers: JoinSet::new() };
        for index in 0..plan.peers {
            let mut builder = (plan.build)(index, SwarmPeer::builder().overlay(plan.overlay).limits(plan.limits.clone()));
            if plan.count_frames {
                let handed = Arc::new(Handed::default());
                swarm.handed.push(Arc::clone(&handed));
                builder = builder.hooks(Counter(handed));
            }
            let peer = builder.bind(("127.0.0.1", 0)).await?;
            if let Some(entry) = random.pick(&swarm.peers) {
                peer.connect(entry.listener()).await?;
            }
            let (reader, told) = (peer.clone(), told.clone());
            swarm.readers.spawn(async move {
                while let Ok(message) = reader.recv().await {
                    // The swarm that listens may be gone already.
                    let _ = told.send(Arrival { peer: index, at: Instant::now(), message });
                }
            });
            swarm.peers.push(peer);
        }
        Ok(swarm)
    }

    /// Waits until no table has changed for three seconds, two minutes at most.
    pub(crate) async fn settle(&self) {
        let known = || self.peers.iter().map(|peer| peer.peers().len()).sum::<usize>();
        let deadline = Instant::now() + Duration::from_secs(120);
        let (mut last, mut quiet_since) = (known(), Instant::now());
        while quiet_since.elapsed() < Duration::from_secs(3) && Instant::now() < deadline {
            time::sleep(Duration::from_millis(100)).await;
            if known() != last {
                (last, quiet_since) = (known(), Instant::now());
            }
        }
    }

    pub(crate) async fn close(mut self) {
        for peer in &self.peers {
            peer.close().await;
        }
        while self.readers.join_next().await.is_some() {}
    }
}

impl Handed {
    pub(crate) fn bytes(&self) -> u64 {
        self.0.load(Ordering::Relaxed) * BLOCK_BYTES as u64
    }
}

struct Counter(Arc<Handed>);

impl Hooks for Counter {
    fn send(&self, _to: &RemoteNode, frame: &[u8]) {
        self.0.0.fetch_add(blocks(frame), Ordering::Relaxed);
    }
}

/// A payload of which each block can be recognised wherever it turns up: a mark, the payload's number, the block's.
pub(crate) fn payload(number: u64, bytes: usize) -> Vec<u8> {
    let mut payload = Vec::with_capacity(bytes + BLOCK_BYTES);
    let mut block = 0_u64;
    while payload.len() < bytes {
        payload.extend_from_slice(&number.to_le_bytes());
        payload.extend_from_slice(&MARK);
        payload.extend_from_slice(&block.to_le_bytes());
        payload.resize(payload.len() + BLOCK_BYTES - 24, block as u8);
        block += 1;
    }
    payload.truncate(bytes);
    payload
}

/// How many blocks begin in a frame. From one to the next is a step, so that most of a long frame is not even looked at.
fn blocks(frame: &[u8]) -> u64 {
    let (mut at, mut found) = (0, 0);
    while let Some(rest) = frame.get(at..).filter(|rest| rest.len() >= MARK.len()) {
        if rest.starts_with(&MARK) {
            found += 1;
            at += BLOCK_BYTES;
        } else {
            let next = rest[1..].iter().position(|byte| *byte == MARK[0]);
            at += 1 + next.unwrap_or(rest.len());
        }
    }
    found
}

/// The same numbers in each run: splitmix64.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((word ^ (word >> 31)) % bound as u64) as usize
    }

    pub(crate) fn pick<'a, T>(&mut self, from: &'a [T]) -> Option<&'a T> {
        if from.is_empty() { None } else { Some(&from[self.below(from.len())]) }
    }
}

const BLOCK_BYTES: usize = 64;

/// Not text, and nothing that a header holds but by an odd chance.
const MARK: [u8; 8] = [0xc1, 0xca, 0xda, 0x5e, 0xed, 0xf1, 0x9e, 0xb1];
