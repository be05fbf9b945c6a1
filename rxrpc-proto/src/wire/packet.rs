//! From header and octets to a checked body.

use super::abort::AbortCode;
use super::ack::Ack;
use super::data::Data;
use super::fault::Malformed;
use super::flags::PacketType;
use super::header::Header;
use super::version::Version;

/// The body of a packet, read in place.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Body<'a> {
    /// Payload of a call. Whether a jumbo can be split shows when it is.
    Data(Data<'a>),
    /// Acknowledgement.
    Ack(Ack<'a>),
    /// The server cannot take the call now. What follows the header is ignored.
    Busy,
    /// The end of a call or connection.
    Abort(AbortCode),
    /// Everything sent is acknowledged. What follows the header is ignored.
    AckAll,
    /// The server wants authentication; the layout depends on the security index.
    Challenge(&'a [u8]),
    /// The answer to a challenge; the layout depends on the security index.
    Response(&'a [u8]),
    /// A question to the debug service or its answer, told apart by `CLIENT_INITIATED`.
    Debug(&'a [u8]),
    /// Version question, answer or keepalive.
    Version(Version<'a>),
    /// Types 9, 10 and 11: nothing to do, whatever they hold.
    Ignored,
}

impl<'a> Body<'a> {
    /// Checks everything that can be checked without knowing a call or connection, and reads the body.
    ///
    /// Service zero is a fault of all types but VERSION, DEBUG, ABORT and BUSY: the first two name no
    /// service, and some peers write zero in the others when they have no connection.
    ///
    /// # Errors
    /// The first [`Malformed`] that applies, in the order of its variants.
    pub fn parse(header: &Header, body: &'a [u8]) -> Result<Body<'a>, Malformed> {
        match header.packet_type {
            PacketType::Version => Version::parse(header, body).map(Body::Version),
            PacketType::Debug => Ok(Body::Debug(body)),
            PacketType::Abort => AbortCode::parse(body).map(Body::Abort),
            PacketType::Params | PacketType::Other(10 | 11) => Ok(Body::Ignored),
            PacketType::Other(_) => Err(Malformed::UnknownType),
            PacketType::Busy if header.from_client() => Err(Malformed::BusyFromClient),
            PacketType::Busy => on_call(header, Body::Busy),
            PacketType::Ack => on_service(header, on_call(header, Body::Ack(Ack::parse(body)?))?),
            PacketType::AckAll => on_service(header, on_call(header, Body::AckAll)?),
            PacketType::Data if header.call_number == 0 => Err(Malformed::ZeroCallOnData),
            PacketType::Data if header.seq == 0 => Err(Malformed::ZeroSeq),
            PacketType::Data => on_service(header, Body::Data(Data::new(header, body))),
            PacketType::Challenge if header.from_client() => Err(Malformed::ChallengeToServer),
            PacketType::Challenge => on_service(header, Body::Challenge(body)),
            PacketType::Response if !header.from_client() => Err(Malformed::ResponseToClient),
            PacketType::Response => on_service(header, Body::Response(body)),
        }
    }
}

/// Lets `body` through if the packet names a call.
fn on_call<'a>(header: &Header, body: Body<'a>) -> Result<Body<'a>, Malformed> {
    if header.call_number == 0 { Err(Malformed::ZeroCallNumber) } else { Ok(body) }
}

/// Lets `body` through if the packet names a service.
fn on_service<'a>(header: &Header, body: Body<'a>) -> Result<Body<'a>, Malformed> {
    if header.service_id == 0 { Err(Malformed::ZeroService) } else { Ok(body) }
}

#[cfg(test)]
mod tests {
    use super::super::flags::Flags;
    use super::*;

    fn header(packet_type: u8, flags: Flags) -> Header {
        Header {
            epoch: 1,
            cid: 4,
            call_number: 1,
            seq: 1,
            serial: 1,
            packet_type: PacketType::from(packet_type),
            flags,
            user_status: 0,
            security_index: 0,
            checksum: 0,
            service_id: 52,
        }
    }

    /// What is read from a sound body of this type, from either side.
    fn parse(packet_type: u8, service_id: u16) -> [Result<Body<'static>, Malformed>; 2] {
        [Flags::CLIENT_INITIATED, Flags::NONE]
            .map(|flags| Body::parse(&Header { service_id, ..header(packet_type, flags) }, &[0; 32]))
    }

    #[test]
    fn every_type_gives_its_own_body() {
        let [Ok(Body::Data(_)), Ok(Body::Data(_))] = parse(1, 52) else { panic!("DATA") };
        let [Ok(Body::Ack(_)), Ok(Body::Ack(_))] = parse(2, 52) else { panic!("ACK") };
        assert_eq!(parse(3, 52), [Err(Malformed::BusyFromClient), Ok(Body::Busy)]);
        assert_eq!(parse(4, 52), [Ok(Body::Abort(AbortCode(0))); 2]);
        assert_eq!(parse(5, 52), [Ok(Body::AckAll); 2]);
        assert_eq!(parse(6, 52), [Err(Malformed::ChallengeToServer), Ok(Body::Challenge(&[0; 32]))]);
        assert_eq!(parse(7, 52), [Ok(Body::Response(&[0; 32])), Err(Malformed::ResponseToClient)]);
        assert_eq!(parse(8, 52), [Ok(Body::Debug(&[0; 32])); 2]);
        let (asked, told) = (Version::Request(&[0; 32]), Version::Reply(&[0; 32]));
        assert_eq!(parse(13, 52), [Ok(Body::Version(asked)), Ok(Body::Version(told))]);
        for ignored in 9..=11 {
            assert_eq!(parse(ignored, 52), [Ok(Body::Ignored); 2]);
        }
        for unknown in [0, 12].into_iter().chain(14..=u8::MAX) {
            assert_eq!(parse(unknown, 52), [Err(Malformed::UnknownType); 2]);
        }
    }

    #[test]
    fn service_zero_matters_only_where_a_service_must_be_named() {
        let refused = |packet_type| parse(packet_type, 0).map(|read| read == Err(Malformed::ZeroService));
        for (packet_type, expected) in [
            (1, [true, true]),
            (2, [true, true]),
            (3, [false, false]),
            (4, [false, false]),
            (5, [true, true]),
            (6, [false, true]),
            (7, [true, false]),
            (8, [false, false]),
            (9, [false, false]),
            (13, [false, false]),
        ] {
            assert_eq!(refused(packet_type), expected, "type {packet_type}");
        }
    }
}
