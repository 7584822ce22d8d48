//! The one UDP socket of a peer, and the address that it announces.

use crate::{error::BindError, error::ResolveError, target::HostPort};
use cicada_proto::config::Families;
use cicada_wire::Address;
use socket2::{Domain, Protocol, Socket, Type};
use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
};

/// A bound socket.
pub(crate) struct Bound {
    pub(crate) socket: UdpSocket,
    pub(crate) local: SocketAddr,
    /// What others reach it by, as far as one can tell without asking them.
    pub(crate) announced: Address,
    /// Where it is reached in the other family, if it is bound in both.
    pub(crate) other_family: Option<Address>,
    pub(crate) families: Families,
}

/// Binds `place`, v4 preferred when it is a name; every interface when its host is empty.
pub(crate) async fn bind(place: &HostPort, external: Option<SocketAddr>) -> Result<Bound, BindError> {
    let (port, addresses) = place.resolve().await?;
    check_port(port)?;
    if let Some(external) = external {
        check_port(external.port())?;
    }
    let socket = if addresses.is_empty() { bind_everywhere(port)? } else { bind_first(&addresses)? };
    let local = socket.local_addr().map_err(|source| BindError::System { address: SocketAddr::new(LOOPBACK, port), source })?;
    let announced = external.unwrap_or_else(|| announced(local));
    let announced = Address::new(announced).map_err(|reason| BindError::Announced { address: announced, reason })?;
    let other_family = if is_of_both_families(local) { other_family(announced, local.port()) } else { None };
    // A socket may speak a family that the machine has no way out by.
    let families =
        other_family.into_iter().fold(Families::of_ip(announced.ip()), |families, other| families.and(Families::of_ip(other.ip())));
    Ok(Bound { socket, local, announced, other_family, families })
}

/// The documented rule of the original Cicada, as decided for this one.
fn check_port(port: u16) -> Result<(), BindError> {
    if port == 0 || port >= 1025 { Ok(()) } else { Err(BindError::Port { port }) }
}

fn bind_first(addresses: &[SocketAddr]) -> Result<UdpSocket, BindError> {
    let mut first_error = None;
    for address in addresses {
        match open(*address) {
            Ok(socket) => return Ok(socket),
            Err(error) => first_error = first_error.or(Some(error)),
        }
    }
    // Resolving gave at least one address.
    Err(first_error.unwrap_or_else(|| ResolveError::NoAddress { host: String::new() }.into()))
}

/// Both families where the system has both, else v4.
fn bind_everywhere(port: u16) -> Result<UdpSocket, BindError> {
    match open(SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), port)) {
        Err(BindError::System { .. }) => open(SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), port)),
        bound => bound,
    }
}

fn open(address: SocketAddr) -> Result<UdpSocket, BindError> {
    try_open(address).map_err(|source| match source.kind() {
        io::ErrorKind::AddrInUse => BindError::InUse { address },
        _ => BindError::System { address, source },
    })
}

fn try_open(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    if address.is_ipv6() {
        socket.set_only_v6(!address.ip().is_unspecified())?;
    }
    // Many peers may send at once; the system cuts the wish down to what it allows.
    socket.set_recv_buffer_size(RECEIVE_BUFFER_BYTES)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    Ok(socket.into())
}

/// The address to announce when none was given: the bound one, or the default route's, never the unspecified one.
fn announced(local: SocketAddr) -> SocketAddr {
    let ip = match local.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => default_route(TEST_NET_V4).unwrap_or(LOOPBACK),
        IpAddr::V6(ip) if ip.is_unspecified() => default_route(TEST_NET_V4).or_else(|| default_route(TEST_NET_V6)).unwrap_or(LOOPBACK),
        ip => ip,
    };
    SocketAddr::new(ip, local.port())
}

fn is_of_both_families(local: SocketAddr) -> bool {
    local.is_ipv6() && local.ip().is_unspecified()
}

/// This machine's address in the family that `announced` is not of, as near as that one is.
fn other_family(announced: Address, port: u16) -> Option<Address> {
    let ip = match (announced.ip().is_ipv4(), announced.ip().is_loopback()) {
        (true, true) => IpAddr::V6(Ipv6Addr::LOCALHOST),
        (false, true) => LOOPBACK,
        (true, false) => default_route(TEST_NET_V6)?,
        (false, false) => default_route(TEST_NET_V4)?,
    };
    Address::new(SocketAddr::new(ip, port)).ok()
}

/// The address from which this machine would speak to `outside`. Connecting a UDP socket sends nothing.
fn default_route(outside: IpAddr) -> Option<IpAddr> {
    let any: IpAddr = if outside.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0)).ok()?;
    socket.connect((outside, 9)).ok()?;
    let ip = socket.local_addr().ok()?.ip();
    (!ip.is_unspecified() && Address::new(SocketAddr::new(ip, 9)).is_ok()).then_some(ip)
}

/// Whether what is bound as `local` receives what is sent to `address`.
pub(crate) fn listens_at(local: SocketAddr, address: Address) -> bool {
    if local.port() != address.port() {
        return false;
    }
    if local.ip().to_canonical() == address.ip() {
        return true;
    }
    let both_families = local.is_ipv6() || address.ip().is_ipv4();
    local.ip().is_unspecified() && both_families && is_this_machine(address.ip())
}

/// Speaking to one of its own addresses, a machine speaks from that address. (That an address can be bound proves less: some
/// systems allow any.)
fn is_this_machine(ip: IpAddr) -> bool {
    ip.is_loopback() || default_route(ip) == Some(ip)
}

const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// Addresses for documentation (RFC 5737, RFC 3849): outside, and never reached.
const TEST_NET_V4: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
const TEST_NET_V6: IpAddr = IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1));

/// 16 links with a receive window of 128 KiB each.
const RECEIVE_BUFFER_BYTES: usize = 2 * 1024 * 1024;
