//! Anchors: members beyond a crowd. One owner of many addresses may fill a successor list; the next members that stand outside
//! such a crowd are held beside the list, so that routing can pass it.
//!
//! The list itself is not touched: honest peers must agree on it.

use crate::{config::Limits, lists::Subnet};
use cicada_wire::{Address, Hash};

/// The first [`ANCHORS`] members after the first `list` of `clockwise` whose subnets are not crowded; `None` while the list is
/// not crowded itself.
pub(crate) fn anchors<T>(
    clockwise: &[(Hash, T)],
    list: usize,
    address: impl Fn(&T) -> Option<Address>,
    limits: &Limits,
) -> Option<Vec<Hash>> {
    let capped = |(_, member): &(Hash, T)| address(member).map(Address::ip).filter(|ip| !limits.is_exempt(*ip));
    let (list, beyond) = clockwise.split_at(list.min(clockwise.len()));
    let mut subnets: Vec<Subnet> = list.iter().filter_map(capped).map(Subnet::around).collect();
    subnets.sort_unstable();
    let most = limits.members_per_subnet.min(list.len() / 2).max(1);
    let crowded: Vec<Subnet> = subnets.chunk_by(|one, next| one == next).filter(|same| same.len() > most).map(|same| same[0]).collect();
    if crowded.is_empty() {
        return None;
    }
    let outside = beyond.iter().filter(|member| !capped(member).is_some_and(|ip| crowded.contains(&Subnet::around(ip))));
    Some(outside.take(ANCHORS).map(|(id, _)| *id).collect())
}

const ANCHORS: usize = 4; // guess: enough that one of them lives

#[cfg(test)]
mod tests {
    use super::*;
    use cicada_wire::U256;
    use std::collections::BTreeMap;

    #[test]
    fn beyond_a_crowd_the_next_members_of_other_subnets_are_held() {
        let crowd = ["9.9.9.1", "9.9.9.2", "9.9.9.3", "8.8.8.1", "9.9.9.4", "8.8.8.2", "7.7.7.1", "9.9.9.5"];
        assert_eq!(anchored(&crowd, 4), ["8.8.8.2", "7.7.7.1"]);
    }

    #[test]
    fn a_list_of_many_subnets_needs_no_anchors() {
        assert_eq!(anchored(&["9.9.9.1", "8.8.8.1", "7.7.7.1", "6.6.6.1", "5.5.5.1"], 4), [""; 0]);
    }

    #[test]
    fn exempt_addresses_are_no_crowd() {
        assert_eq!(anchored(&["10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4", "8.8.8.1"], 4), [""; 0]);
    }

    fn anchored<'a>(ips: &[&'a str], list: usize) -> Vec<&'a str> {
        let id = |place: usize| Hash(U256::power_of_two(place as u32).expect("a small number"));
        let by_id: BTreeMap<Hash, &'a str> = ips.iter().enumerate().map(|(place, ip)| (id(place), *ip)).collect();
        let address = |ip: &&str| Some(format!("{ip}:2000").parse().expect("an address"));
        let clockwise: Vec<(Hash, &str)> = by_id.iter().map(|(id, ip)| (*id, *ip)).collect();
        anchors(&clockwise, list, address, &Limits::default()).unwrap_or_default().iter().map(|id| by_id[id]).collect()
    }
}
