//! Which access tokens open the door.

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use jsonwebtoken::{EncodingKey, Header, decode_header};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use taskhub::{
    scopes::Scopes,
    tokens::{Keys, Lifetimes},
};

use crate::support::{JWT_SECRET, PREVIOUS_JWT_SECRET, Service, User, problem, success};

/// The header and the claims of a genuine token.
fn taken_apart(token: &str) -> (Header, Value) {
    let claims = token.split('.').nth(1).unwrap();
    let claims = BASE64_URL_SAFE_NO_PAD.decode(claims).unwrap();
    (
        decode_header(token).unwrap(),
        serde_json::from_slice(&claims).unwrap(),
    )
}

fn signed(header: &Header, claims: &Value, secret: &str) -> String {
    jsonwebtoken::encode(header, claims, &EncodingKey::from_secret(secret.as_bytes())).unwrap()
}

async fn refused(service: &Service, token: &str, code: &str) {
    let answer = service
        .get("/v1/me")
        .bearer_auth(token)
        .send()
        .await
        .unwrap();
    assert_eq!(
        answer.headers()["www-authenticate"],
        r#"Bearer realm="taskhub", error="invalid_token""#
    );
    problem(answer, StatusCode::UNAUTHORIZED, code).await;
}

async fn someone() -> (Service, User, Header, Value) {
    let service = Service::start().await;
    let user = service.user().await;
    let (header, claims) = taken_apart(&user.access_token);
    (service, user, header, claims)
}

#[tokio::test]
async fn a_genuine_token_signed_anew_with_our_key_is_accepted() {
    let (service, _, header, claims) = someone().await;
    let answer = service
        .get("/v1/me")
        .bearer_auth(signed(&header, &claims, JWT_SECRET))
        .send()
        .await
        .unwrap();
    success(answer, StatusCode::OK).await;
}

#[tokio::test]
async fn a_token_without_or_with_another_s_signature_is_refused() {
    let (service, user, header, claims) = someone().await;
    refused(
        &service,
        &signed(&header, &claims, "a key of somebody else, 32 bytes long"),
        "invalid-token",
    )
    .await;
    let (message, _) = user.access_token.rsplit_once('.').unwrap();
    refused(&service, &format!("{message}."), "invalid-token").await;
    refused(&service, message, "invalid-token").await;
}

#[tokio::test]
async fn a_token_of_another_algorithm_is_refused() {
    let (service, user, header, _) = someone().await;
    let (_, rest) = user.access_token.split_once('.').unwrap();
    for algorithm in ["none", "HS384", "HS512", "RS256", "ES256"] {
        let header = json!({ "alg": algorithm, "typ": "at+jwt", "kid": header.kid });
        let header = BASE64_URL_SAFE_NO_PAD.encode(header.to_string());
        refused(&service, &format!("{header}.{rest}"), "invalid-token").await;
        let (claims, _) = rest.split_once('.').unwrap();
        refused(&service, &format!("{header}.{claims}."), "invalid-token").await;
    }
}

#[tokio::test]
async fn an_expired_token_is_told_so() {
    let (service, _, header, mut claims) = someone().await;
    claims["exp"] = (claims["iat"].as_i64().unwrap() - 60).into();
    refused(
        &service,
        &signed(&header, &claims, JWT_SECRET),
        "token-expired",
    )
    .await;
}

#[tokio::test]
async fn a_missing_or_foreign_claim_is_refused() {
    let (service, _, header, claims) = someone().await;
    for name in ["sub", "exp", "iat", "jti", "sid", "iss", "aud", "scope"] {
        let mut claims = claims.clone();
        claims.as_object_mut().unwrap().remove(name);
        refused(
            &service,
            &signed(&header, &claims, JWT_SECRET),
            "invalid-token",
        )
        .await;
    }
    for (name, value) in [("aud", "another-api"), ("iss", "another-service")] {
        let mut claims = claims.clone();
        claims[name] = value.into();
        refused(
            &service,
            &signed(&header, &claims, JWT_SECRET),
            "invalid-token",
        )
        .await;
    }
}

