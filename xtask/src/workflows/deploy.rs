//! `deploy.yml`: what was merged goes to staging, and the same image to production once somebody approves it.
//!
//! Nothing that a pull request could have written is used here: there is no cache.

use super::{
    actions,
    model::{Concurrency, Defaults, Job, Map, On, Push, Step, Workflow, map},
    runner,
    steps::{filled, image, role, run, rust},
};
use crate::environments::{Arch, Environment, Name};

pub(super) fn workflow(environments: &[Environment], arch: Arch) -> Workflow {
    let mut jobs = vec![("image".to_owned(), build(arch))];
    jobs.extend(environments.iter().map(|environment| {
        let id = format!("deploy-{}", environment.name);
        (id, deploy(environment))
    }));
    Workflow {
        name: "Deploy",
        on: On {
            push: Push {
                branches: vec!["main"],
            },
            pull_request: None,
        },
        permissions: map([("contents", "read")]),
        concurrency: None,
        defaults: Defaults::BASH,
        jobs: Map(jobs),
    }
}

fn build(arch: Arch) -> Job {
    Job {
        name: "Image".to_owned(),
        runs_on: runner(arch).to_owned(),
        timeout_minutes: 60,
        outputs: map([("digest", "${{ steps.image.outputs.digest }}")]),
        steps: vec![
            actions::checkout(),
            rust(),
            image(),
            actions::upload("image", "target/image"),
        ],
        ..Job::default()
    }
}

/// The environment's rules decide who must approve it: its role can be taken in no other job. One at a time, and what
/// has begun is not cancelled: services that change are watched to the end.
fn deploy(environment: &Environment) -> Job {
    let name = environment.name;
    let needs = match name {
        Name::Staging => vec!["image"],
        Name::Production => vec!["image", "deploy-staging"],
    };
    let role = role(name, "DEPLOY");
    Job {
        name: format!("Deploy to {name}"),
        needs,
        condition: Some(format!("{role} != ''")),
        runs_on: "ubuntu-24.04".to_owned(),
        timeout_minutes: 90,
        environment: Some(name.as_str()),
        concurrency: Some(Concurrency {
            group: format!("deploy-{name}"),
            cancel_in_progress: false,
        }),
        permissions: map([("contents", "read"), ("id-token", "write")]),
        steps: vec![
            actions::checkout(),
            rust(),
            actions::download("image", "target/image"),
            actions::credentials(&filled(&role), &environment.region),
            gate(name),
            push(name),
            roll(name),
        ],
        ..Job::default()
    }
}

/// Against what runs there. The first release has nothing to be compared with but the commit before it.
fn gate(name: Name) -> Step {
    run(
        "Check the migrations against what runs",
        &format!(
            "running=$(cargo xtask releases --env {name} --json \\\n\
             \x20 | jq -r '[.releases[] | select(.outcome == \"ok\")][0].commit // empty')\n\
             cargo xtask release check ${{running:+--against \"$running\"}}\n"
        ),
    )
}

/// The registry gives the image the digest that it has: it is the image that was built.
fn push(name: Name) -> Step {
    run(
        "Push the image",
        &format!("cargo xtask image push --env {}", name.as_str()),
    )
}

fn roll(name: Name) -> Step {
    Step {
        env: map([("DIGEST", "${{ needs.image.outputs.digest }}")]),
        ..run(
            "Deploy",
            &format!("cargo xtask deploy --env {name} --image \"$DIGEST\""),
        )
    }
}
