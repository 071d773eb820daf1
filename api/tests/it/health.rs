//! Health, readiness and stopping.

use reqwest::StatusCode;

use crate::support::{Service, success};

#[tokio::test]
async fn a_serving_process_is_healthy() {
    let service = Service::start().await;
    let answer = service.get("/health").send().await.unwrap();
    assert_eq!(success(answer, StatusCode::OK).await["status"], "serving");
}

#[tokio::test]
async fn readiness_names_each_dependency() {
    let service = Service::start().await;
    let answer = service.get("/health/ready").send().await.unwrap();
    let ready = success(answer, StatusCode::OK).await;
    assert_eq!(
        ready,
        serde_json::json!({ "ready": true, "database": "up", "schema": "up", "redis": "up" })
    );
}

#[tokio::test]
async fn redis_is_not_indispensable() {
    // Nothing listens on port 1.
    let service = Service::start_on("redis://127.0.0.1:1", |_| {}).await;
    let ready = success(
        service.get("/health/ready").send().await.unwrap(),
        StatusCode::OK,
    )
    .await;
    assert_eq!(ready["redis"], "down");
    assert_eq!(ready["ready"], true);
}

#[tokio::test]
async fn an_older_schema_is_not_ready() {
    let service = Service::start().await;
    sqlx::query(
        "delete from _sqlx_migrations where version = (select max(version) from _sqlx_migrations)",
    )
    .execute(&service.database.pool)
    .await
    .unwrap();
    let answer = service.get("/health/ready").send().await.unwrap();
    let ready = success(answer, StatusCode::SERVICE_UNAVAILABLE).await;
    assert_eq!(ready["schema"], "down");
    assert_eq!(ready["database"], "up");
}
