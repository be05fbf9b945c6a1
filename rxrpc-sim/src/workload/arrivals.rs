//! Which of the calls that come to a node its services turn away.

use std::collections::BTreeMap;

use crate::scenario::ServiceSpec;

/// How many calls have come to a node so far, by service.
#[derive(Debug, Default)]
pub(crate) struct Arrivals(BTreeMap<u16, u32>);

impl Arrivals {
    /// A call of the service has come. Whether it is to be turned away, if the faults have not ended by then.
    pub(crate) fn is_unwelcome(&mut self, service: &ServiceSpec) -> bool {
        let number = self.0.entry(service.service).or_insert(0);
        *number += 1;
        service.reject_every > 0 && number.is_multiple_of(service.reject_every)
    }
}
