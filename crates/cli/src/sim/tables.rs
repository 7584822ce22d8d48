//! What came of an experiment as tables of comma-separated values (RFC 4180), for other programs to read.

use std::fmt::Write as _;
use std::path::Path;

use cicada_sim::Kind;
use cicada_sim::experiment::{Outcome, Plan, Workload};

use super::report::{rows, shown_ms};
use super::write;
use crate::failure::Failure;

/// Writes `summary.csv`, `operations.csv` and `cost.csv`, and of broadcasts `coverage.csv`.
pub(super) fn write_all(folder: &Path, plan: &Plan, outcome: &Outcome) -> Result<(), Failure> {
    let mut summary = "what,value\n".to_owned();
    for (name, value) in rows(plan, outcome) {
        row(&mut summary, &[name, &value]);
    }
    write(folder, "summary.csv", &summary)?;
    write(folder, "operations.csv", &operations(outcome))?;
    write(folder, "cost.csv", &cost(outcome))?;
    if plan.workload == Workload::Broadcasts {
        write(folder, "coverage.csv", &coverage(outcome))?;
    }
    Ok(())
}

fn operations(outcome: &Outcome) -> String {
    let mut table = "number,at_ms,verdict,took_ms,hops,audience,reached,received_twice\n".to_owned();
    for (number, asked) in outcome.asked.iter().enumerate() {
        let hops = asked.hops.map_or_else(String::new, |hops| hops.to_string());
        let counts = [asked.audience, asked.arrivals.len(), asked.doubled].map(|count| count.to_string());
        let (at, took) = (shown_ms(Some(asked.at)), shown_ms(asked.took));
        row(&mut table, &[&number.to_string(), &at, asked.verdict.name(), &took, &hops, &counts[0], &counts[1], &counts[2]]);
    }
    table
}

fn cost(outcome: &Outcome) -> String {
    let mut table = "kind,messages,bytes\n".to_owned();
    for kind in Kind::ALL {
        let tally = outcome.cost.of(*kind);
        row(&mut table, &[kind.name(), &tally.messages.to_string(), &tally.bytes.to_string()]);
    }
    table
}

fn coverage(outcome: &Outcome) -> String {
    let mut table = "after_ms,share\n".to_owned();
    for (after, share) in outcome.coverage() {
        row(&mut table, &[&shown_ms(Some(after)), &format!("{share:.6}")]);
    }
    table
}

fn row(table: &mut String, fields: &[&str]) {
    for (place, field) in fields.iter().enumerate() {
        let comma = if place == 0 { "" } else { "," };
        let written = if field.contains(['"', ',', '\n', '\r']) {
            write!(table, "{comma}\"{}\"", field.replace('"', "\"\""))
        } else {
            write!(table, "{comma}{field}")
        };
        written.expect("writing to a string does not fail");
    }
    table.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_with_commas_and_quotes_stay_one_field() {
        let mut table = String::new();
        row(&mut table, &["plain", "a, b", "say \"x\"", ""]);
        assert_eq!(table, "plain,\"a, b\",\"say \"\"x\"\"\",\n");
    }
}
