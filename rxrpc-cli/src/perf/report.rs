//! What was measured, as a table, as JSON, and as rxperf's line.

use std::time::Duration;

use comfy_table::{CellAlignment, Table, presets};
use hdrhistogram::Histogram;
use serde::Serialize;

use super::client::Kind;
use super::{Case, ClientArgs};

/// The calls of one case.
pub(crate) struct Measured {
    kind: Kind,
    concurrency: usize,
    times: Option<Histogram<u64>>,
    pub(crate) took: Duration,
    pub(crate) cpu: Duration,
}

/// One case in numbers.
#[derive(Serialize, Clone, Debug)]
pub(crate) struct Report {
    case: &'static str,
    concurrency: usize,
    mb_per_s: f64,
    calls_per_s: f64,
    p50_us: f64,
    p99_us: f64,
    cpu_s_per_gb: f64,
    cpu_us_per_call: f64,
}

impl Measured {
    pub(crate) fn new(kind: Kind, concurrency: usize) -> Self {
        Measured { kind, concurrency, times: None, took: Duration::ZERO, cpu: Duration::ZERO }
    }

    pub(crate) fn add(&mut self, times: &Histogram<u64>) {
        match &mut self.times {
            Some(all) => *all += times,
            none => *none = Some(times.clone()),
        }
    }

    fn calls(&self) -> u64 {
        self.times.as_ref().map_or(0, Histogram::len)
    }

    fn bytes(&self) -> u64 {
        self.calls() * self.kind.bytes()
    }

    fn quantile_us(&self, quantile: f64) -> f64 {
        self.times.as_ref().map_or(0.0, |t| t.value_at_quantile(quantile) as f64 / 1000.0)
    }

    pub(crate) fn report(&self) -> Report {
        let seconds = self.took.as_secs_f64().max(1e-9);
        let (calls, bytes) = (self.calls() as f64, self.bytes() as f64);
        let cpu = self.cpu.as_secs_f64();
        Report {
            case: self.kind.case.name(),
            concurrency: self.concurrency,
            mb_per_s: round(bytes / seconds / 1e6),
            calls_per_s: round(calls / seconds),
            p50_us: round(self.quantile_us(0.5)),
            p99_us: round(self.quantile_us(0.99)),
            cpu_s_per_gb: round(cpu / (bytes / 1e9).max(1e-9)),
            cpu_us_per_call: round(cpu * 1e6 / calls.max(1.0)),
        }
    }
}

/// Three digits after the point are all that a measurement is worth.
fn round(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

/// All cases as a table.
pub(crate) fn table(reports: &[Report]) -> String {
    let mut table = Table::new();
    table.load_style(presets::UTF8_FULL_CONDENSED);
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
    table.to_string()
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
    let digits = 3_usize.saturating_sub(value.max(1.0).log10().floor() as usize);
    let text = format!("{value:.digits$}");
    let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    format!("{text} {unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_have_four_significant_digits_and_no_trailing_zeros() {
        assert_eq!(bit_rate(2_345_678.0), "2.346 Gbit/s");
        assert_eq!(bit_rate(12_000.0), "12 Mbit/s");
        assert_eq!(bit_rate(999.96), "1000 kbit/s");
        assert_eq!(bit_rate(0.5), "0.5 kbit/s");
    }
}
