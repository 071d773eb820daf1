//! Between stacks: what one takes, another gives; and what must outlive them.

use std::collections::BTreeSet;

use super::*;

/// Types whose loss is a loss of data, or of what led to it.
const STATEFUL: &[&str] = &[
    "AWS::Backup::BackupVault",
    "AWS::ECR::Repository",
    "AWS::ElastiCache::ReplicationGroup",
    "AWS::KMS::Key",
    "AWS::Logs::LogGroup",
    "AWS::RDS::DBInstance",
    "AWS::S3::Bucket",
    "AWS::SecretsManager::Secret",
];

#[test]
fn what_keeps_data_outlives_its_stack() {
    for rendered in environments() {
        for (_, template) in &rendered.stacks {
            let template = template.to_value();
            for (id, resource) in template["Resources"].as_object().expect("resources") {
                let kind = resource["Type"].as_str().expect("a type");
                if STATEFUL.contains(&kind) {
                    let gone = resource["DeletionPolicy"].as_str();
                    let replaced = resource["UpdateReplacePolicy"].as_str();
                    assert!(
                        matches!(gone, Some("RetainExceptOnCreate" | "Snapshot")),
                        "{id} goes with its stack"
                    );
                    assert!(
                        matches!(replaced, Some("Retain" | "Snapshot")),
                        "{id} goes when it is replaced"
                    );
                }
            }
        }
    }
}

#[test]
fn a_stack_takes_only_what_an_earlier_one_keeps() {
    for rendered in environments() {
        let mut kept = BTreeSet::new();
        for (stack, template) in &rendered.stacks {
            let template = template.to_value();
            for (id, parameter) in template["Parameters"].as_object().into_iter().flatten() {
                if parameter["Type"] == "AWS::SSM::Parameter::Value<String>" {
                    let path = parameter["Default"].as_str().expect("a path");
                    assert!(
                        kept.contains(path),
                        "{}/{id}: nobody keeps {path}",
                        stack.as_str()
                    );
                }
            }
            for (_, properties) in of_kind(&template, "AWS::SSM::Parameter") {
                kept.insert(properties["Name"].as_str().expect("a path").to_owned());
            }
        }
    }
}

#[test]
fn every_reference_leads_somewhere() {
    for rendered in environments() {
        for (stack, template) in &rendered.stacks {
            let template = template.to_value();
            let mut names = BTreeSet::new();
            for section in ["Parameters", "Resources"] {
                names.extend(
                    template[section]
                        .as_object()
                        .into_iter()
                        .flatten()
                        .map(|(id, _)| id.clone()),
                );
            }
            let mut used = BTreeSet::new();
            references(&template, &mut used);
            for name in used.iter().filter(|name| !name.starts_with("AWS::")) {
                assert!(
                    names.contains(name),
                    "{}: {name} is nothing",
                    stack.as_str()
                );
            }
            for parameter in template["Parameters"]
                .as_object()
                .into_iter()
                .flatten()
                .map(|(id, _)| id)
            {
                assert!(
                    used.contains(parameter),
                    "{}: nothing uses {parameter}",
                    stack.as_str()
                );
            }
        }
    }
}

