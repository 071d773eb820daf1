//! A value as text: JSON with sorted keys, the same on every machine.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

/// The value with `${…}` wherever CloudFormation would fill something in.
pub(crate) fn filled(value: &Value) -> Value {
    match value {
        Value::Object(object) => match intrinsic(object) {
            Some(text) => Value::String(text),
            None => object
                .iter()
                .map(|(key, value)| (key.clone(), filled(value)))
                .collect(),
        },
        Value::Array(values) => values.iter().map(filled).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.clone(),
    }
}

fn intrinsic(object: &Map<String, Value>) -> Option<String> {
    let (key, value) = object.iter().next().filter(|_| object.len() == 1)?;
    match key.as_str() {
        "Ref" => Some(format!("${{{}}}", value.as_str()?)),
        "Fn::Sub" => Some(value.as_str()?.to_owned()),
        "Fn::Join" => {
            let parts = filled(value.get(1)?);
            let texts: Vec<&str> = parts.as_array()?.iter().filter_map(Value::as_str).collect();
            Some(texts.join(","))
        }
        _ => None,
    }
}

/// CloudFormation takes a template of at most this many bytes with a request; a longer one needs a bucket.
#[cfg(test)]
pub(crate) const LONGEST: usize = 51_200;

/// What stands on one line where it fits.
const WIDTH: usize = 110;

/// JSON with sorted keys, whatever order the value has; what is short stays on one line. One space for each depth,
/// because the longest template has to fit.
pub(crate) fn text(value: &Value) -> String {
    let mut text = String::new();
    write(&sorted(value), 0, 0, &mut text);
    text.push('\n');
    text
}

/// `used` columns of the line are taken already, by the key.
fn write(value: &Value, depth: usize, used: usize, text: &mut String) {
    let line = one_line(value);
    let indent = " ".repeat(depth + 1);
    let last = " ".repeat(depth);
    let fits = depth + used + line.len() <= WIDTH;
    match value {
        Value::Object(object) if !object.is_empty() && (!fits || depth < 2) => {
            for (index, (key, value)) in object.iter().enumerate() {
                let key = Value::from(key.as_str()).to_string();
                text.push_str(if index == 0 { "{\n" } else { ",\n" });
                text.push_str(&format!("{indent}{key}: "));
                write(value, depth + 1, key.len() + 3, text);
            }
            text.push_str(&format!("\n{last}}}"));
        }
        Value::Array(values) if !fits => {
            text.push_str("[\n");
            // Texts fill lines; whatever has parts begins one.
            let mut room = 0;
            for (index, value) in values.iter().enumerate() {
                let length = one_line(value).len() + 2;
                let begins = index == 0 || value.is_object() || value.is_array() || length > room;
                if index > 0 {
                    text.push_str(if begins { ",\n" } else { ", " });
                }
                if begins {
                    text.push_str(&indent);
                    room = WIDTH.saturating_sub(indent.len());
                }
                write(value, depth + 1, 1, text);
                room = room.saturating_sub(length);
            }
            text.push_str(&format!("\n{last}]"));
        }
        Value::Null
        | Value::Bool(_)
        | Value::Number(_)
        | Value::String(_)
        | Value::Array(_)
        | Value::Object(_) => text.push_str(&line),
    }
}

fn one_line(value: &Value) -> String {
    match value {
        Value::Object(object) => {
            let entries = object
                .iter()
                .map(|(key, value)| format!("{}: {}", Value::from(key.as_str()), one_line(value)));
            format!("{{{}}}", entries.collect::<Vec<_>>().join(", "))
        }
        Value::Array(values) => {
            format!(
                "[{}]",
                values.iter().map(one_line).collect::<Vec<_>>().join(", ")
            )
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.to_string(),
    }
}

/// The same on one line, for JSON within JSON.
pub(crate) fn compact(value: &Value) -> String {
    sorted(value).to_string()
}

fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(object) => {
            let ordered: BTreeMap<&String, Value> = object
                .iter()
                .map(|(key, value)| (key, sorted(value)))
                .collect();
            ordered
                .into_iter()
                .map(|(key, value)| (key.clone(), value))
                .collect()
        }
        Value::Array(values) => values.iter().map(sorted).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.clone(),
    }
}
