//! What befalls packets on their way, each beside a control without it.

use super::*;
use crate::{Distribution, Matrix, Network, Reordering, TraceLevel, WorldConfig};
use cicada_proto::{Command, Config};
use cicada_wire::{Datagram, Purpose, Reply, Ticket};

const MS: Duration = Duration::from_millis(1);
const TENTH: u32 = 100_000;

fn two(network: Network) -> (World, PeerIndex, PeerIndex) {
    let mut config = Config::default();
    config.purpose = Purpose::Bare;
    network.check().expect("the test's network is possible");
    let mut world = World::new(WorldConfig { seed: 1, trace: TraceLevel::Packets, network, config, ..WorldConfig::default() });
    let (a, b) = (world.add_named("a"), world.add_named("b"));
    (world, a, b)
}

/// How often each of `count` packets, a millisecond apart, is lost.
fn losses(network: Network, count: u64) -> Vec<bool> {
    let (mut world, a, b) = two(network);
    (0..count)
        .map(|number| {
            world.now = Instant(number * 1000);
            world.loses(a, b)
        })
        .collect()
}

/// How many are lost of a hundred whose predecessor was.
fn after_a_loss(losses: &[bool]) -> usize {
    let after: Vec<_> = losses.windows(2).filter(|pair| pair[0]).map(|pair| pair[1]).collect();
    100 * after.iter().filter(|lost| **lost).count() / after.len().max(1)
}

#[test]
fn bursts_lose_as_much_in_the_mean_as_their_spans_say_and_losses_follow_each_other() {
    // Bad for a tenth of the time on each of two lines, and then nothing gets through: 19 % in all.
    let bursts = Bursts { good: MS * 900, bad: MS * 100, lost_when_good_per_million: 0, lost_when_bad_per_million: MILLION };
    let in_bursts = losses(Network { bursts: Some(bursts), ..Network::default() }, 400_000);
    let alone = losses(Network { lost_per_million: 190_000, ..Network::default() }, 400_000);
    let share = |losses: &[bool]| 1000 * losses.iter().filter(|lost| **lost).count() / losses.len();
    assert!((165..215).contains(&share(&in_bursts)), "{}", share(&in_bursts));
    assert!((185..195).contains(&share(&alone)), "{}", share(&alone));
    assert!(after_a_loss(&in_bursts) > 95, "{}", after_a_loss(&in_bursts));
    assert!((17..22).contains(&after_a_loss(&alone)), "the control: {}", after_a_loss(&alone));
}

#[test]
fn independent_loss_and_bursts_add_up() {
    let bursts = Bursts { good: MS * 100, bad: MS * 100, lost_when_good_per_million: 0, lost_when_bad_per_million: MILLION };
    let both = losses(Network { bursts: Some(bursts), lost_per_million: 5 * TENTH, ..Network::default() }, 200_000);
    let share = 100 * both.iter().filter(|lost| **lost).count() / both.len();
    // A quarter gets past both lines, half of that past the rest.
    assert!((85..90).contains(&share), "{share}");
}

#[test]
fn a_line_serves_in_order_drops_datagrams_when_full_and_holds_links_back() {
    let line = Line { bytes_per_s: 100_000, buffer_bytes: 2500 };
    let (mut world, a, b) = two(Network { uplink: Some(line), ..Network::default() });
    let at = |ms: u64| Some(Instant(ms * 1000));
    assert_eq!(world.leaves_uplink(a, 1000, true), at(10));
    assert_eq!(world.leaves_uplink(a, 1000, true), at(20));
    assert_eq!(world.leaves_uplink(a, 1000, true), None, "2000 bytes wait, and 2500 may");
    assert_eq!(world.leaves_uplink(a, 500, true), at(25));
    assert_eq!(world.leaves_uplink(a, 100_000, false), at(1025), "what a link sends waits");
    assert_eq!(world.leaves_uplink(b, 1000, true), at(10), "the control: another's line is its own");
    world.now = Instant(1_025_000);
    assert_eq!(world.leaves_uplink(a, 1000, true), at(1035), "the queue runs dry");
    world.set_lines(a, None, None);
    assert_eq!(world.leaves_uplink(a, 1_000_000, true), at(1025), "without a bound");
}

fn arrivals(world: &World, what: &str) -> Vec<f64> {
    let lines = world.trace().text().lines().filter(|line| line.ends_with(what));
    lines.filter_map(|line| line.trim_start_matches("t=").split(' ').next()?.parse().ok()).collect()
}

fn send_pongs(world: &mut World, a: PeerIndex, b: PeerIndex, count: u64) {
    for number in 0..count {
        let to = world.address(b);
        world.send_datagram(a, to, Datagram::Reply(Ticket(number), Reply::Pong));
        world.run_for(MS);
    }
    world.run_for(MS * 500);
}

#[test]
fn a_downlink_queues_what_arrives_faster_than_it_carries() {
    let line = Line { bytes_per_s: 10_000, buffer_bytes: 400 };
    let (mut world, a, b) = two(Network { downlink: Some(line), ..Network::default() });
    send_pongs(&mut world, a, b, 50);
    let dropped = world.trace().text().matches("a ~x b: pong").count();
    let arrived = arrivals(&world, "a ~> b: pong");
    assert!(dropped > 20 && arrived.len() + dropped == 50, "{dropped} dropped, {} arrived", arrived.len());
    // About 70 bytes each at 10 bytes a millisecond.
    assert!(arrived.windows(2).all(|pair| pair[1] - pair[0] > 0.006), "{arrived:?}");
    let (mut world, a, b) = two(Network::default());
    send_pongs(&mut world, a, b, 50);
    assert_eq!(arrivals(&world, "a ~> b: pong").len(), 50, "the control");
}

