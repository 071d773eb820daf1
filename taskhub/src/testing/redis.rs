//! A Redis server of one test's own, which it may stop, pause and empty.

use std::{
    net::TcpListener,
    path::PathBuf,
    process::{Command, Stdio},
    time::Duration,
};

use nix::sys::signal::Signal;
use tempfile::TempDir;

use super::{Process, variable_or, wait_for};

#[derive(Debug)]
pub struct Redis {
    program: PathBuf,
    directory: TempDir,
    port: u16,
    process: Option<Process>,
}

impl Redis {
    /// Runs the program that `TASKHUB_TEST_REDIS_SERVER` names, or else `redis-server`.
    ///
    /// # Panics
    /// Where there is none, or it does not answer.
    pub async fn start() -> Self {
        let mut redis = Self::stopped();
        redis.restart().await;
        redis
    }

    /// One that does not run yet.
    ///
    /// # Panics
    /// Where no port is free.
    pub fn stopped() -> Self {
        Self {
            program: variable_or("TASKHUB_TEST_REDIS_SERVER", "redis-server").into(),
            directory: tempfile::tempdir().expect("a directory"),
            port: free_port(),
            process: None,
        }
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Starts it where it was stopped, under the same address, with nothing in it.
    ///
    /// # Panics
    /// Where it does not answer.
    pub async fn restart(&mut self) {
        let mut command = Command::new(&self.program);
        command
            .args(["--bind", "127.0.0.1", "--port", &self.port.to_string()])
            .args(["--save", "", "--appendonly", "no", "--dir"])
            .arg(self.directory.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        self.process = Some(Process::start(&mut command));
        wait_for("Redis answers", Duration::from_secs(10), async || {
            self.command("PING").await.is_ok()
        })
        .await;
    }

    pub fn stop(&mut self) {
        self.process = None;
    }

    /// It accepts connections and answers nothing.
    ///
    /// # Panics
    /// Where it does not run.
    pub fn pause(&self) {
        self.process().signal(Signal::SIGSTOP);
    }

    /// # Panics
    /// Where it does not run.
    pub fn resume(&self) {
        self.process().signal(Signal::SIGCONT);
    }

    /// # Panics
    /// Where it does not answer.
    pub async fn flush(&self) {
        self.command("FLUSHALL").await.expect("Redis answers");
    }

    fn process(&self) -> &Process {
        self.process.as_ref().expect("it runs")
    }

    async fn command(&self, name: &str) -> redis::RedisResult<()> {
        let client = redis::Client::open(self.url())?;
        let mut connection = client.get_multiplexed_async_connection().await?;
        redis::cmd(name).query_async(&mut connection).await
    }
}

/// A port of this machine, outside the range from which the system gives ports to others, so that it
/// is still free after a stop.
///
/// # Panics
/// Where none is found.
pub fn free_port() -> u16 {
    // Tests that start together must not look for one in the same order.
    std::iter::repeat_with(|| 20_000 + u16::from_be_bytes(random_bytes()) % 12_000)
        .take(1000)
        .find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok())
        .expect("a free port")
}

fn random_bytes() -> [u8; 2] {
    let mut bytes = [0; 2];
    getrandom::fill(&mut bytes).expect("the system's randomness");
    bytes
}
