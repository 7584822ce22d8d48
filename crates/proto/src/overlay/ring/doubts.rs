//! Members of our list that may be dead: whom the successor's list lacks, and those near somebody who has died.
//!
//! Nobody watches all members of its list: each watches its neighbours, and the lists tell the rest. But a list may also lack
//! somebody because its owner has not heard of it. So who is lacking is asked, and then either forgotten or introduced.

use super::{Ring, is_linked};
use crate::{
    config::Families,
    context::Context,
    geometry::Geometry,
    step::{Asker, Step},
    time::Instant,
};
use cicada_wire::{Hash, IdPrefixes, Query};
use std::{collections::BTreeMap, time::Duration};

/// Members that are being checked.
#[derive(Debug, Default)]
pub(super) struct Doubts {
    checks: BTreeMap<Hash, Check>,
    /// When somebody near was found dead last.
    died: Option<Instant>,
}

#[derive(Debug)]
struct Check {
    since: Instant,
    /// When it is looked whether something was heard over a link.
    next: Instant,
    /// The successor had it and has dropped it: until it is known how it is, it is not told of to others.
    hidden: bool,
}

impl Doubts {
    pub(super) fn clear(&mut self, id: Hash) {
        self.checks.remove(&id);
    }

    pub(super) fn is_hidden(&self, id: Hash) -> bool {
        self.checks.get(&id).is_some_and(|check| check.hidden)
    }

    pub(super) fn next_timeout(&self) -> Option<Instant> {
        self.checks.values().map(|check| check.next).min()
    }
}

impl Ring {
    /// The successor's list against ours: whom it has dropped may be dead, whom it never had it should know of.
    pub(super) fn compare_lists(&mut self, cx: &mut Context<'_>, list: &IdPrefixes) {
        let Some(successor) = self.stabilise.successor else { return };
        let before = std::mem::replace(&mut self.stabilise.heard, list.clone());
        let (me, full) = (self.id(), cx.config.upkeep.successors);
        // A list shorter than that, or one that comes round to us, is the whole ring; `tell` leaves one out.
        let is_part = list.0.len() + 1 >= full && !list.contains(me);
        let end = list.0.last().filter(|_| is_part).map(|last| Geometry::Ring.offset(me, last.first()));
        // Of members that it does not see nothing can be said.
        let sees = self.member(successor).map_or(Families::default(), |successor| successor.places().families);
        let is_seen = |id: Hash| sees.are_both() || self.member(id).is_some_and(|member| sees.meet(member.places().families));
        let in_view = |id: Hash| id != successor && is_seen(id) && end.is_none_or(|end| Geometry::Ring.offset(me, id) < end);
        let lacking: Vec<Hash> = self.shape.successors.iter().copied().filter(|id| in_view(*id) && !list.contains(*id)).collect();
        self.stabilise.lacking.retain(|id, _| lacking.contains(id));
        let again = if self.is_in_flux() { LOOK_AGAIN / 6 } else { LOOK_AGAIN };
        let mut missing = Vec::new();
        for id in lacking {
            let dropped = before.contains(id);
            if !dropped && self.stabilise.lacking.get(&id).is_some_and(|again| *again > cx.now) {
                continue;
            }
            self.stabilise.lacking.insert(id, cx.now + again);
            if !dropped && self.is_fresh(cx, id) {
                missing.extend(self.record(id).cloned());
            } else {
                self.check(cx, id, dropped);
            }
        }
        self.introduce(cx, successor, missing);
        if self.is_in_flux()
            && let Some(next) = self.stabilise.lacking.values().min().copied()
        {
            self.stabilise.review_at(next);
        }
    }

    /// Somebody near has died. After a calm, or soon after another, others may have: the next ones are checked. Where members come and
    /// go it says nothing about the others, and where many do, neither do two.
    pub(super) fn near_one_died(&mut self, cx: &mut Context<'_>) {
        let before = self.doubts.died.replace(cx.now);
        if !self.is_in_flux() && before.is_none_or(|before| !(TOGETHER..CALM).contains(&cx.now.since(before))) {
            self.check_others(cx);
        }
    }

    /// Whether the next ones are there.
    pub(super) fn check_others(&mut self, cx: &mut Context<'_>) {
        let next = self.shape.successors.iter().take(CHECKED).chain(self.shape.before.iter().take(1));
        for id in next.copied().collect::<Vec<_>>() {
            self.check_unless_fresh(cx, id);
        }
    }

