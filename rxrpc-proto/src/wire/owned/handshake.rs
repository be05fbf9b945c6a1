//! Owned bodies of CHALLENGE and RESPONSE.

use alloc::boxed::Box;
use alloc::vec::Vec;

use crate::wire::challenge::{Family, RxgkChallenge, RxkadChallenge};
use crate::wire::fault::FrameFault;
use crate::wire::response::{RxgkResponse, RxkadResponse};

/// A CHALLENGE body.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum OwnedChallenge {
    /// Security index 2 or 3, and what follows.
    Rxkad(RxkadChallenge, Vec<u8>),
    /// Security index 4 or 6, and what follows.
    Rxgk(RxgkChallenge, Vec<u8>),
    /// Too short, or of another class.
    Other(Vec<u8>),
}

impl OwnedChallenge {
    pub(super) fn parse(security_index: u8, octets: &[u8]) -> OwnedChallenge {
        let framed = match Family::of(security_index) {
            Some(Family::Rxkad) => {
                RxkadChallenge::parse(octets).map(|(one, rest)| OwnedChallenge::Rxkad(one, rest.to_vec()))
            }
            Some(Family::Rxgk) => {
                RxgkChallenge::parse(octets).map(|(one, rest)| OwnedChallenge::Rxgk(one, rest.to_vec()))
            }
            None => Err(FrameFault::Short),
        };
        framed.unwrap_or_else(|_| OwnedChallenge::Other(octets.to_vec()))
    }

    pub(super) fn emit(&self, out: &mut Vec<u8>) {
        let rest = match self {
            OwnedChallenge::Rxkad(challenge, rest) => {
                challenge.emit(out);
                rest
            }
            OwnedChallenge::Rxgk(challenge, rest) => {
                challenge.emit(out);
                rest
            }
            OwnedChallenge::Other(octets) => octets,
        };
        out.extend_from_slice(rest);
    }
}

/// A RESPONSE body.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum OwnedResponse {
    /// Security index 2 or 3.
    Rxkad {
        /// The words before the sealed part: version and a spare one.
        start: [u32; 2],
        /// What is sealed with the session key.
        sealed: Box<[u8; 40]>,
        /// The kind of ticket.
        kvno: u32,
        /// The ticket.
        ticket: Vec<u8>,
        /// What follows the ticket.
        rest: Vec<u8>,
    },
    /// Security index 4 or 6.
    Rxgk {
        /// The client's start time.
        start_time: u64,
        /// The token.
        token: Vec<u8>,
        /// The sealed authenticator.
        authenticator: Vec<u8>,
        /// What follows the authenticator.
        rest: Vec<u8>,
    },
    /// Cut short, padded with something else than zeros, or of another class.
    Other(Vec<u8>),
}

impl OwnedResponse {
    pub(super) fn parse(security_index: u8, octets: &[u8]) -> OwnedResponse {
        let framed = match Family::of(security_index) {
            Some(Family::Rxkad) => OwnedResponse::rxkad(octets),
            Some(Family::Rxgk) => OwnedResponse::rxgk(octets),
            None => Err(FrameFault::Short),
        };
        framed.unwrap_or_else(|_| OwnedResponse::Other(octets.to_vec()))
    }

    fn rxkad(octets: &[u8]) -> Result<OwnedResponse, FrameFault> {
        let (response, rest) = RxkadResponse::parse(octets)?;
        let RxkadResponse { version, spare, sealed, kvno, ticket } = response;
        Ok(OwnedResponse::Rxkad {
            start: [version, spare],
            sealed: Box::new(sealed),
            kvno,
            ticket: ticket.to_vec(),
            rest: rest.to_vec(),
        })
    }

    fn rxgk(octets: &[u8]) -> Result<OwnedResponse, FrameFault> {
        let (response, rest) = RxgkResponse::parse(octets)?;
        let RxgkResponse { start_time, token, authenticator } = response;
        let owned = OwnedResponse::Rxgk {
            start_time,
            token: token.to_vec(),
            authenticator: authenticator.to_vec(),
            rest: rest.to_vec(),
        };
        // Padding is not kept, so it has to be what will be written.
        let mut again = Vec::new();
        owned.emit(&mut again);
        if again == octets { Ok(owned) } else { Ok(OwnedResponse::Other(octets.to_vec())) }
    }

    pub(super) fn emit(&self, out: &mut Vec<u8>) {
        let rest = match self {
            OwnedResponse::Rxkad { start: [version, spare], sealed, kvno, ticket, rest } => {
                let (version, spare, sealed, kvno) = (*version, *spare, **sealed, *kvno);
                RxkadResponse { version, spare, sealed, kvno, ticket }.emit(out);
                rest
            }
            OwnedResponse::Rxgk { start_time, token, authenticator, rest } => {
                RxgkResponse { start_time: *start_time, token, authenticator }.emit(out);
                rest
            }
            OwnedResponse::Other(octets) => octets,
        };
        out.extend_from_slice(rest);
    }
}
