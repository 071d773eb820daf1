use serde_json::json;

use super::*;
use crate::lint::changes::Change;

/// An environment in which everything agrees.
fn stacks() -> Vec<(&'static str, Value)> {
    let platform = json!({"Resources": {
        "Logs": {"Type": "AWS::Logs::LogGroup", "Properties": {"LogGroupName": "/taskhub/staging/api"}},
        "Group": {"Type": "AWS::SSM::Parameter", "Properties": {"Name": "/taskhub/staging/group"}},
        "Targets": {"Type": "AWS::ElasticLoadBalancingV2::TargetGroup", "Properties": {
            "Port": 8000, "HealthCheckTimeoutSeconds": 5, "HealthCheckIntervalSeconds": 10}},
    }});
    let service = json!({
        "Parameters": {"Group": {"Type": "AWS::SSM::Parameter::Value<String>", "Default": "/taskhub/staging/group"}},
        "Resources": {
            "Service": {"Type": "AWS::ECS::Service", "Properties": {
                "TaskDefinition": {"Ref": "Task"},
                "LoadBalancers": [{"ContainerName": "api", "ContainerPort": 8000}]}},
            "Task": {"Type": "AWS::ECS::TaskDefinition", "Properties": {"ContainerDefinitions": [{
                "Name": "api",
                "PortMappings": [{"ContainerPort": 8000}],
                "HealthCheck": {"Timeout": 3, "Interval": 10},
                "LogConfiguration": {"Options": {"awslogs-group": "/taskhub/staging/api"}}}]}},
        },
    });
    vec![("staging/platform", platform), ("staging/service", service)]
}

fn found(change: Option<(&str, Change)>) -> Vec<String> {
    let templates: Vec<Template> = stacks()
        .into_iter()
        .map(|(name, content)| Template {
            name: name.to_owned(),
            path: name.into(),
            content: match &change {
                Some((changed, change)) if *changed == name => {
                    change.apply(&content).expect("a place")
                }
                _ => content,
            },
        })
        .collect();
    let findings = check(&templates);
    findings.into_iter().map(|finding| finding.rule).collect()
}

#[test]
fn stacks_that_agree_pass() {
    assert_eq!(found(None), Vec::<String>::new());
}

#[test]
fn every_disagreement_is_found() {
    let task = "/Resources/Task/Properties/ContainerDefinitions/0";
    let targets = "/Resources/Targets/Properties";
    let cases = [
        (
            "IMPORT_HAS_NO_SOURCE",
            "staging/platform",
            "/Resources/Group/Properties/Name".to_owned(),
            json!("/other"),
        ),
        (
            "NO_SUCH_CONTAINER",
            "staging/service",
            format!("{task}/Name"),
            json!("web"),
        ),
        (
            "NO_SUCH_LOG_GROUP",
            "staging/platform",
            "/Resources/Logs/Properties/LogGroupName".to_owned(),
            json!("/other"),
        ),
        (
            "PORTS_DIFFER",
            "staging/platform",
            format!("{targets}/Port"),
            json!(8080),
        ),
        (
            "PROBE_IS_SLOW",
            "staging/platform",
            format!("{targets}/HealthCheckTimeoutSeconds"),
            json!(30),
        ),
        (
            "PROBE_IS_SLOW",
            "staging/service",
            format!("{task}/HealthCheck/Timeout"),
            json!(10),
        ),
        (
            "NAME_IS_TAKEN",
            "staging/service",
            "/Resources/Second".to_owned(),
            json!({"Type": "AWS::Logs::LogGroup", "Properties": {"LogGroupName": "/taskhub/staging/api"}}),
        ),
    ];
    for (rule, template, at, is) in cases {
        let change = Change { at, is: Some(is) };
        assert_eq!(
            found(Some((template, change.clone()))),
            [rule],
            "{change:?}"
        );
        assert!(NAMES.contains(&rule));
    }
}
