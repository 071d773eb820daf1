//! Where everything is, for people and, in `target/dev/endpoints.json`, for scripts.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::{
    ports::Ports,
    state::{self, State},
    user,
};
use crate::{checkout::Checkout, progress, servers::redis, shell};

#[derive(Deserialize, Serialize)]
pub(super) struct Endpoints {
    pub(super) api: String,
    docs: String,
    /// The operator's page.
    jobs: String,
    metrics: String,
    pub(super) postgres: String,
    pub(super) redis: String,
    /// Which of the two that is.
    redis_name: redis::Name,
    /// The folder of captured e-mails.
    mail: PathBuf,
}

/// The file, while it may be there.
pub(super) struct Published(PathBuf);

impl Drop for Published {
    fn drop(&mut self) {
        drop(fs::remove_file(&self.0));
    }
}

impl Endpoints {
    pub(super) fn new(
        state: &State,
        ports: &Ports,
        postgres: String,
        (redis_name, redis): (redis::Name, String),
    ) -> Self {
        let api = format!("http://127.0.0.1:{}", ports.api);
        Self {
            docs: format!("{api}/docs"),
            jobs: format!("{api}/admin/jobs"),
            metrics: format!("http://127.0.0.1:{}/metrics", ports.api_metrics),
            api,
            postgres,
            redis,
            redis_name,
            mail: state.mail(),
        }
    }

    /// Writes the file in one move, so that who finds it finds all of it.
    pub(super) fn publish(&self, state: &State) -> anyhow::Result<Published> {
        let file = state.endpoints();
        let draft = file.with_extension("draft");
        fs::write(&draft, serde_json::to_string_pretty(self)? + "\n")?;
        fs::rename(&draft, &file)?;
        Ok(Published(file))
    }

    /// The URLs and a first request.
    pub(super) fn say(&self, state: &State) {
        progress::say(self.table());
        progress::say(format_args!(
            "  signed in   {} with the password {}\n\n{}\n\nCtrl-C stops everything. `--reset` starts anew.\n",
            user::NAME,
            user::PASSWORD,
            first_request(&self.api, &shortened(&state.token()))
        ));
    }

    fn table(&self) -> String {
        format!(
            "\n  API         {}\n  docs        {}\n  jobs        {}\n  metrics     {}\n  PostgreSQL  {}\n  {:<10}  {}\n  mail        {}",
            self.api,
            self.docs,
            self.jobs,
            self.metrics,
            self.postgres,
            self.redis_name,
            self.redis,
            shell::word(shortened(&self.mail))
        )
    }
}

/// To be pasted into a shell.
fn first_request(api: &str, token_file: &str) -> String {
    let token_file = shell::word(token_file);
    format!(
        "  curl {api}/v1/tasks -H \"Authorization: Bearer $(cat {token_file})\" \\\n    \
         -H 'Content-Type: application/json' -d '{{\"title\": \"Buy milk\"}}'"
    )
}

/// As seen from where the command was given, if it lies below.
fn shortened(path: &Path) -> String {
    let here = std::env::current_dir().unwrap_or_default();
    path.strip_prefix(here)
        .unwrap_or(path)
        .display()
        .to_string()
}

/// Of a running `dev`.
pub(super) fn published(checkout: &Checkout) -> Option<Endpoints> {
    let text = fs::read(state::folder(checkout).join("endpoints.json")).ok()?;
    serde_json::from_slice(&text).ok()
}

/// What a second run tells of the first.
pub(super) fn say_where_it_runs(checkout: &Checkout) {
    match published(checkout) {
        Some(endpoints) => progress::say(format_args!(
            "TaskHub runs from this checkout already:\n{}\n",
            endpoints.table()
        )),
        None => progress::say("TaskHub is being started from this checkout already."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_request_can_be_pasted() {
        assert_eq!(
            first_request("http://127.0.0.1:20000", "target/dev/token"),
            "  curl http://127.0.0.1:20000/v1/tasks -H \"Authorization: Bearer $(cat target/dev/token)\" \\\n    \
             -H 'Content-Type: application/json' -d '{\"title\": \"Buy milk\"}'"
        );
    }
}
