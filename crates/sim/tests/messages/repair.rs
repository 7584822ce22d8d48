//! What delegates that fail left out, those who have it offer, and those who lack it fetch.

use crate::swarm::{OVERLAYS, config, swarm, world};
use cicada_proto::Config;
use cicada_sim::{Kind, Latency, Network, Packet, PeerIndex, PeerOptions, Verdict, World};
use cicada_wire::{Frame, OverlayKind, Role};
use std::{cell::RefCell, collections::BTreeSet, rc::Rc, time::Duration};

const MILLISECOND: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

/// Peers that acknowledge tasks and drop them, and the bodies that were sent to others.
#[derive(Default)]
struct Faults {
    droppers: BTreeSet<PeerIndex>,
    bodies: usize,
}

fn drop_tasks(world: &mut World) -> Rc<RefCell<Faults>> {
    let faults = Rc::new(RefCell::new(Faults::default()));
    let shared = Rc::clone(&faults);
    world.add_rule(move |passing| {
        let Packet::Frame(Frame::Task(task, _)) = passing.packet else { return Verdict::Pass };
        let mut faults = shared.borrow_mut();
        if faults.droppers.contains(&passing.to) {
            return Verdict::Swallow;
        }
        faults.bodies += usize::from(!task.extend);
        Verdict::Pass
    });
    faults
}

/// What came of one broadcast.
#[derive(Clone, Copy, Debug)]
struct Round {
    /// How many of the others had it after the first second, before anything was offered.
    early: f64,
    /// After how long all others had it.
    complete: Option<Duration>,
    /// Bodies sent to each of them.
    copies: f64,
    /// Frames of repair for each of them, and their bytes.
    told: f64,
    told_bytes: f64,
}

/// One broadcast from a random peer while these shares of a thousand, chosen anew, drop.
fn round(world: &mut World, peers: &[PeerIndex], faults: &RefCell<Faults>, share: usize, number: usize) -> Round {
    let from = world.choose(peers);
    let mut dropping = BTreeSet::new();
    while dropping.len() < peers.len() * share / 1000 {
        let who = world.choose(peers);
        if who != from {
            dropping.insert(who);
        }
    }
    let others: Vec<PeerIndex> = peers.iter().copied().filter(|peer| *peer != from && !dropping.contains(peer)).collect();
    *faults.borrow_mut() = Faults { droppers: dropping, bodies: 0 };
    let text = format!("round {number}");
    let before = world.cost_of(peers);
    let start = world.now();
    world.broadcast(from, text.clone());
    world.run_for(SECOND);
    let early = world.reached(&others, text.as_bytes()).0 as f64 / others.len() as f64;
    let reached = |world: &mut World| world.reached(&others, text.as_bytes()).0 == others.len();
    let complete = world.run_until_every(50 * MILLISECOND, 9 * SECOND, reached).map(|_| world.now().since(start));
    world.run_for((start + 10 * SECOND).since(world.now()));
    assert_eq!(world.reached(&others, text.as_bytes()).1, 0, "no application gets it twice");
    let cost = world.cost_of(peers).since(&before);
    for peer in peers {
        world.take_deliveries(*peer);
    }
    let each = |figure: u64| figure as f64 / others.len() as f64;
    let told = [Kind::Digest, Kind::Pull].map(|kind| cost.of(kind));
    Round {
        early,
        complete,
        copies: each(faults.borrow().bodies as u64),
        told: each(told.iter().map(|tally| tally.messages).sum()),
        told_bytes: each(told.iter().map(|tally| tally.bytes).sum()),
    }
}

