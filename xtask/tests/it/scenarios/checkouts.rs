//! What is wrong with a checkout is found before anything changes; and a migration that hangs, whose deadline of a
//! minute is the shortest that an environment file may say.

use std::{fs, path::Path, sync::atomic::Ordering};

use crate::{
    deploy_verb::{first_release, says, world::World},
    repository::Repository,
    support::XTASK,
};

#[test]
fn a_checkout_that_is_not_as_it_must_be_changes_nothing() {
    let world = World::new();
    let image = world.image("first");
    first_release(&world, &image);
    let checkout = Repository::new();
    production_is_deployed_from_what_is_committed(&world, &checkout, &image);
    what_is_rendered_must_be_fresh(&world, &checkout, &image);
    an_environment_belongs_to_its_account(&world, &checkout, &image);
    a_migration_that_hangs_is_stopped(&world, &checkout, &image);
    world.nothing_secret_was_said();
}

fn production_is_deployed_from_what_is_committed(
    world: &World,
    checkout: &Repository,
    image: &str,
) {
    let deploy = format!("deploy --env production --image {image} --dry-run");
    fs::write(checkout.path().join("left-over"), "").expect("own folder");
    let (code, said) = run(world, checkout, &deploy);
    assert_eq!(code, Some(2), "{said}");
    says(&said, "this checkout has changes");
    fs::remove_file(checkout.path().join("left-over")).expect("own file");
    // The next check is another one's.
    let (_, said) = run(world, checkout, &deploy);
    assert!(!said.contains("this checkout has changes"), "{said}");
}

fn what_is_rendered_must_be_fresh(world: &World, checkout: &Repository, image: &str) {
    let executed = world.between.count("ExecuteChangeSet");
    checkout.edit("timeout = 1800", "timeout = 60");
    let (code, said) = run(world, checkout, &world.deployment(image, ""));
    assert_eq!(code, Some(3), "{said}");
    says(&said, "infra/rendered is stale: run `cargo xtask render`");
    assert_eq!(world.between.count("ExecuteChangeSet"), executed);
    world.lock_is_free();
    let (code, said) = run(world, checkout, "render");
    assert_eq!(code, Some(0), "{said}");
}

fn an_environment_belongs_to_its_account(world: &World, checkout: &Repository, image: &str) {
    let region = "region = \"eu-central-1\"";
    let account = format!("account = \"123456789012\"\n{region}");
    checkout.edit(region, &account);
    let (code, said) = run(world, checkout, &world.deployment(image, ""));
    assert_eq!(code, Some(2), "{said}");
    says(&said, "staging belongs to account 123456789012");
    checkout.edit(&account, region);
}

fn a_migration_that_hangs_is_stopped(world: &World, checkout: &Repository, image: &str) {
    world.script.migration.store(-1, Ordering::SeqCst);
    let executed = world.between.count("StopTask");
    let (code, said) = run(world, checkout, &world.deployment(image, ""));
    world.script.migration.store(0, Ordering::SeqCst);
    assert_eq!(code, Some(6), "{said}");
    says(&said, "it was stopped after 60 s, migrate.timeout");
    says(&said, "The services were not touched");
    assert_eq!(world.between.count("StopTask"), executed + 1);
    world.lock_is_free();
}

/// `xtask` in a checkout that is not the world's.
fn run(world: &World, checkout: &Repository, words: &str) -> (Option<i32>, String) {
    let program = Path::new(XTASK).with_file_name("xtask-aws");
    world.ended(world.shell(&format!("{} {words}", checkout.here(&program))))
}
