//! Security Hub's AWS Foundational Security Best Practices, as far as a template decides them: each control is
//! looked up in the rendered templates, so that the page cannot say what they do not.

mod controls;

use serde_json::Value;

use super::template::{Stack, Template};
use crate::environments::{Environment, Name};

/// One control: which resources it is about, and what must hold for their properties.
struct Control {
    /// As Security Hub names it; † where its membership in the standard is not confirmed.
    id: &'static str,
    demand: &'static str,
    kind: &'static str,
    holds: fn(&Value) -> bool,
    reach: Reach,
}

enum Reach {
    /// There are some, and it holds for each.
    Every,
    /// It holds for each, if there are any.
    EveryIfAny,
    /// It holds for one at least.
    Some,
}

/// A control that no template can decide, and who looks at it instead.
struct Elsewhere {
    id: &'static str,
    demand: &'static str,
    place: &'static str,
}

/// With the resources that meet it or break it, as `stack/id`.
enum Outcome {
    Met(Vec<String>),
    Unmet(Vec<String>),
    /// There is nothing that it is about.
    Void,
}

impl Control {
    fn outcome(&self, stacks: &[(Stack, Template)]) -> Outcome {
        let resources = stacks.iter().flat_map(|(stack, template)| {
            let of_kind = template
                .resources
                .iter()
                .filter(|(_, resource)| resource.kind == self.kind);
            of_kind.map(move |(id, resource)| {
                (
                    format!("{}/{id}", stack.as_str()),
                    (self.holds)(&resource.properties),
                )
            })
        });
        let (met, unmet): (Vec<_>, Vec<_>) = resources.partition(|(_, holds)| *holds);
        let names =
            |resources: Vec<(String, bool)>| resources.into_iter().map(|(name, _)| name).collect();
        match (&self.reach, met.is_empty(), unmet.is_empty()) {
            (Reach::EveryIfAny, true, true) => Outcome::Void,
            (Reach::Some, false, _) | (Reach::Every | Reach::EveryIfAny, false, true) => {
                Outcome::Met(names(met))
            }
            (Reach::Some | Reach::Every | Reach::EveryIfAny, _, _) => Outcome::Unmet(names(unmet)),
        }
    }
}

/// Ids of controls that the templates do not meet, with the resources that break them.
pub(crate) fn unmet(stacks: &[(Stack, Template)]) -> Vec<(&'static str, Vec<String>)> {
    controls::all()
        .filter_map(|control| match control.outcome(stacks) {
            Outcome::Met(_) | Outcome::Void => None,
            Outcome::Unmet(resources) => Some((control.id, resources)),
        })
        .collect()
}

/// `compliance.md`.
pub(crate) fn page(
    environment: &Environment,
    production: &Environment,
    stacks: &[(Stack, Template)],
) -> String {
    let open = unmet(stacks).len();
    let all = controls::all().count();
    let mut text = format!(
        "# Security Hub's best practices in {}\n\n\
         Written by `cargo xtask render` from the rendered templates: {} of the {all} controls that a template decides are met. \
         What is not met is waived in `infra/policy/WAIVERS.toml` with its reason, or `cargo xtask lint` fails. † marks a control \
         whose membership in AWS Foundational Security Best Practices is not confirmed.\n\n\
         | control | demands | | resources |\n|---|---|---|---|\n",
        environment.name,
        all - open,
    );
    for control in controls::all() {
        let (sign, resources) = match control.outcome(stacks) {
            Outcome::Met(resources) => ("met", resources),
            Outcome::Unmet(resources) => ("**not met**", resources),
            Outcome::Void => ("nothing to meet", Vec::new()),
        };
        text.push_str(&format!(
            "| {} | {} | {sign} | {} |\n",
            control.id,
            control.demand,
            shortened(&resources)
        ));
    }
    text.push_str("\n## What a template does not decide\n\n| control | demands | who looks |\n|---|---|---|\n");
    for Elsewhere { id, demand, place } in controls::ELSEWHERE {
        text.push_str(&format!("| {id} | {demand} | {place} |\n"));
    }
    if environment.name == Name::Staging {
        text.push_str(&differences(environment, production));
    }
    text
}

/// Long lists say how long they are.
fn shortened(resources: &[String]) -> String {
    match resources {
        [] => "none".to_owned(),
        [first, .., last] if resources.len() > 4 => {
            format!("{first} … {last} ({})", resources.len())
        }
        few => few.join(", "),
    }
}

/// Keys whose values are not production's.
fn differences(environment: &Environment, production: &Environment) -> String {
    let mut text = format!(
        "\n## Where {} differs from production\n\n| key | {} | production |\n|---|---|---|\n",
        environment.name, environment.name
    );
    let (ours, theirs) = (environment.flat(), production.flat());
    let keys: std::collections::BTreeSet<&String> = ours.keys().chain(theirs.keys()).collect();
    for key in keys {
        let shown = |value: Option<&String>| {
            value.map_or_else(|| "–".to_owned(), |value| format!("`{value}`"))
        };
        let (own, other) = (ours.get(key), theirs.get(key));
        if own != other {
            text.push_str(&format!(
                "| `{key}` | {} | {} |\n",
                shown(own),
                shown(other)
            ));
        }
    }
    text
}
