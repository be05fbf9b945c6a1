//! Addresses as people write them: `host`, `host:port`, `[v6]`, `[v6]:port`.

use std::net::SocketAddr;

use crate::failure::Failure;

/// A host by name or number, and a port.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Address {
    host: String,
    port: u16,
}

impl Address {
    /// A host and a port that are known apart.
    pub(crate) fn new(host: &str, port: u16) -> Self {
        let host = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
        Address { host: host.to_string(), port }
    }

    /// Read an address; `default_port` counts where it names none.
    pub(crate) fn parse(text: &str, default_port: u16) -> Result<Self, Failure> {
        let bad = |why: &str| Failure::Usage(format!("'{text}' is no address: {why}"));
        let (host, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (host, after) = rest.split_once(']').ok_or_else(|| bad("the bracket is not closed"))?;
                (host, if after.is_empty() { None } else { Some(after) })
            }
            // More than one colon without brackets: a bare IPv6 address.
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

    /// Look the host up.
    pub(crate) async fn resolve(&self) -> Result<SocketAddr, Failure> {
        let found = tokio::net::lookup_host((self.host.as_str(), self.port)).await;
        let mut found = found.map_err(|e| Failure::Local(format!("cannot find {}: {e}", self.host)))?;
        found.next().ok_or_else(|| Failure::Local(format!("{} has no address", self.host)))
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
        assert_eq!(parsed("[::1]"), is("::1", 7000));
        assert_eq!(parsed("[::1]:7009"), is("::1", 7009));
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for text in ["", ":7000", "host:", "host:0", "host:65536", "host:x", "[::1", "[::1]7000", "[]:7000"] {
            assert_eq!(parsed(text), None, "{text}");
        }
    }
}
