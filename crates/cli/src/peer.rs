//! Making a peer of the settings, joining with it, and leaving.

use std::time::Duration;

use cicada::{BindError, Builder, ConnectOptions, IdentityFile, OverlayKind, SwarmPeer};

use crate::address::HostPort;
use crate::failure::Failure;
use crate::interrupt::Interrupt;
use crate::settings::flags::{Overlay, Swarm};

/// A builder with everything that members and clients have in common.
pub(crate) fn builder(swarm: &Swarm, secret: Option<Vec<u8>>) -> Result<Builder, Failure> {
    let mut builder = SwarmPeer::builder().overlay(kind(swarm.overlay));
    if let Some(name) = &swarm.name {
        builder = builder.swarm(name);
    }
    if let Some(secret) = secret {
        builder = builder.secret(secret);
    }
    if let Some(path) = &swarm.identity {
        let identity = IdentityFile::at(path).read_or_make();
        builder = builder.identity(identity.map_err(|error| Failure::refused(error.to_string()))?);
    }
    Ok(builder)
}

/// Binds; the system's refusal is told with what was asked for.
pub(crate) async fn bind(builder: Builder, interface: &str, port: u16) -> Result<SwarmPeer, Failure> {
    builder.bind((interface, port)).await.map_err(|error| match error {
        BindError::Keys(error) => Failure::refused(format!("--keys: {error}")),
        BindError::Secret(_)
        | BindError::Config(_)
        | BindError::Contradiction(_)
        | BindError::Announced { .. }
        | BindError::Port { .. } => Failure::refused(error.to_string()),
        // The machine says no, today; the library may come to know further reasons.
        _ => Failure::failed(error.to_string()),
    })
}

/// Joins by any of the entry points, again and again until the timeout, so that it does not matter
/// who was started first.
pub(crate) async fn join(peer: &SwarmPeer, swarm: &Swarm) -> Result<(), Failure> {
    let entries: Vec<(&str, u16)> = swarm.join.iter().map(|entry| (entry.host.as_str(), entry.port)).collect();
    let shown = shown(&swarm.join);
    tracing::info!("joining by {shown}");
    match peer.connect_with(entries, &ConnectOptions::default().with_timeout(swarm.timeout)).await {
        Ok(by) => {
            tracing::info!(%by, "joined");
            Ok(())
        }
        Err(error) => Err(Failure::failed(format!("cannot join by {shown}: {error}"))),
    }
}

/// Leaves politely, which also delivers what was sent. Whoever interrupts a second time, or a swarm
/// that does not take the goodbye, is not waited for.
pub(crate) async fn leave(peer: &SwarmPeer, interrupt: &mut Interrupt) {
    tokio::select! {
        () = peer.close() => {}
        () = interrupt.asked() => tracing::warn!("interrupted again: leaving without goodbye"),
        () = tokio::time::sleep(GOODBYE) => tracing::warn!("the goodbye took too long"),
    }
}

pub(crate) fn kind(overlay: Overlay) -> OverlayKind {
    match overlay {
        Overlay::Ring => OverlayKind::Ring,
        Overlay::Tree => OverlayKind::Tree,
    }
}

fn shown(entries: &[HostPort]) -> String {
    let entries: Vec<String> = entries.iter().map(ToString::to_string).collect();
    entries.join(", ")
}

/// Guess: above every timeout that the library has for a goodbye.
const GOODBYE: Duration = Duration::from_secs(15);
