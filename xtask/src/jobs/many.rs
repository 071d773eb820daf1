//! Orders about all jobs that fit a filter.

use std::process::ExitCode;

use serde_json::{Value, json};

use super::{Output, api::Api};
use crate::progress;

/// Which jobs are meant: those that fit everything that is given.
#[derive(clap::Args)]
pub(super) struct Filter {
    /// Jobs of this kind, such as `welcome_email`
    #[arg(long)]
    kind: Option<String>,
    /// Jobs in this queue
    #[arg(long)]
    queue: Option<String>,
    /// Jobs of this person: a username or a user's id
    #[arg(long)]
    user: Option<String>,
    /// Jobs whose arguments hold this text, such as an e-mail address
    #[arg(long, value_name = "TEXT")]
    args: Option<String>,
    /// Jobs whose last error holds this text
    #[arg(long, value_name = "TEXT")]
    error: Option<String>,
    /// Jobs enqueued at this time or later, such as 2026-12-01T08:00:00Z
    #[arg(long, value_name = "TIME")]
    created_after: Option<String>,
    /// Jobs enqueued before this time
    #[arg(long, value_name = "TIME")]
    created_before: Option<String>,
}

/// As the API calls them; none where it was not given.
pub(super) type Parameters = Vec<(&'static str, Option<String>)>;

impl Filter {
    pub(super) fn parameters(&self) -> Parameters {
        vec![
            ("kind", self.kind.clone()),
            ("queue", self.queue.clone()),
            ("user", self.user.clone()),
            ("args", self.args.clone()),
            ("error", self.error.clone()),
            ("created_after", self.created_after.clone()),
            ("created_before", self.created_before.clone()),
        ]
    }
}

pub(super) fn is_given(parameters: &Parameters) -> bool {
    parameters.iter().any(|(_, value)| value.is_some())
}

#[derive(Clone, Copy)]
pub(super) enum Order {
    Retry,
    Cancel,
}

impl Order {
    fn path(self) -> &'static str {
        match self {
            Self::Retry => "/v1/admin/jobs/retry",
            Self::Cancel => "/v1/admin/jobs/cancel",
        }
    }

    /// The field that tells how many were changed.
    fn field(self) -> &'static str {
        match self {
            Self::Retry => "retried",
            Self::Cancel => "cancelled",
        }
    }

    fn text(self, sum: &Value, dry_run: bool) -> String {
        let (matched, changed) = (&sum["matched"], &sum[self.field()]);
        match (self, dry_run) {
            (_, true) => format!("jobs that fit: {matched}; none was changed\n"),
            (Self::Retry, false) => format!("jobs that fit: {matched}, tried again: {changed}\n"),
            (Self::Cancel, false) => format!("jobs that fit: {matched}, cancelled: {changed}\n"),
        }
    }
}

/// Repeats the order until the API has looked at all jobs, and writes the sums.
pub(super) fn run(
    api: &mut Api,
    output: &Output,
    order: Order,
    parameters: &Parameters,
    dry_run: bool,
) -> anyhow::Result<ExitCode> {
    let mut body = json!({ "dry_run": dry_run });
    for (name, value) in parameters {
        if let Some(value) = value {
            body[*name] = json!(value);
        }
    }
    let (mut matched, mut changed) = (0, 0);
    loop {
        let answer = api.post(order.path(), Some(&body))?;
        let number = |field: &str| answer[field].as_i64().unwrap_or_default();
        matched += number("matched");
        changed += number(order.field());
        let Some(cursor) = answer["next_cursor"].as_str() else {
            break;
        };
        progress::say(format_args!("{matched} jobs fit so far, {changed} changed"));
        body["cursor"] = json!(cursor);
    }
    let sum = json!({ "matched": matched, order.field(): changed });
    output.write(&sum, |sum| order.text(sum, dry_run));
    Ok(ExitCode::SUCCESS)
}

/// What clap cannot tell.
pub(super) fn wrong_arguments(reason: &str) -> ExitCode {
    progress::failure(&anyhow::anyhow!("{reason}; see --help"));
    ExitCode::from(2)
}
