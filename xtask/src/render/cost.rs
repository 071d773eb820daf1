//! What a stack costs in a month before anybody uses it, from its template and `infra/prices.toml`.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::template::{Stack, Template};
use crate::environments::{Faults, parse};

/// The price table. All amounts are US dollars.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Prices {
    /// Year and month.
    pub(crate) date: String,
    pub(crate) region: String,
    /// In a month.
    hours: f64,
    /// By processor architecture.
    fargate: BTreeMap<String, Fargate>,
    /// For an hour in one zone, by class.
    pub(crate) database: BTreeMap<String, f64>,
    /// For an hour of a node, by type.
    pub(crate) cache: BTreeMap<String, f64>,
    rates: Rates,
}

/// For an hour of a vCPU and of a GB.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Fargate {
    cpu: f64,
    memory: f64,
    spot_cpu: f64,
    spot_memory: f64,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Rates {
    /// GB and month, in one zone.
    storage: f64,
    /// Hour.
    nat_gateway: f64,
    /// Hour.
    public_address: f64,
    /// Hour and zone.
    endpoint: f64,
    /// Hour.
    load_balancer: f64,
    /// Hour.
    capacity_unit: f64,
    /// Month.
    secret: f64,
    /// Month.
    key: f64,
    /// Month, for each metric.
    alarm: f64,
    /// Month.
    metric: f64,
    /// Month.
    dashboard: f64,
    /// Month.
    firewall: f64,
    /// Month.
    firewall_rule: f64,
}

impl Prices {
    /// The table of this checkout, as it was when this program was built.
    ///
    /// # Errors
    /// Where the table has a fault: file, line, key and what would be right.
    pub(crate) fn built_in() -> Result<Self, Faults> {
        parse(
            "infra/prices.toml",
            include_str!("../../../infra/prices.toml"),
        )
    }
}

/// What one resource costs in a month.
#[derive(Debug)]
pub(crate) struct Item {
    /// The logical id.
    pub(crate) resource: String,
    /// How much of what.
    pub(crate) what: String,
    /// US dollars.
    pub(crate) monthly: f64,
}

/// Every resource of `template` that costs something while nobody uses it.
pub(crate) fn of(template: &Value, prices: &Prices) -> Vec<Item> {
    let resources = template.get("Resources").and_then(Value::as_object);
    let entries = resources.into_iter().flatten();
    entries
        .filter_map(|(id, resource)| {
            let kind = resource.get("Type")?.as_str()?;
            let (what, monthly) = price(kind, id, &resource["Properties"], template, prices)?;
            Some(Item {
                resource: id.clone(),
                what,
                monthly,
            })
        })
        .collect()
}

/// The sum of items, in US dollars.
pub(crate) fn total(items: &[Item]) -> f64 {
    items.iter().fold(0.0, |sum, item| sum + item.monthly)
}

fn price(
    kind: &str,
    id: &str,
    properties: &Value,
    template: &Value,
    prices: &Prices,
) -> Option<(String, f64)> {
    let Prices { hours, rates, .. } = prices;
    match kind {
        "AWS::EC2::NatGateway" => Some(("NAT gateway".to_owned(), hours * rates.nat_gateway)),
        "AWS::EC2::EIP" => Some(("public address".to_owned(), hours * rates.public_address)),
        "AWS::EC2::VPCEndpoint" if properties["VpcEndpointType"] == "Interface" => {
            let zones = count(&properties["SubnetIds"]);
            Some((
                format!("endpoint in {zones} zones"),
                hours * rates.endpoint * zones,
            ))
        }
        "AWS::RDS::DBInstance" => database(properties, prices),
        "AWS::ElastiCache::ReplicationGroup" => {
            let class = properties["CacheNodeType"].as_str()?;
            let nodes = properties["NumCacheClusters"].as_f64()?;
            let hourly = prices.cache.get(class)?;
            Some((format!("{nodes} × {class}"), nodes * hours * hourly))
        }
        "AWS::ElasticLoadBalancingV2::LoadBalancer" => {
            let hourly = rates.load_balancer + rates.capacity_unit + 2.0 * rates.public_address;
            Some((
                "load balancer, one capacity unit, two public addresses".to_owned(),
                hours * hourly,
            ))
        }
        "AWS::SecretsManager::Secret" => Some(("secret".to_owned(), rates.secret)),
        "AWS::KMS::Key" => Some(("key".to_owned(), rates.key)),
        "AWS::CloudWatch::Alarm" => {
            let metrics = metrics(&properties["Metrics"]);
            Some((format!("alarm on {metrics} metrics"), rates.alarm * metrics))
        }
        "AWS::CloudWatch::Dashboard" => Some(("dashboard".to_owned(), rates.dashboard)),
        "AWS::Logs::MetricFilter" => Some(("metric".to_owned(), rates.metric)),
        "AWS::WAFv2::WebACL" => {
            let rules = count(&properties["Rules"]);
            let monthly = rates.firewall + rates.firewall_rule * rules;
            Some((format!("firewall with {rules} rules"), monthly))
        }
        "AWS::ECS::Service" => service(id, properties, template, prices),
        _ => None,
    }
}