#[tokio::test]
async fn a_token_of_another_kind_is_refused() {
    let (service, user, header, claims) = someone().await;
    for kind in [Some("JWT"), Some("refresh+jwt"), None] {
        let mut header = header.clone();
        header.typ = kind.map(str::to_owned);
        refused(
            &service,
            &signed(&header, &claims, JWT_SECRET),
            "invalid-token",
        )
        .await;
    }
    let mut critical = header.clone();
    critical.crit = Some(vec!["exp".to_owned()]);
    refused(
        &service,
        &signed(&critical, &claims, JWT_SECRET),
        "invalid-token",
    )
    .await;
    refused(&service, &user.refresh_token, "invalid-token").await;
}

#[tokio::test]
async fn a_token_of_the_previous_key_is_accepted_and_of_a_removed_one_is_not() {
    let (service, user, _, _) = someone().await;
    let session = service.keys.verify(&user.access_token).unwrap().sid;
    let lifetimes = Lifetimes {
        access_token: std::time::Duration::from_secs(900),
        refresh_token: std::time::Duration::from_secs(900),
        refresh_retry: std::time::Duration::from_secs(900),
    };
    let token = |secret: &str| {
        let keys = Keys::new(&secret.into(), None, lifetimes).unwrap();
        let token = keys
            .access_token(&user.username, session, &Scopes::own())
            .unwrap();
        secrecy::ExposeSecret::expose_secret(&token).to_owned()
    };
    let answer = service
        .get("/v1/me")
        .bearer_auth(token(PREVIOUS_JWT_SECRET))
        .send()
        .await
        .unwrap();
    success(answer, StatusCode::OK).await;
    refused(
        &service,
        &token("the key before the previous, now removed"),
        "invalid-token",
    )
    .await;
}

#[tokio::test]
async fn a_token_names_its_own_session_s_user() {
    let (service, _, header, mut claims) = someone().await;
    claims["sub"] = service.user().await.username.into();
    refused(
        &service,
        &signed(&header, &claims, JWT_SECRET),
        "token-revoked",
    )
    .await;
    claims["sub"] = "nobody".into();
    refused(
        &service,
        &signed(&header, &claims, JWT_SECRET),
        "token-revoked",
    )
    .await;
    claims["sid"] = uuid::Uuid::now_v7().to_string().into();
    refused(
        &service,
        &signed(&header, &claims, JWT_SECRET),
        "token-revoked",
    )
    .await;
}

#[tokio::test]
async fn a_token_that_claims_more_than_its_session_allows_gets_no_more() {
    let service = Service::start().await;
    let user = service.user().await;
    let body = json!({ "username": user.username, "password": crate::support::PASSWORD, "scope": "tasks:read" });
    let answer = service
        .post("/v1/auth/login")
        .json(&body)
        .send()
        .await
        .unwrap();
    let tokens = success(answer, StatusCode::OK).await;
    let (header, mut claims) = taken_apart(tokens["access_token"].as_str().unwrap());
    claims["scope"] = Scopes::own().to_string().into();
    let answer = service
        .get("/v1/me")
        .bearer_auth(signed(&header, &claims, JWT_SECRET))
        .send()
        .await
        .unwrap();
    problem(answer, StatusCode::FORBIDDEN, "insufficient-scope").await;
}

#[tokio::test]
async fn a_token_is_taken_from_one_authorization_header_alone() {
    let (service, user, _, _) = someone().await;
    for request in [
        service.get("/v1/me"),
        service.get(&format!("/v1/me?access_token={}", user.access_token)),
        service
            .get("/v1/me")
            .header("authorization", format!("Basic {}", user.access_token)),
        service
            .by(&user, Method::GET, "/v1/me")
            .header("authorization", format!("Bearer {}", user.access_token)),
    ] {
        problem(
            request.send().await.unwrap(),
            StatusCode::UNAUTHORIZED,
            "missing-credentials",
        )
        .await;
    }
    let request = service
        .get("/v1/me")
        .header("authorization", format!("bearer {}", user.access_token));
    success(request.send().await.unwrap(), StatusCode::OK).await;
}
