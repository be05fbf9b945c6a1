//! What calls do, over a network that loses nothing.

mod support;

use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use rxrpc_driver::proto::{AcceptError, Instant};
use rxrpc_driver::{
    AbortCode, BeginCallError, CallError, CallOptions, Endpoint, Incoming, ReadError, ServiceOptions, Target,
    TimeoutKind, UnaryError, WriteError,
};
use support::{SERVICE, Sim, echo, pattern};

fn echo_pair(sim: &mut Sim) -> (Endpoint, Target) {
    let (server, knobs) = sim.endpoint(1);
    let (client, _) = sim.endpoint(2);
    sim.spawn(echo(server));
    (client, Target::new(knobs.addr, SERVICE))
}

#[test]
fn a_unary_call_returns_the_whole_reply() {
    for len in [0, 1, 1_411, 1_412, 1_413, 65_536, 10_000_000] {
        let mut sim = Sim::new();
        let (client, target) = echo_pair(&mut sim);
        let request = pattern(len);
        let expected = request.clone();
        let reply = sim.run(async move { client.call_unary(target, request, len).await });
        assert!(reply == Ok(Bytes::from(expected)), "{len} bytes");
    }
}

#[test]
fn a_reply_above_the_limit_is_excess_and_aborts_the_call() {
    let mut sim = Sim::new();
    let (server, knobs) = sim.endpoint(1);
    let (client, _) = sim.endpoint(2);
    let mut listener = server.listen(SERVICE, ServiceOptions::default()).unwrap();
    let outcome = sim.spawn(async move {
        let mut call = listener.accept().await.unwrap().accept().unwrap();
        call.read_to_end(100).await.unwrap();
        call.write_all(&pattern(100_000)).await.unwrap();
        call.finish().unwrap();
        call.outcome().await
    });
    let target = Target::new(knobs.addr, SERVICE);
    let reply = sim.run(async move {
        let reply = client.call_unary(target, "request", 1_000).await;
        (reply, client)
    });
    assert_eq!(reply.0, Err(UnaryError::Call(CallError::Excess)));
    sim.settle();
    assert_eq!(outcome.take(), Some(Err(CallError::RemoteAbort(AbortCode::RX_USER_ABORT))));
}

#[test]
fn the_calls_of_an_endpoint_are_told_from_their_begin_until_their_handles_are_gone() {
    let mut sim = Sim::new();
    let (client, target) = echo_pair(&mut sim);
    assert_eq!(client.calls(), []);
    let mut call = client.call(target, CallOptions { tag: 7, ..CallOptions::default() }).unwrap();
    let begun = client.calls();
    assert_eq!(begun.len(), 1);
    assert_eq!((begun[0].id, begun[0].tag, begun[0].is_client, begun[0].outcome), (call.id(), 7, true, None));
    let call = sim.run(async move {
        call.write_all(b"request").await.unwrap();
        call.finish().unwrap();
        call.read_to_end(100).await.unwrap();
        call.outcome().await.unwrap();
        call
    });
    let over = client.calls();
    assert_eq!((over.len(), over[0].outcome, over[0].stats), (1, Some(Ok(())), call.stats()));
    drop(call);
    assert_eq!(client.calls(), []);
}

#[test]
fn a_server_learns_that_the_client_has_its_reply() {
    let mut sim = Sim::new();
    let (server, knobs) = sim.endpoint(1);
    let (client, _) = sim.endpoint(2);
    let mut listener = server.listen(SERVICE, ServiceOptions::default()).unwrap();
    let outcome = sim.spawn(async move {
        let mut call = listener.accept().await.unwrap().accept().unwrap();
        assert_eq!((call.is_client(), call.service(), call.peer().port()), (false, SERVICE, 7_000));
        call.read_to_end(100).await.unwrap();
        call.write_bytes(Bytes::from_static(b"reply")).await.unwrap();
        call.finish().unwrap();
        call.outcome().await
    });
    let target = Target::new(knobs.addr, SERVICE);
    let reply = sim.run(async move { (client.call_unary(target, "request", 100).await, client) });
    assert_eq!(reply.0, Ok(Bytes::from_static(b"reply")));
    sim.advance(std::time::Duration::from_secs(1));
    assert_eq!(outcome.take(), Some(Ok(())));
}

