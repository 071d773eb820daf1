//! A container's health check, asked as Docker and ECS ask it.

use std::{
    process::{Child, Command},
    time::{Duration, Instant},
};

use super::rendered::{Probe, Speed};

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Health {
    Unknown,
    Healthy,
    Unhealthy,
}

/// Of one task.
pub(super) struct Check {
    probe: Probe,
    command: Command,
    speed: Speed,
    pub(super) health: Health,
    failures: u32,
    next: Instant,
    asked: Option<(Child, Instant)>,
}

impl Check {
    pub(super) fn new(probe: Probe, command: Command, speed: Speed) -> Self {
        Self {
            next: Instant::now() + speed.wait(probe.interval),
            probe,
            command,
            speed,
            health: Health::Unknown,
            failures: 0,
            asked: None,
        }
    }

    /// Asks where it is time, and looks for an answer where it was asked.
    pub(super) fn tick(&mut self, started: Instant) -> anyhow::Result<()> {
        let Some((child, since)) = &mut self.asked else {
            if Instant::now() >= self.next {
                self.asked = Some((self.command.spawn()?, Instant::now()));
            }
            return Ok(());
        };
        let succeeded = match child.try_wait()? {
            Some(status) => status.success(),
            None if since.elapsed() < self.speed.patience(self.probe.timeout) => return Ok(()),
            None => {
                child.kill()?;
                child.wait()?;
                false
            }
        };
        self.asked = None;
        self.next = Instant::now() + self.speed.wait(self.probe.interval);
        self.answered(succeeded, started.elapsed());
        Ok(())
    }

    fn answered(&mut self, succeeded: bool, age: Duration) {
        if succeeded {
            self.failures = 0;
            self.health = Health::Healthy;
            return;
        }
        // In its first time only a success counts.
        if self.health == Health::Unknown && age < self.speed.wait(self.probe.start_period) {
            return;
        }
        self.failures += 1;
        if self.failures >= self.probe.retries {
            self.health = Health::Unhealthy;
        }
    }
}

impl Drop for Check {
    fn drop(&mut self) {
        if let Some((child, _)) = &mut self.asked {
            drop(child.kill());
            drop(child.wait());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check() -> Check {
        let probe = Probe {
            command: Vec::new(),
            interval: 10,
            timeout: 3,
            retries: 3,
            start_period: 20,
        };
        Check::new(probe, Command::new("true"), Speed(1))
    }

    #[test]
    fn failures_while_it_starts_do_not_count_and_three_in_a_row_do() {
        let mut check = check();
        for age in [5, 15] {
            check.answered(false, Duration::from_secs(age));
        }
        assert_eq!((check.health, check.failures), (Health::Unknown, 0));
        for age in [25, 35] {
            check.answered(false, Duration::from_secs(age));
        }
        assert_eq!(check.health, Health::Unknown);
        check.answered(false, Duration::from_secs(45));
        assert_eq!(check.health, Health::Unhealthy);
    }

    #[test]
    fn one_success_makes_up_for_failures() {
        let mut check = check();
        for success in [false, false, true, false, false] {
            check.answered(success, Duration::from_secs(60));
        }
        assert_eq!(check.health, Health::Healthy);
    }
}
