//! What a release needs to go well, and to be undone when it does not.

use super::*;
use crate::contract::{self, HEALTH_PATH, LONGEST_STOP, USER, settings};

const SERVICES: [Task; 2] = [Task::Api, Task::Worker];

fn container(template: &Value, task: Task) -> &Value {
    let definition = properties(template, &format!("{}Task", task.title()));
    assert_eq!(
        definition["ContainerDefinitions"].as_array().map(Vec::len),
        Some(1)
    );
    &definition["ContainerDefinitions"][0]
}

fn service(template: &Value, task: Task) -> &Value {
    properties(template, &format!("{}Service", task.title()))
}

#[test]
fn the_load_balancer_speaks_to_the_port_at_which_the_container_listens() {
    let services = each(Stack::Service);
    for ((_, template), (_, platform)) in services.iter().zip(each(Stack::Platform)) {
        let target = &service(template, Task::Api)["LoadBalancers"][0];
        let container = container(template, Task::Api);
        assert_eq!(target["ContainerName"], container["Name"]);
        let ports: Vec<&Value> = container["PortMappings"]
            .as_array()
            .expect("ports")
            .iter()
            .map(|port| &port["ContainerPort"])
            .collect();
        assert!(ports.contains(&&target["ContainerPort"]), "{ports:?}");
        let group = properties(&platform, "TargetGroup");
        assert_eq!(group["Port"], target["ContainerPort"]);
        assert_eq!(group["Port"], contract::api_port());
        assert_eq!(group["HealthCheckPath"], HEALTH_PATH);
    }
}

#[test]
fn the_security_group_lets_the_load_balancer_in_at_that_port() {
    for (_, network) in each(Stack::Network) {
        let id = format!("ApiFromLoadBalancer{}", contract::api_port());
        let rule = properties(&network, &id);
        assert_eq!(rule["FromPort"], contract::api_port());
        assert_eq!(rule["ToPort"], contract::api_port());
        let others = of_kind(&network, "AWS::EC2::SecurityGroupIngress")
            .into_iter()
            .filter(|(_, rule)| rule["GroupId"]["Fn::GetAtt"][0] == "ApiSecurityGroup")
            .count();
        assert_eq!(others, 1, "somebody else reaches the API's tasks");
    }
}

#[test]
fn a_release_starts_new_tasks_before_it_stops_old_ones() {
    for (environment, template) in each(Stack::Service) {
        for task in SERVICES {
            let deployment = &service(&template, task)["DeploymentConfiguration"];
            assert_eq!(deployment["MinimumHealthyPercent"], 100);
            assert_eq!(deployment["MaximumPercent"], 200);
            let breaker = &deployment["DeploymentCircuitBreaker"];
            assert_eq!(breaker["Enable"], true);
            assert_eq!(breaker["Rollback"], true);
            assert_eq!(breaker["ResetOnHealthyTask"], false);
            assert_eq!(
                breaker["ThresholdConfiguration"],
                json!({"Type": "COUNT", "Value": environment.deploy.breaker})
            );
        }
    }
}

#[test]
fn the_worker_changes_before_the_api() {
    for (_, template) in each(Stack::Service) {
        assert_eq!(
            template["Resources"]["ApiService"]["DependsOn"],
            json!(["WorkerService"])
        );
        assert!(
            template["Resources"]["WorkerService"]
                .get("DependsOn")
                .is_none()
        );
    }
}

#[test]
fn a_release_does_not_undo_what_scaling_has_reached() {
    for (environment, template) in each(Stack::Service) {
        for (id, properties) in of_kind(&template, "AWS::ECS::Service") {
            assert!(properties.get("DesiredCount").is_none(), "{id}");
        }
        for (task, min, max) in [
            (Task::Api, environment.api.min, environment.api.max),
            (Task::Worker, environment.worker.min, environment.worker.max),
        ] {
            let target = properties(&template, &format!("{}Scaling", task.title()));
            assert_eq!(
                (&target["MinCapacity"], &target["MaxCapacity"]),
                (&json!(min), &json!(max))
            );
        }
    }
}

#[test]
fn containers_are_locked_up() {
    for (stack, tasks) in [
        (Stack::Service, &SERVICES[..]),
        (Stack::Migrate, &[Task::Migrate]),
    ] {
        for (_, template) in each(stack) {
            for task in tasks {
                let container = container(&template, *task);
                assert_eq!(container["User"], USER);
                assert_eq!(container["ReadonlyRootFilesystem"], true);
                assert_eq!(container["Privileged"], false);
                assert_eq!(
                    container["LinuxParameters"]["Capabilities"],
                    json!({"Drop": ["ALL"]})
                );
                assert_eq!(
                    container["LogConfiguration"]["Options"]["mode"],
                    "non-blocking"
                );
                let image = container["Image"]["Fn::Sub"].as_str().expect("a text");
                assert!(image.ends_with("/taskhub@${ImageDigest}"), "{image}");
            }
        }
    }
}

#[test]
fn nothing_is_killed_before_it_can_have_ended() {
    for (environment, template) in each(Stack::Service) {
        for task in SERVICES {
            let stop = container(&template, task)["StopTimeout"]
                .as_u64()
                .expect("a number");
            assert!(stop > u64::from(task.ending(&environment)), "{task:?}");
            assert!(stop <= u64::from(LONGEST_STOP), "{task:?}");
        }
    }
}

