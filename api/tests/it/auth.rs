//! Registering, signing in, refreshing and signing out.

use std::{collections::BTreeSet, time::Duration};

use futures_util::future::join_all;
use reqwest::{Method, Response, StatusCode};
use serde_json::{Value, json};
use taskhub::{passwords::Hasher, settings::RateLimit};

use crate::support::{PASSWORD, Service, problem, success};

async fn register(service: &Service, body: &Value) -> Response {
    service
        .post("/v1/auth/register")
        .json(body)
        .send()
        .await
        .unwrap()
}

async fn log_in(service: &Service, body: &Value) -> Response {
    service
        .post("/v1/auth/login")
        .json(body)
        .send()
        .await
        .unwrap()
}

async fn refresh(service: &Service, token: &str) -> Response {
    let body = json!({ "refresh_token": token });
    service
        .post("/v1/auth/refresh")
        .json(&body)
        .send()
        .await
        .unwrap()
}

async fn count(service: &Service, query: &'static str) -> i64 {
    sqlx::query_scalar(query)
        .fetch_one(&service.database.pool)
        .await
        .unwrap()
}

fn alice() -> Value {
    json!({ "username": "alice", "password": PASSWORD, "email": "alice@example.org" })
}

/// `pointer code` of each broken rule.
fn rules(problem: &Value) -> Vec<String> {
    let errors = problem["errors"].as_array().unwrap().iter();
    let mut rules: Vec<_> = errors
        .map(|error| {
            format!(
                "{} {}",
                error["pointer"].as_str().unwrap(),
                error["code"].as_str().unwrap()
            )
        })
        .collect();
    rules.sort();
    rules
}

#[tokio::test]
async fn registering_makes_an_account() {
    let service = Service::start().await;
    let answer = register(&service, &alice()).await;
    let headers = answer.headers().clone();
    let text = answer.text().await.unwrap();
    let user: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(headers["location"], "/v1/me");
    assert_eq!(headers["etag"], "\"1\"");
    assert_eq!(user["username"], "alice");
    assert_eq!(user["email"], "alice@example.org");
    assert_eq!(user["time_zone"], "UTC");
    assert_eq!(user["version"], 1);
    assert!(
        user["created_at"].as_str().unwrap().ends_with('Z'),
        "{text}"
    );
    assert!(
        !text.contains("$test$") && !text.contains("password"),
        "{text}"
    );
    assert_eq!(
        count(
            &service,
            "select count(*) from job where kind = 'welcome_email'"
        )
        .await,
        1
    );
}

#[tokio::test]
async fn an_account_without_an_address_has_null_for_one_and_gets_no_mail() {
    let service = Service::start().await;
    let answer = register(
        &service,
        &json!({ "username": "alice", "password": PASSWORD }),
    )
    .await;
    let user = success(answer, StatusCode::CREATED).await;
    assert_eq!(user["email"], Value::Null);
    assert_eq!(count(&service, "select count(*) from job").await, 0);
}

#[tokio::test]
async fn a_taken_username_is_refused() {
    let service = Service::start().await;
    register(&service, &alice()).await;
    let document = problem(
        register(&service, &alice()).await,
        StatusCode::CONFLICT,
        "already-exists",
    )
    .await;
    assert_eq!(document["conflict"], "username");
}

#[tokio::test]
async fn of_two_racing_registrations_one_is_refused() {
    let service = Service::start().await;
    let body = alice();
    let answers = join_all((0..2).map(|_| register(&service, &body))).await;
    let statuses: BTreeSet<_> = answers
        .iter()
        .map(|answer| answer.status().as_u16())
        .collect();
    assert_eq!(statuses, [201, 409].into());
    assert_eq!(
        count(&service, "select count(*) from user_account").await,
        1
    );
}

