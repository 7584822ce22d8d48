//! Passing on what the machines of a node tell each other.

use super::{Machines, Phase};
use crate::{
    context::Context,
    deliver::Deliveries,
    event::{Event, Lookup, LookupError},
    linkage,
    peer::Proven,
    route::{Map, Router},
    sessions::Mind,
    step::{Asker, Finder, Step},
};
use cicada_wire::{Hash, Refusal, Reply, Role, SignedRecord};

impl Machines {
    pub(super) fn pass_steps(&mut self, cx: &mut Context<'_>) {
        while let Some(step) = cx.steps.pop_front() {
            if self.phase != Phase::Left {
                self.pass(cx, step);
            }
        }
    }

    fn pass(&mut self, cx: &mut Context<'_>, step: Step) {
        match step {
            Step::Prove(record, tries) => self.prove(cx, &record, tries),
            Step::Introduced { who, purpose } => {
                let mut mind = Mind { overlay: &self.overlay, notary: &mut self.notary };
                self.sessions.introduce(cx, &mut mind, *who, purpose);
            }
            Step::SessionAnswered { peer, session } => {
                let mut mind = Mind { overlay: &self.overlay, notary: &mut self.notary };
                self.sessions.on_answered(cx, &mut mind, peer, session);
            }
            Step::SessionOver { peer, session } => self.sessions.forget(peer, session),
            Step::SessionReady(peer) => self.on_session(cx, |router, cx, map, _| router.on_session(cx, map, peer)),
            Step::NoSession { peer, refusal } => self.on_session(cx, |router, cx, _, _| router.on_no_session(cx, peer, refusal)),
            Step::SessionAccepted(session) => {
                self.on_session(cx, |router, cx, map, deliveries| router.on_opened(cx, map, deliveries, session, None));
            }
            Step::SessionRefused { session, refusal } => {
                self.on_session(cx, |router, cx, map, deliveries| router.on_opened(cx, map, deliveries, session, Some(refusal)));
            }
            Step::ProveOrigin { address, informer } => self.prove_origin(cx, address, informer),
            Step::Proven(proven) => self.on_proven(cx, &proven),
            Step::Unproven(peer, reason) => self.on_unproven(cx, peer, reason),
            Step::Ask { to, query, asker } => self.ask(cx, to, query, asker),
            Step::Check { to, effort } => self.questions.check(cx, to, effort),
            Step::Answered { from, reply, asker } => {
                self.budgets.answered(cx, from.id());
                // It is there, though it may have failed to be proven a moment ago.
                self.prover.spoke(from.id());
                self.on_answer(cx, &from, Some(reply), asker);
            }
            Step::Unanswered { from, asker } => self.on_answer(cx, &from, None, asker),
            Step::Find { target, seeds, finder } => self.lookups.start(cx, &self.overlay, target, &seeds, finder),
            Step::Found { target, result, finder } => self.on_found(cx, target, result, finder),
            Step::FoundNear { about, near } => {
                let released = self.notary.on_found_near(cx, about, near);
                self.take_known(cx, released);
            }
            Step::Candidates { from, records } => self.on_candidates(cx, from, &records),
            Step::Suspect(peer) => self.liveness.suspect(cx, &self.overlay, peer),
            Step::Gone { peer, politely } => self.on_gone(cx, peer, politely),
            Step::GivenUp { link, reason } => self.drains.give_up(cx, link, reason),
            Step::Restless => self.linkage.on_unrest(cx),
            Step::Churn(churn) => {
                self.linkage.on_unrest(cx);
                self.overlay.hear_of_churn(cx.now, churn);
            }
            Step::TablesChanged => {
                self.linkage.tables_changed(cx, self.overlay.is_joined());
                self.joins.on_progress(cx, &self.overlay, self.attachments.is_attached());
            }
            Step::Met(proven) => self.overlay.on_met(cx, &proven),
        }
    }

    /// The router hears of a session.
    fn on_session(&mut self, cx: &mut Context<'_>, tell: impl FnOnce(&mut Router, &mut Context<'_>, &Map<'_>, &mut Deliveries)) {
        let map = Map { overlay: &self.overlay, attachments: &self.attachments, sessions: &self.sessions };
        tell(&mut self.router, cx, &map, &mut self.deliveries);
    }

