//! A container as the engine knows it.

use anyhow::Context;
use serde::Deserialize;

use super::engine::Engine;

pub(super) struct Container {
    pub(super) image: String,
    /// How often Docker started it again by itself.
    pub(super) restarts: u64,
    pub(super) state: State,
    /// Whether its root file system is read-only, its user, and the capabilities that it lacks.
    pub(super) cage: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct State {
    pub(super) running: bool,
    pub(super) exit_code: i64,
    pid: u32,
    health: Option<Health>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Health {
    status: String,
}

impl Container {
    pub(super) fn inspect(engine: &Engine, id: &str) -> anyhow::Result<Self> {
        const FORMAT: &str = "{{json .State}}\n{{.RestartCount}}\n{{.Config.Image}}\n\
             {{.HostConfig.ReadonlyRootfs}} {{.Config.User}} {{.HostConfig.CapDrop}}";
        let text = engine.output(&["inspect", "--format", FORMAT, id])?;
        let mut lines = text.lines();
        let mut line = || lines.next().context("docker inspect says too little");
        Ok(Self {
            state: serde_json::from_str(line()?)?,
            restarts: line()?.parse()?,
            image: line()?.to_owned(),
            cage: line()?.to_owned(),
        })
    }

    pub(super) fn is_healthy(&self) -> bool {
        let health = self.state.health.as_ref();
        self.state.running && health.is_some_and(|health| health.status == "healthy")
    }

    /// Kills its first process from outside, with a shell of some image: `docker kill` would count as the wish that
    /// it stays down, and the engine may run on another machine.
    pub(super) fn kill(&self, engine: &Engine, shell: &str) -> anyhow::Result<()> {
        let kill = format!("kill -9 {}", self.state.pid);
        let options = ["run", "--rm", "--pid=host", "--network=none", "--user=0"];
        let program = ["--entrypoint=sh", shell, "-c", &kill];
        engine.output(&[&options[..], &program[..]].concat())?;
        Ok(())
    }
}