#[test]
fn a_finished_reply_is_delivered_though_its_call_was_dropped() {
    let mut sim = Sim::new();
    let (client, target) = echo_pair(&mut sim);
    // The echo server drops every call as soon as it has finished the reply, of several windows.
    let len = 3_000_000;
    let reply = sim.run(async move { client.call_unary(target, pattern(len), len).await });
    assert!(reply == Ok(Bytes::from(pattern(len))));
}

#[test]
fn dropping_an_unfinished_call_aborts_it_at_the_peer() {
    let mut sim = Sim::new();
    let (server, knobs) = sim.endpoint(1);
    let (client, _) = sim.endpoint(2);
    let mut listener = server.listen(SERVICE, ServiceOptions::default()).unwrap();
    let outcome = sim.spawn(async move {
        let mut call = listener.accept().await.unwrap().accept().unwrap();
        let read = call.read_to_end(100).await;
        (read, call.outcome().await)
    });
    let target = Target::new(knobs.addr, SERVICE);
    let call = sim.run(async move {
        let mut call = client.call(target, CallOptions::default()).unwrap();
        call.write_all(b"half a request").await.unwrap();
        call.flush();
        call
    });
    sim.settle();
    assert_eq!(outcome.take(), None);
    drop(call);
    sim.settle();
    let aborted = CallError::RemoteAbort(AbortCode::RX_USER_ABORT);
    assert_eq!(outcome.take(), Some((Err(ReadError::Ended(aborted)), Err(aborted))));
}

#[test]
fn an_abort_reaches_the_peer_with_its_code_though_the_call_is_dropped_at_once() {
    let mut sim = Sim::new();
    let (server, knobs) = sim.endpoint(1);
    let (client, _) = sim.endpoint(2);
    let mut listener = server.listen(SERVICE, ServiceOptions::default()).unwrap();
    sim.spawn(async move {
        let mut call = listener.accept().await.unwrap().accept().unwrap();
        call.read_to_end(100).await.unwrap();
        assert!(call.abort(AbortCode(4_711)));
        assert!(!call.abort(AbortCode(4_712)));
    });
    let target = Target::new(knobs.addr, SERVICE);
    let reply = sim.run(async move { client.call_unary(target, "request", 100).await });
    assert_eq!(reply, Err(UnaryError::Call(CallError::RemoteAbort(AbortCode(4_711)))));
}

/// What a client's unary call ends with when the server treats it so.
fn refused(how: impl FnOnce(Incoming) + 'static) -> CallError {
    let mut sim = Sim::new();
    let (server, knobs) = sim.endpoint(1);
    let (client, _) = sim.endpoint(2);
    let mut listener = server.listen(SERVICE, ServiceOptions::default()).unwrap();
    sim.spawn(async move {
        how(listener.accept().await.unwrap());
        std::future::pending::<()>().await;
    });
    let target = Target::new(knobs.addr, SERVICE);
    let reply = sim.run(async move { client.call_unary(target, "request", 100).await });
    reply.unwrap_err().call_error().unwrap()
}

#[test]
fn an_incoming_call_can_be_refused_with_a_code() {
    let error = refused(|incoming| incoming.reject(AbortCode::RXGEN_OPCODE).unwrap());
    assert_eq!(error, CallError::RemoteAbort(AbortCode::RXGEN_OPCODE));
}

#[test]
fn an_incoming_call_can_be_refused_as_busy() {
    assert_eq!(refused(|incoming| incoming.reject_busy().unwrap()), CallError::Busy);
}

#[test]
fn an_incoming_call_that_is_dropped_undecided_is_refused_as_busy() {
    assert_eq!(refused(drop), CallError::Busy);
}

#[test]
fn accepting_a_call_that_was_aborted_meanwhile_says_so() {
    let mut sim = Sim::new();
    let (server, knobs) = sim.endpoint(1);
    let (client, _) = sim.endpoint(2);
    let mut listener = server.listen(SERVICE, ServiceOptions::default()).unwrap();
    let incoming = sim.spawn(async move { (listener.accept().await.unwrap(), listener) });
    let target = Target::new(knobs.addr, SERVICE);
    let mut call = sim.run(async move {
        let mut call = client.call(target, CallOptions::default()).unwrap();
        call.write_all(b"request").await.unwrap();
        call.finish().unwrap();
        call
    });
    sim.settle();
    let (incoming, _listener) = incoming.take().unwrap();
    call.abort(AbortCode(9));
    sim.settle();
    let refusal = incoming.accept().unwrap_err();
    assert_eq!(refusal, AcceptError::Aborted(CallError::RemoteAbort(AbortCode(9))));
}

