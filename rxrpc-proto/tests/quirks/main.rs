//! The decisions of `QUIRKS.md` that no other test holds.

#[path = "../harness/mod.rs"]
mod harness;
#[path = "../harness/raw.rs"]
mod raw;

mod calls;
mod receiving;
mod sending;
