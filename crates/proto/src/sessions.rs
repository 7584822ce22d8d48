//! Sessions: what seals unicasts for peers with whom no keys were agreed, and their receipts.
//!
//! Who has something for a peer and no session with it asks it for its credential, by a message of its own that says nothing else.
//! A credential counts once its signature holds and its key is known well enough to be that of the id, as for the origin of a
//! broadcast (`notary`). Then a session is opened; the first messages carry what the other end needs to take part, until it has
//! answered. The other end checks the same of the opener before it delivers anything. Receipts are sealed with the session of their
//! message.
//!
//! What is bounded: peers with a session of ours, [`MAX_PEERS`]; sessions, [`MAX_SESSIONS`], with one peer [`MAX_WITH_ONE`]; introductions
//! under way, [`MAX_OPEN`], of others by one link [`MAX_OF_LINK`]. Of sessions the oldest go: whoever uses one of those is told, and opens another.

use crate::{
    config::KeyLevel,
    context::Context,
    notary::{Judgement, Notary},
    outbox::{Job, JobId},
    overlay::Overlay,
    seen::Window,
    step::Step,
    time::Instant,
};
use cicada_wire::{Credential, Hash, Opening, Origin, Refusal, Session, SessionId, Share, StatementHash, Terms};
use rand::Rng;
use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

/// All sessions, and those that are being made.
#[derive(Debug, Default)]
pub(crate) struct Sessions {
    /// Those that we opened last, by who is at the other end.
    ours: BTreeMap<Hash, Ours>,
    /// All, those of others too.
    known: Window<SessionId, Known>,
    introductions: BTreeMap<u64, Introduction>,
    number: u64,
    /// Credentials whose signature held.
    checked: Window<StatementHash, ()>,
}

/// A session that we opened.
#[derive(Debug)]
struct Ours {
    session: SessionId,
    /// Until the other end has answered.
    opening: Option<Opening>,
    since: Instant,
    with: Acquaintance,
}

/// A session with somebody.
#[derive(Debug)]
pub(crate) struct Known {
    pub(crate) session: Session,
    pub(crate) peer: Hash,
    pub(crate) level: KeyLevel,
}

/// Somebody who has shown a credential.
#[derive(Clone, Debug)]
pub(crate) struct Acquaintance {
    pub(crate) origin: Origin,
    pub(crate) credential: Credential,
    /// Where what it showed came from.
    pub(crate) informer: SocketAddr,
}

/// What an introduction is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Purpose {
    /// We have something for it.
    Ours,
    /// It has opened a session.
    Theirs(SessionId, Share),
    /// It asked for our credential, and will open one.
    Acquaint,
}

/// Somebody whose credential is being looked into.
#[derive(Debug)]
struct Introduction {
    who: Acquaintance,
    purpose: Purpose,
    stage: Stage,
    until: Instant,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stage {
    /// Does its signature hold?
    Checking(JobId),
    /// Is it that id's?
    Proving,
    /// The session is being computed.
    Opening(JobId, KeyLevel),
}

impl Sessions {
    // --- Questions

    /// The session to seal with for a peer, and what it needs to take part, if it may lack that.
    pub(crate) fn for_peer(&self, now: Instant, peer: Hash) -> Option<(&Session, Option<&Opening>)> {
        let ours = self.ours.get(&peer).filter(|ours| now.since(ours.since) < KEPT)?;
        let known = self.known.get(now, &ours.session)?;
        Some((&known.session, ours.opening.as_ref()))
    }

    /// The session of this number.
    pub(crate) fn get(&self, now: Instant, session: SessionId) -> Option<&Known> {
        self.known.get(now, &session)
    }

    // --- Findings

    /// Somebody has shown a credential. Ends with `SessionReady` or `NoSession` if it is for us, with `SessionAccepted` or
    /// `SessionRefused` if it has opened a session, and without a word otherwise.
    pub(crate) fn introduce(&mut self, cx: &mut Context<'_>, mind: &mut Mind<'_>, who: Acquaintance, purpose: Purpose) {
        let same = |open: &Introduction| open.purpose == purpose && open.who.credential == who.credential && open.who.origin == who.origin;
        if self.introductions.values().any(same) {
            return;
        }
        let until = cx.now + PATIENCE + cx.slowness;
        let of_link = || self.introductions.values().filter(|open| open.who.informer == who.informer && open.purpose != Purpose::Ours);
        if self.introductions.len() >= MAX_OPEN || (purpose != Purpose::Ours && of_link().count() >= MAX_OF_LINK) {
            return fail(cx, &Introduction { who, purpose, stage: Stage::Proving, until }, Refusal::OverBudget);
        }
        self.number += 1;
        let (number, credential) = (self.number, who.credential.clone());
        let hash = credential.own_hash();
        let stage = if self.checked.contains(cx.now, &hash) {
            Stage::Proving
        } else {
            Stage::Checking(cx.job(Job::VerifyMessage { hash, key: credential.key, signature: credential.signature }))
        };
        self.introductions.insert(number, Introduction { who, purpose, stage, until });
        if stage == Stage::Proving {
            self.go_on(cx, mind, number);
        }
    }

