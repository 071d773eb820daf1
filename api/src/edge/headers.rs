//! The headers that every answer has.

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::limits::{Limits, Policy, Verdict};

/// What browsers are told about an answer, unless it says otherwise itself.
const DEFAULTS: [(&str, &str); 5] = [
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "no-referrer"),
    ("cross-origin-resource-policy", "same-origin"),
    (
        "content-security-policy",
        "default-src 'none'; frame-ancestors 'none'; sandbox",
    ),
    ("cache-control", "no-store"),
];

/// Two years. Browsers then refuse to speak without TLS.
const ONLY_TLS: &str = "max-age=63072000; includeSubDomains";

pub(super) fn set(headers: &mut HeaderMap, name: &'static str, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(HeaderName::from_static(name), value);
    }
}

pub(super) fn security(headers: &mut HeaderMap, public_url: &str) {
    for (name, value) in DEFAULTS {
        if !headers.contains_key(name) {
            set(headers, name, value);
        }
    }
    if public_url.starts_with("https://") {
        set(headers, "strict-transport-security", ONLY_TLS);
    }
}

/// Where the client stands, as draft-ietf-httpapi-ratelimit-headers-10 says it and as it was usual
/// before.
pub(super) fn rate_limits(headers: &mut HeaderMap, limits: &Limits, verdict: Verdict) {
    let policy = |policy: Policy| {
        let rate = limits.rate(policy)?;
        let window = rate.period.as_secs();
        Some(format!(
            "\"{}\";q={};w={window}",
            policy.name(),
            rate.requests
        ))
    };
    let policies: Vec<_> = [Policy::Read, Policy::Write]
        .into_iter()
        .filter_map(policy)
        .collect();
    let (name, remaining) = (verdict.policy.name(), verdict.taken.remaining);
    let reset = verdict.taken.reset.as_secs_f64().ceil() as u64;
    let quota = verdict.rate.requests.to_string();
    set(headers, "ratelimit-policy", &policies.join(", "));
    set(
        headers,
        "ratelimit",
        &format!("\"{name}\";r={remaining};t={reset}"),
    );
    set(headers, "x-ratelimit-limit", &quota);
    set(headers, "x-ratelimit-remaining", &remaining.to_string());
    set(headers, "x-ratelimit-reset", &reset.to_string());
}
