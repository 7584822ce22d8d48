//! `cicada [RUNTIME]`: one peer, from its start to its end.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::Path;

use cicada::{Event, KnownPeers, MetricsServer, Refusal, SwarmPeer, TrustedKeys};
use serde_json::json;
use tokio::{
    net::lookup_host,
    sync::broadcast::{Receiver, error::RecvError},
    task::JoinHandle,
};

use crate::address::HostPort;
use crate::failure::Failure;
use crate::interrupt::Interrupt;
use crate::output;
use crate::peer;
use crate::runtime::{self, Runtime};
use crate::script::{self, Line};
use crate::settings::flags::Run;

/// Checks all that can be checked, then starts the peer and runs its script, or stays up.
pub(crate) async fn perform(run: &Run, secret: Option<Vec<u8>>, as_json: bool) -> Result<(), Failure> {
    let script = run.runtime.as_deref().map(Script::read).transpose()?;
    let mut builder = peer::builder(&run.swarm, secret)?;
    if let Some(external) = &run.external {
        builder = builder.external(resolve(external).await?);
    }
    let mut interrupt = Interrupt::new()?;
    if let Some(path) = &run.keys {
        builder = builder.trusted_keys(trusted(path)?);
    }
    if let Some(path) = &run.known_peers {
        let known = KnownPeers::load(path).map_err(|error| Failure::refused(format!("--known-peers: {error}")))?;
        builder = builder.known_peers(&known);
    }
    if let Some(directory) = &run.state {
        builder = builder.state(directory);
    }
    let peer = peer::bind(builder, &run.swarm.interface, run.port).await?;
    let ended = live(&peer, run, script.as_ref(), as_json, &mut interrupt).await;
    peer::leave(&peer, &mut interrupt).await;
    ended
}

/// All that happens between binding and leaving.
async fn live(peer: &SwarmPeer, run: &Run, script: Option<&Script>, as_json: bool, interrupt: &mut Interrupt) -> Result<(), Failure> {
    announce(peer, as_json)?;
    let _watch = AbortOnDrop(tokio::spawn(tell_of_wrong_keys(peer.events())));
    let _metrics = serve_metrics(peer, run, as_json).await?;
    tell_about_mapping(peer, run);
    if !run.swarm.join.is_empty() {
        tokio::select! {
            joined = peer::join(peer, &run.swarm) => joined?,
            () = interrupt.asked() => return Err(Failure::interrupted()),
        }
    }
    let Some(script) = script else {
        return tokio::select! {
            ended = stay(peer, as_json) => ended,
            () = interrupt.asked() => Ok(()),
        };
    };
    let mut runtime = Runtime::new(peer, &script.name, as_json);
    tokio::select! {
        ended = runtime.run(&script.lines) => return ended,
        () = interrupt.asked() => {}
    }
    Err(Failure::Interrupted { at: runtime.position() })
}

/// Prints what arrives, for as long as the peer lives.
async fn stay(peer: &SwarmPeer, as_json: bool) -> Result<(), Failure> {
    for index in 1.. {
        let message = peer.recv().await.map_err(|error| Failure::failed(error.to_string()))?;
        runtime::print(&message, index, None, as_json)?;
    }
    Ok(())
}

fn announce(peer: &SwarmPeer, as_json: bool) -> Result<(), Failure> {
    let address = peer.listener();
    let id = peer.id();
    tracing::info!(%address, %id, "listening");
    if as_json {
        let object = json!({"event": "listening", "address": address.to_string(), "id": id.to_string()});
        output::line(&object.to_string())?;
    }
    Ok(())
}

/// Serves the figures if that is wished for, until what is returned is dropped.
async fn serve_metrics(peer: &SwarmPeer, run: &Run, as_json: bool) -> Result<Option<MetricsServer>, Failure> {
    let Some(wished) = run.metrics else { return Ok(None) };
    let server = peer.serve_metrics(wished).await;
    let server = server.map_err(|error| Failure::failed(format!("--metrics {wished}: {error}")))?;
    let address = server.local_addr();
    tracing::info!("figures at http://{address}/metrics");
    if as_json {
        output::line(&json!({"event": "metrics", "address": address.to_string()}).to_string())?;
    }
    Ok(Some(server))
}

