//! The plan of an environment, stack by stack.

use std::{cell::RefCell, collections::BTreeMap};

use anyhow::Context;
use aws_sdk_cloudformation::types::ResourceChange;
use serde::Serialize;
use serde_json::Value;

use crate::aws::risk::{Change, Replacement, Risk};
use crate::{
    aws::{
        account::Account,
        interruption, parameters,
        stacks::{self, Existing, Wanted},
    },
    exit::{self, Exit},
    progress::{self, Step},
    render::{
        cost::{self, Prices},
        template::{Stack, Template},
    },
    signals::Signals,
};

/// What a deployment would do.
#[derive(Debug, Serialize)]
pub(crate) struct Plan {
    pub(crate) environment: &'static str,
    pub(crate) account: String,
    pub(crate) region: String,
    pub(crate) stacks: Vec<StackPlan>,
    /// US dollars.
    pub(crate) monthly_before: f64,
    pub(crate) monthly_after: f64,
    /// Changes that no verb of ours makes, each with its reason.
    pub(crate) refused: Vec<String>,
}

#[derive(Debug, Serialize)]
pub(crate) struct StackPlan {
    /// `taskhub-staging-data`
    pub(crate) stack: String,
    /// As CloudFormation calls it; absent where the stack is.
    pub(crate) status: Option<String>,
    pub(crate) changes: Vec<Planned>,
    /// Why what is told is not CloudFormation's own word.
    pub(crate) note: Option<String>,
    pub(crate) monthly_before: f64,
    pub(crate) monthly_after: f64,
}

#[derive(Debug, Serialize)]
pub(crate) struct Planned {
    #[serde(flatten)]
    pub(crate) change: Change,
    pub(crate) risk: Risk,
    /// What a month costs more, in US dollars.
    pub(crate) monthly: f64,
}

impl Plan {
    pub(crate) fn changes(&self) -> usize {
        self.stacks.iter().map(|stack| stack.changes.len()).sum()
    }
}

/// Asks about every stack. Change sets are taken away again, also where somebody interrupts.
///
/// # Errors
/// Where AWS does not answer.
pub(crate) async fn plan(
    account: &Account,
    image: Option<&str>,
    signals: &Signals,
) -> anyhow::Result<Plan> {
    let asked = Asked {
        account,
        image,
        open: RefCell::default(),
    };
    let planned = tokio::select! {
        planned = asked.everything() => planned,
        signal = interruption(signals) => Err(signal.into()),
    };
    asked.take_away().await?;
    planned
}

struct Asked<'a> {
    account: &'a Account,
    image: Option<&'a str>,
    /// Change sets that are still there, or may be.
    open: RefCell<Vec<(String, String)>>,
}

