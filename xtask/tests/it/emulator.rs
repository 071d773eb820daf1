//! The AWS emulator as an operator starts it, and the AWS command line turned to it.

use std::{
    cell::RefCell,
    collections::BTreeMap,
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use serde_json::Value;

use crate::support::XTASK;

/// The AWS command line in one process for all commands: starting it takes longer than most of them.
const MANY: &str = "
import contextlib, io, json, sys
from awscli.clidriver import create_clidriver
driver = create_clidriver()
for line in sys.stdin:
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = driver.main(json.loads(line))
    print(json.dumps({'code': code, 'out': out.getvalue(), 'err': err.getvalue()}), flush=True)
";

/// `xtask emulator`, which ends with this value or with this process.
pub(crate) struct Emulator {
    process: Child,
    variables: BTreeMap<String, String>,
    /// A line of a shell's, which puts `aws` on its path.
    path: String,
    aws: RefCell<CommandLine>,
}

struct CommandLine {
    process: Child,
    commands: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Emulator {
    /// Waits until it answers; the first time on a machine it is installed.
    pub(crate) fn start() -> Self {
        Self::start_with(&[])
    }

    pub(crate) fn start_with(options: &[&str]) -> Self {
        let mut process = Command::new(XTASK)
            .args(["launch", "--on-death=SIGTERM", "--", XTASK, "emulator"])
            .args(options)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("xtask starts");
        let lines = BufReader::new(process.stdout.take().expect("a pipe")).lines();
        let mut variables = BTreeMap::new();
        let mut path = None;
        for line in lines {
            let line = line.expect("text");
            let (name, value) = line
                .strip_prefix("export ")
                .and_then(|rest| rest.split_once('='))
                .expect("a variable");
            if name == "PATH" {
                path = Some(line.clone());
                break;
            }
            variables.insert(name.to_owned(), value.to_owned());
        }
        let aws = RefCell::new(CommandLine::start(&variables));
        Self {
            process,
            path: path.expect("the emulator starts"),
            variables,
            aws,
        }
    }

    /// What a program must know to find it.
    pub(crate) fn variable(&self, name: &str) -> String {
        self.variables[name].clone()
    }

    /// A shell that finds the emulator, and `aws`.
    pub(crate) fn shell(&self, script: &str) -> Command {
        let mut command = Command::new("bash");
        command
            .args(["-euo", "pipefail", "-c"])
            .arg(format!("{}\n{script}", self.path))
            .envs(&self.variables)
            .stdin(Stdio::null());
        command
    }

    /// What `aws` answers.
    pub(crate) fn aws(&self, arguments: &[&str]) -> Value {
        self.try_aws(arguments)
            .unwrap_or_else(|said| panic!("aws {}: {said}", arguments.join(" ")))
    }

    /// What `aws` answers, or what it complains about.
    pub(crate) fn try_aws(&self, arguments: &[&str]) -> Result<Value, String> {
        let answer = self.aws.borrow_mut().ask(arguments);
        let said = |name: &str| answer[name].as_str().expect("text").trim().to_owned();
        if answer["code"] != 0 {
            return Err(said("err"));
        }
        Ok(serde_json::from_str(&said("out")).unwrap_or(Value::Null))
    }

    /// In AWS, a zone of the environment's domain is there before its stacks are.
    pub(crate) fn add_zone(&self, name: &str, id: &str) {
        let zone = ["--name", name, "--caller-reference", id];
        self.aws(&[&["route53", "create-hosted-zone"], &zone[..]].concat());
    }
}

impl CommandLine {
    fn start(variables: &BTreeMap<String, String>) -> Self {
        let tools = Command::new(XTASK).args(["tools", "emulator"]).output();
        let tools = String::from_utf8(tools.expect("xtask runs").stdout).expect("text");
        let (_, folder) = tools.trim().split_once('\t').expect("a folder");
        let mut process = Command::new(Path::new(folder).join("bin/python"))
            .args(["-c", MANY])
            .envs(variables)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("Python starts");
        Self {
            commands: process.stdin.take().expect("a pipe"),
            answers: BufReader::new(process.stdout.take().expect("a pipe")),
            process,
        }
    }

    fn ask(&mut self, arguments: &[&str]) -> Value {
        let line = serde_json::to_string(&[arguments, &["--output", "json"]].concat());
        writeln!(self.commands, "{}", line.expect("JSON")).expect("aws listens");
        let mut answer = String::new();
        self.answers.read_line(&mut answer).expect("aws answers");
        serde_json::from_str(&answer).expect("JSON")
    }
}

impl Drop for CommandLine {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        let pid = nix::unistd::Pid::from_raw(self.process.id().cast_signed());
        let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM);
        drop(self.process.wait());
    }
}

/// The checkout's `infra`.
pub(crate) fn infra() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../infra"))
}
