//! The seed swarm: many small random worlds, and what must be true of each of them.
//!
//! Every seed draws a world: its size, its network, what befalls its peers, who of them means ill (`plan`). It is performed (`run`), then
//! everything is mended, and it is asked what must be true (`rest`). A seed that fails is shrunk (`shrink`) and printed as lines that belong
//! into a file of `kept/`, whose plans are performed for ever.
//!
//! 300 seeds, 10 000 with `CICADA_FULL`. `CICADA_SEED=17` performs that seed alone, `CICADA_SEED=100..900` these;
//! `CICADA_TRACE=FILE` takes down what happens in the shrunk one that fails.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "what the tests do is an argument of theirs, and bounded in real time"
)]

mod ledger;
mod plan;
mod rest;
mod run;
mod shrink;

use cicada_sim::{Packet, TraceLevel, Verdict, World};
use cicada_wire::{Frame, OverlayKind, Reply};
use plan::Plan;
use run::{Report, perform, perform_in};
use std::{
    fs,
    ops::Range,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

#[test]
fn random_rings_keep_what_is_promised() {
    swarm_of_seeds(OverlayKind::Ring);
}

#[test]
fn random_trees_keep_what_is_promised() {
    swarm_of_seeds(OverlayKind::Tree);
}

/// Performs the seeds of one overlay; a failure is told when it is shrunk.
fn swarm_of_seeds(overlay: OverlayKind) {
    let (seeds, budget) = seeds();
    let (began, mut done, mut worst) = (Instant::now(), 0u32, Report::default());
    for seed in seeds.clone() {
        if began.elapsed() > budget {
            break;
        }
        let plan = Plan::draw(overlay, seed);
        match perform(&plan, TraceLevel::Off) {
            Ok(report) => worst = worst.or_worse(report),
            Err(failure) => {
                let (small, shrunk) = shrink::shrink(plan.clone(), failure.clone(), TRIES);
                write_trace(&small);
                panic!(
                    "{overlay} seed {seed} at commit {}, \"{}\": {}\nagain: CICADA_SEED={seed} cargo test -p cicada-sim --test swarms {overlay}\n\
                     {plan}\nshrunk, for a file of crates/sim/tests/swarms/kept:\n\n# {}: {}\n{small}",
                    commit(),
                    failure.claim,
                    failure.what,
                    shrunk.claim,
                    shrunk.what
                );
            }
        }
        done += 1;
    }
    let took = began.elapsed();
    println!("{overlay}: {done} seeds in {took:?}, {:?} each; the worst of each: {worst:?}", took / done.max(1));
    assert_eq!(u64::from(done), seeds.end - seeds.start, "only so many seeds in {budget:?}");
}

/// Which seeds each overlay performs, and for how long at most.
fn seeds() -> (Range<u64>, Duration) {
    let full = std::env::var_os("CICADA_FULL").is_some();
    let Ok(asked) = std::env::var("CICADA_SEED") else {
        return if full { (0..5000, Duration::from_secs(1300)) } else { (0..150, Duration::from_secs(150)) };
    };
    let number = |word: &str| word.parse::<u64>().unwrap_or_else(|_| panic!("CICADA_SEED={asked} is no number and no A..B"));
    let seeds = match asked.split_once("..") {
        Some((first, end)) => number(first)..number(end),
        None => number(&asked)..number(&asked) + 1,
    };
    (seeds, Duration::MAX)
}

/// What happens in a plan that fails, into the file that `CICADA_TRACE` names.
fn write_trace(plan: &Plan) {
    if let (Some(path), Err(failure)) = (std::env::var_os("CICADA_TRACE"), perform(plan, TraceLevel::Packets)) {
        fs::write(path, failure.trace).expect("the trace can be written");
    }
}

fn commit() -> String {
    let said = Command::new("git").args(["rev-parse", "--short", "HEAD"]).output();
    said.ok().and_then(|said| String::from_utf8(said.stdout).ok()).map_or_else(|| "unknown".to_owned(), |text| text.trim().to_owned())
}

impl Report {
    fn or_worse(self, other: Self) -> Self {
        Self {
            happened: self.happened.max(other.happened),
            healed: self.healed.max(other.healed),
            busiest: self.busiest.max(other.busiest),
            quiet: self.quiet.max(other.quiet),
        }
    }
}

#[test]
fn plans_that_failed_once_do_so_no_more() {
    let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/swarms/kept");
    let mut paths: Vec<_> = fs::read_dir(kept).expect("it lies here").map(|entry| entry.expect("readable").path()).collect();
    paths.sort();
    assert!(!paths.is_empty());
    for path in paths {
        let text = fs::read_to_string(&path).expect("readable");
        let plan: Plan = text.parse().unwrap_or_else(|wrong| panic!("{}: {wrong}", path.display()));
        perform(&plan, TraceLevel::Off).unwrap_or_else(|failure| panic!("{}: \"{}\": {}", path.display(), failure.claim, failure.what));
    }
}

/// The control of the whole: what is wrong with the members is found by some seed, and little is left of its world when it is shrunk.
#[test]
fn members_that_are_broken_in_a_known_way_are_found_and_their_world_shrinks_to_a_few_lines() {
    for (overlay, sabotage) in [(OverlayKind::Ring, never_tell_neighbours as Sabotage), (OverlayKind::Tree, never_hand_on)] {
        let fails = |plan: &Plan| perform_in(plan, TraceLevel::Off, sabotage).err();
        let found = (0..150).map(|seed| Plan::draw(overlay, seed)).find_map(|plan| fails(&plan).map(|failure| (plan, failure)));
        let (plan, failure) = found.expect("one of so many seeds fails");
        let (small, shrunk) = shrink::shrink_with(plan.clone(), failure.clone(), TRIES, fails);
        println!("{overlay} seed {}, \"{}\": {}\n{small}", plan.seed, shrunk.claim, shrunk.what);
        assert_eq!(shrunk.claim, failure.claim);
        assert!(small.members <= 6 && small.acts.len() <= 1 && small.bad.is_empty(), "of\n{plan}this is left:\n{small}");
        assert!(perform(&small, TraceLevel::Off).is_ok(), "nothing else is wrong with it");
    }
}

type Sabotage = fn(&mut World);

/// As if members kept for themselves who stands around them.
fn never_tell_neighbours(world: &mut World) {
    world.add_rule(|passing| match passing.packet {
        Packet::Frame(Frame::Changed(_) | Frame::Reply(_, Reply::Neighbours(_))) => Verdict::Vanish,
        Packet::Frame(_) | Packet::Datagram(_) | Packet::Dial => Verdict::Pass,
    });
}

/// As if members acknowledged their shares of broadcasts, did nothing about them, and told nobody what they have.
fn never_hand_on(world: &mut World) {
    world.add_rule(|passing| match passing.packet {
        Packet::Frame(Frame::Task(..)) => Verdict::Swallow,
        Packet::Frame(Frame::Digest(_)) => Verdict::Vanish,
        Packet::Frame(_) | Packet::Datagram(_) | Packet::Dial => Verdict::Pass,
    });
}

#[test]
fn a_plan_is_read_as_it_was_written() {
    for seed in 0..200 {
        let plan = Plan::draw(OverlayKind::Tree, seed);
        assert_eq!(plan.to_string().parse(), Ok(plan));
    }
    assert!("overlay=ring seed=1".parse::<Plan>().is_err_and(|what| what.contains("missing")));
}

const TRIES: usize = 300; // worlds, a minute or so
