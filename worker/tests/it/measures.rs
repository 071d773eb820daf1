//! What the documents say of the metrics is what the worker measures.

use std::collections::BTreeSet;

const JOBS: &str = include_str!("../../../docs/jobs.md");
const OPERATIONS: &str = include_str!("../../../docs/operations.md");
const SOURCES: &[&str] = &[
    include_str!("../../src/measures.rs"),
    include_str!("../../src/endpoint.rs"),
    include_str!("../../src/held.rs"),
    include_str!("../../src/availability.rs"),
];

/// The rows of the tables under a heading.
fn rows<'d>(document: &'d str, heading: &str) -> impl Iterator<Item = &'d str> {
    let section = document.split_once(heading).expect("the heading").1;
    let end = section.find("\n##");
    section[..end.unwrap_or(section.len())]
        .lines()
        .filter(|line| line.starts_with('|'))
}

/// The names in code that look like metrics.
fn metrics(text: &str) -> BTreeSet<&str> {
    text.split(|character: char| !character.is_ascii_lowercase() && character != '_')
        .map(|word| word.trim_end_matches("_bucket"))
        .filter(|word| *word == "jobs" || word.starts_with("jobs_") || word.starts_with("job_"))
        .collect()
}

fn described() -> BTreeSet<&'static str> {
    let names = rows(JOBS, "### Metrics").filter_map(|row| row.split('|').nth(1));
    names.flat_map(metrics).collect()
}

#[test]
fn every_metric_that_is_described_is_measured() {
    let described = described();
    assert!(described.len() >= 8, "{described:?}");
    for name in described {
        let literal = format!("\"{name}\"");
        let measured = SOURCES.iter().any(|source| source.contains(&literal));
        assert!(measured, "{name}");
    }
}

#[test]
fn every_query_asks_for_a_metric_that_is_described() {
    let described = described();
    let queries: Vec<_> = rows(OPERATIONS, "## Metrics")
        .filter_map(|row| row.split('`').nth(1))
        .collect();
    assert!(queries.len() >= 10, "{queries:?}");
    for query in queries {
        let asked = metrics(query);
        assert!(!asked.is_empty(), "{query}");
        assert!(asked.is_subset(&described), "{query}: {asked:?}");
    }
}
