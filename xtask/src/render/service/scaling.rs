//! How many tasks there are: by load, by requests, by the jobs that wait, and by office hours.

use serde_json::{Value, json};

use super::{Imports, dimensions, service_id};
use crate::{
    contract::Task,
    environments::{Environment, Schedule},
    render::{
        alarms::metric,
        platform::namespace,
        template::{Intrinsic, Template, attribute, reference, sub},
    },
};

/// Seconds after which more tasks may follow, and fewer.
const OUT: u32 = 60;
const IN: u32 = 300;

pub(super) fn add(
    template: &mut Template,
    environment: &Environment,
    task: Task,
    imports: &Imports,
) {
    let Environment { keys, .. } = environment;
    let (min, max, cpu) = match task {
        Task::Api => (keys.api.min, keys.api.max, keys.api.target_cpu),
        Task::Worker | Task::Migrate => (keys.worker.min, keys.worker.max, keys.worker.target_cpu),
    };
    let mut target = json!({
        "ServiceNamespace": "ecs",
        "ScalableDimension": "ecs:service:DesiredCount",
        "ResourceId": resource(task, imports),
        "MinCapacity": min,
        "MaxCapacity": max,
    });
    if let Some(schedule) = &keys.schedule {
        target["ScheduledActions"] = office_hours(schedule, min, max);
    }
    template.add(
        format!("{}Scaling", task.title()),
        "AWS::ApplicationAutoScaling::ScalableTarget",
        target,
    );
    let load =
        Metric::Predefined(json!({"PredefinedMetricType": "ECSServiceAverageCPUUtilization"}));
    policy(template, task, "Cpu", load, cpu);
    if task == Task::Api {
        let requests = Metric::Predefined(json!({
            "PredefinedMetricType": "ALBRequestCountPerTarget",
            "ResourceLabel": label(imports),
        }));
        policy(
            template,
            task,
            "Requests",
            requests,
            keys.api.target_requests,
        );
    } else {
        let backlog = Metric::Customized(backlog(environment, task, imports));
        policy(
            template,
            task,
            "Backlog",
            backlog,
            keys.worker.target_backlog,
        );
    }
}

/// Nobody at night, as many as ever by day.
fn office_hours(schedule: &Schedule, min: u32, max: u32) -> Value {
    let action = |name: &str, when: &str, min: u32, max: u32| {
        json!({
            "ScheduledActionName": name,
            "Schedule": when,
            "Timezone": schedule.time_zone,
            "ScalableTargetAction": {"MinCapacity": min, "MaxCapacity": max},
        })
    };
    json!([
        action("sleep", &schedule.sleep, 0, 0),
        action("wake", &schedule.wake, min, max)
    ])
}

/// What is kept near its target.
enum Metric {
    Predefined(Value),
    Customized(Value),
}

fn policy(template: &mut Template, task: Task, what: &str, metric: Metric, target: u32) {
    let (key, metric) = match metric {
        Metric::Predefined(metric) => ("PredefinedMetricSpecification", metric),
        Metric::Customized(metric) => ("CustomizedMetricSpecification", metric),
    };
    template.add(
        format!("{}{what}Policy", task.title()),
        "AWS::ApplicationAutoScaling::ScalingPolicy",
        json!({
            "PolicyName": format!("{}-{}", task.name(), what.to_lowercase()),
            "PolicyType": "TargetTrackingScaling",
            "ScalingTargetId": reference(format!("{}Scaling", task.title())),
            "TargetTrackingScalingPolicyConfiguration": {
                key: metric,
                "TargetValue": target,
                "ScaleOutCooldown": OUT,
                "ScaleInCooldown": IN,
                "DisableScaleIn": false,
            },
        }),
    );
}

/// Due jobs for each running task. Where no task runs, all of them wait for the first.
fn backlog(environment: &Environment, task: Task, imports: &Imports) -> Value {
    let mut due = metric(
        "due",
        &namespace(environment),
        "JobsDue",
        &json!([]),
        "Maximum",
    );
    let mut tasks = metric(
        "tasks",
        "ECS/ContainerInsights",
        "RunningTaskCount",
        &dimensions(task, imports),
        "Average",
    );
    // Scaling takes the period for granted.
    for metric in [&mut due, &mut tasks] {
        if let Some(stat) = metric["MetricStat"].as_object_mut() {
            stat.remove("Period");
        }
    }
    json!({"Metrics": [
        due,
        tasks,
        {
            "Id": "backlog",
            "Label": "Due jobs for each task",
            "Expression": "FILL(due, 0) / IF(FILL(tasks, 0) < 1, 1, tasks)",
            "ReturnData": true,
        },
    ]})
}

fn resource(task: Task, imports: &Imports) -> Intrinsic {
    let service = attribute(service_id(task), "Name");
    sub(format!(
        "service/{}/{}",
        imports.cluster.within(),
        service.within()
    ))
}

/// The load balancer and the target group, as scaling names them together.
fn label(imports: &Imports) -> Intrinsic {
    sub(format!(
        "{}/{}",
        imports.load_balancer_name.within(),
        imports.target_group_name.within()
    ))
}
