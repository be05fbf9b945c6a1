//! The serving side.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use rxrpc_tokio::{AbortCode, Builder, Call, Endpoint, Listener, ReadError, ServiceOptions, WriteError};

use super::ServerArgs;
use super::protocol::{CHUNK, COOKIE, RECV, RPC, Reader, SEND, SERVICE, VERSION, Zeros};
use crate::failure::Failure;
use crate::output;

/// Calls that wait to be taken; more get BUSY.
const BACKLOG: usize = 4_096;

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

/// Serve until killed.
pub(crate) async fn run(args: &ServerArgs) -> Result<(), Failure> {
    let endpoint = match args.bind {
        Some(ip) => Builder::new().bind(SocketAddr::new(ip, args.port)),
        None => bind_everywhere(args.port),
    };
    let failed = |e| Failure::Local(format!("cannot serve at port {}: {e}", args.port));
    let endpoint = endpoint.map_err(failed)?;
    let listener = listen(&endpoint)?;
    if let Some(addr) = endpoint.local_addr() {
        output::line(format_args!("serving the rxperf protocol at {addr}"))?;
    }
    serve(listener).await;
    Err(Failure::Local("the endpoint is closed".to_string()))
}

fn bind_everywhere(port: u16) -> std::io::Result<Endpoint> {
    let both = Builder::new().socket(|s| s.dual_stack = true);
    let at = |ip: IpAddr| SocketAddr::new(ip, port);
    both.bind(at(Ipv6Addr::UNSPECIFIED.into()))
        .or_else(|_| Builder::new().bind(at(Ipv4Addr::UNSPECIFIED.into())))
}

/// Offer the service.
pub(crate) fn listen(endpoint: &Endpoint) -> Result<Listener, Failure> {
    let options = ServiceOptions { backlog: BACKLOG, ..ServiceOptions::default() };
    endpoint.listen(SERVICE, options).map_err(|e| Failure::Local(e.to_string()))
}

/// Answer every call until the endpoint is closed.
pub(crate) async fn serve(mut listener: Listener) {
    let zeros = Zeros::new();
    while let Some(incoming) = listener.accept().await {
        if let Ok(call) = incoming.accept() {
            tokio::spawn(answer(call, zeros.clone()));
        }
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
    let chunks = [word(&mut reader).await?, word(&mut reader).await?];
    if chunks.iter().any(|chunk| *chunk == 0 || *chunk > CHUNK) {
        return Err(Refused::With(AbortCode::RXGEN_SS_UNMARSHAL));
    }
    let (sent, wanted) = match operation {
        SEND => (word(&mut reader).await?, 0),
        RECV => (0, word(&mut reader).await?),
        RPC => (word(&mut reader).await?, word(&mut reader).await?),
        _ => return Err(Refused::With(AbortCode::RXGEN_OPCODE)),
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
