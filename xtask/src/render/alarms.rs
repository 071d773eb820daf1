//! Alarms, alike in every stack.

use serde_json::{Value, json};

use super::template::{Intrinsic, Template};

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
