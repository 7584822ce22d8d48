//! Sealed messages while sessions are replaced and peers start anew: nothing that was acknowledged is lost, and nothing comes twice.

use crate::swarm::{OVERLAYS, config, over_the_overlay, swarm};
use cicada_proto::{Ack, KeyLevel, SendOptions};
use cicada_sim::{Memory, PeerIndex, World};
use std::{collections::BTreeMap, time::Duration};

/// What a peer's applications have got, and how often.
type Got = BTreeMap<Vec<u8>, usize>;

fn collect(world: &mut World, who: PeerIndex, got: &mut Got) {
    for delivery in world.take_deliveries(who) {
        assert!(delivery.level >= KeyLevel::Witnessed);
        *got.entry(delivery.payload.to_vec()).or_default() += 1;
    }
}

#[test]
fn sessions_are_replaced_while_messages_go_and_none_is_lost_or_comes_twice() {
    for overlay in OVERLAYS {
        let (mut world, peers) = swarm(21, config(overlay, 16), 16);
        let mut options = over_the_overlay();
        options.duplicates = 1;
        let mut acked = 0;
        // Two hours: a dozen sessions each way.
        for number in 0..240 {
            let (from, to) = if number % 2 == 0 { (peers[2], peers[9]) } else { (peers[9], peers[2]) };
            acked += usize::from(world.send(from, to, format!("{number}"), options.clone()).is_ok());
            world.run_for(Duration::from_secs(30));
        }
        let (mut there, mut back) = (Got::new(), Got::new());
        collect(&mut world, peers[9], &mut there);
        collect(&mut world, peers[2], &mut back);
        assert_eq!((acked, there.len() + back.len()), (240, 240), "{overlay:?}");
        assert!(there.values().chain(back.values()).all(|times| *times == 1));
    }
}

#[test]
fn whoever_starts_anew_gets_what_was_acknowledged_and_nothing_from_before() {
    for overlay in OVERLAYS {
        for memory in [Memory::Identity, Memory::Members, Memory::Nothing] {
            let (mut world, peers) = swarm(22, config(overlay, 16), 16);
            let (from, to) = (peers[3], peers[11]);
            let (mut acked, mut got) = (Vec::new(), Got::new());
            for number in 0..12 {
                // Either end starts anew between messages, some of which are under way.
                let late = format!("late {number}");
                let mut unwatched = SendOptions::default();
                unwatched.ack = Ack::None;
                let target = world.id(to);
                world.begin_send(from, target, late, unwatched);
                let who = if number % 3 == 0 { from } else { to };
                collect(&mut world, to, &mut got);
                world.restart_with(who, memory);
                world.join(who, peers[0]).expect("it comes back");
                let said = format!("{number}");
                if world.send(from, to, said.clone(), over_the_overlay()).is_ok() {
                    acked.push(said.into_bytes());
                }
            }
            collect(&mut world, to, &mut got);
            assert_eq!(acked.len(), 12, "{overlay:?} {memory:?}");
            assert!(acked.iter().all(|said| got.get(said) == Some(&1)), "{overlay:?} {memory:?}: {got:?}");
            assert!(got.values().all(|times| *times == 1), "nothing twice: {got:?}");
        }
    }
}
