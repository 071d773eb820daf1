//! An AWS on loopback, as a process of its own.

use std::{
    fs::{self, File},
    io::{Read, Write},
    net::{Ipv4Addr, TcpStream},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use aws_config::{ConfigLoader, Region};
use aws_sdk_secretsmanager::{Client, config::Credentials};
use sha2::{Digest, Sha256};

use super::{Process, free_port, wait_for};
use crate::secrets;

/// What is installed, to the byte.
const REQUIREMENTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/emulator.txt");

#[derive(Debug)]
pub struct Emulator {
    _process: Process,
    port: u16,
}

impl Emulator {
    /// Starts one; the first time on a machine it is installed under the build folder.
    ///
    /// # Panics
    /// Where it cannot be installed, with what to install first, or does not answer.
    pub async fn start() -> Self {
        let port = free_port();
        let mut command = Command::new(installed());
        command
            .env("BIND_HOST", "127.0.0.1")
            .env("GATEWAY_PORT", port.to_string())
            .env("IOT_MTLS_ENABLED", "0")
            .env("MINISTACK_REGION", "eu-west-1")
            .current_dir(std::env::temp_dir())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let emulator = Self {
            _process: Process::start(&mut command),
            port,
        };
        wait_for(
            "an answer of the AWS emulator",
            Duration::from_secs(30),
            async || probe(port).is_some(),
        )
        .await;
        emulator
    }

    /// For `AWS_ENDPOINT_URL`.
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// For its Secrets Manager.
    pub async fn secrets_manager(&self) -> Client {
        Client::new(&loader(&self.endpoint()).load().await)
    }

    /// Adds a secret.
    ///
    /// # Panics
    /// Where there is one of that name.
    pub async fn put_secret(&self, name: &str, text: &str) {
        let secrets = self.secrets_manager().await;
        let secret = secrets.create_secret().name(name).secret_string(text);
        secret.send().await.expect("a new secret");
    }

    /// Gives a secret another value.
    ///
    /// # Panics
    /// Where there is none of that name.
    pub async fn change_secret(&self, name: &str, text: &str) {
        let secrets = self.secrets_manager().await;
        let secret = secrets.put_secret_value().secret_id(name);
        let changed = secret.secret_string(text).send().await;
        changed.expect("a secret of that name");
    }

    /// How a program of its own finds it.
    pub fn variables(&self) -> [(&'static str, String); 4] {
        [
            ("AWS_ENDPOINT_URL", self.endpoint()),
            ("AWS_REGION", "eu-west-1".to_owned()),
            ("AWS_ACCESS_KEY_ID", "test".to_owned()),
            ("AWS_SECRET_ACCESS_KEY", "test".to_owned()),
        ]
    }
}

/// The programs' own way to AWS, turned to `endpoint`, with credentials that an emulator accepts.
pub fn loader(endpoint: &str) -> ConfigLoader {
    secrets::loader()
        .endpoint_url(endpoint)
        .region(Region::from_static("eu-west-1"))
        .credentials_provider(Credentials::new("test", "test", None, None, "tests"))
}

/// Any HTTP answer will do.
fn probe(port: u16) -> Option<()> {
    let mut connection = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).ok()?;
    connection
        .set_read_timeout(Some(Duration::from_secs(5)))
        .ok()?;
    connection
        .write_all(
            b"GET /_ministack/health HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n",
        )
        .ok()?;
    let mut start = [0; 5];
    connection.read_exact(&mut start).ok()?;
    (&start == b"HTTP/").then_some(())
}

/// The emulator's program, in an environment named for its requirements.
fn installed() -> PathBuf {
    let requirements = fs::read(REQUIREMENTS).expect("the requirements beside the tests");
    let digest: String = Sha256::digest(&requirements)[..6]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let tools = build_folder().join("tools");
    let folder = tools.join(format!("emulator-{digest}"));
    let program = folder.join("bin/ministack");
    fs::create_dir_all(&tools).expect("a folder for tools");
    // Each test is a process, and they come at the same time.
    let lock = File::create(tools.join("emulator.lock")).expect("a lock file");
    lock.lock().expect("a lock");
    let complete = folder.join("complete");
    if !complete.exists() {
        install(&folder);
        File::create(complete).expect("a mark that the environment is complete");
    }
    program
}

fn install(folder: &Path) {
    let venv = Command::new("python3")
        .args(["-m", "venv", "--clear"])
        .arg(folder)
        .output();
    assert!(
        venv.as_ref().is_ok_and(|output| output.status.success()),
        "the tests need Python for an AWS emulator: apt-get install python3-venv ({venv:?})"
    );
    let pip = Command::new(folder.join("bin/pip"))
        .args([
            "install",
            "--quiet",
            "--no-deps",
            "--require-hashes",
            "--only-binary",
            ":all:",
            "-r",
        ])
        .arg(REQUIREMENTS)
        .output()
        .expect("pip in a fresh environment");
    let said = String::from_utf8_lossy(&pip.stderr);
    assert!(
        pip.status.success(),
        "the AWS emulator could not be installed: {said}"
    );
}

/// Where cargo builds, wherever that is.
fn build_folder() -> PathBuf {
    let program = std::env::current_exe().expect("the path of this program");
    let mut folders = program.ancestors();
    folders
        .find(|folder| folder.join("CACHEDIR.TAG").exists())
        .expect("a test that cargo built")
        .to_owned()
}
