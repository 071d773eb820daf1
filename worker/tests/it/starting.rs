use secrecy::ExposeSecret as _;
use taskhub::testing::{Database, Emulator, wait_for};

use crate::site::{PATIENCE, Site};

#[tokio::test]
async fn a_database_without_tables_is_refused() {
    let mut site = Site::new().await;
    site.database = Database::create_empty().await;
    assert_eq!(site.worker().end().await.code(), Some(1));
}

#[tokio::test]
async fn a_database_that_a_newer_release_has_made_its_own_is_refused() {
    let site = Site::new().await;
    sqlx::query("update schema_floor set version = 9999")
        .execute(&site.database.pool)
        .await
        .unwrap();
    sqlx::query(
        "
        insert into _sqlx_migrations (version, description, success, checksum, execution_time)
        values (9999, 'from the future', true, '', 0)
        ",
    )
    .execute(&site.database.pool)
    .await
    .unwrap();
    assert_eq!(site.worker().end().await.code(), Some(1));
}

#[tokio::test]
async fn missing_settings_end_the_worker_with_2() {
    let site = Site::new().await;
    assert_eq!(
        site.worker_with(&[("MAIL_URL", "")]).end().await.code(),
        Some(2)
    );
}

#[tokio::test]
async fn a_wrong_value_in_dotenv_ends_the_worker_with_2() {
    let site = Site::new().await;
    std::fs::write(site.mail.path().join(".env"), "LOG_LEVEL=loud").unwrap();
    assert_eq!(site.worker().end().await.code(), Some(2));
}

#[tokio::test]
async fn an_absent_secret_ends_the_worker_with_3() {
    let (site, emulator) = (Site::new().await, Emulator::start().await);
    let aws = emulator.variables();
    let mut variables = vec![("TASKHUB_SECRETS", "taskhub/app")];
    variables.extend(aws.iter().map(|(name, value)| (*name, value.as_str())));
    assert_eq!(site.worker_with(&variables).end().await.code(), Some(3));
}

#[tokio::test]
async fn a_worker_starts_with_settings_that_only_secrets_manager_has() {
    let (site, emulator) = (Site::new().await, Emulator::start().await);
    let database = site.database.url.expose_secret();
    let secret = serde_json::json!({ "DATABASE_URL": database }).to_string();
    emulator.put_secret("taskhub/app", &secret).await;
    let aws = emulator.variables();
    let mut variables = vec![("TASKHUB_SECRETS", "taskhub/app"), ("DATABASE_URL", "")];
    variables.extend(aws.iter().map(|(name, value)| (*name, value.as_str())));

    let worker = site.worker_with(&variables);

    wait_for("it is healthy", PATIENCE, async || {
        worker.health_check().success()
    })
    .await;
}

#[tokio::test]
async fn the_container_health_check_fails_where_no_worker_is() {
    let site = Site::new().await;
    let mut worker = site.worker();
    wait_for("it is healthy", PATIENCE, async || {
        worker.health_check().success()
    })
    .await;

    worker.stop().await;

    assert_eq!(worker.health_check().code(), Some(1));
}

#[tokio::test]
async fn a_worker_shows_its_health_and_its_metrics() {
    let site = Site::new().await;
    let worker = site.worker();
    wait_for("it counts", PATIENCE, async || {
        worker
            .get("/metrics")
            .is_some_and(|metrics| metrics.contains(r#"jobs{state="dead"} 0"#))
    })
    .await;
    assert!(worker.get("/health").unwrap().starts_with("HTTP/1.1 200"));
    assert!(worker.get("/").unwrap().starts_with("HTTP/1.1 404"));
}