#[tokio::test]
async fn racing_registrations_under_one_key_make_one_user_and_one_job() {
    let service = Service::start().await;
    let body = alice();
    let send = || {
        service
            .post("/v1/auth/register")
            .header("idempotency-key", "k-1")
            .json(&body)
            .send()
    };
    let answers = join_all((0..8).map(|_| send())).await;
    for answer in answers {
        let answer = answer.unwrap();
        if answer.status() != StatusCode::CREATED {
            assert_eq!(answer.headers()["retry-after"], "1");
            problem(answer, StatusCode::CONFLICT, "idempotency-in-progress").await;
        }
    }
    let again = send().await.unwrap();
    assert_eq!(again.headers()["idempotency-replayed"], "true");
    assert_eq!(again.headers()["etag"], "\"1\"");
    assert_eq!(
        success(again, StatusCode::CREATED).await["username"],
        "alice"
    );
    assert_eq!(
        count(&service, "select count(*) from user_account").await,
        1
    );
    assert_eq!(count(&service, "select count(*) from job").await, 1);
}

#[tokio::test]
async fn a_key_stands_for_one_password() {
    let service = Service::start().await;
    let send = |body: Value| {
        service
            .post("/v1/auth/register")
            .header("idempotency-key", "k-1")
            .json(&body)
            .send()
    };
    assert_eq!(send(alice()).await.unwrap().status(), StatusCode::CREATED);
    let mut other = alice();
    other["password"] = "a second one of the same length".into();
    problem(
        send(other).await.unwrap(),
        StatusCode::UNPROCESSABLE_ENTITY,
        "idempotency-key-reused",
    )
    .await;
}

#[tokio::test]
async fn every_broken_rule_of_a_registration_is_listed() {
    let service = Service::start().await;
    let body = json!({ "username": "A", "password": "sesame", "email": 7, "admin": true });
    let answer = register(&service, &body).await;
    let document = problem(
        answer,
        StatusCode::UNPROCESSABLE_ENTITY,
        "validation-failed",
    )
    .await;
    let rules = rules(&document);
    for pointer in ["/username", "/password", "/email", "/admin unknown-field"] {
        assert!(
            rules.iter().any(|rule| rule.starts_with(pointer)),
            "{pointer}: {rules:?}"
        );
    }
    assert!(!document.to_string().contains("sesame"));
    let document = problem(
        register(&service, &json!({})).await,
        StatusCode::UNPROCESSABLE_ENTITY,
        "validation-failed",
    )
    .await;
    assert_eq!(
        self::rules(&document),
        ["/password required", "/username required"]
    );
}

#[tokio::test]
async fn a_password_that_bcrypt_would_cut_or_misread_is_refused() {
    let service = Service::start().await;
    for (password, code) in [
        ("x".repeat(72), "too-long"),
        ("é".repeat(36), "too-long"),
        (
            "a good one\0 that ends early".to_owned(),
            "forbidden-character",
        ),
    ] {
        let answer = register(
            &service,
            &json!({ "username": "alice", "password": password }),
        )
        .await;
        let document = problem(
            answer,
            StatusCode::UNPROCESSABLE_ENTITY,
            "validation-failed",
        )
        .await;
        assert_eq!(rules(&document), [format!("/password {code}")]);
    }
    let longest = "0f9 x".repeat(14);
    let answer = register(
        &service,
        &json!({ "username": "alice", "password": longest }),
    )
    .await;
    assert_eq!(answer.status(), StatusCode::CREATED);
    let answer = log_in(
        &service,
        &json!({ "username": "alice", "password": format!("{longest}yz") }),
    )
    .await;
    problem(answer, StatusCode::UNAUTHORIZED, "invalid-login").await;
}

#[tokio::test]
async fn a_password_that_is_guessed_first_is_refused() {
    let service = Service::start().await;
    for password in ["password123", "qwertyuiop", "taskhub2026", "the.user.name"] {
        let body = json!({ "username": "the.user.name", "password": password });
        let answer = register(&service, &body).await;
        let document = problem(
            answer,
            StatusCode::UNPROCESSABLE_ENTITY,
            "validation-failed",
        )
        .await;
        assert_eq!(rules(&document), ["/password too-guessable"]);
    }
}

#[tokio::test]
async fn a_password_is_no_number() {
    let service = Service::start().await;
    let answer = register(
        &service,
        &json!({ "username": "alice", "password": 1_234_567_890 }),
    )
    .await;
    problem(
        answer,
        StatusCode::UNPROCESSABLE_ENTITY,
        "validation-failed",
    )
    .await;
}