#[test]
fn datagrams_arrive_twice_as_often_as_the_network_says() {
    let (mut world, a, b) = two(Network { duplicated_per_million: 2 * TENTH, ..Network::default() });
    send_pongs(&mut world, a, b, 500);
    let arrived = arrivals(&world, "a ~> b: pong").len();
    assert!((570..630).contains(&arrived), "{arrived}");
}

/// The numbers that `b` received over a link from `a`, and when.
fn count_over_a_link(network: Network) -> (Vec<u32>, f64) {
    let (mut world, a, b) = two(Network::default());
    let address = world.address(b);
    world.dial(a, cicada_proto::DialId(u64::MAX), address, None);
    world.run_for(MS * 100);
    world.set_network(network);
    let began = world.now();
    for number in 0..50_u32 {
        let to = world.id(b);
        world.command(a, Command::Opaque { to, payload: number.to_string().into() });
        world.run_for(MS);
    }
    world.run_for(MS * 2000);
    let lines: Vec<_> = world.trace().text().lines().filter(|line| line.contains(" b: receives opaque \"")).collect();
    let numbers = lines.iter().filter_map(|line| line.split('"').nth(1)?.parse().ok()).collect();
    let last = lines.last().and_then(|line| line.trim_start_matches("t=").split(' ').next()?.parse::<f64>().ok()).unwrap_or_default();
    (numbers, last - began.0 as f64 / 1e6)
}

#[test]
fn datagrams_that_are_held_back_are_overtaken_and_what_a_link_carries_waits_in_order() {
    let reordering = Some(Reordering { per_million: 2 * TENTH, by: Distribution::Fixed(MS * 100) });
    let held = Network { reordering, ..Network::default() };
    let (mut world, a, b) = two(held.clone());
    send_pongs(&mut world, a, b, 100);
    let arrived = arrivals(&world, "a ~> b: pong");
    let late = arrived.iter().filter(|at| **at > 0.121).count();
    assert!(arrived.len() == 100 && (10..30).contains(&late), "{late} of {}", arrived.len());
    let (numbers, _) = count_over_a_link(held);
    assert_eq!(numbers, (0..50).collect::<Vec<_>>());
}

#[test]
fn a_link_over_a_thin_line_delivers_everything_in_order_and_late() {
    let line = Some(Line { bytes_per_s: 5000, buffer_bytes: 100 });
    for network in [Network { uplink: line, ..Network::default() }, Network { downlink: line, ..Network::default() }] {
        let (numbers, took) = count_over_a_link(network);
        assert_eq!(numbers, (0..50).collect::<Vec<_>>());
        // About 64 bytes each, 13 ms at this rate.
        assert!(took > 0.6, "{took}");
    }
    let (_, took) = count_over_a_link(Network::default());
    assert!(took < 0.1, "the control: {took}");
}

#[test]
fn latency_of_a_pair_is_drawn_once_and_jitter_for_each_packet() {
    let pairs = Latency::Pairs(Distribution::Uniform(MS * 10, MS * 200));
    let (mut world, a, b) = two(Network { latency: pairs.clone(), ..Network::default() });
    let c = world.add_named("c");
    let span = world.travel(a, b);
    assert!((0..20).all(|_| world.travel(b, a) == span), "the same both ways");
    assert_ne!(world.travel(a, c), span);
    let jitter = Some(Distribution::Exponential { median: MS });
    let (mut world, a, b) = two(Network { latency: pairs, jitter, ..Network::default() });
    let spans: Vec<_> = (0..20).map(|_| world.travel(a, b)).collect();
    assert!(spans.iter().all(|jittered| *jittered >= span) && spans.iter().any(|jittered| *jittered != spans[0]));
}

#[test]
fn peers_are_put_on_the_places_of_a_matrix_by_the_seed_or_by_hand() {
    let matrix = Matrix::parse("2,20,40\n60,2,80\n100,120,2\n", "three").expect("a matrix");
    let (mut world, a, b) = two(Network { latency: Latency::Matrix(matrix.into()), ..Network::default() });
    world.set_place(a, 0);
    world.set_place(b, 2);
    assert_eq!((world.travel(a, b), world.travel(b, a), world.travel(a, a)), (MS * 20, MS * 50, MS));
    let places: std::collections::BTreeSet<_> = world.add_peers(30).into_iter().map(|who| world.spots[who.0].place % 3).collect();
    assert_eq!(places.len(), 3, "the seed uses all of them");
}

#[test]
fn an_impossible_network_is_told() {
    let none = Line { bytes_per_s: 0, buffer_bytes: 1 };
    let bursts = Bursts { good: MS, bad: Duration::ZERO, lost_when_good_per_million: 0, lost_when_bad_per_million: 0 };
    for network in [
        Network { lost_per_million: MILLION + 1, ..Network::default() },
        Network { uplink: Some(none), ..Network::default() },
        Network { bursts: Some(bursts), ..Network::default() },
        Network { latency: Latency::Uniform(MS * 2, MS), ..Network::default() },
    ] {
        assert!(network.check().is_err_and(|what| !what.contains('\n')), "{network:?}");
    }
    assert_eq!(Network::default().check(), Ok(()));
}
