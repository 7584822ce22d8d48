//! `cicada sim`: an experiment in the simulator, what came of it, and its trace. Read first: `cicada_sim::experiment`.

use std::io::IsTerminal as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use cicada_sim::experiment::{Experiment, Ill, Plan, Stage, Workload};
use cicada_sim::{Bursts, ChurnPlan, Distribution, Latency, Matrix, Network, TraceLevel};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::failure::Failure;
use crate::interrupt::Interrupt;
use crate::output;
use crate::peer::kind;
use crate::settings::simulation::{BadLines, Detail, Sim, SimAction, Work, times};
use report::Real;

mod memory;
mod plays;
mod plots;
mod report;
mod tables;
mod trace;

/// Runs an experiment, or one of the commands below it. `head` is what the experiment follows from, as a trace's head says it.
pub(crate) async fn perform(sim: &Sim, head: &str, as_json: bool) -> Result<(), Failure> {
    let stop = Stop::new()?;
    match &sim.action {
        None => experiment(sim, head, &stop, as_json),
        Some(SimAction::Replay { trace }) => trace::replay(trace, &stop, as_json),
        Some(SimAction::Play { file }) => plays::perform(file, as_json),
    }
}

fn experiment(sim: &Sim, head: &str, stop: &Stop, as_json: bool) -> Result<(), Failure> {
    let plan = plan(sim).map_err(Failure::refused)?;
    let mut experiment = Experiment::new(plan.clone()).map_err(Failure::refused)?;
    // What cannot be written is better known before the work than after it.
    for folder in [&sim.csv, &sim.plots].into_iter().flatten() {
        std::fs::create_dir_all(folder).map_err(|error| Failure::refused(format!("{}: {error}", folder.display())))?;
    }
    let mut writer = sim.trace.as_deref().map(|path| trace::Writer::new(path, head)).transpose()?;
    let began = Instant::now();
    let bar = Bar::new(as_json);
    loop {
        let more = experiment.step();
        let traced = experiment.take_trace();
        if let Some(writer) = &mut writer {
            writer.write(&traced)?;
        }
        bar.show(&experiment);
        if !more || stop.is_asked() {
            break;
        }
    }
    bar.end();
    let outcome = experiment.outcome();
    if let Some(writer) = writer {
        writer.end(outcome.ended)?;
    }
    let real = Real { took: began.elapsed(), memory_bytes: memory::peak_bytes() };
    report::print(&plan, &outcome, &real, as_json)?;
    if let Some(folder) = &sim.csv {
        tables::write_all(folder, &plan, &outcome)?;
    }
    if let Some(folder) = &sim.plots {
        plots::draw(folder, &plan, &outcome)?;
    }
    if outcome.ended { Ok(()) } else { Err(Failure::interrupted()) }
}

/// What the flags ask for.
fn plan(sim: &Sim) -> Result<Plan, String> {
    let latency = latency(&sim.latency).map_err(|what| format!("--latency: {what}"))?;
    let network = network(sim, latency);
    let sessions = |median| ChurnPlan { sessions: Distribution::Exponential { median }, ..ChurnPlan::default() };
    let (workload, count) = match sim.workload {
        Work::Lookups => (Workload::Lookups, 1000),
        Work::Messages => (Workload::Messages, 1000),
        Work::Broadcasts => (Workload::Broadcasts, 10),
    };
    let detail = match sim.trace_level {
        Detail::Events => TraceLevel::Events,
        Detail::Packets => TraceLevel::Packets,
    };
    let plan = Plan {
        peers: sim.peers as usize,
        overlay: kind(sim.overlay),
        seed: sim.seed,
        network,
        links: Some(sim.links.into()),
        churn: sim.churn.map(sessions),
        warm_up: sim.warm_up.unwrap_or_default(),
        crashed_per_million: sim.crash.per_million,
        adversaries: sim.adversaries.iter().map(|ill| Ill { per_million: ill.share.per_million, does: ill.kind }).collect(),
        workload,
        count: sim.count.map_or(count, |count| count as usize),
        over: sim.duration,
        payload_bytes: sim.payload as usize,
        duplicates: sim.duplicates,
        trace: if sim.trace.is_some() { detail } else { TraceLevel::Off },
        ..Plan::default()
    };
    plan.check().map(|()| plan)
}

fn network(sim: &Sim, latency: Latency) -> Network {
    let bursts = |lines: BadLines| Bursts {
        good: lines.good,
        bad: lines.bad,
        lost_when_good_per_million: 0,
        lost_when_bad_per_million: lines.lost.per_million,
    };
    Network {
        latency,
        jitter: sim.jitter.map(|median| Distribution::Exponential { median }),
        lost_per_million: sim.loss.per_million,
        bursts: sim.bursts.map(bursts),
        uplink: sim.uplink,
        downlink: sim.downlink,
        ..Network::default()
    }
}

fn latency(text: &str) -> Result<Latency, String> {
    match times(text) {
        Some((least, most)) if least == most => Ok(Latency::Fixed(least)),
        Some((least, most)) => Ok(Latency::Pairs(Distribution::Uniform(least, most))),
        None => Matrix::load(text).map(|matrix| Latency::Matrix(matrix.into())).map_err(|error| error.to_string()),
    }
}

/// Notes that the program is asked to end, while it computes.
struct Stop {
    asked: Arc<AtomicBool>,
}

impl Stop {
    fn new() -> Result<Self, Failure> {
        let mut interrupt = Interrupt::new()?;
        let asked = Arc::new(AtomicBool::new(false));
        let noted = asked.clone();
        tokio::spawn(async move {
            interrupt.asked().await;
            noted.store(true, Ordering::Relaxed);
        });
        Ok(Self { asked })
    }

    fn is_asked(&self) -> bool {
        self.asked.load(Ordering::Relaxed)
    }
}

/// A bar on the terminal; nothing where there is no terminal.
struct Bar {
    bar: ProgressBar,
}

impl Bar {
    fn new(as_json: bool) -> Self {
        let hidden = as_json || !std::io::stderr().is_terminal();
        let target = if hidden { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
        let style = ProgressStyle::with_template("{msg:<10} {wide_bar} {pos}/{len}  {elapsed}").expect("the template is right");
        Self { bar: ProgressBar::with_draw_target(Some(1), target).with_style(style) }
    }

    fn show(&self, experiment: &Experiment) {
        let (done, of) = experiment.progress();
        let unit = match experiment.stage() {
            Stage::Joining | Stage::Working | Stage::Ended => "",
            Stage::Settling | Stage::Healing => " (virtual ms, at most)",
        };
        self.bar.set_length(of);
        self.bar.set_position(done);
        self.bar.set_message(format!("{}{unit}", experiment.stage()));
    }

    fn end(&self) {
        self.bar.finish_and_clear();
    }
}

/// Writes a file of results whole.
fn write(folder: &Path, name: &str, text: &str) -> Result<(), Failure> {
    let path = folder.join(name);
    std::fs::write(&path, text).map_err(|error| Failure::failed(format!("cannot write {}: {error}", path.display())))
}

/// Milliseconds of a time.
fn milliseconds(span: Duration) -> f64 {
    span.as_secs_f64() * 1e3
}

fn line(text: &str) -> Result<(), Failure> {
    Ok(output::line(text)?)
}
