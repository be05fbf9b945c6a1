//! Runs of drivers and tasks: what they show, and that they repeat.

use std::cell::Cell;
use std::future::pending;
use std::rc::Rc;
use std::time::Duration;

use rxrpc_driver::{CallError, CallOptions, Endpoint, Target, UnaryError};
use rxrpc_sim::campaign::{Shard, campaign};
use rxrpc_sim::full::{self, Cluster, Stuck};
use rxrpc_sim::scenario::{Action, ActionKind, ElementKind, LossModel, TaskSpec, Transfer};
use rxrpc_sim::{Harness, Kind, Oracle, Scenario, Sim, check, swarm};

const SERVICE: u16 = 52;

fn lossy(seed: u64) -> Scenario {
    let mut s = Scenario::new(seed, 2);
    let loss = || [ElementKind::Loss(LossModel::Bernoulli { p: 0.1 })];
    s.link(0, 1, loss()).link(1, 0, loss());
    for i in 0..20 {
        s.call(0, 1, 20 + i * 1000, 30 + i * 700).at = i * 1000;
    }
    s
}

/// The same, with everything that tasks can do wrong and still be right.
fn restless(seed: u64) -> Scenario {
    let mut s = lossy(seed);
    for node in &mut s.nodes {
        node.tasks = TaskSpec { shuffled: true, moving: true, mixed: true, cancelled: 0.5, spurious: 0.3 };
        node.socket.blocked = 0.2;
        node.socket.gso_refused = 0.1;
    }
    for call in s.calls.iter_mut().step_by(3) {
        call.request = Transfer { write: 700, write_pause: 3_000, flush: true, ..call.request.clone() };
        call.reply = Transfer { read: 900, read_pause: 2_000, ..call.reply.clone() };
    }
    s
}

#[test]
fn calls_survive_loss_and_whatever_tasks_do() {
    for seed in 0..50 {
        for scenario in [lossy(seed), restless(seed)] {
            let report = full::sim(scenario).run();
            assert!(report.is_good(), "seed {seed}: {:#?}", report.violations);
            assert_eq!((report.calls, report.succeeded), (20, 20));
        }
    }
}

#[test]
fn seeds_repeat_to_the_last_bit() {
    for seed in 0..200 {
        assert_eq!(check(&swarm::scenario(seed), full::sim).err(), None);
    }
}

/// How often waits were cancelled of calls of node 0 to these nodes, one of which has the same id as ever.
fn cancelled(servers: &[u16]) -> u64 {
    let mut s = Scenario::new(1, 4);
    for node in &mut s.nodes {
        node.tasks = TaskSpec { mixed: true, cancelled: 0.3, ..TaskSpec::default() };
    }
    for server in servers {
        let call = s.call(0, *server, 5_000, 5_000);
        (call.id, call.repeat, call.work) = (u32::from(*server), 100, 1_000);
    }
    let report = full::sim(s).run();
    assert!(report.is_good(), "{:#?}", report.violations);
    report.coverage.count(Kind::Fault, "cancelled-future").unwrap()
}

#[test]
fn calls_draw_from_streams_of_their_own() {
    let none = cancelled(&[]);
    let alone = [1, 2, 3].map(|server| cancelled(&[server]) - none);
    assert!(alone.iter().all(|n| *n > 50), "{alone:?}");
    assert_eq!(cancelled(&[1, 2, 3]) - none, alone.iter().sum());
    assert_eq!(cancelled(&[3, 1]) - none, alone[0] + alone[2]);
}

#[test]
fn each_harness_answers_for_what_it_can_reach() {
    let reached = |harness: Harness| {
        let results = campaign(0..5, Shard::WHOLE, harness, swarm::scenario, |_, _| true);
        results.coverage.table().into_iter().map(|(kind, name, _)| (kind, name)).collect::<Vec<_>>()
    };
    let (bare, tasks) = (reached(Sim::new), reached(full::sim));
    assert!(bare.iter().any(|row| row.0 == Kind::Wake) && !tasks.iter().any(|row| row.0 == Kind::Wake));
    for name in ["cancelled-future", "spurious-ready"] {
        assert!(!bare.contains(&(Kind::Fault, name)) && tasks.contains(&(Kind::Fault, name)));
    }
}

async fn echo(endpoint: Endpoint) {
    let mut listener = endpoint.listen(SERVICE, Default::default()).unwrap();
    while let Some(incoming) = listener.accept().await {
        let Ok(mut call) = incoming.accept() else { continue };
        if let Ok(request) = call.read_to_end(1 << 20).await
            && call.write_bytes(request).await.is_ok()
        {
            let _ = call.finish();
        }
    }
}

fn cluster(scenario: Scenario) -> (Cluster, Target) {
    let mut cluster = Cluster::new(scenario);
    cluster.host(1, |node| echo(node.endpoint()));
    let target = Target::new(cluster.node(1).addr(), SERVICE);
    (cluster, target)
}

