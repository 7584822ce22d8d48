//! The peer as the application holds it.

use super::{
    config::Config,
    deliveries,
    driver::{Closing, Driver, Wish},
    error::PeerError,
    event::Event,
    metrics::Metrics,
    outgoing::{Outgoing, Pace},
    socket::Socket,
};
use crate::metrics::MetricsServer;
use bytes::Bytes;
use cicada_proto::kadcast::{Blocked, Contact, Identity, Machine, SendError};
use std::{
    collections::BTreeMap,
    io,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Weak},
    time::Instant,
};
use tokio::{
    runtime,
    sync::{Semaphore, broadcast, mpsc, oneshot, watch},
};

/// What takes messages.
pub trait NetworkListen: Send {
    /// Called with each message, in a task of the runtime, one after the other. Whoever takes long misses messages in the end: so many
    /// wait as [`Config::channel_size`] says, and 64 MiB of them.
    fn on_message(&self, message: Vec<u8>, metadata: MessageInfo);
}

/// What is known of a message beside its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MessageInfo {
    pub(super) src: SocketAddr,
    pub(super) height: u8,
    pub(super) ray_id: [u8; 32],
}

impl MessageInfo {
    /// Who handed it to us; its origin is not known.
    #[must_use]
    pub fn src(&self) -> SocketAddr {
        self.src
    }

    /// The height that it came with: 0 if it was for us alone.
    #[must_use]
    pub fn height(&self) -> u8 {
        self.height
    }

    /// Its name, a digest of the message.
    #[must_use]
    pub fn ray_id(&self) -> &[u8] {
        &self.ray_id
    }
}

/// A peer of a Kadcast network. Ends when it is dropped; [`Peer::shutdown`] also waits for that.
#[derive(Debug)]
pub struct Peer {
    handle: Arc<Handle>,
    closing: watch::Sender<Closing>,
    ended: watch::Receiver<()>,
}

/// What speaks to the peer's task. It does not keep the peer alive.
#[derive(Debug)]
pub(super) struct Handle {
    wishes: mpsc::Sender<Wish>,
    /// Payloads of the application that are not handed out yet, in KiB.
    payloads: Arc<Semaphore>,
    events: broadcast::WeakSender<Event>,
    identity: Identity,
    local: SocketAddr,
}

