//! The commands of `infra/README.md`, run as they stand there.

use std::{fs, path::Path, process::Output};

use serde_json::json;

use crate::emulator::{Emulator, infra};

const LAST: &str = "## Taking it down";

#[test]
fn the_page_for_whoever_has_no_xtask_is_true() {
    let page = fs::read_to_string(infra().join("README.md")).expect("the page");
    let (before, last) = page.split_once(LAST).expect("its last part");
    let emulator = Emulator::start();
    // What the page says has to be there: a zone and an image.
    emulator.add_zone("staging.tasks.example.com", "Z0EXAMPLESTAGING");
    let setting_up = blocks(before);
    assert!(setting_up.len() > 5, "{setting_up:?}");

    let bootstrap = run(&emulator, &setting_up[..2]);
    assert!(bootstrap.status.success(), "{}", said(&bootstrap));
    push_an_image(&emulator);
    // One shell, as somebody who works down the page has.
    let output = run(&emulator, &setting_up);
    assert!(output.status.success(), "{}", said(&output));

    let told = String::from_utf8_lossy(&output.stdout);
    for service in ["api", "worker"] {
        let line = told.lines().rfind(|line| line.starts_with(service));
        assert!(
            line.is_some_and(|line| line.ends_with("COMPLETED")),
            "{told}"
        );
    }
    let stacks = stacks(&emulator);
    assert_eq!(stacks.len(), 6, "{stacks:?}");
    let policy = [
        "cloudformation",
        "get-stack-policy",
        "--stack-name",
        "taskhub-staging-data",
    ];
    let policy = emulator.aws(&policy);
    assert!(
        policy["StackPolicyBody"]
            .as_str()
            .is_some_and(|text| text.contains("Update:Replace"))
    );
    let refused = [
        "cloudformation",
        "delete-stack",
        "--stack-name",
        "taskhub-staging-data",
    ];
    let refused = emulator.try_aws(&refused).expect_err("it is protected");
    assert!(refused.contains("TerminationProtection"), "{refused}");

    let output = run(&emulator, &[&setting_up[..1], &blocks(last)].concat());
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(self::stacks(&emulator), ["taskhub-bootstrap"]);
}

/// What stands between ` ```sh ` and ` ``` `.
fn blocks(page: &str) -> Vec<String> {
    let starts = page.split("```sh\n").skip(1);
    starts
        .map(|rest| rest.split("```").next().expect("an end").to_owned())
        .collect()
}

fn run(emulator: &Emulator, blocks: &[String]) -> Output {
    emulator
        .shell(&blocks.concat())
        .current_dir(root())
        .output()
        .expect("bash runs")
}

fn root() -> &'static Path {
    infra().parent().expect("the checkout")
}

fn said(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    text(&output.stdout) + &text(&output.stderr)
}

/// A manifest is enough, for nobody fetches it.
fn push_an_image(emulator: &Emulator) {
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "size": 2, "digest": format!("sha256:{}", "4".repeat(64))},
        "layers": [],
    });
    let manifest = manifest.to_string();
    let image = [
        "--repository-name",
        "taskhub",
        "--image-tag",
        "first",
        "--image-manifest",
        &manifest,
    ];
    emulator.aws(&[&["ecr", "put-image"], &image[..]].concat());
}

fn stacks(emulator: &Emulator) -> Vec<String> {
    let told = emulator.aws(&["cloudformation", "describe-stacks"]);
    let names = told["Stacks"].as_array().expect("stacks").iter();
    let mut names: Vec<String> = names
        .filter_map(|stack| stack["StackName"].as_str())
        .map(str::to_owned)
        .collect();
    names.sort();
    names
}
