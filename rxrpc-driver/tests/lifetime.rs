//! How endpoints, drivers and handles end.

mod support;

use std::time::Duration;

use bytes::Bytes;
use rxrpc_driver::{
    BeginCallError, CallError, CallOptions, ListenError, ReadError, ServiceOptions, Target, UnaryError,
    VersionError, WriteError,
};
use support::{SERVICE, Sim, echo};

fn is_send<T: Send>(_: &T) {}

#[test]
fn a_driver_over_a_send_socket_is_send_and_so_are_the_handles() {
    let mut sim = Sim::new();
    let (driver, endpoint, knobs) = sim.driver(1, |_| {});
    is_send(&driver);
    is_send(&endpoint);
    is_send(&endpoint.close());
    is_send(&endpoint.call_unary(Target::new(knobs.addr, 1), "", 0));
    let call = endpoint.call(Target::new(knobs.addr, 1), CallOptions::default());
    is_send(&call);
}

#[test]
fn a_driver_ends_when_the_last_handle_is_gone() {
    let mut sim = Sim::new();
    let (driver, endpoint, knobs) = sim.driver(1, |_| {});
    let driver = sim.spawn(driver);
    let other = endpoint.clone();
    drop(endpoint);
    sim.settle();
    assert!(driver.take().is_none());
    // A call is a handle too.
    let call = other.call(Target::new(knobs.addr, 1), CallOptions::default()).unwrap();
    drop(other);
    sim.settle();
    assert!(driver.take().is_none());
    drop(call);
    sim.settle();
    assert!(driver.take().is_some());
}

#[test]
fn a_driver_without_handles_still_delivers_what_was_replied() {
    let mut sim = Sim::new();
    let (driver, server, knobs) = sim.driver(1, |_| {});
    let driver = sim.spawn(driver);
    let (client, _) = sim.endpoint(2);
    let mut listener = server.listen(SERVICE, ServiceOptions::default()).unwrap();
    let done = sim.spawn(async move {
        let mut call = listener.accept().await.unwrap().accept().unwrap();
        drop((listener, server));
        call.read_to_end(100).await.unwrap();
        call.write_all(b"reply").await.unwrap();
        call.finish().unwrap();
    });
    let target = Target::new(knobs.addr, SERVICE);
    let reply = sim.run(async move { (client.call_unary(target, "request", 100).await, client) });
    assert_eq!(reply.0, Ok(Bytes::from_static(b"reply")));
    assert_eq!(done.take(), Some(()));
    sim.advance(Duration::from_secs(1));
    assert!(driver.take().is_some());
}

#[test]
fn dropping_the_driver_ends_everything_with_endpoint_closed() {
    let mut sim = Sim::new();
    let (driver, endpoint, _) = sim.driver(1, |_| {});
    let mut driver = driver;
    let target = Target::new("10.0.0.9:7000".parse().unwrap(), 5);
    let unary = sim.spawn({
        let endpoint = endpoint.clone();
        async move { endpoint.call_unary(target, "request", 100).await }
    });
    let streams = sim.spawn({
        let endpoint = endpoint.clone();
        async move {
            let mut call = endpoint.call(target, CallOptions::default()).unwrap();
            call.write_all(b"x").await.unwrap();
            let outcome = call.outcome().await;
            (outcome, call.read(&mut [0; 9]).await, call.write(b"y").await, call.finish())
        }
    });
    let mut listener = endpoint.listen(SERVICE, ServiceOptions::default()).unwrap();
    let accepted = sim.spawn(async move { listener.accept().await.is_none() });
    let version = sim.spawn({
        let endpoint = endpoint.clone();
        async move { endpoint.version(target.peer, Duration::from_secs(9)).await }
    });
    sim.settle();
    assert!(Sim::poll_once(&mut driver).is_pending());
    drop(driver);
    sim.settle();
    use CallError::EndpointClosed;
    assert_eq!(unary.take(), Some(Err(UnaryError::Call(EndpointClosed))));
    let (read, write) = (ReadError::Ended(EndpointClosed), WriteError::Ended(EndpointClosed));
    assert_eq!(streams.take(), Some((Err(EndpointClosed), Err(read), Err(write), Err(write))));
    assert_eq!(accepted.take(), Some(true));
    assert_eq!(version.take(), Some(Err(VersionError::EndpointClosed)));
    let refused = endpoint.call(target, CallOptions::default()).unwrap_err();
    assert_eq!(refused, BeginCallError::EndpointClosed);
    let refused = endpoint.listen(9, ServiceOptions::default()).unwrap_err();
    assert_eq!(refused, ListenError::EndpointClosed);
    assert!(endpoint.is_closed());
    sim.run(endpoint.close());
}

