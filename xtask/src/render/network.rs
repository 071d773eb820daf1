//! The network stack: subnets by who may be reached from where, and the way out.

use serde_json::{Value, json};

use super::template::{Intrinsic, Stack, Template, attribute, reference, sub};
use crate::{
    contract,
    environments::{Egress, Environment},
};

/// Not the ports that everybody tries first.
pub(crate) const DATABASE_PORT: u16 = 5433;
pub(crate) const CACHE_PORT: u16 = 6380;

/// TLS from the first byte, and after STARTTLS.
const SMTP_PORTS: [u16; 2] = [465, 587];

/// Which subnets, in the order of their address blocks.
const TIERS: [&str; 3] = ["Public", "Private", "Data"];

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

pub(crate) fn stack(environment: &Environment) -> Template {
    let mut template = Template::new(
        Stack::Network,
        Some(environment.name),
        "VPC, subnets, ways out and flow logs",
    );
    vpc(&mut template, environment);
    for zone in 1..=environment.network.zones {
        for (tier, name) in TIERS.iter().enumerate() {
            subnet(&mut template, environment, zone, tier, name);
        }
    }
    public_routes(&mut template, environment);
    security_groups(&mut template, environment);
    match environment.network.egress {
        Egress::Nat => nat(&mut template, environment, environment.network.zones),
        Egress::SingleNat => nat(&mut template, environment, 1),
        Egress::Endpoints => endpoints(&mut template, environment),
    }
    s3_endpoint(&mut template, environment);
    flow_logs(&mut template, environment);
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

fn subnet(template: &mut Template, environment: &Environment, zone: u32, tier: usize, name: &str) {
    // Room for a fourth zone, so that adding one moves no subnet.
    let index = tier * 4 + zone as usize - 1;
    // A /20 each: 12 bits of addresses.
    let blocks = json!({"Fn::Cidr": [attribute("Vpc", "CidrBlock"), TIERS.len() * 4, "12"]});
    let id = format!("{name}Subnet{zone}");
    template.add(
        &id,
        "AWS::EC2::Subnet",
        json!({
            "VpcId": reference("Vpc"),
            "CidrBlock": Intrinsic::Select(index, Box::new(blocks)),
            "AvailabilityZone": Intrinsic::Select(zone as usize - 1, Box::new(json!(Intrinsic::Zones))),
            // The load balancer gets its addresses without it.
            "MapPublicIpOnLaunch": false,
            "Tags": name_tag(environment, &format!("{}-{zone}", name.to_lowercase())),
        }),
    );
    let table = match name {
        "Public" => "PublicRoutes".to_owned(),
        "Data" => "DataRoutes".to_owned(),
        _ => {
            let table = format!("PrivateRoutes{zone}");
            route_table(template, environment, &table, &format!("private-{zone}"));
            table
        }
    };
    template.add(
        format!("{id}Routes"),
        "AWS::EC2::SubnetRouteTableAssociation",
        json!({"SubnetId": reference(&id), "RouteTableId": reference(table)}),
    );
}

fn route_table(template: &mut Template, environment: &Environment, id: &str, name: &str) {
    template.add(
        id,
        "AWS::EC2::RouteTable",
        json!({"VpcId": reference("Vpc"), "Tags": name_tag(environment, name)}),
    );
}

/// Only the load balancer's subnets have a way in. Those of the data have no way at all.
fn public_routes(template: &mut Template, environment: &Environment) {
    route_table(template, environment, "PublicRoutes", "public");
    route_table(template, environment, "DataRoutes", "data");
    template
        .add(
            "PublicDefaultRoute",
            "AWS::EC2::Route",
            json!({
                "RouteTableId": reference("PublicRoutes"),
                "DestinationCidrBlock": "0.0.0.0/0",
                "GatewayId": reference("InternetGateway"),
            }),
        )
        .after("InternetGatewayAttachment");
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

fn security_groups(template: &mut Template, environment: &Environment) {
    group(
        template,
        environment,
        "LoadBalancer",
        "The load balancer: the world may ask it",
    );
    group(
        template,
        environment,
        "Api",
        "API tasks: asked by the load balancer alone",
    );
    group(
        template,
        environment,
        "Worker",
        "Worker tasks: nobody asks them",
    );
    group(
        template,
        environment,
        "Migrate",
        "The migration task: nobody asks it",
    );
    group(
        template,
        environment,
        "Database",
        "PostgreSQL: asked by the tasks alone",
    );
    group(
        template,
        environment,
        "Cache",
        "Valkey: asked by the API and the worker alone",
    );
    for (port, what) in [(80, "HTTP, to be sent to HTTPS"), (443, "HTTPS")] {
        template.add(
            format!("LoadBalancerFromWorld{port}"),
            "AWS::EC2::SecurityGroupIngress",
            json!({
                "GroupId": attribute("LoadBalancerSecurityGroup", "GroupId"),
                "CidrIp": "0.0.0.0/0",
                "IpProtocol": "tcp",
                "FromPort": port,
                "ToPort": port,
                "Description": format!("{what} from anywhere"),
            }),
        );
    }
    allow(template, "LoadBalancer", "Api", contract::api_port());
    for task in ["Api", "Worker", "Migrate"] {
        allow(template, task, "Database", DATABASE_PORT);
    }
    for task in ["Api", "Worker"] {
        allow(template, task, "Cache", CACHE_PORT);
    }
    // As far as the route tables lead: with `endpoints`, to the gateway of S3 and no further.
    for task in ["Api", "Worker", "Migrate"] {
        to_world(template, task, 443);
    }
    if environment.network.egress == Egress::Endpoints {
        group(
            template,
            environment,
            "Endpoint",
            "AWS services: asked by the tasks alone",
        );
        for task in ["Api", "Worker", "Migrate"] {
            allow(template, task, "Endpoint", 443);
        }
    }
    for port in SMTP_PORTS {
        match environment.network.egress {
            Egress::Endpoints => allow(template, "Worker", "Endpoint", port),
            Egress::Nat | Egress::SingleNat => to_world(template, "Worker", port),
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

fn flow_logs(template: &mut Template, environment: &Environment) {
    let key = template.import(Stack::Bootstrap, "key-arn");
    let boundary = template.import(Stack::Bootstrap, "boundary-arn");
    template
        .add(
            "FlowLogGroup",
            "AWS::Logs::LogGroup",
            json!({
                "LogGroupName": format!("/taskhub/{}/flow", environment.name),
                "RetentionInDays": environment.logs.days,
                "KmsKeyId": key,
            }),
        )
        .retained();
    template.add(
        "FlowLogRole",
        "AWS::IAM::Role",
        json!({
            "RoleName": format!("taskhub-{}-flow-logs", environment.name),
            "PermissionsBoundary": boundary,
            "AssumeRolePolicyDocument": super::iam::trust("vpc-flow-logs.amazonaws.com", "ec2", "vpc-flow-log/*"),
            "Policies": [{
                "PolicyName": "write",
                "PolicyDocument": {
                    "Version": "2012-10-17",
                    "Statement": [{
                        "Effect": "Allow",
                        "Action": ["logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"],
                        "Resource": attribute("FlowLogGroup", "Arn"),
                    }],
                },
            }],
        }),
    );
    template.add(
        "FlowLog",
        "AWS::EC2::FlowLog",
        json!({
            "ResourceId": reference("Vpc"),
            "ResourceType": "VPC",
            "TrafficType": "ALL",
            "LogDestinationType": "cloud-watch-logs",
            "LogGroupName": reference("FlowLogGroup"),
            "DeliverLogsPermissionArn": attribute("FlowLogRole", "Arn"),
            "MaxAggregationInterval": 600,
        }),
    );
}

fn exports(template: &mut Template, environment: &Environment) {
    template.export("vpc", &reference("Vpc"));
    for tier in TIERS {
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
