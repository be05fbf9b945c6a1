//! Limits and waiting times of an endpoint, as data.

use rxrpc_proto::Config;

use super::{Micros, us};

macro_rules! endpoint_spec {
    (
        sizes { $($size:ident : $size_type:ty => $($size_path:ident).+),+ $(,)? }
        times { $($time:ident => $($time_path:ident).+),+ $(,)? }
        options { $($option:ident => $($option_path:ident).+),+ $(,)? }
    ) => {
        /// What an endpoint may use and how long it waits: [`Config`] as plain numbers, times in microseconds. Each
        /// field is named as there; an optional time is absent when 0.
        #[derive(Clone, Debug, PartialEq, Eq)]
        #[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(default, deny_unknown_fields))]
        #[allow(missing_docs, reason = "each is documented under the same name in rxrpc_proto")]
        pub struct EndpointSpec {
            $(pub $size: $size_type,)+
            $(#[cfg_attr(feature = "serde", serde(with = "super::text::micros"))]
            pub $time: Micros,)+
            $(#[cfg_attr(feature = "serde", serde(with = "super::text::micros"))]
            pub $option: Micros,)+
        }

        impl From<&Config> for EndpointSpec {
            fn from(config: &Config) -> Self {
                EndpointSpec {
                    $($size: config.$($size_path).+,)+
                    $($time: config.$($time_path).+.as_micros() as Micros,)+
                    $($option: config.$($option_path).+.map_or(0, |t| t.as_micros() as Micros),)+
                }
            }
        }

        impl EndpointSpec {
            /// How many values there are.
            pub const FIELDS: usize = [
                $(stringify!($size),)+ $(stringify!($time),)+ $(stringify!($option),)+
            ].len();

            /// Set one value, by its number, back to its default. False if it was that.
            pub fn reset(&mut self, field: usize) -> bool {
                let default = EndpointSpec::default();
                let before = self.clone();
                let mut number = 0..;
                $(if number.next() == Some(field) { self.$size = default.$size; })+
                $(if number.next() == Some(field) { self.$time = default.$time; })+
                $(if number.next() == Some(field) { self.$option = default.$option; })+
                *self != before
            }

            /// Each time by its name.
            pub(super) fn times(&self) -> Vec<(&'static str, Micros)> {
                vec![$((stringify!($time), self.$time),)+ $((stringify!($option), self.$option),)+]
            }

            /// The configuration of an endpoint with this seed.
            #[must_use]
            pub fn config(&self, seed: [u8; 32]) -> Config {
                let mut config = Config::new(seed);
                $(config.$($size_path).+ = self.$size;)+
                $(config.$($time_path).+ = us(self.$time);)+
                $(config.$($option_path).+ = (self.$option > 0).then_some(us(self.$option));)+
                config
            }
        }
    };
}

endpoint_spec! {
    sizes {
        validate_peers: bool => validate_peers,
        jumbo_offer: u32 => jumbo_offer,
        socket_receive_buffer: usize => socket_receive_buffer,
        calls: usize => limits.calls,
        calls_per_peer: usize => limits.calls_per_peer,
        connections_per_bundle: usize => limits.connections_per_bundle,
        service_connections: usize => limits.service_connections,
        unvalidated_connections: usize => limits.unvalidated_connections,
        unvalidated_per_peer: usize => limits.unvalidated_per_peer,
        evicted_connections: usize => limits.evicted_connections,
        receive_per_call: usize => limits.receive_per_call,
        receive_per_peer: usize => limits.receive_per_peer,
        receive_total: usize => limits.receive_total,
        send_per_call: usize => limits.send_per_call,
        send_total: usize => limits.send_total,
        window: u32 => limits.window,
        stranger_answers_per_second: u32 => limits.stranger_answers_per_second,
        replays_per_second: u32 => limits.replays_per_second,
        version_queries: usize => limits.version_queries,
        fast_reap_above: usize => timing.fast_reap_above,
    }
    times {
        silence => timing.silence,
        keepalive => timing.keepalive,
        request_gap => timing.request_gap,
        delayed_ack => timing.delayed_ack,
        final_ack => timing.final_ack,
        idle_client => timing.idle_client,
        idle_client_fast => timing.idle_client_fast,
        idle_service => timing.idle_service,
        unvalidated_life => timing.unvalidated_life,
        validated_for => timing.validated_for,
        rto_initial => timing.rto_initial,
        rto_min => timing.rto_min,
        rto_max => timing.rto_max,
    }
    options {
        lifetime => timing.lifetime,
        nat_keepalive => timing.nat_keepalive,
    }
}

impl Default for EndpointSpec {
    fn default() -> Self {
        let mut config = Config::new([0; 32]);
        config.socket_receive_buffer = 4 << 20;
        EndpointSpec::from(&config)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_survives_the_way_there_and_back() {
        let spec = EndpointSpec { lifetime: 5, nat_keepalive: 0, window: 7, ..EndpointSpec::default() };
        assert_eq!(EndpointSpec::from(&spec.config([1; 32])), spec);
    }
}
