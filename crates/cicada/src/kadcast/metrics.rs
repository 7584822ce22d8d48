//! What a Kadcast peer has done, counted: for its application, and as text for Prometheus.

use cicada_proto::{Refusals, kadcast::Figures};
use prometheus_client::{
    encoding::text::encode,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};

/// What a peer has done so far, and how it stands.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Metrics {
    /// All of it as text for Prometheus (OpenMetrics 1.0).
    pub text: String,
    /// What the protocol did.
    pub figures: Figures,
    /// What was refused, by reason.
    pub refusals: Refusals,
    /// Messages lost because too many waited for the listener.
    pub missed: u64,
    /// Datagrams that were not sent because too many waited.
    pub dropped: u64,
    /// Bytes of datagrams that wait to be sent.
    pub waiting_bytes: usize,
    /// The receive buffer that the system granted.
    pub receive_buffer_bytes: usize,
}

/// What the peer's task counts beside the machine.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Counts {
    pub(super) received_bytes: u64,
    pub(super) missed: u64,
    pub(super) dropped: u64,
    pub(super) waiting_bytes: usize,
    pub(super) receive_buffer_bytes: usize,
}

impl Metrics {
    pub(super) fn new(figures: Figures, refusals: Refusals, counts: Counts) -> Self {
        let text = text(&figures, &refusals, counts);
        let Counts { received_bytes: _, missed, dropped, waiting_bytes, receive_buffer_bytes } = counts;
        Self { text, figures, refusals, missed, dropped, waiting_bytes, receive_buffer_bytes }
    }
}

/// A registry is made for each scrape: scrapes are seldom, and everything in it is counted already.
fn text(figures: &Figures, refusals: &Refusals, counts: Counts) -> String {
    let mut registry = Registry::with_prefix("cicada_kadcast");
    let directions = Family::<[(&'static str, &'static str); 1], Counter>::default();
    let bytes = Family::<[(&'static str, &'static str); 1], Counter>::default();
    for (direction, datagrams, length) in
        [("received", figures.datagrams_in, figures.bytes_in), ("sent", figures.datagrams_out, figures.bytes_out)]
    {
        directions.get_or_create(&[("direction", direction)]).inc_by(datagrams);
        bytes.get_or_create(&[("direction", direction)]).inc_by(length);
    }
    registry.register("datagrams", "Datagrams, by direction; of those sent also what was dropped before", directions);
    registry.register("datagram_bytes", "Their bytes, without the heads of UDP and IP", bytes);
    let reasons = Family::<[(&'static str, String); 1], Counter>::default();
    for (reason, count) in refusals.iter() {
        reasons.get_or_create(&[("reason", reason.to_string())]).inc_by(count);
    }
    registry.register("refusals", "What was refused, by reason", reasons);
    let counters = [
        ("messages", "Messages received", figures.delivered),
        ("message_bytes", "Bytes of the messages that were told to the application", counts.received_bytes),
        ("missed", "Messages lost because too many waited for the application", counts.missed),
        ("dropped", "Datagrams not sent because too many waited", counts.dropped),
        ("symbols_relayed", "Symbols of others handed on", figures.symbols_relayed),
        ("symbols_spare", "Symbols that were there already, or not needed any more", figures.symbols_spare),
        ("decodings", "Attempts to decode", figures.decodings),
        ("forged", "Attempts whose symbols did not make what was announced", figures.forged),
        ("abandoned", "Messages given up before they were whole", figures.abandoned),
        ("pulls", "Pulls sent", figures.pulls_sent),
        ("pulled", "Symbols sent for pulls of others", figures.pulled_out),
    ];
    for (name, help, count) in counters {
        let counter = Counter::<u64>::default();
        counter.inc_by(count);
        registry.register(name, help, counter);
    }
    let levels = [
        ("arriving", "Messages that are arriving", figures.arriving),
        ("held_bytes", "Bytes of their symbols", figures.held_bytes),
        ("kept_bytes", "Bytes of messages kept for others", figures.kept_bytes),
        ("peers", "Peers in the table", figures.peers),
        ("waiting_bytes", "Bytes that wait to be sent", counts.waiting_bytes),
        ("receive_buffer_bytes", "The receive buffer that the system granted", counts.receive_buffer_bytes),
    ];
    for (name, help, level) in levels {
        let gauge = Gauge::<i64>::default();
        gauge.set(i64::try_from(level).unwrap_or(i64::MAX));
        registry.register(name, help, gauge);
    }
    let mut text = String::new();
    match encode(&mut text, &registry) {
        Ok(()) => text,
        // Writing to a string does not fail.
        Err(std::fmt::Error) => String::new(),
    }
}
