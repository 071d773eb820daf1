//! The committed OpenAPI document as a TypeScript developer gets it: types are generated from it, and
//! what the guide and the document itself show has to compile against them.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use serde_json::Value;

use crate::support::{XTASK, root};

#[test]
fn types_are_generated_with_which_the_guide_and_the_examples_compile() {
    let Some(tools) = tools() else { return };
    let work = tempfile::tempdir().expect("a folder");
    // The compiler looks for packages beside what it compiles.
    symlink(tools.join("node_modules"), work.path().join("node_modules")).expect("a link");
    let document = root().join("docs/openapi.json");
    generate(work.path(), &document);
    write(work.path(), "guide.ts", &guide());
    write(work.path(), "examples.ts", &examples(&document));
    let compiled = compile(work.path(), &["guide.ts", "examples.ts"]);
    assert!(compiled.status.success(), "{}", said(&compiled));

    // The compiler sees what is wrong.
    let misspelt = typed(
        "wrong",
        "/v1/tasks",
        "post",
        "application/json",
        r#"{ "titel": "x" }"#,
    );
    write(work.path(), "wrong.ts", &format!("{IMPORT}{misspelt}"));
    let compiled = compile(work.path(), &["wrong.ts"]);
    assert!(said(&compiled).contains("titel"), "{}", said(&compiled));
}

/// Where the generator and the compiler are; none on a machine without npm.
fn tools() -> Option<PathBuf> {
    let npm = Command::new("npm").arg("--version").output();
    if !npm.is_ok_and(|output| output.status.success()) {
        skip("npm is missing");
        return None;
    }
    let output = Command::new(XTASK)
        .args(["tools", "client-types"])
        .current_dir(root())
        .output()
        .expect("xtask starts");
    assert!(output.status.success(), "{}", said(&output));
    let line = String::from_utf8(output.stdout).expect("text");
    let (_, folder) = line.trim().split_once('\t').expect("a name and a folder");
    Some(folder.into())
}

fn generate(work: &Path, document: &Path) {
    let generated = Command::new("node")
        .arg("node_modules/openapi-typescript/bin/cli.js")
        .arg(document)
        .args(["-o", "taskhub.ts"])
        .current_dir(work)
        .output()
        .expect("node starts");
    assert!(generated.status.success(), "{}", said(&generated));
}

fn compile(work: &Path, files: &[&str]) -> Output {
    const OPTIONS: &[&str] = &[
        "node_modules/typescript/bin/tsc",
        "--strict",
        "--noEmit",
        "--skipLibCheck",
        "--target",
        "es2022",
        "--module",
        "nodenext",
    ];
    let mut command = Command::new("node");
    command.args(OPTIONS).args(files).current_dir(work);
    command.output().expect("node starts")
}

/// What `docs/api.md` shows in TypeScript.
fn guide() -> String {
    let page = fs::read_to_string(root().join("docs/api.md")).expect("the guide");
    let blocks = page.split("```ts\n").skip(1);
    let blocks: Vec<_> = blocks
        .map(|rest| rest.split("```").next().expect("an end"))
        .collect();
    assert!(!blocks.is_empty(), "the guide shows no TypeScript");
    blocks.concat()
}

const IMPORT: &str = "import type { paths } from \"./taskhub.js\";\n";

/// Every example of a request body, as a constant of its operation's type.
fn examples(document: &Path) -> String {
    let document = fs::read_to_string(document).expect("the document");
    let document: Value = serde_json::from_str(&document).expect("JSON");
    let mut module = IMPORT.to_owned();
    let mut count = 0;
    for (path, item) in document["paths"].as_object().expect("paths") {
        for (method, operation) in item.as_object().expect("operations") {
            let Some(content) = operation["requestBody"]["content"].as_object() else {
                continue;
            };
            for (media, body) in content {
                let example = body["example"].to_string();
                assert_ne!(example, "null", "{method} {path} shows no body");
                module += &typed(&format!("example{count}"), path, method, media, &example);
                count += 1;
            }
        }
    }
    assert!(count > 10, "{count}");
    module
}

fn typed(name: &str, path: &str, method: &str, media: &str, value: &str) -> String {
    format!(
        "export const {name}: NonNullable<paths[\"{path}\"][\"{method}\"][\"requestBody\"]>[\"content\"][\"{media}\"] = {value};\n"
    )
}

fn write(work: &Path, name: &str, content: &str) {
    fs::write(work.join(name), content).expect("own folder");
}

fn said(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    text(&output.stdout) + &text(&output.stderr)
}

#[expect(clippy::print_stderr, reason = "whoever runs the test sees it")]
fn skip(why: &str) {
    eprintln!("skipped: {why}");
}