#[tokio::test]
async fn signing_in_gives_a_pair_of_tokens_that_nobody_may_store() {
    let service = Service::start().await;
    register(&service, &alice()).await;
    let answer = log_in(
        &service,
        &json!({ "username": "alice", "password": PASSWORD }),
    )
    .await;
    assert_eq!(answer.headers()["cache-control"], "no-store");
    let tokens = success(answer, StatusCode::OK).await;
    assert_eq!(tokens["token_type"], "Bearer");
    assert_eq!(tokens["expires_in"], 900);
    assert_eq!(tokens["refresh_expires_in"], 30 * 24 * 3600);
    assert!(
        tokens["refresh_token"]
            .as_str()
            .unwrap()
            .starts_with("thr_")
    );
    assert_eq!(
        tokens["scope"],
        "account:read account:write tasks:read tasks:write"
    );
    let me = service
        .get("/v1/me")
        .bearer_auth(tokens["access_token"].as_str().unwrap())
        .send()
        .await
        .unwrap();
    assert_eq!(success(me, StatusCode::OK).await["username"], "alice");
}

#[tokio::test]
async fn a_wrong_password_and_an_unknown_username_are_answered_alike() {
    let service = Service::start().await;
    register(&service, &alice()).await;
    let mut seen = Vec::new();
    for (username, password) in [
        ("alice", "another horse battery"),
        ("nobody", PASSWORD),
        ("alice", ""),
        ("", ""),
    ] {
        let answer = log_in(
            &service,
            &json!({ "username": username, "password": password }),
        )
        .await;
        let names: Vec<_> = answer.headers().keys().map(ToString::to_string).collect();
        let mut document = problem(answer, StatusCode::UNAUTHORIZED, "invalid-login").await;
        document["request_id"] = Value::Null;
        seen.push((names, document));
    }
    assert!(seen.windows(2).all(|pair| pair[0] == pair[1]), "{seen:?}");
}

#[tokio::test]
async fn signing_in_is_never_answered_from_memory() {
    let service = Service::start().await;
    register(&service, &alice()).await;
    let body = json!({ "username": "alice", "password": PASSWORD });
    let send = || {
        service
            .post("/v1/auth/login")
            .header("idempotency-key", "k-1")
            .json(&body)
            .send()
    };
    let first = success(send().await.unwrap(), StatusCode::OK).await;
    let second = success(send().await.unwrap(), StatusCode::OK).await;
    assert_ne!(first["refresh_token"], second["refresh_token"]);
    assert_eq!(
        count(&service, "select count(*) from idempotency_key").await,
        0
    );
}

#[tokio::test]
async fn a_session_can_be_begun_for_less() {
    let service = Service::start().await;
    register(&service, &alice()).await;
    let body = json!({ "username": "alice", "password": PASSWORD, "scope": "account:read" });
    let tokens = success(log_in(&service, &body).await, StatusCode::OK).await;
    assert_eq!(tokens["scope"], "account:read");
    let refreshed = success(
        refresh(&service, tokens["refresh_token"].as_str().unwrap()).await,
        StatusCode::OK,
    )
    .await;
    assert_eq!(refreshed["scope"], "account:read");
    let token = refreshed["access_token"].as_str().unwrap();
    let me = service
        .get("/v1/me")
        .bearer_auth(token)
        .send()
        .await
        .unwrap();
    assert_eq!(me.status(), StatusCode::OK);
    let changed = service
        .request(Method::PATCH, "/v1/me")
        .bearer_auth(token)
        .json(&json!({}))
        .send()
        .await
        .unwrap();
    let document = problem(changed, StatusCode::FORBIDDEN, "insufficient-scope").await;
    assert_eq!(document["required_scopes"], json!(["account:write"]));
    let out = service
        .post("/v1/auth/logout")
        .bearer_auth(token)
        .send()
        .await
        .unwrap();
    assert_eq!(out.status(), StatusCode::NO_CONTENT);
}

