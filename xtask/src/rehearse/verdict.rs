//! What came of it: numbers per phase, and whether what was promised held.

use std::fmt::Write;

use serde::Serialize;

use super::{
    deployment::Outcome,
    faults::{Fault, Promise},
    load::{Failure, Log, Phase},
};

/// The exit code where requests failed that must not.
const BROKEN_PROMISE: u8 = 3;

/// The exit code where a fault did not end as it must.
const UNEXPECTED: u8 = 1;

#[derive(Debug, Serialize)]
pub(super) struct Verdict {
    pub(super) exit_code: u8,
    #[serde(flatten)]
    pub(super) outcome: Outcome,
    /// What is wrong, if anything is.
    pub(super) complaint: Option<String>,
    pub(super) rolls: u32,
    pub(super) requests: u64,
    pub(super) failed: u64,
    pub(super) keep_alive: u64,
    pub(super) fresh: u64,
    pub(super) slow: u64,
    /// Tasks that were acknowledged, and those of them that are not there.
    pub(super) created: usize,
    pub(super) lost: usize,
    pub(super) phases: Vec<Latency>,
    /// The first of them.
    pub(super) failures: Vec<Failure>,
}

#[derive(Debug, Serialize)]
pub(super) struct Latency {
    phase: Phase,
    requests: usize,
    failed: u64,
    p50_ms: f64,
    p99_ms: f64,
    max_ms: f64,
}

/// Everything that was counted.
pub(super) struct Counted {
    pub(super) outcome: Outcome,
    pub(super) rolls: u32,
    pub(super) logs: Vec<Log>,
    pub(super) failures: Vec<Failure>,
    pub(super) created: usize,
    pub(super) lost: usize,
    pub(super) outages: Vec<(f64, f64)>,
}

impl Verdict {
    pub(super) fn new(counted: Counted, fault: Option<Fault>) -> Self {
        let Counted { logs, .. } = &counted;
        let phases = Phase::ALL.map(|phase| latency(phase, logs)).into();
        let sum = |count: fn(&Log) -> u64| logs.iter().map(count).sum::<u64>();
        let failed = sum(|log| log.failed.iter().sum());
        let (keep_alive, fresh) = (sum(|log| log.kept_alive), sum(|log| log.fresh));
        let slow = sum(|log| log.slow);
        let broken = broken(&counted, failed, fault);
        let code = match &broken {
            Some(_) => BROKEN_PROMISE,
            None => counted.outcome.code(),
        };
        let expected = fault.map_or(0, Fault::code);
        let (exit_code, complaint) = if code == expected || fault.is_none() {
            (code, broken)
        } else {
            let ended = format!("this must end with {expected} and ended with {code}");
            let why = broken.map_or(String::new(), |broken| format!(": {broken}"));
            (UNEXPECTED, Some(ended + &why))
        };
        Self {
            exit_code,
            outcome: counted.outcome,
            complaint,
            rolls: counted.rolls,
            requests: keep_alive + fresh + slow,
            failed,
            keep_alive,
            fresh,
            slow,
            created: counted.created,
            lost: counted.lost,
            phases,
            failures: counted.failures.into_iter().take(20).collect(),
        }
    }

    /// For people.
    pub(super) fn table(&self) -> String {
        let mut text = String::from("\n  phase    requests  failed      p50      p99      max\n");
        for row in &self.phases {
            let (p50, p99, max) = (row.p50_ms, row.p99_ms, row.max_ms);
            // Writing to a string does not fail.
            let _ = writeln!(
                text,
                "  {:<7}  {:>8}  {:>6}  {p50:>4.0} ms  {p99:>4.0} ms  {max:>4.0} ms",
                row.phase.name(),
                row.requests,
                row.failed
            );
        }
        let _ = writeln!(
            text,
            "\n  {} requests ({} on kept connections, {} on fresh ones, {} slow), {} failed; {} rolls; \
             {} tasks acknowledged, {} of them lost",
            self.requests,
            self.keep_alive,
            self.fresh,
            self.slow,
            self.failed,
            self.rolls,
            self.created,
            self.lost
        );
        for failure in self.failures.iter().take(5) {
            let _ = writeln!(
                text,
                "  {:>8.2} s  {} failed: {} {}",
                failure.failed, failure.request, failure.what, failure.target
            );
        }
        if let Some(ending) = self.outcome.words() {
            let _ = writeln!(text, "  {ending}");
        }
        if let Some(complaint) = &self.complaint {
            let _ = writeln!(text, "  {complaint}");
        }
        text
    }
}

