//! What a rehearsal stands on: private servers, the load balancer, the programs and their settings.

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use super::{
    balancer::Balancer,
    faults::{Ending, Fault, Version},
    journal::Journal,
    load::{Load, Phase},
    ports::Ports,
    rendered::{self, Rendered, Speed},
    servers::{DATABASE, Servers},
};
use crate::{checkout::Checkout, contract::Task as Kind, servers::haproxy, signals::Signals};

/// Between two looks at everything.
const TICK: Duration = Duration::from_millis(50);

/// Between two lines about how it stands.
const SUMMARY: Duration = Duration::from_secs(10);

/// For connections that broke with the database to be made again.
const RECOVERY: f64 = 3.0;

/// Waits that the programs are told in whole seconds.
const SCALED: [&str; 4] = [
    "DRAIN_SECONDS",
    "REQUEST_TIMEOUT_SECONDS",
    "WORKER_GRACE_SECONDS",
    "JOB_LEASE_SECONDS",
];

/// Where the programs of both versions lie.
pub(super) struct Binaries {
    pub(super) old: PathBuf,
    pub(super) new: PathBuf,
}

impl Binaries {
    /// The program that a rendered command names.
    pub(super) fn program(&self, version: Version, command: &[String]) -> PathBuf {
        let folder = match version {
            Version::Old => &self.old,
            Version::New => &self.new,
        };
        folder.join(command.first().map(String::as_str).unwrap_or_default())
    }
}

/// What is rehearsed, and how.
pub(super) struct Script {
    pub(super) rendered: Rendered,
    pub(super) speed: Speed,
    /// How long a new version is watched, in seconds.
    pub(super) bake: u32,
    pub(super) fault: Option<Fault>,
    pub(super) binaries: Binaries,
    pub(super) journal: Journal,
}

pub(super) struct Stage<'a> {
    pub(super) signals: &'a Signals,
    pub(super) rendered: Rendered,
    pub(super) speed: Speed,
    pub(super) bake: u32,
    pub(super) fault: Option<Fault>,
    pub(super) folder: PathBuf,
    pub(super) binaries: Binaries,
    pub(super) journal: Journal,
    pub(super) ports: Ports,
    pub(super) balancer: Balancer,
    pub(super) load: Option<Load>,
    /// When the database was away, in seconds since the beginning.
    pub(super) outages: Vec<(f64, f64)>,
    servers: Servers,
    tasks: u32,
    letters: usize,
    summed_up: Instant,
}

impl<'a> Stage<'a> {
    pub(super) fn prepare(
        checkout: &Checkout,
        folder: &Path,
        script: Script,
        signals: &'a Signals,
    ) -> anyhow::Result<Self> {
        let Script {
            rendered,
            speed,
            bake,
            fault,
            binaries,
            journal,
        } = script;
        let mut ports = Ports::new();
        let haproxy = haproxy::program(&checkout.packages(), signals)?;
        let servers = Servers::start(checkout, folder, &mut ports, signals)?;
        let balancer = Balancer::start(&haproxy, folder, &mut ports, &rendered, speed, signals)?;
        let stage = Self {
            signals,
            rendered,
            speed,
            bake,
            fault,
            folder: folder.to_owned(),
            binaries,
            journal,
            ports,
            balancer,
            load: None,
            outages: Vec::new(),
            servers,
            tasks: 0,
            letters: 0,
            summed_up: Instant::now(),
        };
        fs::create_dir_all(stage.mail())?;
        stage.journal.step("PostgreSQL, Redis and HAProxy ready");
        Ok(stage)
    }

    /// Waits a moment.
    pub(super) fn pause(&mut self) -> anyhow::Result<()> {
        let until = Instant::now() + TICK;
        while Instant::now() < until {
            self.signals
                .wait(until.saturating_duration_since(Instant::now()))?;
        }
        if self.summed_up.elapsed() > SUMMARY {
            self.summed_up = Instant::now();
            if let Some(load) = &self.load {
                let (answered, failed) = (load.answered(), load.failed());
                self.journal
                    .step(format!("{answered} requests answered, {failed} failed"));
            }
        }
        Ok(())
    }

    pub(super) fn phase(&mut self, phase: Phase) {
        self.journal.phase = phase.name();
        if let Some(load) = &self.load {
            load.phase(phase);
        }
    }

    pub(super) fn service(&self, kind: Kind) -> &rendered::Service {
        match kind {
            Kind::Worker => &self.rendered.worker,
            Kind::Api | Kind::Migrate => &self.rendered.api,
        }
    }

    pub(super) fn next_number(&mut self) -> u32 {
        self.tasks += 1;
        self.tasks
    }

    pub(super) fn ending(&self) -> Ending {
        self.fault.map_or(Ending::DrainedFirst, Fault::ending)
    }