#[test]
fn closing_ends_calls_at_both_ends_and_then_the_driver() {
    let mut sim = Sim::new();
    let (server, knobs) = sim.endpoint(1);
    let (driver, client, _) = sim.driver(2, |_| {});
    let driver = sim.spawn(driver);
    let mut listener = server.listen(SERVICE, ServiceOptions::default()).unwrap();
    let served = sim.spawn(async move {
        let mut call = listener.accept().await.unwrap().accept().unwrap();
        call.read_to_end(100).await
    });
    let target = Target::new(knobs.addr, SERVICE);
    let outcome = sim.spawn({
        let client = client.clone();
        async move {
            let mut call = client.call(target, CallOptions::default()).unwrap();
            call.write_all(b"half").await.unwrap();
            call.flush();
            call.outcome().await
        }
    });
    sim.settle();
    sim.run(client.close());
    assert!(driver.take().is_some());
    assert_eq!(outcome.take(), Some(Err(CallError::EndpointClosed)));
    sim.settle();
    let error = served.take().unwrap().unwrap_err();
    assert!(matches!(error, ReadError::Ended(CallError::RemoteAbort(_))), "{error:?}");
    drop(server);
}

#[test]
fn shutting_down_lets_calls_finish_and_refuses_new_ones() {
    let mut sim = Sim::new();
    let (server, knobs) = sim.endpoint(1);
    let (client, _) = sim.endpoint(2);
    sim.spawn(echo(server));
    let target = Target::new(knobs.addr, SERVICE);
    let mut call = client.call(target, CallOptions::default()).unwrap();
    let closed = sim.spawn(client.shutdown());
    sim.settle();
    assert!(closed.take().is_none());
    let refused = client.call(target, CallOptions::default()).unwrap_err();
    assert_eq!(refused, BeginCallError::EndpointClosed);
    let reply = sim.run(async move {
        call.write_all(b"last words").await.unwrap();
        call.finish().unwrap();
        call.read_to_end(100).await
    });
    assert_eq!(reply, Ok(Bytes::from_static(b"last words")));
    sim.advance(Duration::from_secs(1));
    assert!(closed.take().is_some());
}

#[test]
fn dropping_a_listener_refuses_waiting_calls_and_lets_accepted_ones_go_on() {
    let mut sim = Sim::new();
    let (server, knobs) = sim.endpoint(1);
    let (client, _) = sim.endpoint(2);
    let mut listener = server.listen(SERVICE, ServiceOptions::default()).unwrap();
    let target = Target::new(knobs.addr, SERVICE);
    let replies: Vec<_> = (0..2)
        .map(|_| {
            let client = client.clone();
            let reply = sim.spawn(async move { client.call_unary(target, "request", 100).await });
            sim.settle();
            reply
        })
        .collect();
    let mut call = sim.run(async move { listener.accept().await.unwrap().accept().unwrap() });
    sim.settle();
    let refused = replies[1].take().unwrap().unwrap_err().call_error().unwrap();
    assert!(matches!(refused, CallError::RemoteAbort(_) | CallError::Busy), "{refused:?}");
    sim.run(async move {
        let request = call.read_to_end(100).await.unwrap();
        call.write_bytes(request).await.unwrap();
        call.finish().unwrap();
    });
    sim.settle();
    assert_eq!(replies[0].take(), Some(Ok(Bytes::from_static(b"request"))));
    // The service can be offered again.
    assert!(server.listen(SERVICE, ServiceOptions::default()).is_ok());
}

#[test]
fn closing_after_the_last_reply_still_acknowledges_it() {
    let mut sim = Sim::new();
    let (server, knobs) = sim.endpoint(1);
    let (client, _) = sim.endpoint(2);
    let mut listener = server.listen(SERVICE, ServiceOptions::default()).unwrap();
    let outcome = sim.spawn(async move {
        let mut call = listener.accept().await.unwrap().accept().unwrap();
        call.read_to_end(100).await.unwrap();
        call.write_all(b"reply").await.unwrap();
        call.finish().unwrap();
        call.outcome().await
    });
    let target = Target::new(knobs.addr, SERVICE);
    let reply = sim.run(async move {
        let reply = client.call_unary(target, "request", 100).await;
        client.close().await;
        reply
    });
    assert_eq!(reply, Ok(Bytes::from_static(b"reply")));
    sim.settle();
    assert_eq!(outcome.take(), Some(Ok(())));
}

#[test]
fn the_last_call_of_a_peer_lets_go_of_it_however_late_it_is_dropped() {
    let mut sim = Sim::new();
    let (server, knobs) = sim.endpoint(1);
    let (client, _) = sim.endpoint_with(2, |config| config.timing.idle_client = Duration::ZERO);
    sim.spawn(echo(server));
    let mut call = client.call(Target::new(knobs.addr, SERVICE), CallOptions::default()).unwrap();
    let call = sim.run(async move {
        call.write_all(b"request").await.unwrap();
        call.finish().unwrap();
        call.read_to_end(100).await.unwrap();
        call
    });
    // Long enough for all that the driver waits for.
    sim.advance(Duration::from_secs(3_600));
    assert_eq!((client.stats().connections, client.stats().peers), (0, 1));
    drop(call);
    sim.advance(Duration::from_secs(3_600));
    assert_eq!(client.stats().peers, 0);
}
