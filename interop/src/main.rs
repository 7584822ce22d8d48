//! Real peers of the published crate and of ours in one network. `interop --help` says what it can do.

mod casts;
mod hostile;
mod lab;
mod loss;
mod mixed;
mod payload;
mod side_by_side;
mod silence;
mod traffic;

use lab::Result;
use mixed::Series;
use std::process::ExitCode;

const USAGE: &str = "Usage: interop COMMAND

  control SIZE [RUNS [BYTES..]]  peers of the crate alone: what they deliver to each other, and its spread over the runs
  ours SIZE [RUNS [BYTES..]]     peers of ours alone
  mixed SIZE [RUNS [BYTES..]]    half the crate's, half ours, after a control of as many runs
  loss PERCENT [--full]          24 of the crate's and 24 of ours in a lab that loses packets (root)
  hostile SECONDS [ATTACK]       attacks on a peer of ours among honest ones, each for so long
  silence SIZE SECONDS [--control]  what one broadcast sets off after so long; wants netlab/in-a-box
  side-by-side SIZE              what each costs; wants netlab/in-a-box
  cost SIZE                      the same of ours alone
";

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match perform(&words) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("interop: {error}");
            ExitCode::from(2)
        }
    }
}

fn perform(words: &[&str]) -> Result<bool> {
    match words {
        ["control", size, rest @ ..] => mixed::control(&series(size, rest)?),
        ["ours", size, rest @ ..] => mixed::ours(&series(size, rest)?),
        ["loss", percent, rest @ ..] => loss::outside(percent, rest),
        ["loss-inside", percent, rest @ ..] => loss::inside(percent, rest.contains(&"--full")),
        ["hostile", seconds, rest @ ..] => hostile::hostile(seconds.parse()?, rest.first().copied()),
        ["silence", size, seconds, rest @ ..] => silence::silence(size.parse()?, seconds.parse()?, rest.contains(&"--control")),
        ["cost", size] => side_by_side::ours_alone(size.parse()?),
        ["side-by-side", size] => side_by_side::side_by_side(size.parse()?),
        ["mixed", size, rest @ ..] => mixed::mixed(&series(size, rest)?),
        _ => Err(USAGE.into()),
    }
}

fn series(size: &str, rest: &[&str]) -> Result<Series> {
    let runs = rest.first().map_or(Ok(5), |runs| runs.parse())?;
    let lengths = rest.iter().skip(1).map(|length| length.parse()).collect::<std::result::Result<_, _>>()?;
    Ok(Series { peers: size.parse()?, runs, lengths })
}
