//! From the connection to the call: channels, old calls, next calls.

use super::{Endpoint, Path};
use crate::connection::{Connection, Ending, Role, Terminal};
use crate::error::CallError;
use crate::fault::Fault;
use crate::time::Instant;
use crate::wire::{AbortCode, AckReason, Body, Header};

/// Which call of its channel a packet is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Which {
    /// The one that lives there.
    Current(u32),
    /// The last one, which is over.
    Last(Terminal),
    /// One before it.
    Ancient,
    /// One that does not exist yet.
    Next,
    /// One whose number was used, but of which nothing is left.
    Nothing,
}

fn which(connection: &Connection, header: &Header, current: Option<(u32, u32)>) -> Which {
    let Some(channel) = connection.channel(header.channel()) else { return Which::Nothing };
    let number = header.call_number;
    let newest = current.map_or(channel.counter, |(_, n)| n);
    match (current, channel.last) {
        (Some((key, n)), _) if n == number => Which::Current(key),
        (_, Some(last)) if last.number == number => Which::Last(last),
        (_, Some(last)) if number < last.number => Which::Ancient,
        _ if number > newest => Which::Next,
        (Some(_), _) => Which::Ancient,
        (None, _) => Which::Nothing,
    }
}

impl Endpoint {
    /// A packet of a known connection.
    pub(super) fn on_connection(
        &mut self,
        now: Instant,
        path: &Path,
        key: u32,
        header: &Header,
        body: &Body<'_>,
    ) {
        if let Err(fault) = self.check_connection(key, header, body) {
            self.fault(fault);
            if matches!(fault, Fault::ServiceMismatch | Fault::SecondUpgrade) {
                self.refuse_packet(now, path, header, AbortCode::RX_PROTOCOL_ERROR, false);
            }
            return;
        }
        self.note_address(now, path, key, header, body);
        let Some(connection) = self.connections.get_mut(key as usize) else { return };
        if header.serial != 0 {
            connection.note_serial(now, header.serial);
        }
        match body {
            Body::Abort(code) if header.call_number == 0 => return self.on_connection_abort(now, key, *code),
            Body::Challenge(_) => return self.fault(Fault::ChallengeOnNull),
            Body::Response(_) => return self.fault(Fault::UnexpectedResponse),
            _ => {}
        }
        let current = connection.channel(header.channel()).and_then(|c| c.call);
        let current = current.and_then(|call| Some((call, self.calls.get(call)?.place?.number)));
        let Some(connection) = self.connections.get(key as usize) else { return };
        let is_client = connection.is_client();
        match which(connection, header, current) {
            Which::Current(call) => self.on_call(now, path, call, header, body),
            Which::Last(last) => self.on_finished(now, key, header, body, last),
            Which::Ancient => self.fault(Fault::AncientCall),
            Which::Next | Which::Nothing if is_client => {
                let fault = if current.is_some() { Fault::FutureCall } else { Fault::NoCall };
                self.refuse_to_client(now, path, header, body, fault);
            }
            Which::Next | Which::Nothing => match body {
                Body::Data(_) => self.on_next_call(now, path, key, header, body),
                // Who has some of the reply had it from a server that had begun the call.
                Body::Ack(ack) if ack.fields.reason == AckReason::Ping && !ack.acknowledges_data() => {
                    self.fault(Fault::UnknownServiceCall);
                    self.on_early_question(now, path, key, header);
                }
                _ => self.fault(Fault::UnknownServiceCall),
            },
        }
    }

    /// Rows 22 to 24. ABORT and BUSY are known by connection and call alone: some peers leave the rest empty
    /// (QUIRKS.md#abort-by-number-alone).
    fn check_connection(&mut self, key: u32, header: &Header, body: &Body<'_>) -> Result<(), Fault> {
        let Some(connection) = self.connections.get_mut(key as usize) else { return Ok(()) };
        if matches!(body, Body::Abort(_) | Body::Busy) {
            return Ok(());
        }
        if header.security_index != connection.security_index {
            return Err(Fault::SecurityMismatch);
        }
        if [connection.service, connection.asked_service].contains(&header.service_id) {
            return Ok(());
        }
        match connection.role {
            Role::Client { probing: true, .. } if connection.service == connection.asked_service => {
                connection.service = header.service_id;
                self.on_upgraded(key, header);
                Ok(())
            }
            Role::Client { probing: true, .. } => Err(Fault::SecondUpgrade),
            _ => Err(Fault::ServiceMismatch),
        }
    }

    fn on_upgraded(&mut self, key: u32, header: &Header) {
        let calls = self.connections.get(key as usize).map(|c| c.calls()).unwrap_or_default();
        for call in calls {
            if let Some(call) = self.calls.get_mut(call) {
                call.service = header.service_id;
            }
        }
    }

    /// Rows 27 and 28.
    fn refuse_to_client(
        &mut self,
        now: Instant,
        path: &Path,
        header: &Header,
        body: &Body<'_>,
        fault: Fault,
    ) {
        self.fault(fault);
        if !matches!(body, Body::Abort(_) | Body::Busy) {
            self.refuse_packet(now, path, header, AbortCode::RX_PROTOCOL_ERROR, false);
        }
    }

    /// The peer has ended the whole connection. A client forgets it at once: it has nothing to repeat, and must
    /// not count among the connections its bundle may have.
    fn on_connection_abort(&mut self, now: Instant, key: u32, code: AbortCode) {
        let Some(connection) = self.connections.get_mut(key as usize) else { return };
        connection.retired = true;
        let is_client = connection.is_client();
        for call in connection.calls() {
            self.complete(now, call, Err(CallError::RemoteAbort(code)));
        }
        if is_client {
            self.drop_connection(key);
        } else {
            self.set_connection_timer(key);
        }
    }

    /// Row 26: a packet of the call that was last on its channel. The peer may have missed how it ended
    /// (QUIRKS.md#terminal-replay).
    fn on_finished(&mut self, now: Instant, key: u32, header: &Header, body: &Body<'_>, last: Terminal) {
        self.fault(Fault::FinishedCall);
        let Some(connection) = self.connections.get_mut(key as usize) else { return };
        // A client's next call may have the channel and nothing on the wire yet: then this one is still the last.
        let busy = connection.channel(header.channel()).is_some_and(|c| c.counter != last.number);
        let done = !connection.is_client() && matches!(last.ending, Ending::Received { .. });
        let answer = matches!(body, Body::Ack(ack) if ack.fields.reason == AckReason::PingResponse);
        // An old call is left alone once a new one lives on its channel. A server that has the final
        // acknowledgement owes nothing more.
        if busy || done || answer || matches!(body, Body::Abort(_) | Body::Busy) {
            return;
        }
        // An ACK to an aborted or finished call is answered only if it asks: others cross our last packet.
        if let Body::Ack(ack) = body
            && ack.fields.reason != AckReason::Ping
            && !header.flags.contains(crate::wire::Flags::REQUEST_ACK)
            && matches!(last.ending, Ending::Received { .. })
        {
            return;
        }
        if connection.ask_replay(header.channel(), header.serial, now) {
            self.schedule_connection(now, key);
        } else {
            self.stats.answers_suppressed += 1;
            self.stats.limits.replays_per_second += 1;
        }
    }
}
