//! `cargo xtask jobs`: looks at the jobs of a running instance and steers them, through its API.

mod api;
mod many;
mod table;

use std::{fmt::Display, io::Write, process::ExitCode};

use serde_json::{Value, json};

use self::{
    api::Api,
    many::{Filter, Order},
};
use crate::progress;

/// How to get a token, and what the exit codes mean.
const TOKEN: &str = r#"A token, for users whom ADMIN_USERS of the instance names:
  export TASKHUB_TOKEN=$(curl -s "$URL/v1/auth/login" -H 'Content-Type: application/json' \
    -d '{"username": "ada", "password": "…", "scope": "admin"}' | jq -r .access_token)

Exit codes: 0 done, 1 refused or no answer, 2 wrong arguments."#;

/// List, show, retry, cancel, pause and count background jobs
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
    /// List jobs, the newest first
    #[command(after_help = "Examples:
  cargo xtask jobs list --state dead --kind welcome_email
  cargo xtask jobs list --user ada
  cargo xtask jobs list --args ada@example.com --created-after 2026-12-01T00:00:00Z")]
    List {
        #[arg(long)]
        state: Option<State>,
        #[command(flatten)]
        filter: Filter,
        /// Jobs that were done, given up or cancelled at this time or later
        #[arg(long, value_name = "TIME")]
        finished_after: Option<String>,
        /// Jobs that were done, given up or cancelled before this time
        #[arg(long, value_name = "TIME")]
        finished_before: Option<String>,
        /// How many at most
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
        limit: u32,
    },
    /// Show everything about one job
    #[command(after_help = "Example: cargo xtask jobs show 0f8c2a54-6a1b-4d0e-9b7c-3f1d2e4a5b6c")]
    Show { id: Id },
    /// Try dead or cancelled jobs again, by their ids or all that fit a filter
    #[command(after_help = "Examples:
  cargo xtask jobs retry 0f8c2a54-6a1b-4d0e-9b7c-3f1d2e4a5b6c
  cargo xtask jobs retry --dead --kind welcome_email
  cargo xtask jobs retry --dead --error 'connection refused' --finished-after 2026-12-01T08:00:00Z --dry-run")]
    Retry {
        ids: Vec<Id>,
        /// All dead jobs that fit the filter
        #[arg(long, conflicts_with_all = ["ids", "cancelled"])]
        dead: bool,
        /// All cancelled jobs that fit the filter
        #[arg(long, conflicts_with = "ids")]
        cancelled: bool,
        #[command(flatten)]
        filter: Filter,
        /// Jobs that were given up or cancelled at this time or later
        #[arg(long, value_name = "TIME")]
        finished_after: Option<String>,
        /// Jobs that were given up or cancelled before this time
        #[arg(long, value_name = "TIME")]
        finished_before: Option<String>,
        /// Only count the jobs that fit the filter
        #[arg(long, conflicts_with = "ids")]
        dry_run: bool,
    },
    /// Cancel jobs, by their ids or all waiting ones that fit a filter
    ///
    /// A job that waits is cancelled at once. The worker of a running one is asked to end it, which takes
    /// seconds.
    #[command(after_help = "Examples:
  cargo xtask jobs cancel 0f8c2a54-6a1b-4d0e-9b7c-3f1d2e4a5b6c
  cargo xtask jobs cancel --kind welcome_email --created-after 2026-12-01T08:00:00Z --dry-run")]
    Cancel {
        ids: Vec<Id>,
        /// With a filter: only jobs in this state [default: scheduled and ready]
        #[arg(long, conflicts_with = "ids")]
        state: Option<Cancellable>,
        #[command(flatten)]
        filter: Filter,
        /// Only count the jobs that fit the filter
        #[arg(long, conflicts_with = "ids")]
        dry_run: bool,
    },
    /// Let no job of a queue or kind begin until it is resumed
    ///
    /// It takes effect in all workers at once. Jobs that are running finish.
    #[command(
        after_help = "Example: cargo xtask jobs pause --kind welcome_email --reason 'the mail server is being moved'"
    )]
    Pause {
        #[command(flatten)]
        target: Target,
        /// Why, for the other operators
        #[arg(long)]
        reason: Option<String>,
    },
    /// Let the jobs of a paused queue or kind begin again
    #[command(after_help = "Example: cargo xtask jobs resume --kind welcome_email")]
    Resume {
        #[command(flatten)]
        target: Target,
    },
    /// Count jobs by queue and kind, and list pauses and rate limits
    #[command(after_help = "Example: cargo xtask jobs stats --json | jq '[.data[].dead] | add'")]
    Stats,
}