/// So many rounds in one swarm; prints what they came to.
fn rounds(config: Config, seed: u64, count: usize, share: usize, rounds: usize) -> Vec<Round> {
    let (overlay, repair) = (config.overlay, config.upkeep.repair);
    let mut world = world(seed, config);
    world.set_network(Network { latency: Latency::Uniform(10 * MILLISECOND, 50 * MILLISECOND), lost_per_million: 0, ..Network::default() });
    let peers = world.add_peers(count);
    assert!(world.assemble(&peers, 5 * MILLISECOND).is_empty());
    let settled = world.run_until_every(2 * SECOND, 60 * SECOND, |world| world.tables_are_right(&peers).is_ok());
    assert!(settled.is_some(), "{:?}", world.tables_are_right(&peers));
    world.run_for(10 * SECOND);
    let faults = drop_tasks(&mut world);
    let outcomes: Vec<Round> = (0..rounds).map(|number| round(&mut world, &peers, &faults, share, number)).collect();
    let mean = |figure: fn(&Round) -> f64| outcomes.iter().map(figure).sum::<f64>() / rounds as f64;
    let worst = outcomes.iter().map(|round| round.complete).max_by_key(|complete| complete.unwrap_or(Duration::MAX)).flatten();
    let complete = outcomes.iter().filter(|round| round.complete.is_some()).count();
    let mean_time = outcomes.iter().filter_map(|round| round.complete).sum::<Duration>() / u32::try_from(complete.max(1)).expect("few");
    println!(
        "{overlay} N={count} seed={seed} dropping={share}/1000 repair={repair}: complete in {complete} of {rounds}, mean {mean_time:?}, worst {worst:?}; \
         after 1 s {:.3} (least {:.3}); copies {:.3} (most {:.3}); repair frames {:.1}, {:.0} B each",
        mean(|round| round.early),
        outcomes.iter().map(|round| round.early).fold(1.0, f64::min),
        mean(|round| round.copies),
        outcomes.iter().map(|round| round.copies).fold(0.0, f64::max),
        mean(|round| round.told),
        mean(|round| round.told_bytes),
    );
    outcomes
}

fn is_complete(round: &Round) -> bool {
    round.complete.is_some()
}

/// With `CICADA_FULL` a thousand peers and 100 rounds in four swarms, which takes minutes.
fn a_fifth_acknowledge_and_drop(overlay: OverlayKind) {
    let full = std::env::var_os("CICADA_FULL").is_some();
    let (count, swarms, each) = if full { (1000, 4, 25) } else { (200, 1, 8) };
    for seed in 0..swarms {
        let outcomes = rounds(config(overlay, 32), seed, count, 200, each);
        assert!(outcomes.iter().all(is_complete), "{overlay}: {outcomes:?}");
        assert!(outcomes.iter().all(|round| round.copies <= MOST_COPIES), "{overlay}: {outcomes:?}");
    }
}

#[test]
fn on_the_ring_all_others_get_it_though_a_fifth_acknowledge_and_drop() {
    a_fifth_acknowledge_and_drop(OverlayKind::Ring);
}

#[test]
fn on_the_tree_all_others_get_it_though_a_fifth_acknowledge_and_drop() {
    a_fifth_acknowledge_and_drop(OverlayKind::Tree);
}

#[test]
fn without_repair_a_fifth_that_acknowledge_and_drop_leave_others_out() {
    for overlay in OVERLAYS {
        let mut config = config(overlay, 32);
        config.upkeep.repair = false;
        let outcomes = rounds(config, 0, 64, 200, 6);
        assert!(!outcomes.iter().all(is_complete), "the control: {overlay}: {outcomes:?}");
    }
}

/// The figures of docs/decisions/0007: `CICADA_FIGURES=1000` makes them, in a swarm of that size.
#[test]
fn without_faults_repair_sends_no_copies() {
    let figures = std::env::var_os("CICADA_FIGURES");
    let figures: Option<usize> = figures.map(|count| count.to_str().and_then(|count| count.parse().ok()).expect("a number of peers"));
    for overlay in OVERLAYS {
        let outcomes = rounds(config(overlay, 32), 0, 64, 0, 4);
        assert!(outcomes.iter().all(|round| is_complete(round) && round.copies == 1.0), "{overlay}: {outcomes:?}");
        for (repair, share) in [(true, 0), (true, 50), (true, 200), (false, 50), (false, 200)] {
            let mut config = config(overlay, 32);
            config.upkeep.repair = repair;
            if let Some(count) = figures {
                rounds(config, 0, count, share, 10);
            }
        }
    }
}

#[test]
fn who_offers_and_hands_nothing_over_stops_nobody() {
    for overlay in OVERLAYS {
        let (mut world, peers) = swarm(11, config(overlay, 16), 64);
        let (dropping, lying): (Vec<PeerIndex>, Vec<PeerIndex>) = (peers[10..22].to_vec(), peers[30..42].to_vec());
        let faults = drop_tasks(&mut world);
        faults.borrow_mut().droppers = dropping.iter().copied().collect();
        let liars = lying.clone();
        world.add_rule(move |passing| match passing.packet {
            Packet::Frame(Frame::Task(..)) if liars.contains(&passing.from) => Verdict::Swallow,
            Packet::Frame(_) | Packet::Datagram(_) | Packet::Dial => Verdict::Pass,
        });
        let others: Vec<PeerIndex> = peers[1..].iter().copied().filter(|peer| !dropping.contains(peer)).collect();
        world.broadcast(peers[0], "through");
        world.run_for(10 * SECOND);
        assert_eq!(world.reached(&others, b"through"), (others.len(), 0), "{overlay}");
    }
}

