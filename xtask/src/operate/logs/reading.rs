//! Reading from several log groups, merged by time.

use std::{
    collections::{BTreeMap, VecDeque},
    io::Write,
    time::Duration,
};

use aws_sdk_cloudwatchlogs::{Client, types::FilteredLogEvent};
use chrono::{TimeDelta, Utc};
use tokio::time::sleep;

use super::{Arguments, lines::Line, streams};
use crate::{
    aws::{
        account::Account,
        errors::{code, explained},
        tasks,
    },
    contract::Task,
    exit::{Exit, Failed},
    render::platform::group,
};

/// Between two looks for new lines.
const LOOK: Duration = Duration::from_secs(2);

/// Without --since.
const RECENTLY: TimeDelta = TimeDelta::minutes(15);

/// How late a line may come to CloudWatch and still be seen while following, in milliseconds.
const LATE: i64 = 30_000;

/// # Errors
/// Where AWS does not answer, or standard output is closed.
pub(super) async fn read(arguments: &Arguments) -> anyhow::Result<()> {
    let account = Account::open(&arguments.access).await?;
    let released = match &arguments.release {
        Some(id) => Some(streams::span(&account, id).await?),
        None => None,
    };
    let since = match (arguments.since, &released) {
        (Some(since), _) => Utc::now() - since,
        (None, Some(span)) => span.start,
        (None, None) => Utc::now() - RECENTLY,
    };
    let mut from = since.timestamp_millis();
    let mut told = BTreeMap::new();
    loop {
        let mut sources = sources(&account, arguments, released.as_ref()).await?;
        while let Some(Event { id, line }) = next(&account, &mut sources, from).await? {
            if told.insert(id, line.at).is_none() {
                tell(arguments, &line)?;
            }
        }
        if !arguments.follow {
            return Ok(());
        }
        let last = told.values().max().copied().unwrap_or(from);
        from = from.max(last - LATE);
        told.retain(|_, at| *at >= from);
        sleep(LOOK).await;
    }
}

fn tell(arguments: &Arguments, line: &Line) -> anyhow::Result<()> {
    if arguments
        .level
        .is_some_and(|level| !line.is_as_grave_as(level))
    {
        return Ok(());
    }
    let text = if arguments.access.json {
        line.json()
    } else {
        line.readable()
    };
    let mut out = std::io::stdout().lock();
    writeln!(out, "{text}")?;
    out.flush()?;
    Ok(())
}

/// A line, and CloudWatch's name for it, which no other line has.
struct Event {
    id: String,
    line: Line,
}

/// A log group, or some of its streams, read page by page.
struct Source {
    task: Task,
    group: String,
    /// All of them where there is no list.
    streams: Option<Vec<String>>,
    pattern: Option<String>,
    page: VecDeque<Event>,
    token: Option<String>,
    has_ended: bool,
}

async fn sources(
    account: &Account,
    arguments: &Arguments,
    released: Option<&streams::Span>,
) -> anyhow::Result<Vec<Source>> {
    let mut sources = Vec::new();
    for task in Task::ALL {
        if arguments.service.is_some_and(|service| service != task) {
            continue;
        }
        let group = group(account.environment(), task);
        let lists = match released {
            None => vec![None],
            Some(span) => {
                let streams = streams::started_in(account, &group, span).await?;
                let chunks = streams.chunks(streams::AT_ONCE);
                chunks.map(|chunk| Some(chunk.to_vec())).collect()
            }
        };
        sources.extend(lists.into_iter().map(|streams| Source {
            task,
            group: group.clone(),
            streams,
            pattern: arguments.request_id.as_ref().map(|id| format!("\"{id}\"")),
            page: VecDeque::new(),
            token: None,
            has_ended: false,
        }));
    }
    Ok(sources)
}

/// The earliest line of all sources; each source is in order by itself.
async fn next(
    account: &Account,
    sources: &mut [Source],
    from: i64,
) -> anyhow::Result<Option<Event>> {
    for source in sources.iter_mut() {
        source.fill(account, from).await?;
    }
    let earliest = sources
        .iter_mut()
        .filter(|source| !source.page.is_empty())
        .min_by_key(|source| source.page.front().map(|event| event.line.at));
    Ok(earliest.and_then(|source| source.page.pop_front()))
}

impl Source {
    /// Until there is a line, or none comes any more. A page may be empty and yet not be the last.
    async fn fill(&mut self, account: &Account, from: i64) -> anyhow::Result<()> {
        while self.page.is_empty() && !self.has_ended {
            let answer = Client::new(&account.config)
                .filter_log_events()
                .log_group_name(&self.group)
                .set_log_stream_names(self.streams.clone())
                .set_filter_pattern(self.pattern.clone())
                .start_time(from)
                .set_next_token(self.token.take())
                .send()
                .await;
            let answer = match answer {
                Ok(answer) => answer,
                Err(error) if code(&error) == "ResourceNotFoundException" => {
                    let name = &self.group;
                    let why = format!("there is no log group {name}: deploy the platform stack");
                    return Err(Failed::because(Exit::Refused, why));
                }
                Err(error) => return Err(explained(&format!("reading {}", self.group), error)),
            };
            let events = answer.events.unwrap_or_default();
            self.page
                .extend(events.into_iter().map(|kept| event(self.task, kept)));
            self.token = answer.next_token;
            self.has_ended = self.token.is_none();
        }
        Ok(())
    }
}

fn event(task: Task, kept: FilteredLogEvent) -> Event {
    let stream = kept.log_stream_name.unwrap_or_default();
    let text = kept.message.unwrap_or_default();
    let at = kept.timestamp.unwrap_or_default();
    let id = kept.event_id;
    Event {
        id: id.unwrap_or_else(|| format!("{at} {stream} {text}")),
        line: Line {
            at,
            service: task.name(),
            task: tasks::short(&stream).to_owned(),
            text,
        },
    }
}