fn database(properties: &Value, prices: &Prices) -> Option<(String, f64)> {
    let class = properties["DBInstanceClass"].as_str()?;
    let storage: f64 = properties["AllocatedStorage"].as_str()?.parse().ok()?;
    let copies = if properties["MultiAZ"] == true {
        2.0
    } else {
        1.0
    };
    let monthly = prices.hours * prices.database.get(class)? + storage * prices.rates.storage;
    Some((
        format!("{copies} × {class} with {storage} GB"),
        copies * monthly,
    ))
}

/// As many tasks as the service has at least.
fn service(
    id: &str,
    properties: &Value,
    template: &Value,
    prices: &Prices,
) -> Option<(String, f64)> {
    let resources = template.get("Resources")?;
    let definition = &resources[properties["TaskDefinition"]["Ref"].as_str()?]["Properties"];
    let architecture = definition["RuntimePlatform"]["CpuArchitecture"].as_str()?;
    let rates = prices.fargate.get(architecture)?;
    let cpus = definition["Cpu"].as_str()?.parse::<f64>().ok()? / 1024.0;
    let memory = definition["Memory"].as_str()?.parse::<f64>().ok()? / 1024.0;
    let scaling = format!("{}Scaling", id.strip_suffix("Service")?);
    let tasks = resources[scaling]["Properties"]["MinCapacity"].as_f64()?;
    let spot = properties["CapacityProviderStrategy"][0]["CapacityProvider"] == "FARGATE_SPOT";
    let hourly = if spot {
        cpus * rates.spot_cpu + memory * rates.spot_memory
    } else {
        cpus * rates.cpu + memory * rates.memory
    };
    let place = if spot { "Fargate Spot" } else { "Fargate" };
    let what = format!("{tasks} tasks with {cpus} vCPU and {memory} GB on {place}, {architecture}");
    Some((what, tasks * prices.hours * hourly))
}

fn count(list: &Value) -> f64 {
    list.as_array().map_or(0, Vec::len) as f64
}

/// Metrics that an alarm reads: one where it names no expression.
fn metrics(metrics: &Value) -> f64 {
    let read = metrics.as_array().map(|metrics| {
        metrics
            .iter()
            .filter(|metric| metric.get("MetricStat").is_some())
            .count()
    });
    read.unwrap_or(1) as f64
}

/// `cost.md`.
pub(crate) fn page(environment: &str, stacks: &[(Stack, Template)], prices: &Prices) -> String {
    let mut text = format!(
        "# What {environment} costs in a month\n\n\
         US dollars, list prices of {} in {}, on demand, written by `cargo xtask render`. The prices are assumptions that \
         `infra/prices.toml` dates and sources. Counted is what stands there while nobody uses it, with as many tasks as there \
         are at least. Not counted: traffic, log lines, Container Insights, requests beyond one capacity unit, backups beyond the \
         database's size, and more tasks under load. The bootstrap stack is there once for an account.\n\n\
         | stack | monthly |\n|---|---:|\n",
        prices.date, prices.region
    );
    let mut all = 0.0;
    let mut details = String::new();
    for (stack, template) in stacks {
        let items = of(&template.to_value(), prices);
        let sum = total(&items);
        all += sum;
        text.push_str(&format!("| {} | {sum:.2} |\n", stack.as_str()));
        details.push_str(&section(stack.as_str(), items));
    }
    text.push_str(&format!("| **all** | **{all:.2}** |\n{details}"));
    text
}

/// The dearest first; nothing where nothing costs anything.
fn section(stack: &str, mut items: Vec<Item>) -> String {
    if items.is_empty() {
        return String::new();
    }
    items.sort_by(|a, b| {
        b.monthly
            .total_cmp(&a.monthly)
            .then_with(|| a.resource.cmp(&b.resource))
    });
    let mut text = format!("\n## {stack}\n\n| resource | what | monthly |\n|---|---|---:|\n");
    for item in items {
        text.push_str(&format!(
            "| {} | {} | {:.2} |\n",
            item.resource, item.what, item.monthly
        ));
    }
    text
}
