//! Holds what was asked for, what the database says, what arrived outside and how the workers ended
//! against what is promised of jobs in `docs/jobs.md`.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::{
    facts::{Attempt, Effect, Facts, Job, Lease, Mode},
    fleet::{Ending, How},
    sink::{Receipt, Receipts},
    traffic::{Outcome, Record},
};

/// A job whose worker dies this often is dead.
const MAX_CRASHES: i32 = 3;

/// A promise that was broken.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Violation {
    /// A job's public id, or whatever else it is about.
    pub(super) about: String,
    pub(super) what: String,
}

/// Everything there is to know about a run.
pub(super) struct Evidence<'a> {
    pub(super) record: &'a Record,
    pub(super) facts: &'a Facts,
    pub(super) receipts: &'a Receipts,
    pub(super) endings: &'a [Ending],
}

/// All that is known of one job.
struct Life<'a> {
    job: &'a Job,
    log: Vec<&'a Attempt>,
    leases: Vec<&'a Lease>,
    effects: Vec<&'a Effect>,
}

impl Evidence<'_> {
    /// Every promise that was broken; none is as it should be.
    pub(super) fn violations(&self) -> Vec<Violation> {
        let mut found = Found::default();
        self.check_causes(&mut found);
        self.check_slots(&mut found);
        self.check_workers(&mut found);
        self.check_limits(&mut found);
        for life in self.lives() {
            life.check_end(&mut found);
            life.check_hands(&mut found);
            life.check_leases(&mut found);
            life.check_effects(&mut found);
            life.check_mode(&mut found);
            self.check_receipts(&life, &mut found);
            self.check_crashes(&life, &mut found);
        }
        found.0
    }

    fn lives(&self) -> impl Iterator<Item = Life<'_>> {
        let mut log = grouped(&self.facts.log, |attempt| &attempt.job);
        let mut leases = grouped(&self.facts.leases, |lease| &lease.job);
        let mut effects = grouped(&self.facts.effects, |effect| &effect.job);
        self.facts.jobs.iter().map(move |job| Life {
            job,
            log: log.remove(job.id.as_str()).unwrap_or_default(),
            leases: leases.remove(job.id.as_str()).unwrap_or_default(),
            effects: effects.remove(job.id.as_str()).unwrap_or_default(),
        })
    }

    /// A job exists exactly if its cause was committed.
    fn check_causes(&self, found: &mut Found) {
        let probes = self.facts.jobs.iter().filter_map(|job| job.probe.as_ref());
        let jobs: BTreeSet<&String> = probes.clone().collect();
        let causes: BTreeSet<&String> = self.facts.causes.iter().collect();
        for &probe in causes.difference(&jobs) {
            found.add(probe, "its cause was committed and there is no job");
        }
        for &probe in jobs.difference(&causes) {
            found.add(probe, "there is a job and its cause was not committed");
        }
        if probes.count() > jobs.len() {
            found.add("enqueueing", "a probe that was live was enqueued twice");
        }
        for batch in &self.record.batches {
            for (probe, _) in &batch.probes {
                match batch.outcome {
                    Outcome::Committed if !jobs.contains(probe) => {
                        found.add(probe, "it was accepted and there is no job");
                    }
                    Outcome::RolledBack if jobs.contains(probe) => {
                        found.add(probe, "it was rolled back and there is a job");
                    }
                    Outcome::Committed | Outcome::RolledBack | Outcome::Unknown => {}
                }
            }
        }
        let known: BTreeSet<&String> = self.facts.jobs.iter().map(|job| &job.id).collect();
        for effect in &self.facts.effects {
            if !known.contains(&effect.job) {
                found.add(&effect.job, "there is an effect and no job");
            }
        }
    }

    /// Every slot of the clock yields one job.
    fn check_slots(&self, found: &mut Found) {
        let mut jobs: BTreeMap<&str, usize> = BTreeMap::new();
        for key in self.facts.jobs.iter().filter_map(|job| job.key.as_deref()) {
            if key.starts_with("periodic:") {
                *jobs.entry(key).or_default() += 1;
            }
        }
        for slot in &self.record.slots {
            jobs.entry(slot).or_default();
        }
        for (key, count) in jobs {
            if count != 1 {
                found.add(key, format!("the slot yielded {count} jobs"));
            }
        }
    }

    /// Of what runs by the clock, one at a time runs of each kind.
    fn check_limits(&self, found: &mut Found) {
        let kinds = self.facts.jobs.iter().filter_map(|job| {
            let (kind, _) = job
                .key
                .as_deref()?
                .strip_prefix("periodic:")?
                .split_once(':')?;
            Some((job.id.as_str(), kind))
        });
        let kinds: BTreeMap<&str, &str> = kinds.collect();
        let mut leases: BTreeMap<&str, Vec<&Lease>> = BTreeMap::new();
        for lease in &self.facts.leases {
            if let Some(kind) = kinds.get(lease.job.as_str()) {
                leases.entry(kind).or_default().push(lease);
            }
        }
        for (kind, mut leases) in leases {
            leases.sort_by(|one, other| one.begun.total_cmp(&other.begun));
            let mut pairs = leases.windows(2);
            if pairs.any(|pair| pair[0].ended.is_none_or(|ended| ended > pair[1].begun)) {
                found.add(kind, "two of a limited kind ran at the same time");
            }
        }
    }

    /// A worker ends when it is killed, when it is told to, or by a poison job.
    fn check_workers(&self, found: &mut Found) {
        for ending in self.endings {
            if let How::Wrongly(what) = &ending.how {
                found.add(format!("worker {}", ending.pid), what);
            }
        }
        let count = |wanted| {
            let endings = self.endings.iter();
            endings.filter(|ending| ending.how == wanted).count()
        };
        let jobs = self.facts.jobs.iter();
        let poison = jobs.filter(|job| job.mode == Some(Mode::Crash)).count();
        if count(How::Aborted) > 3 * poison {
            let aborted = count(How::Aborted);
            let what = format!("{poison} poison jobs took down {aborted} workers");
            found.add("workers", what);
        }
    }

    /// Every effect outside arrives, and always under the job's own key.
    fn check_receipts(&self, life: &Life<'_>, found: &mut Found) {
        let (Some(probe), Some(Mode::External)) = (&life.job.probe, life.job.mode) else {
            return;
        };
        let receipts: &[Receipt] = self.receipts.get(probe).map_or(&[], Vec::as_slice);
        for receipt in receipts {
            if receipt.key != life.job.id {
                found.add(
                    &life.job.id,
                    format!("its effect used the key {}", receipt.key),
                );
            }
        }
        if life.job.state == "done" && !receipts.iter().any(|receipt| receipt.accepted) {
            found.add(&life.job.id, "it is done and its effect never arrived");
        }
    }

    /// A poison job takes down three workers at most, and no other job with it.
    fn check_crashes(&self, life: &Life<'_>, found: &mut Found) {
        // The last attempt of a dead job ended by its own failure, unless its workers were lost.
        let died_of_crashes = life.job.crashes >= MAX_CRASHES;
        let lost = life.log.iter().filter(|attempt| {
            attempt.outcome == "lost" || attempt.outcome == "dead" && died_of_crashes
        });
        let leases = lost.filter_map(|attempt| life.lease(attempt));
        let aborts = leases.filter(|lease| self.ended_by_poison(lease)).count();
        let poison = life.job.mode == Some(Mode::Crash);
        if poison && aborts > 3 {
            found.add(&life.job.id, format!("it took down {aborts} workers"));
        }
        // Once it may have run beside a poison job that nobody knew for one yet.
        if !poison && life.job.state == "dead" && aborts > 1 {
            found.add(&life.job.id, "it died of poison jobs");
        }
    }

    /// Whether it was in a worker's hands when a poison job took that one down, rather than lost before.
    fn ended_by_poison(&self, lease: &Lease) -> bool {
        let pid = lease.worker.as_deref().and_then(|id| id.split('-').next());
        self.endings.iter().any(|ending| {
            ending.how == How::Aborted
                && pid == Some(ending.pid.to_string().as_str())
                && ending.at <= lease.until
        })
    }
}

