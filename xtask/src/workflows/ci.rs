//! `ci.yml`: what a change must fulfil before it is merged.

use super::{
    actions, compose,
    model::{Concurrency, Defaults, Job, Map, Matrix, On, Push, Step, Strategy, Workflow, map},
    runner, stands,
    steps::{filled, image, role, run, rust},
};
use crate::environments::{Arch, Environment};

pub(super) fn workflow(environments: &[Environment]) -> Workflow {
    let mut jobs = vec![
        ("check".to_owned(), check()),
        ("migrations".to_owned(), migrations()),
        ("image".to_owned(), images()),
        ("compose".to_owned(), compose::job()),
    ];
    jobs.extend(stands::jobs());
    jobs.extend(environments.iter().map(plan));
    Workflow {
        name: "CI",
        on: On {
            push: Push {
                branches: vec!["main"],
            },
            pull_request: Some(Map::default()),
        },
        permissions: map([("contents", "read")]),
        concurrency: Some(Concurrency {
            group: filled("github.workflow") + "-" + &filled("github.ref"),
            cancel_in_progress: false,
        }),
        defaults: Defaults::BASH,
        jobs: Map(jobs),
    }
}

fn check() -> Job {
    Job {
        name: "Everything that a change must fulfil".to_owned(),
        runs_on: "ubuntu-24.04".to_owned(),
        timeout_minutes: 90,
        steps: vec![
            actions::checkout(),
            actions::cache("ci"),
            rust(),
            run(
                "Make the locales that tests try",
                "sudo locale-gen en_US.UTF-8 tr_TR.UTF-8",
            ),
            run("Check and test", ".ci/run"),
        ],
        ..Job::default()
    }
}

/// Against the branch that the change goes to; on that branch, against the commit before.
fn migrations() -> Job {
    Job {
        name: "Migrations under load".to_owned(),
        runs_on: "ubuntu-24.04".to_owned(),
        timeout_minutes: 60,
        steps: vec![
            actions::checkout(),
            actions::cache("gate"),
            rust(),
            Step {
                env: map([
                    (
                        "AGAINST",
                        "${{ github.event.pull_request.base.sha || github.event.before }}",
                    ),
                    ("CARGO_TARGET_DIR", "/home/runner/.cache/taskhub-ci"),
                ]),
                ..run(
                    "Check the release",
                    "cargo xtask release check --against \"$AGAINST\"",
                )
            },
            // Also of a release that is refused. A check that ended before it found anything leaves none.
            Step {
                condition: Some("always()"),
                ..actions::upload_if_there(
                    "release-check",
                    "/home/runner/.cache/taskhub-ci/release-check.json",
                )
            },
        ],
        ..Job::default()
    }
}

/// Each on a machine of its own processor.
fn images() -> Job {
    let include = [("arm64", Arch::Arm64), ("amd64", Arch::X86_64)]
        .map(|(name, arch)| map([("arch", name), ("runner", runner(arch))]));
    Job {
        name: "Image for ${{ matrix.arch }}".to_owned(),
        runs_on: filled("matrix.runner"),
        timeout_minutes: 60,
        strategy: Some(Strategy {
            fail_fast: false,
            matrix: Matrix {
                include: include.into(),
            },
        }),
        steps: vec![
            actions::checkout(),
            rust(),
            image(),
            actions::upload("sbom-${{ matrix.arch }}", "target/image/sbom.cdx.json"),
        ],
        ..Job::default()
    }
}

/// What the change would do in AWS. Forks have no token, and an account without a role is not asked.
fn plan(environment: &Environment) -> (String, Job) {
    let name = environment.name;
    let role = role(name, "PLAN");
    let job = Job {
        name: format!("Plan for {name}"),
        condition: Some(format!(
            "github.event_name == 'pull_request' && {role} != '' && \
             github.event.pull_request.head.repo.full_name == github.repository"
        )),
        runs_on: "ubuntu-24.04".to_owned(),
        timeout_minutes: 30,
        permissions: map([("contents", "read"), ("id-token", "write")]),
        steps: vec![
            actions::checkout(),
            rust(),
            actions::credentials(&filled(&role), &environment.region),
            run(
                "Show what would change",
                &format!("cargo xtask plan --env {name} | tee -a \"$GITHUB_STEP_SUMMARY\""),
            ),
        ],
        ..Job::default()
    };
    (format!("plan-{name}"), job)
}
