//! What a stuck stack means, and the one thing that is safe to do next.

use crate::render::template::Stack;

#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Diagnosis {
    /// In words.
    pub(crate) means: &'static str,
    pub(crate) next: Next,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Next {
    /// CloudFormation is at work: it ends by itself.
    Wait,
    /// Nothing is in it.
    Delete,
    /// What could not be deleted may be by now; what is named stays where it is.
    DeleteAgain,
    /// Once the cause is removed. What is named is left as it is.
    ContinueRollback,
    /// Back to what was before.
    Rollback,
    /// Nothing that a program may do: data could be lost.
    Look,
}

#[cfg(feature = "aws")]
impl Next {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Wait => "wait",
            Self::Delete => "delete the stack",
            Self::DeleteAgain => "delete the stack again, without what --skip-resources names",
            Self::ContinueRollback => {
                "go on with the way back, without what --skip-resources names"
            }
            Self::Rollback => "go back to what was before",
            Self::Look => "look at what is left, then delete the stack by hand",
        }
    }
}

/// From CloudFormation's word for a state; nothing where the stack is not stuck.
pub(crate) fn diagnose(stack: Stack, status: &str) -> Option<Diagnosis> {
    let holds_data = stack == Stack::Data;
    let (means, next) = match status {
        "CREATE_COMPLETE"
        | "UPDATE_COMPLETE"
        | "UPDATE_ROLLBACK_COMPLETE"
        | "IMPORT_COMPLETE"
        | "IMPORT_ROLLBACK_COMPLETE"
        | "DELETE_COMPLETE" => return None,
        "REVIEW_IN_PROGRESS" => (
            "a change set was made and never executed: nothing is in it",
            Next::Delete,
        ),
        "ROLLBACK_COMPLETE" if holds_data => (
            "its first creation failed, and it may have left data behind",
            Next::Look,
        ),
        "ROLLBACK_COMPLETE" => (
            "its first creation failed and was undone: it can only be deleted",
            Next::Delete,
        ),
        "UPDATE_ROLLBACK_FAILED" => (
            "neither the new state nor the old one was reached: remove the cause first",
            Next::ContinueRollback,
        ),
        "ROLLBACK_FAILED" | "DELETE_FAILED" | "CREATE_FAILED" if holds_data => (
            "it is neither made nor deleted, and what is left of it may hold data",
            Next::Look,
        ),
        "ROLLBACK_FAILED" | "DELETE_FAILED" => (
            "some of its resources could not be deleted",
            Next::DeleteAgain,
        ),
        "CREATE_FAILED" | "UPDATE_FAILED" => ("somebody switched the rollback off", Next::Rollback),
        _ if status.ends_with("_IN_PROGRESS") => ("CloudFormation is at work on it", Next::Wait),
        _ => ("this state is unknown to this program", Next::Look),
    };
    Some(Diagnosis { means, next })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_hold_data_is_never_deleted_by_a_program() {
        for status in [
            "ROLLBACK_COMPLETE",
            "ROLLBACK_FAILED",
            "DELETE_FAILED",
            "CREATE_FAILED",
            "SOMETHING_NEW",
        ] {
            let found = diagnose(Stack::Data, status).expect("it is stuck");
            assert_eq!(found.next, Next::Look, "{status}");
        }
    }

    #[test]
    fn every_stuck_state_has_one_next_step() {
        let cases = [
            ("REVIEW_IN_PROGRESS", Next::Delete),
            ("ROLLBACK_COMPLETE", Next::Delete),
            ("UPDATE_ROLLBACK_FAILED", Next::ContinueRollback),
            ("IMPORT_ROLLBACK_FAILED", Next::Look),
            ("ROLLBACK_FAILED", Next::DeleteAgain),
            ("DELETE_FAILED", Next::DeleteAgain),
            ("CREATE_FAILED", Next::Rollback),
            ("UPDATE_FAILED", Next::Rollback),
            ("UPDATE_IN_PROGRESS", Next::Wait),
            ("UPDATE_COMPLETE_CLEANUP_IN_PROGRESS", Next::Wait),
        ];
        for (status, next) in cases {
            let found = diagnose(Stack::Service, status).map(|found| found.next);
            assert_eq!(found, Some(next), "{status}");
        }
        for status in ["CREATE_COMPLETE", "UPDATE_ROLLBACK_COMPLETE"] {
            assert_eq!(diagnose(Stack::Service, status), None);
        }
    }
}
