//! What each task finds in its environment.

use std::collections::BTreeMap;

use super::{
    Secret, Task,
    variables::{Environment as Mode, Kind, VARIABLES, Variable},
};
use crate::environments::{Environment, Faults, Name};

/// Where the renderer, not an environment file, decides. The text says where it looks.
const DECIDED: &[(&str, &str)] = &[
    ("APP_ENV", "the file's name"),
    ("TASKHUB_SECRETS", "the secrets of the data stack"),
    ("PUBLIC_URL", "domain.name"),
    ("TRUSTED_PROXIES", "the load balancer"),
    (
        "DATABASE_MAX_CONNECTIONS",
        "api.connections and worker.connections",
    ),
    ("REQUEST_TIMEOUT_SECONDS", "api.request_timeout"),
    ("WORKER_CONCURRENCY", "worker.concurrency"),
    ("WORKER_GRACE_SECONDS", "worker.grace"),
    ("LISTEN_ADDRESS", "the target group"),
    ("METRICS_ADDRESS", "the security groups"),
    ("DRAIN_SECONDS", "the stop timeout"),
    ("LOG_FORMAT", "the metric filters"),
];

/// Whether an environment file may set a variable of this name.
///
/// # Errors
/// With the reason and what would be right.
pub(crate) fn may_be_given(name: &str) -> Result<(), String> {
    if let Some((_, by)) = DECIDED.iter().find(|(decided, _)| *decided == name) {
        return Err(format!("is decided by {by}"));
    }
    match VARIABLES.iter().find(|variable| variable.name == name) {
        Some(variable) if variable.kind == Kind::Secret => {
            Err("is a secret, which belongs into Secrets Manager, not into a file".to_owned())
        }
        Some(_) => Ok(()),
        None => {
            let names: Vec<&str> = VARIABLES
                .iter()
                .filter(|variable| variable.kind == Kind::Plain)
                .map(|variable| variable.name)
                .filter(|name| DECIDED.iter().all(|(decided, _)| decided != name))
                .collect();
            Err(format!("is no variable; there are {}", names.join(", ")))
        }
    }
}

/// The plain variables of a task, by name. `TASKHUB_SECRETS` is left to whoever knows the ARNs.
///
/// # Errors
/// Where the task requires a variable, plain or secret, that nothing gives: the message names all.
pub(crate) fn settings(
    task: Task,
    environment: &Environment,
) -> Result<BTreeMap<&'static str, String>, Faults> {
    let mode = mode(environment.name);
    let mine = || {
        VARIABLES
            .iter()
            .filter(|variable| variable.programs.contains(&task.program()))
    };
    let values: BTreeMap<&'static str, String> = mine()
        .filter(|variable| variable.kind == Kind::Plain && variable.name != "TASKHUB_SECRETS")
        .filter_map(|variable| Some((variable.name, value(variable, task, environment)?)))
        .collect();
    let missing: Vec<&str> = mine()
        .filter(|variable| variable.default.is_required(mode))
        .map(|variable| variable.name)
        .filter(|name| !values.contains_key(name) && !is_in_a_secret(name, task))
        .collect();
    if !missing.is_empty() {
        return Err(Faults(format!(
            "{task:?} requires {} in {name}, and nothing gives it: a plain one belongs under [variables] in \
             infra/environments/{name}.toml, a secret one into SECRETS in xtask/src/contract/secrets.rs",
            missing.join(", "),
            name = environment.name,
        )));
    }
    Ok(values)
}

/// What a variable is set to; [`None`] where the feature is off.
fn value(variable: &Variable, task: Task, environment: &Environment) -> Option<String> {
    let connections = match task {
        Task::Api => environment.api.connections,
        Task::Worker | Task::Migrate => environment.worker.connections,
    };
    match variable.name {
        "APP_ENV" => Some(environment.name.to_string()),
        "PUBLIC_URL" => Some(environment.public_url()),
        // The load balancer alone.
        "TRUSTED_PROXIES" => Some("1".to_owned()),
        "DATABASE_MAX_CONNECTIONS" => Some(connections.to_string()),
        "REQUEST_TIMEOUT_SECONDS" => Some(environment.api.request_timeout.to_string()),
        "WORKER_CONCURRENCY" => Some(environment.worker.concurrency.to_string()),
        "WORKER_GRACE_SECONDS" => Some(environment.worker.grace.to_string()),
        // The default of a developer's machine does not matter here.
        name => {
            let given = environment.variables.get(name).cloned();
            given.or_else(|| Some(variable.default.text(mode(environment.name))?.to_owned()))
        }
    }
}

fn is_in_a_secret(name: &str, task: Task) -> bool {
    Secret::read_by(task)
        .filter_map(|secret| secret.given_to(task))
        .any(|variables| variables.contains(&name))
}

fn mode(name: Name) -> Mode {
    match name {
        Name::Staging => Mode::Staging,
        Name::Production => Mode::Production,
    }
}

/// Whether a variable of this name is one that nobody may read in a file.
pub(crate) fn is_secret(name: &str) -> bool {
    VARIABLES
        .iter()
        .any(|variable| variable.name == name && variable.kind == Kind::Secret)
}
