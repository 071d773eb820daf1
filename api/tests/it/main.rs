//! The API over HTTP, on real PostgreSQL and Redis.

mod edge;
mod health;
mod support;
