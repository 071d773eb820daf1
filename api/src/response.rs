//! The shapes of success that several operations share.

use poem_openapi::{
    ApiResponse,
    payload::Json,
    types::{ToJSON, Type},
};

/// `true` where an answer is the repetition of an earlier one; absent otherwise.
pub type Replayed = Option<bool>;

/// A thing that has a version.
#[derive(ApiResponse)]
pub enum Versioned<T: ToJSON + Type> {
    /// The thing as it is now.
    #[oai(status = 200)]
    Found(
        Json<T>,
        /// Its version, for `If-Match` and `If-None-Match`.
        #[oai(header = "ETag")]
        String,
        /// Present and true where this repeats an earlier answer.
        #[oai(header = "Idempotency-Replayed")]
        Replayed,
    ),
}

/// A thing that was made.
#[derive(ApiResponse)]
pub enum Created<T: ToJSON + Type> {
    /// The new thing.
    #[oai(status = 201)]
    Made(
        Json<T>,
        /// Where it is.
        #[oai(header = "Location")]
        String,
        /// Its version.
        #[oai(header = "ETag")]
        String,
        /// Present and true where this repeats an earlier answer.
        #[oai(header = "Idempotency-Replayed")]
        Replayed,
    ),
}

/// Done, and there is nothing to say.
#[derive(ApiResponse)]
pub enum Done {
    /// Done.
    #[oai(status = 204)]
    Empty(
        /// Present and true where this repeats an earlier answer.
        #[oai(header = "Idempotency-Replayed")]
        Replayed,
    ),
}

/// To be done soon.
#[derive(ApiResponse)]
pub enum Accepted {
    /// Accepted.
    #[oai(status = 202)]
    Later(
        /// Present and true where this repeats an earlier answer.
        #[oai(header = "Idempotency-Replayed")]
        Replayed,
    ),
}

impl<T: ToJSON + Type> Versioned<T> {
    pub fn new(value: T, version: i64, replayed: bool) -> Self {
        Self::tagged(value, etag(version), replayed)
    }

    /// With an entity tag that says more than the version.
    pub fn tagged(value: T, etag: String, replayed: bool) -> Self {
        Self::Found(Json(value), etag, replayed.then_some(true))
    }
}

impl<T: ToJSON + Type> Created<T> {
    pub fn new(value: T, location: String, version: i64, replayed: bool) -> Self {
        Self::tagged(value, location, etag(version), replayed)
    }

    /// With an entity tag that says more than the version.
    pub fn tagged(value: T, location: String, etag: String, replayed: bool) -> Self {
        Self::Made(Json(value), location, etag, replayed.then_some(true))
    }
}

impl Accepted {
    pub fn new(replayed: bool) -> Self {
        Self::Later(replayed.then_some(true))
    }
}

impl Done {
    pub fn new(replayed: bool) -> Self {
        Self::Empty(replayed.then_some(true))
    }
}

/// A strong entity tag (RFC 9110, 8.8.3).
pub fn etag(version: i64) -> String {
    format!("\"{version}\"")
}
