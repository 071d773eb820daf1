//! `cargo xtask secrets`: what only the operator knows, put where the programs read it.

use crate::aws::Access;

/// Look at the secrets, or put a value into one
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
        Action::Check(_) => String::new(),
        Action::Put { secret, key, .. } => {
            acting::may_be_put(secret, key).map_err(|why| Failed::because(Exit::Usage, why))?;
            value::read(key, signals)?
        }
    };
    aws::wait(aws::until(signals, acting::act(&arguments.action, value)))
}

#[cfg(feature = "aws")]
mod value;

#[cfg(feature = "aws")]
mod acting {
    use std::process::ExitCode;

    use aws_sdk_secretsmanager::Client;
    use serde_json::{Map, Value};

    use super::Action;
    use crate::{
        aws::{
            Access,
            account::Account,
            errors::{code, explained},
        },
        contract::SECRETS,
        exit::{Exit, Failed},
        progress::say,
        verify::{checks, secrets},
    };

    pub(super) async fn act(action: &Action, value: String) -> anyhow::Result<ExitCode> {
        match action {
            Action::Check(access) => check(access).await,
            Action::Put {
                access,
                secret,
                key,
            } => put(access, secret, key, value).await,
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
        let name = format!("taskhub/{}/{secret}", account.environment().name);
        let client = Client::new(&account.config);
        let mut content = current(&client, &name).await?;
        content.insert(key.to_owned(), Value::String(value));
        client
            .put_secret_value()
            .secret_id(&name)
            .secret_string(Value::Object(content).to_string())
            .send()
            .await
            .map_err(|error| explained(&format!("writing the secret {name}"), error))?;
        say(format_args!(
            "{key} of {name} is put; the programs read it when they start"
        ));
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

    async fn current(client: &Client, name: &str) -> anyhow::Result<Map<String, Value>> {
        let answer = client.get_secret_value().secret_id(name).send().await;
        let text = match answer {
            Ok(answer) => answer.secret_string.unwrap_or_default(),
            Err(error) if code(&error) == "ResourceNotFoundException" => {
                return Err(Failed::because(
                    Exit::Refused,
                    format!("{name} is not there: deploy the data stack, then put it"),
                ));
            }
            Err(error) => return Err(explained(&format!("reading the secret {name}"), error)),
        };
        // The parser's message would show a piece of the text.
        serde_json::from_str(&text).map_err(|_| {
            Failed::because(
                Exit::Refused,
                format!("{name} is no JSON object: it is not touched"),
            )
        })
    }
}