#[tokio::test]
async fn an_unknown_scope_is_refused() {
    let service = Service::start().await;
    register(&service, &alice()).await;
    for scope in ["admin", "tasks:read admin", " "] {
        let body = json!({ "username": "alice", "password": PASSWORD, "scope": scope });
        let document = problem(
            log_in(&service, &body).await,
            StatusCode::UNPROCESSABLE_ENTITY,
            "validation-failed",
        )
        .await;
        assert!(rules(&document)[0].starts_with("/scope "), "{document}");
    }
}

#[tokio::test]
async fn guesses_at_one_account_are_stopped_whether_it_exists_or_not() {
    let service = Service::start_with(|options| {
        options.rates.login_account = Some(RateLimit {
            requests: 3,
            period: Duration::from_secs(900),
        });
    })
    .await;
    register(&service, &alice()).await;
    for username in ["alice", "nobody"] {
        for _ in 0..3 {
            let answer = log_in(
                &service,
                &json!({ "username": username, "password": "another horse battery" }),
            )
            .await;
            problem(answer, StatusCode::UNAUTHORIZED, "invalid-login").await;
        }
        let answer = log_in(
            &service,
            &json!({ "username": username, "password": PASSWORD }),
        )
        .await;
        let wait: u64 = answer.headers()["retry-after"]
            .to_str()
            .unwrap()
            .parse()
            .unwrap();
        assert!((1..=300).contains(&wait), "{wait}");
        let document = problem(answer, StatusCode::TOO_MANY_REQUESTS, "rate-limited").await;
        assert_eq!(document["policy"], "login-account");
    }
}

#[tokio::test]
async fn a_right_password_clears_the_count() {
    let service = Service::start_with(|options| {
        options.rates.login_account = Some(RateLimit {
            requests: 3,
            period: Duration::from_secs(900),
        });
    })
    .await;
    register(&service, &alice()).await;
    for _ in 0..3 {
        let answer = log_in(
            &service,
            &json!({ "username": "alice", "password": "another horse battery" }),
        )
        .await;
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
        service.sign_in("alice").await;
    }
}

#[tokio::test]
async fn registrations_from_one_address_are_limited() {
    let service = Service::start_with(|options| {
        options.rates.register = Some(RateLimit {
            requests: 2,
            period: Duration::from_secs(3600),
        });
    })
    .await;
    for username in ["alice", "bob"] {
        let answer = register(
            &service,
            &json!({ "username": username, "password": PASSWORD }),
        )
        .await;
        assert_eq!(answer.status(), StatusCode::CREATED);
    }
    let answer = register(
        &service,
        &json!({ "username": "carol", "password": PASSWORD }),
    )
    .await;
    let document = problem(answer, StatusCode::TOO_MANY_REQUESTS, "rate-limited").await;
    assert_eq!(document["policy"], "register");
}

#[tokio::test]
async fn a_refresh_used_twice_at_once_keeps_the_session() {
    let service = Service::start().await;
    let user = service.user().await;
    let (one, two) = tokio::join!(
        refresh(&service, &user.refresh_token),
        refresh(&service, &user.refresh_token)
    );
    let (one, two) = (
        success(one, StatusCode::OK).await,
        success(two, StatusCode::OK).await,
    );
    assert_eq!(one["refresh_token"], two["refresh_token"]);
    let next = refresh(&service, one["refresh_token"].as_str().unwrap()).await;
    success(next, StatusCode::OK).await;
}

#[tokio::test]
async fn fifty_refreshes_at_once_give_one_successor() {
    let service = Service::start().await;
    let user = service.user().await;
    let answers = join_all((0..50).map(|_| refresh(&service, &user.refresh_token))).await;
    let mut successors = BTreeSet::new();
    for answer in answers {
        successors.insert(success(answer, StatusCode::OK).await["refresh_token"].to_string());
    }
    assert_eq!(successors.len(), 1);
    assert_eq!(
        count(&service, "select count(*) from refresh_token").await,
        2
    );
}

