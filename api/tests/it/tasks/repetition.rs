//! The same request twice.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{add, header, patch, path};
use crate::support::{Service, problem};

#[tokio::test]
async fn racing_twins_with_one_key_make_one_task() {
    let service = Service::start().await;
    let user = service.user().await;
    let body = json!({"title": "Once", "labels": ["a"]});
    let send = || {
        let request = service.by(&user, Method::POST, "/v1/tasks");
        request
            .header("idempotency-key", "\"k-1\"")
            .json(&body)
            .send()
    };
    let answers = futures_util::future::join_all((0..8).map(|_| send())).await;
    let mut made = 0;
    for answer in answers {
        let answer = answer.unwrap();
        if answer.status() == StatusCode::CONFLICT {
            assert_eq!(header(&answer, "retry-after"), "1");
            problem(answer, StatusCode::CONFLICT, "idempotency-in-progress").await;
        } else {
            made += u32::from(!answer.headers().contains_key("idempotency-replayed"));
            assert_eq!(answer.status(), StatusCode::CREATED);
        }
    }
    assert_eq!(made, 1);
    let rows: i64 = sqlx::query_scalar("select count(*) from task")
        .fetch_one(&service.database.pool)
        .await
        .unwrap();
    assert_eq!(rows, 1);
}

#[tokio::test]
async fn a_replay_is_the_first_answer_to_the_byte() {
    let service = Service::start().await;
    let user = service.user().await;
    let parent = add(&service, &user, &json!({"title": "Parent"})).await;
    let new = json!({
        "title": "\u{1f9f9} \"quoted\"", "due": {"at": "2026-12-01T08:00:00.100Z", "time_zone": "UTC"},
        "parent_id": parent["id"],
    });
    let missing = format!("/v1/tasks/{}/complete", Uuid::now_v7());
    for (method, at, body) in [
        (Method::POST, "/v1/tasks".to_owned(), new),
        (
            Method::PATCH,
            path(&parent),
            json!({"title": "Changed", "start": {"local": "2026-12-01T09:00:00"}}),
        ),
        (Method::POST, path(&parent) + "/complete", Value::Null),
        (Method::POST, path(&parent) + "/reopen", Value::Null),
        (Method::POST, missing, Value::Null),
    ] {
        let send = |body: Value| {
            let mut request = service
                .by(&user, method.clone(), &at)
                .header("idempotency-key", at.as_str());
            if !body.is_null() {
                request = request.json(&body);
            }
            async move { request.send().await.unwrap() }
        };
        let first = send(body.clone()).await;
        // Whatever happens in between.
        patch(
            &service,
            &user,
            &parent,
            &json!({"description": at.as_str()}),
        )
        .await;
        let again = send(body.clone()).await;
        assert_eq!(again.status(), first.status(), "{at}");
        for name in ["etag", "location"] {
            assert_eq!(again.headers().get(name), first.headers().get(name), "{at}");
        }
        assert!(
            !first.headers().contains_key("idempotency-replayed"),
            "{at}"
        );
        assert_eq!(header(&again, "idempotency-replayed"), "true", "{at}");
        if first.status().is_success() {
            assert_eq!(
                again.bytes().await.unwrap(),
                first.bytes().await.unwrap(),
                "{at}"
            );
        } else {
            problem(again, StatusCode::NOT_FOUND, "not-found").await;
        }
        if !body.is_null() {
            let mut other = body;
            other["title"] = json!("Other");
            let answer = send(other).await;
            problem(
                answer,
                StatusCode::UNPROCESSABLE_ENTITY,
                "idempotency-key-reused",
            )
            .await;
        }
    }
}
