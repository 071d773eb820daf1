//! The HTTP door.
pub mod contract;
pub mod json;
pub mod problem;
pub mod validation;
