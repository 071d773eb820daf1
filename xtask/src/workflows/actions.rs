//! Other people's actions. Each is named by its commit, for a tag can be moved to another.

use serde_saphyr::Commented;

use super::model::{Map, Step, map};

struct Action {
    name: &'static str,
    commit: &'static str,
    version: &'static str,
}

const CHECKOUT: Action = Action {
    name: "actions/checkout",
    commit: "de0fac2e4500dabe0009e67214ff5f5447ce83dd",
    version: "v6.0.2",
};

const CACHE: Action = Action {
    name: "actions/cache",
    commit: "0057852bfaa89a56745cba8c7296529d2fc39830",
    version: "v4.3.0",
};

const UPLOAD: Action = Action {
    name: "actions/upload-artifact",
    commit: "ea165f8d65b6e75b540449e92b4886f43607fa02",
    version: "v4.6.2",
};

const DOWNLOAD: Action = Action {
    name: "actions/download-artifact",
    commit: "634f93cb2916e3fdff6788551b99b062d0335ce0",
    version: "v5.0.0",
};

const CREDENTIALS: Action = Action {
    name: "aws-actions/configure-aws-credentials",
    commit: "61815dcd50bd041e203e49132bacad1fd04d2708",
    version: "v5.1.1",
};

impl Action {
    fn step(&self, name: &str, with: Map<String>) -> Step {
        Step {
            name: name.to_owned(),
            uses: Some(Commented(
                format!("{}@{}", self.name, self.commit),
                self.version.to_owned(),
            )),
            with,
            ..Step::default()
        }
    }
}

/// With all of its history and tags, for the migration gate looks for earlier releases there. Its token is not left
/// where later steps could read it.
pub(super) fn checkout() -> Step {
    let with = map([("fetch-depth", "0"), ("persist-credentials", "false")]);
    CHECKOUT.step("Check out", with)
}

/// What cargo has fetched and built. A folder for each processor, and a new one whenever a dependency changes.
pub(super) fn cache(name: &str) -> Step {
    let with = map([
        ("path", "~/.cargo/registry\n~/.cache/taskhub-ci\n"),
        (
            "key",
            &format!("{name}-${{{{ runner.arch }}}}-${{{{ hashFiles('Cargo.lock') }}}}"),
        ),
        ("restore-keys", &format!("{name}-${{{{ runner.arch }}}}-")),
    ]);
    CACHE.step("Keep what cargo builds", with)
}

pub(super) fn upload(name: &str, path: &str) -> Step {
    upload_or(name, path, "error")
}

/// Fails nothing where there is none.
pub(super) fn upload_if_there(name: &str, path: &str) -> Step {
    upload_or(name, path, "warn")
}

fn upload_or(name: &str, path: &str, otherwise: &str) -> Step {
    let with = map([
        ("name", name),
        ("path", path),
        ("if-no-files-found", otherwise),
    ]);
    UPLOAD.step("Keep the result", with)
}

pub(super) fn download(name: &str, path: &str) -> Step {
    DOWNLOAD.step("Fetch the image", map([("name", name), ("path", path)]))
}

/// A token of this run is exchanged for the role, so that no key is kept anywhere.
pub(super) fn credentials(role: &str, region: &str) -> Step {
    let with = map([("role-to-assume", role), ("aws-region", region)]);
    CREDENTIALS.step("Take the role", with)
}
