//! The program `cicada`: argument parsing and printing. What it does is done by the library.
//!
//! Read first: `settings/flags.rs` (everything that can be asked for), `script.rs` (the script
//! language), `runtime.rs` (what its commands do).

use std::process::ExitCode;

use clap::CommandFactory as _;

mod address;
mod failure;
mod log;
mod output;
mod script;
mod settings;

use failure::Failure;
use settings::Settings;
use settings::flags::{Action, Completions, Program};

fn main() -> ExitCode {
    match settings::read(std::env::args_os().collect()).and_then(perform) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

fn perform(settings: Settings) -> Result<(), Failure> {
    let reporting = &settings.program.reporting;
    let otherwise = if settings.program.action.is_none() { "info" } else { "warn" };
    log::start(settings.log.as_deref(), otherwise, reporting.stdout, reporting.json)?;
    let json = reporting.json;
    match settings.program.action {
        Some(Action::Settings(_)) => Ok(settings.describe(json).iter().try_for_each(|line| output::line(line))?),
        Some(Action::Completions(Completions { shell })) => completions(shell),
        _ => Err(Failure::failed("not yet")),
    }
}

fn completions(shell: clap_complete::Shell) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Program::command(), "cicada", &mut script);
    Ok(output::line(String::from_utf8_lossy(&script).trim_end())?)
}
