//! Simulated runs.
#![allow(dead_code, reason = "the command that uses it comes next")]

mod view;
