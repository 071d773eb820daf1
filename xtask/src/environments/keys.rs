//! The keys of an environment file. Their comments are what `docs/environments.md` says of them.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

/// The file.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Keys {
    /// The AWS region of every resource.
    #[schemars(regex(pattern = r"^[a-z]{2}(-[a-z]+)+-[0-9]$"))]
    pub(crate) region: String,
    /// The account that this environment may be deployed to. Without it, any.
    #[schemars(regex(pattern = r"^[0-9]{12}$"))]
    pub(crate) account: Option<String>,
    pub(crate) domain: Domain,
    pub(crate) images: Images,
    pub(crate) network: Network,
    pub(crate) edge: Edge,
    pub(crate) api: Api,
    pub(crate) worker: Worker,
    pub(crate) migrate: Migrate,
    pub(crate) database: Database,
    pub(crate) cache: Cache,
    pub(crate) deploy: Deploy,
    pub(crate) alarms: Alarms,
    pub(crate) logs: Logs,
    /// When the services sleep. Without it, never.
    pub(crate) schedule: Option<Schedule>,
    /// More variables of the programs, by name: those of docs/settings.md that are neither secret nor
    /// decided by a key above.
    #[serde(default)]
    pub(crate) variables: BTreeMap<String, String>,
    /// Tags of every resource.
    #[serde(default)]
    pub(crate) tags: BTreeMap<String, String>,
}

/// Where users find the API.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Domain {
    /// The host name of the API.
    #[schemars(regex(pattern = r"^([a-z0-9]([a-z0-9-]*[a-z0-9])?\.)+[a-z]{2,}$"))]
    pub(crate) name: String,
    /// The id of the public Route 53 zone that holds the name. Its certificate is proven there too.
    #[schemars(regex(pattern = r"^Z[A-Z0-9]{1,31}$"))]
    pub(crate) hosted_zone: String,
}

/// What runs.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Images {
    /// The processors that the image is built for.
    pub(crate) arch: Arch,
}

#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Arch {
    Arm64,
    X86_64,
}

impl Arch {
    /// As ECS writes it.
    pub(crate) fn ecs(self) -> &'static str {
        match self {
            Self::Arm64 => "ARM64",
            Self::X86_64 => "X86_64",
        }
    }
}

/// The private network and its way out.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Network {
    /// The VPC's addresses: a /16, of which each subnet takes a /20.
    #[schemars(regex(pattern = r"^(10|172|192)\.[0-9]{1,3}\.0\.0/16$"))]
    pub(crate) cidr: String,
    /// How many availability zones hold a copy of everything.
    #[schemars(range(min = 2, max = 3))]
    pub(crate) zones: u32,
    /// How tasks reach what is outside of the VPC. `endpoints`: AWS services only, through interface
    /// endpoints; e-mail through Amazon SES. `nat`: everything, through one gateway for each zone.
    /// `single_nat`: the same through one gateway, whose zone's failure cuts everybody off.
    pub(crate) egress: Egress,
    /// With `endpoints`: also the endpoints for which Security Hub asks in every VPC (EC2, Systems Manager
    /// and its incident manager), which TaskHub itself does not use.
    #[serde(default)]
    pub(crate) strict_endpoints: bool,
}

#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Egress {
    Endpoints,
    Nat,
    SingleNat,
}

/// The load balancer.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Edge {
    /// A web application firewall before the load balancer.
    pub(crate) waf: bool,
    /// With `waf`: requests that one address may send in five minutes.
    #[schemars(range(min = 100, max = 20_000_000))]
    #[serde(default = "waf_requests")]
    pub(crate) waf_requests: u32,
}

fn waf_requests() -> u32 {
    10_000
}

/// The API's tasks.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Api {
    /// Of one task, in 1/1024 of a processor.
    pub(crate) cpu: u32,
    /// Of one task, in MiB.
    pub(crate) memory: u32,
    /// Tasks at least.
    #[schemars(range(min = 1, max = 100))]
    pub(crate) min: u32,
    /// Tasks at most.
    #[schemars(range(min = 1, max = 100))]
    pub(crate) max: u32,
    /// The longest a request may take, in seconds.
    #[schemars(range(min = 1, max = 300))]
    pub(crate) request_timeout: u32,
    /// Connections to PostgreSQL of one task.
    #[schemars(range(min = 1, max = 1000))]
    pub(crate) connections: u32,
    /// The load of its processors, in percent, at which tasks are added.
    #[schemars(range(min = 10, max = 90))]
    pub(crate) target_cpu: u32,
    /// Requests in a minute for one task, beyond which tasks are added: 70 % of what a load test of one
    /// task shows.
    #[schemars(range(min = 1))]
    pub(crate) target_requests: u32,
}

