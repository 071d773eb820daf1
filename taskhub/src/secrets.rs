//! Settings that AWS Secrets Manager holds, read once when a program starts.
//!
//! A secret is a JSON object in one of three shapes:
//! - the variables' own names: `{"JWT_SECRET": "…", "MAIL_URL": "…"}`. Other keys are passed over, so
//!   that one secret can serve two releases;
//! - as RDS writes it: `{"host", "port", "username", "password", "dbname"}`, which becomes
//!   `DATABASE_URL`. `sslmode` and `sslrootcert` are understood too; without the former the
//!   certificate is verified;
//! - for ElastiCache: `{"host", "port", "auth_token"}`, perhaps with `username`, which becomes
//!   `REDIS_BROKER` with TLS.
//!
//! An entry `NAME=secret` names the variable that a secret of the last two shapes becomes instead.

use std::{collections::BTreeMap, error::Error, fmt, iter, time::Duration};

use aws_config::{BehaviorVersion, ConfigLoader, retry::RetryConfig, timeout::TimeoutConfig};
use aws_sdk_secretsmanager::{
    Client,
    error::{ProvideErrorMetadata, SdkError},
    operation::get_secret_value::GetSecretValueError,
};
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use futures_util::future::join_all;
use secrecy::SecretString;
use serde_json::{Map, Value};
use tokio::time::{Instant, timeout_at};
use url::Url;

use crate::settings::VARIABLES;

/// For all secrets together; then the program gives up, and whoever runs it starts another.
pub const DEADLINE: Duration = Duration::from_secs(10);

/// Which secrets could not be read and why. Its text never shows a value.
#[derive(Debug, thiserror::Error)]
pub struct Failures(pub Vec<Failure>);

#[derive(Debug)]
pub struct Failure {
    /// The entry of `TASKHUB_SECRETS`: the secret's name or ARN, perhaps behind `NAME=`.
    pub secret: String,
    pub reason: Reason,
}

#[derive(Debug, Eq, PartialEq, thiserror::Error)]
pub enum Reason {
    #[error("does not exist in this account and region")]
    Absent,
    /// With what AWS says about it.
    #[error("may not be read: {0}")]
    Denied(String),
    #[error("was not given because of too many requests, after several attempts")]
    Throttled,
    #[error("was not given in time")]
    Slow,
    /// Secrets Manager, or what gives credentials for it, was not reached.
    #[error("was not asked for: {0}")]
    Unreachable(String),
    #[error("was refused: {0}")]
    Refused(String),
    #[error("is malformed: {0}")]
    Malformed(String),
}

impl fmt::Display for Failures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secrets named by TASKHUB_SECRETS could not be read:")?;
        for Failure { secret, reason } in &self.0 {
            write!(f, "\n  {secret} {reason}")?;
        }
        Ok(())
    }
}

/// How AWS is reached: region, credentials and `AWS_ENDPOINT_URL` as every AWS program finds them,
/// with deadlines and with retries that are spread at random.
pub fn loader() -> ConfigLoader {
    let https = aws_smithy_http_client::Builder::new()
        .tls_provider(Provider::Rustls(CryptoMode::Ring))
        .build_https();
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(Duration::from_secs(2))
        .operation_attempt_timeout(Duration::from_secs(3))
        .operation_timeout(DEADLINE)
        .build();
    let retries = RetryConfig::standard()
        .with_max_attempts(5)
        .with_initial_backoff(Duration::from_millis(200))
        .with_max_backoff(Duration::from_secs(2));
    aws_config::defaults(BehaviorVersion::latest())
        .http_client(https)
        .timeout_config(timeouts)
        .retry_config(retries)
}

/// Reads the secrets of all `entries` at the same time and gives the variables they hold.
///
/// # Errors
/// Every secret that could not be read within `deadline` or has none of the shapes above; also where
/// two of them hold the same variable.
pub async fn read(
    entries: &[String],
    loader: ConfigLoader,
    deadline: Duration,
) -> Result<Vec<(String, SecretString)>, Failures> {
    let end = Instant::now() + deadline;
    let failure = |secret: &String, reason| Failure {
        secret: secret.clone(),
        reason,
    };
    let Ok(config) = timeout_at(end, loader.load()).await else {
        return Err(Failures(
            entries
                .iter()
                .map(|entry| failure(entry, Reason::Slow))
                .collect(),
        ));
    };
    let client = Client::new(&config);
    let texts = entries.iter().map(|entry| async {
        timeout_at(end, text(&client, parts(entry).1))
            .await
            .unwrap_or(Err(Reason::Slow))
    });
    let mut failures = Vec::new();
    let mut found = BTreeMap::new();
    for (entry, text) in entries.iter().zip(join_all(texts).await) {
        match text.and_then(|text| variables(&text, parts(entry).0)) {
            Ok(variables) => {
                for (variable, value) in variables {
                    if found.insert(variable.clone(), value).is_some() {
                        let detail = format!("{variable} is in another secret as well");
                        failures.push(failure(entry, Reason::Malformed(detail)));
                    }
                }
            }
            Err(reason) => failures.push(failure(entry, reason)),
        }
    }
    if failures.is_empty() {
        Ok(found.into_iter().collect())
    } else {
        Err(Failures(failures))
    }
}

/// The variable that an entry names, and the secret. A secret's own name may hold the sign too.
fn parts(entry: &str) -> (Option<&'static str>, &str) {
    entry
        .split_once('=')
        .and_then(|(name, secret)| {
            let variable = VARIABLES.iter().find(|variable| variable.name == name)?;
            Some((Some(variable.name), secret))
        })
        .unwrap_or((None, entry))
}

