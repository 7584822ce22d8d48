//! Which candidates are proven at once, and which only if others come to nothing.

use super::{Ring, candidates::Wanted, shape::Shape};
use crate::{
    context::Context,
    geometry::Geometry,
    step::{Step, Tries},
    time::Instant,
};
use cicada_wire::{Hash, IdPrefix, Offset};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// Who would take which places if all candidates proved to be there.
#[derive(Debug)]
pub(super) struct Hopes {
    /// How far the list would go: to the first id that begins as that of its last member.
    last: Option<Offset>,
    /// Who would be the last before us.
    before: Option<Hash>,
    /// Who would be the first of a cell beyond the list.
    firsts: BTreeMap<u32, Hash>,
}

impl Hopes {
    /// If these `candidates` prove to be there, and those who are only `named`. `full`: how long the list is then.
    pub(super) fn of(me: Hash, shape: &Shape, candidates: &[Hash], named: impl IntoIterator<Item = IdPrefix>, full: usize) -> Self {
        let after = |id| Geometry::Ring.offset(me, id);
        let mut firsts: BTreeMap<u32, Hash> = BTreeMap::new();
        for candidate in candidates.iter().filter(|id| !shape.is_in_list(me, **id)) {
            let Some(cell) = Geometry::Ring.cell(me, *candidate) else { continue };
            let first = firsts.entry(cell).or_insert(*candidate);
            if after(*candidate) < after(*first) {
                *first = *candidate;
            }
        }
        let known = candidates.iter().chain(&shape.successors).map(|id| IdPrefix::of(*id));
        let names: BTreeSet<IdPrefix> = known.chain(named).collect();
        let mut ways: Vec<Offset> = names.into_iter().map(|name| way(me, name)).collect();
        ways.sort_unstable();
        let last = full.checked_sub(1).and_then(|last| ways.get(last)).copied();
        Self { last, before: candidates.iter().copied().max_by_key(|id| after(*id)), firsts }
    }

    /// Whether others would have every place that a candidate could have.
    pub(super) fn leave_nothing(&self, me: Hash, shape: &Shape, candidate: Hash) -> bool {
        if shape.is_in_list(me, candidate) {
            return self.last.is_some_and(|last| way(me, IdPrefix::of(candidate)) > last);
        }
        let is_first = |cell| !shape.fingers.contains_key(&cell) && self.firsts.get(&cell).is_none_or(|first| *first == candidate);
        self.before != Some(candidate) && !Geometry::Ring.cell(me, candidate).is_some_and(is_first)
    }
}

impl Ring {
    pub(super) fn prove_candidates(&mut self, cx: &mut Context<'_>) {
        if !self.candidates.look(cx.now) {
            return;
        }
        let room = (cx.config.limits.challenges / 2).max(1);
        let me = self.id();
        let hopes = self.hopes(cx.now);
        let shape = &self.shape;
        let now = cx.now;
        let wanted = |id, since| match shape.would_take(me, id, &self.known) {
            true if now < since + PUT_OFF && hopes.leave_nothing(me, shape, id) => Wanted::Later(since + PUT_OFF),
            true => Wanted::Now,
            false => Wanted::Not,
        };
        for record in self.candidates.due(cx.now, room, wanted) {
            cx.step(Step::Prove(record, Tries::where_members_go(self.churn)));
        }
    }

    /// Where many go, those whom the successor has just named count too, since their records are on their way; until it has named any, a few
    /// are enough.
    fn hopes(&self, now: Instant) -> Hopes {
        let hopeful: Vec<Hash> = self.candidates.hopeful(now).collect();
        let is_named = |name: &IdPrefix| self.is_in_flux() && !self.candidates.have_heard_of(now, *name);
        let named = self.stabilise.named_lately(now).iter().copied().filter(is_named);
        let is_early = self.is_in_flux() && !self.stabilise.is_greeted();
        let full = if is_early { self.shape.full.min(FIRST_FEW) } else { self.shape.full };
        Hopes::of(self.id(), &self.shape, &hopeful, named, full)
    }
}

fn way(me: Hash, name: IdPrefix) -> Offset {
    Geometry::Ring.offset(me, name.first())
}

/// Nobody is put off for longer, so that whoever goes on naming members that do not exist keeps nobody out.
const PUT_OFF: Duration = Duration::from_secs(4); // guess: a proof that fails, and the one after it

/// Where many go so many candidates are proven before the successor has named those who come next.
const FIRST_FEW: usize = 4; // guess: of five in a row a quarter dead, one in a thousand are all dead
