//! Figures as lines of JSON, for `scripts/bench` to keep, to show and to compare with what was promised.

/// Prints the figures of one program.
pub(crate) struct Report {
    pub(crate) bench: &'static str,
}

/// What was promised of a figure.
#[derive(Clone, Copy)]
pub(crate) enum Promise {
    Nothing,
    AtMost(f64),
    AtLeast(f64),
}

impl Report {
    /// One figure. Neither name nor unit may hold a quotation mark: nothing is escaped.
    pub(crate) fn figure(&self, name: &str, value: f64, unit: &str, promise: Promise) {
        let bound = match promise {
            Promise::Nothing => String::new(),
            Promise::AtMost(max) => format!(r#","max":{max}"#),
            Promise::AtLeast(min) => format!(r#","min":{min}"#),
        };
        // Four digits say all that a measurement of this kind knows.
        let digits = if value == 0.0 { 0 } else { (3 - value.abs().log10().floor() as i32).clamp(0, 6) as usize };
        println!(r#"{{"bench":"{}","name":"{name}","value":{value:.digits$},"unit":"{unit}"{bound}}}"#, self.bench);
    }
}

/// 1 KiB, 100 KiB, 1 MiB.
pub(crate) fn size_name(bytes: usize) -> String {
    match bytes {
        0..1024 => format!("{bytes} B"),
        1024..1_048_576 => format!("{} KiB", bytes >> 10),
        _ => format!("{} MiB", bytes >> 20),
    }
}

/// The value in the middle; zero of nothing.
pub(crate) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or_default()
}
