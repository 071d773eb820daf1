//! The templates that are committed.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context;
use serde_json::Value;

/// One stack's template as it stands in `infra/rendered`.
#[derive(Clone)]
pub(crate) struct Template {
    /// `bootstrap`, `production/data`.
    pub(crate) name: String,
    /// From the root of the checkout.
    pub(crate) path: PathBuf,
    pub(crate) content: Value,
}

const FOLDER: &str = "infra/rendered";

/// All of them, sorted by name.
///
/// # Errors
/// Where there are none.
pub(crate) fn rendered(root: &Path) -> anyhow::Result<Vec<Template>> {
    let mut templates = Vec::new();
    let folders = fs::read_dir(root.join(FOLDER))
        .with_context(|| format!("{FOLDER} is missing: `cargo xtask render` writes it"))?;
    for folder in folders {
        let folder = folder?;
        let within = folder.file_name().into_string().unwrap_or_default();
        for file in fs::read_dir(folder.path()).into_iter().flatten().flatten() {
            let Ok(file) = file.file_name().into_string() else {
                continue;
            };
            let Some(stack) = file.strip_suffix("template.json") else {
                continue;
            };
            let name = format!("{within}/{}", stack.trim_end_matches('.'));
            let path = Path::new(FOLDER).join(&within).join(&file);
            templates.push(Template {
                name: name.trim_end_matches('/').to_owned(),
                content: read(&root.join(&path))?,
                path,
            });
        }
    }
    anyhow::ensure!(!templates.is_empty(), "{FOLDER} holds no templates");
    templates.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(templates)
}

fn read(path: &Path) -> anyhow::Result<Value> {
    let text = fs::read(path).with_context(|| path.display().to_string())?;
    serde_json::from_slice(&text).with_context(|| path.display().to_string())
}

/// The name of the template that lies at a path, however a validator writes it.
pub(crate) fn named<'a>(templates: &'a [Template], path: &str) -> Option<&'a Template> {
    let path = Path::new(path);
    templates
        .iter()
        .find(|template| path.ends_with(&template.path))
}
