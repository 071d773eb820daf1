//! How tasks reach what is outside of the VPC.

use serde_json::{Value, json};

use super::{name_tag, zones};
use crate::{
    environments::{Egress, Environment},
    render::template::{Template, attribute, reference, sub},
};

/// AWS services that a task without another way out needs.
const ENDPOINTS: &[(&str, &str)] = &[
    ("EcrApi", "ecr.api"),
    ("EcrDkr", "ecr.dkr"),
    ("Logs", "logs"),
    ("SecretsManager", "secretsmanager"),
    ("Smtp", "email-smtp"),
];

/// What Security Hub wants in every VPC beside those (EC2.10, EC2.57, EC2.58, EC2.60).
const STRICT_ENDPOINTS: &[(&str, &str)] = &[
    ("Ec2", "ec2"),
    ("Ssm", "ssm"),
    ("SsmContacts", "ssm-contacts"),
    ("SsmIncidents", "ssm-incidents"),
];

pub(super) fn add(template: &mut Template, environment: &Environment) {
    match environment.network.egress {
        Egress::Nat => nat(template, environment, environment.network.zones),
        Egress::SingleNat => nat(template, environment, 1),
        Egress::Endpoints => endpoints(template, environment),
    }
    s3_endpoint(template, environment);
}

fn nat(template: &mut Template, environment: &Environment, gateways: u32) {
    for zone in 1..=gateways {
        template
            .add(
                format!("NatAddress{zone}"),
                "AWS::EC2::EIP",
                json!({"Domain": "vpc", "Tags": name_tag(environment, &format!("nat-{zone}"))}),
            )
            .after("InternetGatewayAttachment");
        template.add(
            format!("NatGateway{zone}"),
            "AWS::EC2::NatGateway",
            json!({
                "AllocationId": attribute(format!("NatAddress{zone}"), "AllocationId"),
                "SubnetId": reference(format!("PublicSubnet{zone}")),
                "Tags": name_tag(environment, &format!("nat-{zone}")),
            }),
        );
    }
    for zone in 1..=environment.network.zones {
        template.add(
            format!("PrivateDefaultRoute{zone}"),
            "AWS::EC2::Route",
            json!({
                "RouteTableId": reference(format!("PrivateRoutes{zone}")),
                "DestinationCidrBlock": "0.0.0.0/0",
                "NatGatewayId": reference(format!("NatGateway{}", zone.min(gateways))),
            }),
        );
    }
}

fn endpoints(template: &mut Template, environment: &Environment) {
    let strict = environment
        .network
        .strict_endpoints
        .then_some(STRICT_ENDPOINTS);
    for (id, service) in ENDPOINTS.iter().chain(strict.unwrap_or_default()) {
        let mut properties = json!({
            "VpcId": reference("Vpc"),
            "VpcEndpointType": "Interface",
            "ServiceName": sub(format!("com.amazonaws.${{AWS::Region}}.{service}")),
            "PrivateDnsEnabled": true,
            "SubnetIds": zones(environment, "PrivateSubnet"),
            "SecurityGroupIds": [reference("EndpointSecurityGroup")],
        });
        if let Some(policy) = endpoint_policy(environment, service) {
            properties["PolicyDocument"] = policy;
        }
        template.add(format!("{id}Endpoint"), "AWS::EC2::VPCEndpoint", properties);
    }
}

/// Only what is this account's own goes through; [`None`] where the service takes no policy.
fn endpoint_policy(environment: &Environment, service: &str) -> Option<Value> {
    let (actions, resource) = match service {
        "secretsmanager" => (
            json!([
                "secretsmanager:GetSecretValue",
                "secretsmanager:DescribeSecret"
            ]),
            json!(sub(format!(
                "arn:${{AWS::Partition}}:secretsmanager:${{AWS::Region}}:${{AWS::AccountId}}:secret:taskhub/{}/*",
                environment.name
            ))),
        ),
        "logs" => (
            json!(["logs:CreateLogStream", "logs:PutLogEvents"]),
            json!(sub(format!(
                "arn:${{AWS::Partition}}:logs:${{AWS::Region}}:${{AWS::AccountId}}:log-group:/taskhub/{}/*",
                environment.name
            ))),
        ),
        "email-smtp" => return None,
        _ => return Some(own_account("*")),
    };
    Some(json!({
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Principal": "*", "Action": actions, "Resource": resource,
            "Condition": {"StringEquals": {"aws:PrincipalAccount": reference("AWS::AccountId")}}}],
    }))
}

fn own_account(action: &str) -> Value {
    json!({
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Principal": "*", "Action": action, "Resource": "*",
            "Condition": {"StringEquals": {"aws:PrincipalAccount": reference("AWS::AccountId")}}}],
    })
}

/// The layers of images come from S3. It costs nothing and keeps them off the NAT gateways.
fn s3_endpoint(template: &mut Template, environment: &Environment) {
    template.add(
        "S3Endpoint",
        "AWS::EC2::VPCEndpoint",
        json!({
            "VpcId": reference("Vpc"),
            "VpcEndpointType": "Gateway",
            "ServiceName": sub("com.amazonaws.${AWS::Region}.s3"),
            "RouteTableIds": zones(environment, "PrivateRoutes"),
            "PolicyDocument": {
                "Version": "2012-10-17",
                "Statement": [{
                    "Effect": "Allow",
                    "Principal": "*",
                    "Action": "s3:GetObject",
                    "Resource": sub("arn:${AWS::Partition}:s3:::prod-${AWS::Region}-starport-layer-bucket/*"),
                }],
            },
        }),
    );
}
