//! The application against a real PostgreSQL.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod people;
mod sessions;
mod users;
