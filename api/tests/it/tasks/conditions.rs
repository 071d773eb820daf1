//! Entity tags: reading and changing on condition.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::{about_one, add, call, header, path};
use crate::support::{Service, problem, success};

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
        assert_keeps(&service, "Task", &document["current"]).await;
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
async fn the_present_state_of_an_account_is_what_a_get_answers() {
    let service = Service::start().await;
    let user = service.user().await;
    let me = call(&service, &user, Method::GET, "/v1/me").await;
    let me = success(me, StatusCode::OK).await;
    let request = service.by(&user, Method::PATCH, "/v1/me");
    let request = request.header("if-match", "\"9\"");
    let answer = request.json(&json!({"time_zone": "Asia/Tokyo"}));
    let answer = answer.send().await.unwrap();
    let document = problem(answer, StatusCode::PRECONDITION_FAILED, "version-mismatch").await;
    assert_eq!(document["current"], me);
    assert_keeps(&service, "User", &document["current"]).await;
}

/// Asserts that a value is what the served document says of a schema.
async fn assert_keeps(service: &Service, schema: &str, value: &Value) {
    let document = service.get("/openapi-3.1.json").send().await.unwrap();
    let document: Value = document.json().await.unwrap();
    let schema = json!({
        "$ref": format!("#/components/schemas/{schema}"),
        "unevaluatedProperties": false,
        "components": document["components"],
    });
    let validator = jsonschema::options()
        .with_draft(jsonschema::Draft::Draft202012)
        .should_validate_formats(true)
        .build(&schema)
        .unwrap();
    let errors: Vec<_> = validator
        .iter_errors(value)
        .map(|error| error.to_string())
        .collect();
    assert!(errors.is_empty(), "{errors:?}");
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
