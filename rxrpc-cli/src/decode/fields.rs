//! What the bodies of CHALLENGE, RESPONSE, VERSION and DEBUG packets say, as names and values.
//!
//! One list serves the lines and the JSON, so that neither knows more than the other.

use rxrpc_proto::wire::{
    CallMode, CallState, DebugConnection, DebugPeer, DebugReply, DebugRequest, DebugStats, OwnedBody,
    OwnedChallenge, OwnedDebug, OwnedResponse, OwnedVersion, RxStats, Timeval, Version,
};
use serde_json::{Map, Value};

/// What a body is, and what is in it.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Fields {
    /// What it is.
    pub(super) label: &'static str,
    /// What is in it, in the order of the wire.
    pub(super) values: Vec<(&'static str, Value)>,
}

/// Names and values of the fields of a structure, under the names they have there.
macro_rules! fields {
    ($structure:expr; $($name:ident),+ $(,)?) => {
        vec![$( (stringify!($name), Value::from($structure.$name)) ),+]
    };
}

/// Octets of an unknown layout that are shown.
const SHOWN: usize = 32;

impl Fields {
    /// The fields of a body; `None` if it is of a type without any.
    pub(super) fn of(body: &OwnedBody) -> Option<Fields> {
        match body {
            OwnedBody::Challenge(challenge) => Some(of_challenge(challenge)),
            OwnedBody::Response(response) => Some(of_response(response)),
            OwnedBody::Version(version) => Some(of_version(version)),
            OwnedBody::Debug(OwnedDebug::Request(request, _)) => Some(of_request(request)),
            OwnedBody::Debug(OwnedDebug::Reply(reply)) => Some(of_reply(reply)),
            OwnedBody::Debug(OwnedDebug::Other(octets)) => Some(unknown(octets)),
            _ => None,
        }
    }

    fn new(label: &'static str, values: Vec<(&'static str, Value)>) -> Fields {
        Fields { label, values }
    }

    /// The fields in one line. Those that are zero or empty are left out: a DEBUG answer has up to 71.
    pub(super) fn line(&self) -> String {
        let mut line = self.label.to_owned();
        for (name, value) in self.values.iter().filter(|(_, value)| says_something(value)) {
            line.push_str(&format!(" {name} {}", shown(value)));
        }
        line
    }

    /// All fields as an object.
    pub(super) fn object(&self) -> Value {
        let mut object = Map::new();
        object.insert("what".into(), self.label.into());
        object.extend(self.values.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
        Value::Object(object)
    }
}

/// A value in a line: quoted only if it would run into its neighbours otherwise.
fn shown(value: &Value) -> String {
    match value {
        Value::String(text) if text.bytes().all(|octet| octet.is_ascii_graphic()) => text.clone(),
        Value::Array(values) => format!("[{}]", values.iter().map(shown).collect::<Vec<_>>().join(",")),
        other => other.to_string(),
    }
}

fn says_something(value: &Value) -> bool {
    match value {
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::Array(values) => values.iter().any(says_something),
        Value::String(text) => !text.is_empty(),
        other => !other.is_null(),
    }
}

fn of_challenge(challenge: &OwnedChallenge) -> Fields {
    match challenge {
        OwnedChallenge::Rxkad(challenge, _) => {
            let mut values = fields!(challenge; version, nonce);
            // Kept when zero: it says that anything will do.
            values.push(("min_level", level(challenge.min_level).into()));
            Fields::new("rxkad", values)
        }
        OwnedChallenge::Rxgk(challenge, _) => Fields::new("rxgk", vec![("nonce", hex(&challenge.nonce))]),
        OwnedChallenge::Other(octets) => unknown(octets),
    }
}

/// The levels of rxkad.
fn level(number: u32) -> String {
    match number {
        0 => "clear".into(),
        1 => "auth".into(),
        2 => "crypt".into(),
        other => other.to_string(),
    }
}

fn of_response(response: &OwnedResponse) -> Fields {
    match response {
        OwnedResponse::Rxkad { start: [version, _], sealed, kvno, ticket, .. } => {
            let values = vec![
                ("version", (*version).into()),
                ("sealed_octets", sealed.len().into()),
                ("kvno", (*kvno).into()),
                ("ticket_octets", ticket.len().into()),
            ];
            Fields::new("rxkad", values)
        }
        OwnedResponse::Rxgk { start_time, token, authenticator, .. } => {
            let values = vec![
                ("start_time", (*start_time).into()),
                ("token_octets", token.len().into()),
                ("authenticator_octets", authenticator.len().into()),
            ];
            Fields::new("rxgk", values)
        }
        OwnedResponse::Other(octets) => unknown(octets),
    }
}

