//! What must agree between the stacks of an environment, which no validator of single templates sees.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::{findings::Finding, templates::Template, validators::Validator};

/// The names under which they are found.
pub(crate) const NAMES: [&str; 6] = [
    "IMPORT_HAS_NO_SOURCE",
    "NAME_IS_TAKEN",
    "NO_SUCH_CONTAINER",
    "NO_SUCH_LOG_GROUP",
    "PORTS_DIFFER",
    "PROBE_IS_SLOW",
];

/// The stacks of an environment in the order in which they are made, after those of the account.
const ORDER: [&str; 6] = [
    "bootstrap",
    "network",
    "data",
    "platform",
    "migrate",
    "service",
];

pub(crate) fn check(templates: &[Template]) -> Vec<Finding> {
    let environments: BTreeSet<&str> = templates
        .iter()
        .filter_map(|template| Some(template.name.split_once('/')?.0))
        .collect();
    let mut findings = Vec::new();
    for environment in environments {
        let stacks = Stacks::of(templates, environment);
        findings.extend(stacks.imports());
        findings.extend(stacks.names());
        findings.extend(stacks.containers());
        findings.extend(stacks.log_groups());
        findings.extend(stacks.probes());
    }
    findings.sort();
    findings.dedup();
    findings
}

/// The templates that one environment consists of, in order.
struct Stacks<'a>(Vec<&'a Template>);

impl<'a> Stacks<'a> {
    fn of(templates: &'a [Template], environment: &str) -> Self {
        let named = |stack: &&str| {
            let name = if *stack == "bootstrap" {
                (*stack).to_owned()
            } else {
                format!("{environment}/{stack}")
            };
            templates.iter().find(|template| template.name == name)
        };
        Self(ORDER.iter().filter_map(named).collect())
    }

    fn resources(&self, kind: &str) -> impl Iterator<Item = (&'a Template, &'a str, &'a Value)> {
        let kind = kind.to_owned();
        self.0.iter().flat_map(move |template| {
            let kind = kind.clone();
            resources(template)
                .filter(move |(_, resource)| resource["Type"] == *kind)
                .map(move |(id, resource)| (*template, id, &resource["Properties"]))
        })
    }

    /// A value from Parameter Store is put there by a stack that is made earlier.
    fn imports(&self) -> Vec<Finding> {
        let mut known = BTreeSet::new();
        let mut findings = Vec::new();
        for template in &self.0 {
            let parameters = template.content["Parameters"].as_object();
            for (name, parameter) in parameters.into_iter().flatten() {
                let is_import = parameter["Type"]
                    .as_str()
                    .is_some_and(|kind| kind.starts_with("AWS::SSM::Parameter::Value"));
                let path = parameter["Default"].as_str().unwrap_or_default();
                if is_import && !known.contains(path) {
                    let message =
                        format!("no stack before this one puts {path} into Parameter Store");
                    findings.push(finding("IMPORT_HAS_NO_SOURCE", template, name, message));
                }
            }
            for (_, resource) in resources(template) {
                if resource["Type"] == "AWS::SSM::Parameter" {
                    known.extend(resource["Properties"]["Name"].as_str());
                }
            }
        }
        findings
    }

    /// No two resources of a kind have one name.
    fn names(&self) -> Vec<Finding> {
        let mut owners: BTreeMap<(&str, String), String> = BTreeMap::new();
        let mut findings = Vec::new();
        for template in &self.0 {
            for (id, resource) in resources(template) {
                let kind = resource["Type"].as_str().unwrap_or_default();
                let Some(name) = own_name(kind, &resource["Properties"]) else {
                    continue;
                };
                let owner = format!("{} of {}", id, template.name);
                if let Some(first) = owners.insert((kind, name.clone()), owner) {
                    let message = format!("{first} has the name {name}, too");
                    findings.push(finding("NAME_IS_TAKEN", template, id, message));
                }
            }
        }
        findings
    }

