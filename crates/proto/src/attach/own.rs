//! The client's side: who holds our record, and who should.
//!
//! The members responsible for our id are looked up as soon as one member is linked, soon again after a change, and rarely while
//! all is quiet. To the first three of them there are links, and each is asked anew at half of its lease.

use crate::{
    context::Context,
    links::{DialStart, Link},
    step::{Asker, Finder, Step},
    time::Instant,
};
use cicada_wire::{Attachment, Hash, Query, Reply, SignedRecord};
use std::{collections::BTreeMap, time::Duration};

/// Our own attachments.
#[derive(Debug, Default)]
pub(super) struct Own {
    holders: BTreeMap<Hash, Holder>,
    look: Option<Look>,
}

/// A member that holds our record, or shall.
#[derive(Debug)]
struct Holder {
    record: SignedRecord,
    state: State,
}

#[derive(Debug, PartialEq, Eq)]
enum State {
    /// A link is being made, until then.
    Linking { until: Instant },
    /// It was asked.
    Asked,
    /// It holds our record and is asked anew then.
    Holds { renew: Instant },
    /// It was asked anew, and holds our record until its lease ends.
    Renewing { until: Instant },
    /// It would not, or could not be reached: another is taken in its place until then.
    Failed { until: Instant },
}

#[derive(Debug)]
struct Look {
    /// `None` while a lookup is under way.
    next: Option<Instant>,
    pause: Duration,
}

impl Own {
    pub(super) fn is_attached(&self) -> bool {
        let holds = |holder: &&Holder| matches!(holder.state, State::Holds { .. } | State::Renewing { .. });
        let wanted = self.holders.values().filter(|holder| !matches!(holder.state, State::Failed { .. })).count();
        wanted > 0 && self.holders.values().filter(holds).count() >= wanted
    }

    pub(super) fn on_link(&mut self, cx: &mut Context<'_>, peer: &SignedRecord, up: bool) {
        if up {
            if let Some(holder) = self.holders.get_mut(&peer.id()).filter(|holder| matches!(holder.state, State::Linking { .. })) {
                holder.ask(cx, State::Asked);
            }
            if self.look.is_none() {
                self.look_soon(cx, Duration::ZERO);
            }
        } else if self.holders.remove(&peer.id()).is_some() {
            self.look_soon(cx, AFTER_LOSS);
        }
    }

    /// Looks our id up after `pause` at the latest, and often for a while.
    fn look_soon(&mut self, cx: &mut Context<'_>, pause: Duration) {
        let soon = cx.now + pause;
        let look = self.look.get_or_insert(Look { next: Some(soon), pause: FIRST_PAUSE });
        look.pause = FIRST_PAUSE;
        if let Some(next) = &mut look.next {
            *next = soon.min(*next);
        }
        self.on_wake(cx);
    }

    /// These are responsible for our id; none, if the lookup came to nothing.
    pub(super) fn on_found(&mut self, cx: &mut Context<'_>, responsible: &[SignedRecord]) {
        let now = cx.now;
        self.holders.retain(|_, holder| !matches!(holder.state, State::Failed { until } if until <= now));
        let failed = |id: Hash| self.holders.get(&id).is_some_and(|holder| matches!(holder.state, State::Failed { .. }));
        let wanted: Vec<SignedRecord> = responsible.iter().filter(|member| !failed(member.id())).take(HOLDERS).cloned().collect();
        if !wanted.is_empty() {
            let stays =
                |id: Hash, holder: &Holder| matches!(holder.state, State::Failed { .. }) || wanted.iter().any(|member| member.id() == id);
            self.holders.retain(|id, holder| stays(*id, holder));
        }
        let mut changed = wanted.is_empty();
        for member in wanted {
            if !self.holders.contains_key(&member.id()) {
                changed = true;
                self.engage(cx, member);
            }
        }
        if let Some(look) = &mut self.look {
            look.pause = if changed { FIRST_PAUSE } else { (look.pause * 2).min(LONGEST_PAUSE) };
            look.next = Some(now + look.pause);
        }
        // Those that are no longer responsible may have been what was missing.
        cx.step(Step::TablesChanged);
    }

