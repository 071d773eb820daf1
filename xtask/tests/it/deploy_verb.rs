//! `xtask deploy` and its companions on the emulator, with a script for what the emulator does not do by itself.

pub(crate) mod between;
mod script;
mod states;
pub(crate) mod world;

use std::{process::Child, sync::atomic::Ordering};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::{Value, json};

pub(crate) use self::states::REAL;
use self::world::{SENTINEL, World};
use crate::support::eventually;

pub(crate) fn says(text: &str, expected: &str) {
    assert!(text.contains(expected), "{expected:?} is missing:\n{text}");
}

/// The mail server's secret is the one thing that only the operator knows.
pub(crate) fn first_release(world: &World, image: &str) {
    let (code, said) = world.deploy(image, "");
    assert_eq!(code, Some(3), "{said}");
    says(&said, "secret taskhub/staging/mail");
    assert_eq!(world.between.count("RunTask"), 0);

    let put = "secrets put --env staging mail MAIL_URL";
    let (code, said) = world.run_with(put, &format!("{SENTINEL}\n"));
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(world.run("secrets check --env staging").0, Some(0));

    let (code, said) = world.deploy(image, "");
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(world.image_of("api"), image);
    assert_eq!(world.image_of("worker"), image);
    world.lock_is_free();
}

#[test]
fn a_release_is_proven_recorded_and_taken_back() {
    let world = World::new();
    let (first, second) = (world.image("first"), world.image("second"));
    let (code, said) = world.deploy(&first, "--dry-run");
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(
        world.between.count("ExecuteChangeSet"),
        1,
        "of the bootstrap stack"
    );

    first_release(&world, &first);
    let unchanged = world.run(&format!(
        "plan --env staging --image {first} --detailed-exitcode"
    ));
    assert_eq!(unchanged.0, Some(0), "{}", unchanged.1);

    let (code, said) = world.deploy(&second, "--json");
    assert_eq!(code, Some(0), "{said}");
    let last = said
        .lines()
        .rfind(|line| line.starts_with('{'))
        .expect("a result");
    let result: Value = serde_json::from_str(last).expect("JSON");
    assert_eq!(
        (&result["kind"], &result["exit"]),
        (&json!("result"), &json!(0))
    );
    says(&said, "built from commit 0123abc");

    let releases = world.json("releases --env staging");
    let outcomes: Vec<&Value> = releases["releases"]
        .as_array()
        .expect("releases")
        .iter()
        .map(|release| &release["outcome"])
        .collect();
    assert_eq!(outcomes, ["ok", "ok"]);
    assert_eq!(releases["releases"][0]["former"][1], json!(first));

    let (code, said) = world.run(&format!(
        "rollback --env staging --url {} --lock-wait 0",
        world.between.url
    ));
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(world.image_of("api"), first);
    let status = world.json("status --env staging");
    assert_eq!(
        status["release"]["rollback_to"],
        releases["releases"][1]["id"]
    );
    assert_eq!(status["services"].as_array().map(Vec::len), Some(2));
    world.lock_is_free();
    world.nothing_secret_was_said();
}

#[test]
fn each_failure_ends_with_its_own_exit_code() {
    let world = World::new();
    let (good, bad) = (world.image("good"), world.image("bad"));
    first_release(&world, &good);

    nobody_may_deploy_what_does_not_exist(&world);
    a_migration_that_fails_leaves_the_services(&world, &good, &bad);
    a_release_that_is_never_healthy_is_taken_back(&world, &good, &bad);
    a_release_that_does_no_job_is_taken_back(&world, &good, &bad);
    a_release_that_ecs_took_back_is_no_success(&world, &good, &bad);
    what_replaces_data_is_refused(&world, &bad);
    expired_credentials_are_told_as_such(&world, &bad);
    a_person_who_holds_the_lock_keeps_others_out(&world, &bad);
    assert_eq!(world.image_of("api"), good);
    world.nothing_secret_was_said();
}

