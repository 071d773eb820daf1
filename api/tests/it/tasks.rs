//! What becomes of tasks.

mod access;
mod completion;
mod conditions;
mod input;
mod labels;
mod moving;
mod relatives;
mod repetition;

use reqwest::{Method, Response, StatusCode};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{Service, User, problem, success};

/// Adds a task and gives it as it was answered.
pub(crate) async fn add(service: &Service, user: &User, task: &Value) -> Value {
    let answer = post(service, user, "/v1/tasks", task).await;
    success(answer, StatusCode::CREATED).await
}

pub(crate) async fn post(service: &Service, user: &User, path: &str, body: &Value) -> Response {
    let request = service.by(user, Method::POST, path).json(body);
    request.send().await.unwrap()
}

pub(crate) async fn patch(
    service: &Service,
    user: &User,
    task: &Value,
    changes: &Value,
) -> Response {
    let request = service.by(user, Method::PATCH, &path(task)).json(changes);
    request.send().await.unwrap()
}

pub(crate) async fn call(service: &Service, user: &User, method: Method, path: &str) -> Response {
    service.by(user, method, path).send().await.unwrap()
}

pub(crate) fn path(task: &Value) -> String {
    format!("/v1/tasks/{}", task["id"].as_str().unwrap())
}

pub(crate) fn header<'a>(answer: &'a Response, name: &str) -> &'a str {
    answer.headers()[name].to_str().unwrap()
}

