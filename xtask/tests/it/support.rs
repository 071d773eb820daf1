//! `xtask` in a checkout that is a temporary folder, with a stand-in for cargo.
//!
//! The folder's name has a space and an umlaut, as folders of people have.

use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

use tempfile::TempDir;

pub(crate) const XTASK: &str = env!("CARGO_BIN_EXE_xtask");

/// The checkout that this test is of.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the workspace")
}

/// What `xtask` believes to be its checkout.
pub(crate) struct Checkout {
    folder: TempDir,
}

impl Checkout {
    /// Cargo tells of this folder, compiles nothing, and as the runner of tests writes down its
    /// environment and does what `runner` says.
    pub(crate) fn new(runner: &str) -> Self {
        let folder = folder();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).expect("own folder");
        let checkout = Self { folder };
        fs::create_dir(checkout.target()).expect("a folder");
        symlink(own_packages(), checkout.target().join("servers")).expect("a link");
        let root = checkout.path().display();
        let script = format!(
            "#!/bin/sh\n\
             case \"$*\" in\n\
             metadata*) echo '{{\"workspace_root\": \"{root}\", \"target_directory\": \"{root}/target\", \"packages\": []}}' ;;\n\
             nextest*) exit 1 ;;\n\
             *--no-run*) exit 0 ;;\n\
             *) env > '{root}/draft'; mv '{root}/draft' '{root}/environment'; {runner} ;;\n\
             esac\n"
        );
        fs::write(checkout.cargo(), script).expect("a script");
        fs::set_permissions(checkout.cargo(), fs::Permissions::from_mode(0o755))
            .expect("own script");
        checkout
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn target(&self) -> PathBuf {
        self.path().join("target")
    }

    pub(crate) fn cargo(&self) -> PathBuf {
        self.path().join("cargo")
    }

    /// `xtask test` as somebody starts it who has no servers.
    pub(crate) fn test(&self) -> Child {
        Command::new(XTASK)
            .arg("test")
            .env("CARGO", self.cargo())
            .env_remove("TEST_DATABASE_URL")
            .env_remove("TEST_REDIS_BROKER")
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("xtask starts")
    }

    /// `xtask render` with these arguments.
    pub(crate) fn render(&self, arguments: &[&str]) -> Output {
        self.run(&[&["render"], arguments].concat())
    }

    /// `xtask` with these arguments.
    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        Command::new(XTASK)
            .args(arguments)
            .env("CARGO", self.cargo())
            .stdin(Stdio::null())
            .output()
            .expect("xtask starts")
    }

    /// A variable that the runner was given; waits until it runs.
    pub(crate) fn variable(&self, name: &str) -> String {
        let file = self.path().join("environment");
        eventually("the runner starts", || file.exists());
        let text = fs::read_to_string(file).expect("what the runner was given");
        text.lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix('='))
            .unwrap_or_else(|| panic!("the runner has no {name}"))
            .to_owned()
    }

    /// Every process that works in this checkout or was started with a path in it.
    pub(crate) fn processes(&self) -> Vec<String> {
        let root = self.path().to_str().expect("a path that is text");
        fs::read_dir("/proc")
            .expect("/proc")
            .flatten()
            .filter_map(|entry| {
                let line = fs::read(entry.path().join("cmdline")).ok()?;
                let line = String::from_utf8_lossy(&line).replace('\0', " ");
                let cwd = fs::read_link(entry.path().join("cwd")).unwrap_or_default();
                (line.contains(root) || cwd.starts_with(root)).then_some(line)
            })
            .collect()
    }

    /// What a run leaves in `target/`.
    pub(crate) fn left_over(&self) -> Vec<String> {
        let entries = fs::read_dir(self.target()).expect("own folder").flatten();
        entries
            .filter_map(|entry| entry.file_name().into_string().ok())
            .filter(|name| name != "servers")
            .collect()
    }
}

/// A temporary folder whose name must be quoted for a shell.
pub(crate) fn folder() -> TempDir {
    let mut builder = tempfile::Builder::new();
    builder.prefix("Tür und Tor ").tempdir().expect("a folder")
}

/// Servers that this run may have unpacked, so that they are not fetched again.
fn own_packages() -> PathBuf {
    let binaries = Path::new(XTASK).parent().expect("a folder");
    let packages = binaries.parent().expect("target/").join("servers");
    fs::create_dir_all(&packages).expect("a folder in target/");
    packages
}

/// Waits for a condition.
pub(crate) fn eventually(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !condition() {
        assert!(Instant::now() < deadline, "in vain: {what}");
        thread::sleep(Duration::from_millis(20));
    }
}
