//! A request in one piece, a reply in one piece.

use std::future::poll_fn;

use bytes::Bytes;
use rxrpc_proto::{CallError, CallOptions, ReadError, Target, WriteError};

use super::Call;
use super::collect::Collector;
use crate::UnaryError;
use crate::shared::Handle;

/// Makes a call: writes all of `request`, reads all of the reply.
pub(crate) async fn unary(
    handle: &Handle,
    target: &Target,
    options: CallOptions,
    request: Bytes,
    reply_limit: usize,
) -> Result<Bytes, UnaryError> {
    let (mut call, mut rest) = begin(handle, target, options, request)?;
    while !rest.is_empty() {
        match call.write_buf(&mut rest).await {
            Ok(()) => {
                // What this may refuse, the reading below reports.
                let _ = call.finish();
            }
            Err(refusal) => {
                written(refusal)?;
                break;
            }
        }
    }
    let mut reply = Collector::new(reply_limit);
    poll_fn(|cx| call.poll_collect(cx, &mut reply)).await.map_err(|error| match error {
        ReadError::Ended(error) => UnaryError::Call(error),
        ReadError::Short => UnaryError::Call(CallError::Short),
        // Dropping the call aborts it.
        ReadError::Excess | ReadError::Blocked | ReadError::NotAccepted => {
            UnaryError::Call(CallError::Excess)
        }
    })?;
    Ok(reply.into_bytes())
}

/// Begins the call and, in most cases, writes all of the request, under one lock and with one kick.
fn begin(
    handle: &Handle,
    target: &Target,
    options: CallOptions,
    mut request: Bytes,
) -> Result<(Call, Bytes), UnaryError> {
    let mut call;
    let result = {
        let mut state = handle.lock();
        if state.draining {
            return Err(UnaryError::Begin(rxrpc_proto::BeginCallError::EndpointClosed));
        }
        let id = state.proto.begin_call(target, options).map_err(UnaryError::Begin)?;
        call = Call::open(handle, &mut state, id);
        match state.proto.call(id) {
            Some(mut view) => {
                let wrote = if request.is_empty() { Ok(0) } else { view.write_bytes(&mut request) };
                match wrote {
                    Ok(_) | Err(WriteError::Blocked) if !request.is_empty() => Ok(()),
                    Ok(_) => view.finish(),
                    Err(refusal) => Err(refusal),
                }
            }
            None => Err(WriteError::Ended(CallError::EndpointClosed)),
        }
    };
    handle.kick();
    call.finished = request.is_empty() && result.is_ok();
    match result {
        Ok(()) => Ok((call, request)),
        Err(refusal) => written(refusal).map(|()| (call, Bytes::new())),
    }
}

/// What a refused write means: an end of the call, a wrong length, or a reply that is there already.
fn written(refusal: WriteError) -> Result<(), UnaryError> {
    match refusal {
        WriteError::Ended(error) => Err(UnaryError::Call(error)),
        WriteError::TooLong => Err(UnaryError::Call(CallError::TooLong)),
        WriteError::Short => Err(UnaryError::Call(CallError::Short)),
        WriteError::Blocked
        | WriteError::Finished
        | WriteError::Complete
        | WriteError::RequestUnfinished
        | WriteError::NotAccepted => Ok(()),
    }
}
