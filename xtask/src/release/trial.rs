//! A release of both versions' real programs on real servers: which of them fit which schema, and what waits while
//! the schema changes under load.

use std::{
    fs,
    path::Path,
    process::Stdio,
    time::{Duration, Instant},
};

use anyhow::Context;
use nix::sys::signal::Signal;
use serde::{Deserialize, Serialize};

use super::{
    Gate, conversation,
    migrations::{FOLDER, Migration},
    programs::{Kind, Place, Programs, Running, Started},
};
use crate::{
    launch::{self, Identity},
    process::Process,
    progress::Step,
    rehearse::{
        load::{Load, Log, Phase, Plan},
        ports::Ports,
        users,
    },
    run_folder::RunFolder,
    servers::{
        self, Source,
        postgres::{Data, Postgres, Purpose, start_throw_away},
        redis::Redis,
    },
};

/// Nobody may be kept waiting for longer.
pub(super) const LONGEST: Duration = Duration::from_secs(1);

/// Tasks, changes and jobs, of each so many.
const ROWS: u32 = 100_000;

/// Requests per second while the schema changes.
const RATE: u32 = 100;

/// Before the schema changes, and after.
const QUIET: Duration = Duration::from_secs(3);

/// What was seen.
#[derive(Debug, Default, Serialize)]
pub(super) struct Seen {
    /// Requests of conversations, each with one pair of programs on one schema.
    pub(super) requests: u32,
    /// What the new programs do before the schema is theirs.
    pub(super) new_on_old: String,
    /// Why the old ones cannot be started after that, if so.
    pub(super) old_refused: Option<String>,
    pub(super) migrations: Vec<Applied>,
    pub(super) load: Measured,
    /// Everything that was not as it must be.
    pub(super) wrong: Vec<String>,
}

#[derive(Debug, Deserialize, Serialize)]
pub(super) struct Applied {
    pub(super) version: i64,
    pub(super) seconds: f64,
    pub(super) locks: Vec<Lock>,
}

/// As the trial program says.
#[derive(Debug, Deserialize, Serialize)]
pub(super) struct Lock {
    pub(super) relation: String,
    pub(super) mode: String,
    pub(super) seconds: f64,
}

/// What users of the old programs saw.
#[derive(Debug, Default, Serialize)]
pub(super) struct Measured {
    pub(super) rows: u32,
    pub(super) requests: u64,
    pub(super) failed: u64,
    /// The slowest answer before the schema began to change, and from then on.
    pub(super) slowest_before_ms: f64,
    pub(super) slowest_ms: f64,
}

#[derive(Deserialize)]
struct Done {
    migrations: Vec<Applied>,
    error: Option<String>,
}

/// Servers of a trial. They stop when dropped.
struct Stage<'a> {
    gate: &'a Gate<'a>,
    programs: Programs,
    place: Place<'a>,
    conversations: u32,
    seen: Seen,
    _postgres: Postgres,
    _redis: Redis,
}

/// Tries the programs of both releases with the migrations of both.
///
/// # Errors
/// Where it cannot be tried: what is wrong with a release is in [`Seen::wrong`].
pub(super) fn run(
    gate: &Gate<'_>,
    folder: &RunFolder,
    programs: Programs,
    (old, new): (&[Migration], &[Migration]),
) -> anyhow::Result<Seen> {
    let mut stage = Stage::prepare(gate, folder, programs)?;
    let step = Step::start();
    stage.migrate("old-schema", old)?;
    let (api, worker) = stage.old_programs()?;
    step.done("the old programs serve on the old schema");

    let step = Step::start();
    stage.new_on_old()?;
    step.done(format_args!(
        "new programs on the old schema: {}",
        stage.seen.new_on_old
    ));

    let step = Step::start();
    stage.under_load(&api, new)?;
    step.done(format_args!(
        "migrated {ROWS} rows under load: {} requests, {} failed, the slowest took {:.0} ms",
        stage.seen.load.requests, stage.seen.load.failed, stage.seen.load.slowest_ms
    ));

    let step = Step::start();
    stage.together(api, worker)?;
    stage.back()?;
    step.done(match &stage.seen.old_refused {
        None => "old programs can be started on the new schema".to_owned(),
        Some(why) => format!("old programs refuse the new schema: {why}"),
    });
    Ok(stage.seen)
}

