//! ABORT bodies and the codes in them.

use alloc::vec::Vec;
use core::fmt;

use super::constants::{ABORT_LEN, SECURITY_RXGK, SECURITY_YFS_RXGK};
use super::fault::Malformed;
use super::header::Header;

/// Why a call or a connection was aborted: the 32 bits of an ABORT body, signed by convention.
///
/// Negative codes belong to Rx itself and to the generated stubs, the two large ranges to security
/// classes; everything else is the application's.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct AbortCode(pub i32);

/// Declares the codes with the names that documents give them.
macro_rules! codes {
    ($( $(#[$doc:meta])* $name:ident = $value:expr, )+) => {
        impl AbortCode {
            $( $(#[$doc])* pub const $name: AbortCode = AbortCode($value); )+

            /// Every code with a name of its own.
            pub const NAMED: &[AbortCode] = &[ $( AbortCode::$name, )+ ];

            /// The name of the code, if it is one of Rx, of the generated stubs or of rxkad.
            ///
            /// rxgk numbers are named by [`name_for`](Self::name_for), since two incompatible lists exist.
            #[must_use]
            pub const fn name(self) -> Option<&'static str> {
                match self { $( AbortCode::$name => Some(stringify!($name)), )+ _ => None }
            }
        }
    };
}

codes! {
    /// The call is gone: the peer restarted, gave up, or started another call on the channel.
    RX_CALL_DEAD = -1,
    /// The service or its security is not offered here.
    RX_INVALID_OPERATION = -2,
    /// A time limit of the call ran out.
    RX_CALL_TIMEOUT = -3,
    /// The data ended too early.
    RX_EOF = -4,
    /// The peer broke the protocol.
    RX_PROTOCOL_ERROR = -5,
    /// The application gave the call up.
    RX_USER_ABORT = -6,
    /// The port is taken. Local only, never sent.
    RX_ADDRINUSE = -7,
    /// The debug service does not know the question. In calls of `OpenAFS` the same number means that
    /// a packet was too large for the path.
    RX_DEBUGI_BADTYPE = -8,
    /// The server is about to restart and takes no new calls.
    RX_RESTARTING = -100,
    /// The client stub could not encode its arguments.
    RXGEN_CC_MARSHAL = -450,
    /// The client stub could not decode the results.
    RXGEN_CC_UNMARSHAL = -451,
    /// The server stub could not encode its results.
    RXGEN_SS_MARSHAL = -452,
    /// The server stub could not decode the arguments.
    RXGEN_SS_UNMARSHAL = -453,
    /// A value could not be decoded.
    RXGEN_DECODE = -454,
    /// The service has no operation of this number.
    RXGEN_OPCODE = -455,
    /// The server stub could not free its arguments.
    RXGEN_SS_XDRFREE = -456,
    /// The client stub could not free its results.
    RXGEN_CC_XDRFREE = -457,
    /// A security index or another fixed property of the connection changed.
    RXKADINCONSISTENCY = 19_270_400,
    /// A packet too short for its security class.
    RXKADPACKETSHORT = 19_270_401,
    /// The security level is not allowed.
    RXKADLEVELFAIL = 19_270_402,
    /// The ticket has an impossible length.
    RXKADTICKETLEN = 19_270_403,
    /// The answer to the challenge has the wrong nonce.
    RXKADOUTOFSEQUENCE = 19_270_404,
    /// The caller may not authenticate.
    RXKADNOAUTH = 19_270_405,
    /// The session key is bad.
    RXKADBADKEY = 19_270_406,
    /// The ticket makes no sense.
    RXKADBADTICKET = 19_270_407,
    /// The ticket is sealed with a key the server does not have.
    RXKADUNKNOWNKEY = 19_270_408,
    /// The ticket has expired.
    RXKADEXPIRED = 19_270_409,
    /// Sealed contents do not match the packet.
    RXKADSEALEDINCON = 19_270_410,
    /// A length inside the sealed contents is wrong.
    RXKADDATALEN = 19_270_411,
    /// The security level does not exist.
    RXKADILLEGALLEVEL = 19_270_412,
}

impl AbortCode {
    /// Reads an ABORT body. What follows the code is ignored.
    ///
    /// # Errors
    /// [`Malformed::ShortAbort`] if the code is incomplete.
    pub fn parse(body: &[u8]) -> Result<AbortCode, Malformed> {
        let code = body.first_chunk::<ABORT_LEN>().ok_or(Malformed::ShortAbort)?;
        Ok(AbortCode(i32::from_be_bytes(*code)))
    }

    /// The ABORT body.
    #[must_use]
    pub const fn to_bytes(self) -> [u8; ABORT_LEN] {
        self.0.to_be_bytes()
    }

    /// The name of the code on a connection of the given security index, which decides how rxgk
    /// numbers are read.
    #[must_use]
    pub fn name_for(self, security_index: u8) -> Option<&'static str> {
        self.name().or_else(|| Some(RxgkCode::from_code(self, security_index)?.name()))
    }
}

impl fmt::Display for AbortCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => write!(f, "{} ({name})", self.0),
            None => write!(f, "{}", self.0),
        }
    }
}

