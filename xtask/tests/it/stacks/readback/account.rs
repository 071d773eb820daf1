//! Roles, logs and alarms.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::super::{
    agreement::{Spelling, agree},
    environment::{Environment, by, text},
};
use super::without;

pub(crate) fn roles(environment: &Environment) {
    let told = environment.emulator.aws(&[
        "iam",
        "get-account-authorization-details",
        "--filter",
        "Role",
    ]);
    let told = by(&told["RoleDetailList"], "RoleName");
    for resource in environment.of_type("AWS::IAM::Role") {
        let role = &told[&text(&resource.properties["RoleName"])];
        let path = resource.id;
        agree(
            &resource.properties["AssumeRolePolicyDocument"],
            &role["AssumeRolePolicyDocument"],
            Spelling::Pascal,
            path,
        );
        if let Some(boundary) = resource.properties.get("PermissionsBoundary") {
            let name = text(&resource.properties["RoleName"]);
            let told = environment
                .emulator
                .aws(&["iam", "get-role", "--role-name", &name]);
            let told = &told["Role"]["PermissionsBoundary"]["PermissionsBoundaryArn"];
            agree(boundary, told, Spelling::Pascal, path);
        }
        let none = json!([]);
        let policies = resource.properties.get("Policies").unwrap_or(&none);
        let told = role.get("RolePolicyList").unwrap_or(&none);
        agree(policies, told, Spelling::Pascal, path);
        let attached = |list: &Value| list.as_array().map_or(0, Vec::len);
        let managed = attached(&resource.properties["ManagedPolicyArns"]);
        assert_eq!(
            managed,
            attached(&role["AttachedManagedPolicies"]),
            "{path}"
        );
    }
}

pub(crate) fn log_groups(environment: &Environment) {
    let told = environment.emulator.aws(&["logs", "describe-log-groups"]);
    let told = by(&told["logGroups"], "logGroupName");
    for resource in environment.of_type("AWS::Logs::LogGroup") {
        let group = &told[&text(&resource.properties["LogGroupName"])];
        let rendered = without(resource.properties, &["Tags"]);
        agree(&rendered, group, Spelling::Camel, resource.id);
    }
}

pub(crate) fn alarms(environment: &Environment) {
    let told = environment.emulator.aws(&["cloudwatch", "describe-alarms"]);
    let told = by(&told["MetricAlarms"], "AlarmName");
    let rendered = environment.of_type("AWS::CloudWatch::Alarm");
    let names: BTreeSet<String> = rendered
        .iter()
        .map(|resource| text(&resource.properties["AlarmName"]))
        .collect();
    assert_eq!(names, told.keys().cloned().collect());
    for resource in rendered {
        let alarm = &told[&text(&resource.properties["AlarmName"])];
        let rendered = without(
            resource.properties,
            &["EvaluateLowSampleCountPercentile", "Metrics", "Tags"],
        );
        agree(&rendered, alarm, Spelling::Pascal, resource.id);
    }
}
