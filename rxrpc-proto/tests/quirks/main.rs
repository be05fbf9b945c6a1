//! The decisions of `QUIRKS.md` that no other test holds.

#[path = "../harness/raw.rs"]
mod raw;

mod calls;
