//! Opening links: dials, arrivals, and what bounds them.

use crate::{
    body::Body,
    entrance::{Entrance, Passage},
    hello::{self, Greeted, Terms},
    hook_thread::HookThread,
    link::{self, Digests, LinkHandle, Reader},
    node::RemoteNode,
    quinn_tasks::QuinnTasks,
    socket::SharedSocket,
    tls,
};
use bytes::Bytes;
use cicada_proto::{BodyId, DialError, DialId, LinkId, LinkUp, Me, StreamId};
use cicada_wire::{Address, Frame, Identity, LinkSide, PublicKey, Refusal};
use quinn::{Connection, Endpoint, EndpointConfig, Incoming, TransportConfig, VarInt};
use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::{
    sync::{mpsc, watch},
    time::timeout,
};

/// What the tasks of links and dials tell the one that owns the node.
pub(crate) enum News {
    /// A link stands.
    Up(LinkUp, LinkHandle, Reader),
    /// A link is gone.
    Down(LinkId, Refusal),
    /// A frame arrived on a stream of its own.
    Frame(LinkId, Frame),
    /// A long frame begins to arrive.
    Arriving { link: LinkId, head: Frame, number: BodyId, body: Arc<Body> },
    /// A payload has arrived, or will not.
    Ended(BodyId, bool),
    /// A long frame has left, or will not; and how much of its payload did.
    Streamed { stream: StreamId, complete: bool, sent: usize },
    /// A dial came to nothing.
    DialFailed(DialId, DialError),
    /// Somebody knocks.
    Knock(Incoming, Passage),
    /// Somebody who knocked was refused.
    Refused(Refusal),
}

/// What the tasks of links and dials share.
pub(crate) struct Network {
    pub(crate) endpoint: Endpoint,
    pub(crate) quinn_tasks: Arc<QuinnTasks>,
    pub(crate) socket: Arc<SharedSocket>,
    pub(crate) terms: Terms,
    /// Who we are. Ends when the peer does.
    pub(crate) me: watch::Receiver<Me>,
    pub(crate) news: mpsc::Sender<News>,
    pub(crate) hooks: Option<HookThread>,
    /// No frame is longer.
    pub(crate) frame_bytes: usize,
    pub(crate) entrance: Arc<Entrance>,
    local: SocketAddr,
    next_link: AtomicU64,
    next_body: AtomicU64,
    /// Of payloads that are sent from here.
    pub(crate) digests: Digests,
}

/// What a [`Network`] is made of.
pub(crate) struct Parts<'a> {
    pub(crate) identity: &'a Identity,
    pub(crate) socket: Arc<SharedSocket>,
    pub(crate) local: SocketAddr,
    pub(crate) terms: Terms,
    pub(crate) me: watch::Receiver<Me>,
    pub(crate) news: mpsc::Sender<News>,
    pub(crate) hooks: Option<HookThread>,
    pub(crate) frame_bytes: usize,
    pub(crate) entrance: Arc<Entrance>,
    /// Handshakes under way at once.
    pub(crate) half_open: usize,
}

impl Network {
    /// Starts to listen.
    pub(crate) fn open(parts: Parts<'_>) -> io::Result<Self> {
        let (client, server) = tls::configurations(parts.identity).map_err(io::Error::other)?;
        let mut client = quinn::ClientConfig::new(Arc::new(client));
        client.transport_config(Arc::new(transport(Some(KEEP_ALIVE))));
        let mut server = quinn::ServerConfig::with_crypto(Arc::new(server));
        // Links do not move: an address is part of who a peer is.
        server
            .transport_config(Arc::new(transport(None)))
            .migration(false)
            .max_incoming(parts.half_open)
            .incoming_buffer_size(INCOMING_BYTES);
        server.incoming_buffer_size_total(INCOMING_BYTES * parts.half_open as u64);
        let mut config = EndpointConfig::default();
        config.grease_quic_bit(false);
        let socket = Arc::clone(&parts.socket);
        let quinn_tasks = Arc::new(QuinnTasks::default());
        let mut endpoint = Endpoint::new_with_abstract_socket(config, Some(server), socket, Arc::clone(&quinn_tasks) as _)?;
        endpoint.set_default_client_config(client);
        Ok(Self {
            endpoint,
            quinn_tasks,
            socket: parts.socket,
            terms: parts.terms,
            me: parts.me,
            news: parts.news,
            hooks: parts.hooks,
            frame_bytes: parts.frame_bytes,
            entrance: parts.entrance,
            local: parts.local,
            next_link: AtomicU64::new(0),
            next_body: AtomicU64::new(0),
            digests: Digests::default(),
        })
    }

