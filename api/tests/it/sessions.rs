//! Where someone is signed in.

use reqwest::{Method, StatusCode};
use serde_json::Value;

use crate::support::{Service, User, problem, success};

async fn list(service: &Service, user: &User) -> Vec<Value> {
    let answer = service
        .by(user, Method::GET, "/v1/sessions")
        .send()
        .await
        .unwrap();
    success(answer, StatusCode::OK).await["data"]
        .as_array()
        .unwrap()
        .clone()
}

async fn end(service: &Service, user: &User, path: &str) -> reqwest::Response {
    service.by(user, Method::DELETE, path).send().await.unwrap()
}

async fn is_signed_in(service: &Service, user: &User) -> bool {
    let answer = service
        .by(user, Method::GET, "/v1/me")
        .send()
        .await
        .unwrap();
    answer.status() == StatusCode::OK
}

#[tokio::test]
async fn a_list_shows_where_one_is_signed_in() {
    let service = Service::start().await;
    let first = service.user().await;
    service.user().await;
    let body =
        serde_json::json!({ "username": first.username, "password": crate::support::PASSWORD });
    let second = service
        .post("/v1/auth/login")
        .header("user-agent", "phone/1")
        .json(&body)
        .send()
        .await
        .unwrap();
    success(second, StatusCode::OK).await;
    let sessions = list(&service, &first).await;
    assert_eq!(sessions.len(), 2);
    assert_eq!(sessions[0]["user_agent"], "phone/1");
    assert_eq!(sessions[0]["current"], false);
    assert_eq!(sessions[1]["current"], true);
    assert_eq!(sessions[1]["user_agent"], Value::Null);
    for name in ["created_at", "last_used_at", "expires_at"] {
        assert!(sessions[0][name].as_str().unwrap().ends_with('Z'));
    }
}

#[tokio::test]
async fn an_ended_session_is_signed_out_and_may_be_ended_again() {
    let service = Service::start().await;
    let first = service.user().await;
    let second = service.sign_in(&first.username).await;
    let sessions = list(&service, &first).await;
    let other = sessions
        .iter()
        .find(|session| session["current"] == false)
        .unwrap();
    let path = format!("/v1/sessions/{}", other["id"].as_str().unwrap());
    assert_eq!(
        end(&service, &first, &path).await.status(),
        StatusCode::NO_CONTENT
    );
    assert!(!is_signed_in(&service, &second).await);
    assert!(is_signed_in(&service, &first).await);
    assert_eq!(
        end(&service, &first, &path).await.status(),
        StatusCode::NO_CONTENT
    );
    assert_eq!(list(&service, &first).await.len(), 1);
}

#[tokio::test]
async fn all_other_sessions_end_at_once() {
    let service = Service::start().await;
    let here = service.user().await;
    let (there, elsewhere) = (
        service.sign_in(&here.username).await,
        service.sign_in(&here.username).await,
    );
    let stranger = service.user().await;
    assert_eq!(
        end(&service, &here, "/v1/sessions").await.status(),
        StatusCode::NO_CONTENT
    );
    assert!(is_signed_in(&service, &here).await);
    assert!(is_signed_in(&service, &stranger).await);
    assert!(!is_signed_in(&service, &there).await);
    assert!(!is_signed_in(&service, &elsewhere).await);
}

#[tokio::test]
async fn someone_else_s_session_does_not_exist() {
    let service = Service::start().await;
    let (alice, bob) = (service.user().await, service.user().await);
    let session = list(&service, &alice).await[0]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let foreign = end(&service, &bob, &format!("/v1/sessions/{session}")).await;
    let mut foreign = problem(foreign, StatusCode::NOT_FOUND, "not-found").await;
    let never = end(
        &service,
        &bob,
        "/v1/sessions/0199c1ee-2b1c-7d4a-8a3e-5d2f1c0b9a87",
    )
    .await;
    let mut never = problem(never, StatusCode::NOT_FOUND, "not-found").await;
    for document in [&mut foreign, &mut never] {
        document["request_id"] = Value::Null;
        document["instance"] = Value::Null;
    }
    assert_eq!(foreign, never);
    assert!(is_signed_in(&service, &alice).await);
}

#[tokio::test]
async fn what_is_no_id_is_refused_by_name() {
    let service = Service::start().await;
    let user = service.user().await;
    let document = problem(
        end(&service, &user, "/v1/sessions/7").await,
        StatusCode::BAD_REQUEST,
        "invalid-parameter",
    )
    .await;
    assert_eq!(document["errors"][0]["parameter"], "session_id");
}
