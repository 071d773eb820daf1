//! What the emulator lets pass and AWS would not: the table in `docs/deployment.md` says so, and this holds it.
//! Where one of these fails, ministack has become better: take the row out.

use std::fs;

use serde_json::{Value, json};

use super::environment::{Environment, by, text};
use crate::emulator::infra;

/// The beginnings of the table's rows that are tried here.
const TRIED: [&str; 8] = [
    "Capabilities are not asked for",
    "Policies are kept and not obeyed",
    "Targets are always healthy",
    "Services are stable at once",
    "Nothing that a service is told to run runs",
    "Deletion protection is kept and not obeyed",
    "Change sets say `Conditional`",
    "Alarms on expressions are kept under a metric that nobody sends",
];

pub(crate) fn of_the_emulator(environment: &Environment) {
    table_says_so();
    capabilities_are_not_asked_for(environment);
    policies_are_not_obeyed(environment);
    targets_are_healthy_whatever_runs(environment);
    services_run_nothing(environment);
    alarms_on_expressions_look_at_nothing(environment);
}

/// After everything was deleted: production's database was protected.
pub(crate) fn of_deletion_protection(environment: &Environment) {
    let [database] = &environment.of_type("AWS::RDS::DBInstance")[..] else {
        panic!("one database");
    };
    let is_protected = database.properties["DeletionProtection"] == true;
    assert_eq!(is_protected, environment.name == "production");
}

/// Of a change that replaces: a task definition is never changed.
pub(crate) fn of_replacements(changes: &Value) {
    let changes = changes["Changes"].as_array().expect("changes").iter();
    let task = changes
        .map(|change| &change["ResourceChange"])
        .find(|change| change["LogicalResourceId"] == "ApiTask");
    assert_eq!(task.expect("a task")["Replacement"], "Conditional");
}

fn alarms_on_expressions_look_at_nothing(environment: &Environment) {
    let told = environment.emulator.aws(&["cloudwatch", "describe-alarms"]);
    let told = by(&told["MetricAlarms"], "AlarmName");
    let mut on_expressions = environment.of_type("AWS::CloudWatch::Alarm");
    on_expressions.retain(|alarm| alarm.properties.get("Metrics").is_some());
    assert!(!on_expressions.is_empty());
    for alarm in on_expressions {
        let told = &told[&text(&alarm.properties["AlarmName"])];
        assert_eq!(told["Namespace"], "emulator");
        assert_eq!(told["StateValue"], "INSUFFICIENT_DATA");
    }
}

fn table_says_so() {
    let page = infra().join("../docs/deployment.md");
    let page = fs::read_to_string(page).expect("the page");
    for row in TRIED {
        assert!(page.contains(&format!("| {row}")), "{row}");
    }
}

fn capabilities_are_not_asked_for(environment: &Environment) {
    let role = json!({"Resources": {"Role": {"Type": "AWS::IAM::Role", "Properties": {
        "RoleName": "named", "AssumeRolePolicyDocument": {"Statement": []}}}}});
    let asked = [
        "cloudformation",
        "create-stack",
        "--stack-name",
        "capabilities",
        "--template-body",
    ];
    environment
        .emulator
        .aws(&[&asked[..], &[&role.to_string()]].concat());
    environment.emulator.aws(&[
        "cloudformation",
        "delete-stack",
        "--stack-name",
        "capabilities",
    ]);
}

/// The caller has no policy at all.
fn policies_are_not_obeyed(environment: &Environment) {
    let caller = environment.emulator.aws(&["sts", "get-caller-identity"]);
    assert!(text(&caller["Arn"]).starts_with("arn:aws:iam::"));
    environment.emulator.aws(&["kms", "list-keys"]);
}

/// The image does not exist, so there is nobody to answer a health check.
fn targets_are_healthy_whatever_runs(environment: &Environment) {
    let groups = environment
        .emulator
        .aws(&["elbv2", "describe-target-groups"]);
    let arn = text(&groups["TargetGroups"][0]["TargetGroupArn"]);
    let target = [
        "elbv2",
        "register-targets",
        "--target-group-arn",
        &arn,
        "--targets",
        "Id=10.20.64.9",
    ];
    environment.emulator.aws(&target);
    let health = [
        "elbv2",
        "describe-target-health",
        "--target-group-arn",
        &arn,
    ];
    let health = environment.emulator.aws(&health);
    let states = health["TargetHealthDescriptions"]
        .as_array()
        .expect("targets");
    assert!(
        states
            .iter()
            .all(|one| one["TargetHealth"]["State"] == "healthy"),
        "{states:?}"
    );
    let target = [
        "elbv2",
        "deregister-targets",
        "--target-group-arn",
        &arn,
        "--targets",
        "Id=10.20.64.9",
    ];
    environment.emulator.aws(&target);
}

fn services_run_nothing(environment: &Environment) {
    let service = environment.service("api");
    assert_eq!(service["deployments"][0]["rolloutState"], "COMPLETED");
    assert_eq!(service["runningCount"], service["desiredCount"]);
}
