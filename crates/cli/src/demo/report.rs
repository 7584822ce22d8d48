//! The table of the demo: for people line by line as it happens, for programs as JSON.

use std::io::IsTerminal as _;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::json;

use crate::failure::Failure;
use crate::output;

pub(super) struct Report {
    as_json: bool,
    broken: usize,
}

impl Report {
    pub(super) fn new(as_json: bool) -> Self {
        Self { as_json, broken: 0 }
    }

    pub(super) fn title(&self, text: &str) -> Result<(), Failure> {
        if self.as_json {
            return Ok(());
        }
        output::line(text)?;
        output::line("")?;
        Ok(output::line(&format!("{:<34} {:>7} {:>9} {:>9}   {:<6}", "step", "asked", "achieved", "time", "kept"))?)
    }

    /// One promise, and what became of it.
    pub(super) fn row(
        &mut self,
        step: &str,
        asked: usize,
        achieved: usize,
        kept: bool,
        time: Duration,
        detail: &str,
    ) -> Result<(), Failure> {
        if !kept {
            self.broken += 1;
        }
        let seconds = time.as_secs_f64();
        let object = json!({"step": step, "asked": asked, "achieved": achieved, "kept": kept, "seconds": seconds, "detail": detail});
        let verdict = if kept { "yes" } else { "NO" };
        let text = format!("{step:<34} {asked:>7} {achieved:>9} {seconds:>8.2}s   {verdict:<6} {detail}");
        Ok(output::either(self.as_json, &object, text.trim_end())?)
    }

    /// Success only if every promise was kept.
    pub(super) fn end(&self) -> Result<(), Failure> {
        if self.broken > 0 {
            return Err(Failure::failed(format!("promises broken: {}", self.broken)));
        }
        if !self.as_json {
            output::line("\nEvery promise was kept.")?;
        }
        Ok(())
    }

    /// A bar on the terminal; nothing where there is no terminal.
    pub(super) fn progress(&self, step: &'static str, asked: usize) -> ProgressBar {
        let target =
            if self.as_json || !std::io::stderr().is_terminal() { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
        let style = ProgressStyle::with_template("{msg:<10} {wide_bar} {pos}/{len}").expect("the template is right");
        ProgressBar::with_draw_target(Some(asked as u64), target).with_style(style).with_message(step)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_broken_promise_is_a_failure_whatever_else_was_kept() {
        let mut report = Report::new(true);
        report.row("kept", 1, 1, true, Duration::ZERO, "").unwrap();
        assert!(report.end().is_ok(), "control");
        report.row("broken", 2, 1, false, Duration::ZERO, "").unwrap();
        report.row("kept again", 1, 1, true, Duration::ZERO, "").unwrap();
        assert!(report.end().unwrap_err().to_string().contains("promises broken: 1"));
    }
}