impl Asked<'_> {
    async fn everything(&self) -> anyhow::Result<Plan> {
        let environment = self.account.environment();
        let topic = parameters::kept(self.account, Stack::Bootstrap, "topic-arn").await?;
        let mut plan = Plan {
            environment: environment.name.as_str(),
            account: self.account.id.clone(),
            region: environment.region.clone(),
            stacks: Vec::new(),
            monthly_before: 0.0,
            monthly_after: 0.0,
            refused: Vec::new(),
        };
        for (stack, template) in &self.account.rendered.stacks {
            let step = Step::start();
            let planned = self.stack(*stack, template, topic.clone()).await?;
            let refusals = planned.changes.iter();
            let refusals = refusals.filter_map(|planned| planned.change.refusal(*stack));
            plan.refused.extend(refusals);
            plan.monthly_before += planned.monthly_before;
            plan.monthly_after += planned.monthly_after;
            let changes = planned.changes.len();
            step.done(format_args!("{}: {changes} changes", planned.stack));
            plan.stacks.push(planned);
        }
        Ok(plan)
    }

    async fn stack(
        &self,
        stack: Stack,
        template: &Template,
        topic: Option<String>,
    ) -> anyhow::Result<StackPlan> {
        let name = stack.name(self.account.environment().name);
        let existing = stacks::describe(self.account, &name).await?;
        let existing = existing.filter(|existing| !is_empty(existing));
        let fresh = template.to_value();
        let after = monthly(&fresh)?;
        let mut planned = StackPlan {
            stack: name.clone(),
            status: existing.as_ref().map(|existing| existing.status.clone()),
            changes: Vec::new(),
            note: None,
            monthly_before: 0.0,
            monthly_after: after.values().sum(),
        };
        let Some(existing) = existing else {
            planned.changes = additions(&fresh, &after);
            planned.note = Some("the stack is not there yet: read from its template".to_owned());
            return Ok(planned);
        };
        let before = monthly(&stacks::template(self.account, &name).await?)?;
        planned.monthly_before = before.values().sum();
        let wanted = Wanted {
            stack,
            template: &fresh,
            given: self.given(template),
            topic: topic.filter(|_| stack != Stack::Bootstrap),
        };
        match self.ask(&name, &wanted, &existing).await {
            Ok(set) => {
                let changes = set.into_iter().map(Change::from);
                planned.changes = changes
                    .map(|change| Planned::of(change, &before, &after))
                    .collect();
            }
            // Whoever plans environments need not be allowed to plan the account's own stack.
            Err(error) if stack == Stack::Bootstrap && exit::of(&error) == Exit::Denied => {
                planned.monthly_after = planned.monthly_before;
                planned.note = Some(format!("not asked: {error:#}"));
            }
            Err(error) => return Err(error),
        }
        Ok(planned)
    }

    fn given(&self, template: &Template) -> BTreeMap<String, String> {
        let image = self
            .image
            .filter(|_| template.parameters.contains_key("ImageDigest"));
        image
            .map(|digest| ("ImageDigest".to_owned(), digest.to_owned()))
            .into_iter()
            .collect()
    }

    async fn ask(
        &self,
        stack: &str,
        wanted: &Wanted<'_>,
        existing: &Existing,
    ) -> anyhow::Result<Vec<ResourceChange>> {
        let name = format!(
            "plan-{}-{}",
            chrono::Utc::now().format("%Y%m%dT%H%M%S%3f"),
            std::process::id()
        );
        // Before it is made: an answer that never comes must not leave it behind.
        self.open
            .borrow_mut()
            .push((stack.to_owned(), name.clone()));
        let set = stacks::change_set(self.account, wanted, Some(existing), &name).await;
        stacks::delete_change_set(self.account, stack, &name).await?;
        self.open.borrow_mut().retain(|(_, open)| *open != name);
        set
    }

    async fn take_away(&self) -> anyhow::Result<()> {
        let open = self.open.take();
        for (stack, name) in open {
            stacks::delete_change_set(self.account, &stack, &name)
                .await
                .with_context(|| format!("the change set {name} of {stack} may be left"))?;
            progress::say(format_args!(
                "            the change set {name} is taken away"
            ));
        }
        Ok(())
    }
}

/// A change set that was never executed leaves a stack with nothing in it, and a first creation that failed one that
/// can only be deleted.
fn is_empty(existing: &Existing) -> bool {
    matches!(
        existing.status.as_str(),
        "REVIEW_IN_PROGRESS" | "ROLLBACK_COMPLETE" | "DELETE_COMPLETE"
    )
}

/// Logical id → US dollars.
type Costs = BTreeMap<String, f64>;

fn monthly(template: &Value) -> anyhow::Result<Costs> {
    let items = cost::of(template, &Prices::built_in()?).into_iter();
    Ok(items.map(|item| (item.resource, item.monthly)).collect())
}

impl Planned {
    fn of(change: Change, before: &Costs, after: &Costs) -> Self {
        let cost = |costs: &Costs| costs.get(&change.resource).copied().unwrap_or_default();
        Self {
            monthly: cost(after) - cost(before),
            risk: change.risk(),
            change,
        }
    }
}

/// Everything that stands in a template.
fn additions(template: &Value, after: &Costs) -> Vec<Planned> {
    let resources = template["Resources"].as_object();
    let added = resources
        .into_iter()
        .flatten()
        .map(|(id, resource)| Change {
            resource: id.clone(),
            kind: resource["Type"].as_str().unwrap_or_default().to_owned(),
            action: "Add".to_owned(),
            replacement: Replacement::No,
            properties: Vec::new(),
        });
    added
        .map(|change| Planned::of(change, &Costs::new(), after))
        .collect()
}
