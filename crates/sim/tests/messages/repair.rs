//! What delegates that fail left out, those who have it offer, and those who lack it fetch.

use crate::swarm::{OVERLAYS, config, world};
use cicada_proto::Config;
use cicada_sim::{Kind, Latency, Network, Packet, PeerIndex, Verdict, World};
use cicada_wire::Frame;
use std::{cell::RefCell, collections::BTreeSet, rc::Rc, time::Duration};

const MILLISECOND: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

/// Peers that acknowledge tasks and drop them.
type Droppers = Rc<RefCell<BTreeSet<PeerIndex>>>;

fn drop_tasks(world: &mut World) -> Droppers {
    let droppers = Droppers::default();
    let dropping = Rc::clone(&droppers);
    world.add_rule(move |passing| match passing.packet {
        Packet::Frame(Frame::Task(..)) if dropping.borrow().contains(&passing.to) => Verdict::Swallow,
        Packet::Frame(_) | Packet::Datagram(_) | Packet::Dial => Verdict::Pass,
    });
    droppers
}

/// What came of one broadcast.
#[derive(Clone, Copy, Debug)]
struct Round {
    /// How many of the others had it after the first second, before anything was offered.
    early: f64,
    /// After how long all others had it.
    complete: Option<Duration>,
    /// Bodies sent for each of them.
    copies: f64,
    /// Frames of repair for each of them, and their bytes.
    told: f64,
    told_bytes: f64,
}

/// One broadcast from a random peer while these shares of a thousand, chosen anew, drop.
fn round(world: &mut World, peers: &[PeerIndex], droppers: &Droppers, share: usize, number: usize) -> Round {
    let from = world.choose(peers);
    let mut dropping = BTreeSet::new();
    while dropping.len() < peers.len() * share / 1000 {
        let who = world.choose(peers);
        if who != from {
            dropping.insert(who);
        }
    }
    let others: Vec<PeerIndex> = peers.iter().copied().filter(|peer| *peer != from && !dropping.contains(peer)).collect();
    *droppers.borrow_mut() = dropping;
    let text = format!("round {number}");
    let before = world.cost_of(peers);
    let start = world.now();
    world.broadcast(from, text.clone());
    world.run_for(SECOND);
    let early = world.reached(&others, text.as_bytes()).0 as f64 / others.len() as f64;
    let reached = |world: &mut World| world.reached(&others, text.as_bytes()).0 == others.len();
    let complete = world.run_until_every(50 * MILLISECOND, 10 * SECOND, reached).map(|_| world.now().since(start));
    world.run_for((start + 18 * SECOND).since(world.now()));
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
        copies: each(cost.of(Kind::Task).messages),
        told: each(told.iter().map(|tally| tally.messages).sum()),
        told_bytes: each(told.iter().map(|tally| tally.bytes).sum()),
    }
}

/// So many rounds in one swarm; prints what they came to.
fn rounds(config: Config, seed: u64, count: usize, share: usize, rounds: usize) -> Vec<Round> {
    let (overlay, repair) = (config.overlay, config.upkeep.repair);
    let mut world = world(seed, config);
    world.set_network(Network { latency: Latency::Uniform(10 * MILLISECOND, 50 * MILLISECOND), lost_per_million: 0 });
    let peers = world.add_peers(count);
    assert!(world.assemble(&peers, 5 * MILLISECOND).is_empty());
    let settled = world.run_until_every(2 * SECOND, 60 * SECOND, |world| world.tables_are_right(&peers).is_ok());
    assert!(settled.is_some(), "{:?}", world.tables_are_right(&peers));
    world.run_for(10 * SECOND);
    let droppers = drop_tasks(&mut world);
    let outcomes: Vec<Round> = (0..rounds).map(|number| round(&mut world, &peers, &droppers, share, number)).collect();
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

#[test]
fn though_a_fifth_acknowledge_and_drop_all_others_get_it() {
    for overlay in OVERLAYS {
        let outcomes = rounds(config(overlay, 32), 7, 200, 200, 8);
        assert!(outcomes.iter().all(is_complete), "{overlay}: {outcomes:?}");
        assert!(outcomes.iter().all(|round| round.copies <= 2.0), "{overlay}: {outcomes:?}");
    }
}

#[test]
fn without_repair_a_fifth_that_acknowledge_and_drop_leave_others_out() {
    for overlay in OVERLAYS {
        let mut config = config(overlay, 32);
        config.upkeep.repair = false;
        let outcomes = rounds(config, 7, 200, 200, 4);
        assert!(!outcomes.iter().any(is_complete), "the control: {overlay}: {outcomes:?}");
    }
}
