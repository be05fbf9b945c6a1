//! The queue of events: one entry a call, its news merged until it is polled.

use super::Endpoint;
use crate::event::{CallId, Event, News, VersionId};

/// An event that waits. What it says is read when it is polled.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Queued {
    Call(CallId),
    Incoming(CallId),
    Version(VersionId),
}

impl Endpoint {
    /// Add to a call's news. A call that waits to be accepted keeps its news until then.
    pub(super) fn notify(&mut self, key: u32, news: News) {
        let id = self.call_id(key);
        let Some(call) = self.calls.get_mut(key) else { return };
        // Nothing follows the end, not even that a writer could go on.
        if call.released || !(call.state.is_live() || news.ended()) {
            return;
        }
        call.news = call.news.with(news);
        if call.is_accepted() && !call.event_queued && !call.news.is_empty() {
            call.event_queued = true;
            self.events.push_back(Queued::Call(id));
        }
    }

    pub(super) fn next_event(&mut self) -> Option<Event> {
        while let Some(queued) = self.events.pop_front() {
            let event = match queued {
                Queued::Version(id) => self.is_question(id).then_some(Event::Version(id)),
                Queued::Incoming(id) => self.incoming_event(id),
                Queued::Call(id) => self.call_event(id),
            };
            if event.is_some() {
                return event;
            }
        }
        None
    }

    fn incoming_event(&self, id: CallId) -> Option<Event> {
        let call = self.calls.get(self.call_key(id)?)?;
        (!call.is_accepted()).then_some(Event::Incoming { call: id, service: call.service })
    }

    fn call_event(&mut self, id: CallId) -> Option<Event> {
        let key = self.call_key(id)?;
        let call = self.calls.get_mut(key)?;
        call.event_queued = false;
        let news = core::mem::take(&mut call.news);
        (!news.is_empty()).then_some(Event::Call { call: id, tag: call.tag, news })
    }
}
