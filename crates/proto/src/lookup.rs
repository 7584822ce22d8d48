//! Iterative lookups: who is responsible for a key? Written once for both overlays.
//!
//! A lookup keeps a shortlist of contacts in two orders, which both come from the geometry's offset: how far a contact still
//! is from the key (the *approach*, by which it is decided whom to ask) and how far it is from the key (the *claim*: the owner
//! is the live member with the smallest). On the tree the two are one. [`search`] is one such shortlist and decides; here is
//! what all lookups share: their number, their timers, and the memory of the dead.
//!
//! Questions leave as [`Step::Ask`] and come back answered or not within the timeouts of the questions.

mod dead;
mod names;
mod search;
#[cfg(test)]
mod tests;

use crate::{
    context::Context,
    event::{Lookup, LookupError},
    overlay::Overlay,
    step::{Asker, Finder, Step},
    time::Instant,
};
use cicada_wire::{Churn, Hash, MAX_RECORDS, Query, Reply, Role, SignedRecord};
use dead::Dead;
use search::{Moment, OwnClaim, Search, Verdict};
use std::collections::BTreeMap;

/// All lookups under way.
#[derive(Debug, Default)]
pub(crate) struct Lookups {
    searches: BTreeMap<u64, Search>,
    next: u64,
    dead: Dead,
}

impl Lookups {
    /// Starts one, at `seeds`, or, when there are none, at what the overlay knows. Ends with [`Step::Found`] or, for the notary, with
    /// [`Step::FoundNear`], always. A lookup that
    /// the overlay has under way for the same target is not started twice: the one `Found` answers both.
    pub(crate) fn start(&mut self, cx: &mut Context<'_>, overlay: &Overlay, target: Hash, seeds: &[SignedRecord], finder: Finder) {
        if finder == Finder::Overlay && self.is_under_way(target, seeds) {
            return;
        }
        if !self.has_room(cx, finder) {
            return end(cx, target, finder, Err(LookupError::Full), Vec::new());
        }
        let number = self.next;
        self.next += 1;
        let mut search = Search::new(cx, overlay, target, finder);
        search.be_content(cx, overlay, !seeds.is_empty());
        if seeds.is_empty() {
            let known = overlay.closer(target, MAX_RECORDS).into_iter().map(|peer| peer.record().clone());
            let linked: Vec<SignedRecord> = cx.links.members().map(|link| link.record.clone()).collect();
            search.begin(cx, &self.dead, known.chain(linked), &overlay.responsible(target, MAX_RECORDS));
        } else {
            search.begin(cx, &self.dead, seeds.iter().cloned(), &[]);
        }
        self.searches.insert(number, search);
        self.pursue(cx, overlay, number);
    }

    /// What the application starts leaves room for upkeep, and what strangers set off leaves room for both.
    fn has_room(&self, cx: &Context<'_>, finder: Finder) -> bool {
        let most = cx.config.limits.lookups;
        match finder {
            Finder::Application(_) | Finder::Route => self.searches.len() < most,
            Finder::Join(_) | Finder::Overlay | Finder::Attach => self.searches.len() < most.saturating_add(UPKEEP_LOOKUPS),
            Finder::Notary(_) => {
                let of_notary = self.searches.values().filter(|search| matches!(search.finder, Finder::Notary(_))).count();
                self.searches.len() < most && of_notary < NOTARY_LOOKUPS
            }
        }
    }

    fn is_under_way(&self, target: Hash, seeds: &[SignedRecord]) -> bool {
        let mut same = self.searches.values().filter(|search| search.target == target && search.finder == Finder::Overlay);
        same.any(|search| seeds.iter().all(|seed| search.knows(seed.id())))
    }

    /// A question of lookup `number` was answered (`Some`) or not.
    pub(crate) fn on_answer(&mut self, cx: &mut Context<'_>, overlay: &Overlay, number: u64, from: &SignedRecord, reply: Option<Reply>) {
        match &reply {
            Some(_) => self.dead.answered(from.id()),
            None => self.mourn(cx, overlay, from.id()),
        }
        let found = match reply {
            Some(Reply::Found(found)) => Some(found),
            // Whoever is there but does not answer this question is of no use to this lookup, and not dead.
            Some(
                Reply::Pong
                | Reply::WhoAreYou
                | Reply::Neighbours(_)
                | Reply::Records(_)
                | Reply::Attached(_)
                | Reply::Witnessed(_)
                | Reply::Refused(_),
            )
            | None => None,
        };
        let Some(search) = self.searches.get_mut(&number) else {
            let told = found.map(|found| found.responsible.into_iter().chain(found.closer).collect()).unwrap_or_default();
            return self.hear_late(cx, from, told);
        };
        if let (Some(found), Finder::Join(_)) = (&found, search.finder)
            && found.churn != Churn::Calm
        {
            cx.step(Step::Churn(found.churn));
        }
        let learned = match found {
            Some(found) => search.on_found(cx, &self.dead, from, found),
            None => {
                search.on_silence(from.id());
                Vec::new()
            }
        };
        if !learned.is_empty() && cx.me.record.record().role == Role::Member {
            cx.step(Step::Candidates { from: from.id(), records: learned });
        }
        self.pursue(cx, overlay, number);
    }

