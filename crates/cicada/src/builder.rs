//! The settings of a peer.

use crate::{
    error::BindError,
    hooks::Hooks,
    known_peers::KnownPeers,
    peer::SwarmPeer,
    start::{self, Settings},
    target::HostPort,
    trusted::TrustedKeys,
};
use cicada_proto::{
    Config, KeyLevel, Route, Security,
    config::{Faults, Limits, Upkeep},
    lists::Who,
};
use cicada_wire::{IdKind, Identity, OverlayKind, Role, SwarmKeys};
use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};
use zeroize::Zeroizing;

/// Makes a [`SwarmPeer`]. Every setting has a default; all members of a swarm must agree on overlay, name, secret and kind of id.
#[must_use]
pub struct Builder {
    identity: Option<Identity>,
    swarm: String,
    secret: Option<Zeroizing<Vec<u8>>>,
    external: Option<SocketAddr>,
    hooks: Option<Arc<dyn Hooks>>,
    route: Route,
    role: Role,
    config: Config,
    state: Option<PathBuf>,
    linger: Duration,
    trusted: Option<TrustedKeys>,
}

impl Default for Builder {
    fn default() -> Self {
        Self {
            identity: None,
            swarm: DEFAULT_SWARM.to_owned(),
            secret: None,
            external: None,
            hooks: None,
            route: Route::Auto,
            role: Role::Member,
            config: Config::default(),
            state: None,
            linger: LINGER,
            trusted: None,
        }
    }
}

impl Builder {
    /// The peer's key. Default: a fresh one at each start.
    pub fn identity(mut self, identity: Identity) -> Self {
        self.identity = Some(identity);
        self
    }

    /// Which overlay the swarm forms. Default: the ring.
    pub fn overlay(mut self, overlay: OverlayKind) -> Self {
        self.config.overlay = overlay;
        self
    }

    /// The swarm's name. Default: `cicada`.
    pub fn swarm(mut self, name: impl Into<String>) -> Self {
        self.swarm = name.into();
        self
    }

    /// A secret that every member must prove, at least [`crate::MIN_SECRET_BYTES`] long. It is never sent. Default: none.
    pub fn secret(mut self, secret: impl Into<Vec<u8>>) -> Self {
        self.secret = Some(Zeroizing::new(secret.into()));
        self
    }

    /// Peers with which keys were exchanged beforehand. Messages to them are sealed with those keys, so that nobody on the way can
    /// read or change them, and messages from them that are not are refused, as are receipts; broadcasts are for everybody: they are
    /// signed, and not sealed. A trusted peer that is found under another address has another id, and is another peer. Default: none.
    pub fn trusted_keys(mut self, keys: TrustedKeys) -> Self {
        self.trusted = Some(keys);
        self
    }

    /// Peers whose keys are known beforehand: one of them that shows another key is refused, on links and as the origin of messages,
    /// until its line is changed. A peer named by its address is known only where ids are made of addresses. Default: none; then a
    /// peer that shows another key at the same address is taken as it is, with an [`Event::KeyChanged`](crate::Event::KeyChanged).
    pub fn known_peers(mut self, known: &KnownPeers) -> Self {
        self.config.pins.extend(known.iter().map(|(peer, key)| (peer.id(), key)));
        self
    }

    /// How well the key of a message's origin must be known before the message is delivered, or handed on. Default:
    /// [`KeyLevel::Witnessed`]. With [`KeyLevel::Claimed`] nobody is asked whose key it is, and anybody can speak in the name of an
    /// address that is not its own.
    pub fn least_level(mut self, level: KeyLevel) -> Self {
        self.config.least_level = level;
        self
    }

    /// How messages are protected. [`Security::Plain`] is for measuring what that costs, and for nothing else; a swarm of which
    /// some are so and some are not falls apart.
    #[doc(hidden)]
    pub fn security(mut self, security: Security) -> Self {
        self.config.security = security;
        self
    }

