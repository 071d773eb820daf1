//! Who may speak to whom. A group lets nothing through but what a rule of its own names.

use serde_json::json;

use super::{CACHE_PORT, DATABASE_PORT, name_tag};
use crate::{
    contract,
    environments::{Egress, Environment},
    render::template::{Template, attribute, reference},
};

/// TLS from the first byte, and after STARTTLS.
const SMTP_PORTS: [u16; 2] = [465, 587];

/// What has a group, and who asks it.
const GROUPS: &[(&str, &str)] = &[
    ("LoadBalancer", "The load balancer: the world may ask it"),
    ("Api", "API tasks: asked by the load balancer alone"),
    ("Worker", "Worker tasks: nobody asks them"),
    ("Migrate", "The migration task: nobody asks it"),
    ("Database", "PostgreSQL: asked by the tasks alone"),
    ("Cache", "Valkey: asked by the API and the worker alone"),
];

const TASKS: [&str; 3] = ["Api", "Worker", "Migrate"];

pub(super) fn add(template: &mut Template, environment: &Environment) {
    for (name, description) in GROUPS {
        group(template, environment, name, description);
    }
    from_world(template, 80, "HTTP, to be sent to HTTPS, from anywhere");
    from_world(template, 443, "HTTPS from anywhere");
    allow(template, "LoadBalancer", "Api", contract::api_port());
    for task in TASKS {
        allow(template, task, "Database", DATABASE_PORT);
    }
    for task in ["Api", "Worker"] {
        allow(template, task, "Cache", CACHE_PORT);
    }
    outside(template, environment);
}

/// As far as the route tables lead: with `endpoints`, to the gateway of S3 and no further.
fn outside(template: &mut Template, environment: &Environment) {
    for task in TASKS {
        to_world(template, task, 443);
    }
    let has_endpoints = environment.network.egress == Egress::Endpoints;
    if has_endpoints {
        group(
            template,
            environment,
            "Endpoint",
            "AWS services: asked by the tasks alone",
        );
        for task in TASKS {
            allow(template, task, "Endpoint", 443);
        }
    }
    for port in SMTP_PORTS {
        if has_endpoints {
            allow(template, "Worker", "Endpoint", port);
        } else {
            to_world(template, "Worker", port);
        }
    }
}

/// A group that lets nothing through by itself.
fn group(template: &mut Template, environment: &Environment, name: &str, description: &str) {
    template.add(
        format!("{name}SecurityGroup"),
        "AWS::EC2::SecurityGroup",
        json!({
            "GroupDescription": description,
            "VpcId": reference("Vpc"),
            // Without a rule of ours, EC2 would allow everything.
            "SecurityGroupEgress": [{
                "IpProtocol": "icmp",
                "FromPort": 252,
                "ToPort": 86,
                "CidrIp": "255.255.255.255/32",
                "Description": "Nothing but what separate rules allow",
            }],
            "Tags": name_tag(environment, &name.to_lowercase()),
        }),
    );
}

/// Both halves of one way: out of one group and into another.
fn allow(template: &mut Template, from: &str, to: &str, port: u16) {
    let (source, target) = (format!("{from}SecurityGroup"), format!("{to}SecurityGroup"));
    template.add(
        format!("{from}To{to}{port}"),
        "AWS::EC2::SecurityGroupEgress",
        json!({
            "GroupId": attribute(&source, "GroupId"),
            "DestinationSecurityGroupId": attribute(&target, "GroupId"),
            "IpProtocol": "tcp",
            "FromPort": port,
            "ToPort": port,
            "Description": format!("To {}", to.to_lowercase()),
        }),
    );
    template.add(
        format!("{to}From{from}{port}"),
        "AWS::EC2::SecurityGroupIngress",
        json!({
            "GroupId": attribute(&target, "GroupId"),
            "SourceSecurityGroupId": attribute(&source, "GroupId"),
            "IpProtocol": "tcp",
            "FromPort": port,
            "ToPort": port,
            "Description": format!("From {}", from.to_lowercase()),
        }),
    );
}

fn from_world(template: &mut Template, port: u16, description: &str) {
    template.add(
        format!("LoadBalancerFromWorld{port}"),
        "AWS::EC2::SecurityGroupIngress",
        json!({
            "GroupId": attribute("LoadBalancerSecurityGroup", "GroupId"),
            "CidrIp": "0.0.0.0/0",
            "IpProtocol": "tcp",
            "FromPort": port,
            "ToPort": port,
            "Description": description,
        }),
    );
}

fn to_world(template: &mut Template, task: &str, port: u16) {
    template.add(
        format!("{task}ToWorld{port}"),
        "AWS::EC2::SecurityGroupEgress",
        json!({
            "GroupId": attribute(format!("{task}SecurityGroup"), "GroupId"),
            "CidrIp": "0.0.0.0/0",
            "IpProtocol": "tcp",
            "FromPort": port,
            "ToPort": port,
            "Description": "As far as the route table leads",
        }),
    );
}
