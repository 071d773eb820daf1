//! What operators do every day, on the emulator: logs, run, exec, scale, watch, and images by commit.

mod images;

use std::{
    fs,
    io::{BufRead, BufReader},
    os::unix::fs::PermissionsExt,
    sync::atomic::Ordering,
};

use chrono::Utc;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::{Value, json};

use crate::{
    deploy_verb::{says, world::World},
    support::eventually,
};

#[test]
fn an_operator_does_everything_by_verbs() {
    let world = World::new();
    let digest = images::a_commit_is_deployed_by_its_image(&world);
    it_is_watched_until_it_is_stable(&world);
    lines_of_all_tasks_are_merged(&world);
    only_what_is_asked_for_is_told(&world);
    lines_are_followed_until_ctrl_c(&world);
    a_command_runs_once_and_its_exit_code_counts(&world);
    whoever_interrupts_a_command_stops_it(&world);
    nobody_enters_what_does_not_let_them_in(&world);
    whoever_may_enter_is_written_down_first(&world);
    a_service_is_scaled_and_goes_back_by_itself(&world, &digest);
    world.nothing_secret_was_said();
}

fn it_is_watched_until_it_is_stable(world: &World) {
    let (code, said) = world.run("watch --env staging --json");
    assert_eq!(code, Some(0), "{said}");
    says(&said, "\"kind\":\"stable\"");
    let update = ["--cluster", "taskhub-staging", "--service", "api"];
    let count = |count| {
        let set = ["--desired-count", count];
        world
            .emulator
            .aws(&[&["ecs", "update-service"], &update[..], &set].concat());
    };
    count("2");
    let (code, said) = world.run("watch --env staging --timeout 1s");
    count("1");
    assert_eq!(code, Some(10), "{said}");
    says(&said, "the services are not stable: ");
}

/// Into a stream that is made where it is not there; each line a millisecond after the one before.
fn write_log(world: &World, service: &str, task: &str, at: i64, lines: &[&str]) {
    let group = format!("/taskhub/staging/{service}");
    let stream = format!("{service}/{service}/{task}");
    let place = ["--log-group-name", &group, "--log-stream-name", &stream];
    let create = [&["logs", "create-log-stream"], &place[..]].concat();
    // It may be there.
    drop(world.emulator.try_aws(&create));
    let events: Vec<Value> = (at..)
        .zip(lines)
        .map(|(at, line)| json!({"timestamp": at, "message": line}))
        .collect();
    let events = json!(events).to_string();
    let put = [
        &["logs", "put-log-events"],
        &place[..],
        &["--log-events", &events],
    ]
    .concat();
    world.emulator.aws(&put);
}

const ANSWERED: &str = r#"{"level":"INFO","message":"answered","status":200,"span":{"request_id":"r-1","name":"request"}}"#;
const FAILED: &str = r#"{"level":"ERROR","message":"request failed","span":{"request_id":"r-2"}}"#;
const WORKED: &str = r#"{"level":"WARN","message":"worked"}"#;

fn lines_of_all_tasks_are_merged(world: &World) {
    let at = Utc::now().timestamp_millis() - 1000;
    write_log(world, "api", "aaaa1111", at, &[ANSWERED, "half a {"]);
    write_log(world, "worker", "bbbb2222", at + 1, &[WORKED]);
    write_log(world, "api", "cccc3333", at + 10, &[FAILED]);
    write_log(
        world,
        "api",
        "cccc3333",
        at - 3_600_000,
        &[r#"{"message":"an hour ago"}"#],
    );

    let (code, said) = world.run("logs --env staging");
    assert_eq!(code, Some(0), "{said}");
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines.len(), 5, "{said}");
    // That of `images`.
    says(lines[0], "before the release");
    says(
        lines[1],
        "api/aaaa1111 INFO  answered status=200 request_id=r-1",
    );
    says(&lines[2..4].join("\n"), "api/aaaa1111 half a {");
    says(&lines[2..4].join("\n"), "worker/bbbb2222 WARN  worked");
    says(lines[4], "api/cccc3333 ERROR request failed request_id=r-2");

    let (_, said) = world.run("logs --env staging --json");
    let read: Vec<Value> = said
        .lines()
        .map(|line| serde_json::from_str(line).expect("each line is JSON"))
        .collect();
    assert_eq!(
        read[1],
        serde_json::from_str::<Value>(ANSWERED).expect("JSON")
    );
    assert!(
        read.iter()
            .any(|line| line["message"] == "half a {" && line["service"] == "api")
    );
}

