//! What a rehearsal stands on: private servers, the load balancer, the programs and their settings.

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use super::{
    balancer::Balancer,
    faults::{Ending, Fault},
    journal::Journal,
    load::{Load, Phase},
    ports::Ports,
    programs::Binaries,
    rendered::{self, Rendered, Speed},
    rotation::Secrets,
    servers::Servers,
};
use crate::{checkout::Checkout, contract::Task as Kind, servers::haproxy, signals::Signals};

/// Between two looks at everything.
const TICK: Duration = Duration::from_millis(50);

/// Between two lines about how it stands.
const SUMMARY: Duration = Duration::from_secs(10);

/// For connections that broke with the database to be made again.
const RECOVERY: f64 = 3.0;

/// What is rehearsed, and how.
pub(super) struct Script {
    pub(super) rendered: Rendered,
    pub(super) speed: Speed,
    /// How long a new version is watched, in seconds.
    pub(super) bake: u32,
    pub(super) fault: Option<Fault>,
    /// Whether secrets come from a Secrets Manager.
    pub(super) drill: bool,
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
    pub(super) servers: Servers,
    /// Where they come from a Secrets Manager.
    pub(super) secrets: Option<Secrets>,
    tasks: u32,
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
            drill,
            binaries,
            journal,
        } = script;
        let mut ports = Ports::take()?;
        let haproxy = haproxy::program(&checkout.packages(), signals)?;
        let servers = Servers::start(checkout, folder, &mut ports, signals)?;
        let balancer = Balancer::start(&haproxy, folder, &mut ports, &rendered, speed, signals)?;
        let secrets = drill.then(|| {
            let database = servers.database(super::servers::DATABASE);
            Secrets::start(checkout, folder, &database, signals)
        });
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
            secrets: secrets.transpose()?,
            tasks: 0,
            summed_up: Instant::now(),
        };
        fs::create_dir_all(stage.mail())?;
        let ready = format!(
            "PostgreSQL, {} and HAProxy ready",
            stage.servers.redis_name()
        );
        stage.journal.step(ready);
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

    /// How long the API goes on accepting after SIGTERM.
    pub(super) fn drain(&self) -> Duration {
        let setting = self.rendered.api.environment.get("DRAIN_SECONDS");
        let seconds = setting
            .and_then(|text| text.parse().ok())
            .unwrap_or_default();
        Duration::from_secs(self.speed.seconds(seconds).into())
    }

    /// Where the worker leaves its letters.
    pub(super) fn mail(&self) -> PathBuf {
        self.folder.join("mail")
    }

    /// Whether the worker has sent a letter to the address.
    pub(super) fn has_mail_for(&self, address: &str) -> bool {
        let files = fs::read_dir(self.mail()).into_iter().flatten().flatten();
        files
            .filter_map(|file| fs::read_to_string(file.path()).ok())
            .any(|letter| letter.contains(address))
    }

    /// What happens to the servers as a deployment begins.
    pub(super) fn strike_at_the_start(&mut self) {
        if self.fault == Some(Fault::CacheDown) {
            self.servers.redis = None;
            let name = self.servers.redis_name();
            self.journal.fault(format!("{name} is killed"));
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
            let name = self.servers.redis_name();
            self.journal.fault(format!("{name} is back"));
        }
        Ok(())
    }
}
