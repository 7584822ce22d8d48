//! What peers tell of others.

use super::{
    identity::Id,
    message::{Reader, Unsayable},
};
use crate::Refusal;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

/// A peer that another one tells of.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Entry {
    /// Where it listens.
    pub address: SocketAddr,
    /// The id that it is said to have.
    pub id: Id,
}

impl Entry {
    /// The entry of the peer at this address.
    #[must_use]
    pub fn of(address: SocketAddr) -> Self {
        let address = SocketAddr::new(address.ip().to_canonical(), address.port());
        Self { address, id: Id::of(address) }
    }

    /// Whether the id is the one that the address gives.
    #[must_use]
    pub fn is_genuine(&self) -> bool {
        Id::of(self.address) == self.id
    }

    pub(super) fn write(&self, bytes: &mut Vec<u8>) -> Result<(), Unsayable> {
        match self.address.ip() {
            // A first octet of 0 means that an IPv6 address follows.
            IpAddr::V4(ip) if ip.octets()[0] == 0 => return Err(Unsayable::Address(self.address)),
            IpAddr::V4(ip) => bytes.extend(ip.octets()),
            IpAddr::V6(ip) => {
                bytes.push(0);
                bytes.extend(ip.octets());
            }
        }
        bytes.extend(self.address.port().to_le_bytes());
        bytes.extend(self.id.0);
        Ok(())
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, Refusal> {
        let [first] = reader.array()?;
        let ip: IpAddr = if first == 0 {
            Ipv6Addr::from(reader.array::<16>()?).into()
        } else {
            let [second, third, fourth] = reader.array()?;
            [first, second, third, fourth].into()
        };
        let port = reader.u16()?;
        Ok(Self { address: SocketAddr::new(ip, port), id: Id(reader.array()?) })
    }

    /// The bytes of the smallest entry: an IPv4 one.
    pub(super) const LEAST_BYTES: usize = 22;
}
