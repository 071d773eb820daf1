//! Stacks that a former change left in a state of their own: what a deployment makes of them, and what `repair` does.

use serde_json::{Value, json};

use crate::deploy_verb::{REAL, first_release, says, world::World};

/// A state, the operation that mends it, what comes of that, and what the message says.
const REPAIRED: [(&str, &str, &[&str], &str); 5] = [
    (
        "UPDATE_ROLLBACK_FAILED",
        "ContinueUpdateRollback",
        &["UPDATE_ROLLBACK_IN_PROGRESS", "UPDATE_ROLLBACK_COMPLETE"],
        "neither the new state nor the old one",
    ),
    (
        "UPDATE_FAILED",
        "RollbackStack",
        &["UPDATE_ROLLBACK_COMPLETE"],
        "switched the rollback off",
    ),
    (
        "CREATE_FAILED",
        "RollbackStack",
        &["ROLLBACK_COMPLETE"],
        "switched the rollback off",
    ),
    (
        "ROLLBACK_FAILED",
        "DeleteStack",
        &["DELETE_COMPLETE"],
        "could not be deleted",
    ),
    (
        "DELETE_FAILED",
        "DeleteStack",
        &["DELETE_COMPLETE"],
        "could not be deleted",
    ),
];

#[test]
fn every_state_of_a_stack_has_its_next_step() {
    let world = World::new();
    let image = world.image("first");
    what_was_never_executed_is_taken_away(&world);
    a_first_creation_that_failed_is_made_again(&world);
    first_release(&world, &image);
    assert_eq!(
        world.between.count("DeleteStack"),
        3,
        "one that was empty, two that failed"
    );
    assert_eq!(world.run("repair --env staging").0, Some(0));
    world.script.states.clear();

    for (state, operation, then, means) in REPAIRED {
        a_person_is_asked_and_the_next_step_done(&world, &image, (state, operation, then, means));
    }
    what_cannot_be_mended_is_skipped_by_name(&world);
    what_cannot_be_deleted_is_kept_by_name(&world);
    data_is_left_to_a_person(&world, &image);
    what_is_at_work_is_waited_for(&world, &image);
    world.nothing_secret_was_said();
}

fn what_was_never_executed_is_taken_away(world: &World) {
    let template = json!({"Resources": {"Topic": {"Type": "AWS::SNS::Topic"}}}).to_string();
    let change = [
        "cloudformation",
        "create-change-set",
        "--stack-name",
        "taskhub-staging-network",
        "--change-set-name",
        "forgotten",
        "--change-set-type",
        "CREATE",
        "--template-body",
        &template,
    ];
    world.emulator.aws(&change);
    let (code, said) = world.run("repair --env staging");
    assert_eq!(code, Some(8), "{said}");
    says(&said, "taskhub-staging-network is REVIEW_IN_PROGRESS");
    says(&said, "nothing was changed: --yes does it");
    let (code, said) = world.run_typing("repair --env staging", "taskhub-staging-network");
    assert_eq!(code, Some(0), "{said}");
    says(&said, "taskhub-staging-network is DELETE_COMPLETE");
    // The first deployment goes on from there by itself too.
    world.emulator.aws(&change);
}

/// By the first deployment, in `first_release`.
fn a_first_creation_that_failed_is_made_again(world: &World) {
    let states = &world.script.states;
    for stack in ["platform", "service"] {
        states.set(stack, &["ROLLBACK_COMPLETE"]);
        states.after("DeleteStack", stack, &["DELETE_IN_PROGRESS", REAL]);
    }
}

fn a_person_is_asked_and_the_next_step_done(
    world: &World,
    image: &str,
    (state, operation, then, means): (&str, &str, &[&str], &str),
) {
    let states = &world.script.states;
    states.set("service", &[state]);
    states.after(operation, "service", then);
    if state == "CREATE_FAILED" {
        states.after("DeleteStack", "service", &["DELETE_COMPLETE"]);
    }
    states.fail("ApiService", "the image is gone");
    let asked = || {
        ["ContinueUpdateRollback", "RollbackStack", "DeleteStack"]
            .map(|name| world.between.count(name))
    };
    let before = asked();
    let (code, said) = world.deploy(image, "");
    assert_eq!(code, Some(8), "{state}: {said}");
    says(&said, means);
    says(
        &said,
        "cause: ApiService (AWS::ECS::Service): the image is gone",
    );
    says(&said, "cargo xtask repair --env staging --stack service");
    world.lock_is_free();

    let diagnosis = world.json("repair --env staging --stack service");
    assert_eq!(diagnosis["stuck"][0]["status"], json!(state));
    assert_eq!(diagnosis["stuck"][0]["then"], Value::Null);
    assert_eq!(asked(), before, "{state}");
    let calls = world.between.count(operation);
    let (code, said) = world.run("repair --env staging --stack service --yes");
    assert_eq!(code, Some(0), "{state}: {said}");
    assert_eq!(world.between.count(operation), calls + 1, "{state}");
    states.clear();
    world.lock_is_free();
}