/// Reads a key file, and says what is weak about it.
fn trusted(path: &Path) -> Result<TrustedKeys, Failure> {
    let keys = TrustedKeys::load(path).map_err(|error| Failure::refused(format!("--keys: {error}")))?;
    for warning in keys.warnings() {
        tracing::warn!("{warning}");
    }
    Ok(keys)
}

/// Says whose messages are refused for their keys: of each peer once, since it may be many.
async fn tell_of_wrong_keys(mut events: Receiver<Event>) {
    let mut told = BTreeSet::new();
    loop {
        match events.recv().await {
            Ok(Event::Refused { from: Some(peer), reason })
                if is_about_keys(reason) && told.len() < MOST_TOLD && told.insert((peer, reason)) =>
            {
                tracing::warn!("a message of {peer}, or a link to it, was refused: {reason}");
            }
            Ok(Event::KeyChanged { peer, now, .. }) if told.len() < MOST_TOLD => {
                tracing::warn!("{peer} has another key than before: {now}");
            }
            Ok(_) | Err(RecvError::Lagged(_)) => {}
            Err(RecvError::Closed) => return,
        }
    }
}

fn is_about_keys(reason: Refusal) -> bool {
    matches!(
        reason,
        Refusal::OtherPairKey
            | Refusal::NoPairKey
            | Refusal::InTheClear
            | Refusal::PinnedKey
            | Refusal::UnknownKey
            | Refusal::BadSignature
            | Refusal::OtherKey
    )
}

/// A task that ends with its owner.
struct AbortOnDrop(JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Whoever floods us with refused messages in many names fills no screen.
const MOST_TOLD: usize = 100;

/// A mapping is wished for where the bound address is private and others are to reach it; this
/// build has none to offer and says so.
fn tell_about_mapping(peer: &SwarmPeer, run: &Run) {
    if !run.no_port_mapping && run.external.is_none() && is_private(peer.listener().ip()) {
        tracing::info!(
            "this version maps no ports: behind a router, peers outside reach this one only by a port forwarded by hand \
             (--external names it, --no-port-mapping leaves this line out)"
        );
    }
}

/// Private and not loopback.
fn is_private(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(v4) => v4.is_private() || v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_unique_local() || v6.is_unicast_link_local(),
    }
}

async fn resolve(external: &HostPort) -> Result<std::net::SocketAddr, Failure> {
    let failed = |why: String| Failure::refused(format!("--external {external}: {why}"));
    let found = lookup_host((external.host.as_str(), external.port)).await;
    let addresses: Vec<_> = found.map_err(|error| failed(error.to_string()))?.collect();
    // The same choice as for binding: v4 first.
    let chosen = addresses.iter().find(|address| address.is_ipv4()).or_else(|| addresses.first());
    chosen.copied().ok_or_else(|| failed("the name has no address".to_owned()))
}

/// A script, read and found right.
struct Script {
    name: String,
    lines: Vec<Line>,
}

impl Script {
    fn read(path: &Path) -> Result<Self, Failure> {
        let name = path.display().to_string();
        let file = std::fs::read(path).map_err(|error| {
            let command = if is_word(&name) { "; and there is no such command (see `cicada help`)" } else { "" };
            Failure::refused(format!("cannot read {name}: {error}{command}"))
        })?;
        let lines = script::parse(&file).map_err(|error| Failure::Script {
            at: format!("{name}:{}", error.number),
            what: error.what,
            started: false,
        })?;
        Ok(Self { name, lines })
    }
}

/// Looks like a mistyped command rather than like a file.
fn is_word(name: &str) -> bool {
    name.bytes().all(|byte| byte.is_ascii_alphabetic())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mapping_is_wished_for_on_private_addresses_but_not_on_loopback() {
        for private in ["10.0.0.1", "192.168.1.1", "172.16.0.1", "fd00::1", "::ffff:10.0.0.1"] {
            assert!(is_private(private.parse().unwrap()), "{private}");
        }
        for other in ["127.0.0.1", "::1", "::ffff:127.0.0.1", "8.8.8.8", "2001:4860::1"] {
            assert!(!is_private(other.parse().unwrap()), "{other}");
        }
    }
}
