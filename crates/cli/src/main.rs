//! The program `cicada`: argument parsing and printing. What it does is done by the library.
//!
//! Read first: `settings/flags.rs` (everything that can be asked for), `script.rs` (the script
//! language), `runtime.rs` (what its commands do).

use std::process::ExitCode;

use clap::CommandFactory as _;

mod address;
mod client;
mod demo;
mod failure;
mod interrupt;
mod kadcast;
mod keygen;
mod log;
mod output;
mod peer;
mod run;
mod runtime;
mod script;
mod settings;
mod sim;

use failure::Failure;
use mimalloc::MiMalloc;
use settings::Settings;
use settings::flags::{Action, Completions, Program};

/// A member of a simulated swarm is some thousand small allocations, and there are thousands of members.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    match settings::read(std::env::args_os().collect()).and_then(perform) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

fn perform(settings: Settings) -> Result<(), Failure> {
    let reporting = &settings.program.reporting;
    // A peer tells its operator what happens; the other commands answer and are quiet.
    let is_peer = matches!(settings.program.action, None | Some(Action::Kadcast(_)));
    let otherwise = if is_peer { "info" } else { "warn" };
    log::start(settings.log.as_deref(), otherwise, reporting.stdout, reporting.json)?;
    let json = reporting.json;
    let effective = settings.describe(json);
    let plan = settings.plan();
    let Settings { program, secret, .. } = settings;
    match program.action {
        None => wait_for(run::perform(&program.run, secret, json)),
        Some(Action::Demo(demo)) => wait_for(demo::perform(&demo, json)),
        Some(Action::Status(status)) => wait_for(client::status(&status, secret, json)),
        Some(Action::Lookup(lookup)) => wait_for(client::lookup(&lookup, secret, json)),
        Some(Action::Send(send)) => wait_for(client::send(&send, secret, json)),
        Some(Action::Cast(cast)) => wait_for(client::cast(&cast, secret, json)),
        Some(Action::Sim(sim)) => wait_for(sim::perform(&sim, &plan, json)),
        Some(Action::Kadcast(kadcast)) => wait_for(kadcast::perform(&kadcast, json)),
        Some(Action::Keygen(keygen)) => keygen::perform(&keygen, json),
        Some(Action::Settings(_)) => Ok(effective.iter().try_for_each(|line| output::line(line))?),
        Some(Action::Completions(Completions { shell })) => completions(shell),
    }
}

fn wait_for(command: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::failed(format!("cannot start the runtime: {error}")))?;
    let ended = runtime.block_on(command);
    // Name resolution may still hold a thread; what it finds no longer matters.
    runtime.shutdown_background();
    ended
}

fn completions(shell: clap_complete::Shell) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Program::command(), "cicada", &mut script);
    Ok(output::line(String::from_utf8_lossy(&script).trim_end())?)
}
