//! The rxrpc command.

fn main() {}
