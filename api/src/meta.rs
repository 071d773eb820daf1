//! What this instance is and what its limits are.

use poem_openapi::{Object, OpenApi, payload::Json};

use crate::{
    admission, json,
    limits::{Limits, Policy},
    tags::Tags,
};

/// This instance.
#[derive(Debug, Object)]
pub struct Meta {
    /// The release.
    version: String,
    /// The commit that the release was built from, where the build knew it.
    commit: Option<String>,
    /// The names of what this release can do beyond the plain operations.
    features: Vec<String>,
}

/// How much is allowed.
#[derive(Debug, Object)]
pub struct MetaLimits {
    /// Of a request's body, in bytes.
    body_bytes: i64,
    /// How deep JSON may nest.
    json_depth: i32,
    /// Of a task's title.
    title_characters: i32,
    /// Of a description, in bytes of UTF-8.
    description_bytes: i32,
    /// Of a task.
    labels: i32,
    /// How deep tasks may nest.
    subtask_levels: i32,
    /// Of a page of a list.
    page_items: i32,
    /// Requests allowed in a time, by policy.
    rates: Vec<MetaRate>,
}

/// One rate limit.
#[derive(Debug, Object)]
pub struct MetaRate {
    /// As `RateLimit-Policy` names it.
    policy: String,
    requests: i32,
    window_seconds: i32,
}

/// Facts about the instance.
pub struct Api {
    pub limits: std::sync::Arc<Limits>,
}

#[OpenApi(prefix_path = "/v1/meta", tag = "Tags::Operations")]
impl Api {
    /// Describe this instance
    ///
    /// Needs no token.
    #[oai(path = "/", method = "get", operation_id = "get_meta")]
    async fn meta(&self) -> Json<Meta> {
        Json(Meta {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            commit: option_env!("TASKHUB_COMMIT")
                .filter(|commit| !commit.is_empty())
                .map(str::to_owned),
            features: ["idempotency", "conditional_requests", "rate_limits"]
                .map(str::to_owned)
                .into(),
        })
    }

    /// List the limits
    ///
    /// Every limit that a request can meet. Needs no token.
    #[oai(path = "/limits", method = "get", operation_id = "get_limits")]
    async fn limits(&self) -> Json<MetaLimits> {
        let policies = [
            Policy::Read,
            Policy::Write,
            Policy::LoginAddress,
            Policy::LoginAccount,
            Policy::Register,
            Policy::PasswordReset,
        ];
        let rates = policies
            .into_iter()
            .filter_map(|policy| Some((policy, self.limits.rate(policy)?)))
            .map(|(policy, rate)| MetaRate {
                policy: policy.name().to_owned(),
                requests: i32::try_from(rate.requests).unwrap_or(i32::MAX),
                window_seconds: i32::try_from(rate.period.as_secs()).unwrap_or(i32::MAX),
            })
            .collect();
        Json(MetaLimits {
            body_bytes: admission::MAX_BODY as i64,
            json_depth: json::MAX_DEPTH as i32,
            title_characters: 500,
            description_bytes: 65_536,
            labels: 50,
            subtask_levels: 5,
            page_items: 200,
            rates,
        })
    }
}