    /// Tells of everybody who knocks and is let in, until the endpoint is closed.
    pub(crate) async fn accept(endpoint: Endpoint, entrance: Arc<Entrance>, news: mpsc::Sender<News>) {
        while let Some(incoming) = endpoint.accept().await {
            // Here, so that a flood of knocks does not stand in the way of other news.
            let Some((incoming, passage)) = entrance.knock(incoming) else { continue };
            if news.send(News::Knock(incoming, passage)).await.is_err() {
                return;
            }
        }
    }

    /// Opens a link, and carries it until its end.
    pub(crate) async fn dial(self: Arc<Self>, dial: DialId, to: Address, expected: Option<PublicKey>) {
        let me = self.me.borrow().clone();
        let dialled = tokio::select! {
            dialled = self.try_dial(to, expected, &me) => dialled,
            () = self.ended() => Err(DialError::Refused(Refusal::Closing)),
        };
        match dialled {
            Ok((connection, greeted)) => self.carry(connection, greeted, LinkSide::Dialler, Some(dial)).await,
            Err(error) => {
                tracing::debug!(%to, ?error, "dial failed");
                // A failure means that the peer has ended.
                let _ = self.news.send(News::DialFailed(dial, error)).await;
            }
        }
    }

    async fn try_dial(&self, to: Address, expected: Option<PublicKey>, me: &Me) -> Result<(Connection, Greeted), DialError> {
        let other_family = to.ip().is_ipv6() != self.local.is_ipv6();
        let both_families = self.local.is_ipv6() && self.local.ip().is_unspecified();
        if other_family && !both_families {
            return Err(DialError::Unreachable);
        }
        self.entrance.may_dial(to.ip()).map_err(DialError::Refused)?;
        let watched = self.socket.watch(to.socket());
        // The name is not sent; it only has to have the form of one.
        let connecting = self.endpoint.connect(to.socket(), "cicada").map_err(|_| DialError::Unreachable)?;
        let mut connecting = std::pin::pin!(connecting);
        let connected = tokio::select! {
            connected = timeout(ANSWER_TIMEOUT, &mut connecting) => connected,
            () = watched.unreachable() => return Err(DialError::Unreachable),
        };
        let connected = match connected {
            // Whoever has begun to answer is there, and may be busy.
            Err(_) if watched.signs().is_quic() => timeout(HANDSHAKE_TIMEOUT, connecting).await,
            connected => connected,
        };
        let connection = match connected {
            Ok(Ok(connection)) => connection,
            Ok(Err(error)) => return Err(hello::dial_error(&error)),
            // Bytes came, but they were not what a peer says.
            Err(_) if watched.signs().are_foreign() => return Err(DialError::NotAPeer),
            Err(_) => return Err(DialError::TimedOut),
        };
        drop(watched);
        let greeted = hello::dial(&connection, expected, me, &self.terms, &self.entrance).await?;
        Ok((connection, greeted))
    }

    /// Lets somebody in who knocks, and carries the link until its end.
    pub(crate) async fn listen(self: Arc<Self>, incoming: Incoming, mut passage: Passage) {
        let greeted = tokio::select! {
            greeted = self.greet(incoming) => greeted,
            () = self.ended() => return,
        };
        match greeted {
            Some(Ok((connection, greeted))) => {
                passage.linked();
                self.carry(connection, greeted, LinkSide::Listener, None).await;
            }
            Some(Err(refusal)) => {
                // A failure means that the peer has ended.
                let _ = self.news.send(News::Refused(refusal)).await;
            }
            None => {}
        }
    }