fn nobody_may_deploy_what_does_not_exist(world: &World) {
    let (code, said) = world.deploy(&format!("sha256:{}", "9".repeat(64)), "");
    assert_eq!(code, Some(3), "{said}");
    says(&said, "is not in the repository taskhub");
    assert_eq!(world.deploy("latest", "").0, Some(2));
}

fn a_migration_that_fails_leaves_the_services(world: &World, good: &str, bad: &str) {
    world.script.migration.store(3, Ordering::SeqCst);
    let (code, said) = world.deploy(bad, "");
    world.script.migration.store(0, Ordering::SeqCst);
    assert_eq!(code, Some(6), "{said}");
    says(&said, "exit code 3: secrets could not be read");
    assert_eq!(world.image_of("api"), good);
    world.lock_is_free();
}

fn a_release_that_is_never_healthy_is_taken_back(world: &World, good: &str, bad: &str) {
    bad.clone_into(&mut world.script.sick.lock().expect("no panic"));
    let (code, said) = world.deploy(bad, "--timeout 3");
    world.script.sick.lock().expect("no panic").clear();
    assert_eq!(code, Some(7), "{said}");
    says(&said, "0 of 1 tasks are healthy");
    says(&said, "the former release is proven to run");
    assert_eq!(world.image_of("api"), good);
    let releases = world.json("releases --env staging --limit 1");
    assert_eq!(releases["releases"][0]["outcome"], "rolled_back");
    world.lock_is_free();
}

fn a_release_that_does_no_job_is_taken_back(world: &World, good: &str, bad: &str) {
    world.script.is_idle.store(true, Ordering::SeqCst);
    let (code, said) = world.deploy(bad, "");
    world.script.is_idle.store(false, Ordering::SeqCst);
    assert_eq!(code, Some(7), "{said}");
    says(
        &said,
        "no worker did a job: Essential container in task exited, exit code 1",
    );
    says(&said, "the former release is proven to run");
    assert_eq!(world.image_of("api"), good);
    world.lock_is_free();
}

/// Neither is it when that cannot be proven to have worked.
fn a_release_that_ecs_took_back_is_no_success(world: &World, good: &str, bad: &str) {
    world.script.is_taken_back.store(true, Ordering::SeqCst);
    let (code, said) = world.deploy(bad, "--timeout 3");
    world.script.is_taken_back.store(false, Ordering::SeqCst);
    assert_eq!(code, Some(8), "{said}");
    says(&said, "ECS took it back");
    says(&said, "is not proven to run");
    assert_eq!(world.image_of("api"), good);
    world.lock_is_free();
}

fn what_replaces_data_is_refused(world: &World, bad: &str) {
    let executed = world.between.count("ExecuteChangeSet");
    world.script.replaces_data.store(true, Ordering::SeqCst);
    let (plan, planned) = world.run("plan --env staging");
    let (code, said) = world.deploy(bad, "");
    world.script.replaces_data.store(false, Ordering::SeqCst);
    assert_eq!((plan, code), (Some(3), Some(3)), "{planned}{said}");
    says(
        &said,
        "data replaces Database (AWS::RDS::DBInstance): data loss",
    );
    assert_eq!(world.between.count("ExecuteChangeSet"), executed);
}

fn expired_credentials_are_told_as_such(world: &World, bad: &str) {
    world.script.is_denied.store(true, Ordering::SeqCst);
    let (code, said) = world.deploy(bad, "");
    world.script.is_denied.store(false, Ordering::SeqCst);
    assert_eq!(code, Some(9), "{said}");
    says(&said, "ExpiredToken");
    world.lock_is_free();
}

