//! What can go wrong while the services change.

use std::{process::Child, sync::atomic::Ordering};

use serde_json::{Value, json};

use crate::deploy_verb::{first_release, says, world::World};

#[test]
fn whatever_happens_to_a_release_the_truth_is_told() {
    let world = World::new();
    let (good, bad) = (world.image("good"), world.image("bad"));
    first_release(&world, &good);

    the_circuit_breaker_trips(&world, &good, &bad);
    the_circuit_breaker_does_not_trip(&world, &good, &bad);
    the_way_back_fails_too(&world, &bad);
    an_alarm_rings_after_the_roll(&world, &good, &bad);
    somebody_else_changes_the_stack(&world, &good, &bad);
    the_ledger_cannot_be_written(&world, &bad);
    world.nothing_secret_was_said();
}

pub(super) fn outcome(world: &World) -> Value {
    let releases = world.json("releases --env staging --limit 1");
    releases["releases"][0]["outcome"].clone()
}

/// A deployment that has just asked for this.
pub(super) fn under_way(world: &World, image: &str, operation: &str) -> Child {
    let before = world.between.count(operation);
    let one = world.start(&world.deployment(image, ""));
    world.until_asked(operation, before);
    one
}

/// How tasks end, and what is told beside it.
const ENDS: [(&str, i32, &str); 5] = [
    (
        "CannotPullContainerError: manifest unknown",
        1,
        "the image is not in the registry",
    ),
    (
        "ResourceInitializationError: no log group",
        1,
        "the log group is not there",
    ),
    (
        "OutOfMemoryError: container killed",
        137,
        "it was killed: give it more memory",
    ),
    (
        "Task failed ELB health checks",
        143,
        "it did not answer GET /health in time",
    ),
    (
        "Essential container in task exited",
        3,
        "secrets could not be read",
    ),
];

/// CloudFormation and ECS go back by themselves, and say why tasks ended.
fn the_circuit_breaker_trips(world: &World, good: &str, bad: &str) {
    let states = &world.script.states;
    let back = "UPDATE_ROLLBACK_IN_PROGRESS";
    let way = [
        "UPDATE_IN_PROGRESS",
        "UPDATE_IN_PROGRESS",
        back,
        back,
        "UPDATE_ROLLBACK_COMPLETE",
    ];
    states.after("ExecuteChangeSet", "service", &way);
    states.fail("ApiService", "ECS Deployment Circuit Breaker was triggered");
    let ends = ENDS.map(|(reason, code, _)| (reason, code));
    *world.script.ends.lock().expect("no panic") = ends.to_vec();
    let (code, said) = world.deploy(bad, "");
    world.script.ends.lock().expect("no panic").clear();
    states.clear();
    assert_eq!(code, Some(7), "{said}");
    says(
        &said,
        "cause: ApiService (AWS::ECS::Service): ECS Deployment Circuit Breaker was triggered",
    );
    for (number, (reason, code, hint)) in ENDS.into_iter().enumerate() {
        let line = format!("task 0ddba11-{number} ended: {reason}, exit code {code}: {hint}");
        says(&said, &line);
    }
    says(&said, "the former release is proven to run");
    assert_eq!(outcome(world), "rolled_back");
    assert_eq!(world.image_of("api"), good);
    world.lock_is_free();
}

/// Then it is told to, when the time is up.
fn the_circuit_breaker_does_not_trip(world: &World, good: &str, bad: &str) {
    let states = &world.script.states;
    states.after("ExecuteChangeSet", "service", &["UPDATE_IN_PROGRESS"]);
    let way = ["UPDATE_ROLLBACK_IN_PROGRESS", "UPDATE_ROLLBACK_COMPLETE"];
    states.after("CancelUpdateStack", "service", &way);
    world.script.is_rolling.store(true, Ordering::SeqCst);
    let stopped = world.between.count("StopServiceDeployment");
    let (code, said) = world.deploy(bad, "--timeout 3");
    world.script.is_rolling.store(false, Ordering::SeqCst);
    states.clear();
    assert_eq!(code, Some(7), "{said}");
    says(&said, "the time is up: the services are told to go back");
    assert_eq!(world.between.count("StopServiceDeployment"), stopped + 2);
    assert_eq!(world.image_of("api"), good);
    assert_eq!(outcome(world), "rolled_back");
    world.lock_is_free();
}

fn the_way_back_fails_too(world: &World, bad: &str) {
    let states = &world.script.states;
    states.after("ExecuteChangeSet", "service", &["UPDATE_IN_PROGRESS"]);
    let way = ["UPDATE_ROLLBACK_IN_PROGRESS", "UPDATE_ROLLBACK_FAILED"];
    states.after("CancelUpdateStack", "service", &way);
    states.fail("WorkerService", "the role is gone");
    let (code, said) = world.deploy(bad, "--timeout 3");
    states.clear();
    assert_eq!(code, Some(8), "{said}");
    says(
        &said,
        "taskhub-staging-service is UPDATE_ROLLBACK_FAILED; cause: WorkerService",
    );
    says(&said, "cargo xtask repair --env staging");
    assert_eq!(outcome(world), "failed");
    world.lock_is_free();
}

fn an_alarm_rings_after_the_roll(world: &World, good: &str, bad: &str) {
    bad.clone_into(&mut world.script.sick.lock().expect("no panic"));
    let one = under_way(world, bad, "DescribeTargetHealth");
    let set = |state: &str| {
        let alarm = [
            "--alarm-name",
            "taskhub-staging-api-cpu",
            "--state-reason",
            "a test",
        ];
        let set = ["cloudwatch", "set-alarm-state", "--state-value", state];
        world.emulator.aws(&[&set[..], &alarm].concat());
    };
    set("ALARM");
    world.script.sick.lock().expect("no panic").clear();
    let (code, said) = world.ended(one);
    set("OK");
    assert_eq!(code, Some(7), "{said}");
    says(&said, "alarm taskhub-staging-api-cpu rings");
    says(&said, "the former release is proven to run");
    assert_eq!(world.image_of("api"), good);
    assert_eq!(outcome(world), "rolled_back");
    world.lock_is_free();
}

fn somebody_else_changes_the_stack(world: &World, good: &str, bad: &str) {
    world.script.is_outrun.store(true, Ordering::SeqCst);
    let (code, said) = world.deploy(bad, "");
    world.script.is_outrun.store(false, Ordering::SeqCst);
    assert_eq!(code, Some(5), "{said}");
    says(&said, "another one changes taskhub-staging-migrate");
    assert_eq!(world.image_of("api"), good);
    world.lock_is_free();
}

/// What runs is proven, so it is no failure.
fn the_ledger_cannot_be_written(world: &World, image: &str) {
    world.script.ledger_is_closed.store(true, Ordering::SeqCst);
    let (code, said) = world.deploy(image, "--json");
    world.script.ledger_is_closed.store(false, Ordering::SeqCst);
    assert_eq!(code, Some(0), "{said}");
    says(&said, "the ledger does not have it");
    let lines = said.lines().filter(|line| line.starts_with('{'));
    let mut lines = lines.map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    assert!(lines.any(|line| line["kind"] == json!("warning")));
    assert_eq!(world.image_of("api"), image);
    world.lock_is_free();
}
