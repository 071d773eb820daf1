//! The application against a real PostgreSQL.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod changes;
mod documents;
mod jobs;
mod labels;
mod lists;
mod migrations;
mod people;
mod poolers;
mod resets;
mod search;
mod secrets;
mod service_role;
mod sessions;
mod settings;
mod tasks;
mod telemetry;
mod tls;
mod users;
mod world;
