//! What a person sees while something is done: all of it on stderr, for stdout carries results.

use std::{
    fmt::Display,
    io::Write,
    time::{Duration, Instant},
};

/// Writes one line. A closed stderr is no reason to stop.
pub(crate) fn say(line: impl Display) {
    drop(writeln!(std::io::stderr(), "{line}"));
}

/// Writes why a verb failed, with its causes.
pub(crate) fn failure(error: &anyhow::Error) {
    say(format_args!("error: {error:#}"));
}

/// A piece of work that takes noticeable time.
pub(crate) struct Step(Instant);

impl Step {
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }

    /// Writes the seconds the step took and what came of it.
    pub(crate) fn done(self, what: impl Display) {
        say(line(self.0.elapsed(), &what));
    }
}

fn line(took: Duration, what: &dyn Display) -> String {
    format!("{:>8.2} s  {what}", took.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_stand_in_a_column_before_the_step() {
        assert_eq!(
            line(Duration::from_millis(1234), &"built"),
            "    1.23 s  built"
        );
    }
}