    /// A signature was checked. `false`: it was none of these.
    pub(crate) fn on_verified(&mut self, cx: &mut Context<'_>, mind: &mut Mind<'_>, job: JobId, holds: bool) -> bool {
        let Some(number) = self.at(Stage::Checking(job)) else { return false };
        if !holds {
            self.end(cx, number, Refusal::BadSignature);
        } else if let Some(introduction) = self.introductions.get_mut(&number) {
            introduction.stage = Stage::Proving;
            let hash = introduction.who.credential.own_hash();
            self.checked.insert(cx.now, hash, (), cx.now + KEPT, MAX_SESSIONS);
            self.go_on(cx, mind, number);
        }
        true
    }

    /// More is known of who is who.
    pub(crate) fn review(&mut self, cx: &mut Context<'_>, mind: &mut Mind<'_>) {
        let proving = self.introductions.iter().filter(|(_, introduction)| introduction.stage == Stage::Proving);
        let proving: Vec<u64> = proving.map(|(number, _)| *number).collect();
        for number in proving {
            self.go_on(cx, mind, number);
        }
    }

    /// Whose credential is it? If that is known, the session is computed.
    fn go_on(&mut self, cx: &mut Context<'_>, mind: &mut Mind<'_>, number: u64) {
        let Some(introduction) = self.introductions.get(&number) else { return };
        let Acquaintance { origin, credential, informer } = introduction.who.clone();
        match mind.notary.settle(cx, mind.overlay, &origin, credential.key, informer) {
            Judgement::Good(level) => self.compute(cx, number, level),
            Judgement::Wait(_) => {}
            Judgement::Bad(refusal) => self.end(cx, number, refusal),
        }
    }

    fn compute(&mut self, cx: &mut Context<'_>, number: u64, level: KeyLevel) {
        let Some(introduction) = self.introductions.get_mut(&number) else { return };
        let Some(own) = cx.me.credential.as_ref() else { return self.end(cx, number, Refusal::NoSession) };
        let (them, theirs, me) = (&introduction.who.credential, introduction.who.origin.id(), cx.me.id());
        let job = match introduction.purpose {
            Purpose::Ours => {
                let mut random = [0; 32];
                cx.rng.fill_bytes(&mut random);
                Job::OpenSession { to: them.seal, terms: Terms::of(own, me, them, theirs), random }
            }
            Purpose::Theirs(_, share) => Job::AcceptSession { from: them.seal, share, terms: Terms::of(them, theirs, own, me) },
            Purpose::Acquaint => {
                self.introductions.remove(&number);
                return;
            }
        };
        introduction.stage = Stage::Opening(cx.job(job), level);
    }

    /// A session of ours was computed.
    pub(crate) fn on_opened(&mut self, cx: &mut Context<'_>, job: JobId, result: Result<(Share, Session), Refusal>) {
        let Some((Introduction { who, .. }, level)) = self.computed(job) else { return };
        let peer = who.origin.id();
        match (result, cx.me.credential.clone()) {
            (Ok((share, session)), Some(credential)) => {
                let opening = Opening { share, to: who.credential.seal, credential };
                let ours = Ours { session: session.id(), opening: Some(opening), since: cx.now, with: who };
                self.keep(cx, session, peer, level);
                while self.ours.len() >= MAX_PEERS {
                    let oldest = self.ours.iter().min_by_key(|(_, ours)| ours.since).map(|(peer, _)| *peer);
                    oldest.and_then(|oldest| self.ours.remove(&oldest));
                }
                self.ours.insert(peer, ours);
                cx.step(Step::SessionReady(peer));
            }
            (Err(refusal), _) => cx.step(Step::NoSession { peer, refusal }),
            (Ok(_), None) => cx.step(Step::NoSession { peer, refusal: Refusal::NoSession }),
        }
    }

    /// A session that somebody else has opened was computed.
    pub(crate) fn on_accepted(&mut self, cx: &mut Context<'_>, job: JobId, result: Result<Session, Refusal>) {
        let Some((introduction, level)) = self.computed(job) else { return };
        let Purpose::Theirs(number, _) = introduction.purpose else { return };
        match result {
            Ok(session) if session.id() == number => {
                self.keep(cx, session, introduction.who.origin.id(), level);
                cx.step(Step::SessionAccepted(number));
            }
            Ok(_) => cx.step(Step::SessionRefused { session: number, refusal: Refusal::Malformed }),
            Err(refusal) => cx.step(Step::SessionRefused { session: number, refusal }),
        }
    }

