//! Turning texts into values, while noting everything that is wrong with them.

use std::{
    fmt,
    net::{Ipv4Addr, SocketAddr},
    ops::RangeInclusive,
    time::Duration,
};

use secrecy::{ExposeSecret, SecretString};
use url::Url;

use super::{
    Environment, Log, LogFormat, Program, RateLimit, Source, VARIABLES, Variable, origins,
};
use crate::{
    jobs::limits::{self, Limit},
    users,
};

/// The shortest key that HS256 is safe with (RFC 7518, section 3.2).
const JWT_SECRET_BYTES: usize = 32;

/// Everything that is wrong with the settings. Its text names variables and never shows a value.
#[derive(Debug, thiserror::Error)]
pub struct Problems(pub Vec<Problem>);

#[derive(Debug)]
pub struct Problem {
    /// The variable, or the file.
    pub name: String,
    /// What is wrong and what would be right; follows the name in a sentence.
    pub detail: String,
}

impl Problem {
    pub(super) fn new(name: &str, detail: impl Into<String>) -> Self {
        Self {
            name: name.to_owned(),
            detail: detail.into(),
        }
    }
}

impl From<Problem> for Problems {
    fn from(problem: Problem) -> Self {
        Self(vec![problem])
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.len() {
            1 => writeln!(f, "The settings have a problem:")?,
            count => writeln!(f, "The settings have {count} problems:")?,
        }
        for Problem { name, detail } in &self.0 {
            writeln!(f, "  {name} {detail}")?;
        }
        write!(
            f,
            "Each variable is explained in .env.example and docs/settings.md."
        )
    }
}

