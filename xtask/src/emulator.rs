//! `cargo xtask emulator`: an AWS on loopback, to try stacks on.

mod engine;

use std::{
    fs::{self, File},
    io::Write,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, ExitCode, Stdio},
    time::{Duration, Instant},
};

use nix::sys::signal::Signal;

use self::engine::Engine;
use crate::{
    checkout::Checkout,
    launch::{self, Identity},
    process::Process,
    progress::Step,
    run_folder::RunFolder,
    servers::postgres::free_port,
    shell,
    signals::Signals,
    tools::{Installed, Tool},
};

/// Run an AWS on this machine until Ctrl-C
///
/// It keeps everything in memory, asks for no credentials and costs nothing. What it is silent about is
/// listed in docs/deployment.md. Printed are the lines that turn the AWS command line of another shell to it.
///
/// Example: cargo xtask emulator --port 4566
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Arguments {
    /// Where it listens on 127.0.0.1; a free port unless given
    #[arg(long)]
    port: Option<u16>,
    /// Run the tasks of ECS as containers of Podman, on loopback addresses of their own
    #[arg(long)]
    containers: bool,
    /// A variable of all containers, over what their task definitions say
    #[arg(long, value_name = "NAME=VALUE", value_parser = engine::variable, requires = "containers")]
    task_variable: Vec<(String, String)>,
}

/// That of `infra/environments`, though stacks are at home in any.
const REGION: &str = "eu-central-1";
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) fn run(arguments: &Arguments, signals: &Signals) -> anyhow::Result<ExitCode> {
    let checkout = Checkout::find()?;
    let folder = RunFolder::create(&checkout, "emulator")?;
    let port = arguments.port.map_or_else(free_port, Ok)?;

    let step = Step::start();
    let engine = arguments
        .containers
        .then(|| Engine::start(&folder.path, port, &arguments.task_variable))
        .transpose()?;
    let process = start_with(&checkout, &folder.path, port, engine.as_ref(), signals)?;
    step.done(format_args!(
        "an AWS answers at http://127.0.0.1:{port}; Ctrl-C ends it"
    ));

    let installed = Tool::Emulator.install(&checkout, signals)?;
    let bin = write_command_line(&installed, &folder.path)?;
    let mut out = std::io::stdout().lock();
    for (name, value) in variables(port) {
        writeln!(out, "export {name}={}", shell::word(value))?;
    }
    writeln!(out, "export PATH={}:\"$PATH\"", shell::quoted(bin))?;
    drop(out);
    let status = process.finish(signals)?;
    anyhow::bail!("the emulator ended by itself: {status}")
}

/// Starts one and waits until it answers. Its log is in `folder`.
///
/// # Errors
/// Where it cannot be installed or does not answer.
pub(crate) fn start(
    checkout: &Checkout,
    folder: &Path,
    port: u16,
    signals: &Signals,
) -> anyhow::Result<Process> {
    start_with(checkout, folder, port, None, signals)
}

fn start_with(
    checkout: &Checkout,
    folder: &Path,
    port: u16,
    engine: Option<&Engine>,
    signals: &Signals,
) -> anyhow::Result<Process> {
    let installed = Tool::Emulator.install(checkout, signals)?;
    let mut command = command(&installed, checkout, folder, port)?;
    if let Some(engine) = engine {
        engine.run_tasks_of(&mut command);
    }
    let mut process = Process::spawn("the emulator", command, Signal::SIGTERM)?;
    await_answer(&mut process, port, folder, signals)?;
    Ok(process)
}

/// What a program needs to find it.
pub(crate) fn variables(port: u16) -> [(&'static str, String); 5] {
    [
        ("AWS_ENDPOINT_URL", format!("http://127.0.0.1:{port}")),
        ("AWS_REGION", REGION.to_owned()),
        ("AWS_DEFAULT_REGION", REGION.to_owned()),
        ("AWS_ACCESS_KEY_ID", "test".to_owned()),
        ("AWS_SECRET_ACCESS_KEY", "test".to_owned()),
    ]
}

fn command(
    installed: &Installed,
    checkout: &Checkout,
    folder: &Path,
    port: u16,
) -> anyhow::Result<Command> {
    let log = File::create(log(folder))?;
    let mut command = launch::command(installed.python(), Identity::Own, Signal::SIGKILL);
    command
        .args(["-m", "taskhub_emulator"])
        .env("PYTHONPATH", checkout.root.join("xtask/emulator"))
        // The checkout stays as it is.
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("BIND_HOST", "127.0.0.1")
        .env("GATEWAY_PORT", port.to_string())
        .env("IOT_MTLS_ENABLED", "0")
        .env("MINISTACK_REGION", REGION)
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log);
    Ok(command)
}

fn log(folder: &Path) -> PathBuf {
    folder.join("log")
}

fn await_answer(
    process: &mut Process,
    port: u16,
    folder: &Path,
    signals: &Signals,
) -> anyhow::Result<()> {
    let health = format!("http://127.0.0.1:{port}/_ministack/health");
    let deadline = Instant::now() + PATIENCE;
    while ureq::get(&health).call().is_err() {
        if let Some(status) = process.ended()? {
            let said = fs::read_to_string(log(folder)).unwrap_or_default();
            anyhow::bail!(
                "the emulator does not start, {status}: {}",
                said.lines().next_back().unwrap_or_default()
            );
        }
        anyhow::ensure!(
            Instant::now() < deadline,
            "the emulator does not answer at {health}"
        );
        signals.wait(Duration::from_millis(50))?;
    }
    Ok(())
}

/// A folder with an `aws` for a shell's path.
fn write_command_line(installed: &Installed, folder: &Path) -> anyhow::Result<PathBuf> {
    let bin = folder.join("bin");
    fs::create_dir(&bin)?;
    let aws = bin.join("aws");
    let python = installed.python();
    let script = installed.folder.join("bin/aws");
    fs::write(
        &aws,
        format!(
            "#!/bin/sh\nexec {} {} \"$@\"\n",
            shell::quoted(python),
            shell::quoted(script)
        ),
    )?;
    fs::set_permissions(&aws, fs::Permissions::from_mode(0o755))?;
    Ok(bin)
}
