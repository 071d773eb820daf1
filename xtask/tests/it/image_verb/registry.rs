//! A registry of images on loopback: the reference implementation, as Debian packages it.

use std::{
    fs,
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use tempfile::TempDir;

use crate::support::{XTASK, eventually};

pub(crate) const USER: &str = "pusher";
pub(crate) const PASSWORD: &str = "correct horse";
/// bcrypt of the password, with the least work.
const HASH: &str = "$2b$04$edHVP7YSWwxIZnIt7kLUZ.if5YpHJXsqdONdRn239F9CxSn705IKC";

/// Ends with this value or with this process.
pub(crate) struct Registry {
    process: Child,
    port: u16,
    _folder: TempDir,
}

impl Registry {
    /// Waits until it listens; the first time on a machine it is fetched.
    pub(crate) fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let port = TcpListener::bind("127.0.0.1:0")
            .and_then(|listener| listener.local_addr())
            .expect("a free port")
            .port();
        let place = folder.path().display();
        let settings = format!(
            "version: 0.1\n\
             storage: {{filesystem: {{rootdirectory: {place}/data}}}}\n\
             auth: {{htpasswd: {{realm: test, path: {place}/passwords}}}}\n\
             http: {{addr: '127.0.0.1:{port}'}}\n"
        );
        fs::write(folder.path().join("settings.yml"), settings).expect("own file");
        fs::write(folder.path().join("passwords"), format!("{USER}:{HASH}\n")).expect("own file");
        let process = Command::new(XTASK)
            .args(["launch", "--on-death=SIGKILL", "--"])
            .arg(program())
            .arg("serve")
            .arg(folder.path().join("settings.yml"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("xtask starts");
        eventually("the registry listens", || {
            TcpStream::connect(("127.0.0.1", port)).is_ok()
        });
        Self {
            process,
            port,
            _folder: folder,
        }
    }

    pub(crate) fn repository(&self, name: &str) -> String {
        format!("127.0.0.1:{}/{name}", self.port)
    }

    /// What the registry itself says that a tag names.
    pub(crate) fn digest(&self, name: &str, tag: &str) -> Option<String> {
        use base64::{Engine, prelude::BASE64_STANDARD};
        let credentials = BASE64_STANDARD.encode(format!("{USER}:{PASSWORD}"));
        let url = format!("http://127.0.0.1:{}/v2/{name}/manifests/{tag}", self.port);
        let answer = ureq::head(&url)
            .header("Authorization", format!("Basic {credentials}"))
            .header("Accept", "application/vnd.oci.image.manifest.v1+json")
            .call()
            .ok()?;
        let digest = answer.headers().get("Docker-Content-Digest")?;
        Some(digest.to_str().ok()?.to_owned())
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

/// Installed, or unpacked below `target/`.
fn program() -> PathBuf {
    let installed = PathBuf::from("/usr/bin/docker-registry");
    if installed.exists() {
        return installed;
    }
    let binaries = Path::new(XTASK).parent().expect("a folder");
    let servers = binaries.parent().expect("target/").join("servers");
    let unpacked = servers.join("docker-registry");
    if !unpacked.exists() {
        fs::create_dir_all(&servers).expect("a folder in target/");
        let draft = tempfile::tempdir_in(&servers).expect("a folder");
        fetch(draft.path());
        // Another test may have been faster.
        drop(fs::rename(draft.path().join("files"), &unpacked));
    }
    unpacked.join("usr/bin/docker-registry")
}

/// With lists of its own: those of a fresh machine are empty.
fn fetch(folder: &Path) {
    for part in ["state/lists/partial", "cache/archives/partial"] {
        fs::create_dir_all(folder.join(part)).expect("own folder");
    }
    let apt = |arguments: &[&str]| {
        let place = folder.display();
        let status = Command::new("apt-get")
            .args(["-o", &format!("Dir::State={place}/state")])
            .args(["-o", &format!("Dir::Cache={place}/cache")])
            .args(["-o", "APT::Sandbox::User=root", "-qq"])
            .args(arguments)
            .current_dir(folder)
            .status();
        assert!(status.expect("apt-get runs").success(), "{arguments:?}");
    };
    apt(&["update"]);
    apt(&["download", "docker-registry"]);
    let package = fs::read_dir(folder)
        .expect("own folder")
        .flatten()
        .map(|entry| entry.path())
        .find(|path| path.extension().is_some_and(|extension| extension == "deb"));
    let status = Command::new("dpkg-deb")
        .arg("-x")
        .arg(package.expect("a package"))
        .arg(folder.join("files"))
        .status();
    assert!(status.expect("dpkg-deb runs").success());
}
