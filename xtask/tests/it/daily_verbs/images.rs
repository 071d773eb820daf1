//! An image gets to the account's repository and is found there again, without the `aws` command line.

use std::{fs, path::Path};

use base64::{Engine, prelude::BASE64_STANDARD};
use chrono::Utc;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::write_log;
use crate::{
    deploy_verb::{
        says,
        world::{SENTINEL, World},
    },
    image_verb::registry::{PASSWORD, Registry, USER},
};

/// The first release, whose image is named by its tag alone.
pub(super) fn a_commit_is_deployed_by_its_image(world: &World) -> String {
    let head = world.repository.head();
    let deploy = format!(
        "deploy --env staging --url {} --lock-wait 0",
        world.between.url
    );
    let (code, said) = world.run(&deploy);
    assert_eq!(code, Some(3), "{said}");
    says(&said, &format!("no image of commit {}", &head[..8]));
    says(&said, "cargo xtask image push --env staging");
    let (code, said) = world.run(&format!("{deploy} --commit nothing"));
    assert_eq!(code, Some(2), "{said}");
    says(&said, "there is no commit nothing");

    let digest = world.image(&head);
    let (code, said) = world.run(&deploy);
    assert_eq!(code, Some(3), "{said}");
    says(&said, "secret taskhub/staging/mail");
    let put = "secrets put --env staging mail MAIL_URL";
    assert_eq!(world.run_with(put, &format!("{SENTINEL}\n")).0, Some(0));
    let before = [r#"{"message":"before the release"}"#];
    let at = Utc::now().timestamp_millis();
    write_log(world, "api", "00000000", at, &before);

    let (code, said) = world.run(&format!("{deploy} --commit HEAD"));
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(world.image_of("api"), digest);
    digest
}

/// An image of nothing, made from that commit.
fn write_image(folder: &Path, revision: &str) -> String {
    let blobs = folder.join("oci/blobs/sha256");
    fs::create_dir_all(&blobs).expect("own folder");
    let add = |kind: &str, content: &Value| {
        let bytes = content.to_string().into_bytes();
        let digest: String = Sha256::digest(&bytes)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        fs::write(blobs.join(&digest), &bytes).expect("own file");
        let kind = format!("application/vnd.oci.image.{kind}.v1+json");
        json!({"mediaType": kind, "digest": format!("sha256:{digest}"), "size": bytes.len()})
    };
    let labels = json!({"org.opencontainers.image.revision": revision});
    let config = json!({
        "architecture": "arm64",
        "os": "linux",
        "config": {"Labels": labels},
        "rootfs": {"type": "layers", "diff_ids": []},
    });
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": add("config", &config),
        "layers": [],
    });
    let named = add("manifest", &manifest);
    let index = json!({"schemaVersion": 2, "manifests": [named]});
    fs::write(folder.join("oci/index.json"), index.to_string()).expect("own file");
    named["digest"].as_str().expect("text").to_owned()
}

#[test]
fn an_image_is_pushed_with_the_password_that_aws_gives() {
    let world = World::new();
    let registry = Registry::start();
    let folder = tempfile::tempdir().expect("a folder");
    let digest = write_image(folder.path(), "0123abcd");
    let repository = registry.repository("taskhub");
    let push = format!(
        "image push --env staging --from {}",
        folder.path().display()
    );
    let password = |password: &str| {
        let token = BASE64_STANDARD.encode(format!("{USER}:{password}"));
        *world.script.repository.lock().expect("no panic") = Some((repository.clone(), token));
    };

    password("sentinel");
    let (code, said) = world.run(&push);
    assert_eq!(code, Some(9), "{said}");
    assert_eq!(registry.digest("taskhub", "0123abcd"), None);

    password(PASSWORD);
    let (code, said) = world.run(&push);
    assert_eq!(code, Some(0), "{said}");
    says(&said, &format!("{repository}@{digest}"));
    assert_eq!(registry.digest("taskhub", "0123abcd"), Some(digest));
    assert!(
        !said.contains(PASSWORD) && !said.contains("sentinel"),
        "{said}"
    );
    let both = world.run("image push --env staging --to registry.example/taskhub");
    assert_eq!(both.0, Some(2), "{}", both.1);
    assert_eq!(world.run("image push").0, Some(2));
}