/// Reads the variables of one program. A method gives some value even where the text is wrong; then
/// [`Reader::finish`] does not give the settings away.
pub(super) struct Reader<'a> {
    source: &'a Source,
    program: Program,
    environment: Environment,
    problems: Vec<Problem>,
    seen: Vec<&'static str>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(source: &'a Source, program: Program) -> Self {
        Self {
            source,
            program,
            // Until it is known, so that only its own absence is reported and nothing that follows.
            environment: Environment::Development,
            problems: Vec::new(),
            seen: Vec::new(),
        }
    }

    /// The settings, if nothing was wrong.
    pub(super) fn finish<T>(self, settings: T) -> Result<T, Problems> {
        debug_assert!(
            VARIABLES
                .iter()
                .filter(|v| v.programs.contains(&self.program) && v.name != "TASKHUB_SECRETS")
                .all(|v| self.seen.contains(&v.name)),
            "the list gives {:?} a variable that it does not read",
            self.program
        );
        if self.problems.is_empty() {
            Ok(settings)
        } else {
            Err(Problems(self.problems))
        }
    }

    /// To be read first: other variables' rules depend on it.
    pub(super) fn environment(&mut self) -> Environment {
        let environment = self.parse("APP_ENV", |text| match text {
            "development" => Ok(Environment::Development),
            "test" => Ok(Environment::Test),
            "staging" => Ok(Environment::Staging),
            "production" => Ok(Environment::Production),
            _ => Err("is none of development, test, staging and production".to_owned()),
        });
        self.environment = environment.unwrap_or(self.environment);
        self.environment
    }

    pub(super) fn database_url(&mut self) -> SecretString {
        self.secret_url("DATABASE_URL", postgres)
            .unwrap_or_default()
    }

    pub(super) fn service_database_url(&mut self) -> Option<SecretString> {
        self.secret_url("SERVICE_DATABASE_URL", |url, deployed| {
            if url.username().is_empty() || url.password().is_none() {
                return Err("does not name a role and its password");
            }
            postgres(url, deployed)
        })
    }

    pub(super) fn redis_broker(&mut self) -> SecretString {
        let url = self.secret_url("REDIS_BROKER", |url, deployed| match url.scheme() {
            "rediss" => Ok(()),
            "redis" if deployed => {
                Err("does not begin with rediss://, without which nothing is encrypted")
            }
            "redis" => Ok(()),
            _ => Err("does not begin with redis:// or rediss://"),
        });
        url.unwrap_or_default()
    }

    pub(super) fn mail_url(&mut self) -> SecretString {
        let url = self.secret_url("MAIL_URL", |url, deployed| match url.scheme() {
            "smtp" | "smtps" if url.has_host() => Ok(()),
            "smtp" | "smtps" => Err("names no host"),
            "file" if deployed => {
                Err("collects e-mails in a directory instead of sending them; smtps:// sends them")
            }
            "file" => Ok(()),
            _ => Err("does not begin with smtps://, smtp:// or file:///"),
        });
        url.unwrap_or_default()
    }

    /// [`None`] where it is not set and need not be.
    pub(super) fn jwt_secret(&mut self, name: &'static str) -> Option<SecretString> {
        let deployed = self.environment.is_deployed();
        let given = self.parse(name, |text| {
            let example = VARIABLES.iter().any(|v| !v.example.is_empty() && v.example == text);
            if text.len() < JWT_SECRET_BYTES {
                Err(format!(
                    "is shorter than {JWT_SECRET_BYTES} bytes; `openssl rand -base64 48` makes a good one"
                ))
            } else if deployed && example {
                Err("is the published example; `openssl rand -base64 48` makes a secret one".to_owned())
            } else {
                Ok(SecretString::from(text))
            }
        });
        let random = self.variable(name).default == super::Fallback::Random;
        if given.is_none() && random && !deployed {
            return Some(random_secret());
        }
        given
    }

    pub(super) fn bcrypt_cost(&mut self) -> u32 {
        let least = if self.environment.is_deployed() {
            10
        } else {
            4
        };
        self.number("BCRYPT_COST", least..=31)
    }

    /// Without a path, so that one can be put behind it.
    pub(super) fn public_url(&mut self) -> Url {
        let url = self.web_address("PUBLIC_URL", |url| match url.path() {
            "/" => Ok(url),
            _ => Err("has something behind the host"),
        });
        url.unwrap_or_else(|| Url::parse("http://localhost").expect("a constant URL"))
    }

    /// With a slash at the end, so that a path can be joined to it.
    pub(super) fn client_url(&mut self) -> Option<Url> {
        self.web_address("CLIENT_URL", |mut url| {
            if !url.path().ends_with('/') {
                url.set_path(&format!("{}/", url.path()));
            }
            Ok(url)
        })
    }

    /// Where people point a browser to, without a query, a fragment or a user.
    fn web_address(
        &mut self,
        name: &'static str,
        finish: impl FnOnce(Url) -> Result<Url, &'static str>,
    ) -> Option<Url> {
        let deployed = self.environment.is_deployed();
        self.parse(name, |text| {
            let url =
                Url::parse(text).map_err(|_| "is not a URL such as https://tasks.example.com")?;
            match url.scheme() {
                "https" => {}
                "http" if !deployed => {}
                "http" => return Err("does not begin with https://".to_owned()),
                _ => return Err("does not begin with https:// or http://".to_owned()),
            }
            if url.query().is_some() || url.fragment().is_some() {
                return Err("has a query or a fragment".to_owned());
            }
            if !url.username().is_empty() || url.password().is_some() {
                return Err("names a user".to_owned());
            }
            Ok(finish(url)?)
        })
    }

    /// A URI as RFC 9116, 2.5.3, asks for.
    pub(super) fn security_contact(&mut self) -> Option<String> {
        self.parse("SECURITY_CONTACT", |text| match Url::parse(text) {
            Ok(url) if matches!(url.scheme(), "mailto" | "https" | "tel") => Ok(String::from(url)),
            Ok(_) | Err(_) => Err(
                "is not a URI such as mailto:security@example.com or https://example.com/security"
                    .to_owned(),
            ),
        })
    }

    pub(super) fn mail_from(&mut self) -> String {
        let from = self.parse("MAIL_FROM", |text| {
            let address = text
                .rsplit('<')
                .next()
                .unwrap_or(text)
                .trim_end_matches('>');
            match address.split_once('@') {
                Some((local, domain)) if !local.is_empty() && !domain.is_empty() => {
                    Ok(text.to_owned())
                }
                _ => Err("is not an address such as TaskHub <tasks@example.com>".to_owned()),
            }
        });
        from.unwrap_or_default()
    }

    pub(super) fn address(&mut self, name: &'static str) -> SocketAddr {
        let address = self.parse(name, |text| {
            text.parse().map_err(|_| {
                "is not an address and a port, such as 0.0.0.0:8000 or [::]:8000".to_owned()
            })
        });
        address.unwrap_or_else(|| (Ipv4Addr::UNSPECIFIED, 0).into())
    }

    /// A whole number of the variable's unit, as that many seconds.
    pub(super) fn seconds(&mut self, name: &'static str, range: RangeInclusive<u32>) -> Duration {
        Duration::from_secs(u64::from(self.number::<u32>(name, range)))
    }

    pub(super) fn number<T: TryFrom<u32> + std::default::Default>(
        &mut self,
        name: &'static str,
        range: RangeInclusive<u32>,
    ) -> T {
        let number = self.parse(name, |text| {
            text.parse()
                .ok()
                .filter(|number| range.contains(number))
                .and_then(|number| T::try_from(number).ok())
                .ok_or_else(|| {
                    format!(
                        "is not a whole number from {} to {}",
                        range.start(),
                        range.end()
                    )
                })
        });
        number.unwrap_or_default()
    }

    pub(super) fn switch(&mut self, name: &'static str) -> bool {
        let switch = self.parse(name, |text| {
            text.parse()
                .map_err(|_| "is neither true nor false".to_owned())
        });
        switch.unwrap_or_default()
    }

    pub(super) fn origins(&mut self, name: &'static str) -> Vec<String> {
        self.parse(name, origins::parse).unwrap_or_default()
    }

    pub(super) fn usernames(&mut self, name: &'static str) -> Vec<String> {
        let usernames = self.parse(name, |text| {
            text.split(',')
                .map(str::trim)
                .map(|username| match users::is_username(username) {
                    true => Ok(username.to_owned()),
                    false => {
                        Err("holds something else than usernames, separated by commas".to_owned())
                    }
                })
                .collect()
        });
        usernames.unwrap_or_default()
    }

    pub(super) fn queues(&mut self, name: &'static str) -> Vec<String> {
        let queues = self.parse(name, |text| {
            let mut queues: Vec<String> = text
                .split(',')
                .map(|queue| queue.trim().to_owned())
                .collect();
            queues.sort();
            queues.dedup();
            let allowed = |byte: u8| {
                byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-".contains(&byte)
            };
            let valid = queues
                .iter()
                .all(|queue| (1..=50).contains(&queue.len()) && queue.bytes().all(allowed));
            valid.then_some(queues).ok_or_else(|| {
                "holds something else than names of a-z, 0-9, `_` and `-`, separated by commas"
                    .to_owned()
            })
        });
        queues.unwrap_or_default()
    }

    pub(super) fn rate_limit(&mut self, name: &'static str) -> Option<RateLimit> {
        self.parse(name, |text| {
            if text == "0" {
                return Ok(None);
            }
            parse_rate_limit(text).map(Some).ok_or_else(|| {
                "is not a number, a slash and a period, such as 300/1m, nor 0 for no limit"
                    .to_owned()
            })
        })
        .flatten()
    }

    pub(super) fn job_rates(&mut self, name: &'static str) -> Vec<Limit> {
        let limits = self.parse(name, |text| {
            let mut limits: Vec<Limit> = Vec::new();
            for entry in text.split(',').map(str::trim) {
                let limit = entry
                    .split_once('=')
                    .and_then(|(name, rate)| Some((name.trim(), parse_rate_limit(rate.trim())?)));
                let Some((name, rate)) = limit else {
                    return Err("holds something else than a kind of job, `=` and a rate, such as mail=14/1s, separated by commas".to_owned());
                };
                // No name is repeated in the message that is not known to be one.
                if limits::kinds_of(name).is_empty() {
                    return Err("names a kind of job that does not exist".to_owned());
                }
                if limits.iter().any(|limit| limit.name == name) {
                    return Err(format!("names {name} twice"));
                }
                limits.push(Limit {
                    name: name.to_owned(),
                    jobs: rate.requests,
                    period: rate.period,
                });
            }
            Ok(limits)
        });
        limits.unwrap_or_default()
    }

    pub(super) fn log(&mut self) -> Log {
        let level = self.parse("LOG_LEVEL", |text| {
            text.parse()
                .map_err(|_| "is none of error, warn, info, debug and trace".to_owned())
        });
        let format = self.parse("LOG_FORMAT", |text| match text {
            "json" => Ok(LogFormat::Json),
            "text" => Ok(LogFormat::Text),
            _ => Err("is neither json nor text".to_owned()),
        });
        Log {
            level: level.unwrap_or(tracing::Level::INFO),
            format: format.unwrap_or(LogFormat::Json),
        }
    }

    fn secret_url(
        &mut self,
        name: &'static str,
        check: impl FnOnce(&Url, bool) -> Result<(), &'static str>,
    ) -> Option<SecretString> {
        let deployed = self.environment.is_deployed();
        self.parse(name, |text| {
            let url = Url::parse(text).map_err(
                |_| "is not a URL; reserved characters in a password are percent-encoded",
            )?;
            check(&url, deployed)?;
            Ok(SecretString::from(text))
        })
    }

    /// The value of `name`, or of its default; notes what is wrong. [`None`] also where it is off.
    fn parse<T>(
        &mut self,
        name: &'static str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        let variable = self.variable(name);
        self.seen.push(name);
        let text = match self.source.get(name) {
            Some(text) => text.expose_secret(),
            None => match variable.default.text(self.environment) {
                Some(text) => text,
                None if variable.default.is_required(self.environment) => {
                    self.problems.push(Problem::new(name, "is not set"));
                    return None;
                }
                None => return None,
            },
        };
        parse(text)
            .map_err(|detail| self.problems.push(Problem::new(name, detail)))
            .ok()
    }

    fn variable(&self, name: &str) -> &'static Variable {
        VARIABLES
            .iter()
            .find(|variable| variable.name == name && variable.programs.contains(&self.program))
            .expect("a variable that the list gives to this program")
    }
}

