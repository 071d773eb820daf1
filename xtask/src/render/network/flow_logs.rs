//! Who spoke to whom.

use serde_json::json;

use crate::{
    environments::Environment,
    render::{
        iam,
        template::{Stack, Template, attribute, reference},
    },
};

pub(super) fn add(template: &mut Template, environment: &Environment) {
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
            "AssumeRolePolicyDocument": iam::trust("vpc-flow-logs.amazonaws.com", "ec2", "vpc-flow-log/*"),
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
