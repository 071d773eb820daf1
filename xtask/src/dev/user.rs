//! A ready-made user, so that the first request is not about passwords.

use anyhow::Context;
use serde_json::{Value, json};

pub(super) const NAME: &str = "dev";
pub(super) const PASSWORD: &str = "purple-kettle-on-tuesday";

/// Signs the user in; registers them first where no former run did.
pub(super) fn token(api: &str) -> anyhow::Result<String> {
    let (mut status, mut answer) = sign_in(api)?;
    if status == 401 {
        let registration =
            json!({ "username": NAME, "password": PASSWORD, "email": "dev@example.com" });
        let (registered, refusal) = post(&format!("{api}/v1/auth/register"), &registration)?;
        anyhow::ensure!(
            registered == 201,
            "the user {NAME} cannot be registered: {refusal}\n`cargo xtask dev --reset` starts anew."
        );
        (status, answer) = sign_in(api)?;
    }
    anyhow::ensure!(status == 200, "the user {NAME} cannot sign in: {answer}");
    let token = answer.get("access_token").and_then(Value::as_str);
    token
        .map(str::to_owned)
        .context("the API answers without a token")
}

fn sign_in(api: &str) -> anyhow::Result<(u16, Value)> {
    post(
        &format!("{api}/v1/auth/login"),
        &json!({ "username": NAME, "password": PASSWORD }),
    )
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