/// `300/1m`: a number above nought, a slash, a period in seconds, minutes or hours.
fn postgres(url: &Url, deployed: bool) -> Result<(), &'static str> {
    if !matches!(url.scheme(), "postgres" | "postgresql") {
        return Err("does not begin with postgres://");
    }
    let verified = url
        .query_pairs()
        .any(|(key, value)| matches!(&*key, "sslmode" | "ssl-mode") && value == "verify-full");
    if deployed && !verified {
        return Err(
            "lacks sslmode=verify-full, without which the server's certificate is not checked",
        );
    }
    Ok(())
}

fn parse_rate_limit(text: &str) -> Option<RateLimit> {
    let (requests, period) = text.split_once('/')?;
    let (number, unit) = period.split_at_checked(period.len().checked_sub(1)?)?;
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        _ => return None,
    };
    let requests = requests.parse().ok().filter(|requests| *requests > 0)?;
    let number: u32 = number
        .parse()
        .ok()
        .filter(|number| (1..=1000).contains(number))?;
    Some(RateLimit {
        requests,
        period: Duration::from_secs(u64::from(number) * seconds),
    })
}

fn random_secret() -> SecretString {
    let mut bytes = [0; JWT_SECRET_BYTES];
    getrandom::fill(&mut bytes).expect("the system has random bytes");
    bytes
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect::<String>()
        .into()
}