    /// `None` when there was not even a handshake.
    async fn greet(&self, incoming: Incoming) -> Option<Result<(Connection, Greeted), Refusal>> {
        let me = self.me.borrow().clone();
        let remote = incoming.remote_address();
        let connected = match incoming.accept() {
            Ok(connecting) => timeout(HANDSHAKE_TIMEOUT, connecting).await,
            Err(error) => Ok(Err(error)),
        };
        let Ok(Ok(connection)) = connected else {
            tracing::debug!(%remote, "no handshake");
            return None;
        };
        Some(hello::listen(&connection, &me, &self.terms, &self.entrance).await.map(|greeted| (connection, greeted)))
    }

    /// Waits until the peer ends.
    async fn ended(&self) {
        let mut me = self.me.clone();
        while me.changed().await.is_ok() {}
    }

    /// A number for a payload that begins to arrive.
    pub(crate) fn next_body(&self) -> BodyId {
        BodyId(self.next_body.fetch_add(1, Ordering::Relaxed))
    }

    /// Shows the hooks what is sent to a peer: a frame, or of a long one its head and each piece of its payload.
    pub(crate) fn show_sent(&self, to: RemoteNode, bytes: &Bytes) {
        if let Some(hooks) = &self.hooks {
            hooks.send(to, bytes.clone());
        }
    }

    async fn carry(self: Arc<Self>, connection: Connection, greeted: Greeted, side: LinkSide, dial: Option<DialId>) {
        let remote = connection.remote_address();
        let up = LinkUp {
            link: LinkId(self.next_link.fetch_add(1, Ordering::Relaxed)),
            record: greeted.hello.record,
            side,
            remote: SocketAddr::new(remote.ip().to_canonical(), remote.port()),
            dial,
            boot: greeted.hello.boot,
            capabilities: greeted.hello.capabilities,
        };
        link::run(&self, connection, greeted.send, greeted.recv, up).await;
    }
}

/// Of a link whose idleness this end breaks after a while, or leaves that to the other end.
fn transport(keep_alive: Option<Duration>) -> TransportConfig {
    let mut transport = TransportConfig::default();
    transport
        .max_concurrent_bidi_streams(VarInt::from_u32(1))
        .max_concurrent_uni_streams(VarInt::from_u32(link::BULK_STREAMS))
        .stream_receive_window(VarInt::from_u32(STREAM_WINDOW_BYTES))
        .receive_window(VarInt::from_u32(RECEIVE_WINDOW_BYTES))
        .send_window(SEND_WINDOW_BYTES)
        .datagram_receive_buffer_size(None)
        .initial_rtt(INITIAL_ROUND_TRIP)
        .congestion_controller_factory(Arc::new(quinn::congestion::BbrConfig::default()))
        .keep_alive_interval(keep_alive);
    // A minute fits into what the wire can say.
    transport.max_idle_timeout(Some(VarInt::from_u32(IDLE_TIMEOUT_MS).into()));
    transport
}

/// What is on its way on one stream. Many links end at one socket, whose buffer the system bounds.
const STREAM_WINDOW_BYTES: u32 = 128 * 1024;

/// The same for all streams of a link, so that long frames that wait for somebody leave room for the others.
const RECEIVE_WINDOW_BYTES: u32 = 1024 * 1024; // the four longest, and as much again

/// What a link holds that was not acknowledged. More than all streams together may take, so that none waits for another.
const SEND_WINDOW_BYTES: u64 = 2 * 1024 * 1024;

/// Until it is measured; sets when the first packet is sent again.
const INITIAL_ROUND_TRIP: Duration = Duration::from_millis(100); // guess: most of the internet's are below

/// A dead end is noticed after this long at the latest; the node's own checks are quicker.
const IDLE_TIMEOUT_MS: u32 = 60_000; // guess: what a client that died still takes up

/// Only the dialler keeps a link alive, so that two ends do not do it twice. Below the 30 s after which some routers forget a
/// flow, and two to an idle timeout.
const KEEP_ALIVE: Duration = Duration::from_secs(25);

/// Who dials again and again wants to know soon that nobody is there.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(3); // guess: two lost packets and a slow path

/// How long a handshake may take once both ends have spoken.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5); // guess: a machine with much else to do

/// Bytes kept of a connection that is not accepted yet.
const INCOMING_BYTES: u64 = 8 * 1024; // a handshake's first flight is far below

#[cfg(test)]
mod tests;
