//! A deployment that is told to stop, and one whose watcher is gone.

use std::{process::Child, sync::atomic::Ordering};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;

use super::changes::{outcome, under_way};
use crate::deploy_verb::{REAL, first_release, says, world::World};

#[test]
fn whoever_stops_is_told_what_goes_on_in_each_phase() {
    let world = World::new();
    let (first, second) = (world.image("first"), world.image("second"));
    first_release(&world, &first);
    each_phase_ends_at_a_signal(&world, &first, &second);
    what_is_ours_is_watched_to_its_end(&world, &second);
    world.nothing_secret_was_said();
}

/// SIGTERM, as a pipeline that is cancelled sends it. `deploy_verb` has the roll.
fn each_phase_ends_at_a_signal(world: &World, good: &str, bad: &str) {
    world.script.keeps_reckoning.store(true, Ordering::SeqCst);
    let one = under_way(world, bad, "DescribeChangeSet");
    ends_at_a_signal(world, one, "nothing was changed");
    world.script.keeps_reckoning.store(false, Ordering::SeqCst);
    nothing_is_left_of_the_plan(world);

    let states = &world.script.states;
    states.after("ExecuteChangeSet", "migrate", &["UPDATE_IN_PROGRESS"]);
    let one = under_way(world, bad, "ExecuteChangeSet");
    world.until_asked("DescribeStacks", world.between.count("DescribeStacks"));
    ends_at_a_signal(
        world,
        one,
        "CloudFormation goes on with taskhub-staging-migrate",
    );
    states.clear();

    world.script.migration.store(-1, Ordering::SeqCst);
    let one = under_way(world, bad, "RunTask");
    world.until_asked("DescribeTasks", world.between.count("DescribeTasks"));
    ends_at_a_signal(
        world,
        one,
        "the migration was stopped; the services were not touched",
    );
    world.script.migration.store(0, Ordering::SeqCst);
    assert_eq!(world.image_of("api"), good);
}

fn ends_at_a_signal(world: &World, one: Child, expected: &str) {
    let pid = Pid::from_raw(one.id().cast_signed());
    kill(pid, Signal::SIGTERM).expect("it runs");
    let (code, said) = world.ended(one);
    assert_eq!(code, Some(143), "{said}");
    says(&said, expected);
    world.lock_is_free();
}

/// CloudFormation is still at work when another one takes the watch over.
fn what_is_ours_is_watched_to_its_end(world: &World, image: &str) {
    image.clone_into(&mut world.script.sick.lock().expect("no panic"));
    let one = under_way(world, image, "DescribeTargetHealth");
    kill(Pid::from_raw(one.id().cast_signed()), Signal::SIGTERM).expect("it runs");
    assert_eq!(world.ended(one).0, Some(143));
    world.script.sick.lock().expect("no panic").clear();
    let working = "UPDATE_IN_PROGRESS";
    world
        .script
        .states
        .set("service", &[working, working, working, REAL]);
    let (code, said) = world.deploy(image, "");
    assert_eq!(code, Some(5), "{said}");
    let attach = format!(
        "deploy --env staging --attach --lock-wait 0 --url {}",
        world.between.url
    );
    let (code, said) = world.run(&attach);
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(world.image_of("api"), image);
    assert_eq!(outcome(world), "ok");
    world.lock_is_free();
}

fn nothing_is_left_of_the_plan(world: &World) {
    for stack in ["network", "data", "platform", "migrate", "service"] {
        let name = format!("taskhub-staging-{stack}");
        let list = ["cloudformation", "list-change-sets", "--stack-name", &name];
        let left = world.emulator.aws(&list);
        let left = left["Summaries"].as_array().cloned().unwrap_or_default();
        let of_plans = |set: &&Value| {
            let name = set["ChangeSetName"].as_str().unwrap_or_default();
            name.starts_with("plan-")
        };
        assert_eq!(left.iter().filter(of_plans).count(), 0, "{left:?}");
    }
}