impl<'a> Stage<'a> {
    fn prepare(gate: &'a Gate<'a>, folder: &RunFolder, programs: Programs) -> anyhow::Result<Self> {
        let mut ports = Ports::take()?;
        let found = servers::look_up(None, None, &gate.checkout.packages(), gate.signals)?;
        let (Source::Program(postgres), Source::Program(redis)) = (found.postgres, found.redis)
        else {
            anyhow::bail!("no server was given, and yet one is used");
        };
        let data = Data::place(gate.checkout, &postgres, &folder.path)?;
        data.initialised(data.initialise()?, "taskhub", gate.signals)?;
        let postgres = start_throw_away(&data, gate.signals)?;
        let port = ports.next()?;
        let mut redis = Redis::spawn(&redis, &folder.path, port, Purpose::ThrowAway)?;
        redis.ready(gate.signals)?;
        let urls = (postgres.url("taskhub"), redis.url());
        let place = Place::new(folder.path.clone(), urls, ports, gate.signals);
        fs::create_dir_all(place.mail())?;
        Ok(Self {
            gate,
            programs,
            place,
            conversations: 0,
            seen: Seen::default(),
            _postgres: postgres,
            _redis: redis,
        })
    }

    /// Runs the trial program to its end and gives what it writes.
    fn order(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let output = self.place.folder.join("order");
        let log = self.place.folder.join("order.log");
        let mut command = launch::command(&self.programs.trial, Identity::Own, Signal::SIGKILL);
        command
            .arg(&self.place.database_url)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(fs::File::create(&output)?)
            .stderr(fs::File::create(&log)?);
        let process = Process::spawn("migration_trial", command, Signal::SIGKILL)?;
        let status = process.finish(self.gate.signals)?;
        let said = fs::read_to_string(&log)?;
        anyhow::ensure!(status.success(), "{}: {}", arguments.join(" "), said.trim());
        Ok(fs::read_to_string(output)?)
    }

    /// Writes these migrations to a folder and applies those that are missing.
    fn migrate(&self, name: &str, migrations: &[Migration]) -> anyhow::Result<Vec<Applied>> {
        let folder = self.place.folder.join(name).join(FOLDER);
        fs::create_dir_all(&folder)?;
        for migration in migrations {
            fs::write(folder.join(&migration.name), &migration.text)?;
        }
        let folder = folder.to_str().context("a path that is no text")?;
        let done: Done = serde_json::from_str(&self.order(&["migrate", folder])?)?;
        match done.error {
            None => Ok(done.migrations),
            Some(error) => Err(super::NotApplied(error).into()),
        }
    }

    fn old_programs(&mut self) -> anyhow::Result<(Running, Running)> {
        let old = self.programs.old.clone();
        let mut start = |kind| match self.place.start(kind, &old)? {
            Started::Runs(running) => Ok(running),
            Started::Ended { why, .. } => {
                anyhow::bail!("the earlier release does not start on its own schema: {why}")
            }
        };
        let pair = (start(Kind::Api)?, start(Kind::Worker)?);
        self.talk(&pair.0, "the old programs on the old schema")?;
        Ok(pair)
    }

    /// Everything that somebody may ask of an API.
    fn talk(&mut self, api: &Running, who: &str) -> anyhow::Result<()> {
        self.conversations += 1;
        let name = format!("gate-{}", self.conversations);
        let mail = self.place.mail();
        let (sent, wrong) = conversation::hold(api.address, &name, &mail, self.gate.signals)?;
        self.seen.requests += sent;
        let wrong = wrong.into_iter().map(|what| format!("{who}: {what}"));
        self.seen.wrong.extend(wrong);
        Ok(())
    }

