//! The API of an instance, as its operator.

use std::time::Duration;

use anyhow::Context;
use serde_json::Value;
use url::{Host, Url};

use crate::{checkout::Checkout, dev, environment};

const PATIENCE: Duration = Duration::from_secs(30);

pub(super) struct Api {
    agent: ureq::Agent,
    /// Without a slash at the end.
    base: String,
    token: String,
    /// Where the user `dev` of this checkout can sign in anew.
    dev: Option<Checkout>,
}

/// An answer, whatever its status.
struct Answer {
    status: u16,
    body: Value,
}

impl Api {
    /// Any instance, with the token from the environment.
    pub(super) fn at(url: &Url) -> anyhow::Result<Self> {
        anyhow::ensure!(
            is_private(url),
            "{url} is neither https nor this machine: the token would travel in the open"
        );
        let token = environment::variable("TASKHUB_TOKEN").context(
            "TASKHUB_TOKEN is not set; `cargo xtask jobs --help` shows how to get a token",
        )?;
        Ok(Self::new(
            url.as_str().trim_end_matches('/').to_owned(),
            token,
            None,
        ))
    }

    /// What `cargo xtask dev` runs from this checkout.
    pub(super) fn of_dev() -> anyhow::Result<Self> {
        let checkout = Checkout::find()?;
        let (base, token) = dev::operator(&checkout)?;
        Ok(Self::new(base, token, Some(checkout)))
    }

    fn new(base: String, token: String, dev: Option<Checkout>) -> Self {
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(PATIENCE))
            // A redirect must not carry the token elsewhere.
            .max_redirects(0)
            .build();
        Self {
            agent: config.into(),
            base,
            token,
            dev,
        }
    }

    pub(super) fn get(&mut self, path: &str, query: &[(&str, String)]) -> anyhow::Result<Value> {
        self.call(path, |agent, url, bearer| {
            let request = agent.get(url).header("Authorization", bearer);
            request
                .query_pairs(query.iter().map(|(name, value)| (*name, value.as_str())))
                .call()
        })
    }

    pub(super) fn post(&mut self, path: &str, body: Option<&Value>) -> anyhow::Result<Value> {
        self.call(path, |agent, url, bearer| {
            let request = agent.post(url).header("Authorization", bearer);
            match body {
                Some(body) => request.send_json(body),
                None => request.send_empty(),
            }
        })
    }

    fn call(
        &mut self,
        path: &str,
        request: impl Fn(
            &ureq::Agent,
            &str,
            &str,
        ) -> Result<ureq::http::Response<ureq::Body>, ureq::Error>,
    ) -> anyhow::Result<Value> {
        let url = format!("{}{path}", self.base);
        let ask = |api: &Self| -> anyhow::Result<Answer> {
            let bearer = format!("Bearer {}", api.token);
            let mut answer = request(&api.agent, &url, &bearer)
                .with_context(|| format!("no answer from {}", api.base))?;
            Ok(Answer {
                status: answer.status().as_u16(),
                body: answer.body_mut().read_json().unwrap_or_default(),
            })
        };
        let mut answer = ask(self)?;
        // The token that `dev` left may be of yesterday.
        if answer.status == 401
            && let Some(checkout) = &self.dev
        {
            self.token = dev::renew_operator(checkout, &self.base)?;
            answer = ask(self)?;
        }
        if (200..300).contains(&answer.status) {
            return Ok(answer.body);
        }
        Err(refusal(&answer, &self.base))
    }
}

fn refusal(answer: &Answer, base: &str) -> anyhow::Error {
    let text = |member: &str| answer.body[member].as_str();
    let Some(detail) = text("detail") else {
        return anyhow::anyhow!("{base} answers {}, and not as TaskHub", answer.status);
    };
    let next = match text("code").unwrap_or_default() {
        "invalid-token" | "token-expired" | "token-revoked" => {
            "; `cargo xtask jobs --help` shows how to get another"
        }
        "insufficient-scope" => "; sign in for the scope `admin`, as a user whom ADMIN_USERS names",
        _ => "",
    };
    let code = text("code").unwrap_or("no code");
    let request_id = text("request_id").unwrap_or("unknown");
    anyhow::anyhow!("{detail}{next} ({code}, request {request_id})")
}

/// Whether nobody on the way can read a token.
fn is_private(url: &Url) -> bool {
    let loopback = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    url.scheme() == "https" || url.scheme() == "http" && loopback
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_token_never_travels_in_the_open() {
        for (url, private) in [
            ("https://tasks.example.com", true),
            ("http://127.0.0.1:8000", true),
            ("http://[::1]:8000", true),
            ("http://localhost:8000", true),
            ("http://tasks.example.com", false),
            ("http://localhost.example.com", false),
            ("ftp://localhost", false),
        ] {
            assert_eq!(is_private(&url.parse().expect("a URL")), private, "{url}");
        }
    }

    #[test]
    fn a_refusal_names_the_cause_and_the_next_step() {
        let answer = |status, body| Answer { status, body };
        let problem = json!({ "code": "insufficient-scope", "detail": "this token was issued for less", "request_id": "r1" });
        assert_eq!(
            refusal(&answer(403, problem), "https://x").to_string(),
            "this token was issued for less; sign in for the scope `admin`, as a user whom ADMIN_USERS names \
             (insufficient-scope, request r1)"
        );
        assert_eq!(
            refusal(&answer(502, Value::Null), "https://x").to_string(),
            "https://x answers 502, and not as TaskHub"
        );
    }
}
