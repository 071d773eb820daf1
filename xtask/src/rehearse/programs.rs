//! The real programs, with the rendered settings.

use std::{
    fs::File,
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    process::{Command, ExitStatus, Stdio},
};

use nix::sys::signal::Signal;

use super::{
    faults::{Fault, Version},
    servers::DATABASE,
    stage::Stage,
};
use crate::{
    contract::Task as Kind,
    launch::{self, Identity},
    process::Process,
    servers::postgres::tail,
    shell,
};

/// Waits that the programs are told in whole seconds.
const SCALED: [&str; 4] = [
    "DRAIN_SECONDS",
    "REQUEST_TIMEOUT_SECONDS",
    "WORKER_GRACE_SECONDS",
    "JOB_LEASE_SECONDS",
];

/// What is only safe on a developer's machine: no TLS, a secret that everybody knows, people who are there at
/// once, tokens that outlive a rehearsal, no limits for the load.
pub(crate) const LOCAL: [(&str, &str); 9] = [
    ("APP_ENV", "development"),
    ("JWT_SECRET", "for-rehearsals-only-0123456789abcdef"),
    ("BCRYPT_COST", "4"),
    ("ACCESS_TOKEN_SECONDS", "86400"),
    ("RATE_LIMIT_READ", "0"),
    ("RATE_LIMIT_WRITE", "0"),
    ("RATE_LIMIT_LOGIN_ADDRESS", "0"),
    ("RATE_LIMIT_LOGIN_ACCOUNT", "0"),
    ("RATE_LIMIT_REGISTER", "0"),
];

/// Where the programs of both versions lie.
pub(super) struct Binaries {
    pub(super) old: PathBuf,
    pub(super) new: PathBuf,
}

impl Binaries {
    fn of(&self, version: Version) -> &Path {
        match version {
            Version::Old => &self.old,
            Version::New => &self.new,
        }
    }
}

/// What a program finds in its environment.
pub(super) type Variables = Vec<(String, String)>;

impl Stage<'_> {
    /// Starts the program of a task, or what a fault puts before it.
    pub(super) fn spawn(
        &self,
        kind: Kind,
        version: Version,
        variables: &Variables,
        log: &Path,
    ) -> anyhow::Result<Process> {
        let line = match kind {
            Kind::Migrate => &self.rendered.migration.command,
            Kind::Api | Kind::Worker => &self.service(kind).command,
        };
        let wrapper = match self.fault {
            Some(fault) => fault.wrapper(kind, version, self.speed, &self.folder)?,
            None => None,
        };
        let mut command = self.command(wrapper.as_deref(), version, line, variables);
        let file = File::create(log)?;
        command.stdout(file.try_clone()?).stderr(file);
        Process::spawn(kind.name(), command, Signal::SIGKILL)
    }

    /// What asks a task for its health.
    pub(super) fn probe(&self, kind: Kind, version: Version, variables: &Variables) -> Command {
        let line = &self.service(kind).probe.command;
        let mut command = self.command(None, version, line, variables);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        command
    }

    /// A rendered command, with nothing in its environment but what its task gives it.
    fn command(
        &self,
        wrapper: Option<&Path>,
        version: Version,
        line: &[String],
        variables: &Variables,
    ) -> Command {
        let (name, arguments) = line
            .split_first()
            .map_or(("", line), |(name, rest)| (name, rest));
        let program = self.binaries.of(version).join(name);
        let first = wrapper.unwrap_or(&program);
        let mut command = launch::command(first, Identity::Own, Signal::SIGKILL);
        if wrapper.is_some() {
            command.arg(&program);
        }
        command
            .args(arguments)
            .current_dir(&self.folder)
            .env_clear()
            // For the tools in a fault's script.
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .envs(variables.iter().cloned())
            .stdin(Stdio::null());
        command
    }

    /// The rendered settings, with what a laptop has in place of an account.
    pub(super) fn variables(
        &self,
        kind: Kind,
        version: Version,
        port: u16,
        metrics: u16,
    ) -> Variables {
        let rendered = match kind {
            Kind::Migrate => &self.rendered.migration.environment,
            Kind::Api | Kind::Worker => &self.service(kind).environment,
        };
        let mut variables = rendered.clone();
        for name in SCALED {
            if let Some(value) = variables.get_mut(name) {
                let seconds = value.parse().map(|seconds| self.speed.seconds(seconds));
                *value = seconds.unwrap_or_default().to_string();
            }
        }
        let local = LOCAL.map(|(name, value)| (name, value.to_owned()));
        let own = [
            ("DATABASE_URL", self.database(kind, version)),
            ("REDIS_BROKER", self.servers.redis_url()),
            ("PUBLIC_URL", format!("http://{}", self.balancer.address)),
            ("LISTEN_ADDRESS", format!("127.0.0.1:{port}")),
            ("METRICS_ADDRESS", format!("127.0.0.1:{metrics}")),
            ("MAIL_URL", shell::file_url(&self.mail())),
        ];
        let set = local.into_iter().chain(own);
        variables.extend(set.map(|(name, value)| (name.to_owned(), value)));
        if let Some(name) = self.fault.and_then(|fault| fault.withheld(kind, version)) {
            variables.remove(name);
        }
        let mut variables: Variables = variables.into_iter().collect();
        if let Some(secrets) = &self.secrets {
            secrets.apply(self, kind, &mut variables);
        }
        variables
    }

    fn database(&self, kind: Kind, version: Version) -> String {
        let fails = self.fault == Some(Fault::MigrationFails);
        if fails && kind == Kind::Migrate && version == Version::New {
            return self.servers.database("nowhere");
        }
        self.servers.database(DATABASE)
    }
}

pub(crate) fn ending(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => "no exit code".to_owned(),
    }
}

/// The end of a log, to follow what happened: `: a line; the next`. Empty where nothing was said that went
/// wrong.
pub(crate) fn last_words(log: &Path) -> String {
    let words = tail(log);
    let lines: Vec<&str> = words
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.contains(r#""level":"INFO""#))
        .collect();
    match &lines[lines.len().saturating_sub(3)..] {
        [] => String::new(),
        last => format!(": {}", last.join("; ")),
    }
}