/// The worker's tasks.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Worker {
    /// Of one task, in 1/1024 of a processor.
    pub(crate) cpu: u32,
    /// Of one task, in MiB.
    pub(crate) memory: u32,
    /// Tasks at least.
    #[schemars(range(min = 1, max = 100))]
    pub(crate) min: u32,
    /// Tasks at most.
    #[schemars(range(min = 1, max = 100))]
    pub(crate) max: u32,
    /// Jobs that one task runs at the same time.
    #[schemars(range(min = 1, max = 1000))]
    pub(crate) concurrency: u32,
    /// Connections to PostgreSQL of one task, for its jobs; it needs three more for itself.
    #[schemars(range(min = 1, max = 1000))]
    pub(crate) connections: u32,
    /// How long running jobs may go on when a task is told to stop, in seconds.
    #[schemars(range(min = 0, max = 110))]
    pub(crate) grace: u32,
    /// Due jobs for one task, beyond which tasks are added: the longest acceptable delay divided by the
    /// mean time of a job, times `concurrency`.
    #[schemars(range(min = 1))]
    pub(crate) target_backlog: u32,
    /// The load of its processors, in percent, at which tasks are added.
    #[schemars(range(min = 10, max = 90))]
    pub(crate) target_cpu: u32,
    /// Whether tasks run on Fargate Spot, which is cheaper and takes them away at two minutes' notice.
    /// `never`; `beyond_min`: three of four beyond the first `min`; `always`.
    pub(crate) spot: Spot,
}

#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Spot {
    Never,
    BeyondMin,
    Always,
}

/// The task that brings the schema up to date before each release.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Migrate {
    /// After which it is stopped and the release is given up, in seconds.
    #[schemars(range(min = 60, max = 86_400))]
    pub(crate) timeout: u32,
}

/// RDS for PostgreSQL.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Database {
    /// PostgreSQL's version. RDS moves to later minor versions by itself; a later major version here makes it move.
    #[schemars(regex(pattern = r"^[0-9]+(\.[0-9]+)?$"))]
    pub(crate) version: String,
    /// The instance class.
    pub(crate) class: String,
    /// GiB of gp3 at first.
    #[schemars(range(min = 20, max = 65_536))]
    pub(crate) storage: u32,
    /// GiB to which the storage may grow by itself.
    #[schemars(range(min = 22, max = 65_536))]
    pub(crate) max_storage: u32,
    /// A standby in another zone, which takes over by itself.
    pub(crate) multi_az: bool,
    /// For how many days any moment can be restored.
    #[schemars(range(min = 1, max = 35))]
    pub(crate) backup_days: u32,
    /// Daily recovery points in AWS Backup as well, which survive the instance.
    pub(crate) backup_plan: bool,
    /// Neither the database nor the load balancer can be deleted before this is turned off and deployed.
    pub(crate) deletion_protection: bool,
}

/// ElastiCache for Valkey.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Cache {
    /// The node type.
    pub(crate) class: String,
    /// Copies beside the primary; with one or more, a copy takes over by itself.
    #[schemars(range(min = 0, max = 5))]
    pub(crate) replicas: u32,
    /// Days for which a daily snapshot is kept; 0 keeps none.
    #[schemars(range(min = 0, max = 35))]
    pub(crate) snapshot_days: u32,
}

/// How a release is rolled out.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Deploy {
    /// After which a release that is not proven is rolled back, in seconds.
    #[schemars(range(min = 120, max = 7200))]
    pub(crate) timeout: u32,
    /// Tasks that may fail before ECS rolls the release back by itself.
    #[schemars(range(min = 1, max = 10))]
    pub(crate) breaker: u32,
    /// Whether an alarm rolls a release back.
    pub(crate) alarms: bool,
    /// How long alarms must stay quiet after a release, in seconds.
    #[schemars(range(min = 0, max = 3600))]
    pub(crate) bake: u32,
}

/// When people are told. The topic is `taskhub-operations`, made by the bootstrap stack.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Alarms {
    /// The slowest acceptable 95th percentile of the API's answers, in milliseconds.
    #[schemars(range(min = 1, max = 60_000))]
    pub(crate) latency: u32,
    /// The oldest acceptable due job, in seconds.
    #[schemars(range(min = 1, max = 86_400))]
    pub(crate) job_age: u32,
    /// US dollars that the environment may cost in a month before the budget tells.
    #[schemars(range(min = 1))]
    pub(crate) budget: u32,
}

/// CloudWatch Logs.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Logs {
    /// Days for which logs are kept: a number that CloudWatch offers.
    pub(crate) days: u32,
}

/// Office hours: outside of them no task runs.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Schedule {
    /// When the services stop: an AWS cron expression.
    #[schemars(regex(pattern = r"^cron\([^)]+\)$"))]
    pub(crate) sleep: String,
    /// When they start again.
    #[schemars(regex(pattern = r"^cron\([^)]+\)$"))]
    pub(crate) wake: String,
    /// The time zone of both.
    pub(crate) time_zone: String,
}
