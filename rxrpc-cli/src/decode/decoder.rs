//! The passes over a capture.

use std::io::{self, ErrorKind, Write};

use super::calls::{Call, Calls, Observation};
use super::capture::Source;
use super::json::Line;
use super::net::{self, Datagram, Found, Incomplete, Totals};
use super::packet::{self, Packet};
use super::plot::Plot;
use super::select::Selector;
use super::summary::{self, Counts};
use super::text::Lines;
use super::{Args, Stop};

/// What is known between and during the passes.
pub(super) struct Decoder<'a> {
    args: &'a Args,
    selector: Selector,
    lines: Lines,
    out: &'a mut dyn Write,
    /// Whether a packet was shown.
    shown: bool,
    /// Whether the reader of the lines has gone.
    closed: bool,
}

/// What a pass finds out.
#[derive(Default)]
struct Pass {
    calls: Calls,
    counts: Counts,
}

impl<'a> Decoder<'a> {
    /// A decoder that writes to `out`.
    pub(super) fn new(args: &'a Args, colour: bool, out: &'a mut dyn Write) -> Decoder<'a> {
        let (selector, lines) = (Selector::new(&args.ports), Lines::new(colour));
        Decoder { args, selector, lines, out, shown: false, closed: false }
    }

    /// Does all that the arguments ask for.
    pub(super) fn run(&mut self, source: &Source) -> Result<(), Stop> {
        self.survey(source)?;
        let mut pass = Pass::default();
        let totals = self.print(source, &mut pass)?;
        self.check(&totals, &pass)?;
        let call = self.call_to_plot(&pass.calls);
        if let Some((path, call)) = self.args.plot.as_ref().zip(call) {
            self.plot(source, call, path)?;
        }
        match totals.damage {
            Some(damage) => Err(Stop::capture(format!("read up to frame {}: {}", damage.after, damage.what))),
            None if self.args.plot.is_some() && call.is_none() => Err(Stop::capture("no call in it to draw")),
            None => Ok(()),
        }
    }

    /// The first pass: who speaks Rx, and how wide the columns are.
    fn survey(&mut self, source: &Source) -> Result<(), Stop> {
        let Decoder { selector, lines, .. } = self;
        net::datagrams(source, &mut |totals, found| {
            if let Found::Datagram(datagram) = &found
                && selector.takes(datagram)
            {
                lines.make_room(totals.begin, datagram);
            }
            Ok(())
        })?;
        Ok(())
    }

    /// The second pass: packets, then calls.
    fn print(&mut self, source: &Source, pass: &mut Pass) -> Result<Totals, Stop> {
        let totals = net::datagrams(source, &mut |totals, found| match found {
            Found::Datagram(datagram) => self.datagram(totals.begin, &datagram, pass),
            Found::Incomplete(incomplete) => self.incomplete(totals.begin, &incomplete, pass),
        })?;
        if pass.counts.packets > 0 {
            self.summary(&totals, pass)?;
        }
        if !self.closed {
            let flushed = self.out.flush();
            self.check_written(flushed)?;
        }
        Ok(totals)
    }

    fn datagram(&mut self, begin: u64, datagram: &Datagram, pass: &mut Pass) -> Result<(), Stop> {
        if !self.selector.takes(datagram) {
            pass.counts.other_datagrams += 1;
            return Ok(());
        }
        for mut packet in packet::packets(datagram) {
            let observation = pass.calls.observe(&mut packet);
            pass.counts.take(&packet, &observation);
            if self.wants(&observation, pass.calls.all()) {
                self.packet(begin, &packet, &observation)?;
            }
        }
        Ok(())
    }

    fn packet(&mut self, begin: u64, packet: &Packet, observation: &Observation) -> Result<(), Stop> {
        if self.args.json {
            return self.json(&Line::packet(packet, observation, begin));
        }
        if !self.shown {
            self.line(&self.lines.heading())?;
        }
        self.shown = true;
        self.lines.packet(packet, observation).iter().try_for_each(|line| self.line(line))
    }

    fn incomplete(&mut self, begin: u64, incomplete: &Incomplete, pass: &mut Pass) -> Result<(), Stop> {
        if !self.selector.would_take(incomplete) {
            return Ok(());
        }
        pass.counts.incomplete += 1;
        match (self.args.call, self.args.json) {
            (Some(_), _) => Ok(()),
            (None, true) => self.json(&Line::incomplete(incomplete)),
            (None, false) => self.line(&self.lines.incomplete(incomplete, begin)),
        }
    }

    fn summary(&mut self, totals: &Totals, pass: &Pass) -> Result<(), Stop> {
        let calls = pass.calls.all();
        let chosen = calls.iter().enumerate().filter(|(index, call)| self.chooses(*index, call));
        let chosen: Vec<_> = chosen.map(|(index, call)| (index + 1, call)).collect();
        if self.args.json {
            chosen.iter().try_for_each(|(ordinal, call)| self.json(&Line::call(*ordinal, call)))?;
            return self.json(&Line::capture(totals, &pass.counts, calls.len()));
        }
        if !chosen.is_empty() {
            let table = summary::table(chosen.into_iter(), totals.begin);
            self.line(&format!("\n{table}"))?;
        } else if self.args.call.is_some() {
            return Ok(());
        }
        self.line(&format!("\n{}", summary::sentence(totals, &pass.counts, calls.len())))
    }

    /// Whether there was anything to show.
    fn check(&self, totals: &Totals, pass: &Pass) -> Result<(), Stop> {
        if totals.damage.is_some() {
            return Ok(());
        }
        if pass.counts.packets == 0 {
            let found = summary::sentence(totals, &pass.counts, 0);
            return Err(Stop::capture(format!("no Rx packet in it ({found}); --port N takes a port for Rx")));
        }
        let calls = pass.calls.all();
        match self.args.call {
            Some(choice) if !calls.iter().enumerate().any(|(index, call)| self.chooses(index, call)) => {
                Err(Stop::capture(format!("no call {choice} among its {} calls", calls.len())))
            }
            _ => Ok(()),
        }
    }

    /// Whether a packet is to be shown: it belongs to a call that is chosen, or to its connection.
    fn wants(&self, observation: &Observation, calls: &[Call]) -> bool {
        let mut touched = observation.call.into_iter().chain(observation.on_channels.into_iter().flatten());
        self.args.call.is_none()
            || touched.any(|index| calls.get(index).is_some_and(|call| self.chooses(index, call)))
    }

    fn chooses(&self, index: usize, call: &Call) -> bool {
        self.args.call.is_none_or(|choice| choice.is(index, &call.key))
    }

    /// The call with the most DATA packets among those that are chosen.
    fn call_to_plot<'c>(&self, calls: &'c Calls) -> Option<&'c Call> {
        let chosen = calls.all().iter().enumerate().filter(|(index, call)| self.chooses(*index, call));
        // The first of several that have as many.
        chosen.map(|(_, call)| call).rev().max_by_key(|call| call.data_packets())
    }

    /// The third pass: the plot of one call.
    fn plot(&mut self, source: &Source, call: &Call, path: &std::path::Path) -> Result<(), Stop> {
        let mut plot = Plot::new(call);
        let mut calls = Calls::default();
        net::datagrams(source, &mut |_, found| {
            if let Found::Datagram(datagram) = &found
                && self.selector.takes(datagram)
            {
                for mut packet in packet::packets(datagram) {
                    let observation = calls.observe(&mut packet);
                    if observation
                        .call
                        .and_then(|index| calls.all().get(index))
                        .is_some_and(|c| c.key == call.key)
                    {
                        plot.take(&packet, &observation);
                    }
                }
            }
            Ok(())
        })?;
        std::fs::write(path, plot.svg())
            .map_err(|error| Stop::Output(format!("cannot write {}: {error}", path.display())))
    }

    fn json(&mut self, line: &Line) -> Result<(), Stop> {
        let text = serde_json::to_string(line).map_err(|error| Stop::Output(error.to_string()))?;
        self.line(&text)
    }

    fn line(&mut self, line: &str) -> Result<(), Stop> {
        if self.closed {
            return Ok(());
        }
        let written = writeln!(self.out, "{line}");
        self.check_written(written)
    }

    /// A reader that has gone ends the work, unless there is a plot to make.
    fn check_written(&mut self, written: io::Result<()>) -> Result<(), Stop> {
        let Err(error) = written else { return Ok(()) };
        if error.kind() != ErrorKind::BrokenPipe {
            return Err(Stop::Output(format!("cannot write: {error}")));
        }
        self.closed = true;
        if self.args.plot.is_some() { Ok(()) } else { Err(Stop::Closed) }
    }
}