#[test]
fn code_of_ones_own_runs_and_the_oracles_watch_it() {
    let scenario = Scenario { calls: Vec::new(), ..lossy(3) };
    let (mut cluster, target) = cluster(scenario);
    let took = cluster.run(0, |node| async move {
        let began = node.now();
        let calls: Vec<_> = (0..50)
            .map(|i| {
                let endpoint = node.endpoint();
                node.spawn(async move { endpoint.call_unary(target, vec![i; 3000], 3000).await })
            })
            .collect();
        for (i, call) in calls.into_iter().enumerate() {
            assert_eq!(call.await.unwrap().unwrap(), vec![i as u8; 3000]);
        }
        node.now() - began
    });
    assert!(took.unwrap() > Duration::from_millis(10));
    let report = cluster.finish();
    assert!(report.is_good(), "{:#?}", report.violations);
    assert!(report.datagrams > 100);
}

#[test]
fn time_passes_as_the_code_waits() {
    let (mut cluster, target) = cluster(Scenario::new(1, 2));
    let start = cluster.now();
    cluster.run_for(Duration::from_secs(7)).unwrap();
    assert_eq!(cluster.now() - start, Duration::from_secs(7));
    let late = cluster.run(0, |node| async move {
        let call = node.endpoint().call(target, CallOptions::default()).unwrap();
        let began = node.now();
        let late = node.timeout(Duration::from_secs(2), pending::<()>()).await;
        drop(call);
        (late, node.now() - began)
    });
    assert_eq!(late, Ok((None, Duration::from_secs(2))));
    cluster.run_until_idle().unwrap();
    assert!(cluster.finish().is_good());
}

#[test]
fn code_that_does_not_end_says_why() {
    let (mut cluster, _) = cluster(Scenario::new(1, 2));
    assert!(matches!(cluster.run(0, |_| pending::<()>()), Err(Stuck::Idle(_))));
    cluster.set_limit(Duration::from_secs(5));
    let slow = cluster.run(0, |node| async move { node.sleep(Duration::from_secs(6)).await });
    assert!(matches!(slow, Err(Stuck::Late(_))));
}

#[test]
fn a_crash_ends_the_code_of_the_node_and_starts_its_programs_again() {
    let mut scenario = Scenario::new(1, 2);
    let crash = |node| Action {
        id: u32::from(node),
        at: 1_000_000,
        node,
        kind: ActionKind::Crash { lasts: 1_000_000 },
    };
    scenario.actions = vec![crash(0), crash(1)];
    let (mut cluster, target) = cluster(scenario);
    let starts = Rc::new(Cell::new(0));
    let counted = Rc::clone(&starts);
    cluster.host(0, move |_| {
        counted.set(counted.get() + 1);
        async {}
    });
    let ask = move |node: full::Node| async move { node.endpoint().call_unary(target, "a", 9).await };
    assert!(cluster.run(0, ask).unwrap().is_ok());
    let lost = cluster.run(0, |node| async move { node.sleep(Duration::from_secs(9)).await });
    assert!(matches!(lost, Err(Stuck::Crashed(_))));
    let gone = cluster.node(0).endpoint();
    assert!(gone.is_closed());
    cluster.run_for(Duration::from_secs(3)).unwrap();
    assert_eq!(starts.get(), 2);
    assert!(cluster.run(0, ask).unwrap().is_ok());
    assert!(cluster.finish().is_good());
}

#[test]
fn a_call_that_is_kept_is_left_over() {
    let (mut cluster, target) = cluster(Scenario::new(1, 2));
    let call = cluster.run(0, |node| async move {
        let mut call = node.endpoint().call(target, CallOptions::default()).unwrap();
        call.write_all(b"request").await.unwrap();
        call.finish().unwrap();
        call.read_to_end(9).await.unwrap();
        call
    });
    let report = cluster.finish();
    assert!(report.violations.iter().any(|v| v.oracle == Oracle::Leftover), "{:?}", report.violations);
    drop(call);
}

#[test]
fn a_closed_endpoint_is_told_of_to_its_code() {
    let mut scenario = Scenario::new(1, 2);
    let close = ActionKind::Close { lasts: 1_000_000 };
    scenario.actions = vec![Action { id: 0, at: 50_000, node: 0, kind: close }];
    let (mut cluster, target) = cluster(scenario);
    let outcome = cluster.run(0, |node| async move {
        let mut call = node.endpoint().call(target, CallOptions::default()).unwrap();
        call.write_all(b"half a request").await.unwrap();
        let outcome = call.outcome().await;
        let refused = node.endpoint().call_unary(target, "", 0).await;
        (outcome, refused)
    });
    let (outcome, refused) = outcome.unwrap();
    assert_eq!(outcome, Err(CallError::EndpointClosed));
    assert!(matches!(refused, Err(UnaryError::Begin(_))));
}
