//! The interop peer.

fn main() {}