impl Peer {
    /// Makes a peer: binds, then starts. Must be called in a runtime of tokio. Finding its nonce takes some tenths of a second of CPU time.
    ///
    /// # Errors
    /// When the configuration cannot be, or the address cannot be had; then nothing was sent.
    pub fn new<L: NetworkListen + 'static>(config: Config, listener: L) -> Result<Self, PeerError> {
        let runtime = runtime::Handle::try_current().map_err(|_| PeerError::NoRuntime)?;
        let _inside = runtime.enter();
        let checked = config.checked()?;
        let socket = Socket::open(checked.listen, checked.public.ip(), config.network.udp_recv_buffer_size)?;
        tell_of_buffer(&socket);
        let local = socket.local();
        let port = if checked.public.port() == 0 { local.port() } else { checked.public.port() };
        let public = SocketAddr::new(checked.public.ip(), port);
        let no_nonce = || PeerError::config("public_address", format!("no nonce shows enough work for {public}; take another port"));
        let identity = Identity::mine_bits(public, config.cicada.work_bits).ok_or_else(no_nonce)?;
        let machine = Machine::new(checked.settings, identity, seed()?).map_err(|error| PeerError::config(error.field, error.why))?;
        let pace = Pace {
            receiver_bytes_per_second: config.cicada.receiver_bytes_per_second,
            line_bytes_per_second: config.cicada.line_bytes_per_second,
            pause: config.network.udp_send_backoff_timeout,
            segments: socket.granted().segments,
        };
        let (wishes, wished) = mpsc::channel(config.channel_size);
        let (deliveries, inbox) = deliveries::queue(config.channel_size);
        let (events, _) = broadcast::channel(EVENTS);
        let (closing, close) = watch::channel(Closing::No);
        let (end, ended) = watch::channel(());
        let handle = Handle { wishes, payloads: Arc::new(Semaphore::new(PAYLOADS_KIB)), events: events.downgrade(), identity, local };
        let outgoing = Outgoing::new(pace, tokio::time::Instant::now());
        let driver = Driver::new(machine, socket, outgoing, config.bootstrapping_nodes, deliveries, events);
        let telling = tokio::spawn(inbox.tell(listener));
        tokio::spawn(async move {
            driver.run(wished, close).await;
            // A listener that panicked has ended as well.
            let _ = telling.await;
            drop(end);
        });
        Ok(Self { handle: Arc::new(handle), closing, ended })
    }

    /// Hands a message to everybody, or to the peers of the buckets up to `height`. Returns once it is queued; what is wrong with it is told
    /// by [`Peer::events`] and in the log, see also [`Peer::try_broadcast`].
    pub async fn broadcast(&self, message: &[u8], height: Option<u8>) {
        self.handle.queue(Bytes::copy_from_slice(message), |payload, queued| Wish::Broadcast { payload, height, queued }).await;
    }

    /// Hands a message to one peer, which hands it on to nobody. The peer need not be known. Returns once it is queued.
    pub async fn send(&self, message: &[u8], target: SocketAddr) {
        self.send_to_peers(message, vec![target]).await;
    }

    /// Hands a message to these, which hand it on to nobody. Returns once it is queued.
    pub async fn send_to_peers(&self, message: &[u8], targets: Vec<SocketAddr>) {
        self.handle.queue(Bytes::copy_from_slice(message), |payload, queued| Wish::Send { payload, to: targets, queued }).await;
    }

    /// Like [`Peer::broadcast`], waiting until the message is encoded and on its way. Returns to how many peers it goes directly.
    ///
    /// # Errors
    /// Says why it is not sent.
    pub async fn try_broadcast(&self, message: impl Into<Bytes>, height: Option<u8>) -> Result<usize, SendError> {
        self.handle.sent(message.into(), |payload, queued| Wish::Broadcast { payload, height, queued }).await
    }

    /// Like [`Peer::send_to_peers`], waiting until the message is encoded and on its way.
    ///
    /// # Errors
    /// Says why it is not sent.
    pub async fn try_send(&self, message: impl Into<Bytes>, targets: Vec<SocketAddr>) -> Result<usize, SendError> {
        self.handle.sent(message.into(), |payload, queued| Wish::Send { payload, to: targets, queued }).await
    }

    /// Up to `amount` peers heard of lately, drawn at random.
    pub async fn alive_nodes(&self, amount: usize) -> Vec<SocketAddr> {
        self.handle.ask(|done| Wish::Alive { amount, done }).await.unwrap_or_default()
    }

    /// The table: of each bucket that is not empty the peers, and when they were heard of last.
    pub async fn to_route_table(&self) -> BTreeMap<u8, Vec<(SocketAddr, Instant)>> {
        let now = Instant::now();
        let seen = |peer: &Contact| (peer.address, now.checked_sub(peer.silent).unwrap_or(now));
        self.table().await.into_iter().map(|(bucket, peers)| (bucket, peers.iter().map(seen).collect())).collect()
    }

    /// The table with all that is known of its peers.
    pub async fn table(&self) -> BTreeMap<u8, Vec<Contact>> {
        self.handle.ask(|done| Wish::Table { done }).await.unwrap_or_default()
    }

    /// Has nothing to do any more with the peer that announces this address, from now on.
    pub async fn block_source(&self, source: SocketAddr) {
        self.handle.wish(Wish::Block(Blocked::Peer(source))).await;
    }

    /// Takes [`Peer::block_source`] back.
    pub async fn unblock_source(&self, source: SocketAddr) {
        self.handle.wish(Wish::Unblock(Blocked::Peer(source))).await;
    }

    /// Has nothing to do any more with anybody at this address, from now on.
    pub async fn block_ip(&self, ip: IpAddr) {
        self.handle.wish(Wish::Block(Blocked::Ip(ip))).await;
    }

    /// Takes [`Peer::block_ip`] back.
    pub async fn unblock_ip(&self, ip: IpAddr) {
        self.handle.wish(Wish::Unblock(Blocked::Ip(ip))).await;
    }

    /// Logs the table.
    #[doc(hidden)]
    pub async fn report(&self) {
        for (height, peers) in self.table().await {
            let peers: Vec<String> = peers.iter().map(|peer| peer.address.to_string()).collect();
            tracing::info!(height, peers = peers.join(","), "bucket");
        }
    }

    /// What happens from now on. Whoever does not keep up is told how much it missed.
    #[must_use]
    pub fn events(&self) -> broadcast::Receiver<Event> {
        match self.handle.events.upgrade() {
            Some(events) => events.subscribe(),
            // A channel that has ended, as the peer has.
            None => broadcast::channel(1).1,
        }
    }

    /// What the peer has done so far; nothing any more when it has ended.
    pub async fn metrics(&self) -> Metrics {
        self.handle.metrics().await.unwrap_or_default()
    }

    /// Serves [`Metrics::text`] over HTTP, at `/metrics`, until the server is dropped or the peer has ended.
    ///
    /// # Errors
    /// When the address cannot be had.
    pub async fn serve_metrics(&self, address: SocketAddr) -> io::Result<MetricsServer> {
        let peer = Arc::downgrade(&self.handle);
        let text = move || {
            let peer = Weak::clone(&peer);
            async move { Some(peer.upgrade()?.metrics().await?.text) }
        };
        let mut ended = self.ended.clone();
        MetricsServer::start(address, text, async move { while ended.changed().await.is_ok() {} }).await
    }

    /// The address that others are told.
    #[must_use]
    pub fn public_address(&self) -> SocketAddr {
        self.handle.identity.address()
    }

    /// The address that is bound.
    #[must_use]
    pub fn local_address(&self) -> SocketAddr {
        self.handle.local
    }

    /// Ends the peer: what was queued is sent, for three seconds at most, the listener is told what has come, the port is free. Waits for that.
    /// A second call waits as well.
    pub async fn shutdown(&self) {
        self.closing.send_replace(Closing::AfterSending);
        let mut ended = self.ended.clone();
        // Nothing is ever sent on it: it errs when the other end is gone.
        while ended.changed().await.is_ok() {}
    }
}

