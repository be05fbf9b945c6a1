//! Telling loss from delay, and how much may be in flight. Knows packets by number, nothing of calls.

mod congestion;
mod rack;
mod rtt;

pub(crate) use congestion::{AckSample, Controller, NewReno};
pub(crate) use rack::{Delivered, PathTimes, Rack, Sent, Verdict, serial_after};
pub(crate) use rtt::{RtoBounds, Rtt};
