//! What is rehearsed: the settings of services, tasks and load balancer, read from the very templates
//! that AWS is given.

use std::{collections::BTreeMap, fs, path::Path, time::Duration};

use anyhow::Context;
use serde_json::Value;

use crate::environments::Name;

/// One environment's settings. Waits are in seconds, as rendered.
#[derive(Debug)]
pub(super) struct Rendered {
    pub(super) api: Service,
    pub(super) worker: Service,
    pub(super) migration: Migration,
    pub(super) target_group: TargetGroup,
    /// After which the load balancer closes a silent connection.
    pub(super) idle_timeout: u32,
    /// For the whole roll; then it is taken back.
    pub(super) deadline: u32,
}

/// An ECS service and its task definition.
#[derive(Debug)]
pub(super) struct Service {
    pub(super) desired: u32,
    pub(super) minimum_percent: u32,
    pub(super) maximum_percent: u32,
    /// Tasks of a deployment that may fail before it is taken back.
    pub(super) breaker: u32,
    /// How long failing checks are forgiven after a start.
    pub(super) grace: u32,
    pub(super) stop_timeout: u32,
    pub(super) probe: Probe,
    pub(super) command: Vec<String>,
    pub(super) environment: BTreeMap<String, String>,
}

/// The container's health check.
#[derive(Clone, Debug)]
pub(super) struct Probe {
    pub(super) command: Vec<String>,
    pub(super) interval: u32,
    pub(super) timeout: u32,
    pub(super) retries: u32,
    pub(super) start_period: u32,
}

#[derive(Debug)]
pub(super) struct Migration {
    pub(super) command: Vec<String>,
    pub(super) environment: BTreeMap<String, String>,
    pub(super) stop_timeout: u32,
    pub(super) deadline: u32,
}

#[derive(Debug)]
pub(super) struct TargetGroup {
    pub(super) path: String,
    pub(super) interval: u32,
    pub(super) timeout: u32,
    pub(super) healthy: u32,
    pub(super) unhealthy: u32,
    pub(super) deregistration_delay: u32,
    pub(super) algorithm: String,
}

impl Service {
    /// Tasks that must be healthy at any time: rounded up, as ECS does.
    pub(super) fn minimum(&self) -> usize {
        (self.desired * self.minimum_percent).div_ceil(100) as usize
    }

    /// Tasks that may run at the same time: rounded down, as ECS does.
    pub(super) fn maximum(&self) -> usize {
        (self.desired * self.maximum_percent / 100) as usize
    }
}

/// By which all rendered waits are divided alike.
#[derive(Clone, Copy, Debug)]
pub(super) struct Speed(pub(super) u32);

impl Speed {
    pub(super) fn wait(self, seconds: u32) -> Duration {
        Duration::from_secs(seconds.into()) / self.0
    }

    /// For answers of this machine, which is not faster than it is.
    pub(super) fn patience(self, seconds: u32) -> Duration {
        self.wait(seconds).max(Duration::from_secs(1))
    }

    /// For settings that are whole seconds.
    pub(super) fn seconds(self, seconds: u32) -> u32 {
        seconds.div_ceil(self.0)
    }
}

/// A rendered file, which errors name.
struct File {
    name: String,
    value: Value,
}

impl File {
    fn read(root: &Path, name: String) -> anyhow::Result<Self> {
        let text = fs::read_to_string(root.join(&name))
            .with_context(|| format!("{name} cannot be read"))?;
        let value = serde_json::from_str(&text).with_context(|| format!("{name} is not JSON"))?;
        Ok(Self { name, value })
    }

    fn find(&self, pointer: &str) -> anyhow::Result<&Value> {
        self.value
            .pointer(pointer)
            .with_context(|| format!("{} has no {pointer}: run `cargo xtask render`", self.name))
    }

    fn number(&self, pointer: &str) -> anyhow::Result<u32> {
        let value = self.find(pointer)?;
        value
            .as_u64()
            .or_else(|| value.as_str()?.parse().ok())
            .and_then(|number| u32::try_from(number).ok())
            .with_context(|| format!("{}: {pointer} is no number", self.name))
    }

    fn text(&self, pointer: &str) -> anyhow::Result<String> {
        let text = self.find(pointer)?.as_str();
        Ok(text
            .with_context(|| format!("{}: {pointer} is no text", self.name))?
            .to_owned())
    }

    fn words(&self, pointer: &str) -> anyhow::Result<Vec<String>> {
        let words = self.find(pointer)?.as_array().into_iter().flatten();
        Ok(words
            .filter_map(|word| Some(word.as_str()?.to_owned()))
            .collect())
    }

    /// One of the attributes that load balancers and target groups have as pairs.
    fn attribute(&self, pointer: &str, key: &str) -> anyhow::Result<&str> {
        let pairs = self.find(pointer)?.as_array().into_iter().flatten();
        pairs
            .filter(|pair| pair.get("Key").and_then(Value::as_str) == Some(key))
            .find_map(|pair| pair.get("Value")?.as_str())
            .with_context(|| format!("{}: {pointer} has no {key}", self.name))
    }

    /// What a container finds in its environment. Secrets, which only an account knows, are left out.
    fn environment(&self, container: &str) -> anyhow::Result<BTreeMap<String, String>> {
        let pairs = self.find(&format!("{container}/Environment"))?.as_array();
        let pair = |pair: &Value| {
            let name = pair.get("Name")?.as_str()?;
            Some((name.to_owned(), pair.get("Value")?.as_str()?.to_owned()))
        };
        Ok(pairs.into_iter().flatten().filter_map(pair).collect())
    }

