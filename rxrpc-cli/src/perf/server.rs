//! The serving side.

use std::future::pending;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use rxrpc_tokio::{AbortCode, Builder, Call, Endpoint, Listener, ReadError, ServiceOptions, WriteError};
use tokio::sync::Semaphore;

use super::ServerArgs;
use super::protocol::{CHUNK, COOKIE, RECV, RPC, Reader, SEND, SERVICE, VERSION, Zeros};
use crate::failure::Failure;
use crate::output;

/// Calls that are served at the same time; more wait.
const AT_ONCE: usize = 1_024;
/// Calls that wait to be taken; more get BUSY.
const BACKLOG: usize = 4_096;
/// How long telling the clients may take when the server is interrupted.
const CLOSING: Duration = Duration::from_secs(1);

/// Why a call gets no reply.
enum Refused {
    With(AbortCode),
    /// It has failed already.
    Over,
}

impl From<ReadError> for Refused {
    fn from(_: ReadError) -> Self {
        Refused::Over
    }
}

impl From<WriteError> for Refused {
    fn from(_: WriteError) -> Self {
        Refused::Over
    }
}

/// Serve until interrupted.
pub(crate) async fn run(args: &ServerArgs) -> Result<(), Failure> {
    let endpoint = bind(args)?;
    let listener = listen(&endpoint)?;
    if let Some(addr) = endpoint.local_addr() {
        output::line(format_args!("serving the rxperf protocol at {addr}"))?;
    }
    tokio::select! {
        () = serve(listener) => Err(Failure::Local("the endpoint is closed".to_string())),
        () = interrupt() => {
            let _ = tokio::time::timeout(CLOSING, endpoint.close()).await;
            Ok(())
        }
    }
}

async fn interrupt() {
    if tokio::signal::ctrl_c().await.is_err() {
        pending().await
    }
}

fn bind(args: &ServerArgs) -> Result<Endpoint, Failure> {
    let at = |ip: IpAddr| SocketAddr::new(ip, args.port);
    let bound = match args.bind {
        Some(ip) => Builder::new().bind(at(ip)),
        None => {
            let both = Builder::new().socket(|s| s.dual_stack = true);
            both.bind(at(Ipv6Addr::UNSPECIFIED.into())).or_else(|error| match error.kind() {
                // Not an error of the host without IPv6, and not cured by fewer addresses.
                io::ErrorKind::AddrInUse | io::ErrorKind::PermissionDenied => Err(error),
                _ => Builder::new().bind(at(Ipv4Addr::UNSPECIFIED.into())),
            })
        }
    };
    bound.map_err(|error| {
        let hint = match error.kind() {
            io::ErrorKind::AddrInUse => "; -p 0 takes a free port",
            io::ErrorKind::AddrNotAvailable => "; --bind is an address of this machine",
            _ => "",
        };
        let at = args.bind.map_or("port ".to_string(), |ip| format!("{ip} port "));
        Failure::Local(format!("cannot serve at {at}{}: {error}{hint}", args.port))
    })
}

/// Offer the service.
pub(crate) fn listen(endpoint: &Endpoint) -> Result<Listener, Failure> {
    let options = ServiceOptions { backlog: BACKLOG, ..ServiceOptions::default() };
    endpoint.listen(SERVICE, options).map_err(|e| Failure::Local(e.to_string()))
}

/// Answer every call until the endpoint is closed.
pub(crate) async fn serve(mut listener: Listener) {
    let zeros = Zeros::new();
    let places = Arc::new(Semaphore::new(AT_ONCE));
    // A place comes first, then the call: one that has to wait does so where it costs least, in the backlog.
    while let Ok(place) = Arc::clone(&places).acquire_owned().await {
        let Some(incoming) = listener.accept().await else { return };
        let Ok(call) = incoming.accept() else { continue };
        let zeros = zeros.clone();
        tokio::spawn(async move {
            answer(call, zeros).await;
            drop(place);
        });
    }
}

async fn answer(mut call: Call, zeros: Zeros) {
    match reply(&mut call, &zeros).await {
        Ok(()) | Err(Refused::Over) => {}
        Err(Refused::With(code)) => {
            call.abort(code);
        }
    }
}

async fn reply(call: &mut Call, zeros: &Zeros) -> Result<(), Refused> {
    let len = request(call).await?;
    zeros.write(call, len).await?;
    call.write_all(&COOKIE.to_be_bytes()).await?;
    Ok(call.finish()?)
}

/// Read a request. Returns the number of bytes it asks for.
async fn request(call: &mut Call) -> Result<u32, Refused> {
    let mut reader = Reader::new(call);
    if word(&mut reader).await? != VERSION {
        return Err(Refused::With(AbortCode::RX_CALL_DEAD));
    }
    let operation = word(&mut reader).await?;
    if ![SEND, RECV, RPC].contains(&operation) {
        return Err(Refused::With(AbortCode::RXGEN_OPCODE));
    }
    let chunks = [word(&mut reader).await?, word(&mut reader).await?];
    if chunks.iter().any(|chunk| *chunk == 0 || *chunk > CHUNK) {
        return Err(Refused::With(AbortCode::RXGEN_SS_UNMARSHAL));
    }
    let first = word(&mut reader).await?;
    let (sent, wanted) = match operation {
        SEND => (first, 0),
        RECV => (0, first),
        _ => (first, word(&mut reader).await?),
    };
    if !reader.skip(sent).await? {
        return Err(Refused::With(AbortCode::RXGEN_SS_UNMARSHAL));
    }
    // The request ends here, or with the cookie that some clients send.
    let ends = reader.at_end().await? || (word(&mut reader).await? == COOKIE && reader.at_end().await?);
    if !ends {
        return Err(Refused::With(AbortCode::RXGEN_SS_UNMARSHAL));
    }
    Ok(wanted)
}

async fn word(reader: &mut Reader<'_>) -> Result<u32, Refused> {
    reader.word().await?.ok_or(Refused::With(AbortCode::RXGEN_SS_UNMARSHAL))
}
