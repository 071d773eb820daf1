//! `xtask plan`, `verify` and `doctor`, turned to the emulator.

use serde_json::Value;

use super::environment::Environment;
use crate::support::XTASK;

/// The exit code and the one object on stdout.
fn ask(environment: &Environment, verb: &str) -> (Option<i32>, Value) {
    let script = format!("'{XTASK}' {verb} --env {} --json", environment.name);
    let output = environment
        .emulator
        .shell(&script)
        .env("AWS_REGION", "eu-central-1")
        .output()
        .expect("a shell");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let told = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{said}"));
    (output.status.code(), told)
}

/// Every change of a plan: stack, resource and action.
fn changes(plan: &Value) -> Vec<(&str, &str, &str)> {
    let stacks = plan["stacks"].as_array().expect("stacks").iter();
    stacks
        .flat_map(|stack| {
            let name = stack["stack"].as_str().expect("a name");
            let changes = stack["changes"].as_array().expect("changes").iter();
            changes.map(move |change| {
                let of = |key: &str| change[key].as_str().unwrap_or_default();
                (name, of("resource"), of("action"))
            })
        })
        .collect()
}

/// The plan is everything there is to be, with its cost, and each stack is missed by name.
pub(super) fn before_anything_is_there(environment: &Environment) {
    let (code, plan) = ask(environment, "plan");
    assert_eq!(code, Some(0));
    let changes = changes(&plan);
    assert!(changes.len() > 150, "{changes:?}");
    assert!(changes.iter().all(|(_, _, action)| *action == "Add"));
    assert_eq!(plan["monthly_before"], 0.0);
    assert!(plan["monthly_after"].as_f64() > Some(50.0), "{plan}");

    let (code, missing) = ask(environment, "verify");
    assert_eq!(code, Some(3));
    let missing = missing.to_string();
    for stack in ["network", "data", "platform", "migrate", "service"] {
        let name = format!("taskhub-{}-{stack}", environment.name);
        assert!(missing.contains(&name), "{missing}");
    }

    let (code, found) = ask(environment, "doctor");
    assert_eq!(code, Some(0), "{found}");
}

/// Nothing would change; with another image, the tasks would, and a pipeline is told by the exit code.
pub(super) fn once_all_is_there(environment: &Environment) {
    let (code, plan) = ask(environment, "plan --detailed-exitcode");
    assert_eq!(changes(&plan), []);
    assert_eq!(code, Some(0));

    let other = format!("plan --detailed-exitcode --image sha256:{}", "6".repeat(64));
    let (code, plan) = ask(environment, &other);
    assert_eq!(code, Some(4));
    let changes = changes(&plan);
    for task in ["ApiTask", "WorkerTask", "MigrateTask"] {
        let changed = changes.iter().any(|(_, resource, _)| *resource == task);
        assert!(changed, "{task}: {changes:?}");
    }
    assert!(changes.iter().all(|(stack, _, _)| !stack.ends_with("data")));

    // Nobody has given the mail server's secret its value yet.
    let (code, found) = ask(environment, "verify");
    assert_eq!(code, Some(3));
    assert!(found.to_string().contains("mail"), "{found}");
}
