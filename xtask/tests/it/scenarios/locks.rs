//! The lock of somebody who has died, and one that is lost in the middle.

use std::sync::atomic::Ordering;

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::json;

use crate::{
    deploy_verb::{first_release, says, world::World},
    support::eventually,
};

#[test]
fn a_dead_holder_is_followed_and_a_lost_lock_begins_nothing_new() {
    let world = World::new();
    let (first, second) = (world.image("first"), world.image("second"));
    first_release(&world, &first);
    somebody_died_with_the_lock(&world);

    world.script.migration.store(-1, Ordering::SeqCst);
    let before = world.between.count("RunTask");
    let one = world.start(&world.deployment(&second, ""));
    world.until_asked("RunTask", before);

    whoever_waits_may_give_up(&world, &second);

    // A person takes it away, and holds it.
    let (code, said) = world.run("lock release --env staging");
    assert_eq!(code, Some(0), "{said}");
    says(&said, "taken from");
    let hold = world.run("lock hold --env staging --message 'looking at it'");
    assert_eq!(hold.0, Some(0), "{}", hold.1);
    let executed = world.between.count("ExecuteChangeSet");
    let writes = world.between.count_like("PUT /");
    eventually("its next sign of life is refused", || {
        world.between.count_like("PUT /") > writes
    });
    world.script.migration.store(0, Ordering::SeqCst);
    let (code, said) = world.ended(one);
    assert_eq!(code, Some(5), "{said}");
    says(&said, "the lock is somebody else's now");
    says(&said, "nothing new was begun");
    assert_eq!(world.between.count("ExecuteChangeSet"), executed);
    assert_eq!(world.image_of("api"), first);

    let lock = world.json("lock status --env staging");
    assert_eq!(
        lock["holder"]["why"],
        json!("looking at it"),
        "it stays theirs"
    );
    assert_eq!(world.run("lock release --env staging").0, Some(0));
    world.nothing_secret_was_said();
}

fn whoever_waits_may_give_up(world: &World, image: &str) {
    let reads = world.between.count_like("GET /");
    let deployment = world
        .deployment(image, "")
        .replace("--lock-wait 0", "--lock-wait 60");
    let waiting = world.start(&deployment);
    eventually("it looks at the lock", || {
        world.between.count_like("GET /") > reads
    });
    kill(Pid::from_raw(waiting.id().cast_signed()), Signal::SIGTERM).expect("it runs");
    let (code, said) = world.ended(waiting);
    assert_eq!(code, Some(143), "{said}");
    says(&said, "nothing was changed");
}

/// So long ago that no clock can be that wrong.
fn somebody_died_with_the_lock(world: &World) {
    let name = "/taskhub/bootstrap/state-bucket";
    let bucket = world
        .emulator
        .aws(&["ssm", "get-parameter", "--name", name]);
    let bucket = bucket["Parameter"]["Value"].as_str().expect("a name");
    let holder = json!({
        "who": "arn:aws:iam::000000000000:user/gone",
        "why": "deploying",
        "release": "20260101T000000Z-0123abcd",
        "place": "a machine that is gone",
        "since": "2026-01-01T00:00:00Z",
        "expires": "2026-01-01T00:02:00Z",
        "beat": 3,
    });
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("holder.json");
    std::fs::write(&file, holder.to_string()).expect("own folder");
    let body = file.to_str().expect("text");
    let put = [
        "s3api",
        "put-object",
        "--bucket",
        bucket,
        "--key",
        "locks/staging.json",
    ];
    world.emulator.aws(&[&put[..], &["--body", body]].concat());
    world.lock_is_free();
}
