//! The Compose file: the same image in the same cage, with waits that are long enough.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::*;

#[test]
fn compose_says_what_the_contract_says() {
    assert_agrees(
        &file("docker-compose.yml"),
        &[
            (
                "read_only: true\n  cap_drop: [ALL]\n  security_opt",
                "read_only: false\n  cap_drop: [ALL]\n  security_opt",
            ),
            ("cap_drop: [ALL]", "cap_drop: []"),
            (r#"["no-new-privileges:true"]"#, "[]"),
            (
                r#"command: ["taskhub-worker"]"#,
                r#"command: ["taskhub-api", "serve"]"#,
            ),
            (
                r#"command: ["taskhub-api", "migrate"]"#,
                r#"command: ["true"]"#,
            ),
            (
                r#"["CMD", "taskhub-api", "healthcheck"]"#,
                r#"["CMD", "curl", "localhost:8000/health"]"#,
            ),
            (
                r#"["CMD", "taskhub-worker", "healthcheck"]"#,
                r#"["CMD", "taskhub-api", "healthcheck"]"#,
            ),
            ("interval: 10s", "interval: 30s"),
            ("start_period: 20s", "start_period: 2s"),
            ("stop_grace_period: 45s", "stop_grace_period: 34s"),
            (r#""127.0.0.1:8000:8000""#, r#""127.0.0.1:8000:8080""#),
            (r#""127.0.0.1:8000:8000""#, r#""8000:8000""#),
            ("      MAIL_URL:", "      MAIL_ADDRESS:"),
            ("      JWT_SECRET:", "      WORKER_CONCURRENCY:"),
            ("image: postgres:15", "image: postgres:17"),
            (":-infra/build-ca.pem}", ":-infra/build.pem}"),
        ],
        differences,
    );
}

fn differences(text: &str) -> Vec<String> {
    let compose: Value = match serde_saphyr::from_str(text) {
        Ok(compose) => compose,
        Err(error) => return vec![error.to_string()],
    };
    let mut comparison = Comparison::new();
    for task in Task::ALL {
        let service = &compose["services"][task.name()];
        cage(task, service, &mut comparison);
        health(task, service, &mut comparison);
        waits(task, service, &mut comparison);
        variables(task, service, &mut comparison);
    }
    let ports = json!([format!("127.0.0.1:{port}:{port}", port = api_port())]);
    comparison.same(
        "the API's ports",
        &compose["services"]["api"]["ports"],
        &ports,
    );
    let image = compose["services"]["postgres"]["image"]
        .as_str()
        .unwrap_or_default();
    let major = image
        .strip_prefix("postgres:")
        .and_then(|tag| tag.split('.').next())
        .unwrap_or_default();
    comparison.same("PostgreSQL's major version", major, production().postgres());
    build_files(&compose["secrets"], &mut comparison);
    comparison.found()
}

/// What the build is given where the shell names nothing else: a file that is not there would end it.
fn build_files(secrets: &Value, comparison: &mut Comparison) {
    for (name, secret) in secrets.as_object().into_iter().flatten() {
        let file = secret["file"].as_str().unwrap_or_default();
        let usual = file
            .split_once(":-")
            .map(|(_, rest)| rest.trim_end_matches('}'));
        let exists = usual.is_some_and(|file| root().join(file).is_file());
        comparison.ensure(
            exists,
            format!("the file of the secret {name} is missing: {file}"),
        );
    }
}

fn cage(task: Task, service: &Value, comparison: &mut Comparison) {
    let name = task.name();
    comparison.same(
        &format!("{name}'s command"),
        &service["command"],
        &json!(task.command()),
    );
    comparison.same(
        &format!("{name}'s root file system"),
        &service["read_only"],
        &json!(true),
    );
    comparison.same(
        &format!("{name}'s dropped capabilities"),
        &service["cap_drop"],
        &json!(["ALL"]),
    );
    comparison.same(
        &format!("{name}'s security"),
        &service["security_opt"],
        &json!(["no-new-privileges:true"]),
    );
    // The image's own.
    comparison.same(&format!("{name}'s user"), service.get("user"), None);
    comparison.ensure(
        service["deploy"]["resources"]["limits"]["memory"].is_string(),
        format!("{name} has no memory limit"),
    );
}

fn health(task: Task, service: &Value, comparison: &mut Comparison) {
    let check = &service["healthcheck"];
    let name = format!("{}'s health check", task.name());
    let Some(command) = task.health_command() else {
        comparison.same(&name, check, &json!({"disable": true}));
        return;
    };
    let words: Vec<&str> = std::iter::once("CMD")
        .chain(command.iter().copied())
        .collect();
    let should_be = json!({
        "test": words,
        "interval": format!("{}s", PROBE.interval),
        "timeout": format!("{}s", PROBE.timeout),
        "retries": PROBE.retries,
        "start_period": format!("{}s", PROBE.start_period),
    });
    comparison.same(&name, check, &should_be);
}

/// Compose kills a container only after all that it may take on a developer's machine.
fn waits(task: Task, service: &Value, comparison: &mut Comparison) {
    let local = |name: &str| -> u64 { default(name, Mode::Development).parse().expect("a number") };
    let ending = match task {
        Task::Api => local("DRAIN_SECONDS") + local("REQUEST_TIMEOUT_SECONDS"),
        Task::Worker => local("WORKER_GRACE_SECONDS"),
        Task::Migrate => return,
    } + u64::from(CLOSING);
    let grace = service["stop_grace_period"].as_str().unwrap_or_default();
    let seconds: u64 = grace.trim_end_matches('s').parse().unwrap_or(0);
    comparison.ensure(
        seconds > ending,
        format!(
            "{} is killed after {grace:?}, while it may take {ending} s",
            task.name()
        ),
    );
}

fn variables(task: Task, service: &Value, comparison: &mut Comparison) {
    let name = task.name();
    let set: BTreeSet<&str> = service["environment"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(name, _)| name.as_str())
        .collect();
    let mine = || {
        VARIABLES
            .iter()
            .filter(|variable| variable.programs.contains(&task.program()))
    };
    for variable in mine().filter(|variable| variable.default.is_required(Mode::Development)) {
        comparison.ensure(
            set.contains(variable.name),
            format!("{name} lacks {}", variable.name),
        );
    }
    for variable in set {
        let known = mine().any(|known| known.name == variable);
        comparison.ensure(known, format!("{name} does not read {variable}"));
    }
}