#[test]
fn a_call_to_a_service_that_is_not_offered_is_aborted() {
    let mut sim = Sim::new();
    let (client, target) = echo_pair(&mut sim);
    let client = client.client(target).with_service(SERVICE + 1);
    let reply = sim.run(async move { client.call_unary("request", 100).await });
    let error = reply.unwrap_err().call_error().unwrap();
    assert!(matches!(error, CallError::RemoteAbort(_)), "{error:?}");
}

#[test]
fn a_client_handle_keeps_its_defaults_and_overrides_them_for_one_call() {
    let mut sim = Sim::new();
    let (client, target) = echo_pair(&mut sim);
    let nobody = "10.0.0.99:7000".parse().unwrap();
    let client = client.client(Target::new(nobody, 1)).with_service(target.service);
    let other = client.with_peer(target.peer);
    assert_eq!((client.target(), other.target()), (Target::new(nobody, SERVICE), target));
    let options = CallOptions { tag: 7, ..CallOptions::default() };
    assert_eq!((other.with_options(options).options().tag, other.options().tag), (7, 0));
    let reply = sim.run(async move { other.call_unary("request", 100).await });
    assert_eq!(reply, Ok(Bytes::from_static(b"request")));
}

#[test]
fn a_request_of_the_wrong_length_is_refused_where_it_is_written() {
    let mut sim = Sim::new();
    let (client, target) = echo_pair(&mut sim);
    let results = sim.run(async move {
        let options = CallOptions { total_length: Some(4), ..CallOptions::default() };
        let mut long = client.call(target, options.clone()).unwrap();
        let too_long = long.write_all(b"12345").await;
        let mut short = client.call(target, options.clone()).unwrap();
        short.write_all(b"123").await.unwrap();
        let too_short = short.finish();
        let unary = client.call_unary_with(target, options, "12345", 100).await;
        (too_long, too_short, unary)
    });
    let unary = Err(UnaryError::Call(CallError::TooLong));
    assert_eq!(results, (Err(WriteError::TooLong), Err(WriteError::Short), unary));
}

#[test]
fn read_exact_says_short_and_excess() {
    let mut sim = Sim::new();
    let (client, target) = echo_pair(&mut sim);
    let results = sim.run(async move {
        let mut results = Vec::new();
        for (len, more) in [(4, false), (4, true), (5, false), (3, false), (3, true), (0, true)] {
            let mut call = client.call(target, CallOptions::default()).unwrap();
            call.write_all(b"four").await.unwrap();
            call.finish().unwrap();
            let mut buf = vec![0; len];
            results.push(call.read_exact(&mut buf, more).await);
            if results.last() == Some(&Ok(())) {
                assert_eq!(buf, b"four"[..len]);
            }
        }
        results
    });
    use ReadError::{Excess, Short};
    assert_eq!(results, [Ok(()), Err(Short), Err(Short), Err(Excess), Ok(()), Ok(())]);
}

#[test]
fn a_server_that_discards_the_request_may_write_its_reply_before_the_end() {
    let mut sim = Sim::new();
    let (server, knobs) = sim.endpoint(1);
    let (client, _) = sim.endpoint(2);
    let mut listener = server.listen(SERVICE, ServiceOptions::default()).unwrap();
    let written = sim.spawn(async move {
        let mut call = listener.accept().await.unwrap().accept().unwrap();
        let early = call.write_all(b"early").await;
        call.discard_input();
        let results = (early, call.write_all(b"early").await, call.finish());
        (results, call)
    });
    let target = Target::new(knobs.addr, SERVICE);
    let mut call = sim.run(async move {
        let mut call = client.call(target, CallOptions::default()).unwrap();
        call.write_all(&pattern(10_000)).await.unwrap();
        call.flush();
        call
    });
    sim.settle();
    let (results, _served) = written.take().unwrap();
    assert_eq!(results, (Err(WriteError::RequestUnfinished), Ok(()), Ok(())));
    let reply = sim.run(async move {
        call.finish().unwrap();
        call.read_to_end(100).await
    });
    assert_eq!(reply, Ok(Bytes::from_static(b"early")));
}

#[test]
fn peeking_leaves_the_data() {
    let mut sim = Sim::new();
    let (client, target) = echo_pair(&mut sim);
    let results = sim.run(async move {
        let mut call = client.call(target, CallOptions::default()).unwrap();
        call.write_all(b"four").await.unwrap();
        call.finish().unwrap();
        let mut buf = [0; 3];
        let peeked = (call.peek(&mut buf).await, buf, call.readable());
        (peeked, call.read_to_end(100).await, call.peek(&mut buf).await)
    });
    assert_eq!(results, ((Ok(3), *b"fou", 4), Ok(Bytes::from_static(b"four")), Ok(0)));
}

