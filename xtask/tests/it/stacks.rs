//! The committed templates on an AWS emulator: made through change sets, read back through the services
//! that own the resources, changed and deleted.

mod agreement;
mod environment;
mod readback;
mod silence;
mod verbs;

use std::collections::BTreeSet;

use serde_json::{Value, json};

use self::environment::{Environment, digest};

#[test]
fn staging_is_made_as_rendered_changed_and_deleted() {
    live("staging");
}

#[test]
fn production_is_made_as_rendered_changed_and_deleted() {
    live("production");
}

fn live(name: &'static str) {
    let environment = Environment::of(name);
    verbs::before_anything_is_there(&environment);
    environment.make();
    verbs::once_all_is_there(&environment);
    environment.every_resource_is_there();
    readback::everything(&environment);
    a_release_changes_the_tasks_and_nothing_else(&environment);
    silence::of_the_emulator(&environment);
    environment.delete();
    silence::of_deletion_protection(&environment);
    what_keeps_data_is_kept(&environment);
}

/// `Release` is a parameter of the last two stacks: another one is a new revision of the same image.
fn a_release_changes_the_tasks_and_nothing_else(environment: &Environment) {
    let revision = |service: &str| {
        let services = environment.service(service);
        services["taskDefinition"]
            .as_str()
            .expect("an ARN")
            .to_owned()
    };
    let before = ["api", "worker"].map(revision);
    let same = environment.change("service", &environment.parameters("service", "first"));
    let reason = same["StatusReason"].as_str().expect("a reason");
    assert!(reason.contains("didn't contain changes"), "{reason}");

    let changes = environment.change("service", &environment.parameters("service", "second"));
    let changed: BTreeSet<(&str, &str)> = changes["Changes"]
        .as_array()
        .expect("changes")
        .iter()
        .map(|change| &change["ResourceChange"])
        .map(|change| {
            let text = |key: &str| change[key].as_str().unwrap_or_default();
            (text("LogicalResourceId"), text("Action"))
        })
        .collect();
    for expected in ["ApiTask", "ApiService", "WorkerTask", "WorkerService"] {
        assert!(changed.contains(&(expected, "Modify")), "{changed:?}");
    }
    let is_of_a_service = |id: &str| id.starts_with("Api") || id.starts_with("Worker");
    let others = changed
        .iter()
        .filter(|(id, action)| !is_of_a_service(id) || *action != "Modify");
    assert_eq!(others.count(), 0, "{changed:?}");

    silence::of_replacements(&changes);
    environment.execute("service", &changes);
    let after = ["api", "worker"].map(revision);
    for (before, after) in before.iter().zip(&after) {
        assert_ne!(before, after);
        let family = |arn: &str| arn.rsplit_once(':').map(|(family, _)| family.to_owned());
        assert_eq!(family(before), family(after));
    }
    let task = environment.task_definition("api");
    assert_eq!(
        task["containerDefinitions"][0]["dockerLabels"]["release"],
        "second"
    );
    let image = task["containerDefinitions"][0]["image"].as_str();
    assert!(image.is_some_and(|image| image.ends_with(&format!("/taskhub@{}", digest()))));
}

fn what_keeps_data_is_kept(environment: &Environment) {
    let name = format!("taskhub-{}", environment.name);
    let snapshots = environment.emulator.aws(&["rds", "describe-db-snapshots"]);
    let of_it = |snapshot: &&Value| snapshot["DBInstanceIdentifier"] == json!(name);
    let snapshots = snapshots["DBSnapshots"].as_array().expect("snapshots");
    assert_eq!(snapshots.iter().filter(of_it).count(), 1, "{snapshots:?}");
    let secrets = environment
        .emulator
        .aws(&["secretsmanager", "list-secrets"]);
    let prefix = format!("taskhub/{}/", environment.name);
    let kept = secrets["SecretList"].as_array().expect("secrets").iter();
    let kept = kept.filter(|secret| {
        secret["Name"]
            .as_str()
            .is_some_and(|name| name.starts_with(&prefix))
    });
    assert_eq!(
        kept.count(),
        environment.of_type("AWS::SecretsManager::Secret").len()
    );
    let instances = environment.emulator.aws(&["rds", "describe-db-instances"]);
    assert_eq!(instances["DBInstances"], json!([]));
    let clusters = environment.emulator.aws(&["ecs", "list-clusters"]);
    assert_eq!(clusters["clusterArns"], json!([]));
    let vpcs = environment.emulator.aws(&["ec2", "describe-vpcs"]);
    let vpcs = vpcs["Vpcs"].as_array().expect("VPCs").iter();
    assert_eq!(vpcs.filter(|vpc| vpc["IsDefault"] == false).count(), 0);
}
