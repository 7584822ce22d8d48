//! What one member may hold and send at most, however many others there are: looked at each second of an experiment.

use crate::{peer::PeerIndex, world::World};
use cicada_proto::Instant;
use std::{collections::BTreeMap, time::Duration};

/// Looks again and again whether everybody keeps the bounds.
#[derive(Debug, Default)]
pub(super) struct Bounds {
    looked: Instant,
    looks: u64,
    /// What each had sent for its upkeep at the last look.
    sent: BTreeMap<PeerIndex, u64>,
    /// The most that one sent so in a second, in bytes.
    pub(super) busiest: u64,
    /// The first who broke them, and how.
    pub(super) broken: Option<String>,
}

impl Bounds {
    pub(super) fn look(&mut self, world: &World) {
        let span = world.now.since(self.looked);
        if span < EVERY {
            return;
        }
        self.looked = world.now;
        self.looks += 1;
        let live: Vec<PeerIndex> = world.live().collect();
        let before = std::mem::take(&mut self.sent);
        for who in &live {
            let sent = world.cost(*who).upkeep().bytes;
            let in_a_second = (sent - before.get(who).copied().unwrap_or_default()) as f64 / span.as_secs_f64();
            self.busiest = self.busiest.max(in_a_second as u64);
            if in_a_second > MOST_SENT {
                self.break_bounds(format!("{} sends {in_a_second:.0} bytes of upkeep in a second", world.name(*who)));
            }
            self.sent.insert(*who, sent);
        }
        // Tables change slowly, and counting them costs more.
        if self.looks.is_multiple_of(TABLES_EVERY) {
            live.iter().filter_map(|who| too_much(world, *who, live.len())).for_each(|what| self.break_bounds(what));
        }
    }

    fn break_bounds(&mut self, what: String) {
        self.broken.get_or_insert(what);
    }
}

/// What a member of a swarm of so many holds beyond its bounds.
fn too_much(world: &World, who: PeerIndex, swarm: usize) -> Option<String> {
    let node = world.node(who)?;
    let (limits, upkeep) = (&node.config().limits, &node.config().upkeep);
    let cells = swarm.next_power_of_two().ilog2() as usize + MORE_CELLS;
    let held = [
        ("links", node.links().len(), limits.links + limits.client_links + limits.half_open + limits.dials),
        ("entries", node.table().entries.len(), upkeep.bucket * cells + upkeep.successors + limits.links + SPARES),
        ("deliveries", node.undelivered().0, limits.deliveries),
    ];
    let (what, count, most) = held.into_iter().find(|(_, count, most)| count > most)?;
    Some(format!("{} holds {count} {what}, at most {most}", world.name(who)))
}

const EVERY: Duration = Duration::from_secs(1);

const TABLES_EVERY: u64 = 5;

/// Bytes of upkeep that one member may send in a second: handshakes, proofs, questions, tables, no messages. A member by which many join
/// at once, or around which many die, is the busiest.
const MOST_SENT: f64 = 400_000.0; // measured: 221 596 in 10 000 small worlds

/// Cells that are not empty in a swarm, beyond the logarithm of its size.
const MORE_CELLS: usize = 8; // guess: once in 256 peers there is one more, once in 65 536 two

/// Members of a ring beyond those with a place.
const SPARES: usize = 64; // as the ring holds
