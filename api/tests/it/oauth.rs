//! Tokens by OAuth's forms.

use reqwest::{Method, Response, StatusCode};
use serde_json::json;
use taskhub::scopes::{Scope, Scopes};

use crate::support::{OPERATOR, PASSWORD, Service, problem, success};

async fn token(service: &Service, form: &[(&str, &str)]) -> Response {
    service
        .post("/v1/oauth/token")
        .form(form)
        .send()
        .await
        .unwrap()
}

async fn revoke(service: &Service, token: &str) -> Response {
    service
        .post("/v1/oauth/revoke")
        .form(&[("token", token)])
        .send()
        .await
        .unwrap()
}

#[tokio::test]
async fn a_password_and_a_refresh_token_are_exchanged_for_tokens() {
    let service = Service::start().await;
    let user = service.user().await;
    let form = [
        ("grant_type", "password"),
        ("username", &user.username),
        ("password", PASSWORD),
        ("scope", "tasks:read"),
        ("client_id", "docs"),
    ];
    let answer = token(&service, &form).await;
    assert_eq!(answer.headers()["cache-control"], "no-store");
    let tokens = success(answer, StatusCode::OK).await;
    assert_eq!(tokens["token_type"], "Bearer");
    assert_eq!(tokens["scope"], "tasks:read");
    let form = [
        ("grant_type", "refresh_token"),
        ("refresh_token", tokens["refresh_token"].as_str().unwrap()),
    ];
    let next = success(token(&service, &form).await, StatusCode::OK).await;
    assert_ne!(next["refresh_token"], tokens["refresh_token"]);
}

#[tokio::test]
async fn failures_are_problems_with_oauth_s_code() {
    let service = Service::start().await;
    let user = service.user().await;
    let login = |scope: &'static str| {
        vec![
            ("grant_type", "password"),
            ("username", user.username.as_str()),
            ("password", PASSWORD),
            ("scope", scope),
        ]
    };
    for (form, code, error) in [
        (vec![], "incomplete-token-request", "invalid_request"),
        (
            vec![("grant_type", "password")],
            "incomplete-token-request",
            "invalid_request",
        ),
        (
            vec![("grant_type", "refresh_token")],
            "incomplete-token-request",
            "invalid_request",
        ),
        (
            vec![("grant_type", "client_credentials")],
            "unsupported-grant",
            "unsupported_grant_type",
        ),
        (
            vec![
                ("grant_type", "refresh_token"),
                ("refresh_token", "nonsense"),
            ],
            "invalid-grant",
            "invalid_grant",
        ),
        (
            vec![
                ("grant_type", "password"),
                ("username", "nobody"),
                ("password", PASSWORD),
            ],
            "invalid-grant",
            "invalid_grant",
        ),
        (login("admin"), "invalid-scope", "invalid_scope"),
        (login("tasks:read 7"), "invalid-scope", "invalid_scope"),
    ] {
        let document = problem(token(&service, &form).await, StatusCode::BAD_REQUEST, code).await;
        assert_eq!(document["error"], error);
    }
}

#[tokio::test]
async fn a_form_gets_what_it_may_have_and_is_told_what_that_is() {
    let service = Service::start().await;
    let user = service.user().await;
    service.operator().await;
    let own = Scopes::own().to_string();
    let all = format!("admin {own}")
        .parse::<Scopes>()
        .unwrap()
        .to_string();
    for (username, scope, granted) in [
        (user.username.as_str(), "", own.as_str()),
        (&user.username, "  ", &own),
        (&user.username, &all, &own),
        (&user.username, "admin tasks:read", "tasks:read"),
        (OPERATOR, "", &own),
        (OPERATOR, &all, &all),
    ] {
        let form = [
            ("grant_type", "password"),
            ("username", username),
            ("password", PASSWORD),
            ("scope", scope),
            ("client_id", ""),
        ];
        let tokens = success(token(&service, &form).await, StatusCode::OK).await;
        assert_eq!(tokens["scope"], granted, "{scope}");
        let refresh = tokens["refresh_token"].as_str().unwrap();
        let form = [
            ("grant_type", "refresh_token"),
            ("refresh_token", refresh),
            ("scope", ""),
        ];
        let next = success(token(&service, &form).await, StatusCode::OK).await;
        assert_eq!(next["scope"], granted, "{scope}");
    }
}

