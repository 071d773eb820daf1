//! The application: its facts, its rules and its settings.
//!
//! It knows nothing of HTTP and of processes. `taskhub-api` and `taskhub-worker` are its two doors;
//! each receives what it needs as a value, and only a `main.rs` builds pools and clients.

pub mod changes;
pub mod database;
pub mod due;
pub mod error;
pub mod idempotency;
pub mod jobs;
pub mod labels;
pub mod passwords;
pub mod projects;
pub mod queue;
pub mod rotation;
pub mod scopes;
pub mod search;
pub mod secrets;
pub mod sessions;
pub mod settings;
pub mod tasks;
pub mod telemetry;
#[cfg(feature = "testing")]
pub mod testing;
pub mod tokens;
pub mod trace;
pub mod trash;
pub mod users;

pub use error::{Current, Deleted, Error, Refusal, Result, Violation};
