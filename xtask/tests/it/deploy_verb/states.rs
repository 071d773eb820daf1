//! Stacks in states that an emulator does not reach, and what leads from one to the next.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Mutex,
};

use super::{between::Exchange, script::refusal};

/// Not decided here any more: what the emulator says counts.
pub(crate) const REAL: &str = "REAL";

/// By the kind of a stack of staging, such as `service`.
#[derive(Default)]
pub(crate) struct States {
    /// One after another with each look; the last one stays.
    said: Mutex<BTreeMap<String, VecDeque<String>>>,
    /// What an operation on a stack leads to. The emulator does not hear of it.
    leads: Mutex<BTreeMap<(String, String), Vec<String>>>,
    /// What could not be changed or deleted, and why.
    failed: Mutex<Option<(&'static str, &'static str)>>,
}

impl States {
    pub(crate) fn set(&self, kind: &str, states: &[&str]) {
        let states = states.iter().map(ToString::to_string).collect();
        let mut said = self.said.lock().expect("no panic");
        said.insert(kind.to_owned(), states);
    }

    pub(crate) fn after(&self, operation: &str, kind: &str, states: &[&str]) {
        let states = states.iter().map(ToString::to_string).collect();
        let mut leads = self.leads.lock().expect("no panic");
        leads.insert((operation.to_owned(), kind.to_owned()), states);
    }

    pub(crate) fn fail(&self, resource: &'static str, reason: &'static str) {
        *self.failed.lock().expect("no panic") = Some((resource, reason));
    }

    pub(crate) fn clear(&self) {
        self.said.lock().expect("no panic").clear();
        self.leads.lock().expect("no panic").clear();
        *self.failed.lock().expect("no panic") = None;
    }

    /// Whether a stack is said to be in this state.
    pub(crate) fn says(&self, kind: &str, state: &str) -> bool {
        let said = self.said.lock().expect("no panic");
        said.get(kind)
            .and_then(VecDeque::front)
            .is_some_and(|now| now == state)
    }

    /// What to answer instead of the emulator, if anything.
    pub(super) fn answer(&self, operation: &str, request: &str) -> Option<(u16, String)> {
        let kind = kind(request)?;
        let key = (operation.to_owned(), kind.clone());
        if let Some(next) = self.leads.lock().expect("no panic").get(&key) {
            let next: Vec<&str> = next.iter().map(String::as_str).collect();
            self.set(&kind, &next);
            return Some((
                200,
                format!("<{operation}Response><{operation}Result/></{operation}Response>"),
            ));
        }
        let is_decided = self.said.lock().expect("no panic").contains_key(&kind);
        let failed = *self.failed.lock().expect("no panic");
        let (resource, reason) = failed.filter(|_| is_decided)?;
        match operation {
            "DescribeStackEvents" => Some((200, events(&kind, resource, reason))),
            "ListStackResources" if self.is_stuck(&kind) => Some((200, left(resource, reason))),
            _ => None,
        }
    }

    fn is_stuck(&self, kind: &str) -> bool {
        let said = self.said.lock().expect("no panic");
        let now = said.get(kind).and_then(VecDeque::front);
        now.is_some_and(|now| now.ends_with("_FAILED"))
    }

    /// Puts the next state into what the emulator says of a stack.
    pub(super) fn change(&self, exchange: &mut Exchange) {
        let Some(kind) = kind(&exchange.request) else {
            return;
        };
        let mut said = self.said.lock().expect("no panic");
        let Some(states) = said.get_mut(&kind) else {
            return;
        };
        if states.len() > 1 {
            states.pop_front();
        }
        let state = states.front().cloned().unwrap_or_default();
        match state.as_str() {
            REAL => {
                said.remove(&kind);
            }
            "DELETE_COMPLETE" => {
                let why = format!("Stack with id taskhub-staging-{kind} does not exist");
                (exchange.status, exchange.answer) = refusal("ValidationError", &why);
            }
            _ if exchange.status == 200 => exchange.answer = with_status(&exchange.answer, &state),
            _ => (exchange.status, exchange.answer) = (200, stack(&kind, &state)),
        }
    }
}

/// The stack of staging that a request names.
fn kind(request: &str) -> Option<String> {
    let (_, rest) = request.split_once("taskhub-staging-")?;
    let kind: String = rest.chars().take_while(char::is_ascii_lowercase).collect();
    Some(kind)
}

fn with_status(answer: &str, state: &str) -> String {
    let (before, rest) = answer.split_once("<StackStatus>").expect("a state");
    let (_, after) = rest.split_once("</StackStatus>").expect("its end");
    format!("{before}<StackStatus>{state}</StackStatus>{after}")
}

fn stack(kind: &str, state: &str) -> String {
    format!(
        "<DescribeStacksResponse><DescribeStacksResult><Stacks><member><StackName>taskhub-staging-{kind}</StackName>\
         <CreationTime>2026-01-01T00:00:00Z</CreationTime><StackStatus>{state}</StackStatus></member></Stacks>\
         </DescribeStacksResult></DescribeStacksResponse>"
    )
}

/// The newest first: what fails, what that cancels, and the beginning.
fn events(kind: &str, resource: &str, reason: &str) -> String {
    let event = |id: &str, of: &str, status: &str, reason: &str| {
        format!(
            "<member><StackId>s</StackId><EventId>{id}{status}</EventId><StackName>taskhub-staging-{kind}</StackName>\
             <LogicalResourceId>{id}</LogicalResourceId><ResourceType>{of}</ResourceType>\
             <Timestamp>2026-01-01T00:00:00Z</Timestamp><ResourceStatus>{status}</ResourceStatus>\
             <ResourceStatusReason>{reason}</ResourceStatusReason></member>"
        )
    };
    let stack = format!("taskhub-staging-{kind}");
    let events = [
        event(
            "Alarm",
            "AWS::CloudWatch::Alarm",
            "UPDATE_FAILED",
            "Resource update cancelled",
        ),
        event(resource, "AWS::ECS::Service", "UPDATE_FAILED", reason),
        event(
            &stack,
            "AWS::CloudFormation::Stack",
            "UPDATE_IN_PROGRESS",
            "User Initiated",
        ),
    ];
    format!(
        "<DescribeStackEventsResponse><DescribeStackEventsResult><StackEvents>{}</StackEvents>\
         </DescribeStackEventsResult></DescribeStackEventsResponse>",
        events.concat()
    )
}

fn left(resource: &str, reason: &str) -> String {
    format!(
        "<ListStackResourcesResponse><ListStackResourcesResult><StackResourceSummaries><member>\
         <LogicalResourceId>{resource}</LogicalResourceId><PhysicalResourceId>of-{resource}</PhysicalResourceId>\
         <ResourceType>AWS::ECS::Service</ResourceType><LastUpdatedTimestamp>2026-01-01T00:00:00Z</LastUpdatedTimestamp>\
         <ResourceStatus>DELETE_FAILED</ResourceStatus><ResourceStatusReason>{reason}</ResourceStatusReason></member>\
         </StackResourceSummaries></ListStackResourcesResult></ListStackResourcesResponse>"
    )
}