fn references(value: &Value, used: &mut BTreeSet<String>) {
    match value {
        Value::Object(object) => {
            if let Some(name) = object.get("Ref").and_then(Value::as_str) {
                used.insert(name.to_owned());
            }
            if let Some(name) = object.get("Fn::GetAtt").and_then(|pair| pair[0].as_str()) {
                used.insert(name.to_owned());
            }
            if let Some(text) = object.get("Fn::Sub").and_then(Value::as_str) {
                for part in text.split("${").skip(1) {
                    let name = part.split('}').next().unwrap_or_default();
                    let name = if name.starts_with("AWS::") {
                        name
                    } else {
                        name.split('.').next().unwrap_or_default()
                    };
                    used.insert(name.to_owned());
                }
            }
            object.values().for_each(|value| references(value, used));
        }
        Value::Array(values) => values.iter().for_each(|value| references(value, used)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[test]
fn a_template_can_be_sent_without_a_bucket() {
    for (path, text) in files(root()).expect("files") {
        if path.to_string_lossy().ends_with("template.json") {
            assert!(
                text.len() <= template::LONGEST,
                "{} has {} bytes",
                path.display(),
                text.len()
            );
        }
    }
}

/// IAM counts without spaces.
#[test]
fn a_managed_policy_is_short_enough_for_iam() {
    let template = bootstrap::stack().to_value();
    for (id, properties) in of_kind(&template, "AWS::IAM::ManagedPolicy") {
        let length = template::compact(&template::filled(&properties["PolicyDocument"])).len();
        assert!(length <= 6144, "{id} has {length} characters");
    }
}

#[test]
fn every_role_of_an_environment_stays_within_the_boundary() {
    for rendered in environments() {
        for (stack, template) in rendered
            .stacks
            .iter()
            .filter(|(stack, _)| *stack != Stack::Bootstrap)
        {
            let template = template.to_value();
            for (id, role) in of_kind(&template, "AWS::IAM::Role") {
                assert_eq!(
                    role["PermissionsBoundary"]["Ref"],
                    "BootstrapBoundaryArn",
                    "{}/{id}",
                    stack.as_str()
                );
                let name = role["RoleName"].as_str().expect("a name");
                let prefix = format!("taskhub-{}-", rendered.environment.name);
                assert!(
                    name.starts_with(&prefix),
                    "CloudFormation may not make {name}"
                );
            }
        }
    }
}

#[test]
fn no_account_and_no_region_stands_in_a_template() {
    for (path, text) in files(root()).expect("files") {
        let name = path.to_string_lossy();
        if !name.ends_with("template.json") {
            continue;
        }
        // The services that know no regions are in this one.
        let rest = text.replace("us-east-1", "");
        assert!(!rest.contains("eu-central-1"), "{name} names a region");
        let digits = text
            .split(|letter: char| !letter.is_ascii_digit())
            .find(|word| word.len() == 12);
        assert_eq!(digits, None, "{name} names an account");
    }
}

#[test]
fn the_world_reaches_the_load_balancer_alone() {
    for (_, network) in each(Stack::Network) {
        for (id, rule) in of_kind(&network, "AWS::EC2::SecurityGroupIngress") {
            if rule["CidrIp"] == "0.0.0.0/0" {
                assert_eq!(
                    rule["GroupId"]["Fn::GetAtt"][0], "LoadBalancerSecurityGroup",
                    "{id}"
                );
                assert!(rule["FromPort"] == 80 || rule["FromPort"] == 443, "{id}");
            } else {
                assert!(
                    rule["SourceSecurityGroupId"].is_object(),
                    "{id} is open to addresses"
                );
            }
        }
    }
}

#[test]
fn the_data_s_subnets_have_no_way_out() {
    for (_, network) in each(Stack::Network) {
        for (id, route) in of_kind(&network, "AWS::EC2::Route") {
            assert_ne!(route["RouteTableId"]["Ref"], "DataRoutes", "{id}");
        }
    }
}

#[test]
fn adding_a_zone_moves_no_subnet() {
    let text =
        std::fs::read_to_string(root().join("infra/environments/production.toml")).expect("a file");
    let network = |text: &str| {
        let environment =
            Environment::parse(Name::Production, "production.toml", text).expect("no faults");
        network::stack(&environment).to_value()
    };
    let two = network(&text);
    let three = network(&text.replace("zones = 2", "zones = 3"));
    for (id, subnet) in of_kind(&two, "AWS::EC2::Subnet") {
        assert_eq!(subnet, properties(&three, id), "{id}");
    }
    assert_eq!(of_kind(&three, "AWS::EC2::Subnet").len(), 9);
}

/// CloudFormation would fail at the second, or silently take the first one over.
#[test]
fn no_two_resources_have_the_same_name() {
    const NAMES: &[&str] = &[
        "AlarmName",
        "BucketName",
        "DashboardName",
        "Family",
        "LogGroupName",
        "ManagedPolicyName",
        "Name",
        "RoleName",
        "SubscriptionName",
    ];
    let mut taken = BTreeSet::new();
    for (index, rendered) in environments().iter().enumerate() {
        for (stack, template) in &rendered.stacks {
            // The account's own stack comes with each environment.
            if *stack == Stack::Bootstrap && index > 0 {
                continue;
            }
            for (id, resource) in &template.resources {
                let text = |key: &&str| resource.properties.get(*key)?.as_str();
                for name in NAMES.iter().filter_map(text) {
                    let free = taken.insert((resource.kind, name.to_owned()));
                    let shared = matches!(
                        resource.kind,
                        "AWS::RDS::DBParameterGroup" | "AWS::Route53::RecordSet"
                    );
                    assert!(free || shared, "{}/{id}: {name} is taken", stack.as_str());
                }
            }
        }
    }
}
