//! Secrets that change while a program runs: they are read again every few minutes, and at once where
//! PostgreSQL no longer takes the password.

use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use sqlx::{Connection, PgConnection, PgPool};
use tokio::time::{Instant, sleep, timeout};

use crate::{database, settings::Source};

/// Between two questions to PostgreSQL whether it still takes the password.
const PROBE_INTERVAL: Duration = Duration::from_secs(15);

/// For one question. A server that is slow or away has refused nothing.
const PROBE_TIMEOUT: Duration = Duration::from_secs(5);

/// Follows the secrets for one program, whose pools it keeps able to connect.
#[derive(Debug)]
pub struct Rotation {
    application: &'static str,
    database_url: SecretString,
    pools: Vec<PgPool>,
    refresh: Duration,
}

impl Rotation {
    /// `pools` connect with `database_url` under the name `application`; secrets are read again every
    /// `refresh`.
    pub fn new(
        application: &'static str,
        database_url: SecretString,
        pools: Vec<PgPool>,
        refresh: Duration,
    ) -> Self {
        Self {
            application,
            database_url,
            pools,
            refresh,
        }
    }

    /// Resolves with every value there is, once it is time to look at them again. Where they cannot be
    /// read, that is logged and tried again, and the program goes on with those it has.
    pub async fn next(&mut self) -> Source {
        loop {
            self.due().await;
            match Source::load().await {
                Ok(source) => return source,
                Err(failure) => {
                    tracing::warn!(%failure, "secrets were not read again; the former ones stay");
                }
            }
        }
    }

    /// Lets new connections use `url`, if it is another one and the database takes it.
    pub async fn take_database(&mut self, url: SecretString) {
        if url.expose_secret() == self.database_url.expose_secret() {
            return;
        }
        let connected = async {
            let options = database::connect_options(&url, self.application)?;
            let db = timeout(PROBE_TIMEOUT, PgConnection::connect_with(&options)).await??;
            db.close().await?;
            anyhow::Ok(options)
        };
        match connected.await {
            Ok(options) => {
                for pool in &self.pools {
                    pool.set_connect_options(options.clone());
                }
                self.database_url = url;
                tracing::info!("took a new DATABASE_URL");
            }
            Err(error) => tracing::warn!(
                %error,
                "a new DATABASE_URL does not work yet; the former one stays"
            ),
        }
    }

    /// Waits for the refresh, which a refused password brings forward.
    async fn due(&self) {
        // Processes that started together must not ask together for ever.
        let spread = self.refresh.mul_f64(random_fraction() / 5.0);
        let end = Instant::now() + self.refresh - spread;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            sleep(left.min(PROBE_INTERVAL)).await;
            if Instant::now() >= end || self.is_refused().await {
                return;
            }
        }
    }

    async fn is_refused(&self) -> bool {
        let Ok(options) = database::connect_options(&self.database_url, self.application) else {
            return false;
        };
        match timeout(PROBE_TIMEOUT, PgConnection::connect_with(&options)).await {
            Ok(Ok(db)) => {
                // Whether it says goodbye or not, it is gone.
                let _ = db.close().await;
                false
            }
            Ok(Err(error)) => {
                let code = error.as_database_error().and_then(|error| error.code());
                // Class 28, "invalid authorization".
                code.is_some_and(|code| code.starts_with("28"))
            }
            Err(_) => false,
        }
    }
}

fn random_fraction() -> f64 {
    let mut byte = [0];
    // Without randomness, nothing is spread.
    let _ = getrandom::fill(&mut byte);
    f64::from(byte[0]) / 256.0
}
