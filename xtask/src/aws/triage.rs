//! What can be done with a stack in the state that it is in.

use crate::render::template::Stack;

/// One line of a stack's history.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Event {
    /// The logical id, or the stack's name.
    pub(crate) resource: String,
    pub(crate) kind: String,
    /// `CREATE_FAILED`, …
    pub(crate) status: String,
    pub(crate) reason: String,
}

/// What comes first.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Triage {
    /// It is not there, or nothing is in it.
    Create,
    Update,
    /// Its first creation failed: it can only be deleted, and then created again.
    DeleteFirst,
    /// CloudFormation is at work on it, for somebody else.
    Busy,
    /// CloudFormation clears up; that ends by itself.
    Wait,
    /// A person must decide: [`super::diagnosis`] says what.
    Human,
}

/// From CloudFormation's word for a state; none where the stack is not there.
pub(crate) fn triage(stack: Stack, status: Option<&str>) -> Triage {
    let Some(status) = status else {
        return Triage::Create;
    };
    match status {
        "REVIEW_IN_PROGRESS" | "DELETE_COMPLETE" => Triage::Create,
        "CREATE_COMPLETE"
        | "UPDATE_COMPLETE"
        | "UPDATE_ROLLBACK_COMPLETE"
        | "IMPORT_COMPLETE"
        | "IMPORT_ROLLBACK_COMPLETE" => Triage::Update,
        "ROLLBACK_COMPLETE" if stack != Stack::Data => Triage::DeleteFirst,
        _ if status.ends_with("_CLEANUP_IN_PROGRESS") => Triage::Wait,
        _ if status.ends_with("_IN_PROGRESS") => Triage::Busy,
        _ => Triage::Human,
    }
}

/// Whether CloudFormation has ended what it does.
pub(crate) fn has_ended(status: &str) -> bool {
    !status.ends_with("_IN_PROGRESS") || status.ends_with("_CLEANUP_IN_PROGRESS")
}

/// The first failure that is not another one's consequence, in words.
pub(crate) fn root_cause(events: &[Event]) -> Option<String> {
    let begin = events.iter().rposition(|event| {
        event.kind == "AWS::CloudFormation::Stack"
            && matches!(
                event.status.as_str(),
                "CREATE_IN_PROGRESS" | "UPDATE_IN_PROGRESS" | "REVIEW_IN_PROGRESS"
            )
    });
    let last = &events[begin.unwrap_or(0)..];
    let failure = last.iter().find(|event| {
        event.status.ends_with("_FAILED")
            && event.kind != "AWS::CloudFormation::Stack"
            && !event.reason.to_lowercase().contains("cancelled")
    })?;
    Some(format!(
        "{} ({}): {}",
        failure.resource, failure.kind, failure.reason
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_has_its_next_step() {
        let cases = [
            (None, Triage::Create),
            (Some("REVIEW_IN_PROGRESS"), Triage::Create),
            (Some("CREATE_COMPLETE"), Triage::Update),
            (Some("UPDATE_COMPLETE"), Triage::Update),
            (Some("UPDATE_ROLLBACK_COMPLETE"), Triage::Update),
            (Some("IMPORT_COMPLETE"), Triage::Update),
            (Some("ROLLBACK_COMPLETE"), Triage::DeleteFirst),
            (Some("CREATE_IN_PROGRESS"), Triage::Busy),
            (Some("UPDATE_IN_PROGRESS"), Triage::Busy),
            (Some("UPDATE_ROLLBACK_IN_PROGRESS"), Triage::Busy),
            (Some("DELETE_IN_PROGRESS"), Triage::Busy),
            (Some("UPDATE_COMPLETE_CLEANUP_IN_PROGRESS"), Triage::Wait),
            (
                Some("UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS"),
                Triage::Wait,
            ),
        ];
        for (status, expected) in cases {
            assert_eq!(triage(Stack::Service, status), expected, "{status:?}");
        }
    }

    #[test]
    fn what_only_a_person_can_decide_is_left_to_a_person() {
        for status in [
            "UPDATE_ROLLBACK_FAILED",
            "ROLLBACK_FAILED",
            "DELETE_FAILED",
            "CREATE_FAILED",
            "UPDATE_FAILED",
            "SOMETHING_NEW",
        ] {
            assert_eq!(
                triage(Stack::Service, Some(status)),
                Triage::Human,
                "{status}"
            );
        }
        let data = triage(Stack::Data, Some("ROLLBACK_COMPLETE"));
        assert_eq!(data, Triage::Human);
    }

    #[test]
    fn the_first_failure_is_the_cause_and_not_what_it_cancels() {
        const STACK: &str = "AWS::CloudFormation::Stack";
        const SERVICE: &str = "AWS::ECS::Service";
        let event = |resource: &str, kind: &str, status: &str, reason: &str| Event {
            resource: resource.to_owned(),
            kind: kind.to_owned(),
            status: status.to_owned(),
            reason: reason.to_owned(),
        };
        let events = [
            event("s", STACK, "UPDATE_IN_PROGRESS", ""),
            event("Old", SERVICE, "UPDATE_FAILED", "of the last deployment"),
            event("s", STACK, "UPDATE_IN_PROGRESS", "User Initiated"),
            event(
                "ApiScaling",
                "AWS::X",
                "UPDATE_FAILED",
                "Resource update cancelled",
            ),
            event("WorkerService", SERVICE, "UPDATE_FAILED", "circuit breaker"),
            event("s", STACK, "UPDATE_ROLLBACK_IN_PROGRESS", "[WorkerService]"),
        ];
        assert_eq!(
            root_cause(&events).as_deref(),
            Some("WorkerService (AWS::ECS::Service): circuit breaker")
        );
        assert_eq!(root_cause(&events[..1]), None);
    }

    #[test]
    fn clearing_up_is_an_end_and_working_is_none() {
        assert!(has_ended("UPDATE_COMPLETE_CLEANUP_IN_PROGRESS"));
        assert!(has_ended("ROLLBACK_COMPLETE"));
        assert!(!has_ended("UPDATE_ROLLBACK_IN_PROGRESS"));
    }
}
