//! Looking after an environment: what differs from its templates, secrets that get new values, and its end.

use std::sync::atomic::Ordering;

use serde_json::{Value, json};

use crate::deploy_verb::{first_release, says, world::World};

#[test]
fn an_environment_is_compared_rotated_and_deleted() {
    let world = World::new();
    let image = world.image("first");
    first_release(&world, &image);
    what_somebody_changed_by_hand_is_found(&world);
    the_signing_key_is_exchanged_in_three_steps(&world);
    the_password_goes_through_the_migration(&world);
    only_what_is_generated_is_rotated(&world);
    nothing_goes_that_was_not_meant(&world);
    what_is_no_data_goes_and_data_stays(&world);
    data_goes_only_unprotected(&world);
    world.nothing_secret_was_said();
}

fn what_somebody_changed_by_hand_is_found(world: &World) {
    let drift = "drift --env staging --detailed-exitcode";
    let (code, said) = world.run(drift);
    assert_eq!(code, Some(0), "{said}");
    says(&said, "CloudFormation cannot compare:");

    let name = "/taskhub/staging/network/private-subnets";
    let put = [
        "ssm",
        "put-parameter",
        "--overwrite",
        "--name",
        name,
        "--value",
    ];
    let get = ["ssm", "get-parameter", "--name", name];
    let right = world.emulator.aws(&get)["Parameter"]["Value"].clone();
    world.emulator.aws(&[&put[..], &["by hand"]].concat());
    let (code, said) = world.run(drift);
    assert_eq!(code, Some(4), "{said}");
    says(&said, "PrivateSubnetsParameter (AWS::SSM::Parameter)");
    says(&said, "by hand instead of");
    assert_eq!(world.run("drift --env staging").0, Some(0));
    let found = world.json("drift --env staging");
    let stacks = found["stacks"].as_array().expect("stacks").iter();
    let differing: Vec<&Value> = stacks
        .filter(|stack| stack["resources"] != json!([]))
        .collect();
    assert_eq!(differing.len(), 1, "{found}");
    assert_eq!(
        differing[0]["resources"][0]["properties"][0]["actual"],
        "by hand"
    );
    let right = right.as_str().expect("text");
    world.emulator.aws(&[&put[..], &[right]].concat());
}

/// As it stands in the secret.
fn content(world: &World, secret: &str) -> Value {
    let name = format!("taskhub/staging/{secret}");
    let get = ["secretsmanager", "get-secret-value", "--secret-id", &name];
    let found = world.emulator.aws(&get);
    serde_json::from_str(found["SecretString"].as_str().expect("text")).expect("JSON")
}

fn the_signing_key_is_exchanged_in_three_steps(world: &World) {
    let rotate = || world.json("secrets rotate --env staging app --no-wait");
    let before = content(world, "app");
    let first = rotate();
    assert_eq!(first["done"], json!(false), "{first}");
    let announced = content(world, "app");
    assert_eq!(announced["JWT_SECRET"], before["JWT_SECRET"]);
    let next = announced["JWT_SECRET_PREVIOUS"].as_str().expect("a key");
    assert!(next.len() >= 32);

    // Not every process can have read it yet.
    let early = rotate();
    assert!(early["next_in_seconds"].as_u64() > Some(300), "{early}");
    assert_eq!(content(world, "app"), announced);

    world.script.secrets_are_old.store(true, Ordering::SeqCst);
    rotate();
    let exchanged = content(world, "app");
    assert_eq!(exchanged["JWT_SECRET"], json!(next));
    assert_eq!(exchanged["JWT_SECRET_PREVIOUS"], before["JWT_SECRET"]);
    let last = rotate();
    world.script.secrets_are_old.store(false, Ordering::SeqCst);
    assert_eq!(last["done"], json!(true), "{last}");
    assert_eq!(content(world, "app"), json!({"JWT_SECRET": next}));

    let (_, said) = world.run("secrets versions --env staging app --json");
    says(&said, "AWSCURRENT");
    for key in [next, before["JWT_SECRET"].as_str().expect("a key")] {
        assert!(!world.has_said(key), "a key was shown");
    }
}

