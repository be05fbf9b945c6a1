//! Addresses as people write them: `host`, `host:port`, `[v6]`, `[v6]:port`.

use std::fmt::Display;
use std::net::SocketAddr;
use std::time::Duration;

use crate::failure::Failure;

/// A host by name or number, and a port.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Address {
    host: String,
    port: u16,
}

impl Address {
    /// Read an address; `default_port` counts where it names none.
    ///
    /// More than one colon without brackets is a bare IPv6 address, which cannot have a port.
    pub(crate) fn parse(text: &str, default_port: u16) -> Result<Self, Failure> {
        let bad = |why: &str| Failure::Usage(format!("'{text}' is no address: {why}"));
        let (host, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (host, after) = rest.split_once(']').ok_or_else(|| bad("the bracket is not closed"))?;
                (host, if after.is_empty() { None } else { Some(after) })
            }
            None if text.matches(':').count() > 1 => (text, None),
            None => match text.find(':') {
                Some(at) => text.split_at_checked(at).map_or((text, None), |(host, port)| (host, Some(port))),
                None => (text, None),
            },
        };
        let port = match port.map(|p| p.strip_prefix(':')) {
            None => default_port,
            Some(digits) => digits
                .and_then(|d| d.parse().ok())
                .filter(|port| *port != 0)
                .ok_or_else(|| bad("the port is a number from 1 to 65535"))?,
        };
        if host.is_empty() {
            return Err(bad("the host is missing"));
        }
        Ok(Address { host: host.to_string(), port })
    }

    /// Look the host up, for no longer than `limit`.
    pub(crate) async fn resolve(&self, limit: Duration) -> Result<SocketAddr, Failure> {
        let lookup = tokio::net::lookup_host((self.host.as_str(), self.port));
        let failed = |why: &dyn Display| Failure::Local(format!("cannot find host '{}': {why}", self.host));
        let found = tokio::time::timeout(limit, lookup).await;
        let found: Vec<_> =
            found.map_err(|_| failed(&"no name server answers"))?.map_err(|e| failed(&e))?.collect();
        // OpenAFS knows IPv4 alone: of a name with addresses of both families, that is the safer one.
        let first = found.iter().find(|addr| addr.is_ipv4()).or(found.first());
        first.copied().ok_or_else(|| failed(&"it has no address"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Option<(String, u16)> {
        Address::parse(text, 7000).ok().map(|a| (a.host, a.port))
    }

    fn is(host: &str, port: u16) -> Option<(String, u16)> {
        Some((host.to_string(), port))
    }

    #[test]
    fn hosts_with_and_without_a_port_in_both_families() {
        assert_eq!(parsed("afs.example"), is("afs.example", 7000));
        assert_eq!(parsed("afs.example:7003"), is("afs.example", 7003));
        assert_eq!(parsed("127.0.0.1:1"), is("127.0.0.1", 1));
        assert_eq!(parsed("::1"), is("::1", 7000));
        assert_eq!(parsed("2001:db8::7"), is("2001:db8::7", 7000));
        assert_eq!(parsed("fe80::1%eth0"), is("fe80::1%eth0", 7000));
        assert_eq!(parsed("[::1]"), is("::1", 7000));
        assert_eq!(parsed("[::1]:7009"), is("::1", 7009));
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for text in ["", ":7000", "host:", "host:0", "host:65536", "host:x", "[::1", "[::1]7000", "[]:7000"] {
            assert_eq!(parsed(text), None, "{text}");
        }
    }

    #[tokio::test]
    async fn a_literal_is_its_own_address_and_a_name_prefers_ipv4() {
        let limit = Duration::from_secs(60);
        for (text, addr) in [("[::1]:7003", "[::1]:7003"), ("localhost:7", "127.0.0.1:7")] {
            let found = Address::parse(text, 7000).unwrap().resolve(limit).await.unwrap();
            assert_eq!(found, addr.parse().unwrap());
        }
    }
}
