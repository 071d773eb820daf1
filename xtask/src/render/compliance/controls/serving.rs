//! What runs and is reached.

use super::{Control, control, each, has, if_any, no_secret};

const SERVICE: &str = "AWS::ECS::Service";
const TASK: &str = "AWS::ECS::TaskDefinition";
const BALANCER: &str = "AWS::ElasticLoadBalancingV2::LoadBalancer";
const LISTENER: &str = "AWS::ElasticLoadBalancingV2::Listener";
const TARGETS: &str = "AWS::ElasticLoadBalancingV2::TargetGroup";
const REPOSITORY: &str = "AWS::ECR::Repository";

pub(super) const CONTROLS: &[Control] = &[
    control("ECS.1", TASK, "tasks have a network of their own", |p| {
        p["NetworkMode"] == "awsvpc"
    }),
    control("ECS.2", SERVICE, "services get no public address", |p| {
        p["NetworkConfiguration"]["AwsvpcConfiguration"]["AssignPublicIp"] == "DISABLED"
    }),
    control(
        "ECS.3",
        TASK,
        "tasks do not share the host's processes",
        |p| p.get("PidMode").is_none(),
    ),
    control("ECS.4", TASK, "containers are not privileged", |p| {
        each(p, |c| c["Privileged"] == false)
    }),
    control("ECS.5", TASK, "root file systems are read-only", |p| {
        each(p, |c| c["ReadonlyRootFilesystem"] == true)
    }),
    control("ECS.8", TASK, "no secret stands in a variable", |p| {
        each(p, no_secret)
    }),
    control("ECS.9", TASK, "containers have a log", |p| {
        each(p, |c| c["LogConfiguration"]["LogDriver"] == "awslogs")
    }),
    control("ECS.10", SERVICE, "Fargate's latest platform", |p| {
        p["PlatformVersion"] == "LATEST"
    }),
    control("ECS.12", "AWS::ECS::Cluster", "Container Insights", |p| {
        matches!(
            p["ClusterSettings"][0]["Value"].as_str(),
            Some("enabled" | "enhanced")
        )
    }),
    control(
        "ECS.17†",
        TASK,
        "tasks are not on the host's network",
        |p| p["NetworkMode"] != "host",
    ),
    control("ECS.20†", TASK, "containers do not run as root", |p| {
        each(p, |c| {
            c["User"]
                .as_str()
                .is_some_and(|user| !matches!(user.split(':').next(), Some("0" | "root")))
        })
    }),
    control("ELB.1", LISTENER, "HTTP is sent to HTTPS", |p| {
        p["Port"] != 80 || p["DefaultActions"][0]["Type"] == "redirect"
    }),
    control("ELB.4", BALANCER, "malformed headers are dropped", |p| {
        has(p, "routing.http.drop_invalid_header_fields.enabled", "true")
    }),
    control("ELB.5", BALANCER, "access logs", |p| {
        has(p, "access_logs.s3.enabled", "true")
    }),
    control("ELB.6", BALANCER, "deletion protection", |p| {
        has(p, "deletion_protection.enabled", "true")
    }),
    control(
        "ELB.12",
        BALANCER,
        "requests that servers read differently are refused",
        |p| has(p, "routing.http.desync_mitigation_mode", "defensive"),
    ),
    control(
        "ELB.16†",
        "AWS::WAFv2::WebACLAssociation",
        "a firewall before the load balancer",
        |p| p.get("WebACLArn").is_some(),
    ),
    control("ELB.17", LISTENER, "the recommended TLS policy", |p| {
        p["Protocol"] != "HTTPS"
            || p["SslPolicy"]
                .as_str()
                .is_some_and(|policy| policy.starts_with("ELBSecurityPolicy-TLS13-1-2-Res"))
    }),
    control("ELB.18", LISTENER, "listeners use TLS, or redirect", |p| {
        p["Protocol"] == "HTTPS" || p["DefaultActions"][0]["Type"] == "redirect"
    }),
    control("ELB.21†", TARGETS, "health checks are encrypted", |p| {
        p["HealthCheckProtocol"] == "HTTPS"
    }),
    control(
        "ELB.22†",
        TARGETS,
        "requests to tasks are encrypted",
        |p| p["Protocol"] == "HTTPS",
    ),
    control("ECR.1", REPOSITORY, "images are scanned", |p| {
        p["ImageScanningConfiguration"]["ScanOnPush"] == true
    }),
    control("ECR.2", REPOSITORY, "tags do not move", |p| {
        p["ImageTagMutability"] == "IMMUTABLE"
    }),
    control("ECR.3", REPOSITORY, "old images go", |p| {
        p["LifecyclePolicy"]["LifecyclePolicyText"].is_string()
    }),
    control("ECR.5†", REPOSITORY, "a key of our own", |p| {
        p["EncryptionConfiguration"]["EncryptionType"] == "KMS"
    }),
    control(
        "ACM.2",
        "AWS::CertificateManager::Certificate",
        "strong certificate keys",
        |p| {
            matches!(
                p["KeyAlgorithm"].as_str(),
                Some("EC_prime256v1" | "EC_secp384r1" | "RSA_2048")
            )
        },
    ),
    if_any(control(
        "WAF.10",
        "AWS::WAFv2::WebACL",
        "firewalls have rules",
        |p| p["Rules"].as_array().is_some_and(|rules| !rules.is_empty()),
    )),
    if_any(control(
        "WAF.12",
        "AWS::WAFv2::WebACL",
        "rules have metrics",
        |p| {
            p["Rules"].as_array().is_some_and(|rules| {
                rules
                    .iter()
                    .all(|rule| rule["VisibilityConfig"]["CloudWatchMetricsEnabled"] == true)
            })
        },
    )),
];