/// Appends a whole ABORT packet.
pub fn emit_abort(out: &mut Vec<u8>, header: &Header, code: AbortCode) {
    header.emit(out);
    out.extend_from_slice(&code.to_bytes());
}

/// What went wrong with rxgk, whatever number a peer gives it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum RxgkCode {
    /// A fixed property of the connection changed.
    Inconsistency,
    /// A packet is too short.
    PacketShort,
    /// The answer to the challenge is wrong.
    BadChallenge,
    /// The encryption type is unknown or unfit. Index 4 only.
    BadEnctype,
    /// The security level is not allowed.
    BadLevel,
    /// The key or its number is unknown.
    BadKeyNumber,
    /// The token has expired.
    Expired,
    /// The caller may not authenticate.
    NotAuthorized,
    /// The token makes no sense. Index 4 only.
    BadToken,
    /// Sealed contents do not match the packet.
    SealedInconsistency,
    /// A length inside the sealed contents is wrong. Index 4 only.
    DataLength,
    /// The quality of protection is not offered. Index 4 only.
    BadQop,
    /// The peer does not speak rxgk. Index 6 only.
    NotRxgk,
    /// Something optional is not supported. Index 6 only.
    Unsupported,
    /// GSS-API failed. Index 6 only.
    GssError,
}

/// The first rxgk number.
const RXGK_BASE: i32 = 1_233_242_880;

/// The order of index 4, from the first number.
const RXGK_OPENAFS: [RxgkCode; 12] = [
    RxgkCode::Inconsistency,
    RxgkCode::PacketShort,
    RxgkCode::BadChallenge,
    RxgkCode::BadEnctype,
    RxgkCode::BadLevel,
    RxgkCode::BadKeyNumber,
    RxgkCode::Expired,
    RxgkCode::NotAuthorized,
    RxgkCode::BadToken,
    RxgkCode::SealedInconsistency,
    RxgkCode::DataLength,
    RxgkCode::BadQop,
];

/// The order of index 6, from the first number.
const RXGK_YFS: [RxgkCode; 11] = [
    RxgkCode::Inconsistency,
    RxgkCode::PacketShort,
    RxgkCode::BadChallenge,
    RxgkCode::SealedInconsistency,
    RxgkCode::NotAuthorized,
    RxgkCode::Expired,
    RxgkCode::BadLevel,
    RxgkCode::BadKeyNumber,
    RxgkCode::NotRxgk,
    RxgkCode::Unsupported,
    RxgkCode::GssError,
];

