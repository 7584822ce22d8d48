//! What came of an experiment as curves, in SVG.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::path::Path;

use cicada_sim::experiment::{Outcome, Plan, Workload};
use plotters::prelude::*;

use super::{milliseconds, write};
use crate::failure::Failure;

/// Draws `latency.svg` and `hops.svg`, and of broadcasts `coverage.svg`. What was not measured is not drawn.
pub(super) fn draw(folder: &Path, plan: &Plan, outcome: &Outcome) -> Result<(), Failure> {
    let latencies = outcome.latencies();
    if !latencies.values().is_empty() {
        let of = latencies.values().len() as f64;
        let curve = latencies.values().iter().enumerate().map(|(number, seconds)| (seconds * 1e3, (number + 1) as f64 * 100.0 / of));
        let axes = Axes { title: format!("Latency of {}", plan.workload), x: "ms", y: "% of all, cumulative" };
        write(folder, "latency.svg", &curve_of(&axes, curve.collect())?)?;
        write(folder, "hops.svg", &bars(plan, outcome)?)?;
    }
    let coverage = outcome.coverage();
    if plan.workload == Workload::Broadcasts && !coverage.is_empty() {
        let curve = coverage.into_iter().map(|(after, share)| (milliseconds(after), share * 100.0));
        let axes = Axes { title: "Coverage of broadcasts over time".to_owned(), x: "ms after the beginning", y: "% of those it is for" };
        write(folder, "coverage.svg", &curve_of(&axes, curve.collect())?)?;
    }
    Ok(())
}

struct Axes {
    title: String,
    x: &'static str,
    y: &'static str,
}

/// A step curve of shares in percent.
fn curve_of(axes: &Axes, curve: Vec<(f64, f64)>) -> Result<String, Failure> {
    let mut svg = String::new();
    let most = curve.last().map_or(1.0, |(x, _)| *x).max(1e-3);
    let mut points = vec![(0.0, 0.0)];
    for (x, y) in curve {
        let before = points.last().map_or(0.0, |(_, y)| *y);
        points.extend([(x, before), (x, y)]);
    }
    {
        let area = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
        area.fill(&WHITE).map_err(undrawn)?;
        let mut chart = ChartBuilder::on(&area);
        let chart = chart.caption(&axes.title, FONT).margin(MARGIN).x_label_area_size(LABELS).y_label_area_size(LABELS);
        let mut chart = chart.build_cartesian_2d(0.0..most * 1.02, 0.0..100.0).map_err(undrawn)?;
        chart.configure_mesh().x_desc(axes.x).y_desc(axes.y).draw().map_err(undrawn)?;
        chart.draw_series(LineSeries::new(points, BLUE.stroke_width(2))).map_err(undrawn)?;
        area.present().map_err(undrawn)?;
    }
    Ok(svg)
}

/// How many took how many hops.
fn bars(plan: &Plan, outcome: &Outcome) -> Result<String, Failure> {
    let mut counts: BTreeMap<u32, u32> = BTreeMap::new();
    for hops in outcome.hops().values() {
        // Counts of links, far below the bound.
        *counts.entry(*hops as u32).or_default() += 1;
    }
    let (last, most) = (counts.keys().last().copied().unwrap_or(1), counts.values().max().copied().unwrap_or(1));
    let x = if plan.workload == Workload::Lookups { "peers asked" } else { "hops" };
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
        area.fill(&WHITE).map_err(undrawn)?;
        let mut chart = ChartBuilder::on(&area);
        let title = format!("Ways of {}", plan.workload);
        let chart = chart.caption(title, FONT).margin(MARGIN).x_label_area_size(LABELS).y_label_area_size(LABELS);
        let mut chart = chart.build_cartesian_2d((0..last + 1).into_segmented(), 0..most + most / 20 + 1).map_err(undrawn)?;
        chart.configure_mesh().disable_x_mesh().x_desc(x).y_desc("how many").draw().map_err(undrawn)?;
        let bars = Histogram::vertical(&chart).style(BLUE.filled()).margin(4).data(counts);
        chart.draw_series(bars).map_err(undrawn)?;
        area.present().map_err(undrawn)?;
    }
    Ok(svg)
}

fn undrawn(error: impl Display) -> Failure {
    Failure::failed(format!("cannot draw: {error}"))
}

const SIZE: (u32, u32) = (900, 540);
const FONT: (&str, u32) = ("sans-serif", 22);
const MARGIN: u32 = 16;
const LABELS: u32 = 56;
