//! What types cannot say: limits, and which values go together.

use std::fmt::Display;

use regex::Regex;
use toml::{Table, Value};

use super::{Egress, Environment, Faults, Name, Spot, parsing::line_of, reference};
use crate::{
    contract::{self, classes},
    render::{connections, cost::Prices, timeouts},
};

/// The retentions that CloudWatch Logs offers, in days.
const LOG_DAYS: &[u32] = &[
    1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922,
    3288, 3653,
];

/// Notes everything that is wrong.
pub(super) struct Findings<'a> {
    file: &'a str,
    text: &'a str,
    lines: Vec<(usize, String)>,
}

impl Findings<'_> {
    /// `detail` says what would be right.
    fn add(&mut self, key: &str, detail: impl Display) {
        let line = line_of(self.text, key);
        self.lines
            .push((line, format!("{}:{line}: {key}: {detail}", self.file)));
    }

    fn ensure(&mut self, right: bool, key: &str, detail: impl Display) {
        if !right {
            self.add(key, detail);
        }
    }

    fn finish(mut self) -> anyhow::Result<()> {
        self.lines.sort();
        let lines: Vec<String> = self.lines.into_iter().map(|(_, line)| line).collect();
        if lines.is_empty() {
            Ok(())
        } else {
            Err(Faults(lines.join("\n")).into())
        }
    }
}

/// # Errors
/// Every value that is out of bounds or does not go with another.
pub(super) fn check(environment: &Environment, file: &str, text: &str) -> anyhow::Result<()> {
    let mut findings = Findings {
        file,
        text,
        lines: Vec::new(),
    };
    bounds(text, &mut findings)?;
    sizes(environment, &Prices::built_in()?, &mut findings);
    combinations(environment, &mut findings);
    variables(environment, &mut findings);
    for (key, detail) in timeouts::violations(environment) {
        findings.add(key, detail);
    }
    for (key, detail) in connections::violations(environment) {
        findings.add(key, detail);
    }
    findings.finish()
}

/// Ranges and patterns, as the schema has them.
fn bounds(text: &str, findings: &mut Findings<'_>) -> anyhow::Result<()> {
    let table: Table = toml::from_str(text)?;
    for key in reference::keys() {
        let Some(value) = find(&table, &key.path) else {
            continue;
        };
        let pattern = key
            .schema
            .get("pattern")
            .and_then(|pattern| pattern.as_str());
        let right = match (value, pattern) {
            (Value::Integer(value), _) => {
                reference::number(&key.schema, "minimum").is_none_or(|least| *value >= least)
                    && reference::number(&key.schema, "maximum").is_none_or(|most| *value <= most)
            }
            (Value::String(value), Some(pattern)) => Regex::new(pattern)?.is_match(value),
            _ => true,
        };
        match pattern {
            Some(pattern) => {
                findings.ensure(
                    right,
                    &key.path,
                    format_args!("{value} does not match {pattern}"),
                );
            }
            None => findings.ensure(
                right,
                &key.path,
                format_args!("{value} is not {}", key.allowed()),
            ),
        }
    }
    Ok(())
}

fn find<'a>(table: &'a Table, path: &str) -> Option<&'a Value> {
    match path.split_once('.') {
        None => table.get(path),
        Some((section, rest)) => find(table.get(section)?.as_table()?, rest),
    }
}

fn sizes(environment: &Environment, prices: &Prices, findings: &mut Findings<'_>) {
    for (name, cpu, memory) in [
        ("api", environment.api.cpu, environment.api.memory),
        ("worker", environment.worker.cpu, environment.worker.memory),
    ] {
        match classes::fargate_memory(cpu) {
            None => findings.add(
                &format!("{name}.cpu"),
                format_args!("{cpu} is none of {}", list(&classes::fargate_cpus())),
            ),
            Some(sizes) if !sizes.contains(&memory) => findings.add(
                &format!("{name}.memory"),
                format_args!("{memory} with cpu = {cpu} is none of {}", list(&sizes)),
            ),
            Some(_) => {}
        }
    }
    let database = &environment.database.class;
    findings.ensure(
        classes::database_memory(database).is_some() && prices.database.contains_key(database),
        "database.class",
        format_args!("{database} is none of {}", list(&classes::databases())),
    );
    let cache = &environment.cache.class;
    findings.ensure(
        prices.cache.contains_key(cache),
        "cache.class",
        format_args!(
            "{cache} is none of {}",
            list(&prices.cache.keys().collect::<Vec<_>>())
        ),
    );
    let days = environment.logs.days;
    findings.ensure(
        LOG_DAYS.contains(&days),
        "logs.days",
        format_args!("{days} is none of {}", list(LOG_DAYS)),
    );
}

fn combinations(environment: &Environment, findings: &mut Findings<'_>) {
    let keys = &environment.keys;
    for (section, min, max) in [
        ("api", keys.api.min, keys.api.max),
        ("worker", keys.worker.min, keys.worker.max),
    ] {
        let detail = format!("{max} is less than {section}.min, {min}");
        findings.ensure(max >= min, &format!("{section}.max"), detail);
    }
    let (storage, most) = (keys.database.storage, keys.database.max_storage);
    findings.ensure(
        // RDS refuses a limit that is nearer than 10 %.
        u64::from(most) * 10 >= u64::from(storage) * 11,
        "database.max_storage",
        format_args!("{most} is less than database.storage, {storage}, and 10 % more"),
    );
    findings.ensure(
        !keys.network.strict_endpoints || keys.network.egress == Egress::Endpoints,
        "network.strict_endpoints",
        "true goes with network.egress = \"endpoints\" only",
    );
    let burstable = keys.cache.class.starts_with("cache.t1.");
    findings.ensure(
        !(burstable && keys.cache.snapshot_days > 0),
        "cache.snapshot_days",
        "cache.t1 nodes cannot be snapshotted: it must be 0",
    );
    if environment.name == Name::Production {
        production(environment, findings);
    }
}

/// What no waiver excuses.
fn production(environment: &Environment, findings: &mut Findings<'_>) {
    let keys = &environment.keys;
    let mut must = |right: bool, key: &str, what: &str| {
        findings.ensure(right, key, format_args!("production needs {what}"));
    };
    must(keys.database.multi_az, "database.multi_az", "true");
    must(
        keys.database.deletion_protection,
        "database.deletion_protection",
        "true",
    );
    must(
        keys.database.backup_days >= 7,
        "database.backup_days",
        "7 or more",
    );
    must(keys.cache.replicas >= 1, "cache.replicas", "1 or more");
    must(keys.api.min >= 2, "api.min", "2 or more");
    must(keys.worker.min >= 2, "worker.min", "2 or more");
    must(
        keys.worker.spot != Spot::Always,
        "worker.spot",
        "`never` or `beyond_min`",
    );
    must(keys.edge.waf, "edge.waf", "true");
    must(keys.deploy.alarms, "deploy.alarms", "true");
    must(keys.logs.days >= 365, "logs.days", "365 or more");
    must(
        keys.network.egress != Egress::SingleNat,
        "network.egress",
        "`endpoints` or `nat`",
    );
    must(keys.schedule.is_none(), "schedule", "no schedule");
}

fn variables(environment: &Environment, findings: &mut Findings<'_>) {
    for name in environment.variables.keys() {
        if let Err(detail) = contract::may_be_given(name) {
            findings.add(&format!("variables.{name}"), detail);
        }
    }
}

fn list<T: Display>(values: &[T]) -> String {
    let texts: Vec<String> = values.iter().map(ToString::to_string).collect();
    texts.join(", ")
}
