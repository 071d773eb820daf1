//! Alarms, alike in every stack.

use serde_json::{Value, json};

use super::template::{Intrinsic, Stack, Template, filled};

/// An alarm that tells `topic` when it goes off and when it ends. `properties` overrule what is usual: missing data
/// is no reason for alarm, and a minute is the measure.
pub(crate) fn add(template: &mut Template, topic: &Intrinsic, id: &str, properties: Value) {
    let mut whole = json!({
        "AlarmActions": [topic],
        "OKActions": [topic],
        "TreatMissingData": "notBreaching",
    });
    if let (Some(whole), Value::Object(properties)) = (whole.as_object_mut(), properties) {
        // CloudWatch takes the period of an expression from its metrics.
        if !properties.contains_key("Metrics") {
            whole.insert("Period".to_owned(), json!(60));
        }
        whole.extend(properties);
    }
    template.add(id, "AWS::CloudWatch::Alarm", whole);
}

/// One metric of an expression, over a minute.
pub(crate) fn metric(
    id: &str,
    namespace: &str,
    name: &str,
    dimensions: &Value,
    statistic: &str,
) -> Value {
    json!({
        "Id": id,
        "ReturnData": false,
        "MetricStat": {
            "Metric": {"Namespace": namespace, "MetricName": name, "Dimensions": dimensions},
            "Period": 60,
            "Stat": statistic,
        },
    })
}

/// `FreeStorageSpace` → `free-storage-space`, `CPUUtilization` → `cpu-utilization`.
pub(crate) fn kebab(metric: &str) -> String {
    let letters: Vec<char> = metric.chars().collect();
    let mut text = String::new();
    for (index, letter) in letters.iter().enumerate() {
        let next_is_small = letters
            .get(index + 1)
            .is_some_and(|next| next.is_lowercase());
        let starts_word = letter.is_uppercase()
            && index > 0
            && (next_is_small
                || letters
                    .get(index - 1)
                    .is_some_and(|before| before.is_lowercase()));
        if starts_word {
            text.push('-');
        }
        text.extend(letter.to_lowercase());
    }
    text
}

/// `alarms.md`: every alarm, what sets it off, and whether it rolls a release back.
pub(crate) fn page(environment: &str, stacks: &[(Stack, Template)]) -> String {
    let mut text = format!(
        "# Alarms in {environment}\n\n\
         Written by `cargo xtask render`. All of them tell the topic `taskhub-operations` when they go off and when they end.\n\n\
         | alarm | says | goes off when | rolls a release back |\n|---|---|---|---|\n"
    );
    for (_, template) in stacks {
        let rolling = rolling(template);
        for (id, alarm) in template
            .resources
            .iter()
            .filter(|(_, resource)| resource.kind == ALARM)
        {
            let properties = filled(&alarm.properties);
            let word = |key: &str| properties[key].as_str().unwrap_or_default().to_owned();
            let back = if rolling.contains(&id.as_str()) {
                "yes"
            } else {
                ""
            };
            text.push_str(&format!(
                "| `{}` | {} | {} | {back} |\n",
                word("AlarmName"),
                word("AlarmDescription"),
                condition(&properties),
            ));
        }
    }
    text
}

const ALARM: &str = "AWS::CloudWatch::Alarm";

/// The logical ids of the alarms that services name.
fn rolling(template: &Template) -> Vec<&str> {
    let services = template
        .resources
        .values()
        .filter(|resource| resource.kind == "AWS::ECS::Service");
    services
        .filter_map(|service| {
            service.properties["DeploymentConfiguration"]["Alarms"]["AlarmNames"].as_array()
        })
        .flatten()
        .filter_map(|name| name["Ref"].as_str())
        .collect()
}

fn condition(properties: &Value) -> String {
    let word = |key: &str| properties[key].as_str().map(str::to_owned);
    let expression = properties["Metrics"].as_array().and_then(|metrics| {
        let formula = metrics
            .iter()
            .find_map(|metric| metric["Expression"].as_str());
        formula.map(str::to_owned)
    });
    let statistic = word("Statistic")
        .or_else(|| word("ExtendedStatistic"))
        .unwrap_or_default();
    let metric = word("MetricName").unwrap_or_default();
    let what = expression.unwrap_or_else(|| format!("{statistic} of {metric}"));
    let sign = if properties["ComparisonOperator"] == "LessThanThreshold" {
        "<"
    } else {
        ">"
    };
    let periods = &properties["EvaluationPeriods"];
    let enough = properties.get("DatapointsToAlarm").unwrap_or(periods);
    let minutes = properties["Period"].as_u64().unwrap_or(60) / 60;
    format!(
        "`{what}` {sign} {} in {enough} of {periods} × {minutes} min",
        properties["Threshold"]
    )
}
