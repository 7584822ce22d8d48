//! The peer as the application holds it.

use crate::{
    bind,
    builder::Builder,
    error::{BindError, BroadcastError, Closed, ConnectError, LookupError, SendError},
    messages::Messages,
    node::{Broadcast, Lookup, Message, RemoteNode},
    options::{BroadcastOptions, ConnectOptions, DEFAULT_TIMEOUT, MAX_DUPLICATES, SendOptions},
    target::{Candidate, HostPort, Target},
    wish::{Done, SendDone, Wish},
};
use bytes::Bytes;
use cicada_proto::{Event, Me, Receipt, Route, config::Limits, event::Table};
use cicada_wire::{Address, Hash, MAX_EXCLUDED, PublicKey};
use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{
    sync::{Mutex, Notify, Semaphore, broadcast, mpsc, oneshot, watch},
    time::Instant,
};

/// A peer of a swarm. Cheap to clone; all clones are the same peer.
///
/// [`SwarmPeer::close`] leaves politely. Dropping the last clone ends the peer without goodbye: its tasks end and its port is
/// freed a moment later.
#[derive(Clone)]
pub struct SwarmPeer(pub(crate) Arc<Handle>);

impl SwarmPeer {
    /// The settings of a new peer.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// A new peer with default settings. An empty host means all interfaces, port 0 any free port.
    ///
    /// # Errors
    /// When the address cannot be had.
    pub async fn bind(place: impl Into<HostPort>) -> Result<Self, BindError> {
        Self::builder().bind(place).await
    }

    /// Joins the swarm of the peer at this place, or joins two swarms when both are in one. Tries again and again for 10 s, so
    /// that it does not matter who is started first. May be called again, with other entry points.
    ///
    /// Cancellation: the attempt goes on until its timeout.
    ///
    /// # Errors
    /// At once when the place is this peer itself, cannot be resolved, or refuses; otherwise when the time is over.
    pub async fn connect(&self, place: impl Into<HostPort>) -> Result<RemoteNode, ConnectError> {
        self.connect_with([place], &ConnectOptions::default()).await
    }

    /// The same by any of several places, with options. Places that are this peer itself are left out if others remain.
    ///
    /// # Errors
    /// As of [`SwarmPeer::connect`].
    pub async fn connect_with(
        &self,
        places: impl IntoIterator<Item = impl Into<HostPort>>,
        options: &ConnectOptions,
    ) -> Result<RemoteNode, ConnectError> {
        let places = places.into_iter().map(Into::into).collect();
        self.0.connect(places, options.timeout).await
    }

    /// Sends to one peer and waits for its receipt, 10 s at most.
    ///
    /// Cancellation: what was begun goes on; the message may arrive.
    ///
    /// # Errors
    /// Says what is known of the message, see [`SendError::never_arrived`].
    pub async fn send(&self, to: impl Into<Target>, data: impl Into<Bytes>) -> Result<Receipt, SendError> {
        self.send_with(to, data, &SendOptions::default()).await
    }

    /// The same with options.
    ///
    /// # Errors
    /// As of [`SwarmPeer::send`].
    pub async fn send_with(&self, to: impl Into<Target>, data: impl Into<Bytes>, options: &SendOptions) -> Result<Receipt, SendError> {
        self.0.send(&to.into(), data.into(), options).await
    }

    /// Sends to one peer without waiting for anything: no name is resolved, and what became of the message is told only by
    /// [`SwarmPeer::events`].
    ///
    /// # Errors
    /// [`SendError::Full`] when too many messages are on their way.
    pub fn try_send(&self, to: impl Into<Target>, data: impl Into<Bytes>, options: &SendOptions) -> Result<(), SendError> {
        self.0.try_send(&to.into(), data.into(), options)
    }

    /// Sends to everybody in the swarm but this peer. Waits until the first peers have taken their shares of the work over.
    ///
    /// # Errors
    /// When the message is too large or this peer is closed.
    pub async fn broadcast(&self, data: impl Into<Bytes>, options: &BroadcastOptions) -> Result<Broadcast, BroadcastError> {
        self.0.broadcast(data.into(), options).await
    }

    /// The next message. After the peer was closed: what had arrived, then [`Closed`].
    ///
    /// Cancel-safe: no message is lost when the future is dropped. Each message goes to exactly one caller.
    ///
    /// # Errors
    /// When the peer is closed and everything was taken.
    pub async fn recv(&self) -> Result<Message, Closed> {
        self.0.recv().await
    }

    /// The messages as a stream, which holds the peer as a clone does.
    #[must_use]
    pub fn messages(&self) -> Messages {
        Messages::new(self)
    }

    /// Finds who is responsible for an id, and the peer with exactly this id if there is one.
    ///
    /// # Errors
    /// When this peer is alone or no answer is confirmed.
    pub async fn lookup(&self, id: Hash) -> Result<Lookup, LookupError> {
        self.0.lookup(id).await
    }

