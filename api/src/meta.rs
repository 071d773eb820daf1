//! What this instance is and what its limits are.

use poem_openapi::{Object, OpenApi, payload::Json};

use crate::tags::Tags;

mod limits;

use limits::MetaLimits;
pub use limits::Settings;

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

/// Facts about the instance.
pub struct Api {
    pub limits: Settings,
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
    /// Every limit that a request can meet, and how long things are kept. Needs no token.
    #[oai(path = "/limits", method = "get", operation_id = "get_limits")]
    async fn limits(&self) -> Json<MetaLimits> {
        Json(self.limits.limits())
    }
}