    fn service(&self, title: &str) -> anyhow::Result<Service> {
        let service = format!("/Resources/{title}Service/Properties");
        let deployment = format!("{service}/DeploymentConfiguration");
        let container = container(title);
        let grace = format!("{service}/HealthCheckGracePeriodSeconds");
        Ok(Service {
            desired: self.number(&format!("/Resources/{title}Scaling/Properties/MinCapacity"))?,
            minimum_percent: self.number(&format!("{deployment}/MinimumHealthyPercent"))?,
            maximum_percent: self.number(&format!("{deployment}/MaximumPercent"))?,
            breaker: self.number(&format!(
                "{deployment}/DeploymentCircuitBreaker/ThresholdConfiguration/Value"
            ))?,
            grace: if self.value.pointer(&grace).is_some() {
                self.number(&grace)?
            } else {
                0
            },
            stop_timeout: self.number(&format!("{container}/StopTimeout"))?,
            probe: self.probe(&container)?,
            command: self.words(&format!("{container}/Command"))?,
            environment: self.environment(&container)?,
        })
    }

    fn probe(&self, container: &str) -> anyhow::Result<Probe> {
        let check = format!("{container}/HealthCheck");
        let command = self.words(&format!("{check}/Command"))?;
        Ok(Probe {
            // The first word says that no shell is wanted.
            command: command.into_iter().skip(1).collect(),
            interval: self.number(&format!("{check}/Interval"))?,
            timeout: self.number(&format!("{check}/Timeout"))?,
            retries: self.number(&format!("{check}/Retries"))?,
            start_period: self.number(&format!("{check}/StartPeriod"))?,
        })
    }

    fn target_group(&self) -> anyhow::Result<TargetGroup> {
        let group = "/Resources/TargetGroup/Properties";
        let attributes = format!("{group}/TargetGroupAttributes");
        let delay = self.attribute(&attributes, "deregistration_delay.timeout_seconds")?;
        Ok(TargetGroup {
            path: self.text(&format!("{group}/HealthCheckPath"))?,
            interval: self.number(&format!("{group}/HealthCheckIntervalSeconds"))?,
            timeout: self.number(&format!("{group}/HealthCheckTimeoutSeconds"))?,
            healthy: self.number(&format!("{group}/HealthyThresholdCount"))?,
            unhealthy: self.number(&format!("{group}/UnhealthyThresholdCount"))?,
            deregistration_delay: delay.parse().context("the deregistration delay")?,
            algorithm: self
                .attribute(&attributes, "load_balancing.algorithm.type")?
                .to_owned(),
        })
    }
}

/// The only container of a task.
fn container(title: &str) -> String {
    format!("/Resources/{title}Task/Properties/ContainerDefinitions/0")
}

impl Rendered {
    /// Reads `infra/rendered` below `root`.
    ///
    /// # Errors
    /// Names the file and the place in it.
    pub(super) fn read(root: &Path, environment: Name) -> anyhow::Result<Self> {
        let file = |name: &str| File::read(root, format!("infra/rendered/{environment}/{name}"));
        let service = file("service.template.json")?;
        let platform = file("platform.template.json")?;
        let migrate = file("migrate.template.json")?;
        let stacks = file("stacks.json")?;
        let container = container("Migrate");
        let idle_timeout = platform.attribute(
            "/Resources/LoadBalancer/Properties/LoadBalancerAttributes",
            "idle_timeout.timeout_seconds",
        )?;
        Ok(Self {
            api: service.service("Api")?,
            worker: service.service("Worker")?,
            migration: Migration {
                command: migrate.words(&format!("{container}/Command"))?,
                environment: migrate.environment(&container)?,
                stop_timeout: migrate.number(&format!("{container}/StopTimeout"))?,
                deadline: stacks.number("/migrate_timeout_seconds")?,
            },
            target_group: platform.target_group()?,
            idle_timeout: idle_timeout.parse().context("the idle timeout")?,
            deadline: stacks.number("/deploy_timeout_seconds")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checkout() -> &'static Path {
        Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
    }

    #[test]
    fn what_is_rehearsed_is_what_is_rendered() {
        let rendered = Rendered::read(checkout(), Name::Production).expect("rendered files");
        assert_eq!((rendered.api.minimum(), rendered.api.maximum()), (2, 4));
        assert_eq!(rendered.api.command, ["taskhub-api", "serve"]);
        assert_eq!(rendered.api.probe.command, ["taskhub-api", "healthcheck"]);
        assert_eq!(rendered.worker.stop_timeout, 120);
        assert_eq!(rendered.target_group.deregistration_delay, 30);
        assert_eq!(rendered.api.environment["DRAIN_SECONDS"], "10");
        assert!(!rendered.api.environment.contains_key("TASKHUB_SECRETS"));
        let staging = Rendered::read(checkout(), Name::Staging).expect("rendered files");
        assert_eq!((staging.api.minimum(), staging.api.maximum()), (1, 2));
    }

    #[test]
    fn what_a_template_lacks_is_named() {
        let file = File {
            name: "a.json".to_owned(),
            value: Value::Null,
        };
        let error = file.number("/x/y").expect_err("there is nothing");
        assert_eq!(
            error.to_string(),
            "a.json has no /x/y: run `cargo xtask render`"
        );
    }

    #[test]
    fn waits_are_divided_and_settings_are_whole_seconds() {
        let speed = Speed(20);
        assert_eq!(speed.wait(30), Duration::from_millis(1500));
        assert_eq!(speed.seconds(30), 2);
        assert_eq!(speed.patience(3), Duration::from_secs(1));
    }
}
