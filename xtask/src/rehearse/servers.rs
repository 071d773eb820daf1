//! PostgreSQL and Redis of a rehearsal, which may be taken away and come back.

use std::path::Path;

use anyhow::Context;

use super::{ports::Ports, rotation};
use crate::{
    checkout::Checkout,
    servers::{
        self, Source,
        postgres::{Data, Postgres, Purpose, start_throw_away},
        redis::{self, Redis},
    },
    signals::Signals,
};

/// The programs' database.
pub(super) const DATABASE: &str = "taskhub";

/// PostgreSQL and Redis, `None` while they are away.
pub(super) struct Servers {
    data: Data,
    postgres: Option<Postgres>,
    redis_program: redis::Program,
    redis_port: u16,
    pub(super) redis: Option<Redis>,
}

impl Servers {
    pub(super) fn start(
        checkout: &Checkout,
        folder: &Path,
        ports: &mut Ports,
        signals: &Signals,
    ) -> anyhow::Result<Self> {
        let found = servers::look_up(None, None, &checkout.packages(), signals)?;
        let (Source::Program(postgres), Source::Program(redis_program)) =
            (found.postgres, found.redis)
        else {
            anyhow::bail!("no server was given, and yet one is used");
        };
        let data = Data::place(checkout, &postgres, folder)?;
        let initdb = data.initialise()?;
        data.initialised(initdb, DATABASE, signals)?;
        data.admit(&rotation::rule())?;
        let postgres = start_throw_away(&data, signals)?;
        let mut servers = Self {
            data,
            postgres: Some(postgres),
            redis_program,
            redis_port: ports.next()?,
            redis: None,
        };
        servers.start_redis(folder, signals)?;
        Ok(servers)
    }

    pub(super) fn start_redis(&mut self, folder: &Path, signals: &Signals) -> anyhow::Result<()> {
        let program = &self.redis_program;
        let mut redis = Redis::spawn(program, folder, self.redis_port, Purpose::ThrowAway)?;
        redis.ready(signals)?;
        self.redis = Some(redis);
        Ok(())
    }

    pub(super) fn restart_postgres(&mut self, signals: &Signals) -> anyhow::Result<()> {
        let old = self.postgres.take().context("PostgreSQL runs")?;
        let port = old.port;
        drop(old);
        self.data.recover()?;
        let mut postgres = Postgres::spawn(&self.data, port, Purpose::ThrowAway)?;
        postgres.ready(&self.data, signals)?;
        self.postgres = Some(postgres);
        Ok(())
    }

    pub(super) fn redis_name(&self) -> redis::Name {
        self.redis_program.name
    }

    pub(super) fn redis_url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.redis_port)
    }

    /// The URL of a database.
    pub(super) fn database(&self, name: &str) -> String {
        let postgres = self.postgres.as_ref();
        postgres.map(|server| server.url(name)).unwrap_or_default()
    }
}
