//! What a run came to.

use std::{collections::BTreeMap, io::Write, process::ExitCode, time::Duration};

use serde::Serialize;

use super::{
    checker::{Evidence, Violation},
    faults::Fault,
    fleet::How,
    traffic::Outcome,
};

/// How many violations are printed.
const SHOWN: usize = 20;

#[derive(Serialize)]
pub(super) struct Report {
    seed: u64,
    seconds: f64,
    faults: BTreeMap<&'static str, usize>,
    /// Answers of the servers that never arrived.
    lost_answers: usize,
    transactions: BTreeMap<&'static str, usize>,
    jobs: usize,
    states: BTreeMap<String, usize>,
    /// Attempts by how they ended.
    attempts: BTreeMap<String, usize>,
    workers: BTreeMap<&'static str, usize>,
    database_effects: usize,
    external_effects: usize,
    external_repeats: usize,
    slots: usize,
    cancellations: usize,
    retries: usize,
    pub(super) violations: Vec<Violation>,
}

impl Report {
    pub(super) fn new(
        seed: u64,
        time: Duration,
        faults: &BTreeMap<Fault, usize>,
        lost_answers: usize,
        evidence: &Evidence<'_>,
    ) -> Self {
        let facts = evidence.facts;
        let receipts = evidence.receipts.values();
        let accepted = receipts.map(|receipts| {
            let accepted = receipts.iter().filter(|receipt| receipt.accepted);
            accepted.count()
        });
        let accepted: Vec<usize> = accepted.filter(|count| *count > 0).collect();
        let batches = evidence.record.batches.iter();
        let jobs = facts.jobs.iter();
        Self {
            seed,
            seconds: time.as_secs_f64(),
            faults: faults
                .iter()
                .map(|(fault, count)| (fault.name(), *count))
                .collect(),
            lost_answers,
            transactions: counts(batches.map(|batch| match batch.outcome {
                Outcome::Committed => "committed",
                Outcome::RolledBack => "rolled back",
                Outcome::Unknown => "answer lost",
            })),
            jobs: facts.jobs.len(),
            states: counts(jobs.map(|job| job.state.clone())),
            attempts: counts(facts.log.iter().map(|attempt| attempt.outcome.clone())),
            workers: counts(evidence.endings.iter().map(|ending| match ending.how {
                How::Killed => "killed",
                How::Aborted => "aborted by poison",
                How::Stopped => "stopped",
                How::Wrongly(_) => "ended wrongly",
            })),
            database_effects: facts.effects.len(),
            external_effects: accepted.len(),
            external_repeats: accepted.iter().map(|count| count - 1).sum(),
            slots: evidence.record.slots.len(),
            cancellations: evidence.record.cancellations,
            retries: evidence.record.retries,
            violations: evidence.violations(),
        }
    }

    pub(super) fn exit_code(&self) -> ExitCode {
        ExitCode::from(u8::from(!self.violations.is_empty()))
    }

    pub(super) fn print(&self, json: bool) -> anyhow::Result<()> {
        let mut out = std::io::stdout().lock();
        if json {
            serde_json::to_writer(&mut out, self)?;
            writeln!(out)?;
            return Ok(());
        }
        writeln!(out, "seed            {}", self.seed)?;
        writeln!(out, "faults          {}", listed(&self.faults))?;
        writeln!(out, "lost answers    {}", self.lost_answers)?;
        writeln!(out, "workers         {}", listed(&self.workers))?;
        writeln!(out, "transactions    {}", listed(&self.transactions))?;
        writeln!(
            out,
            "jobs            {}: {}",
            self.jobs,
            listed(&self.states)
        )?;
        writeln!(out, "attempts        {}", listed(&self.attempts))?;
        writeln!(
            out,
            "effects         {} in the database",
            self.database_effects
        )?;
        let (effects, repeats) = (self.external_effects, self.external_repeats);
        writeln!(
            out,
            "                {effects} outside, repeated {repeats} times"
        )?;
        writeln!(out, "clock slots     {}", self.slots)?;
        writeln!(out, "cancellations   {}", self.cancellations)?;
        writeln!(out, "retries         {}", self.retries)?;
        writeln!(out, "violations      {}", self.violations.len())?;
        for violation in self.violations.iter().take(SHOWN) {
            let (seed, about) = (self.seed, &violation.about);
            writeln!(out, "  seed {seed}, {about}: {}", violation.what)?;
        }
        Ok(())
    }
}

fn counts<K: Ord>(all: impl Iterator<Item = K>) -> BTreeMap<K, usize> {
    let mut counts = BTreeMap::new();
    for one in all {
        *counts.entry(one).or_default() += 1;
    }
    counts
}

fn listed(counts: &BTreeMap<impl AsRef<str>, usize>) -> String {
    let parts: Vec<String> = counts
        .iter()
        .map(|(name, count)| format!("{count} {}", name.as_ref()))
        .collect();
    parts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_counted_is_listed_with_its_count() {
        let counts = counts(["done", "dead", "done"].into_iter());
        assert_eq!(listed(&counts), "1 dead, 2 done");
    }
}
