//! What a fileserver asks its clients, at the port they call from, before it answers their first call.

use bytes::Bytes;
use rxrpc_tokio::{AbortCode, Call, Endpoint, ServiceOptions};

use crate::failure::Failure;

const SERVICE: u16 = 1;
/// CallBack, InitCallBackState, Probe, InitCallBackState3, ProbeUuid: taken note of, with an empty reply. What
/// asks who we are is refused, which fileservers accept.
const ACCEPTED: [u32; 5] = [204, 205, 206, 213, 214];
const MAX_REQUEST: usize = 64 * 1024;

/// Serve in the background until the endpoint is closed.
pub(super) fn serve(endpoint: &Endpoint) -> Result<(), Failure> {
    let options = ServiceOptions::default();
    let mut listener = endpoint.listen(SERVICE, options).map_err(|e| Failure::Local(e.to_string()))?;
    tokio::spawn(async move {
        while let Some(incoming) = listener.accept().await {
            if let Ok(call) = incoming.accept() {
                tokio::spawn(answer(call));
            }
        }
    });
    Ok(())
}

async fn answer(mut call: Call) {
    let Ok(request) = call.read_to_end(MAX_REQUEST).await else { return };
    let opcode = request.first_chunk::<4>().map(|word| u32::from_be_bytes(*word));
    if !opcode.is_some_and(|opcode| ACCEPTED.contains(&opcode)) {
        call.abort(AbortCode::RXGEN_OPCODE);
        return;
    }
    if call.write_bytes(Bytes::new()).await.is_ok() && call.finish().is_ok() {
        let _ = call.outcome().await;
    }
}