    fn on_proven(&mut self, cx: &mut Context<'_>, proven: &Proven) {
        let record = proven.record();
        if let Some(link) = cx.links.prove(proven) {
            self.liveness.on_link_up(cx, record);
            if cx.me.record.record().role == Role::Member {
                self.overlay.on_proven(cx, proven);
            }
            self.linkage.on_link_up(cx, &self.overlay, link);
            let map = Map { overlay: &self.overlay, attachments: &self.attachments, sessions: &self.sessions };
            self.router.on_link_up(cx, &map, link);
            self.broadcaster.on_link_up(cx, &self.overlay, link);
        } else if cx.me.record.record().role == Role::Member {
            self.overlay.on_proven(cx, proven);
        }
        self.attachments.on_link(cx, record, true);
        cx.step(Step::TablesChanged);
        let released = self.notary.on_proven(cx, record);
        self.take_known(cx, released);
    }

    fn on_unproven(&mut self, cx: &mut Context<'_>, peer: Hash, reason: Refusal) {
        self.overlay.on_unproven(cx, peer);
        if reason == Refusal::Silent {
            self.lookups.on_silence(cx, &self.overlay, peer);
        }
        let released = self.notary.on_unproven(cx, &self.overlay, peer);
        self.take_known(cx, released);
        let Some(link) = cx.links.to_peer(peer).filter(|link| link.is_open() && link.proven.is_none()) else { return };
        let reason = match reason {
            Refusal::NotAdmitted | Refusal::PinnedKey => reason,
            _ => Refusal::UnprovenAddress,
        };
        let link = link.id;
        cx.refuse(Some(peer), reason);
        linkage::close(cx, link, reason);
    }

    fn on_answer(&mut self, cx: &mut Context<'_>, from: &SignedRecord, reply: Option<Reply>, asker: Asker) {
        match asker {
            Asker::Lookup(number) => self.lookups.on_answer(cx, &self.overlay, number, from, reply),
            Asker::Overlay => self.overlay.on_answer(cx, from, reply),
            Asker::Liveness => self.liveness.on_answer(cx, &self.overlay, from.id(), reply.is_some()),
            Asker::Notary(about) => self.on_testimony(cx, from.id(), about, reply.as_ref()),
            Asker::Attach => {
                self.attachments.on_answer(cx, from, reply.as_ref());
                cx.step(Step::TablesChanged);
            }
        }
    }

    fn on_found(&mut self, cx: &mut Context<'_>, target: Hash, result: Result<Lookup, LookupError>, finder: Finder) {
        match finder {
            Finder::Application(operation) => cx.out.event(Event::LookedUp { operation, result }),
            Finder::Join(operation) => {
                if let Ok(lookup) = &result {
                    // Not as what the owner says of itself: the lookup has found that it stands there.
                    self.on_candidates(cx, target, &lookup.responsible);
                    self.overlay.on_placed(cx.now);
                }
                self.joins.on_found(cx, operation, &result);
            }
            Finder::Overlay => self.overlay.on_found(cx, target, &result),
            Finder::Route => self.router.on_found(cx, target, &result),
            Finder::Attach => {
                let responsible = result.map(|lookup| lookup.responsible).unwrap_or_default();
                self.attachments.on_found(cx, &responsible);
            }
            // It hears of whom its lookup has met, not of who is responsible.
            Finder::Notary(_) => {}
        }
    }

    /// What was heard of reaches the overlay only if it could be a member of it.
    fn on_candidates(&mut self, cx: &mut Context<'_>, from: Hash, records: &[SignedRecord]) {
        let possible = |record: &&SignedRecord| {
            record.record().role == Role::Member
                && record.record().kind == cx.config.member_ids
                && record.id() != cx.me.id()
                && record.is_current(cx.clock)
                && cx.config.families.reach(record)
                && self.lists.check(cx.now, record).is_ok()
        };
        let records: Vec<SignedRecord> = records.iter().filter(possible).cloned().collect();
        if records.iter().any(|record| record.id() == from) {
            self.prover.spoke(from);
        }
        if !records.is_empty() && cx.me.record.record().role == Role::Member {
            self.overlay.on_candidates(cx, from, &records);
        }
    }

    fn on_gone(&mut self, cx: &mut Context<'_>, peer: Hash, politely: bool) {
        self.liveness.forget(peer);
        if self.overlay.member(peer).is_some() {
            self.linkage.on_unrest(cx);
        }
        self.overlay.on_gone(cx, peer, politely);
        if let Some(link) = cx.links.to_peer(peer).map(|link| link.id) {
            linkage::close(cx, link, if politely { Refusal::Closing } else { Refusal::Silent });
        }
        cx.step(Step::TablesChanged);
    }
}
