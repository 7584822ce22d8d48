//! The gate in the shell: it is asked about everybody who knocks and dials, and is told when their tasks end, however they do.

use cicada_proto::{
    Instant, Refusals,
    config::Limits,
    gate::{Gate, Knock, Progress},
    lists::{AccessList, Ban, Who},
};
use cicada_wire::{PublicKey, Refusal};
use quinn::Incoming;
use std::{
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::time::Instant as Clock;

/// The gate with its clock. A lock, since the tasks of handshakes and links end in their own time, also by being aborted; held for
/// a look at a few maps.
pub(crate) struct Entrance {
    gate: Mutex<Gate>,
    started: Clock,
}

/// A place behind the gate, given back when dropped.
pub(crate) struct Passage {
    entrance: Arc<Entrance>,
    ip: IpAddr,
    progress: Progress,
}

impl Entrance {
    pub(crate) fn new(limits: Limits, lists: AccessList) -> Arc<Self> {
        Arc::new(Self { gate: Mutex::new(Gate::new(Instant(0), limits, lists)), started: Clock::now() })
    }

    fn gate(&self) -> MutexGuard<'_, Gate> {
        self.gate.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> Instant {
        Instant(u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX))
    }

    /// Lets somebody in who knocks, or deals with it otherwise.
    pub(crate) fn knock(self: &Arc<Self>, incoming: Incoming) -> Option<(Incoming, Passage)> {
        let ip = incoming.remote_address().ip();
        let proven = incoming.remote_address_validated() || !incoming.may_retry();
        match self.gate().knock(self.now(), ip, proven) {
            Knock::Enter => Some((incoming, Passage { entrance: Arc::clone(self), ip, progress: Progress::HalfOpen })),
            Knock::Prove => {
                // Just asked whether it may.
                let _ = incoming.retry();
                None
            }
            Knock::Refuse(reason) => {
                tracing::trace!(%ip, %reason, "knock refused");
                incoming.refuse();
                None
            }
        }
    }

    /// Whether to dial there.
    pub(crate) fn may_dial(&self, ip: IpAddr) -> Result<(), Refusal> {
        self.gate().check_address(self.now(), ip)
    }

    /// Whether to have to do with who has shown this key.
    pub(crate) fn check_key(&self, ip: IpAddr, key: PublicKey) -> Result<(), Refusal> {
        self.gate().check_key(self.now(), ip, key)
    }

    pub(crate) fn ban(&self, who: Who, span: Option<Duration>) {
        self.gate().ban(self.now(), who, span);
    }

    pub(crate) fn unban(&self, who: &Who) -> bool {
        self.gate().unban(self.now(), who)
    }

    pub(crate) fn banned(&self) -> Vec<Ban> {
        self.gate().banned(self.now())
    }

    pub(crate) fn refusals(&self) -> Refusals {
        self.gate().refusals().clone()
    }

    pub(crate) fn half_open(&self) -> usize {
        self.gate().half_open()
    }
}

impl Passage {
    /// The link stands.
    pub(crate) fn linked(&mut self) {
        self.entrance.gate().linked();
        self.progress = Progress::Linked;
    }
}

impl Drop for Passage {
    fn drop(&mut self) {
        self.entrance.gate().free(self.ip, self.progress);
    }
}
