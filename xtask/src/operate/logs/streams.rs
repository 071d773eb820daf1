//! Which streams a release's tasks write to. A stream is made when its task starts, and the name of the task says
//! nothing of its release.

use aws_sdk_cloudwatchlogs::{Client, types::OrderBy};
use chrono::{DateTime, Utc};

use crate::{
    aws::{
        account::Account,
        errors::{code, explained},
        releases, state,
    },
    exit::{Exit, Failed},
};

/// As many as one request may name.
pub(super) const AT_ONCE: usize = 100;

/// As far as the ledger is looked through.
const FAR: usize = 200;

/// CloudWatch may be so late, in milliseconds, to tell of a stream's last line.
const LATE: i64 = 86_400_000;

/// From the beginning of a release to that of the next one.
pub(super) struct Span {
    pub(super) start: DateTime<Utc>,
    end: Option<DateTime<Utc>>,
}

/// # Errors
/// [`Exit::Refused`] where the ledger does not know the release.
pub(super) async fn span(account: &Account, id: &str) -> anyhow::Result<Span> {
    let bucket = state::bucket(account).await?;
    let mut next = None;
    for release in releases::newest(account, &bucket, FAR).await? {
        if release.id == id {
            return Ok(Span {
                start: release.started,
                end: next,
            });
        }
        next = Some(release.started);
    }
    let name = account.environment().name;
    Err(Failed::because(
        Exit::Refused,
        format!("there is no release {id}: `cargo xtask releases --env {name}` lists them"),
    ))
}

/// The streams whose tasks started within the span.
///
/// # Errors
/// Where AWS does not say.
pub(super) async fn started_in(
    account: &Account,
    group: &str,
    span: &Span,
) -> anyhow::Result<Vec<String>> {
    let start = span.start.timestamp_millis();
    let end = span.end.map_or(i64::MAX, |end| end.timestamp_millis());
    let mut found = Vec::new();
    let mut pages = Client::new(&account.config)
        .describe_log_streams()
        .log_group_name(group)
        .order_by(OrderBy::LastEventTime)
        .descending(true)
        .into_paginator()
        .send();
    while let Some(page) = pages.next().await {
        let page = match page {
            Ok(page) => page,
            Err(error) if code(&error) == "ResourceNotFoundException" => break,
            Err(error) => return Err(explained(&format!("listing the streams of {group}"), error)),
        };
        let mut is_over = false;
        for stream in page.log_streams.unwrap_or_default() {
            // Those that follow have ended before, too.
            is_over |= stream
                .last_event_timestamp
                .is_some_and(|last| last < start - LATE);
            let made = stream.creation_time.unwrap_or_default();
            if (start..end).contains(&made) {
                found.extend(stream.log_stream_name);
            }
        }
        if is_over {
            break;
        }
    }
    Ok(found)
}
