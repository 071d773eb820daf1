use std::{fs, path::Path, time::Duration};

use sqlx::types::Json;
use taskhub::{
    jobs::{
        self, Job, KINDS,
        leases::{self, Past},
        waiting,
    },
    testing::Database,
};
use uuid::{Uuid, uuid};

const USER: Uuid = uuid!("01920000-0000-7000-8000-000000000001");

/// One job of each kind.
fn examples() -> [Job; KINDS.len()] {
    [
        Job::WelcomeEmail { user_id: USER },
        Job::EraseAccount { user_id: USER },
    ]
}

fn golden(kind: &str, version: i16) -> serde_json::Value {
    let file = format!("tests/it/arguments/{kind}.{version}.json");
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(&file));
    let text = text.unwrap_or_else(|error| panic!("{file}: {error}"));
    serde_json::from_str(&text).expect("JSON")
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
    for rules in &KINDS {
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
    let claim = leases::claim(
        &database.pool,
        &due,
        Past::Clean,
        100,
        Duration::from_secs(60),
        "test",
    );
    let leases = claim.await.unwrap();
    assert_eq!(
        leases.len(),
        KINDS
            .iter()
            .map(|rules| rules.args_version as usize)
            .sum::<usize>()
    );
    for lease in leases {
        let job = lease.job().unwrap();
        assert!(examples().contains(&job), "{job:?}");
    }
}
