use super::*;

#[test]
fn mapped_addresses_are_ipv4_to_users_and_ipv6_to_the_socket() {
    let v4 = SocketAddr::from(([192, 0, 2, 1], 7_000));
    let mapped = "[::ffff:192.0.2.1]:7000".parse().unwrap();
    assert_eq!((map(v4), unmap(mapped)), (mapped, v4));
    let v6: SocketAddr = "[2001:db8::1]:7000".parse().unwrap();
    assert_eq!((map(v6), unmap(v6)), (v6, v6));
}
