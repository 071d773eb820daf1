//! What surrounds both.

use super::{Control, control, leads_to, some, statements, words};

const ENDPOINT: &str = "AWS::EC2::VPCEndpoint";

pub(super) const CONTROLS: &[Control] = &[
    control("EC2.6", "AWS::EC2::FlowLog", "flow logs", |p| {
        p["TrafficType"] == "ALL" || p["TrafficType"] == "REJECT"
    }),
    some(control("EC2.10", ENDPOINT, "an endpoint of EC2", |p| {
        leads_to(p, "ec2")
    })),
    some(control(
        "EC2.55†",
        ENDPOINT,
        "an endpoint of the images' registry",
        |p| leads_to(p, "ecr.api"),
    )),
    some(control(
        "EC2.56†",
        ENDPOINT,
        "an endpoint of the images' layers",
        |p| leads_to(p, "ecr.dkr"),
    )),
    some(control(
        "EC2.57†",
        ENDPOINT,
        "an endpoint of Systems Manager",
        |p| leads_to(p, "ssm"),
    )),
    some(control(
        "EC2.58†",
        ENDPOINT,
        "an endpoint of the incident manager's contacts",
        |p| leads_to(p, "ssm-contacts"),
    )),
    some(control(
        "EC2.60†",
        ENDPOINT,
        "an endpoint of the incident manager",
        |p| leads_to(p, "ssm-incidents"),
    )),
    control(
        "EC2.15",
        "AWS::EC2::Subnet",
        "subnets give no public addresses by themselves",
        |p| p["MapPublicIpOnLaunch"] == false,
    ),
    control(
        "EC2.18",
        "AWS::EC2::SecurityGroupIngress",
        "the world reaches 80 and 443 only",
        |p| {
            p["CidrIp"] != "0.0.0.0/0"
                || p["FromPort"] == p["ToPort"] && (p["FromPort"] == 80 || p["FromPort"] == 443)
        },
    ),
    control(
        "CloudWatch.15†",
        "AWS::CloudWatch::Alarm",
        "alarms tell somebody",
        |p| {
            p["AlarmActions"]
                .as_array()
                .is_some_and(|to| !to.is_empty())
        },
    ),
    control(
        "CloudWatch.16†",
        "AWS::Logs::LogGroup",
        "logs are kept for a year",
        |p| {
            p["RetentionInDays"]
                .as_u64()
                .is_some_and(|days| days >= 365)
        },
    ),
    control(
        "IAM.1",
        "AWS::IAM::ManagedPolicy",
        "no policy allows everything",
        |p| statements(&p["PolicyDocument"], |s| s["Action"] != "*"),
    ),
    control(
        "IAM.21",
        "AWS::IAM::ManagedPolicy",
        "no policy allows all of a service",
        |p| {
            statements(&p["PolicyDocument"], |s| {
                words(&s["Action"])
                    .iter()
                    .all(|action| !action.ends_with(":*"))
            })
        },
    ),
    control("KMS.4†", "AWS::KMS::Key", "keys rotate", |p| {
        p["EnableKeyRotation"] == true
    }),
    control("SNS.1†", "AWS::SNS::Topic", "topics are encrypted", |p| {
        p.get("KmsMasterKeyId").is_some()
    }),
    control(
        "KMS.5",
        "AWS::KMS::Key",
        "keys are not for everybody",
        |p| statements(&p["KeyPolicy"], |s| s["Principal"] != "*"),
    ),
    control(
        "SNS.4",
        "AWS::SNS::TopicPolicy",
        "topics are not for everybody",
        |p| {
            statements(&p["PolicyDocument"], |s| {
                s["Effect"] == "Deny" || s["Principal"] != "*"
            })
        },
    ),
];
