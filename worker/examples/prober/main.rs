//! Enqueues probes and tells what became of them, for `cargo xtask chaos` and `cargo xtask bench`.
//!
//! Each line on stdin is an [`Order`] in JSON, each line on stdout the answer to one, in the same
//! sequence. An order that fails, or takes longer than a moment, is answered too: what it came to is
//! part of the record.

mod facts;
mod orders;

use std::{
    io::{BufRead, Write},
    time::Duration,
};

use clap::Parser;
use secrecy::SecretString;
use serde_json::{Value, json};
use sqlx::{Connection, PgConnection, postgres::PgConnectOptions};
use taskhub::database;
use tokio::time::timeout;

use crate::orders::Order;

/// What a connection may take before the database counts as away.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);

#[derive(Parser)]
struct Arguments {
    /// Where the jobs are
    database_url: SecretString,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let options = database::connect_options(&arguments.database_url, "prober")?
        .options([("statement_timeout", "0")]);
    let mut prober = Prober { options, db: None };
    // Nothing else is to be done while a line is waited for.
    for line in std::io::stdin().lock().lines() {
        let order: Order = serde_json::from_str(&line?)?;
        let answer = prober.carry_out(order).await;
        writeln!(std::io::stdout(), "{answer}")?;
    }
    Ok(())
}

struct Prober {
    options: PgConnectOptions,
    /// None before the first order and after one that failed, which leaves a connection in doubt.
    db: Option<PgConnection>,
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
        match timeout(order.limit(), order.carry_out(&self.options, &mut db)).await {
            Ok(Ok(answer)) => {
                self.db = Some(db);
                answer
            }
            Ok(Err(failure)) => failure.answer(),
            Err(_) => json!({ "outcome": "unknown", "error": "no answer" }),
        }
    }
}
