//! The streams of one conversation: the one it lives on, the one that is to follow, and the one it has left.

use super::{
    duplex::Moved,
    stream::{Stream, Written},
};

#[derive(Default)]
pub(super) struct Streams {
    /// None between a stream that broke and the next.
    pub(super) current: Option<Stream>,
    /// Opened beside the current one, waiting to take over.
    pub(super) next: Option<Stream>,
    /// Replaced: it finishes what it has begun to say.
    pub(super) old: Option<Stream>,
    /// Who is looked at first, in turn.
    first: u8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Which {
    Current,
    Next,
    Old,
}

impl Streams {
    /// What happens next on any of them. With `may_read` false no events of the conversation are taken. Cancel-safe.
    pub(super) async fn next(&mut self, may_read: bool) -> (Which, Moved<Written>) {
        let Self { current, next, old, first } = self;
        *first = (*first + 1) % 3;
        let current = async { (Which::Current, moved(current, may_read).await) };
        let next = async { (Which::Next, moved(next, true).await) };
        let old = async { (Which::Old, moved(old, may_read).await) };
        match first {
            0 => tokio::select! { biased; moved = current => moved, moved = next => moved, moved = old => moved },
            1 => tokio::select! { biased; moved = next => moved, moved = old => moved, moved = current => moved },
            _ => tokio::select! { biased; moved = old => moved, moved = current => moved, moved = next => moved },
        }
    }

    /// Whether the current stream has its response headers.
    pub(super) fn is_open(&self) -> bool {
        self.current.as_ref().is_some_and(Stream::is_open)
    }

    /// Whether the current stream has written all that it was given, and takes more.
    pub(super) fn wants_input(&self) -> bool {
        self.current.as_ref().is_some_and(Stream::wants_input)
    }
}

async fn moved(stream: &mut Option<Stream>, may_read: bool) -> Moved<Written> {
    match stream {
        Some(stream) => stream.next(may_read).await,
        None => std::future::pending().await,
    }
}
