//! Looking after peers: their figures, whom they are to have nothing to do with, and what outlives them.

mod bans;
mod metrics;
mod state;

use cicada::SwarmPeer;
use std::time::Duration;
use tokio::time::{interval, timeout};

/// Generous: reached only when something hangs.
const PATIENCE: Duration = Duration::from_secs(30);

async fn loopback() -> SwarmPeer {
    SwarmPeer::bind(("127.0.0.1", 0)).await.expect("loopback has a free port")
}

/// Looks again and again until `holds`.
async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let waited = timeout(PATIENCE, async {
        let mut look = interval(Duration::from_millis(20));
        while !holds().await {
            look.tick().await;
        }
    });
    waited.await.unwrap_or_else(|_| panic!("never: {what}"));
}
