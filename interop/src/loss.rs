//! Networks whose packets are lost: each peer on a host of its own in a lab of losslab.

use crate::{
    casts::{Cast, Outcome, Patience, cast_all},
    lab::{Kind, Lab, Plan, Result, losslab},
    mixed::until_filled,
};
use std::{process::Command, time::Duration};

/// Makes the lab and runs the rest in it.
pub fn outside(percent: &str, rest: &[&str]) -> Result<bool> {
    let name = format!("k{}", std::process::id());
    let mut lab = Command::new(losslab());
    lab.args(["run", "-n", &name, &HOSTS.to_string(), "--loss", percent, "--"]).arg(std::env::current_exe()?);
    lab.arg("loss-inside").arg(percent).args(rest);
    Ok(lab.status()?.success())
}

/// Peers of the crate and then as many of ours; with `full` ours with the crate's redundancy as well.
pub fn inside(percent: &str, full: bool) -> Result<bool> {
    println!("\n{HOSTS} peers, {percent} % of all packets lost, beta 3\n");
    println!("| peers | bytes | messages | delivered | to all | median, 99 % |\n|---|---:|---:|---:|---:|---:|");
    let casts = if full { 20 } else { 5 };
    let crates = network("the crate, f 0.15", &Plan::of(Kind::Crate, HOSTS), casts)?;
    let ours = network("ours", &Plan::of(Kind::Ours, HOSTS), 20)?;
    let mut outcomes = vec![&ours];
    let as_the_crate;
    if full {
        let mut plan = Plan::of(Kind::Ours, HOSTS);
        plan.settings.push((Kind::Ours, "cicada.loss=0.0".to_owned()));
        as_the_crate = network("ours, f 0.15", &plan, 20)?;
        let mut bare = plan.clone();
        bare.settings.push((Kind::Ours, "cicada.extensions=false".to_owned()));
        network("ours, f 0.15, without what only ours understand", &bare, 20)?;
        outcomes.push(&as_the_crate);
    }
    let mut right = true;
    // With its redundancy to the letter ours must not deliver less than the crate's.
    for ours in &outcomes[1..] {
        let (theirs, ours) = (Outcome::sum(&crates).share(), Outcome::sum(ours.iter()).share());
        if ours < theirs {
            println!("WRONG: with the crate's redundancy ours {ours:.4}, the crate's {theirs:.4}");
            right = false;
        }
    }
    for (size, ours) in SIZES.iter().zip(outcomes[0]) {
        if ours.share() < 0.995 || ours.repeated > 0 {
            println!("WRONG: {size} B: ours {:.4}, {} of them again", ours.share(), ours.repeated);
            right = false;
        }
    }
    let (theirs, ours) = (Outcome::sum(&crates), Outcome::sum(outcomes[0]));
    if ours.share() <= theirs.share() {
        println!("WRONG: ours {:.4}, the crate's {:.4}", ours.share(), theirs.share());
        right = false;
    }
    Ok(right)
}

fn network(name: &str, plan: &Plan, messages: usize) -> Result<Vec<Outcome>> {
    let mut plan = plan.clone();
    (plan.on_hosts, plan.per_process) = (true, 1);
    let kind = plan.kinds[0] as usize;
    let mut lab = Lab::start(&plan)?;
    until_filled(&mut lab, Duration::from_secs(8))?;
    let mut outcomes = Vec::new();
    for (number, size) in SIZES.into_iter().enumerate() {
        let cast = |cast: usize| Cast { by: (cast * 7 + number) % HOSTS, size, seed: (number * 1000 + cast) as u64 };
        let casts: Vec<Cast> = (0..messages).map(cast).collect();
        let each = cast_all(&mut lab, &casts, PATIENCE)?;
        let sum = Outcome::sum(each.iter().map(|both| &both[kind]));
        println!(
            "| {name} | {size} | {messages} | {:.2} % | {} | {:.0}, {:.0} ms |",
            sum.share() * 100.0,
            sum.complete_ms.len(),
            sum.percentile(0.5),
            sum.percentile(0.99)
        );
        outcomes.push(sum);
    }
    if !lab.all_live() {
        return Err("a peer's process has ended".into());
    }
    Ok(outcomes)
}

const HOSTS: usize = 24;

const SIZES: [usize; 2] = [1000, 100_000];

/// What is repaired is repaired within a second or two; what the crate's peers do not have by then they never get.
const PATIENCE: Patience = Patience { each: Duration::from_millis(1500), quiet: Duration::from_secs(3) };