#[tokio::test]
async fn a_stolen_refresh_token_that_comes_back_ends_the_session() {
    let service = Service::start().await;
    let user = service.user().await;
    let second = success(refresh(&service, &user.refresh_token).await, StatusCode::OK).await;
    let third = success(
        refresh(&service, second["refresh_token"].as_str().unwrap()).await,
        StatusCode::OK,
    )
    .await;
    problem(
        refresh(&service, &user.refresh_token).await,
        StatusCode::UNAUTHORIZED,
        "token-revoked",
    )
    .await;
    let token = third["refresh_token"].as_str().unwrap();
    problem(
        refresh(&service, token).await,
        StatusCode::UNAUTHORIZED,
        "token-revoked",
    )
    .await;
    let me = service
        .get("/v1/me")
        .bearer_auth(third["access_token"].as_str().unwrap())
        .send()
        .await
        .unwrap();
    problem(me, StatusCode::UNAUTHORIZED, "token-revoked").await;
    let reason: String = sqlx::query_scalar("select end_reason from session")
        .fetch_one(&service.database.pool)
        .await
        .unwrap();
    assert_eq!(reason, "refresh_token_reused");
}

#[tokio::test]
async fn what_is_no_refresh_token_refreshes_nothing() {
    let service = Service::start().await;
    let user = service.user().await;
    for token in [
        "",
        "thr_",
        "nonsense",
        &user.access_token,
        &format!("thr_{}", "A".repeat(43)),
    ] {
        problem(
            refresh(&service, token).await,
            StatusCode::UNAUTHORIZED,
            "invalid-token",
        )
        .await;
    }
    let answer = service
        .post("/v1/auth/refresh")
        .json(&json!({}))
        .send()
        .await
        .unwrap();
    problem(
        answer,
        StatusCode::UNPROCESSABLE_ENTITY,
        "validation-failed",
    )
    .await;
}

#[tokio::test]
async fn signing_out_ends_both_tokens_at_once() {
    let service = Service::start().await;
    let user = service.user().await;
    let answer = service
        .by(&user, Method::POST, "/v1/auth/logout")
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), StatusCode::NO_CONTENT);
    let me = service
        .by(&user, Method::GET, "/v1/me")
        .send()
        .await
        .unwrap();
    let challenge = me.headers()["www-authenticate"].clone();
    assert_eq!(
        challenge,
        r#"Bearer realm="taskhub", error="invalid_token""#
    );
    problem(me, StatusCode::UNAUTHORIZED, "token-revoked").await;
    problem(
        refresh(&service, &user.refresh_token).await,
        StatusCode::UNAUTHORIZED,
        "token-revoked",
    )
    .await;
    let again = service
        .by(&user, Method::POST, "/v1/auth/logout")
        .send()
        .await
        .unwrap();
    problem(again, StatusCode::UNAUTHORIZED, "token-revoked").await;
}

#[tokio::test]
async fn signing_out_needs_a_token() {
    let service = Service::start().await;
    let answer = service.post("/v1/auth/logout").send().await.unwrap();
    problem(answer, StatusCode::UNAUTHORIZED, "missing-credentials").await;
}

#[tokio::test]
async fn a_flood_of_passwords_is_turned_away_and_holds_nobody_else_up() {
    let service = Service::start_hashing(Hasher::bcrypt(10).unwrap()).await;
    let cores = std::thread::available_parallelism().unwrap().get();
    let body = json!({ "username": "nobody", "password": PASSWORD });
    let flood = join_all((0..cores * 20).map(|_| log_in(&service, &body)));
    let others = async {
        for _ in 0..5 {
            let answer = service.get("/v1/meta").send().await.unwrap();
            assert_eq!(answer.status(), StatusCode::OK);
        }
    };
    let (answers, ()) = tokio::join!(flood, others);
    let mut turned_away = 0;
    for answer in answers {
        if answer.status() == StatusCode::SERVICE_UNAVAILABLE {
            assert_eq!(answer.headers()["retry-after"], "2");
            problem(answer, StatusCode::SERVICE_UNAVAILABLE, "unavailable").await;
            turned_away += 1;
        } else {
            problem(answer, StatusCode::UNAUTHORIZED, "invalid-login").await;
        }
    }
    assert!(turned_away > 0);
}