    pub(super) fn wrapper(&self, kind: Kind, version: Version) -> anyhow::Result<Option<PathBuf>> {
        match self.fault {
            Some(fault) => fault.wrapper(kind, version, self.speed, &self.folder),
            None => Ok(None),
        }
    }

    /// How long the API goes on accepting after SIGTERM.
    pub(super) fn drain(&self) -> Duration {
        let setting = self.rendered.api.environment.get("DRAIN_SECONDS");
        let seconds = setting
            .and_then(|text| text.parse().ok())
            .unwrap_or_default();
        Duration::from_secs(self.speed.seconds(seconds).into())
    }

    fn mail(&self) -> PathBuf {
        self.folder.join("mail")
    }

    /// Letters that the worker has sent.
    pub(super) fn sent(&self) -> usize {
        let files = fs::read_dir(self.mail()).into_iter().flatten().flatten();
        files
            .filter(|file| file.path().extension().is_some_and(|kind| kind == "eml"))
            .count()
    }

    /// The number of the next letter to wait for.
    pub(super) fn next_letter(&mut self) -> usize {
        self.letters += 1;
        self.letters
    }

    /// The rendered settings, with what a laptop has in place of an account: servers without TLS, secrets, no
    /// limits for the load.
    pub(super) fn environment(
        &self,
        kind: Kind,
        version: Version,
        port: u16,
        metrics: u16,
    ) -> Vec<(String, String)> {
        let rendered = match kind {
            Kind::Migrate => &self.rendered.migration.environment,
            Kind::Api | Kind::Worker => &self.service(kind).environment,
        };
        let mut environment = rendered.clone();
        for name in SCALED {
            if let Some(value) = environment.get_mut(name) {
                let seconds = value.parse().map(|seconds| self.speed.seconds(seconds));
                *value = seconds.unwrap_or_default().to_string();
            }
        }
        let mut set = |name: &str, value: String| environment.insert(name.to_owned(), value);
        set("APP_ENV", "development".to_owned());
        set("DATABASE_URL", self.database(kind, version));
        set(
            "REDIS_BROKER",
            format!("redis://127.0.0.1:{}", self.servers.redis_port),
        );
        set(
            "JWT_SECRET",
            "for-rehearsals-only-0123456789abcdef".to_owned(),
        );
        set("PUBLIC_URL", format!("http://{}", self.balancer.address));
        set("LISTEN_ADDRESS", format!("127.0.0.1:{port}"));
        set("METRICS_ADDRESS", format!("127.0.0.1:{metrics}"));
        set("MAIL_URL", format!("file://{}", self.mail().display()));
        // The load's people are there at once.
        set("BCRYPT_COST", "4".to_owned());
        // A rehearsal may take longer than a token lives.
        set("ACCESS_TOKEN_SECONDS", "86400".to_owned());
        for limit in [
            "READ",
            "WRITE",
            "LOGIN_ADDRESS",
            "LOGIN_ACCOUNT",
            "REGISTER",
        ] {
            set(&format!("RATE_LIMIT_{limit}"), "0".to_owned());
        }
        if let Some(name) = self.fault.and_then(|fault| fault.withheld(kind, version)) {
            environment.remove(name);
        }
        environment.into_iter().collect()
    }

    fn database(&self, kind: Kind, version: Version) -> String {
        let fails = self.fault == Some(Fault::MigrationFails);
        if fails && kind == Kind::Migrate && version == Version::New {
            return self.servers.database("nowhere");
        }
        self.servers.database(DATABASE)
    }

    /// What happens to the servers as a deployment begins.
    pub(super) fn strike_at_the_start(&mut self) {
        if self.fault == Some(Fault::CacheDown) {
            self.servers.redis = None;
            self.journal.fault("Redis is killed");
        }
    }

    /// What happens to them while the API rolls. Once.
    pub(super) fn strike_in_the_middle(&mut self) -> anyhow::Result<()> {
        if self.fault != Some(Fault::DatabaseRestarts) || !self.outages.is_empty() {
            return Ok(());
        }
        let begun = self.journal.begun;
        let start = begun.elapsed().as_secs_f64();
        self.journal.fault("PostgreSQL restarts");
        self.servers.restart_postgres(self.signals)?;
        self.journal.fault("PostgreSQL is back");
        self.outages
            .push((start, begun.elapsed().as_secs_f64() + RECOVERY));
        Ok(())
    }

    /// What was taken away comes back.
    pub(super) fn relent(&mut self) -> anyhow::Result<()> {
        if self.servers.redis.is_none() {
            let folder = self.folder.clone();
            self.servers.start_redis(&folder, self.signals)?;
            self.journal.fault("Redis is back");
        }
        Ok(())
    }
}
