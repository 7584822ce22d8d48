//! `cicada sim play`: a scenario as text, performed.

use std::path::Path;

use serde_json::json;

use super::line;
use crate::failure::Failure;
use crate::output;

/// Prints what happens in a play; success is that it goes as written.
pub(super) fn perform(path: &Path, as_json: bool) -> Result<(), Failure> {
    let shown = path.display();
    let written = std::fs::read_to_string(path).map_err(|error| Failure::refused(format!("{shown}: {error}")))?;
    let happened =
        cicada_sim::play::perform(&written).map_err(|error| Failure::refused(format!("{shown}:{}: {}", error.line, error.what)))?;
    let differs = first_difference(&written, &happened);
    if as_json {
        line(&json!({"play": shown.to_string(), "as_written": differs.is_none(), "happened": happened}).to_string())?;
    } else {
        output::line(happened.trim_end())?;
    }
    match differs {
        None if as_json => Ok(()),
        None => line("\nIt goes as written."),
        Some((number, what)) => Err(Failure::failed(format!("{shown}:{number}: {what}"))),
    }
}

/// The first line that differs, from 1, and how.
fn first_difference(written: &str, happened: &str) -> Option<(usize, String)> {
    let (mut old, mut new) = (written.lines(), happened.lines());
    let mut number = 0;
    loop {
        number += 1;
        match (old.next(), new.next()) {
            (None, None) => return None,
            (old, new) if old == new => {}
            (old, new) => {
                let shown = |line: Option<&str>| line.map_or_else(|| "nothing".to_owned(), |line| format!("`{line}`"));
                return Some((number, format!("written is {}, what happens is {}", shown(old), shown(new))));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_that_differs_is_named() {
        assert_eq!(first_difference("a\nb\n", "a\nb\n"), None);
        assert_eq!(first_difference("a\nb", "a\nc"), Some((2, "written is `b`, what happens is `c`".to_owned())));
        assert_eq!(first_difference("a", "a\nc"), Some((2, "written is nothing, what happens is `c`".to_owned())));
    }
}
