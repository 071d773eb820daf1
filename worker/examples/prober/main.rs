//! Enqueues probes and tells what became of them, for `cargo xtask chaos` and `cargo xtask bench`.
//!
//! Each line on stdin is an [`Order`] in JSON, each line on stdout the answer to one, in the same
//! sequence. An order that fails, or takes longer than a moment, is answered too: what it came to is
//! part of the record.

mod facts;
mod orders;

use std::{
    io::{BufRead, Write},
    thread,
    time::Duration,
};

use clap::Parser;
use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use sqlx::{Connection, PgConnection, postgres::PgConnectOptions};
use taskhub::{
    database,
    queue::{self, Doorbell, Keys},
};
use tokio::{sync::mpsc, time::timeout};

use crate::orders::Order;

/// What a connection may take before the database counts as away.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);

#[derive(Parser)]
struct Arguments {
    /// Where the jobs are
    database_url: SecretString,
    /// Where workers hear of them
    redis_url: SecretString,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let options = database::connect_options(&arguments.database_url, "prober")?
        .options([("statement_timeout", "0")]);
    let redis = redis::Client::open(arguments.redis_url.expose_secret())?;
    let redis = ConnectionManager::new_lazy_with_config(redis, ConnectionManagerConfig::new())?;
    let mut prober = Prober {
        options,
        db: None,
        bell: Doorbell::new(redis, &Keys::new("", queue::DEFAULT)),
    };
    let mut lines = lines();
    while let Some(line) = lines.recv().await {
        let order: Order = serde_json::from_str(&line)?;
        let answer = prober.carry_out(order).await;
        writeln!(std::io::stdout(), "{answer}")?;
    }
    Ok(())
}

/// Of stdin, read by a thread of its own because the bell rings meanwhile.
fn lines() -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel(1);
    thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            if sender.blocking_send(line).is_err() {
                return;
            }
        }
    });
    receiver
}

struct Prober {
    options: PgConnectOptions,
    /// None before the first order and after one that failed, which leaves a connection in doubt.
    db: Option<PgConnection>,
    bell: Doorbell,
}

impl Prober {
    async fn carry_out(&mut self, order: Order) -> Value {
        let connected = async {
            match self.db.take() {
                Some(db) => anyhow::Ok(db),
                None => {
                    let connect = PgConnection::connect_with(&self.options);
                    Ok(timeout(CONNECT_LIMIT, connect).await??)
                }
            }
        };
        let mut db = match connected.await {
            Ok(db) => db,
            Err(error) => {
                return json!({ "outcome": "failed", "error": format!("{error:#}") });
            }
        };
        let rings = order.rings();
        match timeout(order.limit(), order.carry_out(&self.options, &mut db)).await {
            Ok(Ok(answer)) => {
                self.db = Some(db);
                if rings {
                    self.bell.ring();
                }
                answer
            }
            Ok(Err(failure)) => failure.answer(),
            Err(_) => json!({ "outcome": "unknown", "error": "no answer" }),
        }
    }
}
