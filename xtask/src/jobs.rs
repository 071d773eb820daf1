//! `cargo xtask jobs`: looks at the jobs of a running instance and steers them, through its API.

mod api;
mod table;

use std::{fmt::Display, io::Write, process::ExitCode};

use serde_json::{Value, json};

use self::api::Api;
use crate::progress;

/// How to get a token, and what the exit codes mean.
const TOKEN: &str = r#"A token, for users whom ADMIN_USERS of the instance names:
  export TASKHUB_TOKEN=$(curl -s "$URL/v1/auth/login" -H 'Content-Type: application/json' \
    -d '{"username": "ada", "password": "…", "scope": "admin"}' | jq -r .access_token)

Exit codes: 0 done, 1 refused or no answer, 2 wrong arguments."#;

/// List, show, retry, cancel and count background jobs
///
/// Of what `cargo xtask dev` runs from this checkout, or of any instance with `--url` and, in
/// `TASKHUB_TOKEN`, an access token with the scope `admin`.
///
/// Example: cargo xtask jobs list --state dead --limit 10
#[derive(clap::Args)]
#[command(
    verbatim_doc_comment,
    after_help = TOKEN
)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    verb: Verb,
    /// The instance, `https://HOST`
    #[arg(long, global = true)]
    url: Option<url::Url>,
    /// Write what the API answers
    #[arg(long, global = true)]
    json: bool,
}

#[derive(clap::Subcommand)]
enum Verb {
    /// The newest jobs first
    #[command(after_help = "Example: cargo xtask jobs list --state dead --kind welcome_email")]
    List {
        #[arg(long)]
        state: Option<State>,
        /// Such as `welcome_email`
        #[arg(long)]
        kind: Option<String>,
        #[arg(long)]
        queue: Option<String>,
        /// How many at most
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
        limit: u32,
    },
    /// All about one job
    #[command(after_help = "Example: cargo xtask jobs show 0f8c2a54-6a1b-4d0e-9b7c-3f1d2e4a5b6c")]
    Show { id: Id },
    /// Have jobs tried anew: dead or cancelled ones
    #[command(after_help = "Example: cargo xtask jobs retry --dead --kind welcome_email")]
    Retry {
        #[arg(required_unless_present = "dead")]
        ids: Vec<Id>,
        /// All dead ones
        #[arg(long, conflicts_with = "ids")]
        dead: bool,
        /// Of them, those of this kind
        #[arg(long, requires = "dead")]
        kind: Option<String>,
    },
    /// Cancel jobs that wait, or ask the worker of a running one to end it
    #[command(after_help = "Example: cargo xtask jobs cancel 0f8c2a54-6a1b-4d0e-9b7c-3f1d2e4a5b6c")]
    Cancel {
        #[arg(required = true)]
        ids: Vec<Id>,
    },
    /// What waits, runs and is dead, and how attempts ended lately
    #[command(after_help = "Example: cargo xtask jobs stats --json | jq '[.data[].dead] | add'")]
    Stats,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum State {
    Scheduled,
    Ready,
    Running,
    Done,
    Dead,
    Cancelled,
}

impl Display for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Scheduled => "scheduled",
            Self::Ready => "ready",
            Self::Running => "running",
            Self::Done => "done",
            Self::Dead => "dead",
            Self::Cancelled => "cancelled",
        })
    }
}

/// A job's id: a UUID, so that it can stand in a path.
#[derive(Clone)]
struct Id(String);

impl std::str::FromStr for Id {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let groups: Vec<usize> = text.split('-').map(str::len).collect();
        let hexadecimal = text
            .bytes()
            .all(|byte| byte == b'-' || byte.is_ascii_hexdigit());
        match hexadecimal && groups == [8, 4, 4, 4, 12] {
            true => Ok(Self(text.to_ascii_lowercase())),
            false => Err("a job's id looks like 0f8c2a54-6a1b-4d0e-9b7c-3f1d2e4a5b6c"),
        }
    }
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let mut api = match &arguments.url {
        Some(url) => Api::at(url)?,
        None => Api::of_dev()?,
    };
    let output = Output {
        json: arguments.json,
    };
    match &arguments.verb {
        Verb::List {
            state,
            kind,
            queue,
            limit,
        } => {
            let filters = [
                ("state", state.map(|state| state.to_string())),
                ("kind", kind.clone()),
                ("queue", queue.clone()),
            ];
            let jobs = list(&mut api, &filters, usize::try_from(*limit)?)?;
            output.write(&json!({ "data": jobs }), |_| table::jobs(&jobs));
            Ok(ExitCode::SUCCESS)
        }
        Verb::Show { id } => {
            let job = api.get(&format!("/v1/admin/jobs/{}", id.0), &[])?;
            output.write(&job, table::job);
            Ok(ExitCode::SUCCESS)
        }
        Verb::Retry { ids, dead, kind } => {
            if *dead {
                let body = kind
                    .as_ref()
                    .map_or_else(|| json!({}), |kind| json!({ "kind": kind }));
                let answer = api.post("/v1/admin/jobs/retry", Some(&body))?;
                output.write(&answer, |answer| {
                    format!("dead jobs that are tried anew: {}\n", answer["retried"])
                });
                return Ok(ExitCode::SUCCESS);
            }
            Ok(each(&mut api, &output, ids, "retry"))
        }
        Verb::Cancel { ids } => Ok(each(&mut api, &output, ids, "cancel")),
        Verb::Stats => {
            let stats = api.get("/v1/admin/jobs/stats", &[])?;
            output.write(&stats, table::stats);
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// Turns the pages until there are `limit`.
fn list(
    api: &mut Api,
    filters: &[(&str, Option<String>)],
    limit: usize,
) -> anyhow::Result<Vec<Value>> {
    let mut jobs: Vec<Value> = Vec::new();
    let mut cursor = None;
    loop {
        let size = (limit - jobs.len()).min(200).to_string();
        let mut query = vec![("limit", size)];
        query.extend(
            filters
                .iter()
                .filter_map(|(name, value)| Some((*name, value.clone()?))),
        );
        query.extend(cursor.map(|cursor| ("cursor", cursor)));
        let page = api.get("/v1/admin/jobs", &query)?;
        jobs.extend(page["data"].as_array().cloned().unwrap_or_default());
        cursor = page["next_cursor"].as_str().map(str::to_owned);
        if cursor.is_none() || jobs.len() >= limit {
            return Ok(jobs);
        }
    }
}

/// Does the same to each job, whatever becomes of the others.
fn each(api: &mut Api, output: &Output, ids: &[Id], order: &str) -> ExitCode {
    let mut code = ExitCode::SUCCESS;
    for Id(id) in ids {
        match api.post(&format!("/v1/admin/jobs/{id}/{order}"), None) {
            Ok(job) => output.write(&job, table::outcome),
            Err(error) => {
                progress::failure(&error.context(id.clone()));
                code = ExitCode::FAILURE;
            }
        }
    }
    code
}

/// What goes to stdout.
struct Output {
    json: bool,
}

impl Output {
    /// The answer itself, one line each, or what a person reads.
    fn write(&self, answer: &Value, text: impl FnOnce(&Value) -> String) {
        let text = if self.json {
            format!("{answer}\n")
        } else {
            text(answer)
        };
        // Whoever closed the pipe has seen enough.
        drop(std::io::stdout().write_all(text.as_bytes()));
    }
}
