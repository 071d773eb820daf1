//! The way of whoever has Docker and no Rust, on a machine of GitHub's, which has Docker's own engine and images.

use super::{
    actions,
    model::Job,
    steps::{run, rust},
};

pub(super) fn job() -> Job {
    Job {
        name: "Docker Compose".to_owned(),
        runs_on: "ubuntu-24.04".to_owned(),
        timeout_minutes: 60,
        steps: vec![
            actions::checkout(),
            rust(),
            // Where no engine answers, the test is skipped; here that is a failure.
            run(
                "Build, start, kill and restart everything",
                "docker version && cargo xtask test --compose",
            ),
        ],
        ..Job::default()
    }
}
