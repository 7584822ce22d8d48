//! Peers of ours, told what to do line by line.
//!
//! What it does is in `peer_program.rs`, which was written for the published crate: this `use` line is all that moves it over.

pub(crate) use cicada::kadcast;

#[path = "../payload.rs"]
mod payload;
#[path = "../peer_program.rs"]
mod peer_program;

fn main() -> std::process::ExitCode {
    peer_program::main(&Counted)
}

/// Ours counts.
struct Counted;

impl peer_program::Figures for Counted {
    async fn of(&self, peer: &kadcast::Peer) -> serde_json::Value {
        let metrics = peer.metrics().await;
        let figures = metrics.figures;
        let refusals: Vec<(String, u64)> = metrics.refusals.iter().map(|(reason, count)| (reason.to_string(), count)).collect();
        serde_json::json!({
            "datagrams_out": figures.datagrams_out,
            "bytes_out": figures.bytes_out,
            "datagrams_in": figures.datagrams_in,
            "delivered": figures.delivered,
            "decodings": figures.decodings,
            "forged": figures.forged,
            "abandoned": figures.abandoned,
            "pulls_sent": figures.pulls_sent,
            "held_bytes": figures.held_bytes,
            "dropped": metrics.dropped,
            "missed": metrics.missed,
            "receive_buffer_bytes": metrics.receive_buffer_bytes,
            "refusals": refusals,
        })
    }
}
