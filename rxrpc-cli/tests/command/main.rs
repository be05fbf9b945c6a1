//! The command as people run it: the built binary, its output and its exit codes.

mod client;
mod perf;
mod rig;
mod server;
mod usage;
mod version;
