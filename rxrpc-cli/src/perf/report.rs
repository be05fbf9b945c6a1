//! What was measured, as a table, as JSON, and as rxperf's line.

use std::io::{IsTerminal, stdout};
use std::time::Duration;

use comfy_table::{CellAlignment, Table, TableStyle, presets};
use hdrhistogram::Histogram;
use serde::Serialize;

use super::load::Kind;
use super::{Case, ClientArgs};

/// The calls of one case.
pub(crate) struct Measured {
    pub(crate) kind: Kind,
    pub(crate) concurrency: u32,
    /// Latencies in nanoseconds.
    pub(crate) times: Histogram<u64>,
    /// From the first call's beginning to the last one's end.
    pub(crate) took: Duration,
    /// User and system time of this process meanwhile.
    pub(crate) cpu: Duration,
}

/// One case in numbers.
#[derive(Serialize, Clone, Debug)]
pub(crate) struct Report {
    case: &'static str,
    concurrency: u32,
    mb_per_s: f64,
    calls_per_s: f64,
    p50_us: f64,
    p99_us: f64,
    cpu_s_per_gb: f64,
    cpu_us_per_call: f64,
}

impl Measured {
    fn bytes(&self) -> u64 {
        self.times.len() * self.kind.bytes()
    }

    fn quantile_us(&self, quantile: f64) -> f64 {
        self.times.value_at_quantile(quantile) as f64 / 1000.0
    }

    pub(crate) fn report(&self) -> Report {
        let (seconds, cpu) = (self.took.as_secs_f64(), self.cpu.as_secs_f64());
        let (calls, bytes) = (self.times.len() as f64, self.bytes() as f64);
        Report {
            case: self.kind.case.name(),
            concurrency: self.concurrency,
            mb_per_s: ratio(bytes / 1e6, seconds),
            calls_per_s: ratio(calls, seconds),
            p50_us: ratio(self.quantile_us(0.5), 1.0),
            p99_us: ratio(self.quantile_us(0.99), 1.0),
            cpu_s_per_gb: ratio(cpu, bytes / 1e9),
            cpu_us_per_call: ratio(cpu * 1e6, calls),
        }
    }
}

/// One by the other, to three digits after the point: no measurement is worth more. 0 of nothing.
fn ratio(dividend: f64, divisor: f64) -> f64 {
    if divisor > 0.0 { (dividend / divisor * 1000.0).round() / 1000.0 } else { 0.0 }
}

/// All cases as a table, with lines for people who look at it on a terminal.
pub(crate) fn table(reports: &[Report]) -> String {
    draw(reports, if stdout().is_terminal() { presets::UTF8_FULL_CONDENSED } else { presets::NOTHING })
}

fn draw(reports: &[Report], style: TableStyle) -> String {
    let mut table = Table::new();
    table.load_style(style);
    table.set_header([
        "case",
        "calls at once",
        "MB/s",
        "calls/s",
        "p50 us",
        "p99 us",
        "CPU s/GB",
        "CPU us/call",
    ]);
    for r in reports {
        table.add_row([
            r.case.to_string(),
            r.concurrency.to_string(),
            format!("{:.1}", r.mb_per_s),
            format!("{:.0}", r.calls_per_s),
            format!("{:.0}", r.p50_us),
            format!("{:.0}", r.p99_us),
            format!("{:.2}", r.cpu_s_per_gb),
            format!("{:.1}", r.cpu_us_per_call),
        ]);
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table.trim_fmt()
}

/// The line that rxperf prints.
pub(crate) fn rxperf_line(args: &ClientArgs, measured: &Measured) -> String {
    let (threads, times) = (args.threads, args.times);
    let label = match args.case {
        Case::Rpc => format!(
            "RPC: threads\t{threads}, times\t{times}, write bytes\t{}, read bytes\t{}",
            args.send_bytes, args.recv_bytes
        ),
        Case::Recv => format!("RECV: threads\t{threads}, times\t{times}, bytes\t{}", args.bytes),
        Case::Send => format!("SEND: threads\t{threads}, times\t{times}, bytes\t{}", args.bytes),
    };
    let micros = measured.took.as_micros().max(1);
    let rate = measured.bytes() as f64 * 8000.0 / micros as f64;
    format!("{label}:\t{:>8} msec\t[{}]", micros / 1000, bit_rate(rate))
}

/// Kilobits a second, with the unit that suits and four significant digits as `%.4g` gives them.
fn bit_rate(kbit: f64) -> String {
    let (value, unit) = match kbit {
        k if k > 1e6 => (k / 1e6, "Gbit/s"),
        k if k > 1e3 => (k / 1e3, "Mbit/s"),
        k => (k, "kbit/s"),
    };
    let before_point = if value > 0.0 { value.log10().floor() } else { 0.0 };
    let digits = (3.0 - before_point).clamp(0.0, 12.0) as usize;
    let text = format!("{value:.digits$}");
    let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    format!("{text} {unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(kind: Kind, calls: u64) -> Measured {
        let mut times = Histogram::new(3).unwrap();
        times.record_n(250_000, calls).unwrap();
        let (took, cpu) = (Duration::from_secs(2), Duration::from_secs(1));
        Measured { kind, concurrency: 16, times, took, cpu }
    }

    #[test]
    fn a_report_counts_payload_in_powers_of_ten_and_latencies_in_microseconds() {
        let report = measured(Kind::new(Case::Send, 1_000_000, 0), 4_000).report();
        assert_eq!((report.case, report.concurrency), ("send", 16));
        assert_eq!((report.mb_per_s, report.calls_per_s), (2_000.0, 2_000.0));
        assert_eq!((report.cpu_s_per_gb, report.cpu_us_per_call), (0.25, 250.0));
        assert!((report.p50_us - 250.0).abs() < 1.0 && (report.p99_us - 250.0).abs() < 1.0);
    }

    #[test]
    fn calls_without_payload_still_have_a_number_in_every_field() {
        let json = serde_json::to_value(measured(Kind::new(Case::Rpc, 0, 0), 5).report()).unwrap();
        assert!(json.as_object().unwrap().values().all(|v| v.is_string() || v.is_number()), "{json}");
        assert_eq!((&json["mb_per_s"], &json["cpu_s_per_gb"]), (&0.0.into(), &0.0.into()));
    }

    #[test]
    fn away_from_a_terminal_the_table_is_words_and_spaces_in_columns() {
        let text = draw(&[measured(Kind::new(Case::Rpc, 4, 4), 1_000).report()], presets::NOTHING);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 2, "{text}");
        assert!(text.is_ascii(), "{text}");
        let words: Vec<&str> = lines[1].split_whitespace().collect();
        assert_eq!(words, ["rpc", "16", "0.0", "500", "250", "250", "125000.00", "1000.0"]);
        assert!(lines[0].ends_with("CPU us/call") && lines[0].len() == lines[1].len(), "{text}");
    }

    #[test]
    fn rates_have_four_significant_digits_and_no_trailing_zeros() {
        assert_eq!(bit_rate(2_345_678.0), "2.346 Gbit/s");
        assert_eq!(bit_rate(12_000.0), "12 Mbit/s");
        assert_eq!(bit_rate(999.96), "1000 kbit/s");
        assert_eq!(bit_rate(0.5), "0.5 kbit/s");
        assert_eq!(bit_rate(0.051_234), "0.05123 kbit/s");
        assert_eq!(bit_rate(0.0), "0 kbit/s");
    }
}
