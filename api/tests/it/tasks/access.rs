//! Who may do what to whose tasks.

use reqwest::{Method, StatusCode};
use serde_json::json;
use uuid::Uuid;

use super::{about_one, add, call, path, post};
use crate::support::{PASSWORD, Service, problem, success};

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
