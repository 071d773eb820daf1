use super::{ignore::Ignore, *};

fn root() -> &'static Path {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
    root.expect("the workspace")
}

/// Every file below these folders: all that compiling reads, and more.
fn needed() -> BTreeSet<String> {
    let mut files = BTreeSet::new();
    let mut folders: Vec<_> = [
        ".sqlx",
        "migrations",
        "taskhub/src",
        "api/src",
        "worker/src",
    ]
    .map(|folder| root().join(folder))
    .into();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder)
            .expect("a folder of the checkout")
            .flatten()
        {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let path = path.strip_prefix(root()).expect("below it");
                files.insert(path.to_str().expect("text").to_owned());
            }
        }
    }
    files
}

fn faults(sources: &Sources) -> Vec<String> {
    sources.faults(root(), &needed()).expect("cargo runs")
}

/// Both files, once a text of either is replaced.
fn changed(old: &str, new: &str) -> Sources {
    let mut sources = Sources::read(root()).expect("both files");
    let text = if sources.dockerfile.contains(old) {
        &mut sources.dockerfile
    } else {
        &mut sources.dockerignore
    };
    assert!(text.contains(old), "{old:?} is not there any more");
    *text = text.replace(old, new);
    sources
}

#[test]
fn the_build_sees_all_that_it_needs() {
    let sources = Sources::read(root()).expect("both files");
    assert_eq!(faults(&sources), Vec::<String>::new());
}

#[test]
fn what_cargo_would_refuse_is_refused_in_its_words() {
    let all = "COPY . .\n";
    let manifests = "COPY Cargo.toml Cargo.lock ./\nCOPY taskhub/Cargo.toml taskhub/\nCOPY api/Cargo.toml api/\n\
                     COPY worker/Cargo.toml worker/\nCOPY xtask/Cargo.toml xtask/\n";
    let without_examples =
        format!("{manifests}COPY taskhub taskhub\nCOPY api api\nCOPY worker/src worker/src\n");
    for ((old, new), said) in [
        // An example belongs to no program of the image, but without its source cargo reads no manifest.
        (
            (all, without_examples.as_str()),
            "can't find `probed_worker` example",
        ),
        ((all, manifests), "no targets specified in the manifest"),
        (("!xtask/Cargo.toml\n", ""), "xtask/Cargo.toml"),
        (("!Cargo.lock\n", ""), "Cargo.lock"),
        (("-p taskhub-api ", "-p taskhub-apis "), "taskhub-apis"),
        (("cargo build", "cargo check"), "no RUN calls `cargo build`"),
    ] {
        let found = faults(&changed(old, new)).join("\n");
        assert!(found.contains(said), "{new:?} instead of {old:?}: {found}");
    }
}

#[test]
fn what_only_the_compiler_would_miss_is_refused() {
    for (old, new, lacking) in [
        ("!migrations\n", "", "migrations/0001_users.sql"),
        ("!.sqlx\n", "", "that are needed to compile: .sqlx/query-"),
        (
            "**/tests\n",
            "**/tests\n**/*.css\n",
            "api/src/docs/page.css",
        ),
        (
            "**/tests\n",
            "**/tests\nworker/src/lib.rs\n",
            "compile: worker/src/lib.rs",
        ),
    ] {
        let Sources {
            dockerfile,
            dockerignore,
        } = changed(old, new);
        let context = Context::read(root(), &dockerignore).expect("the checkout");
        let stages = Stages::evaluate(&dockerfile, &context).expect("its stages");
        let found = stages.builds[0].lack(&needed()).expect("a fault");
        assert!(
            found.contains(lacking),
            "{new:?} instead of {old:?}: {found}"
        );
    }
}

#[test]
fn a_copy_that_finds_nothing_is_refused_with_its_line() {
    let found = faults(&changed("!infra/rds-ca.pem\n", "")).join("\n");
    assert!(
        found.contains("COPY finds no \"infra/rds-ca.pem\""),
        "{found}"
    );
    let (line, _) = found
        .trim_start_matches("Dockerfile:")
        .split_once(':')
        .expect("a line");
    let text = Sources::read(root()).expect("both files").dockerfile;
    let line: usize = line.parse().expect("a number");
    let copy = text.lines().nth(line - 1).expect("that line");
    assert!(copy.starts_with("COPY infra/rds-ca.pem"), "{copy}");
}

#[test]
fn nothing_else_of_a_checkout_gets_into_a_build() {
    let sources = Sources::read(root()).expect("both files");
    let ignore = Ignore::parse(&sources.dockerignore).expect("patterns");
    for stranger in [
        ".env",
        ".git/config",
        "audit/staging/log.json",
        "docs/api.md",
        "mail/letter.eml",
        "target/debug/xtask",
        "api/target/debug/api",
        "api/tests/it/main.rs",
        "xtask/src/main.rs",
    ] {
        assert!(ignore.leaves_out(stranger), "{stranger}");
    }
}
