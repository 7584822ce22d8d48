//! Networks of the crate's peers alone, and of both kinds.

use crate::{
    casts::{Cast, Outcome, Patience, cast_all},
    lab::{Kind, Lab, Plan, Result},
};
use blake2::{Blake2s256, Digest};
use std::{
    net::{IpAddr, SocketAddr},
    time::{Duration, Instant},
};

/// What one run of a network did.
struct Run {
    /// By size, for the crate's receivers and for ours.
    outcomes: Vec<(usize, [Outcome; 2])>,
    /// How full tables are, of what their buckets could hold.
    fill: [f64; 2],
    /// How many of our peers the crate's know, of those that they could.
    ours_in_the_crates: f64,
    filled_after: Duration,
}

/// What those of ours have counted that lack a broadcast: to see where it was lost.
fn tell_of_losses(lab: &mut Lab, cast: &Cast, number: usize) -> Result<()> {
    let has = lab.look(|told| told.of_sent(number).cloned().unwrap_or_default());
    for peer in 0..lab.kinds.len() {
        if lab.kinds[peer] == Kind::Ours && peer != cast.by && !has.contains_key(&peer) {
            let (length, by) = (cast.size, lab.kinds[cast.by].name());
            println!("  {length} bytes by {} ({by}) did not reach {peer}: {}", cast.by, lab.figures(peer)?);
        }
    }
    Ok(())
}

/// How often and with which lengths; all that are promised, if none are named.
pub struct Series {
    pub peers: usize,
    pub runs: usize,
    pub lengths: Vec<usize>,
}

/// Peers of the crate alone.
pub fn control(series: &Series) -> Result<bool> {
    all(series, "of the crate", Plan::of(Kind::Crate, series.peers))?;
    Ok(true)
}

/// Peers of ours alone.
pub fn ours(series: &Series) -> Result<bool> {
    let runs = all(series, "of ours", Plan::of(Kind::Ours, series.peers))?;
    Ok(total(&runs).iter().all(|(_, both)| both[1].delivered == both[1].expected && both[1].repeated == 0))
}

/// Half and half. Ours must receive all, once; the crate's not less than among themselves, by more than that spreads.
pub fn mixed(series: &Series) -> Result<bool> {
    let control = all(series, "of the crate", Plan::of(Kind::Crate, series.peers))?;
    let mixed = all(series, "mixed", Plan::mixed(series.peers))?;
    Ok(judge(series.peers, &control, &mixed))
}

fn all(series: &Series, title: &str, plan: Plan) -> Result<Vec<Run>> {
    let runs = (0..series.runs).map(|run| one(&plan, run as u64, series)).collect::<Result<Vec<_>>>()?;
    show(&format!("{} {title}", series.peers), &runs);
    Ok(runs)
}

fn one(plan: &Plan, run: u64, series: &Series) -> Result<Run> {
    let mut lab = Lab::start(plan)?;
    let begun = Instant::now();
    let (fill, ours_in_the_crates) = until_filled(&mut lab, Duration::from_secs(5))?;
    let filled_after = begun.elapsed();
    let size = lab.kinds.len();
    let mut outcomes = Vec::new();
    let mut seed = run * 1000;
    for length in series.lengths() {
        // Two broadcasts, by neighbours in the order: in a mixed network of each kind one.
        let casts = [seed as usize % size, (seed as usize + 1) % size].map(|by| {
            seed += 1;
            Cast { by, size: length, seed }
        });
        let first = lab.look(|told| told.sent.len());
        let each = cast_all(&mut lab, &casts, PATIENCE)?;
        for (number, cast) in casts.iter().enumerate() {
            tell_of_losses(&mut lab, cast, first + number)?;
        }
        outcomes.push((length, [0, 1].map(|kind| Outcome::sum(each.iter().map(|both| &both[kind])))));
    }
    if !lab.all_live() {
        return Err("a peer's process has ended".into());
    }
    Ok(Run { outcomes, fill, ours_in_the_crates, filled_after })
}

impl Series {
    /// Lengths to broadcast: from one byte to 1 MB, and with few peers, where there are several runs, the longest that the protocol
    /// allows.
    fn lengths(&self) -> Vec<usize> {
        if !self.lengths.is_empty() {
            return self.lengths.clone();
        }
        let mut lengths = vec![1, 200, 1000, 100_000, 1_000_000];
        if self.peers <= 8 && self.runs > 1 {
            lengths.extend([5_000_000, 10_485_759]);
        }
        lengths
    }
}

