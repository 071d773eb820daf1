//! The plan as people and programs read it.

use std::io::Write;

use super::asking::{Plan, StackPlan};
use crate::progress::say;

/// One JSON object on standard output, or a table for people.
///
/// # Errors
/// Where standard output cannot be written.
pub(crate) fn show(plan: &Plan, json: bool) -> anyhow::Result<()> {
    if json {
        writeln!(std::io::stdout(), "{}", serde_json::to_string(plan)?)?;
    }
    for line in table(&rows(plan)) {
        say(line);
    }
    for stack in &plan.stacks {
        if let Some(note) = &stack.note {
            say(format_args!("{}: {note}", stack.stack));
        }
    }
    let (before, after) = (plan.monthly_before, plan.monthly_after);
    say(format_args!(
        "{} changes; a month costs {:+.2} $: {before:.2} → {after:.2} (list prices, without traffic and use)",
        plan.changes(),
        after - before
    ));
    for refused in &plan.refused {
        say(format_args!("refused: {refused}"));
    }
    if !plan.refused.is_empty() {
        say(
            "what holds data is not replaced by a deployment: change it back, or move the data by hand first \
             (docs/deployment.md)",
        );
    }
    Ok(())
}

const HEAD: [&str; 6] = [
    "stack",
    "resource",
    "action",
    "replaced",
    "risk",
    "$ a month",
];

fn rows(plan: &Plan) -> Vec<[String; 6]> {
    plan.stacks.iter().flat_map(stack_rows).collect()
}

fn stack_rows(stack: &StackPlan) -> Vec<[String; 6]> {
    let changes = stack.changes.iter();
    let rows = changes.map(|planned| {
        let cost = match planned.monthly {
            0.0 => String::new(),
            cost => format!("{cost:+.2}"),
        };
        [
            stack.stack.clone(),
            format!("{} ({})", planned.change.resource, planned.change.kind),
            planned.change.action.clone(),
            planned.change.replacement.as_str().to_owned(),
            planned.risk.as_str().to_owned(),
            cost,
        ]
    });
    rows.collect()
}

/// Columns as wide as they need to be; nothing where there is no row.
fn table(rows: &[[String; 6]]) -> Vec<String> {
    if rows.is_empty() {
        return Vec::new();
    }
    let head = HEAD.map(str::to_owned);
    let all: Vec<&[String; 6]> = std::iter::once(&head).chain(rows).collect();
    let widths: Vec<usize> = (0..HEAD.len())
        .map(|column| {
            let lengths = all.iter().map(|row| row[column].chars().count());
            lengths.max().unwrap_or(0)
        })
        .collect();
    all.iter()
        .map(|row| {
            let cells = row.iter().zip(&widths);
            let line: Vec<String> = cells
                .map(|(cell, width)| format!("{cell:width$}"))
                .collect();
            line.join("  ").trim_end().to_owned()
        })
        .collect()
}