impl Life<'_> {
    fn count(&self, outcome: &str) -> usize {
        let log = self.log.iter();
        log.filter(|attempt| attempt.outcome == outcome).count()
    }

    /// Every job ends, and dies for a reason only.
    fn check_end(&self, found: &mut Found) {
        let job = self.job;
        match job.state.as_str() {
            "done" | "cancelled" => {}
            "dead" if job.crashes >= MAX_CRASHES || job.attempt >= job.max_attempts => {}
            "dead" => {
                let (attempt, crashes) = (job.attempt, job.crashes);
                let what = format!("it is dead after {attempt} attempts and {crashes} crashes");
                found.add(&job.id, what);
            }
            state => found.add(&job.id, format!("it never ended: it is {state}")),
        }
    }

    /// At any time a job is in one worker's hands: every attempt ends once, and nothing comes after success.
    fn check_hands(&self, found: &mut Found) {
        let mut ended = BTreeSet::new();
        for attempt in &self.log {
            // A job that is cancelled between two attempts counts under the last one.
            if attempt.outcome == "replayed" {
                // It begins anew, with its first attempt.
                ended.clear();
            }
            let is_end = matches!(
                attempt.outcome.as_str(),
                "succeeded" | "failed" | "lost" | "dead"
            );
            if is_end && !ended.insert(attempt.attempt) {
                let what = format!("attempt {} ended twice", attempt.attempt);
                found.add(&self.job.id, what);
            }
        }
        let successes = self.count("succeeded");
        if successes != usize::from(self.job.state == "done") {
            let what = format!("it is {} and succeeded {successes} times", self.job.state);
            found.add(&self.job.id, what);
        }
        let last = self.log.last().map(|attempt| attempt.outcome.as_str());
        if successes > 0 && last != Some("succeeded") {
            found.add(&self.job.id, "it was taken up again after its success");
        }
    }

    /// The one under that number that ended with the attempt: one that was handed back, and one from before
    /// a retry, ended at another time.
    fn lease(&self, attempt: &Attempt) -> Option<&Lease> {
        let distance = |lease: &Lease| (lease.ended.unwrap_or(f64::INFINITY) - attempt.at).abs();
        let leases = self.leases.iter().copied();
        leases
            .filter(|lease| lease.attempt == attempt.attempt)
            .min_by(|one, other| distance(one).total_cmp(&distance(other)))
    }

    /// A lease is left to its holder until it has run out.
    fn check_leases(&self, found: &mut Found) {
        for attempt in self.log.iter().filter(|attempt| attempt.outcome == "lost") {
            let Some(lease) = self.lease(attempt) else {
                continue;
            };
            if lease.ended.is_some_and(|ended| ended < lease.until) {
                let what = format!(
                    "attempt {} was lost before its lease ended",
                    attempt.attempt
                );
                found.add(&self.job.id, what);
            }
        }
        let open = self.leases.iter().filter(|lease| lease.ended.is_none());
        if open.count() > 0 {
            found.add(&self.job.id, "a lease never ended");
        }
    }

    /// An effect in the database happens exactly once: in the attempt that succeeded.
    fn check_effects(&self, found: &mut Found) {
        if self.job.probe.is_none() {
            return;
        }
        let effects = self.effects.len();
        if effects != usize::from(self.job.state == "done") {
            let what = format!("it is {} and left {effects} effects", self.job.state);
            found.add(&self.job.id, what);
        }
        for effect in &self.effects {
            let succeeded = self
                .log
                .iter()
                .any(|attempt| attempt.outcome == "succeeded" && attempt.attempt == effect.attempt);
            if !succeeded {
                let what = format!(
                    "attempt {} left an effect and did not succeed",
                    effect.attempt
                );
                found.add(&self.job.id, what);
            }
        }
    }

    fn check_mode(&self, found: &mut Found) {
        let hopeless = matches!(self.job.mode, Some(Mode::Fail | Mode::Crash));
        if hopeless && self.job.state == "done" {
            found.add(&self.job.id, "it cannot succeed and did");
        }
    }
}

