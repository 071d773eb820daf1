//! The chain of waits: each is longer than the one inside it. Most errors during a release are one wrong inequality.

use crate::{
    contract::{self, PROBE, Task},
    environments::Environment,
};

/// After which the load balancer closes an idle connection, in seconds.
pub(crate) const IDLE: u32 = 60;

/// For which the API's first health checks do not count, in seconds.
pub(crate) const GRACE: u32 = 60;

/// What pulling the image and starting the program may take, in seconds.
const START: u32 = 60;

/// PostgreSQL's wait for a lock in a request, in seconds.
const LOCK: u32 = 5;

/// How the load balancer asks a task for its health.
#[derive(Clone, Copy)]
pub(crate) struct TargetHealth {
    pub(crate) interval: u32,
    pub(crate) timeout: u32,
    pub(crate) healthy: u32,
    pub(crate) unhealthy: u32,
}

pub(crate) const TARGET_HEALTH: TargetHealth = TargetHealth {
    interval: 10,
    timeout: 5,
    healthy: 2,
    unhealthy: 3,
};

/// How long a task that leaves may end its requests before it is told to stop, in seconds.
pub(crate) fn deregistration(environment: &Environment) -> u32 {
    environment.api.request_timeout.max(30)
}

/// A wait and what it is called.
struct Wait(&'static str, u32);

enum Relation {
    Less,
    AtMost,
}

struct Rule {
    inner: Wait,
    relation: Relation,
    outer: Wait,
    /// The key to change where it does not hold.
    key: &'static str,
    /// What happens where it does not hold.
    otherwise: &'static str,
}

impl Rule {
    fn holds(&self) -> bool {
        match self.relation {
            Relation::Less => self.inner.1 < self.outer.1,
            Relation::AtMost => self.inner.1 <= self.outer.1,
        }
    }

    fn sign(&self) -> &'static str {
        match self.relation {
            Relation::Less => "<",
            Relation::AtMost => "≤",
        }
    }
}

fn rules(environment: &Environment) -> Vec<Rule> {
    let mut rules = requests(environment);
    rules.extend(endings(environment));
    rules.extend(starts(environment));
    rules
}

fn requests(environment: &Environment) -> Vec<Rule> {
    let request = || Wait("a request", environment.api.request_timeout);
    let statement = || Wait("a statement in PostgreSQL", contract::STATEMENT_TIMEOUT);
    let key = "api.request_timeout";
    vec![
        Rule {
            inner: Wait("a lock in PostgreSQL", LOCK),
            relation: Relation::Less,
            outer: statement(),
            key,
            otherwise: "a blocked statement takes all the time that a request has",
        },
        Rule {
            inner: statement(),
            relation: Relation::Less,
            outer: request(),
            key,
            otherwise: "the request ends first, and its statement goes on for nobody",
        },
        Rule {
            inner: request(),
            relation: Relation::Less,
            outer: Wait("an idle connection of the load balancer", IDLE),
            key,
            otherwise: "the load balancer answers 504 before the API answers",
        },
        Rule {
            inner: Wait("an idle connection of the load balancer", IDLE),
            relation: Relation::Less,
            outer: Wait("an idle connection of the API", contract::KEEP_ALIVE),
            key,
            otherwise: "the load balancer sends a request into a connection that the API closes: 502",
        },
        Rule {
            inner: request(),
            relation: Relation::AtMost,
            outer: Wait("a target's deregistration", deregistration(environment)),
            key,
            otherwise: "requests are cut off in every release",
        },
    ]
}

fn endings(environment: &Environment) -> Vec<Rule> {
    let ending = |task: Task, name, stop, key| Rule {
        inner: Wait(name, task.ending(environment)),
        relation: Relation::Less,
        outer: Wait(stop, task.stop_timeout(environment)),
        key,
        otherwise: "tasks are killed at work",
    };
    let longest = |stop, task: Task, key| Rule {
        inner: Wait(stop, task.stop_timeout(environment)),
        relation: Relation::AtMost,
        outer: Wait("the longest that Fargate waits", contract::LONGEST_STOP),
        key,
        otherwise: "ECS refuses the task definition",
    };
    let (api, worker, migrate) = (
        "the API's stop timeout",
        "the worker's stop timeout",
        "the migration's stop timeout",
    );
    vec![
        ending(
            Task::Api,
            "the API's drain, requests and closing",
            api,
            "api.request_timeout",
        ),
        longest(api, Task::Api, "api.request_timeout"),
        ending(
            Task::Worker,
            "the worker's grace and closing",
            worker,
            "worker.grace",
        ),
        longest(worker, Task::Worker, "worker.grace"),
        ending(
            Task::Migrate,
            "the migration's closing",
            migrate,
            "migrate.timeout",
        ),
    ]
}

fn starts(environment: &Environment) -> Vec<Rule> {
    let health = TARGET_HEALTH;
    let probes = PROBE.start_period + health.healthy * health.interval;
    let worker = START + PROBE.start_period + Task::Worker.stop_timeout(environment);
    let api = START + probes + deregistration(environment) + Task::Api.stop_timeout(environment);
    vec![
        Rule {
            inner: Wait("a container's health check", PROBE.timeout),
            relation: Relation::Less,
            outer: Wait("the pause between two of them", PROBE.interval),
            key: "deploy.timeout",
            otherwise: "checks overlap",
        },
        Rule {
            inner: Wait("a target's health check", health.timeout),
            relation: Relation::Less,
            outer: Wait("the pause between two of them", health.interval),
            key: "deploy.timeout",
            otherwise: "checks overlap",
        },
        Rule {
            inner: Wait("the start and two health checks", probes),
            relation: Relation::AtMost,
            outer: Wait("the grace for the API's first checks", GRACE),
            key: "deploy.timeout",
            otherwise: "ECS kills tasks that are still starting",
        },
        Rule {
            inner: Wait(
                "both services' roll and the quiet after it",
                worker + api + environment.deploy.bake,
            ),
            relation: Relation::Less,
            outer: Wait("a release", environment.deploy.timeout),
            key: "deploy.timeout",
            otherwise: "good releases are rolled back",
        },
    ]
}

/// For each rule that does not hold the key to change, and both numbers.
pub(crate) fn violations(environment: &Environment) -> Vec<(&'static str, String)> {
    rules(environment)
        .into_iter()
        .filter(|rule| !rule.holds())
        .map(|rule| {
            let detail = format!(
                "{} ({} s) must be {} {} ({} s); otherwise {}",
                rule.inner.0,
                rule.inner.1,
                if matches!(rule.relation, Relation::Less) {
                    "less than"
                } else {
                    "at most"
                },
                rule.outer.0,
                rule.outer.1,
                rule.otherwise,
            );
            (rule.key, detail)
        })
        .collect()
}

/// `timeouts.md`.
pub(crate) fn page(environment: &Environment) -> String {
    let mut text = format!(
        "# Waits in {}\n\nWritten by `cargo xtask render`, which refuses an environment where one of these does not hold.\n\n\
         | wait | s | | wait | s | otherwise |\n|---|---:|---|---|---:|---|\n",
        environment.name
    );
    for rule in rules(environment) {
        text.push_str(&format!(
            "| {} | {} | {} | {} | {} | {} |\n",
            rule.inner.0,
            rule.inner.1,
            rule.sign(),
            rule.outer.0,
            rule.outer.1,
            rule.otherwise,
        ));
    }
    text.push('\n');
    text.push_str(&super::connections::section(environment));
    text
}
