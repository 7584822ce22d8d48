//! Clients: attached to the members responsible for them, reached and heard through these.

use crate::swarm::{OVERLAYS, config, over_the_overlay, swarm};
use cicada_proto::SendOptions;
use cicada_sim::{PeerIndex, PeerOptions, World};
use cicada_wire::{OverlayKind, Role};
use std::time::Duration;

fn with_clients(seed: u64, overlay: OverlayKind, members: usize, clients: usize) -> (World, Vec<PeerIndex>, Vec<PeerIndex>) {
    let (mut world, members) = swarm(seed, config(overlay, 16), members);
    let clients: Vec<_> = (0..clients)
        .map(|number| {
            let mut options = PeerOptions::named(&format!("client{number}"));
            options.role = Role::Client;
            let client = world.add(options);
            world.join(client, members[number % members.len()]).expect("it joins");
            client
        })
        .collect();
    world.run_for(Duration::from_secs(3));
    (world, members, clients)
}

#[test]
fn clients_send_and_are_sent_to() {
    for overlay in OVERLAYS {
        let (mut world, members, clients) = with_clients(1, overlay, 32, 4);
        for (number, client) in clients.iter().enumerate() {
            for to in [members[7 + number], clients[(number + 1) % 4]] {
                let text = format!("{number} to {}", world.name(to));
                let receipt = world.send(*client, to, text.clone(), over_the_overlay()).expect("a client's message arrives");
                assert!(receipt.acked);
                assert_eq!(world.reached(&[to], text.as_bytes()), (1, 0));
            }
            let receipt = world.send(members[20 + number], *client, "to a client", SendOptions::default()).expect("it arrives");
            println!("{overlay:?}: {:?} hops to a client", receipt.hops());
            assert_eq!(world.reached(&[*client], b"to a client"), (1, 0));
        }
    }
}

#[test]
fn a_client_is_reached_when_the_member_that_owns_its_id_has_died() {
    for overlay in OVERLAYS {
        let (mut world, members, clients) = with_clients(2, overlay, 32, 1);
        let owner = world.owner(&members, world.id(clients[0])).expect("somebody is");
        world.crash(owner);
        let from = members.iter().copied().find(|member| *member != owner).expect("there are others");
        let receipt = world.send(from, clients[0], "still there?", over_the_overlay()).expect("it arrives");
        assert!(receipt.acked);
    }
}

#[test]
fn a_clients_broadcast_reaches_all_and_a_members_reaches_clients() {
    for overlay in OVERLAYS {
        let (mut world, members, clients) = with_clients(3, overlay, 32, 4);
        world.broadcast(clients[0], "from a client");
        world.broadcast(members[5], "from a member");
        world.run_for(Duration::from_secs(5));
        assert_eq!(world.reached(&members, b"from a client"), (32, 0), "{overlay:?}");
        assert_eq!(world.reached(&clients[1..], b"from a client"), (3, 0), "{overlay:?}");
        assert_eq!(world.reached(&clients[..1], b"from a client"), (0, 0), "it knows it already");
        let others: Vec<_> = members.iter().copied().filter(|member| *member != members[5]).chain(clients).collect();
        assert_eq!(world.reached(&others, b"from a member"), (35, 0), "{overlay:?}");
    }
}

#[test]
fn a_client_carries_nothing_for_others() {
    for overlay in OVERLAYS {
        let (mut world, members, clients) = with_clients(4, overlay, 8, 2);
        for member in &members {
            for to in &members {
                world.send(*member, *to, "hello", over_the_overlay()).expect("it arrives");
            }
        }
        let ids: Vec<_> = clients.iter().map(|client| world.id(*client)).collect();
        for member in &members {
            let paths = world.deliveries(*member).iter().flat_map(|delivery| delivery.path.clone());
            assert!(paths.into_iter().all(|relay| !ids.contains(&relay)));
        }
    }
}
