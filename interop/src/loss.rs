//! Networks whose packets are lost: each peer on a host of its own in a lab of losslab.

use crate::{
    casts::{Cast, Outcome, Patience, cast_all},
    lab::{Kind, Lab, Plan, Result, losslab},
    mixed::until_filled,
};
use std::{ops::RangeInclusive, process::Command, time::Duration};

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
    let crates = network("the crate, f 0.15", &Plan::of(Kind::Crate, HOSTS), casts..=MOST_CASTS)?;
    let ours = network("ours", &Plan::of(Kind::Ours, HOSTS), 20..=20)?;
    let mut outcomes = vec![&ours];
    let as_the_crate;
    if full {
        let mut plan = Plan::of(Kind::Ours, HOSTS);
        plan.settings.push((Kind::Ours, "cicada.loss=0.0".to_owned()));
        as_the_crate = network("ours, f 0.15", &plan, 20..=20)?;
        let mut bare = plan.clone();
        bare.settings.push((Kind::Ours, "cicada.extensions=false".to_owned()));
        network("ours, f 0.15, without what only ours understand", &bare, 20..=20)?;
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
    // The control: what is lost is enough for something not to arrive.
    let (theirs, ours) = (Outcome::sum(&crates), Outcome::sum(outcomes[0]));
    if theirs.share() >= 1.0 {
        println!("WRONG: the control: of {MOST_CASTS} long messages the crate's all arrived everywhere, so this loss shows nothing");
        right = false;
    } else if ours.share() <= theirs.share() {
        println!("WRONG: ours {:.4}, the crate's {:.4}", ours.share(), theirs.share());
        right = false;
    }
    Ok(right)
}

/// So many messages of each size; of long ones more, as far as the range goes, until one has not arrived everywhere.
fn network(name: &str, plan: &Plan, messages: RangeInclusive<usize>) -> Result<Vec<Outcome>> {
    let mut plan = plan.clone();
    (plan.on_hosts, plan.per_process) = (true, 1);
    let kind = plan.kinds[0] as usize;
    let mut lab = Lab::start(&plan)?;
    until_filled(&mut lab, Duration::from_secs(8))?;
    let mut outcomes = Vec::new();
    for (number, size) in SIZES.into_iter().enumerate() {
        let cast = |cast: usize| Cast { by: (cast * 7 + number) % HOSTS, size, seed: (number * 1000 + cast) as u64 };
        let mut each = Vec::new();
        let sum = loop {
            let casts: Vec<Cast> = (each.len()..each.len() + messages.start()).map(cast).collect();
            each.extend(cast_all(&mut lab, &casts, PATIENCE)?);
            let sum = Outcome::sum(each.iter().map(|both| &both[kind]));
            let is_enough = size != LONG || sum.share() < 1.0 || each.len() >= *messages.end();
            if is_enough {
                break sum;
            }
        };
        println!(
            "| {name} | {size} | {} | {:.2} % | {} | {:.0}, {:.0} ms |",
            each.len(),
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

const LONG: usize = 100_000;
const SIZES: [usize; 2] = [1000, LONG];

/// Of five long messages of the crate's all arrive everywhere now and then, of so many never.
const MOST_CASTS: usize = 60;

/// What is repaired is repaired within a second or two; what the crate's peers do not have by then they never get.
const PATIENCE: Patience = Patience { each: Duration::from_millis(1500), quiet: Duration::from_secs(3) };
