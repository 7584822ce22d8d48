//! Where the log goes and how much of it there is.

use std::io::IsTerminal as _;
use std::str::FromStr as _;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::writer::BoxMakeWriter;

use crate::failure::Failure;

/// Starts logging: `wanted` is a level or a filter, `otherwise` the level when nobody said.
pub(crate) fn start(wanted: Option<&str>, otherwise: &str, to_stdout: bool, as_json: bool) -> Result<(), Failure> {
    let filter = filter(wanted.unwrap_or(otherwise))?;
    let (writer, colours) = if to_stdout {
        (BoxMakeWriter::new(std::io::stdout), std::io::stdout().is_terminal())
    } else {
        (BoxMakeWriter::new(std::io::stderr), std::io::stderr().is_terminal())
    };
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer).with_ansi(colours);
    let started = if as_json { log.json().try_init() } else { log.try_init() };
    started.map_err(|error| Failure::failed(format!("cannot start the log: {error}")))
}

/// A bare level is for Cicada's own crates; what it stands on speaks up from WARN only, since its
/// DEBUG lines would bury ours. A filter is taken as it is.
fn filter(wanted: &str) -> Result<EnvFilter, Failure> {
    let text = match LevelFilter::from_str(wanted) {
        Ok(level) if level > LevelFilter::WARN => format!("warn,cicada={level}"),
        Ok(_) | Err(_) => wanted.to_owned(),
    };
    EnvFilter::try_new(text).map_err(|error| Failure::refused(format!("--log {wanted}: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_level_is_for_our_own_crates() {
        assert_eq!(filter("debug").unwrap().to_string(), "cicada=debug,warn");
        assert_eq!(filter("ERROR").unwrap().to_string(), "error");
    }

    #[test]
    fn a_filter_is_taken_as_it_is_and_a_wrong_one_is_refused() {
        assert_eq!(filter("quinn=trace").unwrap().to_string(), "quinn=trace");
        assert!(filter("cicada=loudly").is_err());
    }
}
