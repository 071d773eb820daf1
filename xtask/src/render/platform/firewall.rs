//! The web application firewall before the load balancer.

use serde_json::{Value, json};

use super::Imports;
use crate::{
    environments::Environment,
    render::{
        iam,
        template::{Template, attribute, reference},
    },
};

/// AWS's common rules that the text of a task or a short script may break rightly: they only count.
const COUNTED: &[&str] = &[
    "CrossSiteScripting_BODY",
    "GenericLFI_BODY",
    "GenericRFI_BODY",
    "NoUserAgent_HEADER",
    "SizeRestrictions_BODY",
];

pub(super) fn add(template: &mut Template, environment: &Environment, imports: &Imports) {
    let counted: Vec<Value> = COUNTED
        .iter()
        .map(|name| json!({"Name": name, "ActionToUse": {"Count": {}}}))
        .collect();
    let rules = vec![
        limit(environment),
        managed(1, "AWSManagedRulesAmazonIpReputationList", &[]),
        managed(2, "AWSManagedRulesKnownBadInputsRuleSet", &[]),
        managed(3, "AWSManagedRulesCommonRuleSet", &counted),
    ];
    template.add(
        "Firewall",
        "AWS::WAFv2::WebACL",
        json!({
            "Name": format!("taskhub-{}", environment.name),
            "Scope": "REGIONAL",
            "DefaultAction": {"Allow": {}},
            "Rules": rules,
            "VisibilityConfig": visibility("taskhub"),
        }),
    );
    template.add(
        "FirewallAssociation",
        "AWS::WAFv2::WebACLAssociation",
        json!({"ResourceArn": reference("LoadBalancer"), "WebACLArn": attribute("Firewall", "Arn")}),
    );
    logs(template, environment, imports);
}

fn logs(template: &mut Template, environment: &Environment, imports: &Imports) {
    // WAF insists on this beginning.
    let group = format!("aws-waf-logs-taskhub-{}", environment.name);
    template
        .add(
            "FirewallLogs",
            "AWS::Logs::LogGroup",
            json!({
                "LogGroupName": group,
                "RetentionInDays": environment.logs.days,
                "KmsKeyId": imports.key,
            }),
        )
        .retained();
    template
        .add(
            "FirewallLogging",
            "AWS::WAFv2::LoggingConfiguration",
            json!({
                "ResourceArn": attribute("Firewall", "Arn"),
                // Without the `:*` at the end of what CloudFormation calls the group's ARN.
                "LogDestinationConfigs": [iam::arn("logs", &format!("log-group:{group}"))],
                "RedactedFields": [{"SingleHeader": {"Name": "authorization"}}, {"SingleHeader": {"Name": "cookie"}}],
            }),
        )
        .after("FirewallLogs");
}

fn limit(environment: &Environment) -> Value {
    json!({
        "Name": "limit",
        "Priority": 0,
        "Action": {"Block": {"CustomResponse": {"ResponseCode": 429}}},
        "Statement": {"RateBasedStatement": {
            "Limit": environment.edge.waf_requests,
            "AggregateKeyType": "IP",
            "EvaluationWindowSec": 300,
        }},
        "VisibilityConfig": visibility("limit"),
    })
}

fn managed(priority: u32, name: &str, overrides: &[Value]) -> Value {
    let mut group = json!({"VendorName": "AWS", "Name": name});
    if !overrides.is_empty() {
        group["RuleActionOverrides"] = json!(overrides);
    }
    json!({
        "Name": name,
        "Priority": priority,
        "OverrideAction": {"None": {}},
        "Statement": {"ManagedRuleGroupStatement": group},
        "VisibilityConfig": visibility(name),
    })
}

fn visibility(name: &str) -> Value {
    json!({"CloudWatchMetricsEnabled": true, "MetricName": name, "SampledRequestsEnabled": true})
}