#[test]
fn the_load_balancer_waits_longer_than_requests_and_less_than_the_api() {
    for (environment, platform) in each(Stack::Platform) {
        let balancer = &properties(&platform, "LoadBalancer")["LoadBalancerAttributes"];
        let idle: u32 = attribute_of(balancer, "idle_timeout.timeout_seconds")
            .parse()
            .expect("a number");
        assert!(environment.api.request_timeout < idle && idle < contract::KEEP_ALIVE);
        let group = &properties(&platform, "TargetGroup")["TargetGroupAttributes"];
        let delay: u32 = attribute_of(group, "deregistration_delay.timeout_seconds")
            .parse()
            .expect("a number");
        assert!(delay >= environment.api.request_timeout);
    }
}

#[test]
fn the_program_s_own_waits_are_those_of_the_environment_file() {
    for (environment, template) in each(Stack::Service) {
        let api = settings(Task::Api, &environment).expect("sources");
        assert_eq!(
            api["REQUEST_TIMEOUT_SECONDS"],
            environment.api.request_timeout.to_string()
        );
        assert_eq!(api["DRAIN_SECONDS"], contract::drain().to_string());
        let worker = container(&template, Task::Worker)["Environment"]
            .as_array()
            .expect("variables");
        let grace =
            json!({"Name": "WORKER_GRACE_SECONDS", "Value": environment.worker.grace.to_string()});
        assert!(worker.contains(&grace));
    }
}

#[test]
fn alarms_that_roll_a_release_back_are_made_with_it() {
    let (environment, template) = each(Stack::Service).remove(1);
    assert!(environment.deploy.alarms);
    for task in SERVICES {
        let alarms = &service(&template, task)["DeploymentConfiguration"]["Alarms"];
        assert_eq!(
            (&alarms["Enable"], &alarms["Rollback"]),
            (&json!(true), &json!(true))
        );
        let names = alarms["AlarmNames"].as_array().expect("names");
        assert!(!names.is_empty());
        for name in names {
            let alarm = properties(
                &template,
                name["Ref"].as_str().expect("an alarm of this stack"),
            );
            assert_eq!(alarm["TreatMissingData"], "notBreaching");
            let period = alarm
                .get("Period")
                .or_else(|| alarm["Metrics"][0]["MetricStat"].get("Period"));
            assert_eq!(
                period,
                Some(&json!(60)),
                "ECS watches for as long as the alarm looks back"
            );
        }
    }
}

/// A circle would keep the stack from being made.
#[test]
fn no_alarm_of_a_rollback_needs_the_service_that_it_watches() {
    let (_, template) = each(Stack::Service).remove(1);
    for task in SERVICES {
        for name in service(&template, task)["DeploymentConfiguration"]["Alarms"]["AlarmNames"]
            .as_array()
            .expect("names")
        {
            let alarm = properties(&template, name["Ref"].as_str().expect("an alarm"));
            assert!(!alarm.to_string().contains("Service\""), "{name}");
        }
    }
}

#[test]
fn the_worker_scales_on_the_jobs_that_its_log_counts() {
    let platforms = each(Stack::Platform);
    for ((environment, template), (_, platform)) in each(Stack::Service).iter().zip(&platforms) {
        let filter = &properties(platform, "JobsDueFilter");
        let metric = &filter["MetricTransformations"][0];
        assert_eq!(filter["FilterPattern"], "{ $.message = \"jobs counted\" }");
        assert_eq!(metric["MetricValue"], "$.due");
        let policy = &properties(template, "WorkerBacklogPolicy")["TargetTrackingScalingPolicyConfiguration"];
        let due = &policy["CustomizedMetricSpecification"]["Metrics"][0]["MetricStat"]["Metric"];
        assert_eq!(
            (&due["Namespace"], &due["MetricName"]),
            (&metric["MetricNamespace"], &metric["MetricName"])
        );
        assert_eq!(policy["TargetValue"], environment.worker.target_backlog);
    }
}

#[test]
fn tasks_write_to_log_groups_that_exist_before_them() {
    for (stack, tasks) in [
        (Stack::Service, &SERVICES[..]),
        (Stack::Migrate, &[Task::Migrate]),
    ] {
        for ((_, template), (_, platform)) in each(stack).iter().zip(each(Stack::Platform)) {
            let groups: Vec<&Value> = of_kind(&platform, "AWS::Logs::LogGroup")
                .into_iter()
                .map(|(_, properties)| &properties["LogGroupName"])
                .collect();
            for task in tasks {
                let group =
                    &container(template, *task)["LogConfiguration"]["Options"]["awslogs-group"];
                assert!(groups.contains(&group), "{group}");
            }
        }
    }
}

#[test]
fn another_release_of_the_same_image_still_starts_new_tasks() {
    for (_, template) in each(Stack::Service) {
        for task in SERVICES {
            assert_eq!(
                container(&template, task)["DockerLabels"]["release"],
                json!({"Ref": "Release"})
            );
        }
    }
}

#[test]
fn a_plain_task_definition_is_the_same_in_ecs_s_own_words() {
    for (environment, template) in each(Stack::Service) {
        let path = root().join(format!(
            "infra/rendered/{}/taskdefs/api.json",
            environment.name
        ));
        let plain: Value =
            serde_json::from_str(&std::fs::read_to_string(path).expect("a file")).expect("JSON");
        let container = container(&template, Task::Api);
        assert_eq!(
            plain["containerDefinitions"][0]["stopTimeout"],
            container["StopTimeout"]
        );
        assert_eq!(
            plain["containerDefinitions"][0]["command"],
            container["Command"]
        );
        assert_eq!(
            plain["containerDefinitions"][0]["logConfiguration"]["options"]["mode"],
            "non-blocking"
        );
        assert!(
            !plain.to_string().contains("Fn::"),
            "something is left for CloudFormation"
        );
    }
}
