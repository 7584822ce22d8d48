//! Peers that are killed without goodbye.

use std::sync::Arc;
use std::time::Instant;

use cicada::{BindError, Builder, SwarmPeer};
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

use super::ledger::Ledger;
use super::report::Report;
use super::{Chance, LOOPBACK, PATIENCE, traffic};
use crate::failure::Failure;

/// Where peers run that will be killed: when it ends, they stop where they are, without a last packet.
pub(super) struct Doomed(Option<Runtime>);

impl Doomed {
    pub(super) fn new() -> Result<Self, Failure> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        Ok(Self(Some(runtime.map_err(|error| Failure::failed(format!("no threads: {error}")))?)))
    }

    pub(super) async fn bind(&self, builder: Builder) -> Result<Result<SwarmPeer, BindError>, Failure> {
        let runtime = self.0.as_ref().expect("taken away only in the end");
        let bound = runtime.spawn(async move { builder.bind((LOOPBACK, 0)).await }).await;
        bound.map_err(|error| Failure::failed(error.to_string()))
    }
}

impl Drop for Doomed {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

/// Kills those in `doomed`, and measures how long it takes until all others reach each other again.
pub(super) async fn kill(
    doomed: Doomed,
    peers: &[SwarmPeer],
    before: usize,
    ledger: &Arc<Ledger>,
    chance: &mut Chance,
    report: &mut Report,
) -> Result<(), Failure> {
    drop(doomed);
    if peers.len() == before {
        return Ok(());
    }
    let begun = Instant::now();
    let asked = peers.len() * peers.len().saturating_sub(1).min(STEPS);
    let mut reached = 0;
    for round in 0.. {
        reached = pairs_in_reach(round, peers, ledger).await;
        if reached == asked || begun.elapsed() > PATIENCE {
            break;
        }
    }
    let killed = before - peers.len();
    let detail = format!("pairs that reach each other without the {killed} that were killed");
    report.row("a quarter killed without goodbye", asked, reached, reached == asked, begun.elapsed(), &detail)?;
    traffic::broadcast(peers, "1 KiB afterwards", 1024, ledger, chance, report).await
}

/// Each peer sends to some others, all at once: how many messages arrived.
async fn pairs_in_reach(round: usize, peers: &[SwarmPeer], ledger: &Arc<Ledger>) -> usize {
    let mut sending = JoinSet::new();
    for (index, from) in peers.iter().enumerate() {
        for step in 1..=peers.len().saturating_sub(1).min(STEPS) {
            let to = (index + step * step) % peers.len();
            let to = if to == index { (index + 1) % peers.len() } else { to };
            let (from, to, ledger) = (from.clone(), (to, peers[to].clone()), Arc::clone(ledger));
            let text = format!("alive? {round}, {index}, {step}");
            sending.spawn(async move { traffic::one_way(text, &from, &to, &ledger).await.is_some() });
        }
    }
    sending.join_all().await.into_iter().filter(|reached| *reached).count()
}

/// To how many others each peer sends in a round. Guess: every peer is sent to several times.
const STEPS: usize = 8;