    fn keep(&mut self, cx: &Context<'_>, session: Session, peer: Hash, level: KeyLevel) {
        // In the order of their ends, which is that of their beginnings.
        let with_it: Vec<SessionId> = self.known.keys(|known| known.peer == peer);
        for oldest in with_it.iter().take((with_it.len() + 1).saturating_sub(MAX_WITH_ONE)) {
            self.known.remove(oldest);
        }
        self.known.insert(cx.now, session.id(), Known { session, peer, level }, cx.now + KEPT + SLACK, MAX_SESSIONS);
    }

    /// The other end has answered with a session of ours: it takes part. And it is used: another takes its place in time.
    pub(crate) fn on_answered(&mut self, cx: &mut Context<'_>, mind: &mut Mind<'_>, peer: Hash, session: SessionId) {
        let Some(ours) = self.ours.get_mut(&peer).filter(|ours| ours.session == session) else { return };
        ours.opening = None;
        if cx.now.since(ours.since) >= ROTATED {
            let who = ours.with.clone();
            self.introduce(cx, mind, who, Purpose::Ours);
        }
    }

    /// The other end says that it knows nothing of this session.
    pub(crate) fn forget(&mut self, peer: Hash, session: SessionId) {
        if self.ours.get(&peer).is_some_and(|ours| ours.session == session) {
            self.ours.remove(&peer);
            self.known.remove(&session);
        }
    }

    pub(crate) fn on_wake(&mut self, cx: &mut Context<'_>) {
        let late: Vec<u64> =
            self.introductions.iter().filter(|(_, introduction)| introduction.until <= cx.now).map(|(number, _)| *number).collect();
        for number in late {
            self.end(cx, number, Refusal::UnknownKey);
        }
    }

    pub(crate) fn next_timeout(&self) -> Option<Instant> {
        self.introductions.values().map(|introduction| introduction.until).min()
    }

    fn at(&self, stage: Stage) -> Option<u64> {
        self.introductions.iter().find(|(_, introduction)| introduction.stage == stage).map(|(number, _)| *number)
    }

    fn computed(&mut self, job: JobId) -> Option<(Introduction, KeyLevel)> {
        let (number, level) = self.introductions.iter().find_map(|(number, introduction)| match introduction.stage {
            Stage::Opening(opening, level) if opening == job => Some((*number, level)),
            Stage::Checking(_) | Stage::Proving | Stage::Opening(..) => None,
        })?;
        Some((self.introductions.remove(&number)?, level))
    }

    fn end(&mut self, cx: &mut Context<'_>, number: u64, refusal: Refusal) {
        if let Some(introduction) = self.introductions.remove(&number) {
            fail(cx, &introduction, refusal);
        }
    }
}

/// Who says whose key is which.
pub(crate) struct Mind<'a> {
    pub(crate) overlay: &'a Overlay,
    pub(crate) notary: &'a mut Notary,
}

fn fail(cx: &mut Context<'_>, introduction: &Introduction, refusal: Refusal) {
    let peer = introduction.who.origin.id();
    cx.refuse(Some(peer), refusal);
    match introduction.purpose {
        Purpose::Ours => cx.step(Step::NoSession { peer, refusal }),
        Purpose::Theirs(session, _) => cx.step(Step::SessionRefused { session, refusal }),
        Purpose::Acquaint => {}
    }
}

/// Another session takes the place of one that is so old, if it is used.
const ROTATED: Duration = Duration::from_secs(10 * 60); // guess: what a stolen session lays open

/// One that is so old is used no more.
const KEPT: Duration = Duration::from_secs(14 * 60);

/// What was sealed at the last moment may still come.
const SLACK: Duration = Duration::from_secs(3 * 60); // the window of `seen` and some

const MAX_PEERS: usize = 1024; // guess: 400 bytes each
const MAX_SESSIONS: usize = 4096; // guess: 200 bytes each
const MAX_OPEN: usize = 256; // guess

/// Both ends' current ones, those that they replace, and some that a peer has opened without knowing of the others.
const MAX_WITH_ONE: usize = 8; // guess

/// Whoever shows credentials of invented peers keeps nobody else's from being looked into.
const MAX_OF_LINK: usize = MAX_OPEN / 8;

/// A credential is looked into for so long.
const PATIENCE: Duration = Duration::from_secs(9); // as the notary, and a moment
