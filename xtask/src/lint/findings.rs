//! What is wrong with a template.

use serde::Serialize;

use super::validators::Validator;

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(crate) struct Finding {
    pub(crate) validator: Validator,
    /// As the validator calls it: `E3012`, `CKV_AWS_17`, `RDS_PRIVATE`.
    pub(crate) rule: String,
    /// [`super::Template::name`].
    pub(crate) template: String,
    /// The logical id; empty where it is the template as a whole.
    pub(crate) resource: String,
    pub(crate) message: String,
}

/// Columns as wide as they must be; the message comes last and may be long.
pub(crate) fn table(findings: &[Finding]) -> String {
    let rows = findings
        .iter()
        .map(|found| [&found.rule, &found.template, &found.resource]);
    let mut widths = ["rule", "template", "resource"].map(str::len);
    for row in rows.clone() {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.len().max(*width);
        }
    }
    let [rule, template, resource] = widths;
    let mut table = format!(
        "{:rule$}  {:template$}  {:resource$}  message\n",
        "rule", "template", "resource"
    );
    for (found, [a, b, c]) in findings.iter().zip(rows) {
        table += &format!(
            "{a:rule$}  {b:template$}  {c:resource$}  {}\n",
            found.message
        );
    }
    table
}
