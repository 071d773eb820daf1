//! `cargo xtask bench`: how fast TaskHub is beside what else one would take.

mod celery;
mod jobs;
mod measure;
mod pinned;
mod scale;
mod usage;

use std::process::ExitCode;

use clap::Subcommand;

use crate::signals::Signals;

/// Measure TaskHub beside what else one would take
#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    subject: Subject,
}

#[derive(Subcommand)]
enum Subject {
    Jobs(jobs::Arguments),
    Scale(scale::Arguments),
    Pinned(pinned::Arguments),
}

pub(crate) fn run(arguments: &Arguments, signals: &Signals) -> anyhow::Result<ExitCode> {
    match &arguments.subject {
        Subject::Jobs(arguments) => jobs::run(arguments, signals),
        Subject::Scale(arguments) => scale::run(arguments, signals),
        Subject::Pinned(arguments) => pinned::run(arguments, signals),
    }
}

/// Three digits that count.
fn figure(value: f64) -> String {
    match value.abs() {
        100.0.. => format!("{value:.0}"),
        10.0.. => format!("{value:.1}"),
        1.0.. => format!("{value:.2}"),
        0.1.. => format!("{value:.3}"),
        _ => format!("{value:.4}"),
    }
}

/// Of an even number, the mean of the two in the middle.
fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => f64::NAN,
        length if length % 2 == 0 => f64::midpoint(values[middle - 1], values[middle]),
        _ => values[middle],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_stands_in_the_middle() {
        assert_eq!(median([3.0, 1.0, 2.0].into_iter()), 2.0);
        assert_eq!(median([4.0, 1.0, 2.0, 3.0].into_iter()), 2.5);
    }

    #[test]
    fn figures_show_what_counts() {
        let shown = [7068.4, 12.34, 5.678, 0.1234, 0.01234].map(figure);
        assert_eq!(shown, ["7068", "12.3", "5.68", "0.123", "0.0123"]);
    }
}
