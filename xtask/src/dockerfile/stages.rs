//! What each stage of a Dockerfile sees of the build context.

use std::{
    collections::{BTreeMap, HashMap},
    path::PathBuf,
};

use anyhow::{bail, ensure};

use super::{
    build::Build,
    context::Context,
    instructions::{Instruction, instructions},
};

/// Where each file comes from, by its absolute path in the stage.
pub(super) type Tree = BTreeMap<String, PathBuf>;

pub(super) struct Stages {
    /// Every `cargo build`, with what it sees.
    pub(super) builds: Vec<Build>,
    /// What the last stage has at its end.
    #[cfg_attr(
        not(test),
        expect(dead_code, reason = "only tests compare the image with the contract")
    )]
    pub(super) last: Tree,
}

/// The stage that is being evaluated.
#[derive(Clone, Default)]
struct Stage {
    folder: String,
    tree: Tree,
}

impl Stages {
    /// # Errors
    /// Where an instruction would fail, or is one that this does not know; names its line.
    pub(super) fn evaluate(dockerfile: &str, context: &Context) -> anyhow::Result<Self> {
        let mut builds = Vec::new();
        let mut named: HashMap<String, Stage> = HashMap::new();
        let mut name = None;
        let mut stage = Stage::default();
        for instruction in instructions(dockerfile) {
            match instruction.name.as_str() {
                "FROM" => {
                    if let Some(name) = name.take() {
                        named.insert(name, stage);
                    }
                    let words: Vec<&str> = instruction.rest.split_whitespace().collect();
                    let below = words.first().and_then(|image| named.get(*image));
                    stage = below.cloned().unwrap_or_default();
                    name = words.get(2).map(|&name| name.to_owned());
                }
                "WORKDIR" => stage.folder = stage.absolute(&instruction.rest),
                "COPY" => stage.copy(&instruction, context)?,
                "ADD" => bail!(
                    "Dockerfile:{}: this check knows COPY only",
                    instruction.line
                ),
                "RUN" => builds.extend(stage.builds(&instruction)),
                _ => {}
            }
        }
        Ok(Self {
            builds,
            last: stage.tree,
        })
    }
}

impl Stage {
    fn absolute(&self, path: &str) -> String {
        let path = path.trim_start_matches("./");
        if path.starts_with('/') {
            path.to_owned()
        } else if path.is_empty() || path == "." {
            format!("{}/", self.folder)
        } else {
            format!("{}/{path}", self.folder)
        }
    }

    fn copy(&mut self, instruction: &Instruction, context: &Context) -> anyhow::Result<()> {
        // What another stage made is not seen.
        if instruction.option("from").is_some() {
            return Ok(());
        }
        let line = instruction.line;
        let mut sources: Vec<&str> = instruction.rest.split_whitespace().collect();
        ensure!(
            !instruction.rest.contains(['$', '*', '?', '[', '"']),
            "Dockerfile:{line}: this check knows no variables, patterns and lists in COPY"
        );
        let to = sources.pop().unwrap_or_default();
        let to = self.absolute(to);
        let is_folder = to.ends_with('/') || sources.len() > 1;
        for source in sources {
            let found = context.at(source);
            ensure!(
                !found.is_empty(),
                "Dockerfile:{line}: COPY finds no {source:?}: it does not exist, or .dockerignore leaves it out"
            );
            let own = source.rsplit('/').next().unwrap_or(source);
            let folder = to.trim_end_matches('/');
            for (rest, file) in found {
                let path = match (rest, is_folder) {
                    ("", true) => format!("{folder}/{own}"),
                    ("", false) => to.clone(),
                    (rest, _) => format!("{folder}/{rest}"),
                };
                self.tree.insert(path, file.to_owned());
            }
        }
        Ok(())
    }

    /// Each `cargo build` of a RUN.
    fn builds(&self, instruction: &Instruction) -> Vec<Build> {
        let commands = instruction.rest.split(['&', ';', '|']);
        let builds = commands.filter_map(|command| {
            let mut words = command.split_whitespace();
            words.find(|word| *word == "cargo")?;
            let arguments: Vec<String> = words.map(str::to_owned).collect();
            arguments
                .first()
                .is_some_and(|verb| verb == "build")
                .then_some(arguments)
        });
        builds
            .map(|arguments| Build {
                line: instruction.line,
                arguments,
                folder: self.folder.clone(),
                tree: self.tree.clone(),
            })
            .collect()
    }
}