fn of_version(version: &OwnedVersion) -> Fields {
    match version {
        OwnedVersion::Request(_) => Fields::new("request", Vec::new()),
        OwnedVersion::Keepalive => Fields::new("keepalive", Vec::new()),
        OwnedVersion::Reply(body) => {
            let text = Version::Reply(body).text().unwrap_or_default().escape_ascii().to_string();
            Fields::new("reply", vec![("text", text.into())])
        }
    }
}

fn of_request(request: &DebugRequest) -> Fields {
    let values = vec![("kind", request.kind.to_i32().into()), ("index", request.index.into())];
    Fields::new(request.kind.name(), values)
}

fn of_reply(reply: &DebugReply) -> Fields {
    match reply {
        DebugReply::Stats(stats) => Fields::new("stats", of_stats(stats)),
        DebugReply::Connection(connection) if connection.is_end() => {
            Fields::new("no more connections", Vec::new())
        }
        DebugReply::Connection(connection) => Fields::new("connection", of_connection(connection)),
        DebugReply::RxStats(stats) => Fields::new("rxstats", of_rxstats(stats)),
        DebugReply::Peer(peer) if peer.is_end() => Fields::new("no more peers", Vec::new()),
        DebugReply::Peer(peer) => Fields::new("peer", of_peer(peer)),
        DebugReply::BadKind => Fields::new("unknown kind", Vec::new()),
    }
}

fn of_stats(stats: &DebugStats) -> Vec<(&'static str, Value)> {
    let mut values = vec![("version", char::from(stats.version).escape_default().to_string().into())];
    values.extend(fields!(stats;
        free_packets, packets, packet_reclaims, calls_executed, waiting_for_packets, used_descriptors,
        waiting_calls, idle_threads, waited_calls,
    ));
    values
}

fn of_connection(connection: &DebugConnection) -> Vec<(&'static str, Value)> {
    let security = &connection.security;
    let mut values = vec![
        ("host", connection.host.to_string().into()),
        ("port", connection.port.into()),
        ("epoch", format!("{:08x}", connection.epoch).into()),
        ("cid", format!("{:08x}", connection.cid).into()),
        ("role", if connection.role == 0 { "client" } else { "server" }.into()),
    ];
    values.extend(fields!(connection; serial, error, flags, security_index, nat_mtu));
    values.push(("call_numbers", connection.call_numbers.to_vec().into()));
    values.push(("call_states", connection.call_states.map(state).to_vec().into()));
    values.push(("call_modes", connection.call_modes.map(mode).to_vec().into()));
    values.push(("call_flags", connection.call_flags.to_vec().into()));
    values.push(("call_queues", connection.call_queues.to_vec().into()));
    values.extend([
        ("security_class", security.class.into()),
        ("security_level", security.level.into()),
        ("security_flags", security.flags.into()),
        ("security_expires", security.expires.into()),
        ("security_packets_received", security.packets_received.into()),
        ("security_packets_sent", security.packets_sent.into()),
        ("security_bytes_received", security.bytes_received.into()),
        ("security_bytes_sent", security.bytes_sent.into()),
    ]);
    values
}

fn state(number: u8) -> Value {
    match CallState::from(number) {
        CallState::NotInitialised => "".into(),
        CallState::Precall => "precall".into(),
        CallState::Active => "active".into(),
        CallState::Dally => "dally".into(),
        CallState::Hold => "hold".into(),
        CallState::Reset => "reset".into(),
        CallState::Other(other) => other.to_string().into(),
    }
}

fn mode(number: u8) -> Value {
    match CallMode::from(number) {
        CallMode::Sending => "sending".into(),
        CallMode::Receiving => "receiving".into(),
        CallMode::Error => "error".into(),
        CallMode::Eof => "eof".into(),
        CallMode::Other(0) => "".into(),
        CallMode::Other(other) => other.to_string().into(),
    }
}

