//! Kadcast peers in a world of their own: they find each other cheaply, and what one broadcasts reaches everybody, though the network
//! loses an eighth of all datagrams.

use bytes::Bytes;
use cicada_proto::kadcast::Settings;
use cicada_sim::kadcast::{Network, World};
use std::{net::SocketAddr, time::Duration};

fn address(number: usize) -> SocketAddr {
    let number = u8::try_from(number).expect("fewer than 256 peers");
    ([10, 0, 0, number + 1], 9000).into()
}

fn joined(seed: u64, count: usize, network: Network, settings: &Settings) -> World {
    let mut world = World::new(seed, network);
    for number in 0..count {
        world.add(address(number), settings.clone(), &[address(0)]).expect("settings that can be");
    }
    world.run_for(Duration::from_secs(8));
    world
}

fn lossy(percent: u32) -> Network {
    Network { lost_per_million: percent * 10_000, ..Network::default() }
}

fn payload(length: usize, number: u64) -> Bytes {
    let mut bytes: Vec<u8> = (0..length).map(|at| (at * 31 % 251) as u8).collect();
    for (byte, of_number) in bytes.iter_mut().zip(number.to_le_bytes()) {
        *byte = of_number;
    }
    bytes.into()
}

fn known(world: &World, who: usize) -> usize {
    world.machine(who).figures().peers
}

#[test]
fn twenty_four_peers_find_each_other_with_a_tenth_of_the_crates_datagrams() {
    for seed in 0..5 {
        let world = joined(seed, 24, Network::default(), &Settings::default());
        let least = (0..24).map(|who| known(&world, who)).min().unwrap_or_default();
        println!("seed {seed}: {} datagrams, {} bytes, everybody knows {least} or more", world.datagrams, world.bytes);
        assert_eq!(least, 23, "all fit into their buckets");
        assert!(world.datagrams < 1400, "{} datagrams; the crate takes 14 000 at the least", world.datagrams);
    }
}

/// Broadcasts so many messages from different peers; says what part arrived, and how many bytes a delivered byte took.
fn delivered(world: &mut World, count: usize, length: usize, messages: usize) -> (f64, f64) {
    let before = world.bytes;
    let mut arrived = 0;
    for number in 0..messages {
        let who = number % count;
        let ray = world.broadcast(who, payload(length, number as u64));
        world.run_for(Duration::from_secs(5));
        let deliveries = world.deliveries(ray);
        assert!(deliveries.iter().all(|times| *times <= 1), "told once");
        assert_eq!(deliveries[who], 0, "not to who sent it");
        arrived += deliveries.iter().sum::<usize>();
    }
    let wanted = messages * (count - 1);
    let bytes = (world.bytes - before) as f64 / (wanted * length) as f64;
    (arrived as f64 / wanted as f64, bytes)
}

#[test]
fn without_loss_everybody_gets_every_message_for_little_more_than_its_bytes() {
    let mut world = joined(1, 64, Network::default(), &Settings::default());
    world.run_for(Duration::from_secs(60));
    for (length, most) in [(1, 2500.0), (1000, 15.0), (10_000, 4.0), (100 * 1024, 2.6), (1 << 20, 2.6)] {
        let (part, bytes) = delivered(&mut world, 64, length, 2);
        println!("{length} bytes: {part} delivered, {bytes:.2} bytes for each");
        assert!(part == 1.0 && bytes < most);
    }
}

#[test]
fn at_twelve_percent_loss_short_and_long_messages_arrive() {
    for seed in 0..12 {
        let mut world = joined(seed, 24, lossy(12), &Settings::default());
        for length in [1000, 3000, 10_000, 100_000] {
            let (part, bytes) = delivered(&mut world, 24, length, 20);
            println!("seed {seed}, {length} bytes: {part} delivered, {bytes:.2} bytes for each");
            assert!(part >= 0.995);
        }
    }
}
