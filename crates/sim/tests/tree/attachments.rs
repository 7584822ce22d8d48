//! Clients, which are in no table, are found at the members responsible for their ids.

use crate::{
    INTERNET,
    swarm::{enter, members, tree_with},
};
use cicada_proto::Node;
use cicada_sim::{PeerIndex, PeerOptions, World};
use cicada_wire::{Hash, OverlayKind, Role};
use std::time::Duration;

const OVERLAYS: [OverlayKind; 2] = [OverlayKind::Ring, OverlayKind::Tree];

fn swarm_with_client(overlay: OverlayKind) -> (World, Vec<PeerIndex>, PeerIndex) {
    let mut world = tree_with(31, INTERNET, |config| config.overlay = overlay);
    let peers = members(&mut world, 24);
    enter(&mut world, &peers, Duration::from_millis(50));
    world.settle(&peers, Duration::from_secs(20)).expect("it settles");
    let client = world.add(PeerOptions { role: Role::Client, ..PeerOptions::named("client") });
    world.join(client, peers[2]).expect("it is attached");
    (world, peers, client)
}

fn holders(world: &World, client: Hash, members: &[PeerIndex]) -> Vec<PeerIndex> {
    let holds = |who: &PeerIndex| {
        let table = world.node(*who).map(Node::table).unwrap_or_default();
        table.attached.iter().any(|(record, _)| record.id() == client)
    };
    members.iter().copied().filter(holds).collect()
}

#[test]
fn a_client_is_held_by_the_members_responsible_for_its_id_and_found_by_lookups() {
    for overlay in OVERLAYS {
        let (mut world, peers, client) = swarm_with_client(overlay);
        let id = world.id(client);
        let holders = holders(&world, id, &peers);
        assert!(holders.len() >= 3, "{overlay:?}: {holders:?}");
        assert!(holders.contains(&world.owner(&peers, id).expect("one")), "{overlay:?}");
        for who in [peers[9], peers[17]] {
            let found = world.lookup(who, id).expect("found");
            assert_eq!(found.exact.map(|record| record.id()), Some(id), "{overlay:?}");
        }
        let in_tables = peers.iter().filter(|who| world.node(**who).expect("alive").overlay().member(id).is_some()).count();
        assert_eq!(in_tables, 0, "clients are in no table");
    }
}

#[test]
fn a_client_looks_up_keys_as_members_do() {
    for overlay in OVERLAYS {
        let (mut world, peers, client) = swarm_with_client(overlay);
        for _ in 0..10 {
            let key = world.random_key();
            let found = world.lookup(client, key).expect("found");
            let expected = world.owner(&peers, key).map(|who| world.id(who));
            assert_eq!(found.responsible.first().map(cicada_wire::SignedRecord::id), expected, "{overlay:?}");
        }
    }
}

#[test]
fn a_client_moves_to_others_when_its_holders_crash() {
    for overlay in OVERLAYS {
        let (mut world, peers, client) = swarm_with_client(overlay);
        let id = world.id(client);
        let lost = holders(&world, id, &peers);
        for who in &lost[..2] {
            world.crash(*who);
        }
        let living: Vec<_> = peers.iter().copied().filter(|who| !lost[..2].contains(who)).collect();
        let back = world.run_until_every(Duration::from_millis(500), Duration::from_secs(60), |world| {
            let owner = world.owner(&living, id).expect("one");
            let holders = holders(world, id, &living);
            holders.len() >= 3 && holders.contains(&owner)
        });
        assert!(back.is_some(), "{overlay:?}: {:?}", holders(&world, id, &living));
    }
}

#[test]
fn a_client_that_left_is_held_by_nobody() {
    for overlay in OVERLAYS {
        let (mut world, peers, client) = swarm_with_client(overlay);
        let id = world.id(client);
        assert!(world.leave(client));
        world.run_for(Duration::from_secs(1));
        assert_eq!(holders(&world, id, &peers), [], "{overlay:?}");
        assert_eq!(world.lookup(peers[9], id).expect("found").exact, None);
    }
}

#[test]
fn a_member_holds_no_more_clients_than_its_limit() {
    let mut world = tree_with(32, INTERNET, |config| config.limits.attachments = 2);
    let peers = members(&mut world, 3);
    enter(&mut world, &peers, Duration::from_millis(50));
    world.run_for(Duration::from_secs(2));
    let clients: Vec<_> =
        (0..4).map(|number| world.add(PeerOptions { role: Role::Client, ..PeerOptions::named(&format!("c{number}")) })).collect();
    let joins: Vec<_> = clients.iter().map(|client| world.connect(*client, peers[0])).collect();
    world.wait_all(&joins, Duration::from_secs(11));
    for who in &peers {
        assert!(world.node(*who).expect("alive").table().attached.len() <= 2);
    }
}
