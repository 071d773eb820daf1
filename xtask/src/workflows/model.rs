//! GitHub's workflows, as far as ours go.
//! <https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-syntax>

use serde::{Serialize, Serializer};
use serde_saphyr::Commented;

/// Keys in the order in which they were written.
#[derive(Clone, Debug)]
pub(super) struct Map<T>(pub(super) Vec<(String, T)>);

impl<T> Map<T> {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<T> Default for Map<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T: Serialize> Serialize for Map<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(key, value)| (key, value)))
    }
}

/// Of texts.
pub(super) fn map<const N: usize>(entries: [(&str, &str); N]) -> Map<String> {
    let entries = entries.map(|(key, value)| (key.to_owned(), value.to_owned()));
    Map(entries.into())
}

#[derive(Debug, Serialize)]
pub(super) struct Workflow {
    pub(super) name: &'static str,
    pub(super) on: On,
    /// Of a job that names none.
    pub(super) permissions: Map<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) concurrency: Option<Concurrency>,
    pub(super) defaults: Defaults,
    pub(super) jobs: Map<Job>,
}

#[derive(Debug, Serialize)]
pub(super) struct Defaults {
    run: Shell,
}

#[derive(Debug, Serialize)]
struct Shell {
    shell: &'static str,
}

impl Defaults {
    /// A step fails where any program of a pipe does, which is so only where the shell is named.
    pub(super) const BASH: Self = Self {
        run: Shell { shell: "bash" },
    };
}

#[derive(Debug, Serialize)]
pub(super) struct On {
    pub(super) push: Push,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) pull_request: Option<Map<String>>,
}

#[derive(Debug, Serialize)]
pub(super) struct Push {
    pub(super) branches: Vec<&'static str>,
}

/// Of a group one runs, and the newest other waits.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Concurrency {
    pub(super) group: String,
    pub(super) cancel_in_progress: bool,
}

#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Job {
    pub(super) name: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) needs: Vec<&'static str>,
    #[serde(rename = "if", skip_serializing_if = "Option::is_none")]
    pub(super) condition: Option<String>,
    pub(super) runs_on: String,
    pub(super) timeout_minutes: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) environment: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) concurrency: Option<Concurrency>,
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub(super) permissions: Map<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) strategy: Option<Strategy>,
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub(super) outputs: Map<String>,
    pub(super) steps: Vec<Step>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Strategy {
    pub(super) fail_fast: bool,
    pub(super) matrix: Matrix,
}

#[derive(Debug, Serialize)]
pub(super) struct Matrix {
    pub(super) include: Vec<Map<String>>,
}

#[derive(Debug, Default, Serialize)]
pub(super) struct Step {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) id: Option<&'static str>,
    pub(super) name: String,
    #[serde(rename = "if", skip_serializing_if = "Option::is_none")]
    pub(super) condition: Option<&'static str>,
    /// With the version that the commit is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) uses: Option<Commented<String>>,
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub(super) with: Map<String>,
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub(super) env: Map<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) run: Option<String>,
}
