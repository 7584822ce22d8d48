//! probe
#![allow(clippy::all, clippy::disallowed_methods, clippy::disallowed_types)]
use cicada_sim::{Adversary, ChurnPlan, Distribution, Latency, Matrix, Network, OverlayKind, TraceLevel, experiment::*};
use std::time::Duration;
fn main() {
    let mut plan = Plan {
        network: Network { latency: Latency::Matrix(Matrix::load("wonder222").unwrap().into()), ..Network::default() },
        ..Plan::default()
    };
    plan.peers = 1000;
    let mut list = 0;
    let mut window = 0;
    for word in std::env::args().skip(1) {
        let (key, value) = word.split_once('=').unwrap();
        match key {
            "peers" => plan.peers = value.parse().unwrap(),
            "seed" => plan.seed = value.parse().unwrap(),
            "overlay" => plan.overlay = if value == "tree" { OverlayKind::Tree } else { OverlayKind::Ring },
            "crash" => plan.crashed_per_million = (value.parse::<f64>().unwrap() * 1e6) as u32,
            "churn" => {
                plan.churn = Some(ChurnPlan {
                    sessions: Distribution::Exponential { median: Duration::from_secs_f64(value.parse().unwrap()) },
                    ..ChurnPlan::default()
                })
            }
            "work" => {
                plan.workload = match value {
                    "messages" => Workload::Messages,
                    "broadcasts" => Workload::Broadcasts,
                    _ => Workload::Lookups,
                }
            }
            "count" => plan.count = value.parse().unwrap(),
            "over" => plan.over = Duration::from_secs_f64(value.parse().unwrap()),
            "warm" => plan.warm_up = Duration::from_secs_f64(value.parse().unwrap()),
            "dup" => plan.duplicates = value.parse().unwrap(),
            "ill" => plan.adversaries = vec![Ill { per_million: (value.parse::<f64>().unwrap() * 1e6) as u32, does: Adversary::Drop }],
            "ms" => plan.network.latency = Latency::Fixed(Duration::from_millis(value.parse().unwrap())),
            "window" => window = value.parse::<usize>().unwrap(),
            "list" => list = value.parse().unwrap(),
            "links" => plan.trace = TraceLevel::Events,
            "trace" => plan.trace = TraceLevel::Packets,
            _ => panic!("{key}"),
        }
    }
    let mut downs = std::collections::BTreeMap::<String, usize>::new();
    let plan_packets = plan.trace == TraceLevel::Packets;
    let tracing = plan.trace != TraceLevel::Off;
    let peers = plan.peers;
    let mut ex = Experiment::new(plan).unwrap();
    let t = std::time::Instant::now();
    let mut working = false;
    let mut last: Option<(cicada_sim::Cost, Duration)> = None;
    while ex.step() {
        if ex.stage() == Stage::Working && window > 0 {
            let o = ex.outcome();
            if last.is_none() {
                last = Some((Default::default(), Duration::ZERO));
            }
            let (c, l) = last.clone().unwrap();
            if (o.lived - l).as_secs_f64() > (window * peers) as f64 {
                let per = (o.lived - l).as_secs_f64();
                let mut text = format!(
                    "at {:>5.0}s total {:>5.0} B/s:",
                    o.working.as_secs_f64(),
                    (o.cost.total().bytes - c.total().bytes) as f64 / per
                );
                for kind in cicada_sim::Kind::ALL {
                    let b = (o.cost.of(*kind).bytes - c.of(*kind).bytes) as f64 / per;
                    if b >= 5.0 {
                        text += &format!(" {} {:.0}", kind.name(), b);
                    }
                }
                println!("{text} {downs:?}");
                downs.clear();
                last = Some((o.cost.clone(), o.lived));
            }
        }
        if tracing {
            let text = ex.take_trace();
            if ex.stage() == Stage::Working {
                for line in text.lines() {
                    if let Some(at) = line.find(" is down: ") {
                        *downs.entry(line[at..].to_owned()).or_insert(0) += 1;
                    } else if line.contains("link to") && line.ends_with("is up") {
                        *downs.entry("up".to_owned()).or_insert(0) += 1;
                    }
                }
            }
            if plan_packets && working || plan_packets && ex.stage() != Stage::Joining && ex.stage() != Stage::Settling {
                working = true;
                eprint!("{text}");
            }
        }
    }
    let o = ex.outcome();
    let (r, of) = o.right();
    let (m, b) = o.sent_a_peer_and_second();
    let l = o.latencies();
    println!(
        "joined {} failed {} rep {} in {:?} settled {:?} crashed {} healed {:?} churn {:?}",
        o.joined, o.failed, o.repeated, o.joining, o.settled, o.crashed, o.healed, o.churned
    );
    println!(
        "right {r}/{of} = {:.3}%  lat mean {:.0} p50 {:.0} p95 {:.0} max {:.0}  hops {:.2}  sent {m:.1} msg {b:.0} B/s events {} real {:.1}s",
        100.0 * r as f64 / of as f64,
        l.mean().unwrap_or(0.0) * 1e3,
        l.quantile(0.5).unwrap_or(0.0) * 1e3,
        l.quantile(0.95).unwrap_or(0.0) * 1e3,
        l.quantile(1.0).unwrap_or(0.0) * 1e3,
        o.hops().mean().unwrap_or(0.0),
        o.events,
        t.elapsed().as_secs_f64()
    );
    for asked in o.asked.iter().filter(|a| matches!(a.verdict, Verdict::Wrong | Verdict::Failed)).take(list) {
        println!("  {:?} {:?} took {:?} hops {:?}", asked.at, asked.verdict, asked.took, asked.hops);
    }
    println!("upkeep {:.0} B/s", o.cost.upkeep().bytes as f64 / o.lived.as_secs_f64());
    for kind in cicada_sim::Kind::ALL {
        let b = o.cost.of(*kind).bytes as f64 / o.lived.as_secs_f64();
        if b >= 5.0 {
            print!(" {} {:.0}", kind.name(), b);
        }
    }
    println!("\n{downs:?}");
    if list > 0 {
        println!("{:#?}", o.cost);
    }
}
