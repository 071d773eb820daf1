//! One's own account.

use reqwest::{Method, Response, StatusCode};
use serde_json::{Value, json};

use crate::support::{PASSWORD, Service, User, problem, success};

const NEW_PASSWORD: &str = "staple of another kind";

async fn get(service: &Service, user: &User) -> Value {
    let answer = service
        .by(user, Method::GET, "/v1/me")
        .send()
        .await
        .unwrap();
    success(answer, StatusCode::OK).await
}

async fn patch(service: &Service, user: &User, body: &Value) -> Response {
    service
        .by(user, Method::PATCH, "/v1/me")
        .json(body)
        .send()
        .await
        .unwrap()
}

async fn change_password(
    service: &Service,
    user: &User,
    current: &str,
    new: &str,
    key: &str,
) -> Response {
    let body = json!({ "current_password": current, "new_password": new });
    let request = service
        .by(user, Method::POST, "/v1/me/password")
        .json(&body);
    request.header("idempotency-key", key).send().await.unwrap()
}

async fn try_sign_in(service: &Service, username: &str, password: &str) -> StatusCode {
    let body = json!({ "username": username, "password": password });
    service
        .post("/v1/auth/login")
        .json(&body)
        .send()
        .await
        .unwrap()
        .status()
}

#[tokio::test]
async fn an_account_shows_all_of_itself_but_its_password() {
    let service = Service::start().await;
    let user = service.user().await;
    let me = get(&service, &user).await;
    let fields: Vec<_> = me.as_object().unwrap().keys().cloned().collect();
    assert_eq!(
        fields,
        [
            "created_at",
            "email",
            "id",
            "time_zone",
            "updated_at",
            "username",
            "version"
        ]
    );
    assert_eq!(me["username"], user.username);
}

#[tokio::test]
async fn an_account_that_has_not_changed_is_not_sent_again() {
    let service = Service::start().await;
    let user = service.user().await;
    let request = service
        .by(&user, Method::GET, "/v1/me")
        .header("if-none-match", "\"1\"");
    let answer = request.send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::NOT_MODIFIED);
    assert_eq!(answer.headers()["etag"], "\"1\"");
}

#[tokio::test]
async fn a_change_of_one_field_leaves_the_others_and_null_clears() {
    let service = Service::start().await;
    let user = service.user().await;
    let answer = patch(&service, &user, &json!({ "email": "a@example.org" })).await;
    assert_eq!(answer.headers()["etag"], "\"2\"");
    let me = success(answer, StatusCode::OK).await;
    assert_eq!(
        (&me["email"], &me["time_zone"]),
        (&json!("a@example.org"), &json!("UTC"))
    );
    let me = success(
        patch(&service, &user, &json!({ "time_zone": "Europe/Vienna" })).await,
        StatusCode::OK,
    )
    .await;
    assert_eq!(
        (&me["email"], &me["time_zone"]),
        (&json!("a@example.org"), &json!("Europe/Vienna"))
    );
    let me = success(
        patch(&service, &user, &json!({ "email": null })).await,
        StatusCode::OK,
    )
    .await;
    assert_eq!(
        (&me["email"], &me["time_zone"]),
        (&Value::Null, &json!("Europe/Vienna"))
    );
    assert_eq!(get(&service, &user).await, me);
}

