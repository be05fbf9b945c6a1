//! The two ends of a stream, over the handles of calls.

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::task::Context;

use bytes::Bytes;
use futures_io::{AsyncRead, AsyncWrite};
use rxrpc_driver::{Call, CallError, ReadError, WriteError};

use super::job::Job;
use crate::coverage::Limit;
use crate::workload::transfer::{Piece, Reader, Writer};

/// Most bytes read into memory of the reader's own.
const BUFFER: usize = 4096;

/// Why a writer or a reader stopped.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Stop {
    /// Everything is written, or read up to the end.
    Done,
    /// The call is over; with this error if it failed.
    Over(Option<CallError>),
    /// The bytes are wrong at this offset.
    Wrong(u64),
    /// An answer that the interface does not promise here.
    Unexpected,
}

/// A call as its reader or its writer has it.
pub(super) enum Port<'a> {
    /// To itself, so that it uses the methods that are futures.
    Own(&'a mut Call),
    /// Together with the other one, so that it uses the traits of byte streams.
    Split(&'a RefCell<&'a mut Call>),
}

impl Port<'_> {
    fn with<T>(&mut self, run: impl FnOnce(&mut Call) -> T) -> T {
        match self {
            Port::Own(call) => run(call),
            Port::Split(call) => run(&mut call.borrow_mut()),
        }
    }

    /// Writes some of the piece, and says how much. `None` if cancelled before that.
    async fn write(&mut self, app: &Job<'_>, piece: Piece<'_>) -> Option<Result<usize, WriteError>> {
        match (self, piece) {
            (Port::Own(call), Piece::Copied(bytes)) => app.attempt(noticed(app, call.write(bytes))).await,
            (Port::Own(call), Piece::Shared(mut bytes)) => {
                let before = bytes.len();
                let result = app.attempt(noticed(app, call.write_buf(&mut bytes))).await;
                let written = before - bytes.len();
                match result {
                    Some(Err(error)) => Some(Err(error)),
                    _ if written > 0 => Some(Ok(written)),
                    _ => None,
                }
            }
            (Port::Split(call), piece) => {
                let bytes = match &piece {
                    Piece::Copied(bytes) => bytes,
                    Piece::Shared(bytes) => &bytes[..],
                };
                let write =
                    poll_fn(|cx| with_pinned(call, |call| call.poll_write(cx, bytes)).map_err(of_write));
                app.attempt(noticed(app, write)).await
            }
        }
    }

    /// Reads at most so much; `Ok(None)` at the end. `None` if cancelled before that.
    async fn read(&mut self, app: &Job<'_>, most: usize) -> Option<Result<Option<Bytes>, ReadError>> {
        let mut buffer = [0; BUFFER];
        let copied = app.tasks.mixed && most <= BUFFER;
        let place = &mut buffer[..most.min(BUFFER)];
        let read = match self {
            Port::Own(call) if copied => app.attempt(call.read(place)).await?,
            Port::Own(call) => return app.attempt(call.read_chunk(most)).await,
            Port::Split(call) if copied => {
                let read = poll_fn(|cx| with_pinned(call, |call| call.poll_read(cx, place)).map_err(of_read));
                app.attempt(read).await?
            }
            Port::Split(call) => {
                let read = poll_fn(|cx: &mut Context<'_>| call.borrow_mut().poll_read_chunk(cx, most));
                return app.attempt(read).await;
            }
        };
        Some(read.map(|n| (n > 0).then(|| Bytes::copy_from_slice(&buffer[..n]))))
    }
}

fn with_pinned<T>(call: &RefCell<&mut Call>, run: impl FnOnce(Pin<&mut Call>) -> T) -> T {
    run(Pin::new(&mut **call.borrow_mut()))
}

/// The error of a call inside the error of its byte stream.
fn of_write(error: io::Error) -> WriteError {
    let inside = error.get_ref().and_then(|e| e.downcast_ref());
    inside.copied().unwrap_or(WriteError::NotAccepted)
}

fn of_read(error: io::Error) -> ReadError {
    let inside = error.get_ref().and_then(|e| e.downcast_ref());
    inside.copied().unwrap_or(ReadError::NotAccepted)
}

/// A write that waits has reached a limit.
async fn noticed<T>(app: &Job<'_>, write: impl Future<Output = T>) -> T {
    let mut write = pin!(write);
    poll_fn(|cx| {
        let poll = write.as_mut().poll(cx);
        if poll.is_pending() {
            app.world().coverage.limit(Limit::Write);
        }
        poll
    })
    .await
}

/// Writes everything and finishes.
pub(super) async fn write_all(app: &Job<'_>, mut port: Port<'_>, writer: &mut Writer) -> Stop {
    while !writer.finished {
        if writer.written >= writer.plan.len {
            match port.with(Call::finish) {
                Ok(()) => writer.finished = true,
                Err(error) => return write_refused(app, error),
            }
            continue;
        }
        match port.write(app, writer.piece()).await {
            Some(Ok(written)) => writer.written += written as u64,
            Some(Err(error)) => return write_refused(app, error),
            None => continue,
        }
        if writer.plan.flush {
            port.with(Call::flush);
        }
        if writer.plan.write_pause > 0 && writer.written < writer.plan.len {
            app.pause(writer.plan.write_pause).await;
        }
    }
    port.with(|call| app.misuse_end(call));
    Stop::Done
}

fn write_refused(app: &Job<'_>, error: WriteError) -> Stop {
    app.refused(&error);
    match error {
        WriteError::Ended(error) => Stop::Over(Some(error)),
        WriteError::Complete => Stop::Over(None),
        _ => Stop::Unexpected,
    }
}

/// Reads up to the end, or until the bytes before the pattern are here.
pub(super) async fn read_all(
    app: &Job<'_>,
    mut port: Port<'_>,
    reader: &mut Reader,
    head_only: bool,
) -> Stop {
    loop {
        if reader.at_end || (head_only && reader.has_head()) {
            return Stop::Done;
        }
        if app.tasks.mixed && app.chance(0.05) && !peek(app, &mut port, reader).await {
            return Stop::Wrong(reader.read);
        }
        match port.read(app, reader.most()).await {
            None => {}
            Some(Ok(Some(bytes))) => {
                if !reader.check(&bytes) && !app.world().oracles.is_tainted() {
                    return Stop::Wrong(reader.read);
                }
                if reader.plan.read_pause > 0 && reader.has_head() {
                    app.pause(reader.plan.read_pause).await;
                }
            }
            Some(Ok(None)) => reader.at_end = true,
            Some(Err(error)) => {
                app.refused(&error);
                return match error {
                    ReadError::Ended(error) => Stop::Over(Some(error)),
                    _ => Stop::Unexpected,
                };
            }
        }
    }
}

/// Looks at what comes next. False if it is wrong.
async fn peek(app: &Job<'_>, port: &mut Port<'_>, reader: &Reader) -> bool {
    let mut seen = [0; 16];
    let Port::Own(call) = port else { return true };
    match app.attempt(call.peek(&mut seen)).await {
        Some(Ok(n)) => reader.is_next(&seen[..n]) || app.world().oracles.is_tainted(),
        _ => true,
    }
}
