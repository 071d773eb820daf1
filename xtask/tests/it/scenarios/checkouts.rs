//! What is wrong with a checkout is found before anything changes; and a migration that hangs, whose deadline of a
//! minute is the shortest that an environment file may say.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::Ordering,
};

use tempfile::TempDir;

use crate::{
    deploy_verb::{first_release, says, world::World},
    support::{XTASK, root},
};

#[test]
fn a_checkout_that_is_not_as_it_must_be_changes_nothing() {
    let world = World::new();
    let image = world.image("first");
    first_release(&world, &image);
    let checkout = Copy::new();
    production_is_deployed_from_what_is_committed(&world, &checkout, &image);
    what_is_rendered_must_be_fresh(&world, &checkout, &image);
    an_environment_belongs_to_its_account(&world, &checkout, &image);
    a_migration_that_hangs_is_stopped(&world, &checkout, &image);
    world.nothing_secret_was_said();
}

fn production_is_deployed_from_what_is_committed(world: &World, checkout: &Copy, image: &str) {
    let deploy = format!("deploy --env production --image {image} --dry-run");
    fs::write(checkout.path().join("left-over"), "").expect("own folder");
    let (code, said) = checkout.run(world, &deploy);
    assert_eq!(code, Some(2), "{said}");
    says(&said, "this checkout has changes");
    fs::remove_file(checkout.path().join("left-over")).expect("own file");
    // The next check is another one's.
    let (_, said) = checkout.run(world, &deploy);
    assert!(!said.contains("this checkout has changes"), "{said}");
}

fn what_is_rendered_must_be_fresh(world: &World, checkout: &Copy, image: &str) {
    let executed = world.between.count("ExecuteChangeSet");
    checkout.edit("timeout = 1800", "timeout = 60");
    let (code, said) = checkout.run(world, &world.deployment(image, ""));
    assert_eq!(code, Some(3), "{said}");
    says(&said, "infra/rendered is stale: run `cargo xtask render`");
    assert_eq!(world.between.count("ExecuteChangeSet"), executed);
    world.lock_is_free();
    let (code, said) = checkout.run(world, "render");
    assert_eq!(code, Some(0), "{said}");
}

fn an_environment_belongs_to_its_account(world: &World, checkout: &Copy, image: &str) {
    let region = "region = \"eu-central-1\"";
    let account = format!("account = \"123456789012\"\n{region}");
    checkout.edit(region, &account);
    let (code, said) = checkout.run(world, &world.deployment(image, ""));
    assert_eq!(code, Some(2), "{said}");
    says(&said, "staging belongs to account 123456789012");
    checkout.edit(&account, region);
}

fn a_migration_that_hangs_is_stopped(world: &World, checkout: &Copy, image: &str) {
    world.script.migration.store(-1, Ordering::SeqCst);
    let executed = world.between.count("StopTask");
    let (code, said) = checkout.run(world, &world.deployment(image, ""));
    world.script.migration.store(0, Ordering::SeqCst);
    assert_eq!(code, Some(6), "{said}");
    says(&said, "it was stopped after 60 s, migrate.timeout");
    says(&said, "The services were not touched");
    assert_eq!(world.between.count("StopTask"), executed + 1);
    world.lock_is_free();
}

/// A checkout with what a deployment reads, all of it committed.
struct Copy(TempDir);

impl Copy {
    fn new() -> Self {
        let copy = Self(tempfile::tempdir().expect("a folder"));
        for folder in ["infra", "migrations", "docs"] {
            let status = Command::new("cp")
                .arg("-r")
                .args([&root().join(folder), copy.path()])
                .status();
            assert!(status.expect("cp runs").success());
        }
        for line in [
            "git init --quiet .",
            "git add .",
            "git -c user.name=t -c user.email=t@example.com commit --quiet --message all",
        ] {
            let mut words = line.split(' ');
            let status = Command::new(words.next().expect("git"))
                .args(words)
                .current_dir(copy.path())
                .status();
            assert!(status.expect("git runs").success(), "{line}");
        }
        copy
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    /// Of staging's file.
    fn edit(&self, from: &str, to: &str) {
        let file = self.path().join("infra/environments/staging.toml");
        let text = fs::read_to_string(&file).expect("the file");
        assert!(text.contains(from), "{from}");
        fs::write(file, text.replace(from, to)).expect("own file");
    }

    /// What tells `xtask` that this is its checkout.
    fn cargo(&self) -> PathBuf {
        let cargo = self.path().join(".git/cargo");
        let root = self.path().display();
        let script = format!(
            "#!/bin/sh\necho '{{\"workspace_root\": \"{root}\", \"target_directory\": \"{root}/.git/target\", \"packages\": []}}'\n"
        );
        fs::write(&cargo, script).expect("own folder");
        fs::set_permissions(&cargo, fs::Permissions::from_mode(0o755)).expect("own file");
        cargo
    }

    /// `xtask` in it.
    fn run(&self, world: &World, words: &str) -> (Option<i32>, String) {
        let program = Path::new(XTASK).with_file_name("xtask-aws");
        let (cargo, program) = (self.cargo(), program.display());
        let script = format!("CARGO='{}' exec '{program}' {words}", cargo.display());
        world.ended(world.shell(&script))
    }
}