    fn engage(&mut self, cx: &mut Context<'_>, member: SignedRecord) {
        let id = member.id();
        let mut holder = Holder { record: member, state: State::Linking { until: cx.now + LINKING } };
        if cx.links.to_peer(id).is_some_and(Link::is_member) {
            holder.ask(cx, State::Asked);
        } else {
            let dial = cx.address(&holder.record).map(|address| cx.dial(address, Some(holder.record.key())));
            match dial {
                Some(DialStart::Dialling(_) | DialStart::Linked(_)) => {}
                Some(DialStart::Refused(_)) | None => holder.state = State::Failed { until: cx.now + LEFT_ALONE },
            }
        }
        self.holders.insert(id, holder);
    }

    pub(super) fn on_answer(&mut self, cx: &mut Context<'_>, from: &SignedRecord, reply: Option<&Reply>) {
        let Some(holder) = self.holders.get_mut(&from.id()) else { return };
        match reply {
            Some(Reply::Attached(Attachment { lease_s })) => {
                let lease = Duration::from_secs((*lease_s).clamp(2, LEASE_S).into());
                holder.state = State::Holds { renew: cx.now + lease / 2 };
            }
            Some(
                Reply::Pong
                | Reply::WhoAreYou
                | Reply::Found(_)
                | Reply::Neighbours(_)
                | Reply::Records(_)
                | Reply::Witnessed(_)
                | Reply::Refused(_),
            )
            | None => {
                holder.state = State::Failed { until: cx.now + LEFT_ALONE };
                self.look_soon(cx, AFTER_LOSS);
            }
        }
    }

    pub(super) fn on_wake(&mut self, cx: &mut Context<'_>) {
        let now = cx.now;
        let mut failed = false;
        for holder in self.holders.values_mut() {
            match holder.state {
                State::Holds { renew } if renew <= now => holder.ask(cx, State::Renewing { until: now + RENEWING }),
                State::Linking { until } | State::Renewing { until } if until <= now => {
                    holder.state = State::Failed { until: now + LEFT_ALONE };
                    failed = true;
                }
                State::Linking { .. } | State::Asked | State::Holds { .. } | State::Renewing { .. } | State::Failed { .. } => {}
            }
        }
        if failed {
            return self.look_soon(cx, AFTER_LOSS);
        }
        let Some(look) = self.look.as_mut().filter(|look| look.next.is_some_and(|next| next <= now)) else { return };
        if cx.links.members().next().is_none() {
            // Nobody to ask: the next link asks.
            self.look = None;
            return;
        }
        look.next = None;
        cx.step(Step::Find { target: cx.me.id(), seeds: Vec::new(), finder: Finder::Attach });
    }

    pub(super) fn next_timeout(&self) -> Option<Instant> {
        let holders = self.holders.values().filter_map(|holder| match holder.state {
            State::Holds { renew } => Some(renew),
            State::Linking { until } | State::Renewing { until } => Some(until),
            State::Asked | State::Failed { .. } => None,
        });
        holders.chain(self.look.as_ref().and_then(|look| look.next)).min()
    }
}

impl Holder {
    fn ask(&mut self, cx: &mut Context<'_>, state: State) {
        self.state = state;
        let query = Query::Attach(Attachment { lease_s: LEASE_S });
        cx.step(Step::Ask { to: self.record.clone(), query, asker: Asker::Attach });
    }
}

/// How many members hold our record, if there are as many.
const HOLDERS: usize = 3; // architecture
/// What we ask for.
const LEASE_S: u32 = 120;
/// From a loss to the next lookup: what else is lost at the same time is found by one.
const AFTER_LOSS: Duration = Duration::from_millis(200); // guess
/// Between two lookups of our own id: twice as long each time that nothing changed.
const FIRST_PAUSE: Duration = Duration::from_secs(1); // guess
const LONGEST_PAUSE: Duration = Duration::from_secs(30); // guess: a new responsible member is known to us that soon
/// A member that refused is not asked again for this long.
const LEFT_ALONE: Duration = Duration::from_secs(30); // guess
/// The questions see to it that each is answered or not, long before this.
const RENEWING: Duration = Duration::from_secs(5); // guess
/// A link that did not come about by then will not.
const LINKING: Duration = Duration::from_secs(3); // guess