async fn text(client: &Client, name: &str) -> Result<String, Reason> {
    let answer = client
        .get_secret_value()
        .secret_id(name)
        .send()
        .await
        .map_err(|error| reason(&error))?;
    answer
        .secret_string
        .ok_or_else(|| Reason::Malformed("it is binary, not text".to_owned()))
}

fn reason(error: &SdkError<GetSecretValueError>) -> Reason {
    let root = || {
        let source = Error::source(error);
        iter::successors(source, |&error| error.source())
            .last()
            .map_or_else(|| error.to_string(), ToString::to_string)
    };
    match error {
        SdkError::TimeoutError(_) => Reason::Slow,
        SdkError::DispatchFailure(failure) if failure.is_timeout() => Reason::Slow,
        SdkError::DispatchFailure(_) | SdkError::ConstructionFailure(_) => {
            Reason::Unreachable(root())
        }
        SdkError::ServiceError(failure) => {
            let message = failure
                .err()
                .message()
                .unwrap_or("without a reason")
                .to_owned();
            match failure.err().code().unwrap_or("no error code") {
                "ResourceNotFoundException" => Reason::Absent,
                "AccessDeniedException"
                | "UnrecognizedClientException"
                | "ExpiredTokenException"
                | "InvalidSignatureException" => Reason::Denied(message),
                "ThrottlingException" | "Throttling" | "TooManyRequestsException" => {
                    Reason::Throttled
                }
                code => Reason::Refused(format!("{code}, {message}")),
            }
        }
        // A response that the SDK cannot make sense of, and kinds of failure that are still to come.
        SdkError::ResponseError(_) | _ => Reason::Refused(root()),
    }
}

/// The variables that a secret's text holds; a server's address becomes `named`, where that is given.
fn variables(text: &str, named: Option<&str>) -> Result<Vec<(String, SecretString)>, Reason> {
    // The parser's message would show a piece of the text.
    let Ok(Value::Object(object)) = serde_json::from_str(text) else {
        return Err(Reason::Malformed("it is not a JSON object".to_owned()));
    };
    if object.contains_key("host")
        && object.contains_key("username")
        && object.contains_key("password")
    {
        let name = named.unwrap_or("DATABASE_URL");
        return Ok(vec![(name.to_owned(), database_url(&object)?)]);
    }
    if object.contains_key("host") && object.contains_key("auth_token") {
        let name = named.unwrap_or("REDIS_BROKER");
        return Ok(vec![(name.to_owned(), redis_broker(&object)?)]);
    }
    if named.is_some() {
        return Err(Reason::Malformed(
            "it holds neither a database nor a Redis".to_owned(),
        ));
    }
    let variables: Vec<(String, SecretString)> = VARIABLES
        .iter()
        .filter(|variable| object.contains_key(variable.name))
        .map(|variable| {
            Ok((
                variable.name.to_owned(),
                string(&object, variable.name)?.into(),
            ))
        })
        .collect::<Result<_, Reason>>()?;
    if variables.is_empty() {
        return Err(Reason::Malformed(
            "it holds none of the variables, and neither a database nor a Redis".to_owned(),
        ));
    }
    Ok(variables)
}

fn database_url(object: &Map<String, Value>) -> Result<SecretString, Reason> {
    let mut url = server("postgres", object)?;
    credentials(
        &mut url,
        &string(object, "username")?,
        &string(object, "password")?,
    )?;
    url.path_segments_mut()
        .map_err(|()| wrong("host"))?
        .push(&string(object, "dbname")?);
    let verified = || Ok("verify-full".to_owned());
    let mode = optional(object, "sslmode")?.map_or_else(verified, Ok)?;
    url.query_pairs_mut().append_pair("sslmode", &mode);
    if let Some(certificate) = optional(object, "sslrootcert")? {
        url.query_pairs_mut()
            .append_pair("sslrootcert", &certificate);
    }
    Ok(String::from(url).into())
}

fn redis_broker(object: &Map<String, Value>) -> Result<SecretString, Reason> {
    let mut url = server("rediss", object)?;
    let username = optional(object, "username")?.unwrap_or_default();
    credentials(&mut url, &username, &string(object, "auth_token")?)?;
    Ok(String::from(url).into())
}

fn server(scheme: &str, object: &Map<String, Value>) -> Result<Url, Reason> {
    let mut url = Url::parse(&format!("{scheme}://host")).expect("a constant URL");
    url.set_host(Some(&string(object, "host")?))
        .map_err(|_| wrong("host"))?;
    let port = string(object, "port")?.parse().map_err(|_| wrong("port"))?;
    url.set_port(Some(port)).map_err(|()| wrong("port"))?;
    Ok(url)
}

/// Percent-encodes them.
fn credentials(url: &mut Url, username: &str, password: &str) -> Result<(), Reason> {
    url.set_username(username).map_err(|()| wrong("host"))?;
    url.set_password(Some(password)).map_err(|()| wrong("host"))
}

fn string(object: &Map<String, Value>, key: &str) -> Result<String, Reason> {
    optional(object, key)?.ok_or_else(|| Reason::Malformed(format!("{key} is missing")))
}

/// A text, or a number or truth value as text.
fn optional(object: &Map<String, Value>, key: &str) -> Result<Option<String>, Reason> {
    match object.get(key) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(value @ (Value::Number(_) | Value::Bool(_))) => Ok(Some(value.to_string())),
        Some(Value::Null | Value::Array(_) | Value::Object(_)) => Err(wrong(key)),
    }
}

fn wrong(key: &str) -> Reason {
    Reason::Malformed(format!("{key} is not what it should be"))
}