/// Every operation about one task, with a body where it takes one.
pub(crate) fn about_one() -> [(Method, &'static str, Option<Value>); 7] {
    [
        (Method::GET, "", None),
        (Method::PATCH, "", Some(json!({"title": "Mine now"}))),
        (Method::DELETE, "", None),
        (Method::POST, "/restore", None),
        (Method::POST, "/complete", None),
        (Method::POST, "/reopen", None),
        (Method::POST, "/move", Some(json!({"parent_id": null}))),
    ]
}

#[tokio::test]
async fn a_title_is_enough_for_a_task() {
    let service = Service::start().await;
    let user = service.user().await;
    let answer = post(&service, &user, "/v1/tasks", &json!({"title": "Buy milk"})).await;
    let (location, etag) = (
        header(&answer, "location").to_owned(),
        header(&answer, "etag").to_owned(),
    );
    let task = success(answer, StatusCode::CREATED).await;
    let me = success(
        call(&service, &user, Method::GET, "/v1/me").await,
        StatusCode::OK,
    )
    .await;

    assert_eq!(location, path(&task));
    assert_eq!(etag, "\"1\"");
    let expected = json!({
        "id": task["id"], "project_id": task["project_id"], "parent_id": null, "title": "Buy milk",
        "description": "", "status": "todo", "priority": "none", "due": null, "start": null, "labels": [],
        "position": "00000003i", "created_at": task["created_at"], "created_by": me["id"],
        "parent_deleted_at": null, "children": {"total": 0, "open": 0}, "updated_at": task["created_at"], "completed_at": null, "completed_by": null, "deleted_at": null,
        "version": 1, "seq": 3,
    });
    assert_eq!(task, expected);
    let found = call(&service, &user, Method::GET, &location).await;
    assert_eq!(success(found, StatusCode::OK).await, task);
}

#[tokio::test]
async fn all_that_is_said_about_a_task_is_kept() {
    let service = Service::start().await;
    let user = service.user().await;
    let parent = add(&service, &user, &json!({"title": "Move"})).await;
    let said = json!({
        "id": Uuid::now_v7(), "project_id": parent["project_id"], "parent_id": parent["id"],
        "title": "  '); drop table task; -- \u{1f9f9} ", "description": "*all*\r\n\u{7f}", "status": "in_progress",
        "priority": "urgent", "due": {"at": "2026-12-01T08:00:00.123456Z", "time_zone": "Europe/Vienna"},
        "start": {"local": "2026-12-01T09:00:00"}, "labels": ["b", "a", "b"],
    });

    let task = add(&service, &user, &said).await;

    for (field, value) in said.as_object().unwrap() {
        let expected = if field == "labels" {
            &json!(["b", "a"])
        } else {
            value
        };
        assert_eq!(&task[field], expected, "{field}");
    }
    let again = add(&service, &user, &said).await;
    assert_eq!(again, task, "the client's id makes it repeatable");
    let other = json!({"id": task["id"], "title": "Another"});
    let answer = post(&service, &user, "/v1/tasks", &other).await;
    problem(answer, StatusCode::CONFLICT, "already-exists").await;
}

#[tokio::test]
async fn changing_one_field_keeps_all_others() {
    let service = Service::start().await;
    let user = service.user().await;
    let parent = add(&service, &user, &json!({"title": "Parent"})).await;
    let document: Value = service
        .get("/openapi.json")
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    let fields = document["components"]["schemas"]["TaskChanges"]["properties"]
        .as_object()
        .unwrap();
    let from = json!({
        "title": "Before", "description": "before", "status": "in_progress", "priority": "low",
        "due": {"date": "2026-12-01"}, "start": {"local": "2026-11-30T08:00:00"}, "labels": ["before"],
    });
    let to = json!({
        "title": "After", "description": "after", "status": "done", "priority": "high", "labels": [],
        "due": {"at": "2026-12-02T08:00:00Z", "time_zone": "Asia/Tokyo"}, "start": null,
        "parent_id": parent["id"], "project_id": parent["project_id"],
    });
    for field in fields.keys() {
        let before = add(&service, &user, &from).await;
        assert!(
            !to[field].is_null() || field == "start",
            "say what {field} may change to"
        );
        let mut changes = json!({});
        changes[field] = to[field].clone();

        let after = success(
            patch(&service, &user, &before, &changes).await,
            StatusCode::OK,
        )
        .await;

        let mut expected = before.clone();
        expected[field] = to[field].clone();
        if expected != before {
            expected["version"] = json!(2);
            expected["seq"] = json!(before["seq"].as_i64().unwrap() + 1);
            expected["updated_at"] = after["updated_at"].clone();
        }
        if field == "status" {
            expected["completed_at"] = after["updated_at"].clone();
            expected["completed_by"] = before["created_by"].clone();
        }
        assert_eq!(after, expected, "{field}");
    }
}

#[tokio::test]
async fn null_clears_and_nothing_else_does() {
    let service = Service::start().await;
    let user = service.user().await;
    let task =
        json!({"title": "Due", "due": {"date": "2026-12-01"}, "labels": ["a"], "description": "d"});
    let task = add(&service, &user, &task).await;

    let request = service
        .by(&user, Method::PATCH, &path(&task))
        .body(r#"{"due":null}"#);
    let answer = request
        .header("content-type", "application/merge-patch+json")
        .send()
        .await
        .unwrap();
    let etag = header(&answer, "etag").to_owned();
    let cleared = success(answer, StatusCode::OK).await;

    assert_eq!((etag.as_str(), &cleared["due"]), ("\"2\"", &Value::Null));
    assert_eq!(cleared["labels"], task["labels"]);
    for field in [
        "title",
        "description",
        "status",
        "priority",
        "labels",
        "project_id",
    ] {
        let answer = patch(&service, &user, &task, &json!({field: null})).await;
        problem(
            answer,
            StatusCode::UNPROCESSABLE_ENTITY,
            "validation-failed",
        )
        .await;
    }
    for field in ["id", "version", "completed_at", "position", "titel"] {
        let answer = patch(&service, &user, &task, &json!({field: 1})).await;
        problem(answer, StatusCode::UNPROCESSABLE_ENTITY, "unknown-field").await;
    }
    let same = success(
        patch(&service, &user, &task, &json!({})).await,
        StatusCode::OK,
    )
    .await;
    assert_eq!(same, cleared);
}

#[tokio::test]
async fn a_deleted_task_is_gone_until_it_is_restored() {
    let service = Service::start().await;
    let user = service.user().await;
    let task = add(&service, &user, &json!({"title": "Rubbish"})).await;
    for _ in 0..2 {
        let answer = call(&service, &user, Method::DELETE, &path(&task)).await;
        assert_eq!(answer.status(), StatusCode::NO_CONTENT);
        assert_eq!(answer.text().await.unwrap(), "");
    }
    for (method, suffix, body) in about_one() {
        if method == Method::DELETE || suffix == "/restore" {
            continue;
        }
        let mut request = service.by(&user, method, &(path(&task) + suffix));
        if let Some(body) = body {
            request = request.json(&body);
        }
        problem(
            request.send().await.unwrap(),
            StatusCode::NOT_FOUND,
            "not-found",
        )
        .await;
    }
    for _ in 0..2 {
        let answer = call(&service, &user, Method::POST, &(path(&task) + "/restore")).await;
        let mut restored = success(answer, StatusCode::OK).await;
        assert_eq!(restored["version"], 3);
        for field in ["version", "seq", "updated_at"] {
            restored[field] = task[field].clone();
        }
        assert_eq!(restored, task);
    }
}

#[tokio::test]
async fn completing_and_reopening_may_be_repeated() {
    let service = Service::start().await;
    let user = service.user().await;
    let task = add(&service, &user, &json!({"title": "Run"})).await;
    for (action, status, version) in [("complete", "done", 2), ("reopen", "todo", 3)] {
        for _ in 0..2 {
            let answer = call(
                &service,
                &user,
                Method::POST,
                &format!("{}/{action}", path(&task)),
            )
            .await;
            assert_eq!(header(&answer, "etag"), format!("\"{version}\""));
            let answered = success(answer, StatusCode::OK).await;
            assert_eq!(answered["status"], status);
            assert_eq!(answered["completed_at"].is_string(), status == "done");
            assert_eq!(answered["completed_by"].is_string(), status == "done");
        }
    }
}

#[tokio::test]
async fn a_subtask_never_leaves_its_parents_project() {
    let service = Service::start().await;
    let user = service.user().await;
    let parent = add(&service, &user, &json!({"title": "Parent"})).await;
    let child = add(
        &service,
        &user,
        &json!({"title": "Child", "parent_id": parent["id"]}),
    )
    .await;
    let answer = patch(&service, &user, &parent, &json!({"parent_id": child["id"]})).await;
    let document = problem(
        answer,
        StatusCode::UNPROCESSABLE_ENTITY,
        "validation-failed",
    )
    .await;
    assert_eq!(document["errors"][0]["code"], "circular");

    let elsewhere: Uuid = sqlx::query_scalar(
        "insert into project (id, workspace_id, name, position, seq)
         select gen_random_uuid(), workspace_id, 'Elsewhere', '', 0 from project returning id",
    )
    .fetch_one(&service.database.pool)
    .await
    .unwrap();
    let answer = patch(&service, &user, &parent, &json!({"project_id": elsewhere})).await;
    problem(answer, StatusCode::CONFLICT, "invalid-transition").await;
}
