//! VERSION packets: the question, the answer and the NAT keepalive.

use alloc::vec::Vec;

use super::constants::{DEBUG_EPOCH, VERSION_LEN};
use super::fault::Malformed;
use super::flags::{Flags, PacketType};
use super::header::Header;

/// The body of a VERSION packet.
///
/// Reading hands out all three forms, because an asker needs the reply. A responder calls
/// [`request`](Self::request), which refuses the other two.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Version<'a> {
    /// With `CLIENT_INITIATED`, and a body that starts with a zero octet.
    Request(&'a [u8]),
    /// Without `CLIENT_INITIATED`: the text, NUL padded, normally 65 octets. Read it with
    /// [`text`](Self::text).
    Reply(&'a [u8]),
    /// Without `CLIENT_INITIATED`, and a body of one zero octet: keeps a NAT mapping open, wants no
    /// answer.
    Keepalive,
}

impl<'a> Version<'a> {
    /// Reads the body of the VERSION packet that `header` starts.
    ///
    /// # Errors
    /// [`Malformed::VersionMalformed`] if a request has no body or does not start with a zero octet.
    pub const fn parse(header: &Header, body: &'a [u8]) -> Result<Version<'a>, Malformed> {
        match (header.from_client(), body) {
            (true, [0, ..]) => Ok(Version::Request(body)),
            (true, _) => Err(Malformed::VersionMalformed),
            (false, [0]) => Ok(Version::Keepalive),
            (false, _) => Ok(Version::Reply(body)),
        }
    }

    /// The responder's check: only a request may be answered.
    ///
    /// # Errors
    /// [`Malformed::VersionNotRequest`] for a reply and for a keepalive.
    pub const fn request(&self) -> Result<(), Malformed> {
        match self {
            Version::Request(_) => Ok(()),
            Version::Reply(_) | Version::Keepalive => Err(Malformed::VersionNotRequest),
        }
    }

    /// The text of a reply: its octets before the first NUL. `None` if this is no reply.
    ///
    /// Nothing says that they are printable; some peers put more than a number there.
    #[must_use]
    pub fn text(&self) -> Option<&'a [u8]> {
        match self {
            Version::Reply(body) => body.split(|octet| *octet == 0).next(),
            Version::Request(_) | Version::Keepalive => None,
        }
    }

    /// The body as it is on the wire.
    #[must_use]
    pub const fn body(&self) -> &'a [u8] {
        match self {
            Version::Request(body) | Version::Reply(body) => body,
            Version::Keepalive => &[0],
        }
    }
}

/// Appends the answer to a VERSION request: header and 65 octets.
///
/// The text is cut to 64 octets, at a character, so that a NUL always ends it.
pub fn emit_version_reply(request: &Header, text: &str, out: &mut Vec<u8>) {
    let answer = request.answer(PacketType::Version);
    Header { flags: answer.flags.with(Flags::LAST_PACKET), ..answer }.emit(out);
    let body_at = out.len();
    let room = VERSION_LEN.saturating_sub(1);
    for character in text.chars() {
        let mut octets = [0; 4];
        let octets = character.encode_utf8(&mut octets).as_bytes();
        if out.len().saturating_sub(body_at).saturating_add(octets.len()) > room {
            break;
        }
        out.extend_from_slice(octets);
    }
    out.resize(body_at.saturating_add(VERSION_LEN), 0);
}

/// Appends a VERSION request: header and one zero octet. The answer copies `call_number`.
pub fn emit_version_request(call_number: u32, out: &mut Vec<u8>) {
    let flags = Flags::CLIENT_INITIATED.with(Flags::LAST_PACKET);
    Header { flags, ..bare(DEBUG_EPOCH, call_number) }.emit(out);
    out.push(0);
}

/// Appends a NAT keepalive: a VERSION packet that nobody answers.
pub fn emit_keepalive(epoch: u32, out: &mut Vec<u8>) {
    Header { flags: Flags::LAST_PACKET, ..bare(epoch, 0) }.emit(out);
    out.push(0);
}

/// A VERSION header that names no connection.
const fn bare(epoch: u32, call_number: u32) -> Header {
    Header {
        epoch,
        cid: 0,
        call_number,
        seq: 0,
        serial: 0,
        packet_type: PacketType::Version,
        flags: Flags::NONE,
        user_status: 0,
        security_index: 0,
        checksum: 0,
        service_id: 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request() -> Header {
        let mut out = Vec::new();
        emit_version_request(101, &mut out);
        Header::parse(&out).unwrap().0
    }

    #[test]
    fn our_request_is_a_request() {
        let mut out = Vec::new();
        emit_version_request(101, &mut out);
        let (header, body) = Header::parse(&out).unwrap();
        assert_eq!((header.epoch, header.call_number, header.flags), (999, 101, Flags(5)));
        let version = Version::parse(&header, body).unwrap();
        assert_eq!((version, version.request()), (Version::Request(&[0]), Ok(())));
    }

    #[test]
    fn a_request_needs_a_leading_zero() {
        for body in [&[][..], &[1], &[0x41, 0]] {
            assert_eq!(Version::parse(&request(), body), Err(Malformed::VersionMalformed));
        }
        assert_eq!(Version::parse(&request(), &[0, 1, 2]), Ok(Version::Request(&[0, 1, 2])));
    }

    #[test]
    fn a_reply_has_exactly_65_octets_and_the_header_of_the_request() {
        let asked = Header { epoch: 7, cid: 9, service_id: 52, serial: 3, seq: 4, ..request() };
        let mut out = Vec::new();
        emit_version_reply(&asked, "rxrpc 0.1.0", &mut out);
        assert_eq!(out.len(), 28 + 65);
        let (header, body) = Header::parse(&out).unwrap();
        let expected = Header { flags: Flags::LAST_PACKET, serial: 0, seq: 0, ..asked };
        assert_eq!(header, expected);
        let version = Version::parse(&header, body).unwrap();
        assert_eq!(version.text(), Some(&b"rxrpc 0.1.0"[..]));
        assert_eq!(version.request(), Err(Malformed::VersionNotRequest));
    }

    #[test]
    fn a_long_text_is_cut_at_a_character_and_still_ends_in_nul() {
        for (text, kept) in
            [("x".repeat(64), 64), ("x".repeat(65), 64), ("é".repeat(40), 64), ("€".repeat(30), 63)]
        {
            let mut out = Vec::new();
            emit_version_reply(&request(), &text, &mut out);
            assert_eq!(out.len(), 93);
            assert_eq!(Version::Reply(&out[28..]).text(), Some(&text.as_bytes()[..kept]));
            assert_eq!(out[92], 0);
        }
    }

    #[test]
    fn a_keepalive_is_nobody_s_question() {
        let mut out = Vec::new();
        emit_keepalive(0x8000_0001, &mut out);
        let (header, body) = Header::parse(&out).unwrap();
        assert_eq!((header.epoch, header.call_number, header.flags), (0x8000_0001, 0, Flags::LAST_PACKET));
        let version = Version::parse(&header, body).unwrap();
        assert_eq!((version, version.text(), version.body()), (Version::Keepalive, None, &[0][..]));
        assert_eq!(version.request(), Err(Malformed::VersionNotRequest));
    }

    #[test]
    fn a_text_that_fills_its_packet_ends_with_it() {
        assert_eq!(Version::Reply(b"abc").text(), Some(&b"abc"[..]));
        assert_eq!(Version::Reply(b"").text(), Some(&b""[..]));
    }
}