/// The promise that was broken, in words.
fn broken(counted: &Counted, failed: u64, fault: Option<Fault>) -> Option<String> {
    if counted.lost > 0 {
        return Some(format!("{} acknowledged tasks are lost", counted.lost));
    }
    let promise = fault.map_or(Promise::Nothing, Fault::promise);
    let failures = counted.failures.iter();
    let bad = match promise {
        Promise::Nothing => failed,
        Promise::NothingAfterwards => failures
            .filter(|failure| failure.phase == Phase::After)
            .count() as u64,
        Promise::OnlyTheOutage => failures
            .filter(|failure| !counted.outages.iter().any(|outage| is_in(failure, *outage)))
            .count() as u64,
    };
    (bad > 0).then(|| format!("{bad} requests failed that must not"))
}

fn is_in(failure: &Failure, (start, end): (f64, f64)) -> bool {
    failure.failed >= start && failure.sent <= end
}

fn latency(phase: Phase, logs: &[Log]) -> Latency {
    let index = phase as usize;
    let mut all: Vec<u32> = logs
        .iter()
        .flat_map(|log| log.latencies[index].iter().copied())
        .collect();
    all.sort_unstable();
    Latency {
        phase,
        requests: all.len(),
        failed: logs.iter().map(|log| log.failed[index]).sum(),
        p50_ms: percentile(&all, 50),
        p99_ms: percentile(&all, 99),
        max_ms: percentile(&all, 100),
    }
}

/// By the nearest rank, in milliseconds; nought where nothing was measured.
fn percentile(sorted: &[u32], percent: usize) -> f64 {
    let rank = (sorted.len() * percent).div_ceil(100);
    let micros = rank.checked_sub(1).and_then(|index| sorted.get(index));
    f64::from(micros.copied().unwrap_or_default()) / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(outcome: Outcome, failed: &[(Phase, f64)]) -> Counted {
        let failures = failed.iter().map(|(phase, at)| Failure {
            sent: *at,
            failed: *at,
            phase: *phase,
            request: "GET /".to_owned(),
            what: "503".to_owned(),
            target: String::new(),
        });
        let mut log = Log::default();
        for (phase, _) in failed {
            log.failed[*phase as usize] += 1;
        }
        Counted {
            outcome,
            rolls: 1,
            logs: vec![log],
            failures: failures.collect(),
            created: 0,
            lost: 0,
            outages: vec![(10.0, 12.0)],
        }
    }

    fn code(outcome: Outcome, failed: &[(Phase, f64)], fault: Option<Fault>) -> u8 {
        Verdict::new(counted(outcome, failed), fault).exit_code
    }

    fn rolled_back() -> Outcome {
        Outcome::RolledBack("3 tasks failed".to_owned())
    }

    #[test]
    fn one_failed_request_spoils_a_healthy_roll() {
        assert_eq!(code(Outcome::Deployed, &[], None), 0);
        let failed = [(Phase::During, 11.0)];
        assert_eq!(code(Outcome::Deployed, &failed, None), BROKEN_PROMISE);
    }

    #[test]
    fn a_fault_that_does_not_end_as_it_must_is_an_error() {
        let fault = Some(Fault::CrashAtBoot);
        assert_eq!(code(rolled_back(), &[], fault), 7);
        assert_eq!(code(Outcome::Deployed, &[], fault), UNEXPECTED);
        let failed = [(Phase::During, 11.0)];
        assert_eq!(code(rolled_back(), &failed, fault), UNEXPECTED);
    }

    #[test]
    fn requests_may_fail_only_when_the_fault_says_so() {
        let outage = Some(Fault::DatabaseRestarts);
        assert_eq!(code(Outcome::Deployed, &[(Phase::During, 11.0)], outage), 0);
        assert_eq!(
            code(Outcome::Deployed, &[(Phase::During, 13.0)], outage),
            UNEXPECTED
        );
        let crash = Some(Fault::ReadyThenCrash);
        assert_eq!(code(rolled_back(), &[(Phase::During, 5.0)], crash), 7);
        assert_eq!(
            code(rolled_back(), &[(Phase::After, 5.0)], crash),
            UNEXPECTED
        );
    }

    #[test]
    fn a_lost_write_is_worse_than_a_failed_request() {
        let mut counted = counted(Outcome::Deployed, &[]);
        counted.lost = 1;
        let verdict = Verdict::new(counted, None);
        assert_eq!(verdict.exit_code, BROKEN_PROMISE);
        assert!(verdict.table().contains("1 acknowledged tasks are lost"));
    }

    #[test]
    fn percentiles_are_measured_values() {
        let sorted: Vec<u32> = (1..=200).map(|ms| ms * 1000).collect();
        assert_eq!(percentile(&sorted, 50), 100.0);
        assert_eq!(percentile(&sorted, 99), 198.0);
        assert_eq!(percentile(&[], 99), 0.0);
    }
}
