//! Whom an application means: names, addresses and ids, and how names become addresses.

use crate::{error::ResolveError, node::RemoteNode, peer::SwarmPeer};
use cicada_wire::{Address, Hash};
use std::net::{IpAddr, SocketAddr};

/// A place on the network: an address, or a name that has some.
///
/// Made of `(host, port)`, a [`SocketAddr`], `"host:port"` or a peer of this program. An empty host means all interfaces where
/// something is bound.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum HostPort {
    /// An address.
    Socket(SocketAddr),
    /// A host by name or IP, and a port.
    Host(String, u16),
    /// `host:port`.
    Text(String),
}

impl From<SocketAddr> for HostPort {
    fn from(address: SocketAddr) -> Self {
        Self::Socket(address)
    }
}

impl From<(IpAddr, u16)> for HostPort {
    fn from((ip, port): (IpAddr, u16)) -> Self {
        Self::Socket(SocketAddr::new(ip, port))
    }
}

impl From<(&str, u16)> for HostPort {
    fn from((host, port): (&str, u16)) -> Self {
        Self::Host(host.to_owned(), port)
    }
}

impl From<(String, u16)> for HostPort {
    fn from((host, port): (String, u16)) -> Self {
        Self::Host(host, port)
    }
}

impl From<&(&str, u16)> for HostPort {
    fn from((host, port): &(&str, u16)) -> Self {
        Self::Host((*host).to_owned(), *port)
    }
}

impl From<&str> for HostPort {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for HostPort {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<&SwarmPeer> for HostPort {
    fn from(peer: &SwarmPeer) -> Self {
        Self::Socket(peer.listener())
    }
}

impl From<&HostPort> for HostPort {
    fn from(place: &HostPort) -> Self {
        place.clone()
    }
}

/// As it was given.
impl std::fmt::Display for HostPort {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Socket(address) => address.fmt(f),
            Self::Host(host, port) if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Host(host, port) => write!(f, "{host}:{port}"),
            Self::Text(text) => f.write_str(text),
        }
    }
}

impl HostPort {
    /// Host and port, split but not resolved.
    fn parts(&self) -> Result<(String, u16), ResolveError> {
        match self {
            Self::Socket(address) => Ok((address.ip().to_string(), address.port())),
            Self::Host(host, port) => Ok((bare(host).to_owned(), *port)),
            Self::Text(text) => {
                let wrong = || ResolveError::Text { text: text.clone() };
                let (host, port) = text.rsplit_once(':').ok_or_else(wrong)?;
                if host.contains(':') && bare(host) == host {
                    return Err(wrong());
                }
                Ok((bare(host).to_owned(), port.parse().map_err(|_| wrong())?))
            }
        }
    }

    /// The address, where no name has to be resolved for it.
    pub(crate) fn without_waiting(&self) -> Result<SocketAddr, ResolveError> {
        let (host, port) = self.parts()?;
        let ip: IpAddr = host.parse().map_err(|_| ResolveError::WouldWait { host })?;
        Ok(SocketAddr::new(ip.to_canonical(), port))
    }

    /// The port, and every address of the host, v4 first; none for the empty host, which means all interfaces.
    pub(crate) async fn resolve(&self) -> Result<(u16, Vec<SocketAddr>), ResolveError> {
        let (host, port) = self.parts()?;
        if host.is_empty() {
            return Ok((port, Vec::new()));
        }
        if let Ok(ip) = host.parse::<IpAddr>() {
            return Ok((port, vec![SocketAddr::new(ip.to_canonical(), port)]));
        }
        let found = tokio::net::lookup_host((host.as_str(), port)).await.map(Iterator::collect);
        let mut addresses: Vec<SocketAddr> = match found {
            Ok(found) => found,
            Err(source) => return Err(ResolveError::Host { host, source }),
        };
        addresses.sort_by_key(SocketAddr::is_ipv6);
        addresses.dedup();
        if addresses.is_empty() {
            return Err(ResolveError::NoAddress { host });
        }
        Ok((port, addresses))
    }

    /// Every address of the host that a peer can have, v4 first; at least one.
    pub(crate) async fn resolve_peer(&self) -> Result<Vec<Address>, ResolveError> {
        let (_, addresses) = self.resolve().await?;
        let usable: Vec<Address> = addresses.into_iter().filter_map(|address| Address::new(address).ok()).collect();
        if usable.is_empty() { Err(ResolveError::NoAddress { host: self.to_string() }) } else { Ok(usable) }
    }
}

/// Without the brackets of a v6 address.
fn bare(host: &str) -> &str {
    host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host)
}

/// Whom a message is for.
///
/// Made of everything that [`HostPort`] is made of, of an id, or of a peer that one heard of.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Target {
    /// The peer that announces this place; a name is tried with each of its addresses.
    Place(HostPort),
    /// The peer with this id.
    Id(Hash),
    /// A peer that one heard of.
    Node(RemoteNode),
}

impl<T: Into<HostPort>> From<T> for Target {
    fn from(place: T) -> Self {
        Self::Place(place.into())
    }
}

impl From<Hash> for Target {
    fn from(id: Hash) -> Self {
        Self::Id(id)
    }
}

impl From<RemoteNode> for Target {
    fn from(node: RemoteNode) -> Self {
        Self::Node(node)
    }
}

impl From<&RemoteNode> for Target {
    fn from(node: &RemoteNode) -> Self {
        Self::Node(*node)
    }
}

/// One id to try, with its address where the application named it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Candidate {
    pub(crate) id: Hash,
    pub(crate) address: Option<Address>,
}

impl Target {
    /// The ids that are meant, in the order in which they are to be tried; at least one.
    pub(crate) async fn candidates(&self) -> Result<Vec<Candidate>, ResolveError> {
        match self {
            Self::Place(place) => Ok(place.resolve_peer().await?.into_iter().map(Candidate::of_address).collect()),
            Self::Id(id) => Ok(vec![Candidate { id: *id, address: None }]),
            Self::Node(node) => Ok(vec![Candidate::of_node(node)]),
        }
    }

    /// The same without waiting for a name's resolution.
    pub(crate) fn candidate_without_waiting(&self) -> Result<Candidate, ResolveError> {
        match self {
            Self::Place(place) => {
                let address = place.without_waiting()?;
                let address = Address::new(address).map_err(|_| ResolveError::NoAddress { host: place.to_string() })?;
                Ok(Candidate::of_address(address))
            }
            Self::Id(id) => Ok(Candidate { id: *id, address: None }),
            Self::Node(node) => Ok(Candidate::of_node(node)),
        }
    }
}

impl Candidate {
    fn of_address(address: Address) -> Self {
        Self { id: address.id(), address: Some(address) }
    }

    fn of_node(node: &RemoteNode) -> Self {
        Self { id: node.id(), address: node.address().and_then(|address| Address::new(address).ok()) }
    }
}

#[cfg(test)]
mod tests;