/// What the pattern of the document lets through, the server takes, and nothing else.
#[tokio::test]
async fn the_document_is_as_strict_about_scopes_as_the_server() {
    let service = Service::start().await;
    service.operator().await;
    let document = service.get("/openapi-3.1.json").send().await.unwrap();
    let document = success(document, StatusCode::OK).await;
    let matches = |schema: &str, text: &str| {
        let field = &document["components"]["schemas"][schema]["properties"]["scope"];
        jsonschema::is_valid(field, &json!(text))
    };
    let mut texts: Vec<String> = [
        "",
        " ",
        "7",
        "tasks",
        "tasks:read,tasks:write",
        "TASKS:READ",
    ]
    .into_iter()
    .chain([
        " tasks:read  admin ",
        "tasks:read\tadmin",
        "admin admin",
        "tasks:readadmin",
    ])
    .map(str::to_owned)
    .collect();
    texts.extend(Scope::ALL.map(|scope| scope.name().to_owned()));
    for scope in &texts {
        let form = [
            ("grant_type", "password"),
            ("username", OPERATOR),
            ("password", PASSWORD),
            ("scope", scope),
        ];
        let answer = token(&service, &form).await;
        assert_eq!(
            answer.status().is_success(),
            matches("TokenRequest", scope),
            "form: {scope:?}"
        );
        let body = json!({ "username": OPERATOR, "password": PASSWORD, "scope": scope });
        let answer = service
            .post("/v1/auth/login")
            .json(&body)
            .send()
            .await
            .unwrap();
        assert_eq!(
            answer.status().is_success(),
            matches("Login", scope),
            "JSON: {scope:?}"
        );
    }
}

#[tokio::test]
async fn the_guide_explains_every_scope() {
    let service = Service::start().await;
    let document = service.get("/openapi.json").send().await.unwrap();
    let document = success(document, StatusCode::OK).await;
    let flow = &document["components"]["securitySchemes"]["password"]["flows"]["password"];
    let guide = include_str!("../../../docs/api.md");
    let table = guide.split("| scope | allows |").nth(1).unwrap();
    let table = table.split("\n\n").next().unwrap();
    for scope in flow["scopes"].as_object().unwrap().keys() {
        assert!(table.contains(&format!("`{scope}`")), "{scope}: {table}");
    }
}

#[tokio::test]
async fn a_form_is_a_form_with_known_fields_each_once() {
    let service = Service::start().await;
    let answer = service
        .post("/v1/oauth/token")
        .json(&json!({ "grant_type": "password" }))
        .send()
        .await
        .unwrap();
    problem(
        answer,
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "unsupported-media-type",
    )
    .await;
    let answer = token(
        &service,
        &[("grant_type", "password"), ("grant_type", "refresh_token")],
    )
    .await;
    problem(answer, StatusCode::BAD_REQUEST, "malformed-json").await;
    let answer = token(&service, &[("grant_type", "password"), ("colour", "red")]).await;
    problem(answer, StatusCode::UNPROCESSABLE_ENTITY, "unknown-field").await;
    let form = [
        ("grant_type", "password"),
        ("username", "a\0b"),
        ("password", PASSWORD),
    ];
    let answer = token(&service, &form).await;
    problem(
        answer,
        StatusCode::UNPROCESSABLE_ENTITY,
        "validation-failed",
    )
    .await;
}

#[tokio::test]
async fn either_token_given_up_ends_the_session() {
    let service = Service::start().await;
    for of in [0, 1] {
        let user = service.user().await;
        let given_up = [&user.refresh_token, &user.access_token][of];
        assert_eq!(revoke(&service, given_up).await.status(), StatusCode::OK);
        let me = service
            .by(&user, Method::GET, "/v1/me")
            .send()
            .await
            .unwrap();
        problem(me, StatusCode::UNAUTHORIZED, "token-revoked").await;
        assert_eq!(revoke(&service, given_up).await.status(), StatusCode::OK);
    }
}

#[tokio::test]
async fn giving_up_a_token_that_means_nothing_is_fine() {
    let service = Service::start().await;
    for token in ["nonsense", "", &format!("thr_{}", "A".repeat(43))] {
        assert_eq!(revoke(&service, token).await.status(), StatusCode::OK);
    }
    let answer = service
        .post("/v1/oauth/revoke")
        .form(&[("token_type_hint", "refresh_token")])
        .send()
        .await
        .unwrap();
    let document = problem(answer, StatusCode::BAD_REQUEST, "incomplete-token-request").await;
    assert_eq!(document["error"], "invalid_request");
}
