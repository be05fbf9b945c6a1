//! Calls larger than their buffers: everyone waits for everyone, and all is through in no time.

mod support;

use std::time::Duration;

use rxrpc_driver::Target;
use rxrpc_driver::proto::Limits;
use support::{SERVICE, Sim, echo, pattern};

/// Echoes 100 KB in each of `calls` calls at once between two endpoints with these limits. The network has no
/// delay, so that no more time passes than delayed acknowledgements take.
fn all_through(calls: usize, change: fn(&mut Limits)) {
    let mut sim = Sim::new();
    let (server, knobs) = sim.endpoint_with(1, |config| change(&mut config.limits));
    let (client, _) = sim.endpoint_with(2, |config| change(&mut config.limits));
    sim.spawn(echo(server));
    let target = Target::new(knobs.addr, SERVICE);
    let replies: Vec<_> = (0..calls)
        .map(|_| {
            let client = client.clone();
            sim.spawn(async move { client.call_unary(target, pattern(100_000), 100_000).await })
        })
        .collect();
    sim.advance(Duration::from_millis(200));
    for reply in replies {
        assert!(reply.take().expect("a call waits") == Ok(pattern(100_000).into()));
    }
}

#[test]
fn a_small_send_buffer_delays_nothing() {
    all_through(1, |limits| limits.send_per_call = 6_000);
}

#[test]
fn small_send_buffers_of_many_calls_delay_nothing() {
    all_through(16, |limits| limits.send_per_call = 6_000);
}

#[test]
fn calls_that_share_a_small_send_budget_all_get_their_turn() {
    all_through(16, |limits| {
        limits.send_per_call = 6_000;
        limits.send_total = 50_000;
    });
}

#[test]
fn a_small_receive_buffer_delays_nothing() {
    all_through(1, |limits| limits.receive_per_call = 6_000);
}

#[test]
fn small_receive_buffers_of_many_calls_delay_nothing() {
    all_through(16, |limits| limits.receive_per_call = 6_000);
}
