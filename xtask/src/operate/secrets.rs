//! `cargo xtask secrets`: what only the operator knows, put where the programs read it.

use crate::aws::Access;

/// Look at the secrets, put a value into one, or rotate it
///
/// A value is typed unseen or comes through standard input, never from the command line, and is never shown.
/// The programs read it when they start: deploy again, or replace them one by one.
///
/// Example: cargo xtask secrets check --env staging
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(clap::Subcommand)]
enum Action {
    /// Whether each is there and has a value; exit code 3 where one has none
    Check(Access),
    /// Put a value under a key of a secret, beside the others that it holds
    Put {
        #[command(flatten)]
        access: Access,
        /// The secret, without taskhub/<environment>/ before it
        secret: String,
        /// The variable
        key: String,
    },
    /// List each secret's versions and their dates, never a value
    Versions {
        #[command(flatten)]
        access: Access,
        /// One secret only, without taskhub/<environment>/ before it
        secret: Option<String>,
    },
    /// Give a generated secret a new value, and no request fails: app, database-service
    ///
    /// `app` is the key that signs access tokens: the next one is accepted, then signs, then the former one is forgotten.
    /// Between these steps every process has to read the secret again, and tokens to end. That takes about half an hour;
    /// interrupted, the same command goes on where it was. `database-service` is the services' password of PostgreSQL,
    /// which the migration sets.
    #[command(verbatim_doc_comment)]
    Rotate(Rotating),
}

/// Which secret gets a new value, and how patiently.
#[derive(clap::Args)]
struct Rotating {
    #[command(flatten)]
    access: Access,
    /// The secret, without taskhub/<environment>/ before it
    secret: String,
    /// Do what is due now, and tell when the next step is
    #[arg(long)]
    no_wait: bool,
    /// How many seconds to wait for whoever deploys
    #[arg(long, value_name = "SECONDS", default_value_t = 900)]
    lock_wait: u64,
}

#[cfg(feature = "aws")]
pub(crate) fn run(
    arguments: &Arguments,
    signals: &crate::signals::Signals,
) -> anyhow::Result<std::process::ExitCode> {
    use crate::{
        aws,
        exit::{Exit, Failed},
    };

    let value = match &arguments.action {
        Action::Check(_) | Action::Versions { .. } => String::new(),
        Action::Rotate(rotating) => {
            rotation::may_be_rotated(&rotating.secret)
                .map_err(|why| Failed::because(Exit::Usage, why))?;
            String::new()
        }
        Action::Put { secret, key, .. } => {
            acting::may_be_put(secret, key).map_err(|why| Failed::because(Exit::Usage, why))?;
            value::read(key, signals)?
        }
    };
    aws::wait(acting::act(&arguments.action, value, signals))
}

#[cfg(any(feature = "aws", test))]
mod phases;
#[cfg(feature = "aws")]
mod rotation;
#[cfg(feature = "aws")]
mod stored;
#[cfg(feature = "aws")]
mod value;

#[cfg(feature = "aws")]
mod acting {
    use std::{io::Write, process::ExitCode};

    use serde_json::{Value, json};

    use super::{Action, rotation, stored};
    use crate::{
        aws::{self, Access, account::Account},
        contract::SECRETS,
        exit::{Exit, Failed},
        operate::verify::{checks, secrets},
        progress::say,
        signals::Signals,
    };

    pub(super) async fn act(
        action: &Action,
        value: String,
        signals: &Signals,
    ) -> anyhow::Result<ExitCode> {
        match action {
            Action::Check(access) => aws::until(signals, check(access)).await,
            Action::Put {
                access,
                secret,
                key,
            } => aws::until(signals, put(access, secret, key, value)).await,
            Action::Versions { access, secret } => {
                aws::until(signals, versions(access, secret.as_deref())).await
            }
            Action::Rotate(rotating) => {
                rotation::rotate(rotating, signals).await?;
                Ok(ExitCode::SUCCESS)
            }
        }
    }

    async fn check(access: &Access) -> anyhow::Result<ExitCode> {
        let account = Account::open(access).await?;
        let found = secrets::all(&account).await?;
        checks::show(&found, access.environment, access.json)?;
        let all_fine = found.iter().all(checks::Check::is_fine);
        Ok(if all_fine {
            ExitCode::SUCCESS
        } else {
            Exit::Refused.into()
        })
    }

    async fn put(
        access: &Access,
        secret: &str,
        key: &str,
        value: String,
    ) -> anyhow::Result<ExitCode> {
        let account = Account::open(access).await?;
        let name = stored::name(&account, secret);
        let mut content = stored::current(&account, &name).await?.content;
        content.insert(key.to_owned(), Value::String(value));
        stored::put(&account, &name, content, None).await?;
        say(format_args!(
            "{key} of {name} is put; the programs read it when they start"
        ));
        Ok(ExitCode::SUCCESS)
    }

    async fn versions(access: &Access, secret: Option<&str>) -> anyhow::Result<ExitCode> {
        let account = Account::open(access).await?;
        let names = SECRETS.iter().map(|known| known.name);
        let names: Vec<&str> = names
            .filter(|name| secret.is_none_or(|only| only == *name))
            .collect();
        if names.is_empty() {
            let why = format!("there is no secret {}", secret.unwrap_or_default());
            return Err(Failed::because(Exit::Usage, why));
        }
        let mut found = Vec::new();
        for name in names {
            let name = stored::name(&account, name);
            let versions = stored::versions(&account, &name).await?;
            say(&name);
            for version in &versions {
                say(version.line());
            }
            found.push(json!({"secret": name, "versions": versions}));
        }
        if access.json {
            let environment = access.environment.as_str();
            let whole = json!({"environment": environment, "secrets": found});
            writeln!(std::io::stdout(), "{whole}")?;
        }
        Ok(ExitCode::SUCCESS)
    }

    /// What AWS makes by itself is not the operator's.
    pub(super) fn may_be_put(secret: &str, key: &str) -> Result<(), String> {
        let known = SECRETS.iter().find(|known| known.name == secret);
        let Some(known) = known else {
            let names: Vec<&str> = SECRETS.iter().map(|secret| secret.name).collect();
            return Err(format!(
                "there is no secret {secret}; there are {}",
                names.join(", ")
            ));
        };
        let is_given = |name: &&&str| matches!(**name, "MAIL_URL" | "JWT_SECRET");
        let mut keys: Vec<&str> = known.holds.iter().filter(is_given).copied().collect();
        if keys.contains(&"JWT_SECRET") {
            keys.push("JWT_SECRET_PREVIOUS");
        }
        if keys.is_empty() {
            return Err(format!("{secret} is made and kept by AWS"));
        }
        if !keys.contains(&key) {
            return Err(format!("{secret} holds {}, not {key}", keys.join(", ")));
        }
        Ok(())
    }
}