    /// The address by which others reach this peer, when it is not the one that is bound. It is announced, and the peer's id is
    /// made of it.
    pub fn external(mut self, address: SocketAddr) -> Self {
        self.external = Some(address);
        self
    }

    /// What the application looks at or decides while the peer works.
    pub fn hooks(mut self, hooks: impl Hooks) -> Self {
        self.hooks = Some(Arc::new(hooks));
        self
    }

    /// What is bounded, and at how much.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.config.limits = limits;
        self
    }

    /// Has to do with these only, by address, subnet or key; may be called again. Default: with everybody.
    pub fn allow(mut self, who: impl IntoIterator<Item = Who>) -> Self {
        self.config.allow.extend(who);
        self
    }

    /// Has nothing to do with these, also if they are allowed; may be called again. Bans while the peer lives are
    /// [`SwarmPeer::ban`].
    pub fn deny(mut self, who: impl IntoIterator<Item = Who>) -> Self {
        self.config.deny.extend(who);
        self
    }

    /// Keeps in this directory what outlives the peer: its identity (unless [`Builder::identity`] gives one) and the members it
    /// knew. When it starts again, or has lost all links, it comes back by itself through some of those. The directory is made if
    /// it is not there; only one peer at a time may use it.
    pub fn state(mut self, directory: impl Into<PathBuf>) -> Self {
        self.state = Some(directory.into());
        self
    }

    /// How long the peer stays awake for an answer after it has exchanged something with the application; default: 150 us. To
    /// wake a core that has fallen asleep takes tens of microseconds at each end, which is most of what a short message on a fast
    /// network takes. While it is awake everything else in its runtime goes first; where no answer comes so soon it soon stops
    /// trying. Zero saves what that costs, at the price of those microseconds.
    pub fn linger(mut self, span: Duration) -> Self {
        self.linger = span;
        self
    }

    /// How the overlay is kept.
    pub fn upkeep(mut self, upkeep: Upkeep) -> Self {
        self.config.upkeep = upkeep;
        self
    }

    /// Does wrong on purpose what this says: for tests of what the others make of it.
    #[doc(hidden)]
    pub fn faults(mut self, faults: Faults) -> Self {
        self.config.faults = faults;
        self
    }

    /// Which way unicasts take unless told otherwise.
    pub fn route(mut self, route: Route) -> Self {
        self.route = route;
        self
    }

    /// What the peer does in the swarm. Default: a member, which routes for others. A client stands in nobody's tables and has an
    /// id of its key.
    pub fn role(mut self, role: Role) -> Self {
        self.role = role;
        self
    }

    /// Which kind of id the members of this swarm have: of their addresses (the default) or of their keys.
    pub fn member_ids(mut self, kind: IdKind) -> Self {
        self.config.member_ids = kind;
        self
    }

    /// Makes the peer: binds the address and starts to listen. An empty host means all interfaces.
    ///
    /// # Errors
    /// When the address cannot be had, or the settings contradict each other.
    pub async fn bind(self, place: impl Into<HostPort>) -> Result<SwarmPeer, BindError> {
        let settings = Settings {
            keys: SwarmKeys::new(&self.swarm, self.secret.as_ref().map(|secret| secret.as_slice()))?,
            identity: self.identity,
            external: self.external,
            hooks: self.hooks,
            route: self.route,
            role: self.role,
            data: None,
            config: self.config,
            state: self.state,
            linger: self.linger,
            trusted: self.trusted,
        };
        Ok(SwarmPeer(start::start(settings, &place.into()).await?))
    }
}

impl std::fmt::Debug for Builder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Builder").field("swarm", &self.swarm).field("config", &self.config).finish_non_exhaustive()
    }
}

/// Measured on two virtual cores: an echo of 1 KiB takes 130 us with 50 or less, 70 to 85 with 75 to 300 (decision 11).
pub(crate) const LINGER: Duration = Duration::from_micros(150);

/// The swarm of those who name none.
pub(crate) const DEFAULT_SWARM: &str = "cicada";