#[derive(Default)]
struct Found(Vec<Violation>);

impl Found {
    fn add(&mut self, about: impl Into<String>, what: impl AsRef<str>) {
        self.0.push(Violation {
            about: about.into(),
            what: what.as_ref().to_owned(),
        });
    }
}

fn grouped<'a, T>(all: &'a [T], job: impl Fn(&'a T) -> &'a str) -> BTreeMap<&'a str, Vec<&'a T>> {
    let mut groups: BTreeMap<&str, Vec<&T>> = BTreeMap::new();
    for one in all {
        groups.entry(job(one)).or_default().push(one);
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::{super::traffic::Batch, *};

    const PID: u32 = 7;

    /// One job that went well, and what is known of it.
    struct Case {
        record: Record,
        facts: Facts,
        receipts: Receipts,
        endings: Vec<Ending>,
    }

    fn case(mode: Mode) -> Case {
        let text = str::to_owned;
        let outcome = Outcome::Committed;
        let probes = vec![(text("p"), mode)];
        let job = Job {
            id: text("j"),
            key: Some(text("probe:p")),
            probe: Some(text("p")),
            mode: Some(mode),
            state: text("done"),
            attempt: 1,
            max_attempts: 25,
            crashes: 0,
        };
        let receipt = Receipt {
            key: text("j"),
            accepted: true,
        };
        Case {
            record: Record {
                batches: vec![Batch { probes, outcome }],
                ..Record::default()
            },
            facts: Facts {
                jobs: vec![job],
                log: vec![attempt(1, "succeeded", 10.0)],
                effects: vec![effect(1)],
                leases: vec![lease(1, 13.0, 10.0)],
                causes: vec![text("p")],
            },
            receipts: Receipts::from([(text("p"), vec![receipt])]),
            endings: Vec::new(),
        }
    }

    fn attempt(attempt: i32, outcome: &str, at: f64) -> Attempt {
        Attempt {
            job: "j".to_owned(),
            attempt,
            outcome: outcome.to_owned(),
            worker: Some(format!("{PID}-x")),
            at,
        }
    }

    fn lease(attempt: i32, until: f64, ended: f64) -> Lease {
        Lease {
            job: "j".to_owned(),
            attempt,
            worker: Some(format!("{PID}-x")),
            begun: until - 3.0,
            until,
            ended: Some(ended),
        }
    }

    fn effect(attempt: i32) -> Effect {
        Effect {
            job: "j".to_owned(),
            attempt,
        }
    }

    impl Case {
        /// What is found, each as "about: what".
        fn found(&self) -> Vec<String> {
            let evidence = Evidence {
                record: &self.record,
                facts: &self.facts,
                receipts: &self.receipts,
                endings: &self.endings,
            };
            let violations = evidence.violations().into_iter();
            violations
                .map(|violation| format!("{}: {}", violation.about, violation.what))
                .collect()
        }
    }

    #[test]
    fn a_job_that_went_well_violates_nothing() {
        for mode in [Mode::Database, Mode::External, Mode::Slow] {
            assert_eq!(case(mode).found(), Vec::<String>::new());
        }
    }

    #[test]
    fn an_accepted_job_that_is_not_there_is_found() {
        let mut case = case(Mode::Database);
        case.facts = Facts::default();
        assert_eq!(case.found(), ["p: it was accepted and there is no job"]);
    }

    #[test]
    fn a_cause_without_its_job_and_a_job_without_its_cause_are_found() {
        let mut lost = case(Mode::Database);
        lost.record.batches[0].outcome = Outcome::Unknown;
        lost.facts.jobs.clear();
        lost.facts.log.clear();
        lost.facts.effects.clear();
        assert_eq!(
            lost.found(),
            ["p: its cause was committed and there is no job"]
        );
        let mut invented = case(Mode::Database);
        invented.record.batches[0].outcome = Outcome::RolledBack;
        invented.facts.causes.clear();
        assert_eq!(
            invented.found(),
            [
                "p: there is a job and its cause was not committed",
                "p: it was rolled back and there is a job"
            ]
        );
    }

    #[test]
    fn a_job_that_never_ends_is_found() {
        let mut case = case(Mode::Database);
        case.facts.jobs[0].state = "ready".to_owned();
        case.facts.log.clear();
        case.facts.effects.clear();
        assert_eq!(case.found(), ["j: it never ended: it is ready"]);
    }

    #[test]
    fn a_job_that_two_workers_completed_is_found() {
        let mut case = case(Mode::Slow);
        case.facts.log.push(attempt(1, "succeeded", 11.0));
        case.facts.effects.push(effect(1));
        assert_eq!(
            case.found(),
            [
                "j: attempt 1 ended twice",
                "j: it is done and succeeded 2 times",
                "j: it is done and left 2 effects"
            ]
        );
    }

    #[test]
    fn an_effect_that_is_missing_or_of_a_failed_attempt_is_found() {
        let mut missing = case(Mode::Database);
        missing.facts.effects.clear();
        assert_eq!(missing.found(), ["j: it is done and left 0 effects"]);
        let mut failed = case(Mode::Database);
        failed.facts.log.insert(0, attempt(1, "failed", 9.0));
        failed.facts.log[1].attempt = 2;
        assert_eq!(
            failed.found(),
            ["j: attempt 1 left an effect and did not succeed"]
        );
    }

    #[test]
    fn an_effect_outside_that_never_arrived_or_under_another_key_is_found() {
        let mut never = case(Mode::External);
        never.receipts.clear();
        assert_eq!(
            never.found(),
            ["j: it is done and its effect never arrived"]
        );
        let mut other = case(Mode::External);
        let receipts = other.receipts.get_mut("p").expect("receipts");
        receipts.push(Receipt {
            key: "k".to_owned(),
            accepted: true,
        });
        assert_eq!(other.found(), ["j: its effect used the key k"]);
    }

    #[test]
    fn two_of_a_limited_kind_at_a_time_are_found() {
        let mut case = case(Mode::Database);
        for id in ["first", "second"] {
            case.facts.jobs.push(Job {
                id: id.to_owned(),
                key: Some(format!("periodic:empty_trash:{id}")),
                probe: None,
                mode: None,
                ..case.facts.jobs[0].clone()
            });
            case.facts.log.push(Attempt {
                job: id.to_owned(),
                ..attempt(1, "succeeded", 10.0)
            });
            case.facts.leases.push(Lease {
                job: id.to_owned(),
                ..lease(1, 13.0, 11.0)
            });
        }
        case.facts.leases[2].begun = 12.0;
        assert_eq!(case.found(), Vec::<String>::new());
        case.facts.leases[2].begun = 10.5;
        assert_eq!(
            case.found(),
            ["empty_trash: two of a limited kind ran at the same time"]
        );
    }

    #[test]
    fn a_cancelled_job_that_is_retried_begins_anew() {
        let mut case = case(Mode::Database);
        case.facts.log = vec![
            attempt(1, "lost", 4.0),
            attempt(2, "cancelled", 5.0),
            attempt(0, "replayed", 6.0),
            attempt(1, "succeeded", 10.0),
        ];
        case.facts.leases = vec![lease(1, 3.0, 4.0), lease(2, 7.0, 5.0), lease(1, 13.0, 10.0)];
        assert_eq!(case.found(), Vec::<String>::new());
    }

    #[test]
    fn a_slot_without_its_job_is_found() {
        let mut case = case(Mode::Database);
        case.record.slots.push("periodic:x:1".to_owned());
        assert_eq!(case.found(), ["periodic:x:1: the slot yielded 0 jobs"]);
    }

    #[test]
    fn a_job_that_dies_of_anothers_poison_is_found() {
        let mut case = case(Mode::Database);
        case.facts.jobs[0].state = "dead".to_owned();
        case.facts.jobs[0].crashes = 3;
        case.facts.effects.clear();
        case.facts.log = vec![
            attempt(1, "lost", 10.0),
            attempt(2, "lost", 20.0),
            attempt(3, "dead", 30.0),
        ];
        case.facts.leases = vec![
            lease(1, 9.0, 10.0),
            lease(2, 19.0, 20.0),
            lease(3, 29.0, 30.0),
        ];
        assert_eq!(case.found(), Vec::<String>::new());
        let how = How::Aborted;
        case.endings = vec![Ending {
            pid: PID,
            how,
            at: 15.0,
        }];
        assert_eq!(
            case.found(),
            [
                "workers: 0 poison jobs took down 1 workers",
                "j: it died of poison jobs"
            ]
        );
    }

    #[test]
    fn a_job_that_fails_for_the_last_time_in_a_worker_that_poison_takes_down_next_died_of_itself() {
        let mut case = case(Mode::Fail);
        let job = &mut case.facts.jobs[0];
        (job.attempt, job.crashes) = (25, 1);
        job.state = "dead".to_owned();
        case.facts.effects.clear();
        case.facts.log = vec![attempt(24, "lost", 20.0), attempt(25, "dead", 27.0)];
        case.facts.leases = vec![lease(24, 19.0, 20.0), lease(25, 29.0, 27.0)];
        case.endings = vec![Ending {
            pid: PID,
            how: How::Aborted,
            at: 15.0,
        }];
        assert_eq!(case.found(), ["workers: 0 poison jobs took down 1 workers"]);
    }

    #[test]
    fn a_lease_that_is_taken_away_too_early_and_one_that_never_ends_are_found() {
        let mut early = case(Mode::Database);
        early.facts.log.insert(0, attempt(1, "lost", 8.0));
        early.facts.log[1].attempt = 2;
        early.facts.effects[0].attempt = 2;
        early.facts.leases = vec![lease(1, 8.5, 8.0), lease(2, 13.0, 10.0)];
        assert_eq!(
            early.found(),
            ["j: attempt 1 was lost before its lease ended"]
        );
        let mut open = case(Mode::Database);
        open.facts.leases[0].ended = None;
        assert_eq!(open.found(), ["j: a lease never ended"]);
    }

    #[test]
    fn a_job_that_is_dead_too_early_and_a_worker_that_ends_by_itself_are_found() {
        let mut case = case(Mode::Fail);
        case.facts.jobs[0].state = "dead".to_owned();
        case.facts.effects.clear();
        case.facts.log = vec![attempt(1, "dead", 10.0)];
        let how = How::Wrongly("ended with 101".to_owned());
        case.endings = vec![Ending {
            pid: PID,
            how,
            at: 15.0,
        }];
        assert_eq!(
            case.found(),
            [
                "worker 7: ended with 101",
                "j: it is dead after 1 attempts and 0 crashes"
            ]
        );
    }
}
