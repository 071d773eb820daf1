//! A ready-made user, so that the first request is not about passwords.

use anyhow::Context;
use serde_json::{Value, json};

pub(super) const NAME: &str = "dev";
pub(super) const PASSWORD: &str = "purple-kettle-on-tuesday";

/// Signs the user in; registers them first where no former run did.
pub(super) fn token(api: &str) -> anyhow::Result<String> {
    let (mut status, mut answer) = sign_in(api, None)?;
    if status == 401 {
        let registration =
            json!({ "username": NAME, "password": PASSWORD, "email": "dev@example.com" });
        let (registered, refusal) = post(&format!("{api}/v1/auth/register"), &registration)?;
        anyhow::ensure!(
            registered == 201,
            "the user {NAME} cannot be registered: {refusal}\n`cargo xtask dev --reset` starts anew."
        );
        (status, answer) = sign_in(api, None)?;
    }
    anyhow::ensure!(status == 200, "the user {NAME} cannot sign in: {answer}");
    access_token(&answer)
}

/// Signs the user in to operate; `None` where the API does not take them for an operator.
pub(super) fn operator_token(api: &str) -> anyhow::Result<Option<String>> {
    let (status, answer) = sign_in(api, Some("admin"))?;
    if status == 422 {
        return Ok(None);
    }
    anyhow::ensure!(status == 200, "the user {NAME} cannot sign in: {answer}");
    access_token(&answer).map(Some)
}

fn access_token(answer: &Value) -> anyhow::Result<String> {
    let token = answer.get("access_token").and_then(Value::as_str);
    token
        .map(str::to_owned)
        .context("the API answers without a token")
}

fn sign_in(api: &str, scope: Option<&str>) -> anyhow::Result<(u16, Value)> {
    let mut login = json!({ "username": NAME, "password": PASSWORD });
    if let Some(scope) = scope {
        login["scope"] = scope.into();
    }
    post(&format!("{api}/v1/auth/login"), &login)
}

fn post(url: &str, body: &Value) -> anyhow::Result<(u16, Value)> {
    let mut answer = ureq::post(url)
        .config()
        .http_status_as_error(false)
        .build()
        .send_json(body)
        .with_context(|| format!("no answer from {url}"))?;
    let status = answer.status().as_u16();
    Ok((status, answer.body_mut().read_json().unwrap_or_default()))
}