fn only_what_is_asked_for_is_told(world: &World) {
    let count = |more: &str, expected: &str| {
        let (code, said) = world.run(&format!("logs --env staging {more}"));
        assert_eq!(code, Some(0), "{said}");
        says(&said, expected);
        said.lines().count()
    };
    assert_eq!(count("--since 2h", "an hour ago"), 6);
    assert_eq!(count("--service worker", "worked"), 1);
    assert_eq!(count("--level warn", "half a {"), 4);
    assert_eq!(count("--request-id r-2", "request failed"), 1);
    let releases = world.json("releases --env staging");
    let id = releases["releases"][0]["id"].as_str().expect("an id");
    // What `images` has written before the release is not its own.
    assert_eq!(count("--since 2h", "before the release"), 6);
    let (_, said) = world.run(&format!("logs --env staging --since 2h --release {id}"));
    assert_eq!(said.lines().count(), 5, "{said}");
    let (code, said) = world.run("logs --env staging --release nobody");
    assert_eq!(code, Some(3), "{said}");
    says(&said, "cargo xtask releases --env staging");
    assert_eq!(world.run("logs --env staging --since yesterday").0, Some(2));
}

fn lines_are_followed_until_ctrl_c(world: &World) {
    let mut following = world.start("logs --env staging --follow --service worker");
    let mut lines = BufReader::new(following.stdout.take().expect("a pipe")).lines();
    let mut next = || lines.next().expect("a line").expect("text");
    says(&next(), "worked");
    // It comes late, and is older than what was told.
    let at = Utc::now().timestamp_millis() - 20_000;
    write_log(world, "worker", "dddd4444", at, &[r#"{"message":"late"}"#]);
    says(&next(), "late");
    kill(Pid::from_raw(following.id().cast_signed()), Signal::SIGINT).expect("it runs");
    assert_eq!(world.ended(following).0, Some(130));
}

/// What was written down last of a verb.
fn audited(world: &World, verb: &str) -> Vec<Value> {
    let bucket = [
        "ssm",
        "get-parameter",
        "--name",
        "/taskhub/bootstrap/state-bucket",
    ];
    let bucket = world.emulator.aws(&bucket);
    let bucket = bucket["Parameter"]["Value"].as_str().expect("a name");
    let place = ["--bucket", bucket, "--prefix", "audit/staging/"];
    let listed = world
        .emulator
        .aws(&[&["s3api", "list-objects-v2"], &place[..]].concat());
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("entry");
    let objects = listed["Contents"].as_array().into_iter().flatten();
    let keys = objects.filter_map(|object| object["Key"].as_str());
    let keys = keys.filter(|key| key.ends_with(&format!("-{verb}.json")));
    keys.map(|key| {
        let path = file.to_str().expect("a path");
        let get = [
            "s3api",
            "get-object",
            "--bucket",
            bucket,
            "--key",
            key,
            path,
        ];
        world.emulator.aws(&get);
        serde_json::from_slice(&fs::read(&file).expect("an object")).expect("JSON")
    })
    .collect()
}

fn a_command_runs_once_and_its_exit_code_counts(world: &World) {
    world.script.once.store(7, Ordering::SeqCst);
    let (code, said) = world.run("run --env staging -- taskhub-api migrate 'two words'");
    assert_eq!(code, Some(7), "{said}");
    says(&said, "\"message\":\"done once\"}\nhalf a {\n");
    let [entry] = &audited(world, "run")[..] else {
        panic!("one entry");
    };
    assert_eq!(
        entry["command"],
        json!(["taskhub-api", "migrate", "two words"])
    );
    assert_eq!(entry["exit_code"], 7);
    let task = entry["task"].as_str().expect("an ARN");
    let describe = [
        "ecs",
        "describe-tasks",
        "--cluster",
        "taskhub-staging",
        "--tasks",
        task,
    ];
    let found = world.emulator.aws(&describe);
    let found = &found["tasks"][0];
    assert_eq!(
        found["overrides"]["containerOverrides"][0]["command"],
        entry["command"]
    );
    let definition = found["taskDefinitionArn"].as_str().expect("an ARN");
    says(definition, "task-definition/taskhub-staging-api:");

    world.script.once.store(0, Ordering::SeqCst);
    let (code, said) = world.run("run --env staging --task migrate --json");
    assert_eq!(code, Some(0), "{said}");
    let last = said
        .lines()
        .rfind(|line| line.starts_with('{'))
        .expect("a result");
    assert_eq!(last, r#"{"exit":0,"kind":"result"}"#);
    let (code, said) = world.run("run --env staging --detach --task worker -- taskhub-worker");
    assert_eq!(code, Some(0), "{said}");
    says(&said, "arn:aws:ecs:");
    says(&said, "logs --env staging --service worker --follow");
    let (code, said) = world.run("run --env staging");
    assert_eq!(code, Some(2), "{said}");
    assert_eq!(audited(world, "run").len(), 3);
}

fn whoever_interrupts_a_command_stops_it(world: &World) {
    world.script.once.store(-1, Ordering::SeqCst);
    let (code, said) = world.run("run --env staging --timeout 1s -- taskhub-api serve");
    assert_eq!(code, Some(10), "{said}");
    says(&said, "told to stop after 1 s");
    assert_eq!(world.between.count("StopTask"), 1);

    world.script.once.store(-1, Ordering::SeqCst);
    let looks = world.between.count("GetLogEvents");
    let one = world.start("run --env staging -- taskhub-api serve");
    eventually("it is watched", || {
        world.between.count("GetLogEvents") > looks
    });
    kill(Pid::from_raw(one.id().cast_signed()), Signal::SIGINT).expect("it runs");
    let (code, said) = world.ended(one);
    assert_eq!(code, Some(130), "{said}");
    says(&said, "it has stopped");
    assert_eq!(world.between.count("StopTask"), 2);
    world.script.once.store(0, Ordering::SeqCst);
}

/// A folder with stand-ins for `aws` and its plugin.
fn programs() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    for program in ["aws", "session-manager-plugin"] {
        let file = folder.path().join(program);
        fs::write(&file, "#!/bin/sh\necho \"$0 $*\"\nexit 5\n").expect("own file");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).expect("own file");
    }
    folder
}

fn nobody_enters_what_does_not_let_them_in(world: &World) {
    let (code, said) = world.run("exec --env production --service api -- id");
    assert_eq!(code, Some(3), "{said}");
    says(&said, "--break-glass \"REASON\"");
    let (code, said) = world.run("exec --env staging --service api -- id");
    assert_eq!(code, Some(3), "{said}");
    says(
        &said,
        "session-manager-plugin is not on the PATH: install it",
    );
    let exec = "exec --env staging --service api -- id";
    let (code, said) = world.run_beside(programs().path(), exec);
    assert_eq!(code, Some(3), "{said}");
    says(&said, "enableExecuteCommand is false");
    says(&said, "cargo xtask run --env staging --task api");
    assert_eq!(audited(world, "exec").len(), 0);
}

fn whoever_may_enter_is_written_down_first(world: &World) {
    world.script.lets_in.store(true, Ordering::SeqCst);
    let exec = "exec --env staging --service api --break-glass 'a look' -- taskhub-api 'two words'";
    let (code, said) = world.run_beside(programs().path(), exec);
    let nobody = "exec --env staging --service api --task ffff -- id";
    let absent = world.run_beside(programs().path(), nobody);
    world.script.lets_in.store(false, Ordering::SeqCst);
    assert_eq!(code, Some(5), "{said}");
    says(
        &said,
        "/aws ecs execute-command --cluster taskhub-staging --task arn:aws:ecs:",
    );
    says(
        &said,
        "--container api --region eu-central-1 --interactive --command taskhub-api 'two words'",
    );
    let [entry] = &audited(world, "exec")[..] else {
        panic!("one entry");
    };
    assert_eq!(entry["reason"], "a look");
    assert_eq!(absent.0, Some(3), "{}", absent.1);
    says(&absent.1, "no such task");
}

fn a_service_is_scaled_and_goes_back_by_itself(world: &World, digest: &str) {
    let bounds = || {
        let resource = [
            "--service-namespace",
            "ecs",
            "--resource-ids",
            "service/taskhub-staging/api",
        ];
        let describe = ["application-autoscaling", "describe-scalable-targets"];
        let found = world.emulator.aws(&[&describe[..], &resource].concat());
        let target = &found["ScalableTargets"][0];
        (target["MinCapacity"].clone(), target["MaxCapacity"].clone())
    };
    let scheduled = || {
        let describe = ["application-autoscaling", "describe-scheduled-actions"];
        let found = world
            .emulator
            .aws(&[&describe[..], &["--service-namespace", "ecs"]].concat());
        let actions = found["ScheduledActions"]
            .as_array()
            .expect("actions")
            .clone();
        actions
            .into_iter()
            .find(|action| action["ScheduledActionName"] == "taskhub-scale-back")
    };
    assert_eq!(bounds(), (json!(1), json!(2)));
    let scaled = world.json("scale --env staging --service api --count 3 --for 2h");
    assert_eq!(scaled["set"], json!({"min": 3, "max": 3}));
    assert_eq!(scaled["former"], json!({"min": 1, "max": 2}));
    assert_eq!(bounds(), (json!(3), json!(3)));
    let action = scheduled().expect("a way back");
    assert_eq!(
        action["ScalableTargetAction"],
        json!({"MinCapacity": 1, "MaxCapacity": 2})
    );
    let until = scaled["until"].as_str().expect("a time");
    assert_eq!(action["Schedule"], format!("at({})", &until[..19]));

    // A second time: back is still where it was before the first.
    let (code, said) = world.run("scale --env staging --service api --count 2");
    assert_eq!(code, Some(0), "{said}");
    says(&said, "2 to 2 tasks now, before 1 to 2 tasks");
    says(&said, "scale --env staging --service api --back");
    assert_eq!(scheduled(), None);
    let plan = world.run(&format!(
        "plan --env staging --image {digest} --detailed-exitcode"
    ));
    assert_eq!(plan.0, Some(0), "{}", plan.1);

    let (code, said) = world.run("scale --env staging --service api --back");
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(bounds(), (json!(1), json!(2)));
    let (code, said) = world.run("scale --env staging --service api --back");
    assert_eq!(code, Some(3), "{said}");
    says(&said, "nothing to go back to");
    assert_eq!(
        world.run("scale --env staging --service api --count 0").0,
        Some(2)
    );
    assert_eq!(audited(world, "scale").len(), 3);
}
