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
