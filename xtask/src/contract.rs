//! What the image, Compose and AWS must agree on with the programs. Each fact stands here once; what is a
//! setting's default comes from the settings' own list. The tests below compare all of them with the
//! Dockerfile, the Compose file and the programs' sources.

pub(crate) mod classes;
mod secrets;
mod settings;
#[path = "../../taskhub/src/settings/variables.rs"]
#[expect(
    dead_code,
    unreachable_pub,
    reason = "it is written for the library that it belongs to"
)]
mod variables;

use variables::{Environment as Mode, Program, VARIABLES};

pub(crate) use secrets::{SECRETS, Secret, other_role};
pub(crate) use settings::{is_secret, may_be_given, settings};

use crate::environments::Environment;

/// Neither root nor anybody's account.
pub(crate) const USER: &str = "65532:65532";

/// Answers 200 while the program serves and 503 from SIGTERM on.
pub(crate) const HEALTH_PATH: &str = "/health";

/// RDS's certificate authorities, in the image.
pub(crate) const RDS_CERTIFICATES: &str = "/etc/ssl/certs/rds.pem";

/// How the container's own health check is asked: Dockerfile, Compose and ECS alike.
pub(crate) struct Probe {
    pub(crate) interval: u32,
    pub(crate) timeout: u32,
    pub(crate) retries: u32,
    /// How long failures do not count after the start.
    pub(crate) start_period: u32,
}

pub(crate) const PROBE: Probe = Probe {
    interval: 10,
    timeout: 3,
    retries: 3,
    start_period: 20,
};

/// PostgreSQL ends a statement of the programs after this many seconds.
pub(crate) const STATEMENT_TIMEOUT: u32 = 20;

/// The API closes an idle connection after this many seconds.
pub(crate) const KEEP_ALIVE: u32 = 75;

/// What closing pools and flushing logs may take after the last request or job, in seconds.
pub(crate) const CLOSING: u32 = 5;

/// Connections to PostgreSQL that a worker holds beside those of its jobs.
pub(crate) const WORKER_CONTROL_CONNECTIONS: u32 = 3;

/// Fargate kills a container at the latest this long after the stop signal.
pub(crate) const LONGEST_STOP: u32 = 120;

/// One of the things that run, each from the same image.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Task {
    Api,
    Worker,
    Migrate,
}

impl Task {
    pub(crate) const ALL: [Self; 3] = [Self::Api, Self::Worker, Self::Migrate];

    /// Of its container, its log group and its part in other names.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Api => "api",
            Self::Worker => "worker",
            Self::Migrate => "migrate",
        }
    }

    /// Begins the names of its resources.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Api => "Api",
            Self::Worker => "Worker",
            Self::Migrate => "Migrate",
        }
    }

    fn program(self) -> Program {
        match self {
            Self::Api => Program::Api,
            Self::Worker => Program::Worker,
            Self::Migrate => Program::Migration,
        }
    }

    pub(crate) fn command(self) -> &'static [&'static str] {
        match self {
            Self::Api => &["taskhub-api", "serve"],
            Self::Worker => &["taskhub-worker"],
            Self::Migrate => &["taskhub-api", "migrate"],
        }
    }

    /// Asks the program in the same container for its health. A migration ends by itself.
    pub(crate) fn health_command(self) -> Option<&'static [&'static str]> {
        match self {
            Self::Api => Some(&["taskhub-api", "healthcheck"]),
            Self::Worker => Some(&["taskhub-worker", "healthcheck"]),
            Self::Migrate => None,
        }
    }

    /// Where it listens, by what is said there.
    pub(crate) fn ports(self) -> Vec<(&'static str, u16)> {
        let metrics = ("metrics", port("METRICS_ADDRESS"));
        match self {
            Self::Api => vec![("http", api_port()), metrics],
            Self::Worker => vec![metrics],
            Self::Migrate => Vec::new(),
        }
    }

    /// How long the program may take to end after SIGTERM, in seconds.
    pub(crate) fn ending(self, environment: &Environment) -> u32 {
        match self {
            Self::Api => drain() + environment.api.request_timeout + CLOSING,
            Self::Worker => environment.worker.grace + CLOSING,
            // Its transaction is rolled back.
            Self::Migrate => CLOSING,
        }
    }

    /// After how many seconds it is killed.
    pub(crate) fn stop_timeout(self, environment: &Environment) -> u32 {
        match self {
            Self::Api => self.ending(environment) + 15,
            Self::Worker => LONGEST_STOP,
            Self::Migrate => 30,
        }
    }
}

/// Where users' requests arrive.
pub(crate) fn api_port() -> u16 {
    port("LISTEN_ADDRESS")
}

/// How long the API still accepts connections after SIGTERM, in seconds.
pub(crate) fn drain() -> u32 {
    number("DRAIN_SECONDS")
}

fn port(address: &str) -> u16 {
    let text = default(address, Mode::Production);
    let port = text
        .rsplit_once(':')
        .and_then(|(_, port)| port.parse().ok());
    port.unwrap_or_else(|| panic!("the default of {address} has no port"))
}

fn number(name: &str) -> u32 {
    let number = default(name, Mode::Production).parse().ok();
    number.unwrap_or_else(|| panic!("the default of {name} is no number"))
}

/// Of a variable that has one.
fn default(name: &str, mode: Mode) -> &'static str {
    let variable = VARIABLES.iter().find(|variable| variable.name == name);
    variable
        .and_then(|variable| variable.default.text(mode))
        .unwrap_or_else(|| panic!("the settings give {name} no default"))
}

#[cfg(test)]
mod tests;
