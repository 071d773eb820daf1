use std::collections::BTreeMap;

use serde_json::Value;

use super::*;

fn workflows() -> BTreeMap<String, Value> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
    let files = files(root.expect("the workspace")).expect("workflows");
    let parsed = files.into_iter().map(|(path, text)| {
        let name = path.file_stem().unwrap_or_default();
        let value = serde_saphyr::from_str(&text).expect("YAML");
        (name.to_string_lossy().into_owned(), value)
    });
    parsed.collect()
}

/// Every job of every workflow.
fn jobs(workflows: &BTreeMap<String, Value>) -> Vec<(&String, &Value)> {
    let jobs = workflows.values().map(|workflow| &workflow["jobs"]);
    jobs.flat_map(|jobs| jobs.as_object().expect("jobs"))
        .collect()
}

fn steps(job: &Value) -> &Vec<Value> {
    job["steps"].as_array().expect("steps")
}

#[test]
fn every_action_is_pinned_by_its_commit() {
    let workflows = workflows();
    let mut actions = 0;
    for (_, job) in jobs(&workflows) {
        for uses in steps(job).iter().filter_map(|step| step["uses"].as_str()) {
            let (_, commit) = uses.split_once('@').expect("a commit");
            let is_commit = commit.len() == 40 && commit.bytes().all(|b| b.is_ascii_hexdigit());
            assert!(is_commit, "{uses}");
            actions += 1;
        }
    }
    assert!(actions > 10);
}

#[test]
fn what_github_fills_in_is_never_part_of_a_line_for_the_shell() {
    for (id, job) in jobs(&workflows()) {
        for line in steps(job).iter().filter_map(|step| step["run"].as_str()) {
            assert!(!line.contains("${{"), "{id}: {line}");
        }
    }
}

#[test]
fn only_jobs_that_take_a_role_get_a_token_and_all_of_them_end() {
    let workflows = workflows();
    for workflow in workflows.values() {
        assert_eq!(workflow["permissions"], json!({"contents": "read"}));
    }
    for (id, job) in jobs(&workflows) {
        let takes = steps(job).iter().any(|step| {
            let uses = step["uses"].as_str().unwrap_or_default();
            uses.starts_with("aws-actions/")
        });
        assert_eq!(job["permissions"]["id-token"] == "write", takes, "{id}");
        assert!(job["timeout-minutes"].as_u64() <= Some(90), "{id}");
    }
}

#[test]
fn production_gets_the_image_that_staging_runs_after_an_approval() {
    let deploy = &workflows()["deploy"]["jobs"];
    let production = &deploy["deploy-production"];
    assert_eq!(production["needs"], json!(["image", "deploy-staging"]));
    for name in ["staging", "production"] {
        let job = &deploy[format!("deploy-{name}")];
        assert_eq!(job["environment"], name);
        assert_eq!(job["concurrency"]["cancel-in-progress"], false);
        let last = steps(job).last().expect("a step");
        assert_eq!(last["env"]["DIGEST"], "${{ needs.image.outputs.digest }}");
        let lines: Vec<&str> = steps(job)
            .iter()
            .filter_map(|step| step["run"].as_str())
            .collect();
        let place = |words: &str| lines.iter().position(|line| line.contains(words));
        assert!(place("release check") < place("xtask deploy"), "{lines:?}");
        assert!(place("release check").is_some(), "{lines:?}");
    }
}

#[test]
fn both_commands_are_tried_where_else_people_stand() {
    let ci = &workflows()["ci"]["jobs"];
    for (name, runner) in [("macos", "macos-15"), ("ubuntu", "ubuntu-24.04")] {
        let job = &ci[name];
        assert_eq!(job["runs-on"], runner);
        let lines: Vec<&str> = steps(job)
            .iter()
            .filter_map(|step| step["run"].as_str())
            .collect();
        let runs = |command: &str| lines.iter().any(|line| line.starts_with(command));
        assert!(
            runs("cargo xtask test") && runs("cargo xtask dev"),
            "{lines:?}"
        );
    }
    let newest = steps(&ci["newest"]).last().expect("a step");
    assert!(
        newest["run"]
            .as_str()
            .is_some_and(|line| line.contains("test --newest"))
    );
}

#[test]
fn forks_take_no_role() {
    let ci = &workflows()["ci"]["jobs"];
    for name in ["plan-staging", "plan-production"] {
        let condition = ci[name]["if"].as_str().expect("a condition");
        assert!(condition.contains("head.repo.full_name == github.repository"));
    }
}