    /// Until the schema is theirs they either say so and end, or serve and are right.
    fn new_on_old(&mut self) -> anyhow::Result<()> {
        let new = self.programs.new.clone();
        let mut told = Vec::new();
        for kind in [Kind::Worker, Kind::Api] {
            let name = format!("{kind:?}").to_lowercase();
            match self.place.start(kind, &new)? {
                Started::Runs(running) => {
                    told.push(format!("the {name} serves"));
                    if kind == Kind::Api {
                        self.talk(&running, "the new API on the old schema")?;
                    }
                }
                Started::Ended { refused: true, .. } => {
                    told.push(format!("the {name} waits for the migration"));
                }
                Started::Ended { why, .. } => {
                    let wrong = format!("the new {name} crashes on the old schema: {why}");
                    told.push(wrong.clone());
                    self.seen.wrong.push(wrong);
                }
            }
        }
        self.seen.new_on_old = told.join(", ");
        Ok(())
    }

    /// The schema changes while the old programs serve on tables that are not small.
    fn under_load(&mut self, api: &Running, new: &[Migration]) -> anyhow::Result<()> {
        let plan = Plan {
            address: api.address,
            users: users::sign_in(api.address)?,
            rate: RATE,
            slow: None,
            begun: Instant::now(),
        };
        self.order(&["seed", &ROWS.to_string()])?;
        let load = Load::start(plan);
        load.phase(Phase::Before);
        self.gate.pause(QUIET)?;
        load.phase(Phase::During);
        let applied = self.migrate("new-schema", new);
        load.phase(Phase::After);
        self.gate.pause(QUIET)?;
        let answered = load.answered();
        let (logs, failures) = load.stop();
        self.seen.migrations = applied?;
        for failure in failures.iter().take(5) {
            self.seen.wrong.push(format!(
                "the old programs while the schema changed: {}: {}",
                failure.request, failure.what
            ));
        }
        self.seen.load = Measured {
            rows: ROWS,
            requests: answered,
            failed: logs.iter().flat_map(|log| log.failed).sum(),
            slowest_before_ms: slowest(&logs, &[Phase::Before]),
            slowest_ms: slowest(&logs, &[Phase::During, Phase::After]),
        };
        Ok(())
    }

    /// As while a release rolls: old and new beside each other.
    fn together(&mut self, old_api: Running, old_worker: Running) -> anyhow::Result<()> {
        self.talk(
            &old_api,
            "the old programs, which the migration found running",
        )?;
        let new = self.programs.new.clone();
        let Some(new_api) = self.start_new(Kind::Api, &new)? else {
            return Ok(());
        };
        self.talk(&new_api, "the new API with the old worker")?;
        drop(old_worker);
        let Some(_new_worker) = self.start_new(Kind::Worker, &new)? else {
            return Ok(());
        };
        self.talk(&old_api, "the old API with the new worker")?;
        drop(old_api);
        self.talk(&new_api, "the new programs on the new schema")
    }

    fn start_new(&mut self, kind: Kind, binaries: &Path) -> anyhow::Result<Option<Running>> {
        match self.place.start(kind, binaries)? {
            Started::Runs(running) => Ok(Some(running)),
            Started::Ended { why, .. } => {
                self.seen.wrong.push(format!(
                    "the new {kind:?} does not start on its own schema: {why}"
                ));
                Ok(None)
            }
        }
    }

    /// As after a rollback: the old programs are started on a schema that has gone on.
    fn back(&mut self) -> anyhow::Result<()> {
        let old = self.programs.old.clone();
        let mut running = Vec::new();
        for kind in [Kind::Api, Kind::Worker] {
            match self.place.start(kind, &old)? {
                Started::Runs(program) => running.push(program),
                Started::Ended { refused, why } => {
                    if !refused {
                        self.seen
                            .wrong
                            .push(format!("the old {kind:?} crashes on the new schema: {why}"));
                    }
                    self.seen.old_refused = Some(why);
                    return Ok(());
                }
            }
        }
        let api = running.remove(0);
        self.talk(&api, "the old programs, started on the new schema")
    }
}

/// In milliseconds.
fn slowest(logs: &[Log], phases: &[Phase]) -> f64 {
    let of_them = phases
        .iter()
        .flat_map(|phase| logs.iter().flat_map(|log| &log.latencies[*phase as usize]));
    f64::from(of_them.copied().max().unwrap_or(0)) / 1000.0
}
