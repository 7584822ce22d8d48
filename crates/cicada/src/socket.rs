//! One UDP socket for the links and for the datagrams beside them.
//!
//! QUIC packets have bit 0x40 of their first byte set (RFC 9000, section 17; our ends do not grease it), our datagrams have it
//! clear. Those are taken out here; QUIC sees the rest.

use bytes::Bytes;
use cicada_wire::DATAGRAM_TAG;
use quinn::{
    AsyncUdpSocket, UdpPoller,
    udp::{RecvMeta, Transmit, UdpSocketState},
};
use std::{
    collections::BTreeMap,
    io::{self, IoSliceMut},
    net::{IpAddr, Ipv6Addr, SocketAddr},
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, ready},
};
use tokio::{
    io::Interest,
    net::UdpSocket,
    sync::{mpsc, oneshot, watch},
};

/// A datagram that is not QUIC's, as it came.
pub(crate) struct Received {
    pub(crate) from: SocketAddr,
    /// Which of this machine's addresses it was sent to, where the system tells.
    pub(crate) to: Option<IpAddr>,
    pub(crate) bytes: Bytes,
}

/// The socket, shared by quinn and the task that owns the node.
pub(crate) struct SharedSocket {
    // Dropped first: whoever waits for `freed` may bind the port again.
    io: UdpSocket,
    state: UdpSocketState,
    received: mpsc::Sender<Received>,
    dialled: Dialled,
    _freed: oneshot::Sender<()>,
}

impl SharedSocket {
    /// Wraps a bound socket. The second value yields our datagrams, the third ends when the port is free again.
    pub(crate) fn new(socket: std::net::UdpSocket) -> io::Result<(Arc<Self>, mpsc::Receiver<Received>, oneshot::Receiver<()>)> {
        let state = UdpSocketState::new((&socket).into())?;
        let (received, datagrams) = mpsc::channel(DATAGRAMS);
        let (freed, is_freed) = oneshot::channel();
        let io = UdpSocket::from_std(socket)?;
        Ok((Arc::new(Self { io, state, received, dialled: Dialled::default(), _freed: freed }), datagrams, is_freed))
    }

    /// Sends one datagram, from one of this machine's addresses if it matters which, or drops it when the system takes no more:
    /// datagrams may be lost anyway.
    pub(crate) fn send_datagram(&self, to: SocketAddr, from: Option<IpAddr>, bytes: &[u8]) -> io::Result<()> {
        let v6 = self.io.local_addr()?.is_ipv6();
        let destination = if v6 { mapped(to) } else { to };
        let transmit = Transmit { destination, ecn: None, contents: bytes, segment_size: None, src_ip: from };
        self.io.try_io(Interest::WRITABLE, || self.state.try_send((&self.io).into(), &transmit))
    }

    /// Watches what comes from an address while it is dialled, for telling silence from something else than a peer.
    pub(crate) fn watch(self: &Arc<Self>, address: SocketAddr) -> Watched {
        let (signs, seen) = watch::channel(Signs::default());
        self.dialled.add(address, signs);
        Watched { socket: Arc::clone(self), address, seen }
    }

    /// Takes our datagrams out of a received buffer. What is left stands at its front.
    fn take_ours(&self, meta: &mut RecvMeta, buffer: &mut [u8]) {
        let from = SocketAddr::new(meta.addr.ip().to_canonical(), meta.addr.port());
        let stride = meta.stride.max(1);
        let (mut read, mut kept) = (0, 0);
        while read < meta.len {
            let end = (read + stride).min(meta.len);
            self.dialled.note(from, Signs::of(&buffer[read..end]));
            if buffer[read] & QUIC_BIT != 0 {
                // Only the last segment is shorter than the stride, so what is left keeps its boundaries.
                buffer.copy_within(read..end, kept);
                kept += end - read;
            } else {
                // A full queue loses datagrams, as the network does.
                let bytes = Bytes::copy_from_slice(&buffer[read..end]);
                let _ = self.received.try_send(Received { from, to: meta.dst_ip, bytes });
            }
            read = end;
        }
        meta.len = kept;
    }
}

impl std::fmt::Debug for SharedSocket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.io.fmt(f)
    }
}

impl AsyncUdpSocket for SharedSocket {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        Box::pin(Writable { socket: self, waiting: None })
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        let sent = self.io.try_io(Interest::WRITABLE, || self.state.try_send((&self.io).into(), transmit));
        match sent {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Err(error),
            Err(error) => {
                // QUIC sends again or gives up by its own clock. Too large a packet is a probe for the path's MTU.
                let to = transmit.destination;
                if means_unreachable(error.kind()) {
                    let to = SocketAddr::new(to.ip().to_canonical(), to.port());
                    self.dialled.note(to, Signs { unreachable: true, ..Signs::default() });
                }
                tracing::trace!(%to, %error, "not sent");
                Ok(())
            }
            Ok(()) => Ok(()),
        }
    }

    fn poll_recv(&self, cx: &mut Context<'_>, bufs: &mut [IoSliceMut<'_>], meta: &mut [RecvMeta]) -> Poll<io::Result<usize>> {
        let count = bufs.len().min(meta.len()).min(RECEIVE_BATCH);
        loop {
            ready!(self.io.poll_recv_ready(cx))?;
            let received =
                self.io.try_io(Interest::READABLE, || self.state.recv((&self.io).into(), &mut bufs[..count], &mut meta[..count]));
            let Ok(received) = received else { continue };
            for (meta, buffer) in meta.iter_mut().zip(bufs.iter_mut()).take(received) {
                self.take_ours(meta, buffer);
            }
            return Poll::Ready(Ok(received));
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.io.local_addr()
    }

    fn max_transmit_segments(&self) -> usize {
        self.state.max_gso_segments()
    }

    fn max_receive_segments(&self) -> usize {
        self.state.gro_segments()
    }

    fn may_fragment(&self) -> bool {
        self.state.may_fragment()
    }
}