/// Waits until tables are full, or for as long as the crate's peers need when they miss the first answer.
pub fn until_filled(lab: &mut Lab, patience: Duration) -> Result<([f64; 2], f64)> {
    let deadline = Instant::now() + patience;
    loop {
        let (fill, known) = fill(lab)?;
        if (fill.iter().all(|share| *share >= 1.0)) || Instant::now() > deadline {
            return Ok((fill, known));
        }
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// How full the tables of each kind are, and which share of our peers the crate's know.
fn fill(lab: &mut Lab) -> Result<([f64; 2], f64)> {
    let tables = lab.tables()?;
    let ids: Vec<u128> = lab.addresses.iter().map(|address| id(*address)).collect();
    let (mut has, mut could) = ([0, 0], [0, 0]);
    let (mut knows_ours, mut could_know) = (0, 0);
    for (peer, table) in &tables {
        let kind = lab.kinds[*peer] as usize;
        has[kind] += table.iter().map(|(_, entries)| entries.len()).sum::<usize>();
        let mut buckets = [0; 128];
        ids.iter().enumerate().filter(|(other, _)| other != peer).for_each(|(_, id)| buckets[(id ^ ids[*peer]).ilog2() as usize] += 1);
        could[kind] += buckets.iter().map(|count| *count.min(&BUCKET)).sum::<usize>();
        if lab.kinds[*peer] == Kind::Crate {
            let listed = table.iter().flat_map(|(_, entries)| entries);
            knows_ours += listed
                .filter(|at| lab.addresses.iter().position(|other| other == *at).is_some_and(|at| lab.kinds[at] == Kind::Ours))
                .count();
            could_know += lab.kinds.iter().filter(|kind| **kind == Kind::Ours).count();
        }
    }
    let share = |has: usize, could: usize| if could == 0 { 1.0 } else { has as f64 / could as f64 };
    Ok(([share(has[0], could[0]), share(has[1], could[1])], share(knows_ours, could_know)))
}

/// The specification, section 2.
fn id(address: SocketAddr) -> u128 {
    let mut hash = Blake2s256::new();
    hash.update(address.port().to_le_bytes());
    match address.ip() {
        IpAddr::V4(ip) => hash.update(ip.octets()),
        IpAddr::V6(ip) => hash.update(ip.octets()),
    }
    let digest: [u8; 32] = hash.finalize().into();
    u128::from_le_bytes(digest[..16].try_into().expect("16 of 32 bytes"))
}

fn show(title: &str, runs: &[Run]) {
    println!("\n{title}, {} runs", runs.len());
    for (number, run) in runs.iter().enumerate() {
        let filled = run.filled_after.as_secs_f64();
        println!(
            "  run {number}: tables {:.3} full (crate), {:.3} (ours) after {filled:.1} s; ours known to the crate's {:.3}",
            run.fill[0], run.fill[1], run.ours_in_the_crates
        );
    }
    println!(
        "| bytes | to the crate's | least and most of a run | median, 99 % | to ours | twice | median, 99 % |\n|---:|---:|---:|---:|---:|---:|---:|"
    );
    for (size, [theirs, ours]) in total(runs) {
        let shares = shares(runs, size, Kind::Crate);
        let (least, most) = shares.iter().fold((1.0_f64, 0.0_f64), |(least, most), share| (least.min(*share), most.max(*share)));
        println!(
            "| {size} | {} of {} | {:.1} to {:.1} % | {:.0}, {:.0} ms | {} of {} | {} | {:.0}, {:.0} ms |",
            theirs.delivered,
            theirs.expected,
            least * 100.0,
            most * 100.0,
            theirs.percentile(0.5),
            theirs.percentile(0.99),
            ours.delivered,
            ours.expected,
            ours.repeated,
            ours.percentile(0.5),
            ours.percentile(0.99)
        );
    }
}

fn total(runs: &[Run]) -> Vec<(usize, [Outcome; 2])> {
    let Some(first) = runs.first() else { return Vec::new() };
    let mut sums = first.outcomes.clone();
    for run in &runs[1..] {
        for (sum, outcome) in sums.iter_mut().zip(&run.outcomes) {
            sum.1[0].add(&outcome.1[0]);
            sum.1[1].add(&outcome.1[1]);
        }
    }
    sums
}

/// Of each run, the share that was delivered.
fn shares(runs: &[Run], size: usize, kind: Kind) -> Vec<f64> {
    let outcomes = runs.iter().flat_map(|run| &run.outcomes).filter(|(of, _)| *of == size);
    outcomes.map(|(_, both)| both[kind as usize].share()).collect()
}

fn judge(peers: usize, control: &[Run], mixed: &[Run]) -> bool {
    let mut right = true;
    let mut wrong = |what: String| {
        println!("WRONG: {what}");
        right = false;
    };
    for (size, [_, ours]) in total(mixed) {
        if ours.delivered != ours.expected || ours.repeated > 0 {
            wrong(format!("{size} B: ours received {} of {}, {} of them again", ours.delivered, ours.expected, ours.repeated));
        }
        let mean = |shares: &[f64]| shares.iter().sum::<f64>() / shares.len() as f64;
        let alone = shares(control, size, Kind::Crate);
        let spread = alone.iter().copied().fold(0.0, f64::max) - alone.iter().copied().fold(1.0, f64::min);
        let spread = if alone.len() < RUNS { spread.max(known_spread(peers)) } else { spread };
        let here = mean(&shares(mixed, size, Kind::Crate));
        if here < mean(&alone) - spread {
            wrong(format!("{size} B: the crate's received {here:.4}, among themselves {:.4} (spread {spread:.4})", mean(&alone)));
        }
    }
    for run in mixed {
        if run.fill[1] < 0.9 || run.ours_in_the_crates < 0.5 {
            wrong(format!("tables: ours {:.3} full, and the crate's know {:.3} of ours", run.fill[1], run.ours_in_the_crates));
        }
    }
    right
}

/// Messages of 10 MB take seconds on two cores.
const PATIENCE: Patience = Patience { each: Duration::from_secs(8), quiet: Duration::from_secs(4) };

/// From so many runs on the control's own spread is taken.
const RUNS: usize = 5;

/// How far the shares spread that the crate's peers deliver among themselves, in five runs of two broadcasts of each length: the most of
/// all lengths up to 1 MB, since whose join fails gets none of any (docs/kadcast.md has the table).
fn known_spread(peers: usize) -> f64 {
    match peers {
        0..=8 => 0.22,
        9..=24 => 0.05,
        25.. => 0.51,
    }
}

/// Entries of a bucket, of both kinds by default.
const BUCKET: usize = 20;