#[test]
fn with_30_percent_lost_and_a_fifth_dropping_all_others_get_it() {
    for overlay in OVERLAYS {
        let (mut world, peers) = swarm(12, config(overlay, 16), 64);
        let latency = Latency::Uniform(10 * MILLISECOND, 50 * MILLISECOND);
        world.set_network(Network { latency, lost_per_million: 300_000, ..Network::default() });
        let faults = drop_tasks(&mut world);
        faults.borrow_mut().droppers = peers[10..22].iter().copied().collect();
        let others: Vec<PeerIndex> = peers[1..10].iter().chain(&peers[22..]).copied().collect();
        world.broadcast(peers[0], "through");
        world.run_for(20 * SECOND);
        assert_eq!(world.reached(&others, b"through"), (others.len(), 0), "{overlay}");
    }
}

#[test]
fn who_was_cut_off_gets_what_it_missed() {
    for (overlay, repair) in [(OverlayKind::Ring, true), (OverlayKind::Tree, true), (OverlayKind::Ring, false)] {
        let mut config = config(overlay, 16);
        config.upkeep.repair = repair;
        let (mut world, peers) = swarm(13, config, 24);
        world.partition(&[&peers[..23], &peers[23..]]);
        world.run_for(SECOND);
        world.broadcast(peers[0], "missed");
        world.run_for(15 * SECOND);
        assert_eq!(world.reached(&peers[1..], b"missed"), (22, 0));
        world.heal();
        world.connect(peers[23], peers[5]);
        world.run_for(6 * SECOND);
        assert_eq!(world.reached(&peers[23..], b"missed"), (usize::from(repair), 0), "{overlay}");
    }
}

#[test]
fn a_newcomer_gets_what_is_not_older_than_half_a_minute() {
    for overlay in OVERLAYS {
        let (mut world, peers) = swarm(14, config(overlay, 16), 24);
        world.broadcast(peers[0], "a while ago");
        world.run_for(10 * SECOND);
        let early = world.add_named("early");
        world.join(early, peers[7]).expect("it joins");
        world.run_for(4 * SECOND);
        assert_eq!(world.reached(&[early], b"a while ago"), (1, 0), "{overlay}");
        world.run_for(30 * SECOND);
        let late = world.add_named("late");
        world.join(late, peers[7]).expect("it joins");
        world.run_for(4 * SECOND);
        assert_eq!(world.reached(&[late], b"a while ago"), (0, 0), "{overlay}");
    }
}

#[test]
fn a_clients_broadcast_is_fetched_when_the_member_where_it_entered_drops_it() {
    for overlay in OVERLAYS {
        let (mut world, peers) = swarm(15, config(overlay, 16), 24);
        let mut options = PeerOptions::named("client");
        options.role = Role::Client;
        let client = world.add(options);
        world.join(client, peers[3]).expect("it joins");
        world.run_for(3 * SECOND);
        let until = world.now() + SECOND / 2;
        world.add_rule(move |passing| match passing.packet {
            Packet::Frame(Frame::Task(..)) if passing.from == client && passing.now < until => Verdict::Swallow,
            Packet::Frame(_) | Packet::Datagram(_) | Packet::Dial => Verdict::Pass,
        });
        world.broadcast(client, "from a client");
        world.run_for(SECOND / 2);
        assert_eq!(world.reached(&peers, b"from a client"), (0, 0), "the control");
        world.run_for(6 * SECOND);
        assert_eq!(world.reached(&peers, b"from a client"), (24, 0), "{overlay}");
    }
}

#[test]
fn a_quiet_swarm_offers_nothing() {
    for overlay in OVERLAYS {
        let (mut world, peers) = swarm(16, config(overlay, 16), 24);
        let offered = |world: &World| world.cost_of(&peers).of(Kind::Digest).messages;
        assert_eq!(offered(&world), 0);
        world.broadcast(peers[0], "once");
        world.run_for(20 * SECOND);
        let after = offered(&world);
        assert!(after > 0, "the control");
        world.run_for(60 * SECOND);
        assert_eq!(offered(&world), after, "{overlay}");
    }
}

/// Bodies sent to each peer that gets it, however many drop theirs.
const MOST_COPIES: f64 = 1.5; // measured: see docs/decisions/0007
