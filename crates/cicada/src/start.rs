//! Making a peer: its socket, its record, its links, its node, and the task that owns it.

use crate::{
    bind,
    driver::{Driver, Inlets, Linger, Memory},
    entrance::Entrance,
    error::BindError,
    hello::Terms,
    hook_thread::HookThread,
    hooks::Hooks,
    keys::Keys,
    link,
    network::{Network, Parts},
    peer::{Handle, Taken},
    random,
    socket::SharedSocket,
    state::State,
    target::HostPort,
    trusted::TrustedKeys,
};
use cicada_proto::{Config, Node, Route, lists::AccessList};
use cicada_wire::{Address, Capabilities, Hash, IdKind, Identity, MAX_HEADER_BYTES, Record, Role, SignedRecord, SwarmKeys, UnixTime};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use std::{
    net::SocketAddr,
    path::PathBuf,
    sync::Arc,
    time::{Duration, SystemTime},
};
use tokio::sync::{Mutex, Semaphore, broadcast, mpsc, watch};

/// Everything that makes a peer but its place.
pub(crate) struct Settings {
    pub(crate) keys: SwarmKeys,
    pub(crate) identity: Option<Identity>,
    pub(crate) external: Option<SocketAddr>,
    pub(crate) hooks: Option<Arc<dyn Hooks>>,
    pub(crate) route: Route,
    pub(crate) role: Role,
    /// The id of a bare node.
    pub(crate) data: Option<Hash>,
    pub(crate) config: Config,
    /// Where what outlives the peer is kept.
    pub(crate) state: Option<PathBuf>,
    /// How long to wait awake for an answer.
    pub(crate) linger: Duration,
    /// Peers with which keys were exchanged beforehand.
    pub(crate) trusted: Option<TrustedKeys>,
}

/// Binds, and starts the peer's task.
pub(crate) async fn start(mut settings: Settings, place: &HostPort) -> Result<Arc<Handle>, BindError> {
    settings.config.ask_admission = settings.hooks.is_some();
    settings.config.check()?;
    let state = settings.state.take().map(|directory| State::open(&directory)).transpose()?;
    let bound = bind::bind(place, settings.external).await?;
    settings.config.families = bound.families;
    if bound.families.v4 && bound.families.v6 {
        settings.config.capabilities.0 |= Capabilities::BOTH_FAMILIES.0;
    }
    let addresses = [bound.announced].into_iter().chain(bound.other_family).collect();
    let system = |source| BindError::System { address: bound.local, source };
    let (socket, datagrams, freed) = SharedSocket::new(bound.socket).map_err(system)?;
    let identity = identity(settings.identity.take(), state.as_ref())?;
    let memory = state.map(|state| memory(state, &settings)).transpose()?;
    let record = record(&settings, &identity, addresses)?;
    let keys = Keys::of(identity)?;
    let me = keys.me(record)?;
    if let Some(keys) = settings.trusted.take() {
        settings.config.trusted = keys.keyring(me.id(), &memory.as_ref().map(Memory::members).unwrap_or_default()).await?;
    }
    let node = Node::new(me.clone(), settings.config.clone(), random::bytes()?, wall_time())?;
    let (hooks, verdicts, hooks_ended) = match settings.hooks.take() {
        Some(hooks) => {
            let (thread, verdicts, ended) = HookThread::start(hooks).map_err(system)?;
            (Some(thread), Some(verdicts), Some(ended))
        }
        None => (None, None, None),
    };
    let (identified, me_now) = watch::channel(me.clone());
    let (news_in, news) = mpsc::channel(NEWS);
    let network = Network::open(Parts {
        identity: &keys.identity,
        socket,
        local: bound.local,
        terms: terms(&settings),
        me: me_now,
        news: news_in,
        hooks,
        entrance: Entrance::new(
            settings.config.limits.clone(),
            AccessList::new(settings.config.allow.clone(), settings.config.deny.clone()),
        ),
        half_open: settings.config.limits.half_open,
        frame_bytes: settings.config.limits.message_bytes.max(link::CONTROL_BYTES) + MAX_HEADER_BYTES,
    })
    .map_err(system)?;
    let (commands, wishes) = mpsc::channel(COMMANDS);
    let (delivered, deliveries) = mpsc::channel(settings.config.limits.deliveries);
    let (events, _) = broadcast::channel(EVENTS);
    let (peers_known, peers) = watch::channel(Arc::from([]));
    let (ended, closed) = watch::channel(false);
    let taken = Arc::new(Taken::default());
    let handle = Handle {
        commands,
        me,
        local: bound.local,
        route: settings.route,
        limits: settings.config.limits.clone(),
        deliveries: Mutex::new(deliveries),
        taken: Arc::clone(&taken),
        events: events.downgrade(),
        peers,
        closed,
        untold: Arc::new(Semaphore::new(settings.config.limits.in_flight)),
    };
    let inlets = Inlets { wishes, news, datagrams, verdicts };
    let driver = Driver::new(node, keys, network, identified, delivered, events, peers_known, taken, memory, Linger::new(settings.linger));
    tokio::spawn(driver.run(inlets, ended, freed, hooks_ended));
    Ok(Arc::new(handle))
}

/// The one that is given, else the one that is kept, else a fresh one.
fn identity(given: Option<Identity>, state: Option<&State>) -> Result<Identity, BindError> {
    Ok(match (given, state) {
        (Some(identity), _) => identity,
        (None, Some(state)) => state.identity()?,
        (None, None) => Identity::from_seed(&random::bytes()?),
    })
}

/// What is known from before.
fn memory(state: State, settings: &Settings) -> Result<Memory, BindError> {
    let known = state.members(settings.config.limits.known_members)?;
    Ok(Memory::new(state, known, ChaCha8Rng::from_seed(random::bytes()?)))
}

fn terms(settings: &Settings) -> Terms {
    let Config { overlay, purpose, member_ids, .. } = settings.config;
    Terms {
        keys: settings.keys.clone(),
        datagrams: settings.keys.datagrams(overlay, purpose, member_ids),
        overlay,
        purpose,
        member_ids,
        capabilities: settings.config.capabilities,
    }
}

/// What this peer says of itself.
fn record(settings: &Settings, identity: &Identity, addresses: Vec<Address>) -> Result<SignedRecord, BindError> {
    let member = settings.role == Role::Member;
    let now = wall_time();
    let record = Record {
        key: identity.public(),
        kind: if member { settings.config.member_ids } else { IdKind::Key },
        role: settings.role,
        addresses: if member { addresses } else { Vec::new() },
        capabilities: settings.config.capabilities,
        sequence: now.0,
        expires: UnixTime(now.0 + u64::try_from(settings.config.upkeep.record_lifetime.as_millis()).unwrap_or(u64::MAX)),
        data: settings.data,
    };
    Ok(SignedRecord::sign(record, identity)?)
}

/// The wall time; 1970 for a clock that stands before it.
pub(crate) fn wall_time() -> UnixTime {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    UnixTime(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// Wishes that wait; whoever has another waits with it.
const COMMANDS: usize = 256; // guess

/// News of the links that wait; whichever link has more waits with it, and QUIC makes its other end wait.
const NEWS: usize = 256; // guess

/// Events that a reader may lag behind.
const EVENTS: usize = 512; // guess; their places are reserved at once
