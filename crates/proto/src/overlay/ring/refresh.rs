//! Keeping far members: each cell beyond the list, and each point of a long link, is looked up, far to near; again soon while
//! that brings news, and ever more seldom while it does not.

use super::{
    is_linked,
    shape::{ANCHOR_LINKS, Shape},
};
use crate::{
    context::Context,
    geometry::{CELLS, Geometry},
    overlay::unrest::LATELY,
    step::{Finder, Step},
    time::Instant,
};
use cicada_wire::{Churn, Hash, Offset, SignedRecord, U256};
use std::{cmp::Reverse, collections::BTreeMap, time::Duration};

/// What is to be looked up when.
#[derive(Debug, Default)]
pub(super) struct Refresh {
    slots: BTreeMap<Slot, Due>,
    under_way: BTreeMap<Hash, Slot>,
    /// The earliest time of a slot: it is asked for after each input, and slots are many.
    next: Option<Instant>,
    /// No long link is looked for before that.
    paced: Instant,
    /// The search for anchors has come to this member, in so many steps.
    crowd: Option<(Hash, u32)>,
}

/// In the order in which they are looked up.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Slot {
    /// Somebody beyond a crowd.
    Anchor,
    Cell(Reverse<u32>),
    Long(usize),
}

#[derive(Debug)]
struct Due {
    at: Instant,
    pause: Duration,
    /// Whether it was looked up since it was needed.
    looked: bool,
}

impl Refresh {
    /// The neighbourhood changed, and with it perhaps the cells that are beyond it.
    pub(super) fn on_reshape(&mut self, cx: &Context<'_>, shape: &Shape, me: Hash) {
        if shape.is_whole_ring() {
            self.slots.clear();
            self.next = None;
            return;
        }
        let cells = (shape.lowest_cell(me)..CELLS).map(|cell| Slot::Cell(Reverse(cell)));
        let anchor = Some(Slot::Anchor).filter(|_| shape.is_crowded);
        let slots: Vec<Slot> = anchor.into_iter().chain(cells).chain((0..shape.points.len()).map(Slot::Long)).collect();
        if !shape.is_crowded {
            self.crowd = None;
        }
        self.slots.retain(|slot, _| slots.contains(slot));
        for slot in slots {
            self.slots.entry(slot).or_insert(Due { at: cx.now + SOON, pause: FIRST_PAUSE, looked: false });
        }
        self.find_next();
    }

    fn find_next(&mut self) {
        self.next = self.slots.values().map(|due| due.at).min();
    }

    /// A member is gone: its place is looked up again soon.
    pub(super) fn on_gone(&mut self, cx: &Context<'_>, shape: &Shape, peer: Hash) {
        let cell = shape.fingers.iter().find(|(_, finger)| **finger == peer).map(|(cell, _)| Slot::Cell(Reverse(*cell)));
        if let Some(due) = cell.and_then(|slot| self.slots.get_mut(&slot)) {
            *due = Due { at: cx.now + SOON, pause: FIRST_PAUSE, looked: false };
        }
        self.find_next();
    }