fn of_rxstats(stats: &RxStats) -> Vec<(&'static str, Value)> {
    let mut values = fields!(stats;
        packet_requests, receive_alloc_failures, send_alloc_failures, special_alloc_failures, socket_greedy,
        bogus_packets, bogus_host, empty_reads, reads_without_buffer, selects, send_selects,
    );
    values.push(("received", stats.received.to_vec().into()));
    values.extend(fields!(stats; data_received, acks_received, duplicates_received, spurious_received));
    values.push(("sent", stats.sent.to_vec().into()));
    values.extend(fields!(stats;
        acks_sent, pings_sent, aborts_sent, busies_sent, data_sent, data_resent, data_pushed, ignored_acked,
    ));
    let times =
        [("total_rtt_us", stats.total_rtt), ("min_rtt_us", stats.min_rtt), ("max_rtt_us", stats.max_rtt)];
    values.extend(times.map(|(name, time)| (name, microseconds(time))));
    values.extend(fields!(stats;
        rtt_samples, server_connections, client_connections, peers, calls, free_calls, send_failures,
        fatal_errors, ignored_lingering, receive_buffer_failures, send_buffer_failures, busies,
    ));
    values
}

fn of_peer(peer: &DebugPeer) -> Vec<(&'static str, Value)> {
    let mut values = vec![("host", peer.host.to_string().into())];
    values.extend(fields!(peer; port, if_mtu, nat_mtu, max_mtu, mtu, idle_when, references));
    values.push(("rtt_us", (i64::from(peer.rtt) * 125).into()));
    values.push(("rtt_deviation_us", (i64::from(peer.rtt_deviation) * 250).into()));
    values.push(("timeout_us", microseconds(peer.timeout)));
    values.extend(fields!(peer;
        sent, resent, in_skew, out_skew, max_segments, if_segments, segments, cwnd, congestion_seq,
        bytes_sent, bytes_received,
    ));
    values
}

fn microseconds(time: Timeval) -> Value {
    (i64::from(time.seconds) * 1_000_000 + i64::from(time.microseconds)).into()
}

fn unknown(octets: &[u8]) -> Fields {
    let shown = hex(octets.get(..SHOWN).unwrap_or(octets));
    Fields::new("unknown layout", vec![("octets", octets.len().into()), ("begin", shown)])
}

fn hex(octets: &[u8]) -> Value {
    octets.iter().map(|octet| format!("{octet:02x}")).collect::<String>().into()
}

#[cfg(test)]
mod tests {
    use rxrpc_proto::wire::{DebugKind, RxkadChallenge};

    use super::*;

    #[test]
    fn the_line_leaves_out_zeros_and_the_object_does_not() {
        let (mut stats, _) = DebugStats::parse(&[0; 56]).unwrap();
        (stats.version, stats.idle_threads) = (b'S', 4);
        let fields = of_reply(&DebugReply::Stats(stats));
        assert_eq!(fields.line(), "stats version S idle_threads 4");
        assert_eq!(fields.object()["free_packets"], 0);
        assert_eq!(fields.object()["what"], "stats");
    }

    #[test]
    fn bodies_are_told_in_a_line() {
        let challenge = RxkadChallenge { version: 2, nonce: 77, min_level: 0, spare: 0 };
        let request = DebugRequest { kind: DebugKind::Peer, index: 3 };
        let version = OwnedVersion::Reply(b"it is \x1b me\0\0\0".to_vec());
        for (body, line) in [
            (
                OwnedBody::Challenge(OwnedChallenge::Rxkad(challenge, vec![])),
                "rxkad version 2 nonce 77 min_level clear",
            ),
            (OwnedBody::Debug(OwnedDebug::Request(request, vec![])), "GETPEER kind 5 index 3"),
            (OwnedBody::Version(OwnedVersion::Keepalive), "keepalive"),
            (OwnedBody::Version(version), r#"reply text "it is \\x1b me""#),
            (
                OwnedBody::Challenge(OwnedChallenge::Other(vec![0xab; 40])),
                &format!("unknown layout octets 40 begin {}", "ab".repeat(32)),
            ),
        ] {
            assert_eq!(Fields::of(&body).unwrap().line(), line);
        }
        assert_eq!(Fields::of(&OwnedBody::Busy(vec![])), None);
    }

    #[test]
    fn the_end_of_a_list_says_so() {
        let (peer, _) = DebugPeer::parse(&[0xff; 132]).unwrap();
        assert_eq!(of_reply(&DebugReply::Peer(Box::new(peer))).line(), "no more peers");
        let (connection, _) = DebugConnection::parse(&[0xff; 176]).unwrap();
        assert_eq!(of_reply(&DebugReply::Connection(Box::new(connection))).line(), "no more connections");
    }
}
