//! The `endpoint` target: see `rxrpc_fuzz::endpoint`.
#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|data: &[u8]| rxrpc_fuzz::endpoint(data));

#[cfg(not(fuzzing))]
fn main() -> std::io::Result<()> {
    rxrpc_fuzz::replay_arguments(rxrpc_fuzz::endpoint)
}
