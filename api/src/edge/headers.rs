//! The headers that every answer has.

use http::{HeaderMap, HeaderName, HeaderValue};
use taskhub::settings::RateLimit;

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

/// Where the client stands, as draft-ietf-httpapi-ratelimit-headers-11 says it, and in the headers that were
/// usual before, for older clients. `verdicts` begin with the one that matters most; they are not empty.
pub(super) fn rate_limits(headers: &mut HeaderMap, limits: &Limits, verdicts: &[Verdict]) {
    let policies: Vec<_> = verdicts
        .iter()
        .map(|verdict| verdict.policy)
        .filter(|policy| !ALWAYS_NAMED.contains(policy))
        .chain(ALWAYS_NAMED)
        .filter_map(|policy| Some(describe(policy, limits.rate(policy)?)))
        .collect();
    let states: Vec<_> = verdicts.iter().map(Verdict::state).collect();
    set(headers, "ratelimit-policy", &policies.join(", "));
    set(headers, "ratelimit", &states.join(", "));
    if let Some(Verdict { rate, taken, .. }) = verdicts.first() {
        set(headers, "x-ratelimit-limit", &rate.requests.to_string());
        set(
            headers,
            "x-ratelimit-remaining",
            &taken.remaining.to_string(),
        );
        set(
            headers,
            "x-ratelimit-reset",
            &taken.next_seconds().to_string(),
        );
    }
}

/// The policies that every request can meet.
const ALWAYS_NAMED: [Policy; 2] = [Policy::Read, Policy::Write];

/// The member of `RateLimit-Policy` for a policy (section 3 of the same draft).
fn describe(policy: Policy, rate: RateLimit) -> String {
    let (name, window) = (policy.name(), rate.period.as_secs());
    format!("\"{name}\";q={};w={window}", rate.requests)
}
