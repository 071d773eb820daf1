//! The words that a task's fields and a list's parameters are chosen from.

use poem_openapi::Enum;
use taskhub::{Violation, tasks};

use crate::problem::{self, Problem};

/// How far a task is.
#[derive(Clone, Copy, Enum, Eq, PartialEq)]
#[oai(rename_all = "snake_case")]
pub(crate) enum TaskStatus {
    Todo,
    InProgress,
    Done,
    Cancelled,
}

impl TaskStatus {
    pub(super) fn todo() -> Self {
        Self::Todo
    }
}

impl From<tasks::Status> for TaskStatus {
    fn from(status: tasks::Status) -> Self {
        match status {
            tasks::Status::Todo => Self::Todo,
            tasks::Status::InProgress => Self::InProgress,
            tasks::Status::Done => Self::Done,
            tasks::Status::Cancelled => Self::Cancelled,
        }
    }
}

impl From<TaskStatus> for tasks::Status {
    fn from(status: TaskStatus) -> Self {
        match status {
            TaskStatus::Todo => Self::Todo,
            TaskStatus::InProgress => Self::InProgress,
            TaskStatus::Done => Self::Done,
            TaskStatus::Cancelled => Self::Cancelled,
        }
    }
}

/// How much a task matters.
#[derive(Clone, Copy, Enum, Eq, PartialEq)]
#[oai(rename_all = "snake_case")]
pub(crate) enum TaskPriority {
    None,
    Low,
    Medium,
    High,
    Urgent,
}

impl TaskPriority {
    pub(super) fn none() -> Self {
        Self::None
    }
}

impl From<tasks::Priority> for TaskPriority {
    fn from(priority: tasks::Priority) -> Self {
        match priority {
            tasks::Priority::None => Self::None,
            tasks::Priority::Low => Self::Low,
            tasks::Priority::Medium => Self::Medium,
            tasks::Priority::High => Self::High,
            tasks::Priority::Urgent => Self::Urgent,
        }
    }
}

impl From<TaskPriority> for tasks::Priority {
    fn from(priority: TaskPriority) -> Self {
        match priority {
            TaskPriority::None => Self::None,
            TaskPriority::Low => Self::Low,
            TaskPriority::Medium => Self::Medium,
            TaskPriority::High => Self::High,
            TaskPriority::Urgent => Self::Urgent,
        }
    }
}

/// Which due times.
#[derive(Clone, Copy, Enum, Eq, PartialEq)]
#[oai(rename_all = "snake_case")]
pub(crate) enum TaskDue {
    None,
    Any,
    Overdue,
    Today,
}

impl From<TaskDue> for tasks::Due {
    fn from(due: TaskDue) -> Self {
        match due {
            TaskDue::None => Self::None,
            TaskDue::Any => Self::Any,
            TaskDue::Overdue => Self::Overdue,
            TaskDue::Today => Self::Today,
        }
    }
}

/// The order of a list; `-` turns it round.
#[derive(Clone, Copy, Enum, Eq, PartialEq)]
pub(crate) enum TaskSort {
    #[oai(rename = "created_at")]
    Created,
    #[oai(rename = "-created_at")]
    CreatedDown,
    #[oai(rename = "updated_at")]
    Updated,
    #[oai(rename = "-updated_at")]
    UpdatedDown,
    #[oai(rename = "due")]
    Due,
    #[oai(rename = "-due")]
    DueDown,
    #[oai(rename = "completed_at")]
    Completed,
    #[oai(rename = "-completed_at")]
    CompletedDown,
    #[oai(rename = "priority")]
    Priority,
    #[oai(rename = "-priority")]
    PriorityDown,
    #[oai(rename = "position")]
    Position,
    #[oai(rename = "-position")]
    PositionDown,
    #[oai(rename = "title")]
    Title,
    #[oai(rename = "-title")]
    TitleDown,
    #[oai(rename = "relevance")]
    Relevance,
}

impl TaskSort {
    /// # Errors
    /// `invalid-parameter` for an order that needs a search, without one.
    pub(super) fn check(self, search: Option<&str>) -> Result<(), Problem> {
        if self != Self::Relevance || search.is_some() {
            return Ok(());
        }
        let violation = Violation {
            pointer: "sort".to_owned(),
            code: "needs-search",
            detail: "relevance needs a search: give q too".to_owned(),
        };
        Err(Problem::parameters(
            &problem::INVALID_PARAMETER,
            vec![violation],
        ))
    }
}

impl From<TaskSort> for tasks::Sort {
    fn from(sort: TaskSort) -> Self {
        let (key, descending) = match sort {
            TaskSort::Created => (tasks::SortKey::CreatedAt, false),
            TaskSort::CreatedDown => (tasks::SortKey::CreatedAt, true),
            TaskSort::Updated => (tasks::SortKey::UpdatedAt, false),
            TaskSort::UpdatedDown => (tasks::SortKey::UpdatedAt, true),
            TaskSort::Due => (tasks::SortKey::Due, false),
            TaskSort::DueDown => (tasks::SortKey::Due, true),
            TaskSort::Completed => (tasks::SortKey::CompletedAt, false),
            TaskSort::CompletedDown => (tasks::SortKey::CompletedAt, true),
            TaskSort::Priority => (tasks::SortKey::Priority, false),
            TaskSort::PriorityDown => (tasks::SortKey::Priority, true),
            TaskSort::Position => (tasks::SortKey::Position, false),
            TaskSort::PositionDown => (tasks::SortKey::Position, true),
            TaskSort::Title => (tasks::SortKey::Title, false),
            TaskSort::TitleDown => (tasks::SortKey::Title, true),
            TaskSort::Relevance => (tasks::SortKey::Relevance, true),
        };
        Self { key, descending }
    }
}
