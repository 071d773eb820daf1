//! Which request a piece of work belongs to, from the door through PostgreSQL to the worker
//! (W3C Trace Context, `traceparent`).

use std::{fmt, str::FromStr};

use uuid::Uuid;

tokio::task_local! {
    static CURRENT: TraceContext;
}

/// A place in a trace.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct TraceContext {
    pub trace_id: u128,
    /// Of the span that causes what comes next.
    pub parent_id: u64,
    pub sampled: bool,
}

/// It is not a `traceparent` of version 00, such as
/// `00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01`.
#[derive(Debug, thiserror::Error)]
#[error("not a traceparent")]
pub struct Malformed;

impl TraceContext {
    /// A new trace.
    pub fn random() -> Self {
        Self {
            trace_id: Uuid::new_v4().as_u128(),
            parent_id: Uuid::new_v4().as_u64_pair().1,
            sampled: true,
        }
    }

    /// The next span of the same trace.
    #[must_use]
    pub fn child(self) -> Self {
        Self {
            parent_id: Uuid::new_v4().as_u64_pair().1,
            ..self
        }
    }

    /// Does `work` in this trace: every job it enqueues carries it on.
    pub async fn scope<F: Future>(self, work: F) -> F::Output {
        CURRENT.scope(self, work).await
    }

    /// The trace that the calling task works in.
    pub fn current() -> Option<Self> {
        CURRENT.try_with(|trace| *trace).ok()
    }
}

impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let flags = u8::from(self.sampled);
        write!(
            f,
            "00-{:032x}-{:016x}-{flags:02x}",
            self.trace_id, self.parent_id
        )
    }
}

impl FromStr for TraceContext {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        let fields: Vec<&str> = text.split('-').collect();
        let [version, trace_id, parent_id, flags] = fields[..] else {
            return Err(Malformed);
        };
        let lengths = [version, trace_id, parent_id, flags].map(str::len);
        let lower_hex =
            |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte) || byte == b'-';
        if version != "00" || lengths != [2, 32, 16, 2] || !text.bytes().all(lower_hex) {
            return Err(Malformed);
        }
        let trace = Self {
            trace_id: u128::from_str_radix(trace_id, 16).map_err(|_| Malformed)?,
            parent_id: u64::from_str_radix(parent_id, 16).map_err(|_| Malformed)?,
            sampled: u8::from_str_radix(flags, 16).map_err(|_| Malformed)? & 1 == 1,
        };
        // All zeros name nothing.
        if trace.trace_id == 0 || trace.parent_id == 0 {
            return Err(Malformed);
        }
        Ok(trace)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_traceparent_is_read_and_written_alike() {
        let text = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let trace: TraceContext = text.parse().expect("a traceparent");
        assert_eq!(trace.to_string(), text);
        let child = trace.child();
        assert_eq!(child.trace_id, trace.trace_id);
        assert_ne!(child.parent_id, trace.parent_id);
    }

    #[test]
    fn what_is_no_traceparent_is_refused() {
        for text in [
            "",
            "00",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-+bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x",
        ] {
            assert!(text.parse::<TraceContext>().is_err(), "{text}");
        }
    }

    #[tokio::test]
    async fn work_knows_the_trace_it_is_done_in() {
        let trace = TraceContext::random();
        assert_eq!(TraceContext::current(), None);
        let seen = trace.scope(async { TraceContext::current() }).await;
        assert_eq!(seen, Some(trace));
    }
}
