//! Messages between pairs and to everybody.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use cicada::{BroadcastOptions, SwarmPeer};
use tokio::task::JoinSet;

use super::ledger::Ledger;
use super::report::Report;
use super::{Chance, LINKS, PATIENCE};
use crate::failure::Failure;

/// One message there and one back between peers chosen by chance, over the overlay's links only.
pub(super) async fn exchange(
    peers: &[SwarmPeer],
    pairs: u32,
    ledger: &Arc<Ledger>,
    chance: &mut Chance,
    report: &mut Report,
) -> Result<(), Failure> {
    let begun = Instant::now();
    let asked = pairs as usize;
    let progress = report.progress("exchange", asked);
    let mut under_way = JoinSet::new();
    let mut ended = Vec::new();
    for number in 0..asked {
        let (from, to) = chance.pair(peers.len());
        if under_way.len() == AT_ONCE {
            ended.extend(under_way.join_next().await);
            progress.inc(1);
        }
        let (from, to, ledger) = ((from, peers[from].clone()), (to, peers[to].clone()), ledger.clone());
        under_way.spawn(async move { there_and_back(number, from, to, &ledger).await });
    }
    while let Some(one) = under_way.join_next().await {
        ended.push(one);
        progress.inc(1);
    }
    progress.finish_and_clear();
    let done: Vec<[usize; 2]> = ended.into_iter().filter_map(|one| one.ok().flatten()).collect();
    let hops = done.as_flattened();
    let mean = hops.iter().sum::<usize>() as f64 / hops.len().max(1) as f64;
    let detail = format!("{mean:.2} hops on average: {}", distribution(hops));
    report.row("message and answer, random pairs", asked, done.len(), done.len() == asked, begun.elapsed(), &detail)
}

/// How many messages took how many hops.
fn distribution(hops: &[usize]) -> String {
    let mut counts = BTreeMap::new();
    for hops in hops {
        *counts.entry(hops).or_insert(0) += 1;
    }
    let counts: Vec<String> = counts.into_iter().map(|(hops, count)| format!("{count} took {hops}")).collect();
    counts.join(", ")
}

/// The hops of both ways, if both texts arrived and both receipts came back.
async fn there_and_back(number: usize, from: (usize, SwarmPeer), to: (usize, SwarmPeer), ledger: &Ledger) -> Option<[usize; 2]> {
    let there = one_way(format!("question {number}"), &from.1, &to, ledger).await?;
    let back = one_way(format!("answer {number}"), &to.1, &from, ledger).await?;
    Some([there, back])
}

pub(super) async fn one_way(text: String, from: &SwarmPeer, to: &(usize, SwarmPeer), ledger: &Ledger) -> Option<usize> {
    let data = Bytes::from(text);
    ledger.expect(data.clone(), [to.0]);
    let receipt = from.send(to.1.id(), data.clone()).await.ok()?;
    ledger.arrived(&data, PATIENCE).await.then_some(())?;
    receipt.hops().filter(|_| receipt.acked)
}

/// Coverage, time and copies of one broadcast.
pub(super) async fn broadcast(
    peers: &[SwarmPeer],
    size: &str,
    length: usize,
    ledger: &Ledger,
    chance: &mut Chance,
    report: &mut Report,
) -> Result<(), Failure> {
    let origin = chance.below(peers.len());
    let data: Bytes = std::iter::repeat_with(|| chance.next().to_le_bytes()).flatten().take(length).collect();
    ledger.expect(data.clone(), (0..peers.len()).filter(|peer| *peer != origin));
    let copies = copies_received(peers).await?;
    let begun = Instant::now();
    let sent = peers[origin].broadcast(data.clone(), &BroadcastOptions::default()).await;
    let complete = sent.is_ok() && ledger.arrived(&data, PATIENCE).await;
    let (took, asked) = (begun.elapsed(), peers.len() - 1);
    let copies = (copies_received(peers).await? - copies) as f64 / asked as f64;
    let detail = format!("peers that have it, after {copies:.2} copies each");
    report.row(&format!("broadcast of {size}"), asked, ledger.count(&data), complete, took, &detail)
}

/// Bodies of broadcasts that have come to all peers together.
async fn copies_received(peers: &[SwarmPeer]) -> Result<u64, Failure> {
    let mut copies = 0;
    for peer in peers {
        copies += peer.metrics().await.map_err(|error| Failure::failed(error.to_string()))?.broadcasts.copies_received;
    }
    Ok(copies)
}

/// The links that the tables tell of; those of the busiest peer count.
pub(super) async fn count_links(peers: &[SwarmPeer], report: &mut Report) -> Result<(), Failure> {
    let mut most = 0;
    for peer in peers {
        let table = peer.table().await.map_err(|error| Failure::failed(error.to_string()))?;
        // A small ring lists a peer as successor and predecessor at once.
        let linked: BTreeSet<_> = table.entries.iter().filter(|entry| entry.linked).map(|entry| entry.record.id()).collect();
        most = most.max(linked.len());
    }
    report.row("links of a peer, at most", LINKS, most, (1..=LINKS).contains(&most), Duration::ZERO, "")
}

/// Exchanges under way at once. Guess: busy, and far from every queue's limit.
const AT_ONCE: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_distribution_counts_each_number_of_hops_from_the_fewest() {
        assert_eq!(distribution(&[2, 1, 2, 3, 2]), "1 took 1, 3 took 2, 1 took 3");
    }
}