fn the_password_goes_through_the_migration(world: &World) {
    let former = content(world, "database-service");
    let rotate = "secrets rotate --env staging database-service";
    world.script.migration.store(1, Ordering::SeqCst);
    let (code, said) = world.run(rotate);
    world.script.migration.store(0, Ordering::SeqCst);
    assert_eq!(code, Some(6), "{said}");
    says(&said, "the former role is in the secret again");
    assert_eq!(content(world, "database-service"), former);

    let before = world.between.count("RunTask");
    let (code, said) = world.run(rotate);
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(world.between.count("RunTask"), before + 1);
    let new = content(world, "database-service");
    assert_ne!(new["password"], former["password"]);
    assert_eq!(
        (&former["username"], &new["username"]),
        (&"taskhub_service".into(), &"taskhub_service_2".into())
    );
    assert_eq!(new["host"], former["host"]);
    for secret in [&former, &new] {
        let password = secret["password"].as_str().expect("a password");
        assert!(!world.has_said(password), "a password was shown");
    }
    world.lock_is_free();
}

fn only_what_is_generated_is_rotated(world: &World) {
    for (secret, why) in [
        ("mail", "cargo xtask secrets put"),
        ("cache", "docs/operations.md"),
        ("nothing", "there are app, database-service"),
    ] {
        let (code, said) = world.run(&format!("secrets rotate --env staging {secret}"));
        assert_eq!(code, Some(2), "{said}");
        says(&said, why);
    }
}

fn nothing_goes_that_was_not_meant(world: &World) {
    for (words, code, why) in [
        (
            "destroy --env staging",
            3,
            "--confirm staging says that it is meant",
        ),
        (
            "destroy --env staging --confirm production",
            3,
            "nothing was deleted",
        ),
        (
            "destroy --env staging --confirm staging --include-data",
            3,
            "--no-enable-termination-protection --stack-name taskhub-staging-data",
        ),
    ] {
        let (ended, said) = world.run(words);
        assert_eq!(ended, Some(code), "{said}");
        says(&said, "taskhub-staging-service is deleted");
        says(&said, why);
    }
    let program = crate::support::XTASK.to_owned() + "-aws";
    let script = format!("CI=true exec '{program}' destroy --env production --confirm production");
    let (code, said) = world.ended(world.shell(&script));
    assert_eq!(code, Some(3), "{said}");
    says(&said, "a pipeline does not delete production");
    assert_eq!(world.between.count("DeleteStack"), 0);
}

fn stacks(world: &World) -> Vec<String> {
    let status = world.json("status --env staging");
    let stacks = status["stacks"].as_object().expect("stacks").iter();
    let there = stacks.filter(|(_, state)| !state.is_null());
    there.map(|(name, _)| name.clone()).collect()
}

fn what_is_no_data_goes_and_data_stays(world: &World) {
    let (code, said) = world.run_typing("destroy --env staging", "production");
    assert_eq!(code, Some(3), "{said}");
    let (code, said) = world.run_typing("destroy --env staging", "staging");
    assert_eq!(code, Some(0), "{said}");
    says(&said, "taskhub-staging-data stays");
    says(&said, "taskhub-staging-network stays");
    let left = [
        "taskhub-bootstrap",
        "taskhub-staging-data",
        "taskhub-staging-network",
    ];
    assert_eq!(stacks(world), left);
    let (code, said) = world.run("destroy --env staging --confirm staging");
    assert_eq!(code, Some(0), "{said}");
    says(&said, "nothing of staging is to be deleted");
    world.lock_is_free();
}

fn data_goes_only_unprotected(world: &World) {
    let off = [
        "cloudformation",
        "update-termination-protection",
        "--no-enable-termination-protection",
        "--stack-name",
        "taskhub-staging-data",
    ];
    world.emulator.aws(&off);
    let destroy = "destroy --env staging --confirm staging --include-data";
    world.script.protects_database.store(true, Ordering::SeqCst);
    let (code, said) = world.run(destroy);
    assert_eq!(code, Some(3), "{said}");
    says(
        &said,
        "--db-instance-identifier taskhub-staging --no-deletion-protection",
    );
    world.script.is_unprotected.store(true, Ordering::SeqCst);
    let (code, said) = world.run(destroy);
    assert_eq!(code, Some(0), "{said}");
    says(&said, "leave a snapshot: ");
    says(&said, "Database (AWS::RDS::DBInstance)");
    assert_eq!(stacks(world), ["taskhub-bootstrap"]);
    let snapshots = world.emulator.aws(&["rds", "describe-db-snapshots"]);
    let snapshots = snapshots["DBSnapshots"].as_array().expect("snapshots");
    assert_eq!(snapshots.len(), 1, "{snapshots:?}");
    assert_eq!(world.run(destroy).0, Some(0), "again");
}
