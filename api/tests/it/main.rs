//! The API over HTTP, on real PostgreSQL and Redis.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod auth;
mod changes;
mod compression;
mod connections;
mod console;
mod docs;
mod document;
mod due;
mod edge;
mod extremes;
mod faults;
mod guide;
mod health;
mod jobs;
mod limits;
mod lists;
mod malformed;
mod me;
mod oauth;
mod pages;
mod passwords;
mod problems;
mod process;
mod rotation;
mod search;
mod sessions;
mod support;
mod tasks;
mod tokens;
