//! A peer with a state directory remembers members, and comes back by them when it has no link.

use super::{Driver, Stage};
use crate::{
    start::wall_time,
    state::{State, StateError},
    wish::Waiting,
};
use cicada_proto::{
    Command, ConnectError, Input,
    known::{Known, Rejoin},
};
use cicada_wire::Address;
use rand_chacha::ChaCha8Rng;
use std::time::Duration;
use tokio::{
    task::{JoinHandle, spawn_blocking},
    time::Instant as Clock,
};

/// What is remembered, and when it is written down.
pub(crate) struct Memory {
    state: State,
    known: Known,
    rejoin: Rejoin,
    rng: ChaCha8Rng,
    /// The entry points of the attempt under way.
    trying: Option<Vec<Address>>,
    /// When what changed is written; `None` if nothing did.
    write_at: Option<Clock>,
    written: Option<Clock>,
    writing: Option<JoinHandle<Result<(), StateError>>>,
}

impl Memory {
    pub(crate) fn new(state: State, known: Known, rng: ChaCha8Rng) -> Self {
        Self { state, known, rejoin: Rejoin::default(), rng, trying: None, write_at: None, written: None, writing: None }
    }

    /// The members known from before, the oldest first.
    pub(crate) fn members(&self) -> Vec<Address> {
        self.known.ranked()
    }

    /// Something changed: it is written soon, but not with every change.
    fn changed(&mut self) {
        let earliest = self.written.map_or_else(Clock::now, |written| written + BETWEEN_WRITES);
        self.write_at.get_or_insert(earliest.max(Clock::now() + SOON));
    }

    fn write(&mut self) {
        if self.writing.as_ref().is_some_and(|writing| !writing.is_finished()) {
            // A slow disk: not two at once.
            self.write_at = Some(Clock::now() + SOON);
            return;
        }
        self.known.note_time(wall_time());
        let (state, text) = (self.state.clone(), self.known.to_text());
        (self.write_at, self.written) = (None, Some(Clock::now()));
        self.writing =
            Some(spawn_blocking(move || state.keep_members(&text).inspect_err(|error| tracing::warn!(%error, "members not kept"))));
    }
}

impl Driver {
    /// Does what is due: comes back, writes down.
    pub(super) fn recollect(&mut self) {
        let now = self.now();
        let linked = self.node.links().members().next().is_some();
        let own = self.node.me().record.announced();
        let Some(memory) = self.memory.as_mut().filter(|_| self.stage == Stage::Running) else { return };
        if memory.write_at.is_some_and(|at| at <= Clock::now()) {
            memory.write();
        }
        // The application's own joins come first.
        let joining = self.waiting.values().any(|waiting| matches!(waiting, Waiting::Connect(_) | Waiting::Rejoin));
        if !memory.rejoin.is_due(now, linked, joining) {
            return;
        }
        let addresses = memory.known.choose(&mut memory.rng, own);
        if addresses.is_empty() {
            return memory.rejoin.failed(now, &mut memory.rng);
        }
        tracing::info!(?addresses, "coming back by members known from before");
        memory.trying = Some(addresses.clone());
        let operation = self.wait(Waiting::Rejoin);
        self.handle(Input::Command(Command::Connect { operation, addresses, timeout: ATTEMPT }));
    }

    /// When to call [`Self::recollect`] at the latest.
    pub(super) fn next_recollection(&self) -> Option<Clock> {
        let memory = self.memory.as_ref()?;
        let rejoin = memory.rejoin.next_timeout().map(|at| self.started + Duration::from_micros(at.0));
        [rejoin, memory.write_at].into_iter().flatten().min()
    }

    pub(super) fn on_rejoin(&mut self, result: Result<(), ConnectError>) {
        let now = self.now();
        let Some(memory) = &mut self.memory else { return };
        let tried = memory.trying.take().unwrap_or_default();
        if let Err(error) = result {
            tracing::debug!(%error, "not back yet");
            memory.known.failed(&tried);
            memory.rejoin.failed(now, &mut memory.rng);
        }
    }

    pub(super) fn remember(&mut self, record: &cicada_wire::SignedRecord) {
        let Some(memory) = &mut self.memory else { return };
        if let Some(address) = record.announced() {
            memory.known.joined(wall_time(), address, record.key());
            memory.changed();
        }
    }

    pub(super) fn remember_leaving(&mut self, peer: cicada_wire::Hash) {
        let address = self.known.get(&peer).and_then(crate::RemoteNode::address).and_then(|address| Address::new(address).ok());
        let (Some(memory), Some(address)) = (&mut self.memory, address) else { return };
        memory.known.left(wall_time(), address);
        memory.changed();
    }

    /// The last words to the disk; the lock is let go.
    pub(super) async fn end_memory(&mut self) {
        let Some(mut memory) = self.memory.take() else { return };
        if let Some(writing) = memory.writing.take() {
            // Its failure was told.
            let _ = writing.await;
        }
        memory.write();
        if let Some(writing) = memory.writing.take() {
            let _ = writing.await;
        }
    }
}

/// After a change; several changes are one write.
const SOON: Duration = Duration::from_secs(1); // guess

const BETWEEN_WRITES: Duration = Duration::from_secs(30); // guess: a crash costs no more than the last half minute

/// How long one attempt to come back may take.
const ATTEMPT: Duration = Duration::from_secs(10); // as long as the documented timeout of a join
