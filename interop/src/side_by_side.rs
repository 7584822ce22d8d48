//! What the crate and ours cost, side by side. Prints a figure a line, as scripts/bench reads them.
//!
//! Wants a loopback interface of its own (netlab/in-a-box), where what crosses it is counted.

use crate::{
    casts::{Cast, Outcome, Patience, cast_all, percentile},
    lab::{Kind, Lab, Plan, Result},
    mixed::until_filled,
    traffic::{self, traffic, until_calm},
};
use std::time::Duration;

/// What one network cost.
struct Costs {
    join_datagrams: f64,
    sizes: Vec<Cost>,
}

struct Cost {
    size: usize,
    outcome: Outcome,
    cpu_ms: f64,
    ip_bytes: f64,
}

pub fn side_by_side(size: usize) -> Result<bool> {
    traffic::must_be_ours_alone()?;
    let crates = costs(Kind::Crate, size)?;
    let ours = costs(Kind::Ours, size)?;
    let peers = format!("{size} peers");
    both(&format!("{peers}: datagrams at join"), "datagrams", crates.join_datagrams, ours.join_datagrams, true);
    for (theirs, ours) in crates.sizes.iter().zip(&ours.sizes) {
        let name = |what: &str| format!("{peers}, {} kB: {what}", ours.size / 1000);
        let per_mb = |cost: &Cost, amount: f64| amount / (cost.outcome.delivered as f64 * cost.size as f64 / 1e6);
        both(&name("delivered"), "%", theirs.outcome.share() * 100.0, ours.outcome.share() * 100.0, false);
        both(&name("CPU per delivered MB"), "ms", per_mb(theirs, theirs.cpu_ms), per_mb(ours, ours.cpu_ms), true);
        both(&name("IP bytes per delivered byte"), "B", per_mb(theirs, theirs.ip_bytes) / 1e6, per_mb(ours, ours.ip_bytes) / 1e6, true);
        both(&name("everywhere after, median"), "ms", everywhere(theirs), everywhere(ours), true);
        both(&name("half of the peers after"), "ms", theirs.outcome.percentile(0.5), ours.outcome.percentile(0.5), false);
    }
    Ok(true)
}

/// The costs of ours without the crate's.
pub fn ours_alone(size: usize) -> Result<bool> {
    let costs = costs(Kind::Ours, size)?;
    for cost in &costs.sizes {
        let per_mb = |amount: f64| amount / (cost.outcome.delivered as f64 * cost.size as f64 / 1e6);
        let (cpu_ms, bytes, everywhere) = (per_mb(cost.cpu_ms), per_mb(cost.ip_bytes) / 1e6, everywhere(cost));
        println!("{} B: {cpu_ms:.2} ms CPU per MB, {bytes:.2} IP bytes per byte, everywhere after {everywhere:.0} ms", cost.size);
    }
    Ok(true)
}

/// Until all had it; where that never happened, until 99 % of those had it that got it.
fn everywhere(cost: &Cost) -> f64 {
    if cost.outcome.complete_ms.is_empty() { cost.outcome.percentile(0.99) } else { percentile(&cost.outcome.complete_ms, 0.5) }
}

fn both(name: &str, unit: &str, theirs: f64, ours: f64, promised: bool) {
    let figure = |name: String, value: f64, unit: &str, max: Option<f64>| {
        let mut line = serde_json::json!({"bench": "kadcast", "name": name, "value": (value * 100.0).round() / 100.0, "unit": unit});
        if let Some(max) = max {
            line["max"] = max.into();
        }
        println!("{line}");
    };
    figure(format!("{name}: the crate"), theirs, unit, None);
    figure(format!("{name}: ours"), ours, unit, None);
    if promised {
        figure(format!("{name}: ours by the crate's"), ours / theirs, "ratio", Some(0.5));
    }
}

fn costs(kind: Kind, size: usize) -> Result<Costs> {
    let mut plan = Plan::of(kind, size);
    (plan.per_process, plan.digests) = (1, false);
    let before = traffic()?;
    let mut lab = Lab::start(&plan)?;
    until_filled(&mut lab, Duration::from_secs(10))?;
    until_calm()?;
    let join_datagrams = (traffic()?.packets - before.packets) as f64;
    let mut sizes = Vec::new();
    for (number, (size_of_message, messages)) in SIZES.into_iter().enumerate() {
        let cast = |cast: usize| Cast { by: (cast * 11 + number) % size, size: size_of_message, seed: (number * 1000 + cast) as u64 };
        let casts: Vec<Cast> = (0..messages).map(cast).collect();
        let (cpu, traffic_before) = (lab.cpu(kind)?, traffic()?);
        let each = cast_all(&mut lab, &casts, PATIENCE)?;
        until_calm()?;
        let (cpu_after, traffic_after) = (lab.cpu(kind)?, traffic()?);
        sizes.push(Cost {
            size: size_of_message,
            outcome: Outcome::sum(each.iter().map(|both| &both[kind as usize])),
            cpu_ms: (cpu_after.0 - cpu.0) as f64,
            ip_bytes: (traffic_after.bytes - traffic_before.bytes) as f64,
        });
    }
    eprintln!("{} peers of {}: {} MiB resident", size, kind.name(), lab.cpu(kind)?.1 / 1024);
    Ok(Costs { join_datagrams, sizes })
}

/// How long messages are, and how many of them.
const SIZES: [(usize, usize); 2] = [(100_000, 30), (1_000_000, 7)];

const PATIENCE: Patience = Patience { each: Duration::from_secs(10), quiet: Duration::from_secs(2) };
