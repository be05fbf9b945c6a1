//! The `sim` target: see `rxrpc_fuzz::sim`.
#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|data: &[u8]| rxrpc_fuzz::sim(data));

#[cfg(not(fuzzing))]
fn main() -> std::io::Result<()> {
    rxrpc_fuzz::replay_arguments(rxrpc_fuzz::sim)
}