    /// What a service puts behind the load balancer is a container of its task, at the target group's port.
    fn containers(&self) -> Vec<Finding> {
        let mut findings = Vec::new();
        for (template, id, service) in self.resources("AWS::ECS::Service") {
            let task = service["TaskDefinition"]["Ref"]
                .as_str()
                .unwrap_or_default();
            let task = &template.content["Resources"][task]["Properties"];
            for balanced in service["LoadBalancers"].as_array().into_iter().flatten() {
                let name = &balanced["ContainerName"];
                let port = &balanced["ContainerPort"];
                let containers = task["ContainerDefinitions"].as_array();
                let ports = containers
                    .into_iter()
                    .flatten()
                    .filter(|container| container["Name"] == *name)
                    .filter_map(|container| container["PortMappings"].as_array())
                    .flatten();
                if !ports
                    .clone()
                    .any(|mapping| mapping["ContainerPort"] == *port)
                {
                    let message =
                        format!("the task has no container {name} that listens at {port}");
                    findings.push(finding("NO_SUCH_CONTAINER", template, id, message));
                }
                for (_, _, group) in self.resources("AWS::ElasticLoadBalancingV2::TargetGroup") {
                    if group["Port"] != *port {
                        let message =
                            format!("the target group asks at {}, not at {port}", group["Port"]);
                        findings.push(finding("PORTS_DIFFER", template, id, message));
                    }
                }
            }
        }
        findings
    }

    /// ECS does not start a task whose log group is missing.
    fn log_groups(&self) -> Vec<Finding> {
        let known: BTreeSet<&str> = self
            .resources("AWS::Logs::LogGroup")
            .filter_map(|(_, _, group)| group["LogGroupName"].as_str())
            .collect();
        let mut findings = Vec::new();
        for (template, id, task) in self.resources("AWS::ECS::TaskDefinition") {
            for container in task["ContainerDefinitions"]
                .as_array()
                .into_iter()
                .flatten()
            {
                let group = &container["LogConfiguration"]["Options"]["awslogs-group"];
                if group.as_str().is_some_and(|name| !known.contains(name)) {
                    let message = format!("no stack makes the log group {group}");
                    findings.push(finding("NO_SUCH_LOG_GROUP", template, id, message));
                }
            }
        }
        findings
    }

    /// A probe answers before the next one is due.
    fn probes(&self) -> Vec<Finding> {
        let mut findings = Vec::new();
        let mut compare = |template: &Template, id: &str, timeout: &Value, interval: &Value| {
            if timeout.as_u64() >= interval.as_u64() {
                let message =
                    format!("a health check may take {timeout} s and is due every {interval} s");
                findings.push(finding("PROBE_IS_SLOW", template, id, message));
            }
        };
        for (template, id, group) in self.resources("AWS::ElasticLoadBalancingV2::TargetGroup") {
            let (timeout, interval) = ("HealthCheckTimeoutSeconds", "HealthCheckIntervalSeconds");
            compare(template, id, &group[timeout], &group[interval]);
        }
        for (template, id, task) in self.resources("AWS::ECS::TaskDefinition") {
            for container in task["ContainerDefinitions"]
                .as_array()
                .into_iter()
                .flatten()
            {
                if let Some(check) = container.get("HealthCheck") {
                    compare(template, id, &check["Timeout"], &check["Interval"]);
                }
            }
        }
        findings
    }
}

fn resources(template: &Template) -> impl Iterator<Item = (&str, &Value)> {
    let resources = template.content["Resources"].as_object();
    resources
        .into_iter()
        .flat_map(Map::iter)
        .map(|(id, resource)| (id.as_str(), resource))
}

/// The name that a template gives to a resource itself, as text.
fn own_name(kind: &str, properties: &Value) -> Option<String> {
    let key = match kind {
        "AWS::IAM::Role" => "RoleName",
        "AWS::Logs::LogGroup" => "LogGroupName",
        "AWS::CloudWatch::Alarm" => "AlarmName",
        "AWS::ECS::TaskDefinition" => "Family",
        "AWS::SSM::Parameter" | "AWS::SecretsManager::Secret" | "AWS::Events::Rule" => "Name",
        _ => return None,
    };
    properties[key].as_str().map(str::to_owned)
}

fn finding(rule: &str, template: &Template, resource: &str, message: String) -> Finding {
    Finding {
        validator: Validator::Invariants,
        rule: rule.to_owned(),
        template: template.name.clone(),
        resource: resource.to_owned(),
        message,
    }
}
