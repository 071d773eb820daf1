//! The drill of secrets: the database's role and the key that signs tokens are exchanged while users send
//! requests, in the order of docs/settings.md, and no task is replaced.
//!
//! Secrets come from a Secrets Manager, as in production: the emulator's.

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::Context;
use serde_json::{Value, json};

use super::{
    balancer,
    deployment::{self, Deployment, Outcome},
    faults::Version,
    programs::Variables,
    stage::Stage,
    users::User,
};
use crate::{
    checkout::Checkout,
    contract::{Task as Kind, other_role},
    emulator,
    process::Process,
    rehearse::http::{Client, Reuse},
    servers::postgres::free_port,
    signals::Signals,
};

/// Whom the services sign in as at first: [`super::servers`] lets it, and who follows, in with a password only.
const ROLE: &str = "taskhub_service";

/// As the programs look at their secrets in production, in seconds.
const REFRESH: u32 = 300;

/// For every task to have taken what is new: some refreshes, and what the machine is slow at.
const PATIENCE: Duration = Duration::from_secs(180);

const DATABASE: &str = "taskhub/rehearsal/database";
const APPLICATION: &str = "taskhub/rehearsal/app";

/// A Secrets Manager, and what was put there last.
pub(super) struct Secrets {
    port: u16,
    role: String,
    password: String,
    key: String,
    _emulator: Process,
}

impl Secrets {
    /// Starts one and puts the first secrets there. The database is at `database`, a URL.
    pub(super) fn start(
        checkout: &Checkout,
        folder: &Path,
        database: &str,
        signals: &Signals,
    ) -> anyhow::Result<Self> {
        let folder = folder.join("emulator");
        fs::create_dir_all(&folder)?;
        let port = free_port()?;
        let process = emulator::start(checkout, &folder, port, signals)?;
        let secrets = Self {
            port,
            role: ROLE.to_owned(),
            password: random()?,
            key: random()?,
            _emulator: process,
        };
        let first = json!({ "JWT_SECRET": secrets.key });
        secrets.ask(
            "CreateSecret",
            "Name",
            DATABASE,
            &secrets.database(database)?,
        )?;
        secrets.ask("CreateSecret", "Name", APPLICATION, &first)?;
        Ok(secrets)
    }

    /// As RDS writes it.
    fn database(&self, url: &str) -> anyhow::Result<Value> {
        let url = url::Url::parse(url)?;
        Ok(json!({
            "host": url.host_str(),
            "port": url.port(),
            "username": self.role,
            "password": self.password,
            "dbname": url.path().trim_start_matches('/'),
            "sslmode": "disable",
        }))
    }

    fn put(&self, name: &str, value: &Value) -> anyhow::Result<()> {
        self.ask("PutSecretValue", "SecretId", name, value)
    }

    fn ask(&self, action: &str, key: &str, name: &str, value: &Value) -> anyhow::Result<()> {
        let whole = json!({ key: name, "SecretString": value.to_string() });
        let answer = ureq::post(format!("http://127.0.0.1:{}/", self.port))
            .header("Content-Type", "application/x-amz-json-1.1")
            .header("X-Amz-Target", format!("secretsmanager.{action}"))
            .send(whole.to_string());
        answer.with_context(|| format!("{action} of {name}"))?;
        Ok(())
    }

    /// What a task is given instead of the secrets themselves.
    pub(super) fn apply(&self, stage: &Stage<'_>, kind: Kind, variables: &mut Variables) {
        if kind == Kind::Migrate {
            let url = stage.servers.database(super::servers::DATABASE);
            let login = format!("{}:{}@", self.role, self.password);
            let service = url.replacen("postgres@", &login, 1);
            variables.push(("SERVICE_DATABASE_URL".to_owned(), service));
            return;
        }
        variables.retain(|(name, _)| name != "DATABASE_URL" && name != "JWT_SECRET");
        let own = [
            ("TASKHUB_SECRETS", format!("{DATABASE},{APPLICATION}")),
            (
                "SECRETS_REFRESH_SECONDS",
                stage.speed.seconds(REFRESH).to_string(),
            ),
        ];
        let own = own.into_iter().chain(emulator::variables(self.port));
        variables.retain(|(name, _)| name != "TASKHUB_SECRETS" && name != "AWS_REGION");
        variables.extend(own.map(|(name, value)| (name.to_owned(), value)));
    }
}

