//! The application against a real PostgreSQL.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod changes;
mod lists;
mod people;
mod sessions;
mod tasks;
mod users;
mod world;
