//! Serves both services.

use std::io;
use std::net::SocketAddr;

use rxrpc_tokio::{AbortCode, Call, Endpoint, ReadError, ServiceOptions, bind};

use crate::Common;
use crate::wire::{
    Checksum, MAGIC, PERF_SERVICE, PERF_VERSION, Reader, TEST_SERVICE, perf, test, words, write_pattern,
};

/// Largest echo that is held in memory.
const MAX_ECHO: u32 = 64 << 20;
const UNMARSHAL: AbortCode = AbortCode::RXGEN_SS_UNMARSHAL;

/// Why a call is not answered.
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

impl From<rxrpc_tokio::WriteError> for Refused {
    fn from(_: rxrpc_tokio::WriteError) -> Self {
        Refused::Over
    }
}

fn short<T>(value: Option<T>) -> Result<T, Refused> {
    value.ok_or(Refused::With(UNMARSHAL))
}

/// Serve until killed.
pub(crate) async fn run(common: &Common) -> io::Result<()> {
    let endpoint = bind(SocketAddr::new(common.host, common.port))?;
    println!("rxrpc-interop-peer: listening on port {}", common.port);
    let perf = serve(endpoint.clone(), PERF_SERVICE, common.pause);
    let tests = serve(endpoint, TEST_SERVICE, common.pause);
    let _ = tokio::join!(perf, tests);
    Ok(())
}

async fn serve(endpoint: Endpoint, service: u16, pause: u64) -> io::Result<()> {
    let mut listener = endpoint.listen(service, ServiceOptions::default()).map_err(io::Error::other)?;
    while let Some(incoming) = listener.accept().await {
        if let Ok(call) = incoming.accept() {
            tokio::spawn(answer(call, service, pause));
        }
    }
    Ok(())
}

async fn answer(mut call: Call, service: u16, pause: u64) {
    let done = match service {
        PERF_SERVICE => answer_perf(&mut call, pause).await,
        _ => answer_test(&mut call, pause).await,
    };
    match done {
        Ok(()) => {
            let _ = call.finish();
            let _ = call.outcome().await;
        }
        Err(Refused::With(code)) => {
            call.abort(code);
        }
        Err(Refused::Over) => {}
    }
}

async fn answer_perf(call: &mut Call, pause: u64) -> Result<(), Refused> {
    let mut reader = Reader::new(call, pause);
    let version = short(reader.word().await?)?;
    if version != PERF_VERSION {
        return Err(Refused::With(AbortCode::RX_CALL_DEAD));
    }
    let operation = short(reader.word().await?)?;
    let (_read, _write) = (short(reader.word().await?)?, short(reader.word().await?)?);
    let first = u64::from(short(reader.word().await?)?);
    let reply = match operation {
        perf::SEND => {
            short(reader.take(first, |_| {}).await?.then_some(()))?;
            0
        }
        perf::RECV => first,
        perf::RPC => {
            let reply = u64::from(short(reader.word().await?)?);
            short(reader.take(first, |_| {}).await?.then_some(()))?;
            reply
        }
        _ => return Err(Refused::With(AbortCode::RXGEN_OPCODE)),
    };
    // A Linux server wants a word after the data; whoever sends it is welcome to.
    while reader.piece().await?.is_some() {}
    reader.report();
    write_pattern(call, reply, true).await?;
    call.write_all(&MAGIC.to_be_bytes()).await?;
    Ok(())
}

async fn answer_test(call: &mut Call, pause: u64) -> Result<(), Refused> {
    let mut reader = Reader::new(call, pause);
    let operation = short(reader.word().await?)?;
    match operation {
        test::ECHO => {
            let len = short(reader.word().await?)?;
            if len > MAX_ECHO {
                return Err(Refused::With(UNMARSHAL));
            }
            let mut data = Vec::new();
            short(reader.take(u64::from(len), |piece| data.extend_from_slice(piece)).await?.then_some(()))?;
            end(&mut reader).await?;
            reader.report();
            call.write_bytes(data.into()).await?;
        }
        test::SINK => {
            let len = long(&mut reader).await?;
            let mut sum = Checksum::new();
            short(reader.take(len, |piece| sum.add(piece)).await?.then_some(()))?;
            end(&mut reader).await?;
            reader.report();
            call.write_all(&sum.0.to_be_bytes()).await?;
        }
        test::SRC => {
            let len = long(&mut reader).await?;
            end(&mut reader).await?;
            write_pattern(call, len, false).await?;
        }
        test::ABORT => {
            let code = short(reader.word().await?)?;
            return Err(Refused::With(AbortCode(code.cast_signed())));
        }
        test::SLEEP => {
            let millis = short(reader.word().await?)?;
            end(&mut reader).await?;
            tokio::time::sleep(std::time::Duration::from_millis(millis.into())).await;
            call.write_all(&words(&[0])).await?;
        }
        test::WHO => {
            end(&mut reader).await?;
            // Security index, level, key version, expiry; then three empty strings.
            call.write_all(&words(&[0, u32::MAX, u32::MAX, 0, 0, 0, 0])).await?;
        }
        _ => return Err(Refused::With(AbortCode::RXGEN_OPCODE)),
    }
    Ok(())
}

async fn long(reader: &mut Reader<'_>) -> Result<u64, Refused> {
    let (high, low) = (short(reader.word().await?)?, short(reader.word().await?)?);
    Ok(u64::from(high) << 32 | u64::from(low))
}

/// The request must end here.
async fn end(reader: &mut Reader<'_>) -> Result<(), Refused> {
    match reader.piece().await? {
        None => Ok(()),
        Some(_) => Err(Refused::With(UNMARSHAL)),
    }
}