/// 64 hexadecimal digits.
fn random() -> anyhow::Result<String> {
    let mut bytes = [0; 32];
    let mut file = fs::File::open("/dev/urandom")?;
    std::io::Read::read_exact(&mut file, &mut bytes)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Both secrets, one after the other.
///
/// # Errors
/// Where it cannot be tried. What went wrong with the programs is the outcome.
pub(super) fn drill(stage: &mut Stage<'_>, deployment: &mut Deployment) -> anyhow::Result<Outcome> {
    let before = deployment.numbers();
    let steps = [change_role, change_key];
    for step in steps {
        if let Err(reason) = step(stage, deployment)? {
            return Ok(Outcome::Stuck(reason));
        }
    }
    if deployment.numbers() != before {
        return Ok(Outcome::Stuck("tasks were replaced".to_owned()));
    }
    stage.journal.step("the tasks are those of the beginning");
    Ok(Outcome::Deployed)
}

/// What a part of the drill came to; the inner error is what went wrong with the programs.
type Done = anyhow::Result<Result<(), String>>;

fn secrets<'a>(stage: &'a mut Stage<'_>) -> anyhow::Result<&'a mut Secrets> {
    stage.secrets.as_mut().context("the drill has secrets")
}

/// The secret first, then the role: until both are done, the programs go on with the role that they have.
fn change_role(stage: &mut Stage<'_>, deployment: &mut Deployment) -> Done {
    let url = stage.servers.database(super::servers::DATABASE);
    let secrets = secrets(stage)?;
    secrets.role = other_role(&secrets.role);
    secrets.password = random()?;
    let value = secrets.database(&url)?;
    secrets.put(DATABASE, &value)?;
    stage.journal.step("the database's role is another");
    if let Err(reason) = deployment::migrate(stage, Version::Old)? {
        return Ok(Err(format!("the role was not made: {reason}")));
    }
    let all = [deployment.worker.numbers(), deployment.api.numbers()].concat();
    taken(stage, deployment, &all, "took a new DATABASE_URL", 1)
}

/// First every task accepts the new key, then it signs with it.
fn change_key(stage: &mut Stage<'_>, deployment: &mut Deployment) -> Done {
    let api = deployment.api.numbers();
    let secrets = secrets(stage)?;
    let (old, new) = (secrets.key.clone(), random()?);
    secrets.key.clone_from(&new);
    secrets.put(
        APPLICATION,
        &json!({ "JWT_SECRET": old, "JWT_SECRET_PREVIOUS": new }),
    )?;
    stage.journal.step("a second signing key is accepted");
    let done = taken(stage, deployment, &api, "took new JWT secrets", 1)?;
    if done.is_err() {
        return Ok(done);
    }
    self::secrets(stage)?.put(
        APPLICATION,
        &json!({ "JWT_SECRET": new, "JWT_SECRET_PREVIOUS": old }),
    )?;
    stage.journal.step("tokens are signed with it");
    taken(stage, deployment, &api, "took new JWT secrets", 2)
}

/// Waits until the log of every task says so this many times.
fn taken(
    stage: &mut Stage<'_>,
    deployment: &mut Deployment,
    tasks: &[u32],
    words: &str,
    times: usize,
) -> Done {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let waiting = tasks.iter().find(|number| {
            let log = stage
                .folder
                .join(format!("{}.log", balancer::name(**number)));
            let text = fs::read_to_string(log).unwrap_or_default();
            text.matches(words).count() < times
        });
        let Some(number) = waiting else {
            stage.journal.step(format!("every task {words}"));
            return Ok(Ok(()));
        };
        if Instant::now() > deadline {
            let name = balancer::name(*number);
            return Ok(Err(format!("{name} has not said in time that it {words}")));
        }
        let pause = Duration::from_millis(200);
        if let Some(reason) = deployment.watch(stage, Version::Old, pause)? {
            return Ok(Err(reason));
        }
    }
}

/// Takes the former key away, after the load: a token that it signed must be refused then, or nothing was changed.
///
/// # Errors
/// Where it cannot be tried.
pub(super) fn prove(
    stage: &mut Stage<'_>,
    deployment: &mut Deployment,
    old: &User,
) -> anyhow::Result<Outcome> {
    let new = secrets(stage)?.key.clone();
    secrets(stage)?.put(APPLICATION, &json!({ "JWT_SECRET": new }))?;
    let api = deployment.api.numbers();
    if let Err(reason) = taken(stage, deployment, &api, "took new JWT secrets", 3)? {
        return Ok(Outcome::Stuck(reason));
    }
    let mut client = Client::new(stage.balancer.address, Reuse::Fresh);
    let answer = client.send(&old.get("/v1/me".to_owned()))?;
    if answer.status != 401 {
        let status = answer.status;
        return Ok(Outcome::Stuck(format!(
            "a token of the former key is answered {status}, not 401"
        )));
    }
    stage.journal.step("tokens of the former key are refused");
    Ok(Outcome::Deployed)
}

/// What PostgreSQL is told before its own rules: these roles need their passwords.
pub(super) fn rule() -> String {
    let other = other_role(ROLE);
    format!("host all {ROLE},{other} 127.0.0.1/32 scram-sha-256\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_long_and_never_the_same() {
        let (one, other) = (random().expect("bytes"), random().expect("bytes"));
        assert_eq!(one.len(), 64);
        assert_ne!(one, other);
    }

    #[test]
    fn postgresql_asks_for_the_passwords_of_both_roles() {
        assert_eq!(
            rule(),
            "host all taskhub_service,taskhub_service_2 127.0.0.1/32 scram-sha-256\n"
        );
        assert_eq!(other_role(&other_role(ROLE)), ROLE);
    }
}
