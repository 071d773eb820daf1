//! Why a task ended, and what helps.

/// What ECS tells of an end, with a known cause's next step.
pub(crate) fn explained(reason: &str, exit_code: Option<i32>) -> String {
    let code = exit_code.map_or_else(String::new, |code| format!(", exit code {code}"));
    let hint = hint(reason, exit_code).map_or_else(String::new, |hint| format!(": {hint}"));
    format!("{reason}{code}{hint}")
}

fn hint(reason: &str, exit_code: Option<i32>) -> Option<&'static str> {
    let says = |text: &str| reason.contains(text);
    if says("CannotPullContainer") {
        return Some("the image is not in the registry, or the subnets do not reach it");
    }
    if says("ResourceInitializationError") && says("log") {
        return Some("the log group is not there: deploy the platform stack");
    }
    if says("ResourceInitializationError") {
        return Some(
            "the task did not reach AWS: look at the subnets' way out and at the execution role",
        );
    }
    if says("OutOfMemory") || exit_code == Some(137) {
        return Some(
            "it was killed: give it more memory, or it did not end within its stop timeout",
        );
    }
    if says("health checks") {
        return Some("it did not answer GET /health in time: its log tells why");
    }
    match exit_code {
        Some(2) => Some("settings are missing or malformed: its log names them"),
        Some(3) => Some(
            "secrets could not be read: its log names each, `cargo xtask verify` looks at them",
        ),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_known_end_has_its_next_step() {
        let cases = [
            (
                "CannotPullContainerError: manifest unknown",
                None,
                "registry",
            ),
            (
                "ResourceInitializationError: failed to validate logger args: log group",
                None,
                "log group",
            ),
            (
                "ResourceInitializationError: unable to pull secrets",
                None,
                "execution role",
            ),
            ("OutOfMemoryError: Container killed", Some(137), "memory"),
            (
                "Essential container in task exited",
                Some(137),
                "stop timeout",
            ),
            ("Task failed container health checks", None, "GET /health"),
            (
                "Task failed ELB health checks in (target-group …)",
                None,
                "GET /health",
            ),
            ("Essential container in task exited", Some(2), "settings"),
            ("Essential container in task exited", Some(3), "secrets"),
        ];
        for (reason, code, hint) in cases {
            let text = explained(reason, code);
            assert!(text.starts_with(reason) && text.contains(hint), "{text}");
        }
    }

    #[test]
    fn an_unknown_end_is_told_as_it_is() {
        assert_eq!(explained("Scaled in", None), "Scaled in");
        assert_eq!(explained("Exited", Some(1)), "Exited, exit code 1");
    }
}