    /// `record` tells the records of known members.
    pub(super) fn on_wake<'a>(
        &mut self,
        cx: &mut Context<'_>,
        shape: &Shape,
        me: Hash,
        churn: Churn,
        record: impl Fn(Hash) -> Option<&'a SignedRecord>,
    ) {
        if self.next.is_some_and(|next| next <= cx.now) {
            self.look(cx, shape, me, churn, record);
            self.find_next();
        }
    }

    fn look<'a>(&mut self, cx: &mut Context<'_>, shape: &Shape, me: Hash, churn: Churn, record: impl Fn(Hash) -> Option<&'a SignedRecord>) {
        let due: Vec<Slot> = self.slots.iter().filter(|(_, due)| due.at <= cx.now).map(|(slot, _)| *slot).collect();
        for slot in due {
            if self.under_way.len() >= AT_ONCE {
                return;
            }
            if churn != Churn::Calm && self.waits(cx, shape, churn, slot) {
                continue;
            }
            let (target, holder) = match slot {
                Slot::Anchor => (self.beyond_the_crowd(shape), None),
                Slot::Cell(Reverse(cell)) => (Some(Geometry::Ring.cell_start(me, cell)), shape.fingers.get(&cell)),
                Slot::Long(number) => (shape.points.get(number).copied(), shape.long.get(number)),
            };
            let again = self.postpone(cx, churn, slot);
            let holder = holder.and_then(|holder| record(*holder)).filter(|_| again);
            let is_well_held = |target| holder.is_some_and(|holder| is_linked(cx, holder.id()) && is_near(me, target, holder.id()));
            // Whoever has the place otherwise knows who has come before it: that is one question instead of a lookup.
            if let Some(target) = target.filter(|target| !is_well_held(*target)) {
                self.under_way.insert(target, slot);
                cx.step(Step::Find { target, seeds: holder.into_iter().cloned().collect(), finder: Finder::Overlay });
            }
        }
    }

    /// Where members come and go whoever stands in a cell will do, and long links, which make routes short, are made one by one; where
    /// many do, none are, and a cell is looked up only when nobody is known there.
    fn waits(&mut self, cx: &Context<'_>, shape: &Shape, churn: Churn, slot: Slot) -> bool {
        let is_heavy = churn == Churn::Heavy;
        let Some(due) = self.slots.get_mut(&slot) else { return false };
        match slot {
            Slot::Anchor => false,
            Slot::Cell(Reverse(cell)) => {
                let is_held = (!due.looked || is_heavy) && shape.fingers.contains_key(&cell);
                if is_held {
                    (due.at, due.looked) = (cx.now + LATELY, true);
                }
                is_held
            }
            Slot::Long(_) if is_heavy => {
                due.at = cx.now + LATELY;
                true
            }
            Slot::Long(_) if cx.now < self.paced => {
                due.at = self.paced;
                true
            }
            Slot::Long(_) => {
                self.paced = cx.now + BETWEEN_LONG;
                false
            }
        }
    }

    /// Says whether this is not the first look.
    fn postpone(&mut self, cx: &Context<'_>, churn: Churn, slot: Slot) -> bool {
        let longest = cx.config.upkeep.refresh * QUIET_REFRESH;
        let least = if churn == Churn::Calm { FIRST_PAUSE } else { LATELY };
        let Some(due) = self.slots.get_mut(&slot) else { return false };
        due.pause = due.pause.max(least);
        due.at = cx.now + due.pause;
        due.pause = (due.pause * 4).min(longest);
        std::mem::replace(&mut due.looked, true)
    }

    /// Where to look for the next member behind the crowd: behind whoever was found last, from the end of the list on, until there are
    /// anchors enough.
    fn beyond_the_crowd(&mut self, shape: &Shape) -> Option<Hash> {
        if shape.anchors.len() >= ANCHOR_LINKS {
            self.crowd = None;
            return None;
        }
        self.crowd.map(|(last, _)| last).or(shape.successors.last().copied()).map(after)
    }

    fn hasten(&mut self, cx: &Context<'_>, slot: Slot) {
        if let Some(due) = self.slots.get_mut(&slot) {
            due.at = due.at.min(cx.now + BETWEEN_ANCHORS);
        }
        self.find_next();
    }

    /// A lookup ended with this owner. `news`: it was unknown.
    pub(super) fn on_found(&mut self, cx: &Context<'_>, target: Hash, owner: Option<Hash>, news: bool) {
        let Some(slot) = self.under_way.remove(&target) else { return };
        if slot == Slot::Anchor {
            let steps = self.crowd.map_or(0, |(_, steps)| steps) + 1;
            self.crowd = owner.filter(|_| steps < MOST_STEPS).map(|owner| (owner, steps));
            // By then it is known who that is.
            if self.crowd.is_some() {
                self.hasten(cx, slot);
            }
        }
        if let Some(due) = self.slots.get_mut(&slot).filter(|_| news) {
            due.pause = FIRST_PAUSE;
        }
    }

    pub(super) fn next_timeout(&self) -> Option<Instant> {
        // Otherwise the end of a lookup is what is waited for.
        self.next.filter(|_| self.under_way.len() < AT_ONCE)
    }
}

/// The point after a member.
fn after(member: Hash) -> Hash {
    Geometry::Ring.at(member, Offset(U256::ONE))
}

/// Whether nobody at `target` could serve much better: routes past `holder` are as short, and a handshake costs more than a detour.
fn is_near(me: Hash, target: Hash, holder: Hash) -> bool {
    let way = Geometry::Ring.offset(me, target);
    Geometry::Ring.offset(target, holder) <= Offset(way.0.shifted_right(NEAR_BITS))
}

const AT_ONCE: usize = 3; // guess

/// From one step behind a crowd to the next.
const BETWEEN_ANCHORS: Duration = Duration::from_secs(1); // guess: a proof

/// How far behind a crowd anchors are sought at a time.
const MOST_STEPS: u32 = 32; // guess: twice a list

/// An eighth of the way beyond the target is near it.
const NEAR_BITS: u32 = 3; // guess: a route through there is longer by a hop in sixteen

/// From a change to the lookups that it asks for: it rarely comes alone.
const SOON: Duration = Duration::from_millis(300); // guess

const FIRST_PAUSE: Duration = Duration::from_secs(8); // guess

/// From one long link to the next in such times.
const BETWEEN_LONG: Duration = Duration::from_secs(20); // guess: about the pace at which they are dialled

/// The longest pause is this many times `upkeep.refresh`: a finger that is linked and lives need not be the first of its cell.
const QUIET_REFRESH: u32 = 16; // measured: lookups are what idling costs most