impl RxgkCode {
    fn table(security_index: u8) -> &'static [RxgkCode] {
        match security_index {
            SECURITY_RXGK => &RXGK_OPENAFS,
            SECURITY_YFS_RXGK => &RXGK_YFS,
            _ => &[],
        }
    }

    /// The number of this fault on a connection of security index 4 or 6. `None` if that index has
    /// no number for it.
    #[must_use]
    pub fn code(self, security_index: u8) -> Option<AbortCode> {
        let place = RxgkCode::table(security_index).iter().position(|code| *code == self)?;
        Some(AbortCode(RXGK_BASE.checked_add(i32::try_from(place).ok()?)?))
    }

    /// What a number means on a connection of security index 4 or 6.
    #[must_use]
    pub fn from_code(code: AbortCode, security_index: u8) -> Option<RxgkCode> {
        let place = usize::try_from(code.0.checked_sub(RXGK_BASE)?).ok()?;
        RxgkCode::table(security_index).get(place).copied()
    }

    /// The name in the style of the other codes.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            RxgkCode::Inconsistency => "RXGK_INCONSISTENCY",
            RxgkCode::PacketShort => "RXGK_PACKETSHORT",
            RxgkCode::BadChallenge => "RXGK_BADCHALLENGE",
            RxgkCode::BadEnctype => "RXGK_BADETYPE",
            RxgkCode::BadLevel => "RXGK_BADLEVEL",
            RxgkCode::BadKeyNumber => "RXGK_BADKEYNO",
            RxgkCode::Expired => "RXGK_EXPIRED",
            RxgkCode::NotAuthorized => "RXGK_NOTAUTH",
            RxgkCode::BadToken => "RXGK_BAD_TOKEN",
            RxgkCode::SealedInconsistency => "RXGK_SEALEDINCON",
            RxgkCode::DataLength => "RXGK_DATA_LEN",
            RxgkCode::BadQop => "RXGK_BAD_QOP",
            RxgkCode::NotRxgk => "RXGK_NOTRXGK",
            RxgkCode::Unsupported => "RXGK_UNSUPPORTED",
            RxgkCode::GssError => "RXGK_GSSERROR",
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;

    #[test]
    fn codes_are_signed_and_what_follows_is_ignored() {
        assert_eq!(AbortCode::parse(&[0xff, 0xff, 0xff, 0xfb]), Ok(AbortCode::RX_PROTOCOL_ERROR));
        assert_eq!(AbortCode::parse(&[0, 0, 0x30, 0x39, 1, 2, 3]), Ok(AbortCode(12345)));
        for len in 0..4 {
            assert_eq!(AbortCode::parse(&[0; 4][..len]), Err(Malformed::ShortAbort), "{len} octets");
        }
        assert_eq!(AbortCode::RX_CALL_DEAD.to_bytes(), [0xff; 4]);
    }

    #[test]
    fn a_code_shows_its_number_and_its_name() {
        assert_eq!(AbortCode::RXGEN_OPCODE.to_string(), "-455 (RXGEN_OPCODE)");
        assert_eq!(AbortCode(19_270_407).to_string(), "19270407 (RXKADBADTICKET)");
        assert_eq!(AbortCode(12345).to_string(), "12345");
    }

    #[test]
    fn the_ranges_are_complete() {
        let named: Vec<i32> = AbortCode::NAMED.iter().map(|code| code.0).collect();
        let rx = (-8..=-1).rev();
        let rxgen = (-457..=-450).rev();
        let expected: Vec<i32> = rx.chain([-100]).chain(rxgen).chain(19_270_400..=19_270_412).collect();
        assert_eq!(named, expected);
        assert!(AbortCode::NAMED.iter().all(|code| code.name().is_some()));
        assert_eq!(
            (AbortCode(-9).name(), AbortCode(0).name(), AbortCode(19_270_413).name()),
            (None, None, None)
        );
    }

    #[test]
    fn one_rxgk_number_means_two_things() {
        let code = AbortCode(1_233_242_884);
        assert_eq!(RxgkCode::from_code(code, 4), Some(RxgkCode::BadLevel));
        assert_eq!(RxgkCode::from_code(code, 6), Some(RxgkCode::NotAuthorized));
        assert_eq!(
            (code.name(), code.name_for(4), code.name_for(6)),
            (None, Some("RXGK_BADLEVEL"), Some("RXGK_NOTAUTH"))
        );
        assert_eq!((code.name_for(2), AbortCode::RX_EOF.name_for(6)), (None, Some("RX_EOF")));
    }

    #[test]
    fn both_rxgk_orders_are_those_of_their_peers() {
        let names = |index| -> Vec<_> {
            (1_233_242_879..=1_233_242_892)
                .map(|code| AbortCode(code).name_for(index).unwrap_or("-"))
                .collect()
        };
        let shared = ["-", "RXGK_INCONSISTENCY", "RXGK_PACKETSHORT", "RXGK_BADCHALLENGE"];
        let openafs = [
            "RXGK_BADETYPE",
            "RXGK_BADLEVEL",
            "RXGK_BADKEYNO",
            "RXGK_EXPIRED",
            "RXGK_NOTAUTH",
            "RXGK_BAD_TOKEN",
            "RXGK_SEALEDINCON",
            "RXGK_DATA_LEN",
            "RXGK_BAD_QOP",
            "-",
        ];
        let yfs = [
            "RXGK_SEALEDINCON",
            "RXGK_NOTAUTH",
            "RXGK_EXPIRED",
            "RXGK_BADLEVEL",
            "RXGK_BADKEYNO",
            "RXGK_NOTRXGK",
            "RXGK_UNSUPPORTED",
            "RXGK_GSSERROR",
            "-",
            "-",
        ];
        assert_eq!(names(SECURITY_RXGK), [&shared[..], &openafs].concat());
        assert_eq!(names(SECURITY_YFS_RXGK), [&shared[..], &yfs].concat());
    }

    #[test]
    fn rxgk_faults_find_their_number_again() {
        for index in [SECURITY_RXGK, SECURITY_YFS_RXGK] {
            for fault in RxgkCode::table(index) {
                assert_eq!(RxgkCode::from_code(fault.code(index).unwrap(), index), Some(*fault));
            }
        }
        assert_eq!((RxgkCode::GssError.code(4), RxgkCode::BadQop.code(6)), (None, None));
        assert_eq!(RxgkCode::PacketShort.code(2), None);
    }
}
