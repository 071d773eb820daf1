//! A `curl` line for every operation.

use serde_json::{Value, json};

use crate::document::object;

/// Adds the sample. `$API` is where the service is, `$TOKEN` an access token.
pub(super) fn add(operation: &mut Value, method: &str, path: &str) -> anyhow::Result<()> {
    let address: Vec<_> = path.split('/').map(variable).collect();
    let method = match method {
        "get" => String::new(),
        method => format!("-X {} ", method.to_ascii_uppercase()),
    };
    let mut lines = vec![format!("curl {method}\"$API{}\"", address.join("/"))];
    if operation["security"]
        .as_array()
        .is_some_and(|schemes| !schemes.is_empty())
    {
        lines.push("-H \"Authorization: Bearer $TOKEN\"".to_owned());
    }
    lines.extend(body(operation));
    let sample = json!([{ "lang": "Shell", "label": "curl", "source": lines.join(" \\\n  ") }]);
    object(operation)?.insert("x-codeSamples".to_owned(), sample);
    Ok(())
}

/// `{task_id}` as the shell's `$TASK_ID`.
fn variable(segment: &str) -> String {
    let name = segment
        .strip_prefix('{')
        .and_then(|segment| segment.strip_suffix('}'));
    name.map_or_else(
        || segment.to_owned(),
        |name| format!("${}", name.to_ascii_uppercase()),
    )
}

fn body(operation: &Value) -> Vec<String> {
    let Some(content) = operation["requestBody"]["content"].as_object() else {
        return Vec::new();
    };
    let Some((kind, media)) = content.iter().next() else {
        return Vec::new();
    };
    let fields = media["example"].as_object();
    if kind == "application/x-www-form-urlencoded" {
        let text = |value: &Value| {
            value
                .as_str()
                .map_or_else(|| value.to_string(), str::to_owned)
        };
        let fields = fields.into_iter().flatten();
        return fields
            .map(|(name, value)| quoted("-d", &format!("{name}={}", text(value))))
            .collect();
    }
    let body = fields
        .map(|_| media["example"].to_string())
        .unwrap_or_default();
    vec![format!("-H \"Content-Type: {kind}\""), quoted("-d", &body)]
}

/// In single quotes, as a POSIX shell reads them.
fn quoted(option: &str, text: &str) -> String {
    format!("{option} '{}'", text.replace('\'', r"'\''"))
}
