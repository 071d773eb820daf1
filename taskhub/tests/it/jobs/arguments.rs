use std::{collections::BTreeSet, fs, path::Path};

use sqlx::types::Json;
use taskhub::{
    jobs::{
        self, Job, KINDS, Rules,
        leases::{self, Claim, Past},
        waiting,
    },
    testing::Database,
};
use uuid::{Uuid, uuid};

use super::LEASE;

const USER: Uuid = uuid!("01920000-0000-7000-8000-000000000001");

/// One job of each kind.
fn examples() -> Vec<Job> {
    vec![
        Job::WelcomeEmail { user_id: USER },
        Job::PasswordResetEmail {
            email: "ada@example.org".to_owned(),
        },
        Job::EraseAccount { user_id: USER },
        Job::RemoveOldSessions {},
        Job::RemoveOldJobs {},
        Job::RemoveOldIdempotencyKeys {},
        Job::EmptyTrash {},
        Job::SmokeTest { id: USER },
        Job::IndexTasks {},
        #[cfg(feature = "probe")]
        Job::Probe(jobs::probe::Probe {
            id: USER,
            mode: jobs::probe::Mode::Database,
            workspace_id: None,
            sink: None,
            milliseconds: 0,
        }),
    ]
}

/// The arguments of a kind and version as they were when these were released.
fn golden(kind: &str, version: i16) -> serde_json::Value {
    let file = format!("tests/golden/jobs/{kind}.{version}.json");
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(&file));
    let text = text.unwrap_or_else(|error| panic!("{file}: {error}"));
    serde_json::from_str(&text).expect("JSON")
}

#[test]
fn every_kind_has_an_example_and_is_named_as_it_is_serialised() {
    let examples = examples();
    let kinds: BTreeSet<&str> = examples.iter().map(|job| job.rules().kind).collect();
    assert_eq!(kinds, KINDS.iter().map(|rules| rules.kind).collect());
    for job in examples {
        let tagged = serde_json::to_value(&job).expect("a job is plain JSON");
        assert_eq!(tagged["kind"], job.rules().kind);
    }
}

#[tokio::test]
async fn every_kind_is_stored_as_its_golden_file_says() {
    let database = Database::create().await;
    let mut db = database.pool.acquire().await.unwrap();
    for job in examples() {
        let id = jobs::enqueue(&mut db, &job).await.unwrap();
        let stored = sqlx::query!(
            r#"select kind, args_version, args as "args: Json<serde_json::Value>" from job where public_id = $1"#,
            id,
        )
        .fetch_one(&mut *db)
        .await
        .unwrap();
        assert_eq!(stored.kind, job.rules().kind);
        assert_eq!(stored.args_version, job.rules().args_version);
        assert_eq!(stored.args.0, golden(&stored.kind, stored.args_version));
    }
}

#[tokio::test]
async fn every_version_of_every_kind_is_still_understood() {
    let database = Database::create().await;
    for rules in KINDS {
        for version in 1..=rules.args_version {
            sqlx::query!(
                "insert into job (kind, args_version, args) values ($1, $2, $3)",
                rules.kind,
                version,
                golden(rules.kind, version),
            )
            .execute(&database.pool)
            .await
            .unwrap();
        }
    }
    let due = waiting::due(&database.pool, "default", 100).await.unwrap();
    let mut leases = Vec::new();
    for kind in KINDS
        .iter()
        .copied()
        .map(Some)
        .collect::<Vec<Option<&Rules>>>()
    {
        let claim = Claim {
            worker: "test",
            past: Past::Clean,
            limit: 100,
            lease: LEASE,
        };
        leases.extend(
            leases::claim(&database.pool, &due.ids, kind, claim)
                .await
                .unwrap(),
        );
    }
    let versions: i16 = KINDS.iter().map(|rules| rules.args_version).sum();
    assert_eq!(leases.len(), usize::try_from(versions).unwrap());
    for lease in leases {
        let job = lease.job().unwrap();
        assert!(examples().contains(&job), "{job:?}");
    }
}