#[test]
fn more_calls_than_channels_wait_their_turn_and_all_succeed() {
    let mut sim = Sim::new();
    let (client, target) = echo_pair(&mut sim);
    let calls: Vec<_> = (0..1_000_usize)
        .map(|i| {
            let client = client.clone();
            sim.spawn(async move { client.call_unary(target, pattern(i), i).await })
        })
        .collect();
    drop(client);
    sim.settle();
    sim.advance(std::time::Duration::from_secs(1));
    for (i, call) in calls.into_iter().enumerate() {
        assert!(call.take() == Some(Ok(Bytes::from(pattern(i)))), "call {i}");
    }
}

#[test]
fn the_futures_traits_carry_a_call() {
    use futures_io::{AsyncRead, AsyncWrite};
    use std::future::poll_fn;
    use std::pin::Pin;
    let mut sim = Sim::new();
    let (client, target) = echo_pair(&mut sim);
    let request = pattern(300_000);
    let expected = request.clone();
    let reply = sim.run(async move {
        let mut call = client.call(target, CallOptions::default()).unwrap();
        let mut rest = &request[..];
        while !rest.is_empty() {
            let n = poll_fn(|cx| Pin::new(&mut call).poll_write(cx, rest)).await.unwrap();
            rest = &rest[n..];
        }
        poll_fn(|cx| Pin::new(&mut call).poll_close(cx)).await.unwrap();
        poll_fn(|cx| Pin::new(&mut call).poll_close(cx)).await.unwrap();
        let mut reply = Vec::new();
        let mut buf = [0; 7_777];
        loop {
            match poll_fn(|cx| Pin::new(&mut call).poll_read(cx, &mut buf)).await.unwrap() {
                0 => break reply,
                n => reply.extend_from_slice(&buf[..n]),
            }
        }
    });
    assert!(reply == expected);
}

#[test]
fn a_version_question_is_answered_with_the_text_of_the_peer() {
    let mut sim = Sim::new();
    let (_server, knobs) = sim.endpoint_with(1, |config| config.version_text = "a text".into());
    let (client, _) = sim.endpoint(2);
    let answer = sim.run(async move {
        client.version(knobs.addr, std::time::Duration::from_secs(1)).await.map(|answer| answer.text)
    });
    assert_eq!(answer.as_deref(), Ok("a text"));
}

#[test]
fn a_version_question_to_nobody_gives_up_at_its_time() {
    let mut sim = Sim::new();
    let (client, _) = sim.endpoint(2);
    let nobody = "10.0.0.99:7000".parse().unwrap();
    let time = std::time::Duration::from_secs(3);
    let answer = sim.run(async move { client.version(nobody, time).await });
    assert_eq!(answer, Err(rxrpc_driver::VersionError::NoAnswer));
    assert_eq!(sim.net.now(), Instant::ORIGIN + time);
}

#[test]
fn a_target_that_cannot_exist_is_refused() {
    let mut sim = Sim::new();
    let (client, _) = sim.endpoint(2);
    let target = Target::new("10.0.0.1:7000".parse().unwrap(), 0);
    assert_eq!(client.call(target, CallOptions::default()).unwrap_err(), BeginCallError::InvalidTarget);
}

#[test]
fn the_lifetime_of_a_call_counts_from_its_begin_whether_or_not_it_sends() {
    for written in [0, 10] {
        let mut sim = Sim::new();
        let (_server, knobs) = sim.endpoint(1);
        let (client, _) = sim.endpoint(2);
        sim.settle();
        let lifetime = Some(Duration::from_secs(3));
        let options = CallOptions { lifetime, ..CallOptions::default() };
        let mut call = client.call(Target::new(knobs.addr, SERVICE), options).unwrap();
        if written > 0 {
            assert_eq!(Sim::poll_once(&mut pin!(call.write(&pattern(written)))), Poll::Ready(Ok(written)));
        }
        sim.advance(Duration::from_secs(2));
        assert_eq!(call.try_outcome(), None);
        sim.advance(Duration::from_secs(2));
        assert_eq!(call.try_outcome(), Some(Err(CallError::Timeout(TimeoutKind::Lifetime))));
    }
}
