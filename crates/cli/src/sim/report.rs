//! What came of an experiment, as lines for people or one JSON object for programs.

use std::time::Duration;

use cicada_sim::experiment::{Outcome, Plan, Spread, Workload};
use cicada_sim::{Kind, OverlayKind};
use serde_json::{Map, Value, json};

use super::{line, milliseconds};
use crate::failure::Failure;
use crate::output;

/// What the computation took in reality: the only figures that differ from one run to the next.
pub(super) struct Real {
    pub(super) took: Duration,
    pub(super) memory_bytes: Option<u64>,
}

pub(super) fn print(plan: &Plan, outcome: &Outcome, real: &Real, as_json: bool) -> Result<(), Failure> {
    if as_json {
        return Ok(output::line(&object(plan, outcome, real).to_string())?);
    }
    line(&title(plan))?;
    line("")?;
    for (name, value) in rows(plan, outcome) {
        line(format!("{name:<18} {value}").trim_end())?;
    }
    let memory = real.memory_bytes.map_or_else(String::new, |bytes| format!(", at most {} MiB", bytes >> 20));
    let per_second = outcome.events as f64 / real.took.as_secs_f64().max(1e-3);
    line(&format!("{:<18} {:.2} s, {per_second:.0} events a second{memory}", "real time", real.took.as_secs_f64()))
}

fn title(plan: &Plan) -> String {
    format!("{} peers on a {}, {} {}, seed {}", plan.peers, overlay(plan), plan.count, plan.workload, plan.seed)
}

fn overlay(plan: &Plan) -> &'static str {
    match plan.overlay {
        OverlayKind::Ring => "ring",
        OverlayKind::Tree => "tree",
    }
}

/// The rows of the summary, by name; [`object`] says the same to programs.
pub(super) fn rows(plan: &Plan, outcome: &Outcome) -> Vec<(&'static str, String)> {
    let tables = |right: &Option<Result<Duration, String>>| match right {
        Some(Ok(after)) => format!("after {:.1} s", after.as_secs_f64()),
        Some(Err(what)) => format!("no: {what}"),
        None => "not known yet".to_owned(),
    };
    let assembled = format!("{} of {} in {:.1} s", outcome.joined, plan.peers, outcome.joining.as_secs_f64());
    let more = format!(", {} failed, {} attempts repeated", outcome.failed, outcome.repeated);
    let mut rows = vec![("joined", assembled + &more), ("tables right", tables(&outcome.settled))];
    if outcome.crashed > 0 {
        rows.push(("crashed at once", outcome.crashed.to_string()));
    }
    if outcome.crashed > 0 && plan.churn.is_none() {
        rows.push(("healed", tables(&outcome.healed)));
    }
    if outcome.adversaries > 0 {
        rows.push(("adversaries", outcome.adversaries.to_string()));
    }
    if plan.churn.is_some() {
        let churned = outcome.churned;
        rows.push(("came", format!("{}, of which {} are or were in", churned.arrived, churned.joined)));
        rows.push(("went", format!("{} without a word, {} politely", churned.crashed, churned.left)));
    }
    rows.extend(work(plan, outcome));
    let (messages, bytes) = outcome.sent_a_peer_and_second();
    let upkeep = outcome.upkeep_a_peer_and_second();
    rows.push(("sent", format!("{messages:.1} messages, {bytes:.0} B a peer and second, of which {upkeep:.0} B of upkeep")));
    let busiest = format!("the busiest sent {} B of upkeep in a second", outcome.busiest);
    rows.push(("bounds", outcome.broken.as_ref().map_or_else(|| format!("kept; {busiest}"), |what| format!("BROKEN: {what}; {busiest}"))));
    let events = format!("{} in {:.1} virtual s", outcome.events, outcome.virtual_time.as_secs_f64());
    rows.push(("events", events));
    rows
}

/// What the members did, and how well.
fn work(plan: &Plan, outcome: &Outcome) -> Vec<(&'static str, String)> {
    let (right, of) = outcome.right();
    let void = outcome.asked.iter().filter(|asked| asked.verdict == cicada_sim::experiment::Verdict::Void).count();
    let void = if void > 0 { format!("; {void} more whose ends went away") } else { String::new() };
    let counts = format!("{right} of {of}, {}{void}", percent(right, of));
    let (did, hops) = match plan.workload {
        Workload::Lookups => ("right lookups", "peers asked"),
        Workload::Messages => ("receipts", "hops"),
        Workload::Broadcasts => ("complete", "hops"),
    };
    let mut rows = vec![(did, counts)];
    if plan.workload == Workload::Broadcasts {
        let (reached, audience) = outcome.reached();
        rows.push(("coverage", format!("{reached} of {audience}, {}", percent(reached, audience))));
        let doubled: usize = outcome.asked.iter().map(|asked| asked.doubled).sum();
        rows.push(("received twice", doubled.to_string()));
        rows.push(("copies", format!("{:.3} for each peer reached", copies(outcome))));
    }
    rows.push((hops, spread(&outcome.hops(), 1.0, "")));
    rows.push(("latency", spread(&outcome.latencies(), 1e3, " ms")));
    if plan.workload == Workload::Messages {
        rows.push(("stretch", spread(&outcome.stretches(), 1.0, " times the direct way")));
    }
    rows
}

