//! How many members of one IP address or one subnet a table holds, so that nobody fills it from one place.
//!
//! Loopback and private addresses are exempt unless the limits say otherwise: there everybody shares them. The caps govern fingers and buckets, not the
//! members nearest to a peer: on those, honest peers must agree. What counts is the address that we proved a peer by.

use crate::{config::Config, lists::Subnet};
use cicada_wire::{Address, SignedRecord};

/// Whether a table that holds `held` may take `newcomer` in.
pub(crate) fn have_room<'a>(config: &Config, newcomer: &SignedRecord, held: impl Iterator<Item = &'a SignedRecord>) -> bool {
    let (limits, families) = (&config.limits, config.families);
    let Some(ip) = families.address(newcomer).map(Address::ip).filter(|ip| !limits.is_exempt(*ip)) else { return true };
    let subnet = Subnet::around(ip);
    let (mut of_ip, mut of_subnet) = (0, 0);
    for other in held.filter_map(|record| families.address(record)).map(Address::ip) {
        of_ip += usize::from(other == ip);
        of_subnet += usize::from(subnet.contains(other));
    }
    of_ip < limits.members_per_ip && of_subnet < limits.members_per_subnet
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Limits;
    use cicada_wire::{Capabilities, IdKind, Identity, Record, Role, UnixTime};

    fn at(address: &str) -> SignedRecord {
        let identity = Identity::from_seed(&[1; 32]);
        let record = Record {
            key: identity.public(),
            kind: IdKind::Address,
            role: Role::Member,
            addresses: vec![address.parse().expect("an address")],
            capabilities: Capabilities::default(),
            sequence: 0,
            expires: UnixTime(u64::MAX),
            data: None,
        };
        SignedRecord::sign(record, &identity).expect("consistent")
    }

    fn have_room_after(newcomer: &str, held: &[&str]) -> bool {
        let limits = Limits { members_per_ip: 2, members_per_subnet: 3, ..Limits::default() };
        let config = Config { limits, ..Config::default() };
        let held: Vec<_> = held.iter().map(|address| at(address)).collect();
        have_room(&config, &at(newcomer), held.iter())
    }

    #[test]
    fn one_ip_gets_no_more_places_than_its_cap() {
        assert!(have_room_after("9.9.9.9:4000", &["9.9.9.9:4001"]));
        assert!(!have_room_after("9.9.9.9:4000", &["9.9.9.9:4001", "9.9.9.9:4002"]));
        assert!(have_room_after("9.9.8.9:4000", &["9.9.9.9:4001", "9.9.9.9:4002"]));
    }

    #[test]
    fn one_subnet_gets_no_more_places_than_its_cap() {
        assert!(!have_room_after("9.9.9.4:4000", &["9.9.9.1:4000", "9.9.9.2:4000", "9.9.9.3:4000"]));
        assert!(have_room_after("9.9.8.4:4000", &["9.9.9.1:4000", "9.9.9.2:4000", "9.9.9.3:4000"]));
        let six = ["[2a00:1:2:1::1]:4000", "[2a00:1:2:2::1]:4000", "[2a00:1:2:3::1]:4000"];
        assert!(!have_room_after("[2a00:1:2:4::1]:4000", &six));
        assert!(have_room_after("[2a00:1:3::1]:4000", &six));
    }

    #[test]
    fn loopback_and_private_addresses_are_exempt() {
        assert!(have_room_after("127.0.0.1:4000", &["127.0.0.1:4001", "127.0.0.1:4002", "127.0.0.1:4003"]));
        assert!(have_room_after("10.0.0.4:4000", &["10.0.0.1:4001", "10.0.0.2:4002", "10.0.0.3:4003"]));
    }
}
