//! What a deployment says while it goes on: lines for people, and for programs one JSON object each.

use std::{
    cell::{Cell, RefCell},
    io::Write,
    time::Instant,
};

use chrono::Utc;
use serde_json::{Value, json};

use crate::{exit, progress::say};

pub(crate) struct Log {
    json: bool,
    steps: u8,
    step: Cell<u8>,
    phase: Cell<&'static str>,
    release: RefCell<Option<String>>,
    begun: Instant,
}

impl Log {
    pub(crate) fn new(json: bool, steps: u8) -> Self {
        Self {
            json,
            steps,
            step: Cell::new(0),
            phase: Cell::new("begin"),
            release: RefCell::default(),
            begun: Instant::now(),
        }
    }

    pub(crate) fn release(&self, id: &str) {
        *self.release.borrow_mut() = Some(id.to_owned());
    }

    /// Does the next step and writes its seconds, also where it fails.
    pub(crate) async fn step<T>(
        &self,
        name: &'static str,
        work: impl Future<Output = anyhow::Result<T>>,
    ) -> anyhow::Result<T> {
        self.step.set(self.step.get() + 1);
        self.phase.set(name);
        let begun = Instant::now();
        let done = work.await;
        let seconds = begun.elapsed().as_secs_f64();
        let mark = if done.is_ok() { "" } else { "  failed" };
        say(format_args!(
            "{seconds:>8.2} s  {:>2}/{} {name}{mark}",
            self.step.get(),
            self.steps
        ));
        self.emit(json!({"kind": "step", "seconds": seconds, "ok": done.is_ok()}));
        done
    }

    /// One thing that happened.
    pub(crate) fn event(&self, kind: &str, service: Option<&str>, message: &str) {
        let now = Utc::now().format("%H:%M:%S");
        let service_text = service.unwrap_or_default();
        say(format_args!("            {now} {service_text:7} {message}"));
        self.emit(json!({"kind": kind, "service": service, "message": message}));
    }

    /// How it all ended; the last line of standard output.
    pub(crate) fn result(&self, ended: &anyhow::Result<()>) {
        let seconds = self.begun.elapsed().as_secs_f64();
        let (code, message) = match ended {
            Ok(()) => (0, None),
            Err(error) => {
                let interrupted = error.downcast_ref::<crate::signals::Interrupted>();
                let code = interrupted.map_or(exit::of(error) as u8, |interrupted| {
                    128 + interrupted.0 as u8
                });
                (code, Some(format!("{error:#}")))
            }
        };
        if code == 0 {
            say(format_args!("{seconds:>8.2} s  done"));
        }
        self.emit(json!({"kind": "result", "exit": code, "message": message, "seconds": seconds}));
    }

    fn emit(&self, mut line: Value) {
        if !self.json {
            return;
        }
        line["ts"] = json!(Utc::now());
        line["phase"] = json!(self.phase.get());
        line["release"] = json!(*self.release.borrow());
        // A closed standard output is no reason to leave a deployment half-way.
        drop(writeln!(std::io::stdout(), "{line}"));
    }
}
