//! CHALLENGE bodies, by security class.

use super::constants::{SECURITY_RXGK, SECURITY_RXKAD, SECURITY_RXKAD_CRYPT, SECURITY_YFS_RXGK};
use super::layout::layout;

layout! {
    /// The CHALLENGE body of rxkad, version 2. Octets after it are ignored.
    pub struct RxkadChallenge {
        /// Offset 0: 2.
        pub version: u32,
        /// Offset 4: what the client has to return, plus one, under the session key.
        pub nonce: u32,
        /// Offset 8: the lowest level the server accepts: 0 clear, 1 authenticated, 2 encrypted.
        pub min_level: u32,
        /// Offset 12: sent as 0, ignored.
        pub spare: u32,
    }
}

layout! {
    /// The CHALLENGE body of rxgk, both kinds. Octets after it are ignored.
    pub struct RxgkChallenge {
        /// Offset 0: random octets that the client has to return under the transport key.
        pub nonce: [u8; 20],
    }
}

/// The family of security classes that share formats.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) enum Family {
    Rxkad,
    Rxgk,
}

impl Family {
    /// The family of a security index (header offset 23), if it has a handshake at all.
    pub(super) const fn of(security_index: u8) -> Option<Family> {
        match security_index {
            SECURITY_RXKAD | SECURITY_RXKAD_CRYPT => Some(Family::Rxkad),
            SECURITY_RXGK | SECURITY_YFS_RXGK => Some(Family::Rxgk),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::super::fault::FrameFault;
    use super::*;

    #[test]
    fn an_rxkad_challenge_has_sixteen_octets_and_may_be_followed() {
        let body = [0, 0, 0, 2, 0xde, 0xad, 0xbe, 0xef, 0, 0, 0, 1, 7, 8, 9, 10, 0x55];
        let (challenge, rest) = RxkadChallenge::parse(&body).unwrap();
        let expected = RxkadChallenge { version: 2, nonce: 0xdead_beef, min_level: 1, spare: 0x0708_090a };
        assert_eq!((challenge, rest), (expected, &[0x55][..]));
        let mut out = Vec::new();
        challenge.emit(&mut out);
        assert_eq!(out, body[..16]);
    }

    #[test]
    fn the_old_eight_octet_challenge_is_short() {
        for len in 0..RxkadChallenge::LEN {
            assert_eq!(RxkadChallenge::parse(&[0; 16][..len]), Err(FrameFault::Short), "{len} octets");
        }
    }

    #[test]
    fn an_rxgk_challenge_is_twenty_octets() {
        let body: Vec<u8> = (0..20).collect();
        let (challenge, rest) = RxgkChallenge::parse(&body).unwrap();
        assert_eq!((&challenge.nonce[..], rest), (&body[..], &[][..]));
        assert_eq!(RxgkChallenge::parse(&body[..19]), Err(FrameFault::Short));
    }
}
