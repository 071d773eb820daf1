//! A user of the API.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use serde_json::{Value, json};

use super::PORT;

const PASSWORD: &str = "purple-kettle-on-tuesday";

/// How long an API that is there again may say that something else is not.
const PATIENCE: Duration = Duration::from_secs(60);

pub(super) struct User {
    name: String,
    token: String,
}

impl User {
    /// Registers and signs in.
    pub(super) fn register(name: &str) -> anyhow::Result<Self> {
        let mut user = Self {
            name: name.to_owned(),
            token: String::new(),
        };
        let account = json!({"username": name, "email": user.email(), "password": PASSWORD});
        let (status, answer) = user.call("/v1/auth/register", Some(&account))?;
        // Asked again where an answer was lost, the API knows the name already.
        ensure!(
            matches!(status, 201 | 409),
            "{name} cannot register: {status} {answer}"
        );
        user.sign_in()?;
        Ok(user)
    }

    pub(super) fn email(&self) -> String {
        format!("{}@example.com", self.name)
    }

    fn sign_in(&mut self) -> anyhow::Result<()> {
        let login = json!({"username": self.name, "password": PASSWORD});
        let (status, answer) = self.call("/v1/auth/login", Some(&login))?;
        ensure!(
            status == 200,
            "{} cannot sign in: {status} {answer}",
            self.name
        );
        let token = answer["access_token"].as_str().context("an access token")?;
        token.clone_into(&mut self.token);
        Ok(())
    }

    pub(super) fn create_task(&self, title: &str) -> anyhow::Result<()> {
        let (status, answer) = self.call("/v1/tasks", Some(&json!({"title": title})))?;
        ensure!(status == 201, "no task can be created: {status} {answer}");
        Ok(())
    }

    /// The titles. Signs in anew where a restart of the API ended the token.
    pub(super) fn tasks(&mut self) -> anyhow::Result<Vec<String>> {
        let (mut status, mut answer) = self.call("/v1/tasks", None)?;
        if status == 401 {
            self.sign_in()?;
            (status, answer) = self.call("/v1/tasks", None)?;
        }
        ensure!(
            status == 200,
            "the tasks cannot be listed: {status} {answer}"
        );
        let tasks = answer["data"].as_array().context("a list of tasks")?;
        let titles = tasks.iter().filter_map(|task| task["title"].as_str());
        Ok(titles.map(str::to_owned).collect())
    }

    /// Asks again while there is no answer, or one that says that a part is away.
    fn call(&self, path: &str, body: Option<&Value>) -> anyhow::Result<(u16, Value)> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match send(path, &self.token, body) {
                Ok((status, answer)) if status < 500 => return Ok((status, answer)),
                failed if Instant::now() > deadline => return failed,
                _ => thread::sleep(Duration::from_millis(500)),
            }
        }
    }
}

/// Posts a body, or gets where there is none.
fn send(path: &str, token: &str, body: Option<&Value>) -> anyhow::Result<(u16, Value)> {
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .timeout_global(Some(Duration::from_secs(35)))
        // It is this very machine that is asked.
        .proxy(None)
        .build()
        .into();
    let url = format!("http://127.0.0.1:{PORT}{path}");
    let mut request = ureq::http::Request::builder()
        .method(if body.is_some() { "POST" } else { "GET" })
        .uri(&url);
    if !token.is_empty() {
        request = request.header("Authorization", format!("Bearer {token}"));
    }
    let answer = match body {
        None => agent.run(request.body(())?),
        Some(body) => {
            let request = request.header("Content-Type", "application/json");
            agent.run(request.body(body.to_string())?)
        }
    };
    let mut answer = answer.with_context(|| format!("no answer from {url}"))?;
    let status = answer.status().as_u16();
    Ok((status, answer.body_mut().read_json().unwrap_or_default()))
}

pub(super) fn api_is_ready() -> bool {
    send("/health/ready", "", None).is_ok_and(|(status, _)| status == 200)
}

/// What the API says that it was built from.
pub(super) fn api_commit() -> anyhow::Result<String> {
    let (status, answer) = send("/v1/meta", "", None)?;
    let commit = answer["commit"].as_str().map(str::to_owned);
    commit.with_context(|| format!("/v1/meta names no commit: {status} {answer}"))
}