fn a_person_who_holds_the_lock_keeps_others_out(world: &World, bad: &str) {
    let hold = "lock hold --env staging --message 'the database moves'";
    assert_eq!(world.run(hold).0, Some(0));
    assert_eq!(world.run("lock status --env staging").0, Some(5));
    // However long it would wait.
    let url = &world.between.url;
    let (code, said) = world.run(&format!("deploy --env staging --image {bad} --url {url}"));
    assert_eq!(code, Some(5), "{said}");
    says(&said, "the database moves");
    assert_eq!(world.run("lock release --env staging").0, Some(0));
    world.lock_is_free();
}

#[test]
fn whoever_interrupts_is_told_what_goes_on() {
    let world = World::new();
    let [first, second, third] = ["first", "second", "third"].map(|tag| world.image(tag));
    first_release(&world, &first);
    of_two_at_once_one_gives_up(&world, &first, &second);
    what_goes_on_in_aws_is_watched_again(&world, &second);
    credentials_that_expire_leave_the_rest_to_aws(&world, &third);
    world.nothing_secret_was_said();
}

/// And the other one, interrupted, stops its migration.
fn of_two_at_once_one_gives_up(world: &World, first: &str, second: &str) {
    world.script.migration.store(-1, Ordering::SeqCst);
    let before = world.between.count("RunTask");
    let one = world.start(&world.deployment(second, ""));
    eventually("it migrates", || world.between.count("RunTask") > before);
    let (code, said) = world.deploy(second, "");
    assert_eq!(code, Some(5), "{said}");
    says(&said, "for: deploying");
    kill(Pid::from_raw(one.id().cast_signed()), Signal::SIGINT).expect("it runs");
    let (code, said) = world.ended(one);
    assert_eq!(code, Some(130), "{said}");
    says(
        &said,
        "the migration was stopped; the services were not touched",
    );
    assert_eq!(world.between.count("StopTask"), 1);
    assert_eq!(world.image_of("api"), first);
    world.lock_is_free();
    world.script.migration.store(0, Ordering::SeqCst);
}

/// A release that is not healthy yet.
fn under_way(world: &World, image: &str) -> Child {
    image.clone_into(&mut world.script.sick.lock().expect("no panic"));
    let looks = world.between.count("DescribeTargetHealth");
    let one = world.start(&world.deployment(image, ""));
    eventually("it is to be proven", || {
        world.between.count("DescribeTargetHealth") > looks
    });
    one
}

/// Another process proves what the first has begun, and records it.
fn attached(world: &World, image: &str) {
    let attach = "deploy --env staging --attach --lock-wait 0 --url";
    let (code, said) = world.run(&format!("{attach} {}", world.between.url));
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(world.image_of("api"), image);
    let releases = world.json("releases --env staging --limit 1");
    assert_eq!(releases["releases"][0]["outcome"], "ok");
    assert_eq!(releases["releases"][0]["digest"], image);
    world.lock_is_free();
}

fn what_goes_on_in_aws_is_watched_again(world: &World, image: &str) {
    let one = under_way(world, image);
    kill(Pid::from_raw(one.id().cast_signed()), Signal::SIGTERM).expect("it runs");
    let (code, said) = world.ended(one);
    assert_eq!(code, Some(143), "{said}");
    says(&said, "deploy --env staging --attach");
    let lock = world.json("lock status --env staging");
    assert!(
        lock["holder"]["release"].is_string(),
        "nobody else begins: {lock}"
    );
    world.script.sick.lock().expect("no panic").clear();
    attached(world, image);
}

fn credentials_that_expire_leave_the_rest_to_aws(world: &World, image: &str) {
    let one = under_way(world, image);
    world.script.is_denied.store(true, Ordering::SeqCst);
    let (code, said) = world.ended(one);
    world.script.is_denied.store(false, Ordering::SeqCst);
    assert_eq!(code, Some(9), "{said}");
    says(&said, "The services go on changing in AWS");
    let releases = world.json("releases --env staging --limit 1");
    assert_eq!(releases["releases"][0]["outcome"], "rolling");
    world.script.sick.lock().expect("no panic").clear();
    attached(world, image);
}
