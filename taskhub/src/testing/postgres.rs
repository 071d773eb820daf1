//! A PostgreSQL server of one test's own, which it may kill, restart and give a certificate.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::PathBuf,
    process::{Command, Stdio},
    time::Duration,
};

use nix::sys::signal::Signal;
use secrecy::SecretString;
use sqlx::{Connection, PgConnection};
use tempfile::TempDir;
use url::Url;

use super::{Process, free_port, variable, wait_for};
use crate::database;

/// Of the superuser `postgres`. The server asks for it.
const PASSWORD: &str = "only for tests";

const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Debug)]
pub struct Postgres {
    bin: PathBuf,
    folder: TempDir,
    port: u16,
    settings: Vec<String>,
    process: Option<Process>,
}

impl Postgres {
    /// Makes and starts a server that loses nothing it has acknowledged, however it ends.
    ///
    /// # Panics
    /// Where `TASKHUB_TEST_POSTGRES_BIN` names no folder with `initdb` and `postgres`, or the server
    /// does not answer.
    pub async fn start() -> Self {
        let mut postgres = Self::stopped();
        postgres.restart().await;
        postgres
    }

    /// The same with a certificate, as PEM, for TLS.
    ///
    /// # Panics
    /// As [`Postgres::start`].
    pub async fn start_with_certificate(certificate: &str, key: &str) -> Self {
        let mut postgres = Self::stopped();
        for (name, text, mode) in [
            ("server.crt", certificate, 0o644),
            ("server.key", key, 0o600),
        ] {
            let file = postgres.folder.path().join(name);
            fs::write(&file, text).expect("a file");
            fs::set_permissions(&file, fs::Permissions::from_mode(mode)).expect("its mode");
            let setting = if name == "server.crt" {
                "ssl_cert_file"
            } else {
                "ssl_key_file"
            };
            postgres
                .settings
                .push(format!("{setting}={}", file.display()));
        }
        postgres.settings.push("ssl=on".to_owned());
        postgres.restart().await;
        postgres
    }

    fn stopped() -> Self {
        let postgres = Self {
            bin: variable("TASKHUB_TEST_POSTGRES_BIN").into(),
            folder: tempfile::tempdir().expect("a directory"),
            port: free_port(),
            settings: Vec::new(),
            process: None,
        };
        postgres.initialise();
        postgres
    }

    fn initialise(&self) {
        let folder = self.folder.path();
        // For root the server runs as somebody else.
        fs::set_permissions(folder, fs::Permissions::from_mode(0o777)).expect("its mode");
        let password = folder.join("password");
        fs::write(&password, PASSWORD).expect("a file");
        let output = Command::new(self.bin.join("initdb"))
            .args([
                "--username=postgres",
                "--auth=scram-sha-256",
                "--locale=C",
                "-E",
                "UTF8",
            ])
            .arg(format!("--pwfile={}", password.display()))
            .arg("-D")
            .arg(folder.join("data"))
            .env("LC_ALL", "C")
            .output()
            .expect("initdb starts");
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }

    /// Of the database `postgres`, as the superuser, by the address that a certificate may name.
    ///
    /// # Panics
    /// Never: the URL is made of constants and a port.
    pub fn url(&self) -> Url {
        let url = format!("postgres://postgres@127.0.0.1:{}/postgres", self.port);
        let mut url = Url::parse(&url).expect("a URL");
        url.set_password(Some(PASSWORD)).expect("a URL with a host");
        url
    }

    /// Starts it again under the same address with all that it has acknowledged.
    ///
    /// # Panics
    /// Where it does not answer.
    pub async fn restart(&mut self) {
        self.kill();
        let mut command = Command::new(self.bin.join("postgres"));
        command.arg("-D").arg(self.folder.path().join("data"));
        let port = format!("port={}", self.port);
        let fixed = [
            "listen_addresses=127.0.0.1",
            "unix_socket_directories=",
            &port,
        ];
        for setting in fixed
            .into_iter()
            .chain(self.settings.iter().map(String::as_str))
        {
            command.args(["-c", setting]);
        }
        command
            .env("LC_ALL", "C")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        self.process = Some(Process::start(&mut command));
        let url = SecretString::from(String::from(self.url()));
        let options = database::connect_options(&url, "test").expect("a PostgreSQL URL");
        wait_for(
            "PostgreSQL answers",
            PATIENCE,
            async || match PgConnection::connect_with(&options).await {
                Ok(db) => db.close().await.is_ok(),
                Err(_) => false,
            },
        )
        .await;
    }

    /// Ends it as if the power had failed.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            // Its children end with it: the launcher or the server itself sees to that.
            process.signal(Signal::SIGQUIT);
            process.wait();
        }
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.kill();
    }
}
