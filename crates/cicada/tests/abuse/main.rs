//! Hostile and slow peers against real ones: what they may cost is bounded, and everybody else's messages go on.
//!
//! The victim is a process of its own ([`victim`]), so that its memory is that of a peer and of nothing else. The attacker is
//! made of the wire format and QUIC alone ([`attacker`]). Honest peers send to each other all the while ([`traffic`]).

mod attacker;
mod door;
mod floods;
mod forgery;
mod pause;
mod pressure;
mod strangers;
mod streams;
mod traffic;
mod victim;

use cicada::{Limits, SwarmPeer};
use std::{net::IpAddr, time::Duration};
use tokio::time::{Instant, sleep};

/// How long anything may take that should take a moment, on a machine that does other things as well.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a peer under attack may grow by, unless a test says otherwise: its own bounds are far below, the rest is what the
/// allocator keeps of memory that was freed.
const GROWTH_KIB: u64 = 24 * 1024;

/// How often as much a long run does. Long runs are told by the variable that multiplies the cases of properties.
fn times() -> usize {
    if std::env::var_os("PROPTEST_CASES").is_some() { 10 } else { 1 }
}

/// Limits without exemptions, so that loopback addresses count as those of the internet do.
fn no_exemptions() -> Limits {
    let mut limits = Limits::default();
    limits.exempt_local = false;
    limits
}

async fn peer_at(ip: impl Into<IpAddr>) -> SwarmPeer {
    SwarmPeer::builder().bind((ip.into(), 0)).await.expect("loopback has a free port")
}

async fn loopback() -> SwarmPeer {
    peer_at([127, 0, 0, 1]).await
}

/// Waits for a condition that others bring about.
async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds().await {
        assert!(Instant::now() < deadline, "never: {what}");
        sleep(Duration::from_millis(20)).await;
    }
}
