//! Tasks, services, their scaling, and the load balancer before them.

use serde_json::Value;

use super::super::{
    agreement::{Spelling, agree, agree_on},
    environment::{Environment, by, text},
};
use super::without;

pub(crate) fn tasks_and_services(environment: &Environment) {
    let asked = [
        "ecs",
        "describe-clusters",
        "--include",
        "SETTINGS",
        "--clusters",
    ];
    let cluster = format!("taskhub-{}", environment.name);
    let told = environment
        .emulator
        .aws(&[&asked[..], &[&cluster]].concat());
    let [rendered] = &environment.of_type("AWS::ECS::Cluster")[..] else {
        panic!("one cluster");
    };
    agree(
        &rendered.properties["ClusterSettings"],
        &told["clusters"][0]["settings"],
        Spelling::Camel,
        "Cluster",
    );
    for resource in environment.of_type("AWS::ECS::TaskDefinition") {
        let family = text(&resource.properties["Family"]);
        let task = family.rsplit('-').next().expect("a task");
        let told = environment.task_definition(task);
        agree(
            &without(resource.properties, &["Tags"]),
            &told,
            Spelling::Camel,
            resource.id,
        );
    }
    for resource in environment.of_type("AWS::ECS::Service") {
        let told = environment.service(&text(&resource.properties["ServiceName"]));
        let rendered = without(resource.properties, &["Cluster", "Tags"]);
        agree(&rendered, &told, Spelling::Camel, resource.id);
        assert_eq!(told["status"], "ACTIVE");
        assert!(text(&told["clusterArn"]).ends_with(&cluster));
    }
}

pub(crate) fn scaling(environment: &Environment) {
    let ecs = ["--service-namespace", "ecs"];
    let asked = |what| {
        environment
            .emulator
            .aws(&[&["application-autoscaling", what], &ecs[..]].concat())
    };
    let told = asked("describe-scalable-targets");
    let told = by(&told["ScalableTargets"], "ResourceId");
    let rendered = environment.of_type("AWS::ApplicationAutoScaling::ScalableTarget");
    assert_eq!(told.len(), rendered.len());
    for resource in rendered {
        let service = resource.id.trim_end_matches("Scaling").to_lowercase();
        let target = &told[&format!("service/taskhub-{}/{service}", environment.name)];
        let names = [
            ("MaxCapacity", "/MaxCapacity"),
            ("MinCapacity", "/MinCapacity"),
        ];
        agree_on(resource.properties, target, &names, resource.id);
    }
    let told = asked("describe-scaling-policies");
    let told = by(&told["ScalingPolicies"], "PolicyName");
    for resource in environment.of_type("AWS::ApplicationAutoScaling::ScalingPolicy") {
        let policy = &told[&text(&resource.properties["PolicyName"])];
        let rendered = without(resource.properties, &["ScalingTargetId"]);
        agree(&rendered, policy, Spelling::Pascal, resource.id);
    }
}

pub(crate) fn load_balancer(environment: &Environment) {
    let told = environment
        .emulator
        .aws(&["elbv2", "describe-load-balancers"]);
    let balancers = by(&told["LoadBalancers"], "LoadBalancerName");
    for resource in environment.of_type("AWS::ElasticLoadBalancingV2::LoadBalancer") {
        let balancer = &balancers[&text(&resource.properties["Name"])];
        agree_on(
            resource.properties,
            balancer,
            &[("Scheme", "/Scheme"), ("Type", "/Type")],
            resource.id,
        );
        assert_eq!(
            balancer["AvailabilityZones"].as_array().map(Vec::len),
            Some(2)
        );
        let arn = text(&balancer["LoadBalancerArn"]);
        let asked = [
            "elbv2",
            "describe-load-balancer-attributes",
            "--load-balancer-arn",
            &arn,
        ];
        let rendered = &resource.properties["LoadBalancerAttributes"];
        attributes(rendered, &environment.emulator.aws(&asked));
        let asked = ["elbv2", "describe-listeners", "--load-balancer-arn", &arn];
        listeners(environment, &environment.emulator.aws(&asked)["Listeners"]);
    }
    let told = environment
        .emulator
        .aws(&["elbv2", "describe-target-groups"]);
    let groups = by(&told["TargetGroups"], "TargetGroupName");
    for resource in environment.of_type("AWS::ElasticLoadBalancingV2::TargetGroup") {
        let group = &groups[&text(&resource.properties["Name"])];
        let rendered = without(
            resource.properties,
            &[
                "IpAddressType",
                "Name",
                "ProtocolVersion",
                "Tags",
                "TargetGroupAttributes",
            ],
        );
        agree(&rendered, group, Spelling::Pascal, resource.id);
        let arn = text(&group["TargetGroupArn"]);
        let asked = [
            "elbv2",
            "describe-target-group-attributes",
            "--target-group-arn",
            &arn,
        ];
        let rendered = &resource.properties["TargetGroupAttributes"];
        attributes(rendered, &environment.emulator.aws(&asked));
    }
}

/// Pairs of key and value, in any order, among others.
fn attributes(rendered: &Value, told: &Value) {
    let told = by(&told["Attributes"], "Key");
    for (key, rendered) in by(rendered, "Key") {
        agree(
            &rendered["Value"],
            &told[&key]["Value"],
            Spelling::Pascal,
            &key,
        );
    }
}

fn listeners(environment: &Environment, told: &Value) {
    for resource in environment.of_type("AWS::ElasticLoadBalancingV2::Listener") {
        let port = &resource.properties["Port"];
        let told = told
            .as_array()
            .expect("listeners")
            .iter()
            .find(|one| one["Port"] == *port);
        agree(
            resource.properties,
            told.expect("a listener"),
            Spelling::Pascal,
            resource.id,
        );
    }
}