/// How many copies of a broadcast were handed on for each peer that it reached.
fn copies(outcome: &Outcome) -> f64 {
    let tasks = outcome.cost.of(Kind::Task).messages;
    tasks as f64 / outcome.reached().0.max(1) as f64
}

fn percent(part: usize, whole: usize) -> String {
    if whole == 0 { "none known".to_owned() } else { format!("{:.2} %", part as f64 * 100.0 / whole as f64) }
}

fn spread(spread: &Spread, factor: f64, unit: &str) -> String {
    let value = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |value| format!("{:.2}", value * factor));
    let (mean, p50, p95, worst) = (spread.mean(), spread.quantile(0.5), spread.quantile(0.95), spread.quantile(1.0));
    format!("mean {}, median {}, p95 {}, worst {}{unit}", value(mean), value(p50), value(p95), value(worst))
}

fn object(plan: &Plan, outcome: &Outcome, real: &Real) -> Value {
    let seconds = |span: Duration| span.as_secs_f64();
    let tables = |right: &Option<Result<Duration, String>>| match right {
        Some(Ok(after)) => json!({"right": true, "after_s": seconds(*after)}),
        Some(Err(what)) => json!({"right": false, "what": what}),
        None => Value::Null,
    };
    let spread = |spread: &Spread| {
        let quantile = |share| spread.quantile(share);
        json!({"mean": spread.mean(), "p50": quantile(0.5), "p95": quantile(0.95), "worst": quantile(1.0)})
    };
    let (right, of) = outcome.right();
    let (reached, audience) = outcome.reached();
    let (messages, bytes) = outcome.sent_a_peer_and_second();
    let sent: Map<String, Value> = Kind::ALL
        .iter()
        .map(|kind| (kind.name().to_owned(), outcome.cost.of(*kind)))
        .filter(|(_, tally)| tally.messages > 0)
        .map(|(name, tally)| (name, json!({"messages": tally.messages, "bytes": tally.bytes})))
        .collect();
    let broadcasts = (plan.workload == Workload::Broadcasts).then(|| {
        let doubled: usize = outcome.asked.iter().map(|asked| asked.doubled).sum();
        json!({"reached": reached, "audience": audience, "received_twice": doubled, "copies": copies(outcome)})
    });
    json!({
        "peers": plan.peers,
        "overlay": overlay(plan),
        "seed": plan.seed,
        "workload": plan.workload.to_string(),
        "ended": outcome.ended,
        "joined": outcome.joined,
        "failed": outcome.failed,
        "repeated": outcome.repeated,
        "joining_s": seconds(outcome.joining),
        "settled": tables(&outcome.settled),
        "crashed": outcome.crashed,
        "healed": tables(&outcome.healed),
        "adversaries": outcome.adversaries,
        "came": outcome.churned.arrived,
        "went": outcome.churned.crashed + outcome.churned.left,
        "right": right,
        "of": of,
        "broadcasts": broadcasts,
        "hops": spread(&outcome.hops()),
        "latency_s": spread(&outcome.latencies()),
        "stretch": (plan.workload == Workload::Messages).then(|| spread(&outcome.stretches())),
        "busiest_upkeep_bytes_s": outcome.busiest,
        "bounds_broken": outcome.broken,
        "working_s": seconds(outcome.working),
        "messages_per_peer_s": messages,
        "bytes_per_peer_s": bytes,
        "sent": sent,
        "events": outcome.events,
        "virtual_s": seconds(outcome.virtual_time),
        "real": {
            "seconds": seconds(real.took),
            "events_per_s": outcome.events as f64 / seconds(real.took).max(1e-3),
            "memory_bytes": real.memory_bytes,
        },
    })
}

/// Times in tables and plots.
pub(super) fn shown_ms(span: Option<Duration>) -> String {
    span.map_or_else(String::new, |span| format!("{:.3}", milliseconds(span)))
}
