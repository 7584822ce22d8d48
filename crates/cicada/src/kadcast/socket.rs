//! The one UDP socket of a Kadcast peer: it listens and sends, so that what is sent comes from where the peer listens.
//!
//! Several datagrams go to the system, and come from it, in one call where it can do that (GSO, GRO, `recvmmsg`).

use super::error::PeerError;
use bytes::Bytes;
use quinn::udp::{RecvMeta, Transmit, UdpSocketState};
use socket2::{Domain, Protocol, Socket as System, Type};
use std::{
    io::{self, IoSliceMut},
    net::{IpAddr, Ipv6Addr, SocketAddr},
};
use tokio::{io::Interest, net::UdpSocket};

/// A bound socket.
pub(super) struct Socket {
    io: UdpSocket,
    state: UdpSocketState,
    local: SocketAddr,
    /// The address that all that is sent must come from, if it is not the one that is bound, and is this machine's.
    source: Option<IpAddr>,
    granted: Granted,
    buffers: Vec<Vec<u8>>,
}

/// What the system gave.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Granted {
    /// The receive buffer asked for, in bytes.
    pub(super) asked_bytes: Option<usize>,
    /// The one in force.
    pub(super) receive_bytes: usize,
    /// How many datagrams one call may send.
    pub(super) segments: usize,
}

/// Datagrams of one sender that came together.
pub(super) struct Received {
    pub(super) from: SocketAddr,
    pub(super) bytes: Bytes,
    /// The length of each, but for the last.
    pub(super) stride: usize,
}

impl Socket {
    /// Binds. Nothing was sent before, and nothing is sent if it fails.
    pub(super) fn open(listen: SocketAddr, public: IpAddr, receive_bytes: Option<usize>) -> Result<Self, PeerError> {
        Self::try_open(listen, public, receive_bytes).map_err(|source| match source.kind() {
            io::ErrorKind::AddrInUse => PeerError::InUse { address: listen },
            _ => PeerError::System { address: listen, source },
        })
    }

    fn try_open(listen: SocketAddr, public: IpAddr, receive_bytes: Option<usize>) -> io::Result<Self> {
        let socket = System::new(Domain::for_address(listen), Type::DGRAM, Some(Protocol::UDP))?;
        if listen.is_ipv6() {
            socket.set_only_v6(listen.ip() != IpAddr::from(Ipv6Addr::UNSPECIFIED))?;
        }
        if let Some(bytes) = receive_bytes {
            // The system cuts the wish down to what it allows.
            socket.set_recv_buffer_size(bytes)?;
        }
        socket.set_nonblocking(true)?;
        socket.bind(&listen.into())?;
        let receive_bytes_granted = socket.recv_buffer_size()?;
        let state = UdpSocketState::new((&socket).into())?;
        allow_fragments(&socket, listen.is_ipv6())?;
        let io = UdpSocket::from_std(socket.into())?;
        let local = io.local_addr()?;
        let granted =
            Granted { asked_bytes: receive_bytes, receive_bytes: receive_bytes_granted / BOOKKEEPING, segments: state.max_gso_segments() };
        let source = (local.ip().is_unspecified() && is_here(public)).then_some(public);
        let buffers = vec![vec![0; BUFFER_BYTES]; BUFFERS];
        Ok(Self { io, state, local, source, granted, buffers })
    }

    pub(super) fn local(&self) -> SocketAddr {
        self.local
    }

    pub(super) fn granted(&self) -> Granted {
        self.granted
    }

    /// Waits until something may have come. Cancel-safe.
    pub(super) async fn readable(&self) -> io::Result<()> {
        self.io.readable().await
    }

    /// Waits until the system may take more. Cancel-safe.
    pub(super) async fn writable(&self) -> io::Result<()> {
        self.io.writable().await
    }

