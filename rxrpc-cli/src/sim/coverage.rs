//! What was reached, as a table.

use std::io::{IsTerminal, stdout};

use comfy_table::{CellAlignment, Table, TableStyle, presets};
use rxrpc_sim::Coverage;

/// A row for each thing that can be reached; zeroes are marked.
pub(super) fn table(coverage: &Coverage) -> String {
    draw(coverage, if stdout().is_terminal() { presets::UTF8_FULL_CONDENSED } else { presets::NOTHING })
}

pub(super) fn draw(coverage: &Coverage, style: TableStyle) -> String {
    let mut table = Table::new();
    table.load_style(style);
    table.set_header(["kind", "reached", "times", ""]);
    let mut last = None;
    for (kind, name, n) in coverage.table() {
        let kind_once = if last == Some(kind) { String::new() } else { kind.to_string() };
        last = Some(kind);
        let mark = if n == 0 { "never" } else { "" };
        table.add_row([kind_once, name.to_owned(), n.to_string(), mark.to_owned()]);
    }
    if let Some(column) = table.column_mut(2) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table.trim_fmt()
}