    /// The members that are known, in the order of their ids.
    #[must_use]
    pub fn peers(&self) -> Vec<RemoteNode> {
        self.0.peers.borrow().to_vec()
    }

    /// Waits until at least this many members are known.
    ///
    /// # Errors
    /// When the peer is closed before.
    pub async fn wait_for_peers(&self, at_least: usize) -> Result<(), Closed> {
        let mut peers = self.0.peers.clone();
        peers.wait_for(|peers| peers.len() >= at_least).await.map(|_| ()).map_err(|_| Closed)
    }

    /// The tables: fingers or buckets, for people to look at.
    ///
    /// # Errors
    /// When the peer is closed.
    pub async fn table(&self) -> Result<Table, Closed> {
        self.0.ask(|done| Wish::Table { done }).await
    }

    /// Everything that the peer tells. A reader that does not keep up is told how much it missed; it never stalls the peer.
    #[must_use]
    pub fn events(&self) -> broadcast::Receiver<Event> {
        self.0.events()
    }

    /// Where this peer stands on the circle.
    #[must_use]
    pub fn id(&self) -> Hash {
        self.0.me.id()
    }

    /// The address that this peer announces: its place for others. For a client: where it listens.
    #[must_use]
    pub fn listener(&self) -> SocketAddr {
        self.0.me.record.announced().map_or(self.0.local, Address::socket)
    }

    /// The address that is bound; its IP is unspecified when it is all interfaces.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.0.local
    }

    /// This peer's public key.
    #[must_use]
    pub fn key(&self) -> PublicKey {
        self.0.me.key()
    }

    /// Closes the links to one peer. Nothing keeps it from coming back.
    ///
    /// # Errors
    /// When this peer is closed.
    pub async fn disconnect(&self, peer: Hash) -> Result<(), Closed> {
        self.0.commands.send(Wish::Disconnect { peer }).await.map_err(|_| Closed)
    }

    /// Leaves politely: what was sent is flushed, neighbours are told, tasks end, the port is free when this returns. Does nothing
    /// when the peer is closed already.
    pub async fn close(&self) {
        self.0.close().await;
    }

    /// Waits until the peer is closed, by whomever.
    pub async fn closed(&self) {
        self.0.closed().await;
    }
}

impl std::fmt::Debug for SwarmPeer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SwarmPeer").field("id", &self.id()).field("listener", &self.listener()).finish_non_exhaustive()
    }
}

/// What all clones share. When the last one goes, the task that owns the node ends.
pub(crate) struct Handle {
    pub(crate) commands: mpsc::Sender<Wish>,
    pub(crate) me: Me,
    pub(crate) local: SocketAddr,
    pub(crate) route: Route,
    pub(crate) limits: Limits,
    /// A lock, so that each message goes to exactly one of several callers, in the order in which they came.
    pub(crate) deliveries: Mutex<mpsc::Receiver<Message>>,
    pub(crate) taken: Arc<Taken>,
    pub(crate) events: broadcast::WeakSender<Event>,
    pub(crate) peers: watch::Receiver<Arc<[RemoteNode]>>,
    pub(crate) closed: watch::Receiver<bool>,
    /// Bounds the messages under way that nobody waits for.
    pub(crate) untold: Arc<Semaphore>,
}

/// Deliveries taken that the node has not been told of. Not a message in the channel, since taking must not wait.
#[derive(Default)]
pub(crate) struct Taken {
    pub(crate) deliveries: AtomicUsize,
    pub(crate) notify: Notify,
}

impl Handle {
    /// Asks the task that owns the node.
    pub(crate) async fn ask<T>(&self, wish: impl FnOnce(Done<T>) -> Wish) -> Result<T, Closed> {
        let (done, answer) = oneshot::channel();
        self.commands.send(wish(done)).await.map_err(|_| Closed)?;
        answer.await.map_err(|_| Closed)
    }

    pub(crate) async fn connect(&self, places: Vec<HostPort>, timeout: Duration) -> Result<RemoteNode, ConnectError> {
        let mut addresses = Vec::new();
        let mut own = None;
        for place in &places {
            let resolved = place.resolve_peer().await?;
            match resolved.iter().find(|address| self.is_own(**address)) {
                Some(address) => own = Some(*address),
                None => addresses.extend(resolved),
            }
        }
        if addresses.is_empty() {
            return Err(own.map_or(ConnectError::Nowhere, |own| ConnectError::SelfJoin { address: own.socket() }));
        }
        let answer = self.ask(|done| Wish::Connect { addresses, timeout, done }).await.map_err(|_| ConnectError::Closed)?;
        Ok(RemoteNode::from(&answer?))
    }

