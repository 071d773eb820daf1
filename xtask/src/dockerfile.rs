//! The Dockerfile without a container engine: what each stage sees is worked out from `COPY` and `.dockerignore`,
//! laid out in a folder, and cargo is asked whether it would build there.
//!
//! What `RUN` makes is not seen. Sources that cargo needs therefore have to be copied, not made by a shell.

mod build;
mod compiled;
mod context;
mod ignore;
mod instructions;
mod stages;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::Context as _;

use self::{context::Context, stages::Stages};
use crate::{checkout::Checkout, progress::Step};

/// What `docker build .` would read.
pub(crate) struct Sources {
    pub(crate) dockerfile: String,
    pub(crate) dockerignore: String,
}

impl Sources {
    pub(crate) fn read(root: &Path) -> anyhow::Result<Self> {
        let read = |name: &str| {
            fs::read_to_string(root.join(name)).with_context(|| format!("{name} cannot be read"))
        };
        Ok(Self {
            dockerfile: read("Dockerfile")?,
            dockerignore: read(".dockerignore")?,
        })
    }

    /// Why the Dockerfile would not build. `needed` are the files, relative to `root`, that compiling reads.
    ///
    /// # Errors
    /// Where cargo or the file system fails, not where the Dockerfile does.
    pub(crate) fn faults(
        &self,
        root: &Path,
        needed: &BTreeSet<String>,
    ) -> anyhow::Result<Vec<String>> {
        let context = Context::read(root, &self.dockerignore)?;
        let stages = match Stages::evaluate(&self.dockerfile, &context) {
            Ok(stages) => stages,
            Err(fault) => return Ok(vec![fault.to_string()]),
        };
        let mut faults = Vec::new();
        if stages.builds.is_empty() {
            faults.push("Dockerfile: no RUN calls `cargo build`".to_owned());
        }
        for build in &stages.builds {
            faults.extend(build.refusal(root)?);
            faults.extend(build.lack(needed));
        }
        Ok(faults)
    }

    /// The files that the last stage copies from the build context, by their paths in the image.
    #[cfg(test)]
    pub(crate) fn copied_into_the_image(&self, root: &Path) -> anyhow::Result<BTreeSet<String>> {
        let context = Context::read(root, &self.dockerignore)?;
        let stages = Stages::evaluate(&self.dockerfile, &context)?;
        Ok(stages.last.into_keys().collect())
    }
}

/// The files below a folder by their paths relative to it, without those that patterns as in `.dockerignore` leave out.
pub(crate) fn files(root: &Path, left_out: &str) -> anyhow::Result<BTreeMap<String, PathBuf>> {
    Ok(Context::read(root, left_out)?.files)
}

/// For `cargo xtask ci`, after clippy: `clippy` is the same command once more, which finds everything compiled and
/// answers in JSON.
pub(crate) fn check(checkout: &Checkout, clippy: Command) -> anyhow::Result<()> {
    let step = Step::start();
    let needed = compiled::files(checkout, clippy)?;
    let faults = Sources::read(&checkout.root)?.faults(&checkout.root, &needed)?;
    anyhow::ensure!(
        faults.is_empty(),
        "`docker compose up --build` would fail:\n{}",
        faults.join("\n")
    );
    step.done(format_args!(
        "the Dockerfile's build sees all {} files that it needs",
        needed.len()
    ));
    Ok(())
}

#[cfg(test)]
mod tests;
