//! The task that owns the node.

use crate::{
    bind,
    error::BindError,
    hooks::Hooks,
    peer::{Handle, Taken},
    random,
    target::HostPort,
};
use cicada_proto::{Config, Me, Route};
use cicada_wire::{Hash, IdKind, Identity, Record, Role, SignedRecord, SwarmKeys, UnixTime};
use std::{
    net::SocketAddr,
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
}

/// Binds, and starts the task.
pub(crate) async fn start(settings: Settings, place: &HostPort) -> Result<Arc<Handle>, BindError> {
    settings.config.check()?;
    let bound = bind::bind(place, settings.external).await?;
    let identity = match settings.identity.clone() {
        Some(identity) => identity,
        None => Identity::from_seed(&random::bytes()?),
    };
    let record = record(&settings, &identity, bound.announced)?;
    let me = Me { record, boot: u64::from_be_bytes(random::bytes()?) };
    let (commands, _) = mpsc::channel(COMMANDS);
    let (_, deliveries) = mpsc::channel(settings.config.limits.deliveries);
    let (events, _) = broadcast::channel(EVENTS);
    let (_, peers) = watch::channel(Arc::from([]));
    let (_, closed) = watch::channel(false);
    Ok(Arc::new(Handle {
        commands,
        me,
        local: bound.local,
        route: settings.route,
        limits: settings.config.limits.clone(),
        deliveries: Mutex::new(deliveries),
        taken: Arc::new(Taken::default()),
        events: events.downgrade(),
        peers,
        closed,
        untold: Arc::new(Semaphore::new(settings.config.limits.in_flight)),
    }))
}

/// What this peer says of itself.
fn record(settings: &Settings, identity: &Identity, announced: cicada_wire::Address) -> Result<SignedRecord, BindError> {
    let member = settings.role == Role::Member;
    let now = wall_time();
    let record = Record {
        key: identity.public(),
        kind: if member { settings.config.member_ids } else { IdKind::Key },
        role: settings.role,
        addresses: if member { vec![announced] } else { Vec::new() },
        capabilities: settings.config.capabilities,
        sequence: now.0,
        expires: UnixTime(now.0 + u64::try_from(RECORD_LIFETIME.as_millis()).unwrap_or(u64::MAX)),
        data: settings.data,
    };
    Ok(SignedRecord::sign(record, identity)?)
}

/// The wall time; 1970 for a clock that stands before it.
pub(crate) fn wall_time() -> UnixTime {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    UnixTime(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// How long a record is worth something.
const RECORD_LIFETIME: Duration = Duration::from_secs(24 * 60 * 60); // guess

/// Wishes that wait; whoever has another waits with it.
const COMMANDS: usize = 256; // guess

/// Events that a reader may lag behind.
const EVENTS: usize = 1024; // guess