    /// Whether this peer listens at `address`.
    fn is_own(&self, address: Address) -> bool {
        self.me.record.announced() == Some(address) || bind::listens_at(self.local, address)
    }

    fn check(&self, data: &Bytes, options: &SendOptions) -> Result<(), SendError> {
        if data.len() > self.limits.message_bytes {
            return Err(SendError::TooLarge { length: data.len(), limit: self.limits.message_bytes });
        }
        if options.duplicates > MAX_DUPLICATES {
            return Err(SendError::TooManyDuplicates { duplicates: options.duplicates, limit: MAX_DUPLICATES });
        }
        Ok(())
    }

    fn proto_options(&self, options: &SendOptions, timeout: Duration) -> cicada_proto::SendOptions {
        let mut proto = cicada_proto::SendOptions::default();
        proto.duplicates = options.duplicates;
        proto.route = options.route.unwrap_or(self.route);
        proto.ack = options.ack;
        proto.timeout = timeout;
        proto
    }

    /// Tries the target's ids one after another within the timeout; each gets its share of what is left.
    async fn send(&self, to: &Target, data: Bytes, options: &SendOptions) -> Result<Receipt, SendError> {
        self.check(&data, options)?;
        let deadline = Instant::now() + options.timeout.unwrap_or(DEFAULT_TIMEOUT);
        let candidates = to.candidates().await?;
        let mut left = u32::try_from(candidates.len()).unwrap_or(u32::MAX);
        loop {
            let candidate = candidates[candidates.len() - left as usize];
            let share = deadline.saturating_duration_since(Instant::now()) / left;
            let error = match self.send_to(candidate, data.clone(), self.proto_options(options, share)).await {
                Ok(receipt) => return Ok(receipt),
                Err(error) => error,
            };
            left -= 1;
            // The message must not arrive twice, at two peers.
            if left == 0 || !error.never_arrived() {
                return Err(error);
            }
        }
    }

    async fn send_to(&self, to: Candidate, payload: Bytes, options: cicada_proto::SendOptions) -> Result<Receipt, SendError> {
        let sent = self.ask(|done| Wish::Send { to, payload, options, done: SendDone::Told(done) }).await;
        Ok(sent.map_err(|_| SendError::Closed)??)
    }

    fn try_send(&self, to: &Target, payload: Bytes, options: &SendOptions) -> Result<(), SendError> {
        self.check(&payload, options)?;
        let to = to.candidate_without_waiting()?;
        let options = self.proto_options(options, options.timeout.unwrap_or(DEFAULT_TIMEOUT));
        let permit = Arc::clone(&self.untold).try_acquire_owned().map_err(|_| SendError::Full)?;
        let wish = Wish::Send { to, payload, options, done: SendDone::Untold(permit) };
        self.commands.try_send(wish).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => SendError::Full,
            mpsc::error::TrySendError::Closed(_) => SendError::Closed,
        })
    }

    async fn broadcast(&self, payload: Bytes, options: &BroadcastOptions) -> Result<Broadcast, BroadcastError> {
        let limit = self.limits.message_bytes;
        if payload.len() > limit {
            return Err(BroadcastError::TooLarge { length: payload.len(), limit });
        }
        let excluded = options.exclude.clone();
        if excluded.len() > MAX_EXCLUDED {
            return Err(BroadcastError::TooManyExclusions { excluded: excluded.len(), limit: MAX_EXCLUDED });
        }
        let sent = self.ask(|done| Wish::Broadcast { payload, excluded, done }).await;
        let (id, delegates) = sent.map_err(|_| BroadcastError::Closed)??;
        Ok(Broadcast { id, delegates })
    }

    pub(crate) async fn lookup(&self, target: Hash) -> Result<Lookup, LookupError> {
        let found = self.ask(|done| Wish::Lookup { target, done }).await.map_err(|_| LookupError::Closed)?;
        Ok(found?.into())
    }

    pub(crate) async fn recv(&self) -> Result<Message, Closed> {
        let mut deliveries = self.deliveries.lock().await;
        let mut message = deliveries.recv().await.ok_or(Closed)?;
        message.more = !deliveries.is_empty();
        self.taken.deliveries.fetch_add(1, Ordering::Relaxed);
        self.taken.notify.notify_one();
        Ok(message)
    }

    pub(crate) fn events(&self) -> broadcast::Receiver<Event> {
        // A closed peer's reader is told so at once.
        self.events.upgrade().map_or_else(|| broadcast::channel(1).1, |events| events.subscribe())
    }

    pub(crate) async fn close(&self) {
        // A failure means that it is closing already.
        let _ = self.commands.send(Wish::Close).await;
        self.closed().await;
    }

    pub(crate) async fn closed(&self) {
        // A failure means that the task is gone, with its runtime perhaps.
        let _ = self.closed.clone().wait_for(|closed| *closed).await;
    }
}
