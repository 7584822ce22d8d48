//! Anchors: members beyond a crowd. One owner of many addresses may fill a successor list; the next members that stand outside
//! such a crowd are held beside the list, so that routing can pass it.
//!
//! The list itself is not touched: honest peers must agree on it.

use crate::{config::Config, scope::Scope};
use cicada_wire::{Address, Hash};
use std::{collections::BTreeMap, net::IpAddr};

/// The first [`ANCHORS`] members after the first `list` of `clockwise` whose subnets are not crowded; nobody while the list is
/// not crowded itself.
pub(crate) fn anchors(clockwise: &[Hash], list: usize, address: impl Fn(Hash) -> Option<Address>, config: &Config) -> Vec<Hash> {
    let list = list.min(clockwise.len());
    let mut crowd: BTreeMap<Subnet, usize> = BTreeMap::new();
    for id in &clockwise[..list] {
        if let Some(subnet) = address(*id).and_then(Subnet::of) {
            *crowd.entry(subnet).or_default() += 1;
        }
    }
    let most = config.limits.members_per_subnet.min(list / 2).max(1);
    let crowded = |subnet: Option<Subnet>| subnet.is_some_and(|subnet| crowd.get(&subnet).is_some_and(|count| *count > most));
    if !crowd.keys().any(|subnet| crowded(Some(*subnet))) {
        return Vec::new();
    }
    clockwise[list..].iter().copied().filter(|id| !crowded(address(*id).and_then(Subnet::of))).take(ANCHORS).collect()
}

/// A /24 of IPv4 or a /48 of IPv6.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Subnet {
    V4([u8; 3]),
    V6([u8; 6]),
}

impl Subnet {
    /// `None` for loopback and private addresses, which are exempt.
    fn of(address: Address) -> Option<Self> {
        match Scope::of(address.ip()) {
            Scope::Loopback | Scope::Private => None,
            Scope::Public => Some(match address.ip() {
                IpAddr::V4(ip) => {
                    let [a, b, c, _] = ip.octets();
                    Self::V4([a, b, c])
                }
                IpAddr::V6(ip) => {
                    let [a, b, c, d, e, f, ..] = ip.octets();
                    Self::V6([a, b, c, d, e, f])
                }
            }),
        }
    }
}

const ANCHORS: usize = 4; // guess: enough that one of them lives