#[tokio::test]
async fn a_merge_patch_may_be_called_so() {
    let service = Service::start().await;
    let user = service.user().await;
    let request = service
        .by(&user, Method::PATCH, "/v1/me")
        .body(r#"{"time_zone":"Asia/Tokyo"}"#);
    let answer = request
        .header("content-type", "application/merge-patch+json")
        .send()
        .await
        .unwrap();
    assert_eq!(
        success(answer, StatusCode::OK).await["time_zone"],
        "Asia/Tokyo"
    );
}

#[tokio::test]
async fn a_change_that_would_overwrite_another_is_refused() {
    let service = Service::start().await;
    let user = service.user().await;
    patch(&service, &user, &json!({ "email": "a@example.org" })).await;
    let change = |tag: &str| {
        let request = service
            .by(&user, Method::PATCH, "/v1/me")
            .json(&json!({ "email": null }));
        request.header("if-match", tag).send()
    };
    let document = problem(
        change("\"1\"").await.unwrap(),
        StatusCode::PRECONDITION_FAILED,
        "version-mismatch",
    )
    .await;
    assert_eq!(document["current_version"], 2);
    assert_eq!(document["current"], get(&service, &user).await);
    success(change("\"2\"").await.unwrap(), StatusCode::OK).await;
    problem(
        change("two").await.unwrap(),
        StatusCode::BAD_REQUEST,
        "invalid-header",
    )
    .await;
    let deletion = service
        .by(&user, Method::DELETE, "/v1/me")
        .header("if-match", "\"1\"")
        .send()
        .await
        .unwrap();
    problem(
        deletion,
        StatusCode::PRECONDITION_FAILED,
        "version-mismatch",
    )
    .await;
}

#[tokio::test]
async fn what_cannot_be_changed_is_refused() {
    let service = Service::start().await;
    let user = service.user().await;
    let me = get(&service, &user).await;
    for field in [
        "id",
        "username",
        "version",
        "created_at",
        "updated_at",
        "password",
        "password_hash",
        "deleted_at",
    ] {
        let answer = patch(&service, &user, &json!({ field: "x" })).await;
        let document = problem(answer, StatusCode::UNPROCESSABLE_ENTITY, "unknown-field").await;
        assert_eq!(document["errors"][0]["pointer"], format!("/{field}"));
    }
    assert_eq!(get(&service, &user).await, me);
}

#[tokio::test]
async fn a_bad_address_and_an_unknown_zone_are_refused_together() {
    let service = Service::start().await;
    let user = service.user().await;
    let answer = patch(
        &service,
        &user,
        &json!({ "email": "nowhere", "time_zone": "Europe/Atlantis" }),
    )
    .await;
    let document = problem(
        answer,
        StatusCode::UNPROCESSABLE_ENTITY,
        "validation-failed",
    )
    .await;
    assert_eq!(document["errors"].as_array().unwrap().len(), 2);
    let answer = patch(&service, &user, &json!({ "time_zone": null })).await;
    problem(
        answer,
        StatusCode::UNPROCESSABLE_ENTITY,
        "validation-failed",
    )
    .await;
}

#[tokio::test]
async fn a_change_repeated_under_its_key_is_made_once() {
    let service = Service::start().await;
    let user = service.user().await;
    let send = || {
        let request = service
            .by(&user, Method::PATCH, "/v1/me")
            .json(&json!({ "time_zone": "Asia/Tokyo" }));
        request.header("idempotency-key", "\"k-1\"").send()
    };
    let first = send().await.unwrap();
    assert!(!first.headers().contains_key("idempotency-replayed"));
    patch(&service, &user, &json!({ "time_zone": "Europe/Vienna" })).await;
    let again = send().await.unwrap();
    assert_eq!(again.headers()["idempotency-replayed"], "true");
    assert_eq!(again.headers()["etag"], "\"2\"");
    assert_eq!(
        success(again, StatusCode::OK).await,
        success(first, StatusCode::OK).await
    );
    assert_eq!(get(&service, &user).await["time_zone"], "Europe/Vienna");
}

#[tokio::test]
async fn a_changed_password_ends_every_session_but_this() {
    let service = Service::start().await;
    let user = service.user().await;
    let other = service.sign_in(&user.username).await;
    let answer = change_password(&service, &user, PASSWORD, NEW_PASSWORD, "k-1").await;
    assert_eq!(answer.status(), StatusCode::NO_CONTENT);
    get(&service, &user).await;
    let refused = service
        .by(&other, Method::GET, "/v1/me")
        .send()
        .await
        .unwrap();
    problem(refused, StatusCode::UNAUTHORIZED, "token-revoked").await;
    assert_eq!(
        try_sign_in(&service, &user.username, PASSWORD).await,
        StatusCode::UNAUTHORIZED
    );
    assert_eq!(
        try_sign_in(&service, &user.username, NEW_PASSWORD).await,
        StatusCode::OK
    );
    // Its repetition is answered the same, although the current password is another one by now.
    let again = change_password(&service, &user, PASSWORD, NEW_PASSWORD, "k-1").await;
    assert_eq!(again.headers()["idempotency-replayed"], "true");
    assert_eq!(again.status(), StatusCode::NO_CONTENT);
}

#[tokio::test]
async fn a_change_of_password_needs_the_current_one_and_a_good_new_one() {
    let service = Service::start().await;
    let user = service.user().await;
    let answer =
        change_password(&service, &user, "wrong horse battery", "password123", "k-1").await;
    let document = problem(
        answer,
        StatusCode::UNPROCESSABLE_ENTITY,
        "validation-failed",
    )
    .await;
    let codes: Vec<_> = document["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|error| error["code"].clone())
        .collect();
    assert_eq!(codes, ["too-guessable", "wrong-password"]);
    assert_eq!(
        try_sign_in(&service, &user.username, PASSWORD).await,
        StatusCode::OK
    );
    // A failure is not kept under its key.
    let answer = change_password(&service, &user, "wrong horse battery", NEW_PASSWORD, "k-1").await;
    problem(
        answer,
        StatusCode::UNPROCESSABLE_ENTITY,
        "validation-failed",
    )
    .await;
}

#[tokio::test]
async fn a_deleted_account_s_tokens_are_refused_at_once() {
    let service = Service::start().await;
    let user = service.user().await;
    let other = service.sign_in(&user.username).await;
    let answer = service
        .by(&user, Method::DELETE, "/v1/me")
        .send()
        .await
        .unwrap();
    let deletion = success(answer, StatusCode::ACCEPTED).await;
    assert!(deletion["erased_at"].as_str().unwrap().ends_with('Z'));
    for user in [&user, &other] {
        let answer = service
            .by(user, Method::GET, "/v1/me")
            .send()
            .await
            .unwrap();
        problem(answer, StatusCode::UNAUTHORIZED, "token-revoked").await;
    }
    let answer = service
        .post("/v1/auth/refresh")
        .json(&json!({ "refresh_token": user.refresh_token }))
        .send()
        .await
        .unwrap();
    problem(answer, StatusCode::UNAUTHORIZED, "token-revoked").await;
    let body = json!({ "username": user.username, "password": PASSWORD });
    let answer = service
        .post("/v1/auth/register")
        .json(&body)
        .send()
        .await
        .unwrap();
    problem(answer, StatusCode::CONFLICT, "already-exists").await;
}

#[tokio::test]
async fn signing_in_again_keeps_a_deleted_account() {
    let service = Service::start().await;
    let user = service.user().await;
    let before = get(&service, &user).await;
    service
        .by(&user, Method::DELETE, "/v1/me")
        .send()
        .await
        .unwrap();
    let back = service.sign_in(&user.username).await;
    assert_eq!(get(&service, &back).await["id"], before["id"]);
    let answer = service
        .by(&user, Method::GET, "/v1/me")
        .send()
        .await
        .unwrap();
    problem(answer, StatusCode::UNAUTHORIZED, "token-revoked").await;
}

#[tokio::test]
async fn guesses_at_the_current_password_are_stopped() {
    let service = Service::start_with(|options| {
        options.rates.login_account = Some(taskhub::settings::RateLimit {
            requests: 3,
            period: std::time::Duration::from_secs(900),
        });
    })
    .await;
    let user = service.user().await;
    for key in ["k-1", "k-2", "k-3"] {
        let answer =
            change_password(&service, &user, "wrong horse battery", NEW_PASSWORD, key).await;
        assert_eq!(answer.status(), StatusCode::UNPROCESSABLE_ENTITY);
    }
    let answer = change_password(&service, &user, PASSWORD, NEW_PASSWORD, "k-4").await;
    problem(answer, StatusCode::TOO_MANY_REQUESTS, "rate-limited").await;
}
