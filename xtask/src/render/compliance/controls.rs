//! The controls, by service.

mod account;
mod keeping;
mod serving;

use serde_json::Value;

use super::{Control, Elsewhere, Reach};

/// All of them.
pub(super) fn all() -> impl Iterator<Item = &'static Control> {
    [serving::CONTROLS, keeping::CONTROLS, account::CONTROLS]
        .into_iter()
        .flatten()
}

const fn control(
    id: &'static str,
    kind: &'static str,
    demand: &'static str,
    holds: fn(&Value) -> bool,
) -> Control {
    Control {
        id,
        demand,
        kind,
        holds,
        reach: Reach::Every,
    }
}

/// Where there need not be any.
const fn if_any(control: Control) -> Control {
    Control {
        reach: Reach::EveryIfAny,
        ..control
    }
}

/// Where one is enough.
const fn some(control: Control) -> Control {
    Control {
        reach: Reach::Some,
        ..control
    }
}

pub(super) const ELSEWHERE: &[Elsewhere] = &[
    Elsewhere {
        id: "RDS.1",
        demand: "snapshots are private",
        place: "`cargo xtask doctor`",
    },
    Elsewhere {
        id: "EC2.2",
        demand: "the VPC's default security group allows nothing",
        place: "`cargo xtask doctor`: CloudFormation cannot empty it; nothing is in it",
    },
    Elsewhere {
        id: "EC2.7",
        demand: "new disks are encrypted",
        place: "`cargo xtask doctor`",
    },
    Elsewhere {
        id: "CloudFormation.1",
        demand: "stacks tell a topic",
        place: "given with every change of a stack",
    },
    Elsewhere {
        id: "CloudFormation.3†",
        demand: "stacks are protected from deletion",
        place: "set on every stack but migrate and service",
    },
    Elsewhere {
        id: "CloudFormation.4†",
        demand: "stacks have a role of their own",
        place: "`taskhub-cloudformation`, given with every change",
    },
    Elsewhere {
        id: "KMS.3",
        demand: "no key is about to be deleted",
        place: "`cargo xtask verify`",
    },
    Elsewhere {
        id: "SecretsManager.2–4",
        demand: "secrets rotate, are used, and were changed lately",
        place: "`cargo xtask secrets check`",
    },
    Elsewhere {
        id: "Account.1, CloudTrail.1, Config.1, GuardDuty.1, S3.1, SSM.4",
        demand: "the account is watched",
        place: "`cargo xtask doctor`",
    },
];

/// Whether something holds for every container of a task definition.
fn each(properties: &Value, holds: fn(&Value) -> bool) -> bool {
    let containers = properties["ContainerDefinitions"].as_array();
    containers.is_some_and(|containers| !containers.is_empty() && containers.iter().all(holds))
}

/// A variable may name secrets, never hold one.
fn no_secret(container: &Value) -> bool {
    let variables = container["Environment"].as_array();
    variables.into_iter().flatten().all(|variable| {
        let name = variable["Name"].as_str().unwrap_or_default();
        name == "TASKHUB_SECRETS" || !crate::contract::is_secret(name)
    })
}

fn has(properties: &Value, key: &str, value: &str) -> bool {
    let attributes = properties["LoadBalancerAttributes"].as_array();
    attributes
        .into_iter()
        .flatten()
        .any(|attribute| attribute["Key"] == key && attribute["Value"] == value)
}

fn statements(policy: &Value, holds: fn(&Value) -> bool) -> bool {
    policy["Statement"]
        .as_array()
        .is_some_and(|statements| statements.iter().all(holds))
}

/// One text or a list of them.
fn words(value: &Value) -> Vec<&str> {
    let list = value
        .as_array()
        .map_or(std::slice::from_ref(value), Vec::as_slice);
    list.iter().filter_map(Value::as_str).collect()
}

/// Whether an endpoint leads to that service.
fn leads_to(endpoint: &Value, service: &str) -> bool {
    let name = endpoint["ServiceName"]["Fn::Sub"].as_str();
    name.and_then(|name| name.strip_prefix("com.amazonaws.${AWS::Region}.")) == Some(service)
}

/// Whether people are told of such things.
fn tells_of(subscription: &Value, source: &str, category: &str) -> bool {
    let categories = subscription["EventCategories"].as_array();
    subscription["SourceType"] == source
        && categories.is_some_and(|categories| categories.iter().any(|known| known == category))
}