impl Handle {
    /// Queues a payload and does not wait for what becomes of it.
    async fn queue(&self, payload: Bytes, wish: impl FnOnce(Bytes, super::driver::Queued) -> Wish) {
        if payload.is_empty() {
            tracing::warn!("a message is not sent: {}", SendError::Empty);
            return;
        }
        let Some(queued) = self.place(&payload, None).await else { return };
        self.wish(wish(payload, queued)).await;
    }

    async fn sent(&self, payload: Bytes, wish: impl FnOnce(Bytes, super::driver::Queued) -> Wish) -> Result<usize, SendError> {
        let (done, sent) = oneshot::channel();
        let queued = self.place(&payload, Some(done)).await.ok_or(SendError::Closed)?;
        self.wish(wish(payload, queued)).await;
        sent.await.unwrap_or(Err(SendError::Closed))
    }

    /// Waits until there is room for a payload.
    async fn place(&self, payload: &Bytes, done: Option<oneshot::Sender<Result<usize, SendError>>>) -> Option<super::driver::Queued> {
        let kib = u32::try_from(payload.len() / 1024 + 1).unwrap_or(u32::MAX).min(PAYLOADS_KIB as u32);
        let room = Arc::clone(&self.payloads).acquire_many_owned(kib).await.ok()?;
        Some(super::driver::Queued { done, _room: room })
    }

    async fn wish(&self, wish: Wish) {
        if self.wishes.send(wish).await.is_err() {
            tracing::debug!("this peer is shut down");
        }
    }

    async fn ask<T>(&self, wish: impl FnOnce(oneshot::Sender<T>) -> Wish) -> Option<T> {
        let (done, answer) = oneshot::channel();
        self.wish(wish(done)).await;
        answer.await.ok()
    }

    pub(super) async fn metrics(&self) -> Option<Metrics> {
        self.ask(|done| Wish::Metrics { done }).await
    }
}

fn tell_of_buffer(socket: &Socket) {
    let granted = socket.granted();
    if let Some(asked) = granted.asked_bytes
        && granted.receive_bytes < asked
    {
        tracing::info!(
            asked_bytes = asked,
            granted_bytes = granted.receive_bytes,
            "the system grants a smaller receive buffer than was asked for; fast senders may overrun it (on Linux: sysctl net.core.rmem_max)"
        );
    }
}

fn seed() -> Result<u64, PeerError> {
    let bytes = crate::random::bytes().map_err(|error| PeerError::Randomness(io::Error::other(error)))?;
    Ok(u64::from_le_bytes(bytes))
}

/// Payloads of the application that wait to be encoded: six of the longest.
const PAYLOADS_KIB: usize = 64 << 10; // guess

/// Events that a reader may lag behind.
const EVENTS: usize = 512; // guess; their places are reserved at once
