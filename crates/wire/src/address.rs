//! Addresses in their one canonical form, since ids are made of their text.

use crate::hash::Hash;
use arrayvec::{ArrayString, ArrayVec};
use std::{
    fmt::{self, Write as _},
    net::{IpAddr, Ipv6Addr, SocketAddr},
    str::FromStr,
};

/// A unicast address and port that a peer can announce.
///
/// v4-mapped v6 addresses are unmapped; unspecified, multicast and broadcast addresses, port 0 and v6 scope ids are refused.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address(SocketAddr);

impl Address {
    /// The canonical form of `address`.
    ///
    /// # Errors
    /// When no other peer could ever send to it.
    pub fn new(address: SocketAddr) -> Result<Self, AddressError> {
        if address.port() == 0 {
            return Err(AddressError::Port);
        }
        if matches!(address, SocketAddr::V6(v6) if v6.scope_id() != 0) {
            return Err(AddressError::Scope);
        }
        match address.ip().to_canonical() {
            ip if ip.is_unspecified() => Err(AddressError::Unspecified),
            ip if ip.is_multicast() => Err(AddressError::Multicast),
            IpAddr::V4(v4) if v4.is_broadcast() => Err(AddressError::Broadcast),
            ip => Ok(Self(SocketAddr::new(ip, address.port()))),
        }
    }

    /// The address as the operating system wants it.
    #[must_use]
    pub fn socket(self) -> SocketAddr {
        self.0
    }

    /// The IP address.
    #[must_use]
    pub fn ip(self) -> IpAddr {
        self.0.ip()
    }

    /// The port, never 0.
    #[must_use]
    pub fn port(self) -> u16 {
        self.0.port()
    }

    /// The id of the peer that announces this address: the SHA-256 of its text, `ip:port`, v6 as in RFC 5952 and in brackets.
    #[must_use]
    pub fn id(self) -> Hash {
        let mut text = ArrayString::<64>::new();
        write!(text, "{self}").expect("no address has so long a text");
        Hash::of(text.as_str())
    }

    /// IP and port: 6 bytes for v4, 18 for v6.
    pub(crate) fn to_bytes(self) -> ArrayVec<u8, 18> {
        let mut bytes = ArrayVec::new();
        match self.0.ip() {
            IpAddr::V4(ip) => bytes.extend(ip.octets()),
            IpAddr::V6(ip) => bytes.extend(ip.octets()),
        }
        bytes.extend(self.0.port().to_be_bytes());
        bytes
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (ip, port) = bytes.split_at_checked(bytes.len().checked_sub(2)?)?;
        let ip: IpAddr = match ip.len() {
            4 => IpAddr::from(<[u8; 4]>::try_from(ip).ok()?),
            16 => {
                let v6 = Ipv6Addr::from(<[u8; 16]>::try_from(ip).ok()?);
                // One address has one encoding: the mapped form of a v4 address is not canonical.
                if v6.to_ipv4_mapped().is_some() {
                    return None;
                }
                v6.into()
            }
            _ => return None,
        };
        Self::new(SocketAddr::new(ip, u16::from_be_bytes(port.try_into().ok()?))).ok()
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Address {
    type Err = AddressError;
    fn from_str(text: &str) -> Result<Self, AddressError> {
        Self::new(text.parse().map_err(|_| AddressError::Text)?)
    }
}

impl From<Address> for SocketAddr {
    fn from(address: Address) -> Self {
        address.0
    }
}

/// Why an address cannot be announced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AddressError {
    /// Not `ip:port`.
    #[error("not an address: expected ip:port, an IPv6 address in brackets")]
    Text,
    /// Port 0.
    #[error("port 0 cannot be announced")]
    Port,
    /// `0.0.0.0` or `::`.
    #[error("the unspecified address cannot be announced")]
    Unspecified,
    /// A multicast group.
    #[error("a multicast address cannot be announced")]
    Multicast,
    /// `255.255.255.255`.
    #[error("the broadcast address cannot be announced")]
    Broadcast,
    /// An IPv6 scope id, which means something on one machine only.
    #[error("an IPv6 address with a scope id cannot be announced")]
    Scope,
}
