//! Whether a service tells what the template says.

use serde_json::Value;

/// How the service spells the names of properties.
#[derive(Clone, Copy)]
pub(crate) enum Spelling {
    /// `MultiAZ`, as CloudFormation does.
    Pascal,
    /// `multiAZ`
    Camel,
}

/// Everything that a template says as such must be told; what CloudFormation has to reckon first must be
/// there. The service may tell more.
///
/// # Panics
/// With the path of the first difference.
pub(crate) fn agree(rendered: &Value, told: &Value, spelling: Spelling, path: &str) {
    match rendered {
        Value::Object(object) if is_intrinsic(rendered) => {
            let empty = told.is_null() || *told == "";
            assert!(!empty, "{path}: nothing is told of {object:?}");
        }
        Value::Object(object) => {
            for (name, value) in object {
                let told = &told[spelt(name, spelling)];
                agree(value, told, spelling, &format!("{path}/{name}"));
            }
        }
        Value::Array(items) => {
            let list = told
                .as_array()
                .unwrap_or_else(|| panic!("{path}: {told} is no list"));
            assert_eq!(items.len(), list.len(), "{path}: {told}");
            for (number, (item, told)) in items.iter().zip(list).enumerate() {
                agree(item, told, spelling, &format!("{path}/{number}"));
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            assert_eq!(plain(rendered), plain(told), "{path}");
        }
    }
}

/// Only these properties, each under the name that the service has for it.
pub(crate) fn agree_on(rendered: &Value, told: &Value, names: &[(&str, &str)], path: &str) {
    for (name, pointer) in names {
        let Some(value) = rendered.get(name) else {
            continue;
        };
        let told = told.pointer(pointer).unwrap_or(&Value::Null);
        agree(value, told, Spelling::Pascal, &format!("{path}/{name}"));
    }
}

fn is_intrinsic(value: &Value) -> bool {
    let object = value.as_object().filter(|object| object.len() == 1);
    let name = object.and_then(|object| object.keys().next());
    name.is_some_and(|name| name == "Ref" || name.starts_with("Fn::"))
}

fn spelt(name: &str, spelling: Spelling) -> String {
    match spelling {
        Spelling::Pascal => name.to_owned(),
        Spelling::Camel => {
            let mut letters = name.chars();
            let first = letters.next().map(|first| first.to_ascii_lowercase());
            first.into_iter().chain(letters).collect()
        }
    }
}

/// Templates write numbers and truth as text in some places, and services whole numbers as `1.0`.
fn plain(value: &Value) -> String {
    let text = value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned);
    match text.parse::<f64>() {
        Ok(number) => number.to_string(),
        Err(_) => text,
    }
}
