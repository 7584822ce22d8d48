//! Why the program ends without success, and the exit status that goes with it.

use std::process::ExitCode;

use crate::output::OutputClosed;

/// An end without success: one line for standard error and a status.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// What clap refuses, and also `--help` and `--version`, which clap reports in the same way.
    #[error("{0}")]
    Usage(#[source] clap::Error),
    /// Wrong settings or a wrong script: nothing was started.
    #[error("error: {0}")]
    Refused(String),
    /// What was started did not succeed.
    #[error("error: {0}")]
    Failed(String),
    /// A line of a script is wrong, or its command failed: `file:line: what`.
    #[error("{at}: {what}")]
    Script { at: String, what: String, started: bool },
    /// Interrupted before the end: `file:line` within a script, else `error`.
    #[error("{at}: interrupted")]
    Interrupted { at: String },
}

impl Failure {
    pub(crate) fn refused(what: impl Into<String>) -> Self {
        Self::Refused(what.into())
    }

    pub(crate) fn failed(what: impl Into<String>) -> Self {
        Self::Failed(what.into())
    }

    /// Interrupted outside of any script.
    pub(crate) fn interrupted() -> Self {
        Self::Interrupted { at: "error".to_owned() }
    }

    /// Says why on standard error (help goes to standard output) and gives the exit status.
    pub(crate) fn report(&self) -> ExitCode {
        match self {
            Self::Usage(error) => {
                // A closed standard error leaves the status to speak.
                let _ = error.print();
                ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(REFUSED))
            }
            Self::Refused(_) => one_line(self, REFUSED),
            Self::Failed(_) => one_line(self, FAILED),
            Self::Script { started, .. } => one_line(self, if *started { FAILED } else { REFUSED }),
            Self::Interrupted { .. } => one_line(self, INTERRUPTED),
        }
    }
}

impl From<OutputClosed> for Failure {
    fn from(error: OutputClosed) -> Self {
        Self::failed(error.to_string())
    }
}

fn one_line(failure: &Failure, status: u8) -> ExitCode {
    use std::io::Write as _;
    let text = failure.to_string().replace(['\n', '\r'], " ");
    // A closed standard error leaves the status to speak.
    let _ = writeln!(std::io::stderr(), "{text}");
    ExitCode::from(status)
}

/// Something was started and failed.
const FAILED: u8 = 1;
/// Nothing was started; the same status as clap's.
const REFUSED: u8 = 2;
/// 128 and the number of SIGINT, as shells report it.
const INTERRUPTED: u8 = 130;
