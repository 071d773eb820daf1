use taskhub::testing::{Database, wait_for};

use crate::site::{PATIENCE, Site};

#[tokio::test]
async fn a_database_without_tables_is_refused() {
    let mut site = Site::new().await;
    site.database = Database::create_empty().await;
    assert_eq!(site.worker().end().await.code(), Some(1));
}

#[tokio::test]
async fn a_database_of_a_newer_release_is_refused() {
    let site = Site::new().await;
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
