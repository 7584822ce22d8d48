//! Who was to receive what, and who did.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use bytes::Bytes;
use cicada::SwarmPeer;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

/// Written to by one listener a peer and by those who send; hence the lock, never held across a wait.
pub(super) struct Ledger {
    texts: Mutex<BTreeMap<Bytes, Text>>,
    changed: Notify,
}

#[derive(Default)]
struct Text {
    expected: BTreeSet<usize>,
    /// How often it arrived, by peer.
    arrived: BTreeMap<usize, usize>,
}

impl Text {
    fn rightly_arrived(&self) -> usize {
        self.expected.iter().filter(|peer| self.arrived.contains_key(peer)).count()
    }

    fn strays(&self) -> usize {
        let excess = |(peer, times): (&usize, &usize)| if self.expected.contains(peer) { times - 1 } else { *times };
        self.arrived.iter().map(excess).sum()
    }
}

impl Ledger {
    /// Listens to every peer until it closes.
    pub(super) fn listen(peers: &[SwarmPeer]) -> Arc<Self> {
        let ledger = Arc::new(Self { texts: Mutex::default(), changed: Notify::new() });
        for (index, peer) in peers.iter().cloned().enumerate() {
            let ledger = ledger.clone();
            tokio::spawn(async move {
                while let Ok(message) = peer.recv().await {
                    ledger.note(index, message.data);
                }
            });
        }
        ledger
    }

    /// Says beforehand who is to receive a text.
    pub(super) fn expect(&self, data: Bytes, peers: impl IntoIterator<Item = usize>) {
        self.texts().entry(data).or_default().expected.extend(peers);
    }

    /// Waits until all who are to receive a text have it; `false` when the time is over.
    pub(super) async fn arrived(&self, data: &Bytes, patience: Duration) -> bool {
        let deadline = Instant::now() + patience;
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if self.texts().get(data).is_some_and(|text| text.rightly_arrived() == text.expected.len()) {
                return true;
            }
            if timeout_at(deadline, changed).await.is_err() {
                return false;
            }
        }
    }

    /// How many of those who are to receive a text have it.
    pub(super) fn count(&self, data: &Bytes) -> usize {
        self.texts().get(data).map_or(0, Text::rightly_arrived)
    }

    /// How many deliveries there were too many: to a wrong peer, or again to a right one.
    pub(super) fn strays(&self) -> usize {
        self.texts().values().map(Text::strays).sum()
    }

    fn note(&self, peer: usize, data: Bytes) {
        *self.texts().entry(data).or_default().arrived.entry(peer).or_default() += 1;
        self.changed.notify_waiters();
    }

    fn texts(&self) -> MutexGuard<'_, BTreeMap<Bytes, Text>> {
        self.texts.lock().expect("nobody panics while holding it")
    }
}