    /// A lookup has ended before its last question was answered. Whoever is told of may be what this peer lacks all the same: members
    /// near to each other that know nobody in a cell tell each other so first, and whoever knows somebody comes after them.
    fn hear_late(&self, cx: &mut Context<'_>, from: &SignedRecord, mut told: Vec<SignedRecord>) {
        told.truncate(MAX_RECORDS);
        told.retain(|record| !self.dead.holds(cx.now, record.id()));
        if !told.is_empty() && cx.me.record.record().role == Role::Member {
            cx.step(Step::Candidates { from: from.id(), records: told });
        }
    }

    /// Whether nobody waits for this lookup but the overlay.
    pub(crate) fn is_upkeep(&self, number: u64) -> bool {
        self.searches.get(&number).is_some_and(|search| matches!(search.finder, Finder::Join(_) | Finder::Overlay))
    }

    /// Somebody did not answer when it was to be proven: whoever has not asked it yet need not.
    pub(crate) fn on_silence(&mut self, cx: &mut Context<'_>, overlay: &Overlay, peer: Hash) {
        self.dead.silent(cx.now, peer);
        let all = self.searches.iter_mut().filter_map(|(number, search)| search.pass_over(peer).then_some(*number));
        for number in all.collect::<Vec<u64>>() {
            self.pursue(cx, overlay, number);
        }
    }

    fn mourn(&mut self, cx: &mut Context<'_>, overlay: &Overlay, peer: Hash) {
        self.dead.silent(cx.now, peer);
        if overlay.member(peer).is_some() {
            cx.step(Step::Suspect(peer));
        }
    }

    /// Asks whom it should, or ends it.
    fn pursue(&mut self, cx: &mut Context<'_>, overlay: &Overlay, number: u64) {
        let Some(search) = self.searches.get_mut(&number) else { return };
        let me = OwnClaim::of(cx, overlay, search.target, search.finder);
        let verdict = search.decide(Moment::of(cx), &me);
        let (asked, target) = match verdict {
            Verdict::Ask(records) => (records, search.target),
            Verdict::AskBeyond(to, target) => (vec![to], target),
            Verdict::Done(result) => return self.finish(cx, number, result),
        };
        if asked.is_empty() {
            return;
        }
        let query = Query::Find(search.question(cx, target));
        for to in asked {
            cx.step(Step::Ask { to, query: query.clone(), asker: Asker::Lookup(number) });
        }
    }

    fn finish(&mut self, cx: &mut Context<'_>, number: u64, result: Result<Lookup, LookupError>) {
        if let Some(search) = self.searches.remove(&number) {
            end(cx, search.target, search.finder, result, search.answered());
        }
    }

    pub(crate) fn on_wake(&mut self, cx: &mut Context<'_>, overlay: &Overlay) {
        self.dead.forget(cx.now);
        let due: Vec<u64> = self.searches.iter().filter(|(_, search)| search.next_timeout() <= cx.now).map(|(number, _)| *number).collect();
        for number in due {
            self.pursue(cx, overlay, number);
        }
    }

    pub(crate) fn next_timeout(&self) -> Option<Instant> {
        self.searches.values().map(Search::next_timeout).min()
    }
}

/// Tells whoever wanted it what a lookup came to.
fn end(cx: &mut Context<'_>, target: Hash, finder: Finder, result: Result<Lookup, LookupError>, near: Vec<(usize, SignedRecord)>) {
    match finder {
        Finder::Notary(about) => cx.step(Step::FoundNear { about, near }),
        Finder::Application(_) | Finder::Join(_) | Finder::Overlay | Finder::Route | Finder::Attach => {
            cx.step(Step::Found { target, result, finder });
        }
    }
}

/// Lookups for upkeep beyond the limit of the application's.
const UPKEEP_LOOKUPS: usize = 16; // a refresh of every cell that is not empty in a swarm of 65 000

/// Lookups for the notary at the same time. Whoever invents origins sets them off; each asks some ten members.
const NOTARY_LOOKUPS: usize = 8; // guess
