//! The people whose requests the load is made of.

use std::{collections::HashSet, net::SocketAddr, time::Duration};

use anyhow::Context;
use serde_json::{Value, json};

use super::http::{Client, Request, Reuse};

const COUNT: u32 = 4;
const PASSWORD: &str = "purple-kettle-on-tuesday";

#[derive(Clone, Debug)]
pub(crate) struct User {
    pub(crate) token: String,
}

impl User {
    pub(crate) fn get(&self, path: String) -> Request {
        Request {
            method: "GET",
            path,
            token: Some(self.token.clone()),
            body: None,
            trickle: Duration::ZERO,
        }
    }

    /// The ids of all tasks of the user.
    fn tasks(&self, client: &mut Client) -> anyhow::Result<HashSet<String>> {
        let mut found = HashSet::new();
        let mut path = "/v1/tasks?limit=200".to_owned();
        loop {
            let answer = client.send(&self.get(path))?;
            anyhow::ensure!(answer.status == 200, "a list is answered {}", answer.status);
            let page = answer.json();
            let tasks = page["data"].as_array().into_iter().flatten();
            found.extend(tasks.filter_map(|task| Some(task["id"].as_str()?.to_owned())));
            match page["next_cursor"].as_str() {
                Some(cursor) => path = format!("/v1/tasks?limit=200&cursor={cursor}"),
                None => return Ok(found),
            }
        }
    }
}

/// Registers everybody through the load balancer and signs them in.
pub(crate) fn sign_in(address: SocketAddr) -> anyhow::Result<Vec<User>> {
    (0..COUNT)
        .map(|number| {
            let name = format!("load-{number}");
            register(address, &name, None)?;
            let credentials = json!({ "username": name, "password": PASSWORD });
            let answer = post(address, "/v1/auth/login", credentials, 200)?;
            let token = answer["access_token"].as_str();
            Ok(User {
                token: token.context("no access token")?.to_owned(),
            })
        })
        .collect()
}

/// With an address, to which the worker then sends a welcome.
pub(crate) fn register(address: SocketAddr, name: &str, email: Option<&str>) -> anyhow::Result<()> {
    let mut person = json!({ "username": name, "password": PASSWORD });
    if let Some(email) = email {
        person["email"] = email.into();
    }
    post(address, "/v1/auth/register", person, 201).map(|_| ())
}

/// How many tasks the API has acknowledged and does not list.
pub(crate) fn lost(
    address: SocketAddr,
    users: &[User],
    created: &[(usize, String)],
) -> anyhow::Result<usize> {
    let mut client = Client::new(address, Reuse::KeepAlive);
    let mut lost = 0;
    for (index, user) in users.iter().enumerate() {
        let found = user.tasks(&mut client)?;
        let mine = created.iter().filter(|(owner, _)| *owner == index);
        lost += mine.filter(|(_, id)| !found.contains(id)).count();
    }
    Ok(lost)
}

fn post(address: SocketAddr, path: &str, body: Value, expected: u16) -> anyhow::Result<Value> {
    let request = Request {
        method: "POST",
        path: path.to_owned(),
        token: None,
        body: Some(body),
        trickle: Duration::ZERO,
    };
    let answer = Client::new(address, Reuse::Fresh)
        .send(&request)
        .with_context(|| format!("no answer to POST {path}"))?;
    anyhow::ensure!(
        answer.status == expected,
        "POST {path} is answered {}: {}",
        answer.status,
        String::from_utf8_lossy(&answer.body)
    );
    Ok(answer.json())
}
