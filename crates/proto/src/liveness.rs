//! Who is still there: one outstanding check a peer, checks further apart while all is quiet, at once on suspicion.
//!
//! An answer never sets off a check, so two peers cannot keep each other busy.

use crate::{
    context::Context,
    overlay::{Overlay, Rank},
    step::{Asker, Step},
    time::Instant,
};
use cicada_wire::{Hash, Query, SignedRecord};
use std::collections::BTreeMap;

/// All peers under watch: those linked, and those suspected.
#[derive(Debug, Default)]
pub(crate) struct Liveness {
    watched: BTreeMap<Hash, Watch>,
    /// No rest ends earlier: found anew by each wake, so that nobody need look at all of them after every input.
    next: Option<Instant>,
}

#[derive(Debug)]
struct Watch {
    record: SignedRecord,
    state: State,
    /// Quiet rounds since the last change.
    quiet: u32,
    linked: bool,
}

#[derive(Debug)]
enum State {
    Resting { until: Instant },
    Checking { misses: u32, since: Instant },
}

impl Liveness {
    /// A link to a member stands.
    pub(crate) fn on_link_up(&mut self, cx: &Context<'_>, record: &SignedRecord) {
        let until = cx.now + cx.config.upkeep.liveness;
        let watch = Watch { record: record.clone(), state: State::Resting { until }, quiet: 0, linked: true };
        self.watched.insert(record.id(), watch);
        self.rests_until(until);
    }

    fn rests_until(&mut self, until: Instant) {
        self.next = Some(self.next.map_or(until, |next| next.min(until)));
    }

    /// A link to a member is gone.
    pub(crate) fn on_link_down(&mut self, peer: Hash) {
        if let Some(watch) = self.watched.get_mut(&peer) {
            watch.linked = false;
            if matches!(watch.state, State::Resting { .. }) {
                self.watched.remove(&peer);
            }
        }
    }

    /// Somebody has reason to doubt that this member is alive.
    pub(crate) fn suspect(&mut self, cx: &mut Context<'_>, overlay: &Overlay, peer: Hash) {
        let known = overlay.member(peer).map(|member| member.record().clone());
        let known = known.or_else(|| cx.links.to_peer(peer).map(|link| link.record.clone()));
        let Some(record) = known else { return };
        let linked = cx.links.to_peer(peer).is_some();
        let resting = State::Resting { until: cx.now };
        let watch = self.watched.entry(peer).or_insert(Watch { record, state: resting, quiet: 0, linked });
        if matches!(watch.state, State::Resting { .. }) {
            watch.check(cx);
        }
    }

    /// A check was answered (`true`) or not.
    pub(crate) fn on_answer(&mut self, cx: &mut Context<'_>, overlay: &Overlay, peer: Hash, answered: bool) {
        let Some(watch) = self.watched.get_mut(&peer) else { return };
        let State::Checking { misses, since } = &mut watch.state else { return };
        // Whoever says anything lives; its answer may be behind other things.
        let heard = cx.links.to_peer(peer).is_some_and(|link| link.heard > *since);
        let answered = answered || heard;
        if answered && !watch.linked {
            self.watched.remove(&peer);
        } else if answered {
            watch.quiet += 1;
            let until = watch.rest(cx, overlay);
            self.rests_until(until);
        } else {
            *misses += 1;
            let (misses, linked) = (*misses, watch.linked);
            if misses < if linked { MISSES_LINKED } else { MISSES } {
                watch.ask(cx);
                // A link loses nothing: where one end is silent, others may be, and all are found out at once.
                if linked && misses == 1 {
                    self.hurry(cx);
                }
            } else {
                self.watched.remove(&peer);
                self.hurry(cx);
                cx.step(Step::Gone { peer, politely: false });
            }
        }
    }

    /// It is gone for certain, or back under another record.
    pub(crate) fn forget(&mut self, peer: Hash) {
        self.watched.remove(&peer);
    }

    /// Where one died, others may have: everybody is checked soon.
    fn hurry(&mut self, cx: &Context<'_>) {
        let soon = cx.now + cx.config.upkeep.liveness / 20;
        for watch in self.watched.values_mut() {
            watch.quiet = 0;
            if let State::Resting { until } = &mut watch.state {
                *until = soon.min(*until);
            }
        }
        self.rests_until(soon);
    }

    pub(crate) fn on_wake(&mut self, cx: &mut Context<'_>, overlay: &Overlay) {
        if self.next.is_none_or(|next| next > cx.now) {
            return;
        }
        for watch in self.watched.values_mut() {
            let State::Resting { until } = watch.state else { continue };
            if until > cx.now {
                continue;
            }
            // What was heard lately needs no check.
            let heard = cx.links.to_peer(watch.record.id()).map_or(Instant(0), |link| link.heard);
            if cx.now.since(heard) < cx.config.upkeep.liveness && watch.linked {
                let _ = watch.rest(cx, overlay);
            } else {
                watch.check(cx);
            }
        }
        let due = |watch: &Watch| match watch.state {
            State::Resting { until } => Some(until),
            State::Checking { .. } => None,
        };
        self.next = self.watched.values().filter_map(due).min();
    }

    pub(crate) fn next_timeout(&self) -> Option<Instant> {
        self.next
    }
}

impl Watch {
    fn check(&mut self, cx: &mut Context<'_>) {
        self.state = State::Checking { misses: 0, since: cx.now };
        self.ask(cx);
    }

    fn ask(&self, cx: &mut Context<'_>) {
        cx.step(Step::Ask { to: self.record.clone(), query: Query::Ping, asker: Asker::Liveness });
    }

    /// Leaves it alone for a while; says until when.
    fn rest(&mut self, cx: &Context<'_>, overlay: &Overlay) -> Instant {
        // Neighbours are never left alone for long: the overlay stands on them.
        let peer = self.record.id();
        // Beside the other links: alone, every link would be the only one of its bucket.
        let others: Vec<Hash> = cx.links.members().map(super::links::Link::peer).filter(|other| *other != peer).collect();
        let most = match overlay.rank(peer, &others) {
            Rank::Essential => 0,
            // Messages go over these too: a dead one should be found before anybody's patience ends.
            Rank::Useful(_) => 1,
            Rank::Spare(_) => MOST_DOUBLINGS,
        };
        let pause = cx.config.upkeep.liveness * 2u32.pow(self.quiet.min(most));
        let until = cx.now + pause;
        self.state = State::Resting { until };
        until
    }
}

/// Unanswered checks in a row until a peer is taken for dead. Each is sent twice, since datagrams carry it.
const MISSES: u32 = 2; // guess: 1 s in all, which a busy machine survives

/// The same over a link, which loses nothing: there it takes as long.
const MISSES_LINKED: u32 = 3; // guess: 750 ms at the least; a machine that stops for less is not dead

/// The longest pause is eight times `upkeep.liveness`, as its documentation promises.
const MOST_DOUBLINGS: u32 = 3;
