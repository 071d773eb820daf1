//! A PostgreSQL and a Redis for a trial of the whole: they can be stopped and started again where they
//! were.

use std::path::Path;

use super::{
    Source,
    postgres::{Data, Postgres, Purpose, free_port},
    redis::{self, Redis},
};
use crate::{checkout::Checkout, signals::Signals};

/// Both servers. They stop when dropped.
pub(crate) struct Trial {
    data: Data,
    postgres_port: u16,
    pub(crate) postgres: Option<Postgres>,
    redis_program: redis::Program,
    redis_port: u16,
    pub(crate) redis: Option<Redis>,
    folder: std::path::PathBuf,
}

impl Trial {
    /// Starts both in `folder`, with an empty database `taskhub`, and waits until they answer.
    pub(crate) fn start(
        checkout: &Checkout,
        folder: &Path,
        signals: &Signals,
    ) -> anyhow::Result<Self> {
        let found = super::look_up(None, None, &checkout.packages(), signals)?;
        let (Source::Program(postgres), Source::Program(redis_program)) =
            (found.postgres, found.redis)
        else {
            anyhow::bail!("servers that were given must not be stopped");
        };
        let data = Data::place(checkout, &postgres, folder)?;
        let initdb = data.initialise()?;
        data.initialised(initdb, "taskhub", signals)?;
        let mut trial = Self {
            data,
            postgres_port: free_port()?,
            postgres: None,
            redis_program,
            redis_port: free_port()?,
            redis: None,
            folder: folder.to_owned(),
        };
        trial.start_postgres()?;
        trial.start_redis()?;
        trial.ready(signals)?;
        Ok(trial)
    }

    /// Does nothing where it runs; does not wait until it answers.
    pub(crate) fn start_postgres(&mut self) -> anyhow::Result<()> {
        if self.postgres.is_none() {
            self.data.recover()?;
            let postgres = Postgres::spawn(&self.data, self.postgres_port, Purpose::Trial)?;
            self.postgres = Some(postgres);
        }
        Ok(())
    }

    /// Does nothing where it runs; does not wait until it answers.
    pub(crate) fn start_redis(&mut self) -> anyhow::Result<()> {
        if self.redis.is_none() {
            let port = self.redis_port;
            let redis = Redis::spawn(&self.redis_program, &self.folder, port, Purpose::Trial)?;
            self.redis = Some(redis);
        }
        Ok(())
    }

    /// Waits until those that run answer.
    pub(crate) fn ready(&mut self, signals: &Signals) -> anyhow::Result<()> {
        if let Some(postgres) = &mut self.postgres {
            postgres.ready(&self.data, signals)?;
        }
        if let Some(redis) = &mut self.redis {
            redis.ready(signals)?;
        }
        Ok(())
    }

    pub(crate) fn redis_name(&self) -> redis::Name {
        self.redis_program.name
    }

    pub(crate) fn postgres_port(&self) -> u16 {
        self.postgres_port
    }

    pub(crate) fn redis_port(&self) -> u16 {
        self.redis_port
    }

    pub(crate) fn database_url(&self) -> String {
        database_url(self.postgres_port)
    }

    pub(crate) fn redis_url(&self) -> String {
        redis_url(self.redis_port)
    }
}

/// The trial's database by way of that port.
pub(crate) fn database_url(port: u16) -> String {
    format!("postgres://postgres@127.0.0.1:{port}/taskhub")
}

/// Redis by way of that port.
pub(crate) fn redis_url(port: u16) -> String {
    format!("redis://127.0.0.1:{port}")
}
