use std::collections::BTreeSet;

use reqwest::{Method, Response, StatusCode};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{PASSWORD, Service, User, problem, success};

/// Adds a task and gives it as it was answered.
pub(crate) async fn add(service: &Service, user: &User, task: &Value) -> Value {
    let answer = post(service, user, "/v1/tasks", task).await;
    success(answer, StatusCode::CREATED).await
}

async fn post(service: &Service, user: &User, path: &str, body: &Value) -> Response {
    let request = service.by(user, Method::POST, path).json(body);
    request.send().await.unwrap()
}

async fn patch(service: &Service, user: &User, task: &Value, changes: &Value) -> Response {
    let request = service.by(user, Method::PATCH, &path(task)).json(changes);
    request.send().await.unwrap()
}

async fn call(service: &Service, user: &User, method: Method, path: &str) -> Response {
    service.by(user, method, path).send().await.unwrap()
}

fn path(task: &Value) -> String {
    format!("/v1/tasks/{}", task["id"].as_str().unwrap())
}

fn header<'a>(answer: &'a Response, name: &str) -> &'a str {
    answer.headers()[name].to_str().unwrap()
}

/// Every operation about one task, with a body where it takes one.
fn about_one() -> [(Method, &'static str, Option<Value>); 6] {
    [
        (Method::GET, "", None),
        (Method::PATCH, "", Some(json!({"title": "Mine now"}))),
        (Method::DELETE, "", None),
        (Method::POST, "/restore", None),
        (Method::POST, "/complete", None),
        (Method::POST, "/reopen", None),
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
        "updated_at": task["created_at"], "completed_at": null, "completed_by": null, "deleted_at": null,
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
        "/due",
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

#[tokio::test]
async fn someone_elses_task_does_not_exist() {
    let service = Service::start().await;
    let (owner, other) = (service.user().await, service.user().await);
    let task = add(
        &service,
        &owner,
        &json!({"title": "Secret", "labels": ["x"]}),
    )
    .await;

    for path in [path(&task), format!("/v1/tasks/{}", Uuid::now_v7())] {
        for (method, suffix, body) in about_one() {
            let mut request = service.by(&other, method, &format!("{path}{suffix}"));
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
    }
    for query in ["", "?include_deleted=true", "?q=secret", "?label=x"] {
        let page = call(&service, &other, Method::GET, &format!("/v1/tasks{query}")).await;
        assert_eq!(success(page, StatusCode::OK).await["data"], json!([]));
    }
    let below = json!({"title": "Mine", "parent_id": task["id"]});
    let answer = post(&service, &other, "/v1/tasks", &below).await;
    problem(
        answer,
        StatusCode::UNPROCESSABLE_ENTITY,
        "validation-failed",
    )
    .await;
    let found = call(&service, &owner, Method::GET, &path(&task)).await;
    assert_eq!(success(found, StatusCode::OK).await, task);
}

#[tokio::test]
async fn tasks_are_for_those_who_are_signed_in_and_allowed() {
    let service = Service::start().await;
    let user = service.user().await;
    let task = add(&service, &user, &json!({"title": "Mine"})).await;
    let login = json!({"username": user.username, "password": PASSWORD, "scope": "tasks:read"});
    let reader = service
        .post("/v1/auth/login")
        .json(&login)
        .send()
        .await
        .unwrap();
    let reader = success(reader, StatusCode::OK).await["access_token"].clone();
    let reader = reader.as_str().unwrap();

    let mut all: Vec<_> = about_one()
        .map(|(method, suffix, body)| (method, path(&task) + suffix, body))
        .into();
    all.push((Method::GET, "/v1/tasks".to_owned(), None));
    all.push((Method::GET, "/v1/tasks/count".to_owned(), None));
    all.push((
        Method::POST,
        "/v1/tasks".to_owned(),
        Some(json!({"title": "New"})),
    ));
    for (method, path, body) in all {
        let request = || {
            let request = service.request(method.clone(), &path);
            body.iter()
                .fold(request, |request, body| request.json(body))
        };
        let anonymous = request().send().await.unwrap();
        problem(anonymous, StatusCode::UNAUTHORIZED, "missing-credentials").await;
        let answer = request().bearer_auth(reader).send().await.unwrap();
        if method == Method::GET {
            assert_eq!(answer.status(), StatusCode::OK, "{path}");
        } else {
            problem(answer, StatusCode::FORBIDDEN, "insufficient-scope").await;
        }
    }
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

#[tokio::test]
async fn an_unchanged_task_is_not_sent_again() {
    let service = Service::start().await;
    let user = service.user().await;
    let task = add(&service, &user, &json!({"title": "Same"})).await;
    for (tag, status) in [
        ("\"1\"", StatusCode::NOT_MODIFIED),
        ("W/\"1\"", StatusCode::NOT_MODIFIED),
        ("\"9\", \"1\"", StatusCode::NOT_MODIFIED),
        ("\"9\"", StatusCode::OK),
    ] {
        let request = service
            .by(&user, Method::GET, &path(&task))
            .header("if-none-match", tag);
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), status, "{tag}");
        assert_eq!(header(&answer, "etag"), "\"1\"");
    }
}

#[tokio::test]
async fn a_change_on_a_wrong_condition_shows_the_present_state() {
    let service = Service::start().await;
    let user = service.user().await;
    let task = add(&service, &user, &json!({"title": "First"})).await;
    for tag in ["\"1\"", "W/\"2\"", "\"3-gzip\"", "*", "\"9\", \"5\""] {
        let request = service
            .by(&user, Method::PATCH, &path(&task))
            .header("if-match", tag);
        let answer = request
            .json(&json!({"title": format!("after {tag}")}))
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status(), StatusCode::OK, "{tag}");
    }
    let current = success(
        call(&service, &user, Method::GET, &path(&task)).await,
        StatusCode::OK,
    )
    .await;
    assert_eq!(current["version"], 6);

    for (method, suffix, body) in about_one().into_iter().skip(1) {
        let mut request = service
            .by(&user, method, &(path(&task) + suffix))
            .header("if-match", "\"1\"");
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = request.send().await.unwrap();
        assert_eq!(header(&answer, "etag"), "\"6\"");
        let document = problem(answer, StatusCode::PRECONDITION_FAILED, "version-mismatch").await;
        assert_eq!(document["current_version"], 6);
        assert_eq!(document["current"], current);
    }
    let request = service
        .by(&user, Method::DELETE, &path(&task))
        .header("if-match", "6");
    problem(
        request.send().await.unwrap(),
        StatusCode::BAD_REQUEST,
        "invalid-header",
    )
    .await;
}

#[tokio::test]
async fn an_instance_may_insist_on_conditions() {
    let service = Service::start_with(|options| options.require_if_match = true).await;
    let user = service.user().await;
    let task = add(&service, &user, &json!({"title": "Careful"})).await;
    for (method, suffix, body) in about_one().into_iter().skip(1) {
        let mut request = service.by(&user, method, &(path(&task) + suffix));
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = request.send().await.unwrap();
        problem(
            answer,
            StatusCode::PRECONDITION_REQUIRED,
            "precondition-required",
        )
        .await;
    }
    let request = service
        .by(&user, Method::DELETE, &path(&task))
        .header("if-match", "\"1\"");
    assert_eq!(
        request.send().await.unwrap().status(),
        StatusCode::NO_CONTENT
    );
}

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
        if first.status().is_success() {
            assert!(
                !first.headers().contains_key("idempotency-replayed"),
                "{at}"
            );
            assert_eq!(header(&again, "idempotency-replayed"), "true", "{at}");
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
