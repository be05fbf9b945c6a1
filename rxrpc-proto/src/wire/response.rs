//! RESPONSE bodies, by security class: the framing around what is sealed.

use alloc::vec::Vec;

use super::fault::FrameFault;
use super::layout::{Field, layout, put_opaque, take_opaque};

/// The RESPONSE body of rxkad, version 2. Octets after the ticket are ignored.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RxkadResponse<'a> {
    /// Offset 0: 2.
    pub version: u32,
    /// Offset 4: sent as 0.
    pub spare: u32,
    /// Offset 8: an [`RxkadSealed`] under the session key.
    pub sealed: [u8; RxkadSealed::LEN],
    /// Offset 48: the kind of ticket, or the version of the server key it is sealed with.
    pub kvno: u32,
    /// Offset 56, as many octets as the word at offset 52 says.
    pub ticket: &'a [u8],
}

impl<'a> RxkadResponse<'a> {
    /// Octets before the ticket.
    pub const FIXED_LEN: usize = 56;

    /// Reads the framing and returns it with what follows the ticket.
    ///
    /// # Errors
    /// [`FrameFault::Short`] before the ticket, [`FrameFault::TicketShort`] within it.
    pub fn parse(body: &'a [u8]) -> Result<(RxkadResponse<'a>, &'a [u8]), FrameFault> {
        let (mut fixed, rest) = body.split_at_checked(Self::FIXED_LEN).ok_or(FrameFault::Short)?;
        let fixed = <[u32; 2] as Field>::take(&mut fixed)
            .zip(Field::take(&mut fixed))
            .zip(<[u32; 2]>::take(&mut fixed));
        let (([version, spare], sealed), [kvno, ticket_len]) = fixed.ok_or(FrameFault::Short)?;
        let ticket_len = usize::try_from(ticket_len).map_err(|_| FrameFault::TicketShort)?;
        let (ticket, rest) = rest.split_at_checked(ticket_len).ok_or(FrameFault::TicketShort)?;
        Ok((RxkadResponse { version, spare, sealed, kvno, ticket }, rest))
    }

    /// Appends the body to `out`. A ticket has fewer than 2^32 octets.
    pub fn emit(&self, out: &mut Vec<u8>) {
        [self.version, self.spare].put(out);
        self.sealed.put(out);
        [self.kvno, u32::try_from(self.ticket.len()).unwrap_or(u32::MAX)].put(out);
        out.extend_from_slice(self.ticket);
    }
}

layout! {
    /// What an rxkad client seals in its RESPONSE, in the clear.
    pub struct RxkadSealed {
        /// Body offset 8: the epoch of the connection.
        pub epoch: u32,
        /// Body offset 12: the connection id, channel bits zero.
        pub cid: u32,
        /// Body offset 16: the checksum over the first 56 octets of the body, this field taken as zero.
        pub checksum: u32,
        /// Body offset 20: the security index of the connection.
        pub security_index: u32,
        /// Body offset 24: the newest call number used on each channel, 0 for none.
        pub call_numbers: [u32; 4],
        /// Body offset 40: the nonce of the challenge plus one.
        pub next_nonce: u32,
        /// Body offset 44: the level the client chose: 0 clear, 1 authenticated, 2 encrypted.
        pub level: u32,
    }
}

/// The RESPONSE body of rxgk, both kinds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RxgkResponse<'a> {
    /// Offset 0: when the client made the connection, an input of the transport key. Opaque to the
    /// server: some clients count 100 ns since 1970, others from their boot.
    pub start_time: u64,
    /// Counted string at offset 8: the token.
    pub token: &'a [u8],
    /// Counted string after the token: the authenticator under the transport key.
    pub authenticator: &'a [u8],
}

impl<'a> RxgkResponse<'a> {
    /// Reads the framing and returns it with what follows the authenticator. Padding is not looked at.
    ///
    /// # Errors
    /// [`FrameFault::Short`], [`FrameFault::TicketShort`] or [`FrameFault::AuthenticatorShort`], by the
    /// part in which the body ends.
    pub fn parse(body: &'a [u8]) -> Result<(RxgkResponse<'a>, &'a [u8]), FrameFault> {
        let mut rest = body;
        let start_time = u64::take(&mut rest).ok_or(FrameFault::Short)?;
        let token = take_opaque(&mut rest).ok_or(FrameFault::TicketShort)?;
        let authenticator = take_opaque(&mut rest).ok_or(FrameFault::AuthenticatorShort)?;
        Ok((RxgkResponse { start_time, token, authenticator }, rest))
    }

    /// Appends the body to `out`, padding both strings with zeros.
    pub fn emit(&self, out: &mut Vec<u8>) {
        self.start_time.put(out);
        put_opaque(self.token, out);
        put_opaque(self.authenticator, out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rxkad_body() -> Vec<u8> {
        let mut body: Vec<u8> = (0..52).collect();
        body.extend_from_slice(&[0, 0, 0, 3, b'a', b'b', b'c', b'z']);
        body
    }

    #[test]
    fn an_rxkad_response_is_read_at_its_offsets() {
        let body = rxkad_body();
        let (response, rest) = RxkadResponse::parse(&body).unwrap();
        assert_eq!(
            (response.version, response.spare, response.kvno),
            (0x0001_0203, 0x0405_0607, 0x3031_3233)
        );
        assert_eq!((&response.sealed[..], response.ticket, rest), (&body[8..48], &b"abc"[..], &b"z"[..]));
        let mut out = Vec::new();
        response.emit(&mut out);
        assert_eq!(out, body[..59]);
    }

    #[test]
    fn an_rxkad_response_cut_anywhere_says_where() {
        let body = rxkad_body();
        for len in 0..59 {
            let fault = if len < 56 { FrameFault::Short } else { FrameFault::TicketShort };
            assert_eq!(RxkadResponse::parse(&body[..len]), Err(fault), "{len} octets");
        }
    }

    #[test]
    fn a_ticket_length_near_2_to_the_32_is_short_not_wrapped() {
        let mut body = rxkad_body();
        body[52..56].fill(0xff);
        assert_eq!(RxkadResponse::parse(&body), Err(FrameFault::TicketShort));
    }

    #[test]
    fn the_sealed_part_holds_ten_words() {
        let octets: [u8; 40] =
            core::array::from_fn(|place| if place % 4 == 3 { (place / 4) as u8 } else { 0 });
        let (sealed, rest) = RxkadSealed::parse(&octets).unwrap();
        assert!(rest.is_empty());
        let expected = RxkadSealed {
            epoch: 0,
            cid: 1,
            checksum: 2,
            security_index: 3,
            call_numbers: [4, 5, 6, 7],
            next_nonce: 8,
            level: 9,
        };
        assert_eq!(sealed, expected);
    }

    #[test]
    fn an_rxgk_response_is_two_counted_strings_after_a_time() {
        let response =
            RxgkResponse { start_time: 0x0102_0304_0506_0708, token: b"token", authenticator: b"auth" };
        let mut body = Vec::new();
        response.emit(&mut body);
        assert_eq!(body, b"\x01\x02\x03\x04\x05\x06\x07\x08\0\0\0\x05token\0\0\0\0\0\0\x04auth");
        assert_eq!(RxgkResponse::parse(&body), Ok((response, &[][..])));
        for len in 0..body.len() {
            let fault = match len {
                0..8 => FrameFault::Short,
                8..20 => FrameFault::TicketShort,
                _ => FrameFault::AuthenticatorShort,
            };
            assert_eq!(RxgkResponse::parse(&body[..len]), Err(fault), "{len} octets");
        }
    }
}
