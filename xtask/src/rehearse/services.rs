//! An ECS service's scheduler: which tasks to start and to stop, and when to give a deployment up.

use std::{collections::VecDeque, time::Instant};

use super::{
    faults::Version,
    stage::Stage,
    tasks::{Step, Task},
};
use crate::contract::Task as Kind;

/// A service and all tasks of its that still run.
pub(super) struct Service {
    pub(super) kind: Kind,
    pub(super) tasks: Vec<Task>,
}

/// How a deployment of one service went.
#[derive(Debug)]
pub(super) enum Rolled {
    Done,
    /// The circuit breaker or the deadline said no.
    GivenUp(String),
}

/// When to give up.
pub(super) struct Limits {
    /// Tasks that may fail; none where there is nothing to go back to.
    pub(super) breaker: Option<u32>,
    pub(super) deadline: Instant,
}

/// What to do next: so many to start, these to stop.
#[derive(Debug, Eq, PartialEq)]
struct Moves {
    start: usize,
    stop: Vec<u32>,
}

/// A task as the scheduler sees it.
#[derive(Clone, Copy, Debug)]
struct Seen {
    number: u32,
    is_target: bool,
    is_running: bool,
    is_healthy: bool,
}

impl Service {
    pub(super) fn new(kind: Kind) -> Self {
        Self {
            kind,
            tasks: Vec::new(),
        }
    }

    fn name(&self) -> &'static str {
        self.kind.name()
    }

    /// Replaces tasks until all that are wanted, and no others, run the version.
    pub(super) fn roll(
        &mut self,
        stage: &mut Stage<'_>,
        version: Version,
        limits: &Limits,
    ) -> anyhow::Result<Rolled> {
        let desired = stage.service(self.kind).desired as usize;
        let mut failures = VecDeque::new();
        stage.journal.service(
            self.name(),
            format!("rolls to the {} version", version.as_str()),
        );
        loop {
            failures.extend(self.step(stage, version)?);
            if limits
                .breaker
                .is_some_and(|most| failures.len() >= most as usize)
            {
                let last = failures.pop_back().unwrap_or_default();
                let count = failures.len() + 1;
                let name = self.name();
                return Ok(Rolled::GivenUp(format!(
                    "{count} {name} tasks failed; the last: {last}"
                )));
            }
            if Instant::now() > limits.deadline {
                return Ok(Rolled::GivenUp(format!(
                    "{} did not roll in time",
                    self.name()
                )));
            }
            let seen = self.seen(version);
            if is_complete(&seen, desired) {
                let done = format!(
                    "{desired}/{desired} {} and healthy, no others",
                    version.as_str()
                );
                stage.journal.service(self.name(), done);
                return Ok(Rolled::Done);
            }
            self.act(stage, version, &seen)?;
            stage.pause()?;
        }
    }

    fn act(
        &mut self,
        stage: &mut Stage<'_>,
        version: Version,
        seen: &[Seen],
    ) -> anyhow::Result<()> {
        let rules = stage.service(self.kind);
        let (desired, least, most) = (rules.desired as usize, rules.minimum(), rules.maximum());
        let moves = moves(seen, desired, least, most);
        for task in &mut self.tasks {
            if moves.stop.contains(&task.number) {
                task.stop(stage, "replaced")?;
            }
        }
        for _ in 0..moves.start {
            self.tasks.push(Task::start(stage, self.kind, version)?);
        }
        let has_begun = seen.iter().any(|task| task.is_target);
        if self.kind == Kind::Api && has_begun && version == Version::New {
            stage.strike_in_the_middle()?;
        }
        Ok(())
    }

    /// Looks at every task. Gives the reasons of those of the version that failed.
    pub(super) fn step(
        &mut self,
        stage: &mut Stage<'_>,
        version: Version,
    ) -> anyhow::Result<Vec<String>> {
        let mut failures = Vec::new();
        let mut left = Vec::new();
        for mut task in self.tasks.drain(..) {
            let step = task.step(stage)?;
            let counts = task.version == version;
            match step {
                Step::Goes => left.push(task),
                Step::Stopped => {}
                Step::Died(reason) => failures.extend(counts.then_some(reason)),
                Step::Unhealthy(reason) => {
                    task.stop(stage, reason)?;
                    failures.extend(counts.then(|| reason.to_owned()));
                    left.push(task);
                }
            }
        }
        self.tasks = left;
        Ok(failures)
    }

    /// The numbers of its tasks.
    pub(super) fn numbers(&self) -> Vec<u32> {
        self.tasks.iter().map(|task| task.number).collect()
    }

    /// Whether all that are wanted, and no others, run the version and are healthy.
    pub(super) fn is_at(&self, stage: &Stage<'_>, version: Version) -> bool {
        is_complete(
            &self.seen(version),
            stage.service(self.kind).desired as usize,
        )
    }

    fn seen(&self, version: Version) -> Vec<Seen> {
        let see = |task: &Task| Seen {
            number: task.number,
            is_target: task.version == version,
            is_running: task.is_running(),
            is_healthy: task.is_healthy(),
        };
        self.tasks.iter().map(see).collect()
    }
}