    /// Takes what has come, as much as one call gives, and says how many datagrams.
    pub(super) fn receive(&mut self, into: &mut Vec<Received>) -> io::Result<()> {
        let mut metas = [RecvMeta::default(); BUFFERS];
        let (io, state) = (&self.io, &self.state);
        let mut slices: [IoSliceMut<'_>; BUFFERS] = {
            let mut buffers = self.buffers.iter_mut();
            std::array::from_fn(|_| IoSliceMut::new(buffers.next().map_or(&mut [][..], Vec::as_mut_slice)))
        };
        let received = io.try_io(Interest::READABLE, || state.recv(io.into(), &mut slices, &mut metas))?;
        for (meta, buffer) in metas.iter().zip(&slices).take(received) {
            let from = SocketAddr::new(meta.addr.ip().to_canonical(), meta.addr.port());
            // A datagram of no bytes is one all the same; it says nothing.
            if meta.len > 0 {
                into.push(Received { from, bytes: Bytes::copy_from_slice(&buffer[..meta.len]), stride: meta.stride.clamp(1, meta.len) });
            }
        }
        Ok(())
    }

    /// Sends datagrams of `stride` bytes each, the last one perhaps shorter, or says that the system takes no more now.
    /// Anything else that goes wrong is a loss like any other on the network.
    pub(super) fn send(&self, to: SocketAddr, bytes: &[u8], stride: usize) -> io::Result<()> {
        let destination = match (to.ip(), self.local.is_ipv6()) {
            (IpAddr::V4(ip), true) => SocketAddr::new(ip.to_ipv6_mapped().into(), to.port()),
            (IpAddr::V4(_) | IpAddr::V6(_), _) => to,
        };
        let segment_size = (bytes.len() > stride).then_some(stride);
        let src_ip = self.source.filter(|source| source.is_ipv4() == to.is_ipv4());
        let transmit = Transmit { destination, ecn: None, contents: bytes, segment_size, src_ip };
        match self.io.try_io(Interest::WRITABLE, || self.state.try_send((&self.io).into(), &transmit)) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Err(error),
            Err(error) => {
                tracing::trace!(%to, %error, "not sent");
                Ok(())
            }
            Ok(()) => Ok(()),
        }
    }
}

/// quinn's sockets set the bit that forbids fragments, since QUIC finds the path's MTU itself. Kadcast does not, and its datagrams of
/// 1403 bytes must pass where less fits: there routers, or this machine, cut them.
#[cfg(target_os = "linux")]
fn allow_fragments(socket: &System, is_ipv6: bool) -> io::Result<()> {
    use rustix::net::sockopt::{Ipv4PathMtuDiscovery, Ipv6PathMtuDiscovery, set_ip_mtu_discover, set_ipv6_mtu_discover};
    if is_ipv6 {
        set_ipv6_mtu_discover(socket, Ipv6PathMtuDiscovery::DONT)?;
    }
    // A socket of both families has an option for each; one of IPv6 alone may refuse the other's.
    set_ip_mtu_discover(socket, Ipv4PathMtuDiscovery::DONT).or_else(|error| if is_ipv6 { Ok(()) } else { Err(error.into()) })
}

/// Elsewhere there is no such option in safe code: paths narrower than a datagram lose it.
#[cfg(not(target_os = "linux"))]
fn allow_fragments(_socket: &System, _is_ipv6: bool) -> io::Result<()> {
    Ok(())
}

/// Whether it is one of this machine's addresses: what is not cannot be bound.
fn is_here(ip: IpAddr) -> bool {
    std::net::UdpSocket::bind((ip, 0)).is_ok()
}

/// Linux counts its own bookkeeping as part of a buffer, and says twice what was asked for (socket(7)).
const BOOKKEEPING: usize = if cfg!(target_os = "linux") { 2 } else { 1 };

/// A datagram has up to 65 507 bytes, and so have those together that GRO hands over as one.
const BUFFER_BYTES: usize = 65_535;

/// Buffers for one call: half a megabyte for each peer of a process.
const BUFFERS: usize = 8; // guess

#[cfg(test)]
mod tests;
