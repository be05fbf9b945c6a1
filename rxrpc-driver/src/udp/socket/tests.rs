use std::time::{Duration, Instant};

use rxrpc_proto::NetworkError;

use super::*;

const ECT0: u8 = 0b10;

fn socket(addr: &str) -> UdpSocket {
    UdpSocket::bind(addr.parse().unwrap(), &SocketOptions::default()).unwrap()
}

fn dual_stack() -> UdpSocket {
    let options = SocketOptions { dual_stack: true, ..SocketOptions::default() };
    UdpSocket::bind("[::]:0".parse().unwrap(), &options).unwrap()
}

fn datagrams(peer: SocketAddr, segment: usize, len: usize) -> Transmit {
    Transmit { peer, local_ip: None, ecn: 0, may_fragment: false, segment, len }
}

/// Tries until `attempt` gives something. Loopback is quick, but not instant.
fn soon<T>(mut attempt: impl FnMut() -> Option<T>) -> T {
    let begin = Instant::now();
    loop {
        if let Some(value) = attempt() {
            return value;
        }
        assert!(begin.elapsed() < Duration::from_secs(10), "nothing happened");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// The next messages: path, bytes and stride of each.
fn receive(socket: &mut UdpSocket) -> Vec<(Path, Vec<u8>, usize)> {
    let mut batch = RecvBatch::new();
    soon(|| match socket.recv(&mut batch) {
        Ok(_) => Some(()),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => None,
        Err(error) => panic!("{error}"),
    });
    batch.messages().map(|(path, segments)| (*path, segments.bytes.to_vec(), segments.stride)).collect()
}

/// Port numbers at which nothing listens.
fn closed(host: &str) -> SocketAddr {
    socket(host).local_addr()
}

#[test]
fn mapped_addresses_are_ipv4_to_users_and_ipv6_to_the_socket() {
    let v4 = SocketAddr::from(([192, 0, 2, 1], 7_000));
    let mapped = "[::ffff:192.0.2.1]:7000".parse().unwrap();
    assert_eq!((map(v4), unmap(mapped)), (mapped, v4));
    let v6: SocketAddr = "[2001:db8::1]:7000".parse().unwrap();
    assert_eq!((map(v6), unmap(v6)), (v6, v6));
}

#[test]
fn a_datagram_arrives_with_both_addresses() {
    for host in ["127.0.0.1:0", "[::1]:0"] {
        let (mut a, mut b) = (socket(host), socket(host));
        a.send(&datagrams(b.local_addr(), 5, 5), b"hello").unwrap();
        let path = Path { peer: a.local_addr(), local_ip: Some(b.local_addr().ip()), ecn: 0 };
        assert_eq!(receive(&mut b), [(path, b"hello".to_vec(), 5)]);
    }
}

#[test]
fn a_dual_stack_socket_shows_ipv4_peers_as_ipv4() {
    let (mut both, mut v4) = (dual_stack(), socket("127.0.0.1:0"));
    let port = both.local_addr().port();
    v4.send(&datagrams(SocketAddr::from(([127, 0, 0, 1], port)), 3, 3), b"one").unwrap();
    let path = Path { peer: v4.local_addr(), local_ip: Some(v4.local_addr().ip()), ecn: 0 };
    assert_eq!(receive(&mut both), [(path, b"one".to_vec(), 3)]);
    // The answer leaves from the address that was asked.
    let answer = Transmit { local_ip: path.local_ip, ecn: ECT0, ..datagrams(path.peer, 3, 3) };
    both.send(&answer, b"two").unwrap();
    let from = SocketAddr::from(([127, 0, 0, 1], port));
    let path = Path { peer: from, local_ip: Some(from.ip()), ecn: ECT0 };
    assert_eq!(receive(&mut v4), [(path, b"two".to_vec(), 3)]);
}

/// The socket's room for control messages must hold those of a coalesced batch, ECN included.
#[test]
fn a_batch_keeps_its_ecn_marks_when_it_arrives_coalesced() {
    for host in ["127.0.0.1:0", "[::1]:0"] {
        let (mut a, mut b) = (socket(host), socket(host));
        if a.max_segments() == 1 {
            continue;
        }
        let bytes: Vec<u8> = (0..4_500).map(|i| (i / 1_000) as u8).collect();
        let transmit = Transmit { ecn: ECT0, ..datagrams(b.local_addr(), 1_000, 4_500) };
        a.send(&transmit, &bytes).unwrap();
        let path = Path { peer: a.local_addr(), local_ip: Some(b.local_addr().ip()), ecn: ECT0 };
        let received = receive(&mut b);
        let shape: Vec<_> = received.iter().map(|(path, _, stride)| (*path, *stride)).collect();
        assert_eq!(shape, [(path, 1_000)]);
        assert!(received[0].1 == bytes);
    }
}

#[test]
fn the_largest_batch_arrives_whole() {
    let (mut a, mut b) = (socket("127.0.0.1:0"), socket("127.0.0.1:0"));
    if a.max_segments() == 1 {
        return;
    }
    let bytes = vec![7; 1_014 * 64];
    a.send(&datagrams(b.local_addr(), 1_014, bytes.len()), &bytes).unwrap();
    let received: usize = receive(&mut b).iter().map(|(_, bytes, _)| bytes.len()).sum();
    assert_eq!(received, bytes.len());
}

#[test]
fn several_datagrams_are_received_at_once() {
    let (mut a, mut b) = (socket("127.0.0.1:0"), socket("127.0.0.1:0"));
    for byte in 0..10 {
        a.send(&datagrams(b.local_addr(), 1, 1), &[byte]).unwrap();
    }
    let bytes = |messages: Vec<(Path, Vec<u8>, usize)>| -> Vec<u8> {
        messages.into_iter().flat_map(|(_, bytes, _)| bytes).collect()
    };
    assert_eq!(bytes(receive(&mut b)), [0, 1, 2, 3, 4, 5, 6, 7]);
    assert_eq!(bytes(receive(&mut b)), [8, 9]);
}

#[test]
fn a_closed_port_shows_in_the_error_queue_with_the_address_that_was_called() {
    for host in ["127.0.0.1:0", "[::1]:0"] {
        let mut socket = socket(host);
        let peer = closed(host);
        socket.send(&datagrams(peer, 1, 1), b"x").unwrap();
        let report = soon(|| socket.next_error(true));
        assert_eq!(report, NetworkReport { peer, error: NetworkError::PortUnreachable });
        assert_eq!(socket.next_error(true), None);
    }
}

#[test]
fn a_dual_stack_socket_names_the_ipv4_peer_of_an_error() {
    let mut socket = dual_stack();
    let peer = closed("127.0.0.1:0");
    socket.send(&datagrams(peer, 1, 1), b"x").unwrap();
    let report = soon(|| socket.next_error(true));
    assert_eq!(report, NetworkReport { peer, error: NetworkError::PortUnreachable });
}

#[test]
fn the_error_of_one_peer_costs_another_no_datagram() {
    let (mut a, mut b) = (socket("127.0.0.1:0"), socket("127.0.0.1:0"));
    let peer = closed("127.0.0.1:0");
    a.send(&datagrams(peer, 1, 1), b"x").unwrap();
    // Loopback delivers within the system call, so the error is there now; if it were not, nothing would
    // be shown, but nothing would fail either.
    a.send(&datagrams(b.local_addr(), 4, 4), b"kept").unwrap();
    assert_eq!(receive(&mut b)[0].1, b"kept");
    let report = soon(|| a.next_error(true));
    assert_eq!(report, NetworkReport { peer, error: NetworkError::PortUnreachable });
}

#[test]
fn the_error_of_a_peer_does_not_hide_what_has_arrived() {
    let (mut a, mut b) = (socket("127.0.0.1:0"), socket("127.0.0.1:0"));
    let peer = closed("127.0.0.1:0");
    b.send(&datagrams(a.local_addr(), 4, 4), b"here").unwrap();
    a.send(&datagrams(peer, 1, 1), b"x").unwrap();
    assert_eq!(receive(&mut a)[0].1, b"here");
    let report = soon(|| a.next_error(true));
    assert_eq!(report, NetworkReport { peer, error: NetworkError::PortUnreachable });
}

/// Loopback takes 65 536 bytes whole; what is larger than that no socket sends. So this shows that the
/// flag can be switched back and forth, not what a router does with it.
#[cfg(any(target_os = "linux", target_os = "android"))]
#[test]
fn the_dont_fragment_flag_follows_each_send() {
    use rustix::net::sockopt::{Ipv4PathMtuDiscovery, ip_mtu_discover};
    let (mut a, mut b) = (socket("127.0.0.1:0"), socket("127.0.0.1:0"));
    assert_eq!(ip_mtu_discover(&a.socket).unwrap(), Ipv4PathMtuDiscovery::PROBE);
    for (may_fragment, mode) in [(true, Ipv4PathMtuDiscovery::DONT), (false, Ipv4PathMtuDiscovery::PROBE)] {
        a.send(&Transmit { may_fragment, ..datagrams(b.local_addr(), 1, 1) }, b"x").unwrap();
        assert_eq!(ip_mtu_discover(&a.socket).unwrap(), mode);
        assert_eq!(receive(&mut b).len(), 1);
    }
    let (mut a, b) = (socket("[::1]:0"), socket("[::1]:0"));
    for may_fragment in [true, false, true] {
        a.send(&Transmit { may_fragment, ..datagrams(b.local_addr(), 1, 1) }, b"x").unwrap();
    }
}

#[test]
fn sockets_share_a_port_when_both_ask_for_it() {
    let options = SocketOptions { reuse_port: true, ..SocketOptions::default() };
    let first = UdpSocket::bind("127.0.0.1:0".parse().unwrap(), &options).unwrap();
    assert!(UdpSocket::bind(first.local_addr(), &options).is_ok());
    assert!(UdpSocket::bind(first.local_addr(), &SocketOptions::default()).is_err());
}

#[test]
fn the_granted_receive_buffer_is_what_the_system_says() {
    let socket = socket("127.0.0.1:0");
    let granted = socket2::SockRef::from(socket.as_std()).recv_buffer_size().unwrap();
    assert!(granted > 0);
    assert_eq!(socket.receive_buffer(), granted);
}