    pub(super) fn check_unless_fresh(&mut self, cx: &mut Context<'_>, id: Hash) {
        if !self.is_fresh(cx, id) {
            self.check(cx, id, false);
        }
    }

    /// Asks whether a member is there. `hidden`: it is not told of to others until that is known.
    fn check(&mut self, cx: &mut Context<'_>, id: Hash, hidden: bool) {
        let Some(to) = self.member(id).map(|peer| peer.record().clone()) else { return };
        if hidden {
            self.telling.hasten(cx.now + cx.config.upkeep.batch);
        }
        if let Some(check) = self.doubts.checks.get_mut(&id) {
            check.hidden |= hidden;
            return;
        }
        self.doubts.checks.insert(id, Check { since: cx.now, next: cx.now + LOOK, hidden });
        if is_linked(cx, id) {
            cx.step(Step::Suspect(id));
        } else {
            cx.step(Step::Ask { to, query: Query::Ping, asker: Asker::Overlay });
        }
    }

    /// Whether a member showed so lately that it lives that it need not be checked.
    fn is_fresh(&self, cx: &Context<'_>, id: Hash) -> bool {
        self.last_heard(cx, id).is_some_and(|heard| cx.now.since(heard) <= FRESH)
    }

    fn last_heard(&self, cx: &Context<'_>, id: Hash) -> Option<Instant> {
        let link = cx.links.to_peer(id).map(|link| link.heard);
        self.known.get(&id).map(|known| known.heard).into_iter().chain(link).max()
    }

    /// A question to a member without a link went unanswered: it is dead as far as this ring is concerned. If it is not, the
    /// memory of the lost brings it back.
    pub(super) fn is_dead(&mut self, cx: &mut Context<'_>, id: Hash) {
        if self.doubts.checks.remove(&id).is_some() && !is_linked(cx, id) {
            self.on_gone(cx, id, false);
        }
    }

    /// A member that was checked is there. If the successor lacks it, it is told of it.
    pub(super) fn is_alive(&mut self, cx: &mut Context<'_>, id: Hash) {
        let Some(check) = self.doubts.checks.remove(&id) else { return };
        let Some(known) = self.known.get_mut(&id) else { return };
        known.heard = cx.now;
        if check.hidden {
            self.telling.hasten(cx.now + cx.config.upkeep.batch);
        }
        let Some(successor) = self.stabilise.successor else { return };
        if self.stabilise.lacking.contains_key(&id) && !self.stabilise.heard.contains(id) {
            let record = self.record(id).cloned();
            self.introduce(cx, successor, record.into_iter().collect());
        }
    }

    /// Members with links are checked by the liveness; here it is seen that they have answered.
    pub(super) fn settle_doubts(&mut self, cx: &mut Context<'_>) {
        let due: Vec<(Hash, Instant)> =
            self.doubts.checks.iter().filter(|(_, check)| check.next <= cx.now).map(|(id, check)| (*id, check.since)).collect();
        for (id, since) in due {
            let heard = self.last_heard(cx, id).is_some_and(|heard| heard > since);
            if heard || cx.now.since(since) > LONGEST {
                self.is_alive(cx, id);
            } else if let Some(check) = self.doubts.checks.get_mut(&id) {
                check.next = cx.now + LOOK;
            }
        }
    }
}

/// Who was heard of so lately need not be checked.
const FRESH: Duration = Duration::from_millis(500); // guess

/// Who is found dead so soon after another may have died with it.
const TOGETHER: Duration = Duration::from_secs(2); // guess: what is checked for one is found out by then

/// After so long without a death one is news.
const CALM: Duration = Duration::from_secs(60); // guess: with sessions of ten minutes one of seventeen crashes every 100 s

/// How many of the next successors are checked when one has died.
const CHECKED: usize = 4; // guess: of five in a row a quarter dead, one in a thousand are all dead

/// A member that the successor's list lacks although it lives is looked at again after this long; where many go, after a sixth of it.
const LOOK_AGAIN: Duration = Duration::from_secs(30); // guess

const LOOK: Duration = Duration::from_millis(250); // guess: most round trips are shorter

/// No check takes longer: twice two answer timeouts, and a little.
const LONGEST: Duration = Duration::from_millis(2500);