/// Waits until the socket takes more.
struct Writable {
    socket: Arc<SharedSocket>,
    waiting: Option<Pin<Box<dyn Future<Output = io::Result<()>> + Send + Sync>>>,
}

impl std::fmt::Debug for Writable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Writable")
    }
}

impl UdpPoller for Writable {
    fn poll_writable(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let waiting = this.waiting.get_or_insert_with(|| {
            let socket = Arc::clone(&this.socket);
            Box::pin(async move { socket.io.writable().await })
        });
        let result = ready!(waiting.as_mut().poll(cx));
        this.waiting = None;
        Poll::Ready(result)
    }
}

/// What was noticed of an address while it was dialled.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Signs {
    /// What came from there was part of a QUIC handshake.
    quic: bool,
    /// What came from there was something else.
    foreign: bool,
    /// The system knows no way there.
    unreachable: bool,
}

impl Signs {
    /// Of one datagram. During a handshake a QUIC server sends long headers only (RFC 9000, section 17.2), of the version that
    /// it was asked in or of none.
    fn of(bytes: &[u8]) -> Self {
        let quic = matches!(bytes, [first, 0, 0, 0, 0 | 1, ..] if first & LONG_HEADER != 0);
        // Members ask and answer beside links; that says nothing of the dial.
        let ours = bytes.first() == Some(&DATAGRAM_TAG);
        Self { quic, foreign: !quic && !ours, unreachable: false }
    }

    /// Whether something there speaks QUIC.
    pub(crate) fn is_quic(self) -> bool {
        self.quic
    }

    /// Whether only something that is no peer answered.
    pub(crate) fn are_foreign(self) -> bool {
        self.foreign && !self.quic
    }
}

/// Ends the watch when dropped.
pub(crate) struct Watched {
    socket: Arc<SharedSocket>,
    address: SocketAddr,
    seen: watch::Receiver<Signs>,
}

impl Watched {
    /// What was noticed so far.
    pub(crate) fn signs(&self) -> Signs {
        *self.seen.borrow()
    }

    /// Waits until the system says that it knows no way there; for ever if it does not.
    pub(crate) async fn unreachable(&self) {
        if self.seen.clone().wait_for(|signs| signs.unreachable).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.socket.dialled.remove(self.address);
    }
}

/// The addresses being dialled. A lock, since quinn's task notes what a dial's task reads; held for one look at the map.
#[derive(Default)]
struct Dialled {
    count: AtomicUsize,
    signs: Mutex<BTreeMap<SocketAddr, watch::Sender<Signs>>>,
}

impl Dialled {
    fn add(&self, address: SocketAddr, signs: watch::Sender<Signs>) {
        let mut all = self.signs.lock().unwrap_or_else(PoisonError::into_inner);
        all.insert(address, signs);
        self.count.store(all.len(), Ordering::Relaxed);
    }

    fn remove(&self, address: SocketAddr) {
        let mut all = self.signs.lock().unwrap_or_else(PoisonError::into_inner);
        all.remove(&address);
        self.count.store(all.len(), Ordering::Relaxed);
    }

    fn note(&self, address: SocketAddr, new: Signs) {
        if self.count.load(Ordering::Relaxed) == 0 {
            return;
        }
        let all = self.signs.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(signs) = all.get(&address) else { return };
        signs.send_if_modified(|signs| {
            let before = *signs;
            signs.quic |= new.quic;
            signs.foreign |= new.foreign;
            signs.unreachable |= new.unreachable;
            *signs != before
        });
    }
}

fn means_unreachable(kind: io::ErrorKind) -> bool {
    use io::ErrorKind as Kind;
    matches!(kind, Kind::ConnectionRefused | Kind::HostUnreachable | Kind::NetworkUnreachable | Kind::AddrNotAvailable | Kind::InvalidInput)
}

/// A v4 address as a v6 socket wants it.
fn mapped(address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(ip) => SocketAddr::new(Ipv6Addr::from(ip.to_ipv6_mapped().octets()).into(), address.port()),
        IpAddr::V6(_) => address,
    }
}

/// The bit that QUIC sets in every first byte (RFC 9000, section 17).
const QUIC_BIT: u8 = 0x40;

/// The bit of packets with a long header (RFC 9000, section 17.2).
const LONG_HEADER: u8 = 0x80;

/// Datagrams that wait for the task that owns the node.
const DATAGRAMS: usize = 512; // guess: the answers of a lookup and a round of upkeep, many times over

/// Buffers filled by one call. Each takes up to 64 segments that the system has put together, so few are enough, and the 2.9 MiB
/// that quinn reserves for 32 of them do not all become resident.
const RECEIVE_BATCH: usize = 4;

#[cfg(test)]
mod tests;
