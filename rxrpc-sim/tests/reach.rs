//! What is counted as reached, and that misuse on purpose is told and does no harm.

use rxrpc_sim::scenario::{Action, ActionKind, ElementKind, IcmpKind, LossModel};
use rxrpc_sim::{Harness, Kind, Report, Scenario, Sim};

const MS: u64 = 1_000;

fn harnesses() -> Vec<Harness> {
    vec![
        Sim::new,
        #[cfg(feature = "full")]
        rxrpc_sim::full::sim,
    ]
}

fn run(s: &Scenario, harness: Harness) -> Report {
    let report = harness(s.clone()).run();
    assert!(report.is_good(), "seed {}: {:#?}", report.seed, report.violations);
    report
}

fn count(report: &Report, kind: Kind, name: &str) -> u64 {
    report.coverage.count(kind, name).expect("a name that is known")
}

fn lossy(seed: u64) -> Scenario {
    let mut s = Scenario::new(seed, 2);
    let loss = || [ElementKind::Loss(LossModel::Bernoulli { p: 0.05 })];
    s.link(0, 1, loss()).link(1, 0, loss());
    for i in 0..20 {
        let call = s.call(0, 1, 20 + i * 900, 30 + i * 700);
        (call.at, call.announced) = (i * 1000, i % 2 == 0);
    }
    s.nodes[0].endpoint.send_per_call = 4_000;
    s.nodes[1].services[0].accept_after = MS;
    s
}

#[test]
fn misuse_is_told_and_harms_no_call() {
    for harness in harnesses() {
        for seed in 0..10 {
            let mut s = lossy(seed);
            s.nodes.iter_mut().for_each(|node| node.misuse = 1.0);
            let report = run(&s, harness);
            assert_eq!((report.calls, report.succeeded), (20, 20));
            for error in [
                "begin-invalid-target",
                "write-finished",
                "write-short",
                "write-too-long",
                "write-complete",
                "listen-zero-service",
                "listen-in-use",
                "version-network",
            ] {
                assert!(count(&report, Kind::Error, error) > 0, "{error}");
            }
        }
    }
    let mut s = lossy(1);
    s.nodes.iter_mut().for_each(|node| node.misuse = 1.0);
    let report = run(&s, Sim::new);
    for error in [
        "write-request-unfinished",
        "write-not-accepted",
        "read-not-accepted",
        "read-short",
        "read-excess",
        "accept-nothing-waiting",
    ] {
        assert!(count(&report, Kind::Error, error) > 0, "{error}");
    }
}

#[test]
fn misuse_that_is_off_counts_nothing() {
    for harness in harnesses() {
        let report = run(&lossy(1), harness);
        for error in ["begin-invalid-target", "write-finished", "write-short", "listen-in-use"] {
            assert_eq!(count(&report, Kind::Error, error), 0, "{error}");
        }
    }
}

#[test]
fn a_call_is_counted_once_at_each_stage_it_goes_through() {
    for harness in harnesses() {
        let mut s = Scenario::new(1, 2);
        s.call(0, 1, 100, 100).parallel = 3;
        let report = run(&s, harness);
        for stage in ["queued", "send-request", "await-reply", "recv-reply"] {
            assert_eq!(count(&report, Kind::Stage, stage), 3, "{stage}");
        }
        for stage in ["recv-request", "working", "send-reply", "await-ack"] {
            assert_eq!(count(&report, Kind::Stage, stage), 3, "{stage}");
        }
        assert_eq!(count(&report, Kind::Stage, "ended"), 6);
        assert_eq!(count(&report, Kind::GivenUp, "ended"), 0);
    }
}

/// A large call where one limit is small: that one is counted, and none of its kind.
#[test]
fn the_limit_that_is_in_the_way_is_counted_and_no_other() {
    let limits = [
        "receive-per-call",
        "receive-per-peer",
        "receive-total",
        "send-per-call",
        "send-total",
        "whole-window",
    ];
    for harness in harnesses() {
        for (i, limit) in limits.into_iter().enumerate() {
            let mut s = Scenario::new(1, 2);
            let call = s.call(0, 1, 300_000, 10);
            (call.request.read, call.request.read_pause) = (20_000, 10 * MS);
            let [client, server] = [0, 1].map(|n| s.nodes[n].endpoint.clone());
            let (mut client, mut server) = (client, server);
            match i {
                0 => server.receive_per_call = 10_000,
                1 => server.receive_per_peer = 10_000,
                2 => server.receive_total = 10_000,
                3 => client.send_per_call = 10_000,
                4 => client.send_total = 10_000,
                _ => server.window = 4,
            }
            (s.nodes[0].endpoint, s.nodes[1].endpoint) = (client, server);
            let report = run(&s, harness);
            for other in limits {
                let n = count(&report, Kind::Limit, other);
                assert_eq!(n > 0, other == limit, "{n} times {other}, where {limit} is small");
            }
        }
    }
}

#[test]
fn what_an_endpoint_is_told_of_the_network_is_counted_by_what_it_says() {
    let kinds = [
        (IcmpKind::Network, "network-unreachable"),
        (IcmpKind::Host, "host-unreachable"),
        (IcmpKind::Port, "port-unreachable"),
        (IcmpKind::Prohibited, "prohibited"),
        (IcmpKind::TooLarge(576), "message-too-long"),
        (IcmpKind::Other(71), "other"),
    ];
    for harness in harnesses() {
        for (kind, name) in kinds {
            let mut s = Scenario::new(1, 2);
            s.call(0, 1, 100, 100).work = 100 * MS;
            let forge = ActionKind::ForgeIcmp { about: 1, kind };
            s.actions.push(Action { id: 0, at: 50 * MS, node: 0, kind: forge });
            let report = run(&s, harness);
            for (_, other) in kinds {
                assert_eq!(count(&report, Kind::Network, other), u64::from(other == name), "{other}");
            }
        }
    }
}
