//! A bare node of the overlay, for people who build their own swarm on it.

use crate::{
    error::{BindError, Closed, ConnectError, HandOverError, LookupError},
    hooks::Hooks,
    node::{Lookup, RemoteNode},
    options::ConnectOptions,
    peer::Handle,
    start::{self, Settings},
    target::HostPort,
    wish::Wish,
};
use bytes::Bytes;
use cicada_proto::{Config, Event, Route, event::Table};
use cicada_wire::{Address, Hash, IdKind, OverlayKind, Purpose, Role, SwarmKeys};
use std::{net::SocketAddr, sync::Arc};
use tokio::sync::broadcast;

/// A node of the overlay without a swarm's messages: it joins, looks up, and hands opaque payloads to its neighbours.
///
/// Its id is the hash of whatever its owner likes, so nothing proves it. Bare nodes and swarms do not mix: each refuses the
/// other's links.
#[derive(Clone)]
pub struct LocalNode(Arc<Handle>);

/// How a bare node is made, where the defaults do not do.
#[derive(Default)]
#[non_exhaustive]
pub struct LocalNodeOptions {
    /// Which overlay. Default: the ring.
    pub overlay: OverlayKind,
    /// What the owner looks at or decides.
    pub hooks: Option<Arc<dyn Hooks>>,
}

impl std::fmt::Debug for LocalNodeOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LocalNodeOptions").field("overlay", &self.overlay).finish_non_exhaustive()
    }
}

impl LocalNode {
    /// An unconnected node whose id is the hash of `data`.
    ///
    /// # Errors
    /// When the address cannot be had.
    pub async fn bind(data: impl AsRef<[u8]>, place: impl Into<HostPort>, options: LocalNodeOptions) -> Result<Self, BindError> {
        let mut config = Config::default();
        config.overlay = options.overlay;
        config.purpose = Purpose::Bare;
        config.member_ids = IdKind::Data;
        let settings = Settings {
            keys: SwarmKeys::new(crate::builder::DEFAULT_SWARM, None)?,
            identity: None,
            external: None,
            hooks: options.hooks,
            route: Route::Direct,
            role: Role::Member,
            data: Some(Hash::of(data)),
            config,
            state: None,
            linger: crate::builder::LINGER,
            trusted: None,
        };
        Ok(Self(start::start(settings, &place.into()).await?))
    }

    /// Joins the overlay of the node at this place.
    ///
    /// # Errors
    /// As of [`crate::SwarmPeer::connect`].
    pub async fn connect(&self, place: impl Into<HostPort>) -> Result<RemoteNode, ConnectError> {
        self.0.connect(vec![place.into()], ConnectOptions::default().timeout).await
    }

    /// Finds the node that is responsible for an id.
    ///
    /// # Errors
    /// When this node is alone or no answer is confirmed.
    pub async fn lookup(&self, id: Hash) -> Result<Lookup, LookupError> {
        self.0.lookup(id).await
    }

    /// The nodes that a link stands to, in the order of their ids.
    ///
    /// # Errors
    /// When the node is closed.
    pub async fn neighbours(&self) -> Result<Vec<RemoteNode>, Closed> {
        self.0.ask(|done| Wish::Neighbours { done }).await
    }

    /// Hands a payload to a neighbour. Links keep what they carry in order (large payloads may be overtaken by small ones);
    /// nothing tells whether the neighbour's owner took it.
    ///
    /// # Errors
    /// When there is no link to that node, or the payload is too large.
    pub async fn send(&self, neighbour: &RemoteNode, payload: impl Into<Bytes>) -> Result<(), HandOverError> {
        let payload = payload.into();
        let limit = self.0.limits.message_bytes;
        if payload.len() > limit {
            return Err(HandOverError::TooLarge { length: payload.len(), limit });
        }
        let handed = self.0.ask(|done| Wish::HandOver { to: neighbour.id(), payload, done }).await;
        match handed {
            Ok(true) => Ok(()),
            Ok(false) => Err(HandOverError::NoNeighbour { peer: *neighbour }),
            Err(Closed) => Err(HandOverError::Closed),
        }
    }

    /// The next payload, and whose it is. Cancel-safe.
    ///
    /// # Errors
    /// When the node is closed and everything was taken.
    pub async fn recv(&self) -> Result<(RemoteNode, Bytes), Closed> {
        let message = self.0.recv().await?;
        Ok((message.source, message.data))
    }

    /// The tables: fingers or buckets, for people to look at.
    ///
    /// # Errors
    /// When the node is closed.
    pub async fn table(&self) -> Result<Table, Closed> {
        self.0.ask(|done| Wish::Table { done }).await
    }

    /// Everything that the node tells.
    #[must_use]
    pub fn events(&self) -> broadcast::Receiver<Event> {
        self.0.events()
    }

    /// Where this node stands on the circle.
    #[must_use]
    pub fn id(&self) -> Hash {
        self.0.me.id()
    }

    /// The address that this node announces.
    #[must_use]
    pub fn listener(&self) -> SocketAddr {
        self.0.me.record.announced().map_or(self.0.local, Address::socket)
    }

    /// Leaves politely.
    pub async fn close(&self) {
        self.0.close().await;
    }
}

impl std::fmt::Debug for LocalNode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LocalNode").field("id", &self.id()).field("listener", &self.listener()).finish_non_exhaustive()
    }
}
