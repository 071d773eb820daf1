//! A connection that gives up on a peer who keeps it waiting: with a head that does not end, or with
//! an answer that is not read.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep, sleep},
};

/// Counts requests begun and answered: while it is even, the next bytes belong to a head.
#[derive(Clone, Debug, Default)]
pub(super) struct Turns(Arc<AtomicU64>);

impl Turns {
    /// To be called as a request begins, and again as it is answered.
    pub(super) fn next(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// Waits for the first head from the beginning, and for each later one from its first byte on:
/// between requests a connection may idle longer.
pub(super) struct Patient<S> {
    stream: S,
    turns: Turns,
    /// Of `turns`, when it was last looked at.
    turn: u64,
    head: Deadline,
    write: Deadline,
}

impl<S> Patient<S> {
    pub(super) fn new(stream: S, head: Duration, write: Duration) -> (Self, Turns) {
        let turns = Turns::default();
        let mut patient = Self {
            stream,
            turns: turns.clone(),
            turn: 0,
            head: Deadline::new(head),
            write: Deadline::new(write),
        };
        patient.head.start();
        (patient, turns)
    }
}

/// A time limit that runs while something is awaited.
struct Deadline {
    limit: Duration,
    running: bool,
    sleep: Pin<Box<Sleep>>,
}

impl Deadline {
    fn new(limit: Duration) -> Self {
        let sleep = Box::pin(sleep(limit));
        Self {
            limit,
            running: false,
            sleep,
        }
    }

    fn start(&mut self) {
        if !self.running {
            self.running = true;
            self.sleep.as_mut().reset(Instant::now() + self.limit);
        }
    }

    fn stop(&mut self) {
        self.running = false;
    }

    /// Ready with an error once the limit has passed.
    fn poll<T>(&mut self, context: &mut Context<'_>) -> Poll<io::Result<T>> {
        if self.running {
            ready!(self.sleep.as_mut().poll(context));
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        Poll::Pending
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Patient<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let turn = this.turns.0.load(Ordering::Relaxed);
        if turn != this.turn {
            this.turn = turn;
            this.head.stop();
        }
        let polled = Pin::new(&mut this.stream).poll_read(context, buffer);
        if polled.is_ready() {
            if turn.is_multiple_of(2) {
                this.head.start();
            }
            return polled;
        }
        this.head.poll(context)
    }
}

impl<S: AsyncWrite + Unpin> Patient<S> {
    /// Writes, and measures how long the peer takes none of it.
    fn poll_writing(
        &mut self,
        context: &mut Context<'_>,
        write: impl FnOnce(Pin<&mut S>, &mut Context<'_>) -> Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        let polled = write(Pin::new(&mut self.stream), context);
        if polled.is_ready() {
            self.write.stop();
            return polled;
        }
        self.write.start();
        self.write.poll(context)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Patient<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let write =
            |stream: Pin<&mut S>, context: &mut Context<'_>| stream.poll_write(context, bytes);
        self.get_mut().poll_writing(context, write)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let write = |stream: Pin<&mut S>, context: &mut Context<'_>| {
            stream.poll_write_vectored(context, slices)
        };
        self.get_mut().poll_writing(context, write)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }
}
