//! The network stack: subnets by who may be reached from where, and the way out.

mod flow_logs;
mod security_groups;
mod subnets;
mod ways_out;

use serde_json::{Value, json};

use super::template::{Intrinsic, Stack, Template, attribute, reference};
use crate::environments::Environment;

/// Not the ports that everybody tries first.
pub(crate) const DATABASE_PORT: u16 = 5433;

pub(crate) const CACHE_PORT: u16 = 6380;

pub(crate) fn stack(environment: &Environment) -> Template {
    let mut template = Template::new(
        Stack::Network,
        Some(environment.name),
        "VPC, subnets, ways out and flow logs",
    );
    vpc(&mut template, environment);
    subnets::add(&mut template, environment);
    security_groups::add(&mut template, environment);
    ways_out::add(&mut template, environment);
    flow_logs::add(&mut template, environment);
    exports(&mut template, environment);
    template
}

fn vpc(template: &mut Template, environment: &Environment) {
    template.add(
        "Vpc",
        "AWS::EC2::VPC",
        json!({
            "CidrBlock": environment.network.cidr,
            "EnableDnsHostnames": true,
            "EnableDnsSupport": true,
            "Tags": name_tag(environment, "vpc"),
        }),
    );
    template.add(
        "InternetGateway",
        "AWS::EC2::InternetGateway",
        json!({"Tags": name_tag(environment, "igw")}),
    );
    template.add(
        "InternetGatewayAttachment",
        "AWS::EC2::VPCGatewayAttachment",
        json!({"VpcId": reference("Vpc"), "InternetGatewayId": reference("InternetGateway")}),
    );
}

fn exports(template: &mut Template, environment: &Environment) {
    template.export("vpc", &reference("Vpc"));
    for tier in subnets::TIERS {
        let ids = zones(environment, &format!("{tier}Subnet"));
        template.export(
            &format!("{}-subnets", tier.to_lowercase()),
            &Intrinsic::Join(ids),
        );
    }
    for name in [
        "LoadBalancer",
        "Api",
        "Worker",
        "Migrate",
        "Database",
        "Cache",
    ] {
        let kebab = if name == "LoadBalancer" {
            "load-balancer".to_owned()
        } else {
            name.to_lowercase()
        };
        let group = attribute(format!("{name}SecurityGroup"), "GroupId");
        template.export(&format!("{kebab}-security-group"), &group);
    }
}

/// `name1`, `name2`, …: one for each zone.
fn zones(environment: &Environment, name: &str) -> Vec<Intrinsic> {
    (1..=environment.network.zones)
        .map(|zone| reference(format!("{name}{zone}")))
        .collect()
}

fn name_tag(environment: &Environment, name: &str) -> Value {
    json!([{"Key": "Name", "Value": format!("taskhub-{}-{name}", environment.name)}])
}
