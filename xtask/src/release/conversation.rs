//! What somebody does with the API who uses it for the first time. Every answer must be right, whichever
//! release's programs give it and whichever release's schema lies below.

use std::{
    fs,
    net::SocketAddr,
    path::Path,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::{
    rehearse::http::{Client, Request, Reuse},
    signals::Signals,
};

const PASSWORD: &str = "purple-kettle-on-tuesday";

/// For a letter that a worker sends.
const PATIENCE: Duration = Duration::from_secs(30);

/// Goes through all of it and tells what was not answered as it should be; gives how many requests were sent.
///
/// # Errors
/// Where it is interrupted.
pub(super) fn hold(
    api: SocketAddr,
    name: &str,
    mail: &Path,
    signals: &Signals,
) -> anyhow::Result<(u32, Vec<String>)> {
    let mut talk = Talk {
        client: Client::new(api, Reuse::KeepAlive),
        token: None,
        sent: 0,
        wrong: Vec::new(),
    };
    let address = format!("{name}@example.org");
    let refresh = talk.sign_in(name, &address);
    talk.tasks();
    talk.sessions(refresh);
    let deadline = Instant::now() + PATIENCE;
    while !has_letter(mail, &address) {
        if Instant::now() > deadline {
            talk.wrong
                .push("the job of a registration is not done: no letter within 30 s".to_owned());
            break;
        }
        signals.wait(Duration::from_millis(50))?;
    }
    Ok((talk.sent, talk.wrong))
}

fn has_letter(folder: &Path, address: &str) -> bool {
    let files = fs::read_dir(folder).into_iter().flatten().flatten();
    files
        .filter_map(|file| fs::read_to_string(file.path()).ok())
        .any(|letter| letter.contains(address))
}

struct Talk {
    client: Client,
    token: Option<String>,
    sent: u32,
    wrong: Vec<String>,
}

impl Talk {
    /// Sends a request; what is not answered with the status is noted.
    fn ask(&mut self, method: &'static str, path: &str, body: Option<Value>, status: u16) -> Value {
        self.sent += 1;
        let request = Request {
            method,
            path: path.to_owned(),
            token: self.token.clone(),
            body,
            trickle: Duration::ZERO,
        };
        match self.client.send(&request) {
            Ok(answer) if answer.status == status => answer.json(),
            Ok(answer) => {
                let said = String::from_utf8_lossy(&answer.body).into_owned();
                let given = answer.status;
                self.wrong
                    .push(format!("{method} {path}: {given}, not {status}: {said}"));
                Value::Null
            }
            Err(error) => {
                self.wrong.push(format!("{method} {path}: {error}"));
                Value::Null
            }
        }
    }

    fn expect(&mut self, what: &str, found: &Value, expected: &Value) {
        if found != expected {
            self.wrong
                .push(format!("{what} is {found}, and should be {expected}"));
        }
    }

    /// Gives the refresh token.
    fn sign_in(&mut self, name: &str, address: &str) -> Value {
        let person = json!({ "username": name, "password": PASSWORD, "email": address });
        let user = self.ask("POST", "/v1/auth/register", Some(person), 201);
        self.expect("the registered name", &user["username"], &name.into());
        let wrong = json!({ "username": name, "password": "not-the-password" });
        self.ask("POST", "/v1/auth/login", Some(wrong), 401);
        let right = json!({ "username": name, "password": PASSWORD });
        let tokens = self.ask("POST", "/v1/auth/login", Some(right), 200);
        self.token = tokens["access_token"].as_str().map(str::to_owned);
        let me = self.ask("GET", "/v1/me", None, 200);
        self.expect("one's own name", &me["username"], &name.into());
        tokens["refresh_token"].clone()
    }

    fn tasks(&mut self) {
        let new = json!({ "title": "Buy milk", "priority": "high", "labels": ["shop"] });
        let made = self.ask("POST", "/v1/tasks", Some(new), 201);
        self.expect("a new task's state", &made["status"], &"todo".into());
        let id = made["id"].clone();
        let path = format!("/v1/tasks/{}", id.as_str().unwrap_or("none"));
        let read = self.ask("GET", &path, None, 200);
        self.expect("a task that is read", &read["title"], &"Buy milk".into());
        self.expect("its labels", &read["labels"], &json!(["shop"]));
        let changes = json!({ "title": "Buy oat milk", "priority": "low" });
        let changed = self.ask("PATCH", &path, Some(changes), 200);
        self.expect(
            "a title that was changed",
            &changed["title"],
            &"Buy oat milk".into(),
        );
        let complete = format!("{path}/complete");
        let done = self.ask("POST", &complete, None, 200);
        self.expect("a completed task's state", &done["status"], &"done".into());
        let again = self.ask("POST", &format!("{path}/reopen"), None, 200);
        self.expect("a reopened task's state", &again["status"], &"todo".into());
        let listed = self.ask("GET", "/v1/tasks?limit=20", None, 200);
        self.expect("the list", &listed["data"][0]["id"], &id);
        self.ask("GET", "/v1/tasks/count", None, 200);
        self.ask("DELETE", &path, None, 204);
        self.ask("GET", &path, None, 404);
        let empty = self.ask("GET", "/v1/tasks?limit=20", None, 200);
        self.expect("the list without it", &empty["data"], &json!([]));
        let restored = self.ask("POST", &format!("{path}/restore"), None, 200);
        self.expect("a restored task", &restored["id"], &id);
    }

    fn sessions(&mut self, refresh: Value) {
        self.ask("GET", "/v1/sessions", None, 200);
        let token = json!({ "refresh_token": refresh });
        let tokens = self.ask("POST", "/v1/auth/refresh", Some(token), 200);
        self.token = tokens["access_token"].as_str().map(str::to_owned);
        self.ask("POST", "/v1/auth/logout", None, 204);
    }
}
