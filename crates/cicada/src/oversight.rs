//! Looking after a peer: what it has done, what it refused, and whom it is to have nothing to do with.

use crate::{
    error::Closed,
    metrics::{Metrics, MetricsServer, PeerTraffic},
    peer::SwarmPeer,
    wish::Wish,
};
use cicada_proto::{
    Refusals,
    lists::{Ban, Who},
};
use std::{
    io,
    net::SocketAddr,
    sync::{Arc, Weak},
    time::Duration,
};

impl SwarmPeer {
    /// What this peer has done so far and how it stands, also as text for Prometheus.
    ///
    /// # Errors
    /// When the peer is closed.
    pub async fn metrics(&self) -> Result<Metrics, Closed> {
        self.0.ask(|done| Wish::Metrics { done }).await
    }

    /// Serves [`SwarmPeer::metrics`] as text at `http://ADDRESS/metrics`, until what is returned is dropped or the peer is
    /// closed. Anybody who reaches the address may read it. Port 0 is any free port.
    ///
    /// # Errors
    /// When the address cannot be had.
    pub async fn serve_metrics(&self, address: SocketAddr) -> io::Result<MetricsServer> {
        let peer = Arc::downgrade(&self.0);
        let text = move || {
            let peer = Weak::clone(&peer);
            async move {
                let peer = peer.upgrade()?;
                peer.ask(|done| Wish::Metrics { done }).await.ok().map(|metrics| metrics.text)
            }
        };
        let mut closed = self.0.closed.clone();
        MetricsServer::start(address, text, async move {
            // It errs when the peer is gone, which is as good.
            let _ = closed.wait_for(|closed| *closed).await;
        })
        .await
    }

    /// What went over links, by peer, in the order of their ids: those linked now and the last thousand that were.
    ///
    /// # Errors
    /// When the peer is closed.
    pub async fn traffic(&self) -> Result<Vec<PeerTraffic>, Closed> {
        self.0.ask(|done| Wish::Traffic { done }).await
    }

    /// What this peer refused so far, by reason.
    ///
    /// # Errors
    /// When the peer is closed.
    pub async fn refusals(&self) -> Result<Refusals, Closed> {
        self.0.ask(|done| Wish::Refusals { done }).await
    }

    /// Has nothing to do with them from now on: links are closed, new ones refused, they leave the tables. For a time, or with
    /// `None` until [`SwarmPeer::unban`]. Bans are forgotten when the peer is closed; for what lasts there is
    /// [`crate::Builder::deny`].
    ///
    /// # Errors
    /// When the peer is closed.
    pub async fn ban(&self, who: impl Into<Who>, span: Option<Duration>) -> Result<(), Closed> {
        let who = who.into();
        self.0.ask(|done| Wish::Ban { who, span, done }).await
    }

    /// Lifts a ban; returns whether there was one.
    ///
    /// # Errors
    /// When the peer is closed.
    pub async fn unban(&self, who: impl Into<Who>) -> Result<bool, Closed> {
        let who = who.into();
        self.0.ask(|done| Wish::Unban { who, done }).await
    }

    /// The bans in force.
    ///
    /// # Errors
    /// When the peer is closed.
    pub async fn banned(&self) -> Result<Vec<Ban>, Closed> {
        self.0.ask(|done| Wish::Banned { done }).await
    }
}