fn is_complete(seen: &[Seen], desired: usize) -> bool {
    seen.len() == desired && seen.iter().all(|task| task.is_target && task.is_healthy)
}

/// Starts as many as the maximum allows, and stops as many as the minimum does; those that serve nobody go
/// in any case once replacements are on their way.
fn moves(seen: &[Seen], desired: usize, least: usize, most: usize) -> Moves {
    let running = seen.iter().filter(|task| task.is_running).count();
    let target = seen
        .iter()
        .filter(|task| task.is_running && task.is_target)
        .count();
    let healthy = seen.iter().filter(|task| task.is_healthy).count();
    let others = || {
        seen.iter()
            .filter(|task| task.is_running && !task.is_target)
    };
    let spare = others()
        .filter(|task| task.is_healthy)
        .take(healthy.saturating_sub(least));
    let useless = others().filter(|task| !task.is_healthy);
    Moves {
        start: desired
            .saturating_sub(target)
            .min(most.saturating_sub(running)),
        stop: useless.chain(spare).map(|task| task.number).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: Seen = Seen {
        number: 1,
        is_target: false,
        is_running: true,
        is_healthy: true,
    };

    fn new(number: u32, is_healthy: bool) -> Seen {
        Seen {
            number,
            is_target: true,
            is_running: true,
            is_healthy,
        }
    }

    fn old(number: u32) -> Seen {
        Seen { number, ..OLD }
    }

    #[test]
    fn new_tasks_start_before_old_ones_stop() {
        let first = moves(&[old(1), old(2)], 2, 2, 4);
        assert_eq!((first.start, first.stop), (2, Vec::new()));
        let starting = [old(1), old(2), new(3, false), new(4, false)];
        let second = moves(&starting, 2, 2, 4);
        assert_eq!((second.start, second.stop), (0, Vec::new()));
    }

    #[test]
    fn an_old_task_stops_for_each_new_one_that_is_healthy() {
        let one = [old(1), old(2), new(3, true), new(4, false)];
        assert_eq!(moves(&one, 2, 2, 4).stop, [1]);
        let both = [old(1), old(2), new(3, true), new(4, true)];
        assert_eq!(moves(&both, 2, 2, 4).stop, [1, 2]);
    }

    #[test]
    fn where_fewer_may_be_healthy_an_old_one_stops_first() {
        let moves = moves(&[old(1), old(2)], 2, 1, 2);
        assert_eq!((moves.start, moves.stop), (0, vec![1]));
    }

    #[test]
    fn on_the_way_back_tasks_that_serve_nobody_stop_at_once() {
        let broken = Seen {
            is_target: false,
            ..new(3, false)
        };
        let seen = [new(1, true), new(2, true), broken];
        assert_eq!(moves(&seen, 2, 2, 4).stop, [3]);
    }
}