fn what_cannot_be_mended_is_skipped_by_name(world: &World) {
    let states = &world.script.states;
    states.set("service", &["UPDATE_ROLLBACK_FAILED"]);
    states.fail("ApiService", "the role is gone");
    states.after(
        "ContinueUpdateRollback",
        "service",
        &["UPDATE_ROLLBACK_FAILED"],
    );
    let repair = "repair --env staging --stack service --yes";
    let (code, said) = world.run(repair);
    assert_eq!(code, Some(8), "{said}");
    says(&said, "--skip-resources");
    let (code, said) = world.run(&format!("{repair} --skip-resources WorkerService"));
    assert_eq!(code, Some(2), "{said}");
    says(&said, "WorkerService is not stuck");

    let ended = ["UPDATE_ROLLBACK_IN_PROGRESS", "UPDATE_ROLLBACK_COMPLETE"];
    states.after("ContinueUpdateRollback", "service", &ended);
    let compared = world.between.count("DetectStackDrift");
    let (code, said) = world.run(&format!("{repair} --skip-resources ApiService"));
    assert_eq!(code, Some(0), "{said}");
    says(&said, "ApiService were left as they are");
    assert_eq!(world.between.count("DetectStackDrift"), compared + 1);
    states.clear();
}

fn what_cannot_be_deleted_is_kept_by_name(world: &World) {
    let states = &world.script.states;
    states.set("migrate", &["ROLLBACK_FAILED"]);
    states.fail("MigrateTask", "it is in use");
    states.after("DeleteStack", "migrate", &["DELETE_FAILED"]);
    let repair = "repair --env staging --stack migrate --yes";
    let (code, said) = world.run(repair);
    assert_eq!(code, Some(8), "{said}");
    says(
        &said,
        "left   MigrateTask (AWS::ECS::Service) of-MigrateTask DELETE_FAILED: it is in use",
    );
    states.after(
        "DeleteStack",
        "migrate",
        &["DELETE_IN_PROGRESS", "DELETE_COMPLETE"],
    );
    let (code, said) = world.run(&format!("{repair} --skip-resources MigrateTask"));
    assert_eq!(code, Some(0), "{said}");
    says(&said, "no stack knows of them any more");
    states.clear();
}

/// Whatever is said to the verb.
fn data_is_left_to_a_person(world: &World, image: &str) {
    let states = &world.script.states;
    let deleted = world.between.count("DeleteStack");
    for state in [
        "ROLLBACK_COMPLETE",
        "ROLLBACK_FAILED",
        "DELETE_FAILED",
        "CREATE_FAILED",
    ] {
        states.set("data", &[state]);
        let (code, said) = world.run("repair --env staging --yes");
        assert_eq!(code, Some(8), "{state}: {said}");
        says(&said, "is left to you");
    }
    states.set("data", &["ROLLBACK_COMPLETE"]);
    let (code, said) = world.deploy(image, "");
    assert_eq!(code, Some(8), "{said}");
    says(&said, "may have left data behind");
    assert_eq!(world.between.count("DeleteStack"), deleted);
    states.clear();
}

/// Somebody else's work as long as `--lock-wait`, and clearing up for as long as it takes.
fn what_is_at_work_is_waited_for(world: &World, image: &str) {
    let states = &world.script.states;
    states.set("network", &["UPDATE_IN_PROGRESS"]);
    let (code, said) = world.deploy(image, "");
    assert_eq!(code, Some(5), "{said}");
    says(
        &said,
        "CloudFormation is at work on taskhub-staging-network",
    );
    let (code, said) = world.run("repair --env staging --yes");
    assert_eq!(code, Some(0), "{said}");
    says(&said, "CloudFormation is at work on it");

    let clearing = "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS";
    states.set("network", &[clearing, clearing, clearing, REAL]);
    let (code, said) = world.deploy(image, "--dry-run");
    assert_eq!(code, Some(0), "{said}");
    states.set("network", &[clearing, clearing, clearing, REAL]);
    let (code, said) = world.deploy(image, "");
    assert_eq!(code, Some(0), "{said}");
    states.clear();
}
