//! Forgotten passwords over HTTP. The letter itself is the worker's; here its code is made as the
//! worker makes it.

use reqwest::{Method, Response, StatusCode};
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use taskhub::{settings::RateLimit, users};

use crate::support::{PASSWORD, Service, User, problem};

const EMAIL: &str = "ada@example.com";
const NEW_PASSWORD: &str = "the quick brown fox again";

async fn forgot(service: &Service, email: &str) -> Response {
    let body = json!({ "email": email });
    let request = service.post("/v1/auth/forgot-password").json(&body);
    request.send().await.unwrap()
}

async fn reset(service: &Service, code: &str, password: &str) -> Response {
    let body = json!({ "code": code, "new_password": password });
    let request = service.post("/v1/auth/reset-password").json(&body);
    request.send().await.unwrap()
}

/// Someone with an address.
async fn addressee(service: &Service) -> User {
    let user = service.user().await;
    let change = service.by(&user, Method::PATCH, "/v1/me");
    let changed = change.json(&json!({ "email": EMAIL })).send().await;
    assert_eq!(changed.unwrap().status(), StatusCode::OK);
    user
}

async fn code(service: &Service) -> String {
    let mut db = service.database.pool.acquire().await.unwrap();
    let codes = users::new_reset_codes(&mut db, EMAIL).await.unwrap();
    codes[0].code.expose_secret().to_owned()
}

async fn login(service: &Service, user: &User, password: &str) -> StatusCode {
    let body = json!({ "username": user.username, "password": password });
    let request = service.post("/v1/auth/login").json(&body);
    request.send().await.unwrap().status()
}

async fn letters(service: &Service) -> Vec<Value> {
    sqlx::query_scalar("select args from job where kind = 'password_reset_email' order by id")
        .fetch_all(&service.database.pool)
        .await
        .unwrap()
}

#[tokio::test]
async fn a_known_and_an_unknown_address_are_answered_alike() {
    let service = Service::start().await;
    addressee(&service).await;
    let mut answers = Vec::new();
    for email in [EMAIL, "nobody@example.com"] {
        let answer = forgot(&service, email).await;
        let names: Vec<_> = answer.headers().keys().map(ToString::to_string).collect();
        answers.push((answer.status(), names, answer.text().await.unwrap()));
    }
    assert_eq!(answers[0].0, StatusCode::ACCEPTED);
    assert_eq!(answers[0], answers[1]);
    // Both leave the same work behind, so that neither takes longer.
    assert_eq!(
        letters(&service).await,
        [
            json!({ "email": EMAIL }),
            json!({ "email": "nobody@example.com" })
        ]
    );
}

#[tokio::test]
async fn a_code_gives_a_new_password_once_and_ends_every_session() {
    let service = Service::start().await;
    let user = addressee(&service).await;
    let code = code(&service).await;

    let answer = reset(&service, &code, NEW_PASSWORD).await;
    assert_eq!(answer.status(), StatusCode::NO_CONTENT);

    let old = service.by(&user, Method::GET, "/v1/me").send().await;
    problem(old.unwrap(), StatusCode::UNAUTHORIZED, "token-revoked").await;
    assert_eq!(
        login(&service, &user, PASSWORD).await,
        StatusCode::UNAUTHORIZED
    );
    assert_eq!(login(&service, &user, NEW_PASSWORD).await, StatusCode::OK);

    let again = reset(&service, &code, "another password entirely").await;
    let refusal = problem(again, StatusCode::UNPROCESSABLE_ENTITY, "validation-failed").await;
    assert_eq!(refusal["errors"][0]["code"], "invalid-code");
    assert_eq!(login(&service, &user, NEW_PASSWORD).await, StatusCode::OK);
}

#[tokio::test]
async fn a_lost_answer_can_be_asked_for_again() {
    let service = Service::start().await;
    addressee(&service).await;
    let body = json!({ "code": code(&service).await, "new_password": NEW_PASSWORD });
    for replayed in [false, true] {
        let request = service.post("/v1/auth/reset-password").json(&body);
        let answer = request.header("Idempotency-Key", "once").send().await;
        let answer = answer.unwrap();
        assert_eq!(answer.status(), StatusCode::NO_CONTENT);
        assert_eq!(
            answer.headers().contains_key("idempotency-replayed"),
            replayed
        );
    }
}

#[tokio::test]
async fn a_wrong_code_and_a_weak_password_change_nothing() {
    let service = Service::start().await;
    let user = addressee(&service).await;
    let code = code(&service).await;
    for (code, password) in [
        ("thp_wrong", NEW_PASSWORD),
        (&code, "password123"),
        (&code, "short"),
    ] {
        let answer = reset(&service, code, password).await;
        problem(
            answer,
            StatusCode::UNPROCESSABLE_ENTITY,
            "validation-failed",
        )
        .await;
    }
    assert_eq!(login(&service, &user, PASSWORD).await, StatusCode::OK);
}

#[tokio::test]
async fn what_is_no_address_is_said_so() {
    let service = Service::start().await;
    for email in ["", "ada", "ada@", "a b@example.com"] {
        let answer = forgot(&service, email).await;
        let refusal = problem(
            answer,
            StatusCode::UNPROCESSABLE_ENTITY,
            "validation-failed",
        )
        .await;
        assert_eq!(refusal["errors"][0]["pointer"], "/email");
    }
}

#[tokio::test]
async fn an_address_may_not_ask_without_end() {
    let service = Service::start_with(|options| {
        options.rates.password_reset = Some(RateLimit {
            requests: 2,
            period: std::time::Duration::from_secs(3600),
        });
    })
    .await;
    for _ in 0..2 {
        assert_eq!(forgot(&service, EMAIL).await.status(), StatusCode::ACCEPTED);
    }
    let refused = forgot(&service, EMAIL).await;
    let refused = problem(refused, StatusCode::TOO_MANY_REQUESTS, "rate-limited").await;
    assert_eq!(refused["policy"], "password-reset");
}

#[tokio::test]
async fn no_mailbox_is_flooded_whoever_asks() {
    let service = Service::start().await;
    for _ in 0..7 {
        let answer = forgot(&service, "Ada@example.com").await;
        assert_eq!(answer.status(), StatusCode::ACCEPTED);
        // As if the worker had sent it, so that the next one is no repetition of it.
        sqlx::raw_sql("update job set state = 'done', finished_at = now() where state = 'ready'")
            .execute(&service.database.pool)
            .await
            .unwrap();
    }
    assert_eq!(letters(&service).await.len(), 5);
}
