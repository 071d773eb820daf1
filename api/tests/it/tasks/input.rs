//! What is wrong with a request, and whose fault that is.

use std::collections::BTreeSet;

use reqwest::{Method, StatusCode};
use serde_json::json;
use uuid::Uuid;

use super::{call, post};
use crate::support::{Service, problem, success};

#[tokio::test]
async fn everything_that_is_wrong_is_told_at_once() {
    let service = Service::start().await;
    let user = service.user().await;
    let wrong = json!({
        "title": "", "status": "later", "priority": 1, "due": {"date": "2026-02-30"}, "labels": ["a", 2],
        "start": {"date": "2026-12-01", "local": "2026-12-01T09:00:00"}, "version": 3, "id": "one",
    });
    let answer = post(&service, &user, "/v1/tasks", &wrong).await;
    let document = problem(
        answer,
        StatusCode::UNPROCESSABLE_ENTITY,
        "validation-failed",
    )
    .await;
    let errors = document["errors"].as_array().unwrap();
    let found: BTreeSet<_> = errors
        .iter()
        .map(|error| error["pointer"].as_str().unwrap())
        .collect();
    let expected = [
        "/due/date",
        "/id",
        "/labels/1",
        "/priority",
        "/start",
        "/status",
        "/title",
        "/version",
    ];
    assert_eq!(found, BTreeSet::from(expected), "{document}");

    for (field, value, code) in [
        (
            "due",
            json!({"at": "2026-12-01T08:00:00Z", "time_zone": "Europe/Wien"}),
            "unknown-time-zone",
        ),
        ("project_id", json!(Uuid::now_v7()), "unknown-project"),
        ("parent_id", json!(Uuid::now_v7()), "unknown-parent"),
        ("labels", json!(["x".repeat(101)]), "too-long"),
        ("description", json!("é".repeat(40_000)), "too-long"),
        ("title", json!("x".repeat(501)), "too-long"),
        ("title", json!("a\u{0}b"), "forbidden-character"),
        ("title", json!(null), "wrong-type"),
    ] {
        let mut body = json!({"title": "Fine"});
        body[field] = value;
        let answer = post(&service, &user, "/v1/tasks", &body).await;
        let document = problem(
            answer,
            StatusCode::UNPROCESSABLE_ENTITY,
            "validation-failed",
        )
        .await;
        let error = &document["errors"][0];
        assert!(
            error["pointer"]
                .as_str()
                .unwrap()
                .starts_with(&format!("/{field}")),
            "{document}"
        );
        assert_eq!(error["code"], code, "{document}");
    }
    let answer = post(
        &service,
        &user,
        "/v1/tasks",
        &json!({"title": "Fine", "seq": 1}),
    )
    .await;
    problem(answer, StatusCode::UNPROCESSABLE_ENTITY, "unknown-field").await;
}

#[tokio::test]
async fn hostile_bytes_are_the_clients_fault() {
    let service = Service::start().await;
    let user = service.user().await;
    for (body, code) in [
        (br#"{"title":"\ud800"}"#.as_slice(), "malformed-json"),
        (b"{\"title\":\"\xff\xfe\"}", "malformed-json"),
        (br#"{"title":"a","title":"b"}"#, "malformed-json"),
        (br#"{"title":"a""#, "malformed-json"),
        (br#"{"title":"\u0000"}"#, "validation-failed"),
        (br#"{"labels":["\u0000"],"title":"a"}"#, "validation-failed"),
        (
            br#"{"title":"a","due":{"local":"2026-02-30T09:00:00"}}"#,
            "validation-failed",
        ),
        (
            br#"{"title":"a","due":{"date":"0000-01-01"}}"#,
            "validation-failed",
        ),
        (br#"[]"#, "validation-failed"),
    ] {
        let request = service.by(&user, Method::POST, "/v1/tasks");
        let request = request
            .header("content-type", "application/json")
            .body(body);
        let answer = request.send().await.unwrap();
        let status = if code == "malformed-json" { 400 } else { 422 };
        problem(answer, StatusCode::from_u16(status).unwrap(), code).await;
    }
    for query in [
        "q=%00",
        "q=%27%29%3B+drop+table+task%3B--",
        "label=%00",
        "not_label=%ff%fe",
        "q=%22",
        "q=-",
        "q=!%26|()",
        "due_before=0000-01-01T00:00:00Z",
        "due_after=9999-12-31T23:59:59Z",
        "created_after=now",
        "label=%27",
        "cursor=%00",
        "sort=%00",
        "limit=99999999999999999999",
        "limit=1e1",
        "project_id=%27",
        "due=%00",
        "q=%ED%A0%80",
        "updated_after=2026-12-01T00:00:00%2B14:00",
        "include_deleted=1",
    ] {
        let answer = call(&service, &user, Method::GET, &format!("/v1/tasks?{query}")).await;
        assert!(
            answer.status().as_u16() < 500,
            "{query}: {}",
            answer.text().await.unwrap()
        );
    }
    assert_eq!(
        call(&service, &user, Method::GET, "/v1/tasks/1")
            .await
            .status(),
        StatusCode::BAD_REQUEST
    );
    let still_there = call(&service, &user, Method::GET, "/v1/tasks/count").await;
    assert_eq!(success(still_there, StatusCode::OK).await["total"], 0);
}
