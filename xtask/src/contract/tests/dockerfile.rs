//! What the image says of itself. That it builds and runs is executed: see `crate::dockerfile` and
//! `cargo xtask test --compose`.

use super::*;
use crate::dockerfile::Sources;

#[test]
fn the_dockerfile_says_what_the_contract_says() {
    assert_agrees(
        &file("Dockerfile"),
        &[
            ("USER 65532:65532", "USER 0:0"),
            ("EXPOSE 8000 9000", "EXPOSE 8080 9000"),
            ("STOPSIGNAL SIGTERM", "STOPSIGNAL SIGINT"),
            ("--interval=10s", "--interval=30s"),
            ("--timeout=3s", "--timeout=9s"),
            ("--start-period=20s", "--start-period=1s"),
            ("--retries=3", "--retries=9"),
            (
                r#"CMD ["taskhub-api", "healthcheck"]"#,
                r#"CMD ["curl", "localhost"]"#,
            ),
            (
                r#"CMD ["taskhub-api", "serve"]"#,
                r#"CMD ["taskhub-worker"]"#,
            ),
        ],
        differences,
    );
}

fn differences(text: &str) -> Vec<String> {
    let mut comparison = Comparison::new();
    let mut same = |instruction: &str, should_be: String| {
        let is = last(text, instruction);
        comparison.same(instruction, is, should_be);
    };
    let ports: Vec<String> = Task::Api
        .ports()
        .iter()
        .map(|(_, port)| port.to_string())
        .collect();
    let list = |words: &[&str]| {
        format!(
            "[{}]",
            words
                .iter()
                .map(|word| format!("{word:?}"))
                .collect::<Vec<_>>()
                .join(", ")
        )
    };
    let health = Task::Api.health_command().expect("a health check");
    same("USER", USER.to_owned());
    same("EXPOSE", ports.join(" "));
    same("STOPSIGNAL", "SIGTERM".to_owned());
    same("CMD", list(Task::Api.command()));
    same(
        "HEALTHCHECK",
        format!(
            "--interval={}s --timeout={}s --start-period={}s --retries={} CMD {}",
            PROBE.interval,
            PROBE.timeout,
            PROBE.start_period,
            PROBE.retries,
            list(health)
        ),
    );
    comparison.found()
}

#[test]
fn the_image_has_the_authorities_of_rds_where_the_contract_says() {
    let sources = Sources::read(root()).expect("both files");
    let copied = sources.copied_into_the_image(root()).expect("its stages");
    assert!(copied.contains(RDS_CERTIFICATES), "{copied:?}");
}

/// The instruction that counts: the last of its kind, with its continued lines.
fn last(text: &str, instruction: &str) -> String {
    let joined = text.replace("\\\n", " ");
    let line = joined
        .lines()
        .rev()
        .find_map(|line| line.strip_prefix(instruction)?.strip_prefix(' '));
    line.unwrap_or_default()
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
}
