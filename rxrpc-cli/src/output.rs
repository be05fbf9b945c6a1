//! Writing to the terminal. A reader that goes away early is no error.

use std::fmt::Display;
use std::io::{self, ErrorKind, Write};

use crate::failure::Failure;

/// Print a text with a line end.
pub(crate) fn line(text: impl Display) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    match writeln!(out, "{text}").and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(Failure::Local(format!("cannot write: {error}")))
        }
        _ => Ok(()),
    }
}

/// Print a value as JSON.
pub(crate) fn json(value: &impl serde::Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(value).map_err(|e| Failure::Local(e.to_string()))?;
    line(text)
}

/// Say what went wrong.
pub(crate) fn error(failure: &Failure) {
    let _ = writeln!(io::stderr().lock(), "rxrpc: {failure}");
}
