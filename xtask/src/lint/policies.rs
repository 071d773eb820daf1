//! Our own policies: the files of rules, and what they say of many documents at once.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    path::{Path, PathBuf},
    process::Stdio,
};

use anyhow::Context;
use nix::sys::signal::Signal;
use serde_json::{Map, Value, json};

use super::{
    Lint,
    guard::{self, Answer},
};
use crate::{process::Process, tools::Tool};

/// A file of rules, and the resource types that it speaks of.
pub(crate) struct Policy {
    pub(crate) name: String,
    pub(crate) path: PathBuf,
    kinds: BTreeSet<String>,
}

impl Policy {
    pub(crate) fn all(root: &Path) -> anyhow::Result<Vec<Self>> {
        let mut policies = Vec::new();
        for name in names(root)? {
            let path = root.join(guard::POLICIES).join(format!("{name}.guard"));
            let text = fs::read_to_string(&path)?;
            let kinds = text
                .split('\'')
                .filter(|word| word.starts_with("AWS::") && !word.contains(char::is_whitespace));
            policies.push(Self {
                kinds: kinds.map(str::to_owned).collect(),
                name,
                path,
            });
        }
        Ok(policies)
    }

    pub(crate) fn mentions(&self, kind: &str) -> bool {
        self.kinds.contains(kind)
    }

    /// A template without the resources that no rule here looks at.
    pub(crate) fn part(&self, template: &Value) -> Value {
        let resources = template["Resources"].as_object().into_iter().flatten();
        let part: Map<String, Value> = resources
            .filter(|(_, resource)| {
                let kind = resource["Type"].as_str();
                kind.is_some_and(|kind| self.mentions(kind))
            })
            .map(|(id, resource)| (id.clone(), resource.clone()))
            .collect();
        json!({"Resources": part})
    }
}

/// Asks our rules about documents, which are divided between two processes, and gives the answers in order.
pub(crate) fn ask(
    lint: &Lint<'_>,
    rules: &Path,
    name: &str,
    documents: &[Value],
) -> anyhow::Result<Vec<Answer>> {
    let installed = Tool::CfnGuard.install(lint.checkout, lint.signals)?;
    let half = documents.len().div_ceil(2).max(1);
    let mut running = Vec::new();
    for (number, part) in documents.chunks(half).enumerate() {
        let folder = write(&lint.folder.path.join(format!("{name}-{number}")), part)?;
        let output = folder.with_extension("json");
        let mut command = guard::command(&installed, rules, std::slice::from_ref(&folder));
        command
            .stdin(Stdio::null())
            .stdout(File::create(&output)?)
            .stderr(File::create(folder.with_extension("err"))?);
        running.push((
            Process::spawn("cfn-guard", command, Signal::SIGTERM)?,
            output,
        ));
    }
    let mut answers = Vec::new();
    for (process, output) in running {
        process.finish(lint.signals)?;
        let mut part = guard::parse(&fs::read(&output)?).with_context(|| {
            fs::read_to_string(output.with_extension("err")).unwrap_or_default()
        })?;
        part.sort_by(|a, b| a.name.cmp(&b.name));
        answers.extend(part);
    }
    anyhow::ensure!(answers.len() == documents.len(), "cfn-guard left some out");
    Ok(answers)
}

/// One file each, named so that their order is that of the documents.
fn write(folder: &Path, documents: &[Value]) -> anyhow::Result<PathBuf> {
    fs::create_dir(folder)?;
    for (number, document) in documents.iter().enumerate() {
        let text = serde_json::to_vec(document)?;
        fs::write(folder.join(format!("{number:06}.json")), text)?;
    }
    Ok(folder.to_owned())
}

/// The names of the files with rules, without their ending.
pub(crate) fn names(root: &Path) -> anyhow::Result<BTreeSet<String>> {
    let mut names = BTreeSet::new();
    for file in fs::read_dir(root.join(guard::POLICIES))? {
        let file = file?.file_name().into_string().unwrap_or_default();
        names.extend(file.strip_suffix(".guard").map(str::to_owned));
    }
    Ok(names)
}

/// The names of the rules in a file of rules.
pub(crate) fn rules(text: &str) -> BTreeSet<String> {
    text.lines()
        .filter_map(|line| line.strip_prefix("rule "))
        .filter_map(|rest| rest.split_whitespace().next())
        .map(str::to_owned)
        .collect()
}
