//! HTTPS from the world, HTTP to the API's tasks.

use serde_json::{Value, json};

use super::Imports;
use crate::{
    contract::{HEALTH_PATH, api_port},
    environments::Environment,
    render::{
        template::{Intrinsic, Template, attribute, reference},
        timeouts,
    },
};

/// TLS 1.3 and 1.2 with forward secrecy and post-quantum key exchange. CloudFormation's default allows TLS 1.0.
const TLS_POLICY: &str = "ELBSecurityPolicy-TLS13-1-2-Res-PQ-2025-09";

pub(super) fn add(template: &mut Template, environment: &Environment, imports: &Imports) {
    certificate(template, environment);
    balancer(template, environment, imports);
    target_group(template, environment, imports);
    listeners(template);
    template.add(
        "Address",
        "AWS::Route53::RecordSet",
        json!({
            "HostedZoneId": environment.domain.hosted_zone,
            "Name": environment.domain.name,
            "Type": "A",
            "AliasTarget": {
                "DNSName": attribute("LoadBalancer", "DNSName"),
                "HostedZoneId": attribute("LoadBalancer", "CanonicalHostedZoneID"),
                "EvaluateTargetHealth": false,
            },
        }),
    );
}

fn certificate(template: &mut Template, environment: &Environment) {
    let domain = &environment.domain;
    template.add(
        "Certificate",
        "AWS::CertificateManager::Certificate",
        json!({
            "DomainName": domain.name,
            "ValidationMethod": "DNS",
            "DomainValidationOptions": [{"DomainName": domain.name, "HostedZoneId": domain.hosted_zone}],
            "KeyAlgorithm": "EC_prime256v1",
        }),
    );
}

fn balancer(template: &mut Template, environment: &Environment, imports: &Imports) {
    let attributes = [
        (
            "deletion_protection.enabled",
            json!(environment.database.deletion_protection.to_string()),
        ),
        (
            "idle_timeout.timeout_seconds",
            json!(timeouts::IDLE.to_string()),
        ),
        (
            "routing.http.drop_invalid_header_fields.enabled",
            json!("true"),
        ),
        ("routing.http.desync_mitigation_mode", json!("defensive")),
        ("routing.http.preserve_host_header.enabled", json!("false")),
        ("routing.http.xff_header_processing.mode", json!("append")),
        ("access_logs.s3.enabled", json!("true")),
        ("access_logs.s3.bucket", json!(imports.log_bucket)),
        (
            "access_logs.s3.prefix",
            json!(format!("load-balancer/{}", environment.name)),
        ),
    ];
    template.add(
        "LoadBalancer",
        "AWS::ElasticLoadBalancingV2::LoadBalancer",
        json!({
            "Name": format!("taskhub-{}", environment.name),
            "Type": "application",
            "Scheme": "internet-facing",
            "IpAddressType": "ipv4",
            "Subnets": Intrinsic::Split(Box::new(imports.subnets.clone())),
            "SecurityGroups": [imports.group],
            "LoadBalancerAttributes": pairs(&attributes),
        }),
    );
}

fn target_group(template: &mut Template, environment: &Environment, imports: &Imports) {
    let health = timeouts::TARGET_HEALTH;
    let attributes = [
        (
            "deregistration_delay.timeout_seconds",
            json!(timeouts::deregistration(environment).to_string()),
        ),
        (
            "load_balancing.algorithm.type",
            json!("least_outstanding_requests"),
        ),
        ("slow_start.duration_seconds", json!("0")),
        ("stickiness.enabled", json!("false")),
    ];
    template.add(
        "TargetGroup",
        "AWS::ElasticLoadBalancingV2::TargetGroup",
        json!({
            "Name": format!("taskhub-{}-api", environment.name),
            "VpcId": imports.vpc,
            "TargetType": "ip",
            "IpAddressType": "ipv4",
            "Protocol": "HTTP",
            "ProtocolVersion": "HTTP1",
            "Port": api_port(),
            "HealthCheckEnabled": true,
            "HealthCheckProtocol": "HTTP",
            "HealthCheckPort": "traffic-port",
            "HealthCheckPath": HEALTH_PATH,
            "HealthCheckIntervalSeconds": health.interval,
            "HealthCheckTimeoutSeconds": health.timeout,
            "HealthyThresholdCount": health.healthy,
            "UnhealthyThresholdCount": health.unhealthy,
            "Matcher": {"HttpCode": "200"},
            "TargetGroupAttributes": pairs(&attributes),
        }),
    );
}

fn listeners(template: &mut Template) {
    template.add(
        "HttpsListener",
        "AWS::ElasticLoadBalancingV2::Listener",
        json!({
            "LoadBalancerArn": reference("LoadBalancer"),
            "Port": 443,
            "Protocol": "HTTPS",
            "SslPolicy": TLS_POLICY,
            "Certificates": [{"CertificateArn": reference("Certificate")}],
            "DefaultActions": [{"Type": "forward", "TargetGroupArn": reference("TargetGroup")}],
        }),
    );
    template.add(
        "HttpListener",
        "AWS::ElasticLoadBalancingV2::Listener",
        json!({
            "LoadBalancerArn": reference("LoadBalancer"),
            "Port": 80,
            "Protocol": "HTTP",
            "DefaultActions": [{
                "Type": "redirect",
                "RedirectConfig": {"Protocol": "HTTPS", "Port": "443", "StatusCode": "HTTP_301"},
            }],
        }),
    );
}

fn pairs(attributes: &[(&str, Value)]) -> Value {
    attributes
        .iter()
        .map(|(key, value)| json!({"Key": key, "Value": value}))
        .collect()
}