/// What is paused or resumed.
#[derive(clap::Args)]
#[group(required = true, multiple = false)]
struct Target {
    /// All jobs of this kind, such as `welcome_email`
    #[arg(long)]
    kind: Option<String>,
    /// All jobs of this queue, such as `default`
    #[arg(long)]
    queue: Option<String>,
}

impl Target {
    fn body(&self) -> Value {
        match (&self.kind, &self.queue) {
            (Some(kind), _) => json!({ "scope": "kind", "name": kind }),
            (None, queue) => json!({ "scope": "queue", "name": queue }),
        }
    }
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Cancellable {
    Scheduled,
    Ready,
    Running,
}

impl Cancellable {
    fn name(self) -> &'static str {
        match self {
            Self::Scheduled => "scheduled",
            Self::Ready => "ready",
            Self::Running => "running",
        }
    }
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

/// Whether it is unclear which jobs are meant, and how to say it.
fn mistake(verb: &Verb) -> Option<&'static str> {
    match verb {
        Verb::Retry {
            ids,
            dead,
            cancelled,
            filter,
            finished_after,
            finished_before,
            ..
        } => {
            let filtered = many::is_given(&filter.parameters())
                || finished_after.is_some()
                || finished_before.is_some();
            let by_ids = !ids.is_empty() && !filtered;
            (!by_ids && !dead && !cancelled).then_some(
                "either <IDS>, or --dead or --cancelled with a filter, says which jobs are tried again",
            )
        }
        Verb::Cancel { ids, filter, .. } => (many::is_given(&filter.parameters())
            != ids.is_empty())
        .then_some("either <IDS> or a filter such as --kind says which jobs are cancelled"),
        Verb::List { .. }
        | Verb::Show { .. }
        | Verb::Pause { .. }
        | Verb::Resume { .. }
        | Verb::Stats => None,
    }
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    if let Some(mistake) = mistake(&arguments.verb) {
        return Ok(many::wrong_arguments(mistake));
    }
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
            filter,
            finished_after,
            finished_before,
            limit,
        } => {
            let mut filters = filter.parameters();
            filters.extend([
                ("state", state.map(|state| state.to_string())),
                ("finished_after", finished_after.clone()),
                ("finished_before", finished_before.clone()),
            ]);
            let jobs = list(&mut api, &filters, usize::try_from(*limit)?)?;
            output.write(&json!({ "data": jobs }), |_| table::jobs(&jobs));
            Ok(ExitCode::SUCCESS)
        }
        Verb::Show { id } => {
            let job = api.get(&format!("/v1/admin/jobs/{}", id.0), &[])?;
            output.write(&job, table::job);
            Ok(ExitCode::SUCCESS)
        }
        Verb::Retry {
            ids,
            dead,
            cancelled,
            filter,
            finished_after,
            finished_before,
            dry_run,
        } => {
            let mut filters = filter.parameters();
            filters.extend([
                ("finished_after", finished_after.clone()),
                ("finished_before", finished_before.clone()),
            ]);
            if *dead || *cancelled {
                let state = if *cancelled { "cancelled" } else { "dead" };
                filters.push(("state", Some(state.to_owned())));
                return many::run(&mut api, &output, Order::Retry, &filters, *dry_run);
            }
            Ok(each(&mut api, &output, ids, "retry"))
        }
        Verb::Cancel {
            ids,
            state,
            filter,
            dry_run,
        } => {
            if !ids.is_empty() {
                return Ok(each(&mut api, &output, ids, "cancel"));
            }
            let mut filters = filter.parameters();
            filters.push(("state", state.map(|state| state.name().to_owned())));
            many::run(&mut api, &output, Order::Cancel, &filters, *dry_run)
        }
        Verb::Pause { target, reason } => {
            let mut body = target.body();
            if let Some(reason) = reason {
                body["reason"] = json!(reason);
            }
            let pauses = api.post("/v1/admin/jobs/pause", Some(&body))?;
            output.write(&pauses, |answer| table::pauses(&answer["data"]));
            Ok(ExitCode::SUCCESS)
        }
        Verb::Resume { target } => {
            let pauses = api.post("/v1/admin/jobs/resume", Some(&target.body()))?;
            output.write(&pauses, |answer| table::pauses(&answer["data"]));
            Ok(ExitCode::SUCCESS)
        }
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
