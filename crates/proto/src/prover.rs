//! From candidate to proven: who answers from its announced address with its key, and is admitted, may enter the tables.
//!
//! A proof costs 260 bytes where a link costs 4 to 16 KB: who challenges names the record that it has, and the answer leaves it out. It has
//! it only if the record was renewed since. A link whose remote address is the announced one proves as much.

use crate::{
    context::Context,
    outbox::{Job, JobId},
    peer::Proven,
    seen::Window,
    step::{Step, Tries},
    time::Instant,
};
use cicada_wire::{Address, Answer, BriefAnswer, Challenge, Datagram, DatagramKey, Hash, Padding, RecordName, Refusal, Role, SignedRecord};
use rand::Rng;
use std::{
    collections::{BTreeMap, VecDeque},
    net::SocketAddr,
    time::Duration,
};

/// All proofs under way.
#[derive(Debug, Default)]
pub(crate) struct Prover {
    open: BTreeMap<Challenge, Open>,
    /// Candidates that wait for an open place, oldest first.
    waiting: VecDeque<(Hash, Address, Option<SignedRecord>)>,
    verifying: BTreeMap<JobId, Verifying>,
    admitting: BTreeMap<JobId, Proven>,
    answering: BTreeMap<JobId, Answering>,
    /// Challenges that were sent more than once and are answered: the other answers are no strangers'.
    repeated: Window<Challenge, Address>,
    /// Who failed lately, and until when it is not tried again.
    failed: BTreeMap<Hash, Instant>,
}

#[derive(Debug)]
struct Open {
    peer: Hash,
    address: Address,
    /// What it says of itself as far as we have heard: the answer need not repeat it.
    record: Option<SignedRecord>,
    deadline: Instant,
    /// How many challenges there were.
    tries: u32,
    /// How many there were when it spoke of itself: that they are not answered says nothing.
    in_vain: u32,
    most: Tries,
}

/// An answer whose signatures are being checked.
#[derive(Debug)]
struct Verifying {
    answer: Answer,
    /// Whether the record is the one that we had.
    is_brief: bool,
}

/// An answer of ours that is being signed.
#[derive(Debug)]
struct Answering {
    to: Address,
    is_brief: bool,
}

impl Prover {
    /// Proves a candidate, unless that is under way. Ends with `Proven` or `Unproven`.
    pub(crate) fn prove(&mut self, cx: &mut Context<'_>, record: &SignedRecord, tries: Tries) {
        let peer = record.id();
        if let Some(proven) = cx.links.to_peer(peer).and_then(|link| link.proven.clone()) {
            return cx.step(Step::Proven(proven));
        }
        self.refresh(cx, record, tries);
    }

    /// Proves a peer although it is proven, for the sake of its newest record.
    pub(crate) fn refresh(&mut self, cx: &mut Context<'_>, record: &SignedRecord, tries: Tries) {
        let peer = record.id();
        if self.is_under_way(peer) {
            return;
        }
        if record.record().role != Role::Member {
            return cx.step(Step::Unproven(peer, Refusal::InvalidRecord));
        }
        let Some(address) = cx.address(record) else {
            return cx.step(Step::Unproven(peer, Refusal::ForbiddenAddress));
        };
        if peer == cx.me.id() || !record.is_current(cx.clock) {
            return cx.step(Step::Unproven(peer, Refusal::ExpiredRecord));
        }
        self.begin(cx, peer, address, Some(record.clone()), tries);
    }

    /// Proves who answers from an address, of whom no more is known than the id that follows from it. Ends like [`Self::prove`].
    pub(crate) fn prove_at(&mut self, cx: &mut Context<'_>, address: Address) {
        let peer = address.id();
        if !self.is_under_way(peer) {
            self.begin(cx, peer, address, None, Tries::AsUsual);
        }
    }

    fn begin(&mut self, cx: &mut Context<'_>, peer: Hash, address: Address, record: Option<SignedRecord>, most: Tries) {
        if self.failed.get(&peer).is_some_and(|until| *until > cx.now) {
            return cx.step(Step::Unproven(peer, Refusal::Silent));
        }
        if self.open.len() >= cx.config.limits.challenges {
            if self.waiting.len() >= cx.config.limits.candidates {
                return cx.step(Step::Unproven(peer, Refusal::OverBudget));
            }
            self.waiting.push_back((peer, address, record));
            return;
        }
        let mut nonce = [0; 16];
        cx.rng.fill_bytes(&mut nonce);
        self.challenge(cx, Challenge(nonce), Open { peer, address, record, deadline: cx.now, tries: 0, in_vain: 0, most });
    }

    /// Whether proving this peer now would send it something.
    pub(crate) fn would_challenge(&self, cx: &Context<'_>, peer: Hash) -> bool {
        let failed = self.failed.get(&peer).is_some_and(|until| *until > cx.now);
        let linked = cx.links.to_peer(peer).is_some_and(|link| link.proven.is_some());
        !failed && !linked && !self.is_under_way(peer)
    }

    fn is_under_way(&self, peer: Hash) -> bool {
        self.open.values().any(|open| open.peer == peer)
            || self.waiting.iter().any(|(waiting, ..)| *waiting == peer)
            || self.verifying.values().any(|verifying| verifying.answer.record.id() == peer)
            || self.admitting.values().any(|proven| proven.id() == peer)
    }

    /// Sends a challenge, or the same once more: the answer to the first may still be on its way, from one who is far away.
    fn challenge(&mut self, cx: &mut Context<'_>, challenge: Challenge, mut open: Open) {
        open.tries += 1;
        open.deadline = cx.now + cx.config.upkeep.answer_timeout + cx.slowness;
        let padding = Padding(if open.record.is_some() { 0 } else { CHALLENGE_PADDING });
        cx.out.datagram(open.address, Datagram::Challenge(challenge, padding, open.record.as_ref().map(SignedRecord::name)));
        self.open.insert(challenge, open);
    }

    /// Somebody asks for our proof, who has the record of this `name`. `length` is that of its datagram.
    pub(crate) fn on_challenge(
        &mut self,
        cx: &mut Context<'_>,
        from: SocketAddr,
        challenge: Challenge,
        name: Option<RecordName>,
        length: usize,
    ) {
        let Ok(to) = Address::new(from) else { return cx.refuse(None, Refusal::ForbiddenAddress) };
        let record = cx.me.record.clone();
        let is_brief = name == Some(record.name());
        let answer_bytes = if is_brief { BRIEF_BYTES } else { record.signed_bytes().len() + ANSWER_BYTES };
        if record.record().role != Role::Member || length * 3 < BRIEF_BYTES {
            return cx.refuse(None, Refusal::Unexpected);
        }
        if length * 3 < answer_bytes {
            // It may ask again, with room for what it does not have.
            return match name {
                Some(_) => cx.out.datagram(to, Datagram::BriefAnswer(BriefAnswer { challenge, signature: None })),
                None => cx.refuse(None, Refusal::Unexpected),
            };
        }
        if self.answering.len() >= MAX_ANSWERING {
            return cx.refuse(None, Refusal::OverBudget);
        }
        let job = cx.job(Job::Answer { challenge, record });
        self.answering.insert(job, Answering { to, is_brief });
    }

    /// Our answer is signed.
    pub(crate) fn on_answered(&mut self, cx: &mut Context<'_>, job: JobId, answer: Answer) {
        let Some(Answering { to, is_brief }) = self.answering.remove(&job) else { return };
        let Answer { challenge, signature, .. } = answer;
        let brief = BriefAnswer { challenge, signature: Some(signature) };
        cx.out.datagram(to, if is_brief { Datagram::BriefAnswer(brief) } else { Datagram::Answer(answer) });
    }

    /// An answer arrived.
    pub(crate) fn on_answer(&mut self, cx: &mut Context<'_>, from: SocketAddr, answer: Answer) {
        if let Some(open) = self.take_open(cx, from, answer.challenge) {
            self.verify(cx, &open, answer, false);
            self.next(cx);
        }
    }

    /// An answer arrived that leaves out what we have.
    pub(crate) fn on_brief_answer(&mut self, cx: &mut Context<'_>, from: SocketAddr, answer: BriefAnswer) {
        let BriefAnswer { challenge, signature } = answer;
        let Some(mut open) = self.take_open(cx, from, challenge) else { return };
        match (open.record.take(), signature) {
            (Some(record), Some(signature)) => self.verify(cx, &open, Answer { challenge, record, signature }, true),
            (Some(_), None) => {
                open.tries -= 1;
                return self.challenge(cx, challenge, open);
            }
            // Our challenge named no record: we wait for the whole answer.
            (None, _) => {
                self.open.insert(challenge, open);
            }
        }
        self.next(cx);
    }

    /// The open challenge that `from` answers.
    fn take_open(&mut self, cx: &mut Context<'_>, from: SocketAddr, challenge: Challenge) -> Option<Open> {
        let is_from = |address: Address| Ok(address) == Address::new(from);
        if !self.open.get(&challenge).is_some_and(|open| is_from(open.address)) {
            if !self.repeated.get(cx.now, &challenge).is_some_and(|address| is_from(*address)) {
                cx.refuse(None, Refusal::UnknownTicket);
            }
            return None;
        }
        self.open.remove(&challenge)
    }

    /// Has an answer to a challenge checked.
    fn verify(&mut self, cx: &mut Context<'_>, open: &Open, answer: Answer, is_brief: bool) {
        if open.tries > 1 {
            self.repeated.insert(cx.now, answer.challenge, open.address, cx.now + LATE, MAX_REPEATED);
        }
        let same = answer.record.id() == open.peer
            && cx.address(&answer.record) == Some(open.address)
            && answer.record.record().role == Role::Member
            && answer.record.record().kind == cx.config.member_ids
            && answer.record.is_current(cx.clock);
        if same {
            let job = cx.job(Job::VerifyAnswer(answer.clone()));
            self.verifying.insert(job, Verifying { answer, is_brief });
        } else {
            self.fail(cx, open.peer, Refusal::UnprovenAddress);
        }
    }

    /// The signatures of an answer were checked.
    pub(crate) fn on_verified(&mut self, cx: &mut Context<'_>, job: JobId, holds: bool) {
        let Some(Verifying { answer, is_brief }) = self.verifying.remove(&job) else { return };
        let peer = answer.record.id();
        match cx.address(&answer.record).filter(|_| is_brief) {
            _ if holds => self.admit(cx, Proven::by_contact(answer.record)),
            // Somebody may have made up a record of the same name as that of an honest peer.
            Some(address) => self.begin(cx, peer, address, None, Tries::AsUsual),
            None => self.fail(cx, peer, Refusal::InvalidRecord),
        }
    }

    /// A peer is proven; the application has the last word. Ends with `Proven` or `Unproven`.
    pub(crate) fn admit(&mut self, cx: &mut Context<'_>, proven: Proven) {
        if cx.config.pins.get(&proven.id()).is_some_and(|pinned| *pinned != proven.record().key()) {
            return self.fail(cx, proven.id(), Refusal::PinnedKey);
        }
        self.failed.remove(&proven.id());
        if cx.config.ask_admission {
            let job = cx.job(Job::Admit(proven.record().clone()));
            self.admitting.insert(job, proven);
        } else {
            cx.step(Step::Proven(proven));
        }
    }

    /// The application has spoken.
    pub(crate) fn on_admitted(&mut self, cx: &mut Context<'_>, job: JobId, admitted: bool) {
        let Some(proven) = self.admitting.remove(&job) else { return };
        if admitted {
            cx.step(Step::Proven(proven));
        } else {
            self.fail(cx, proven.id(), Refusal::NotAdmitted);
        }
    }

    fn fail(&mut self, cx: &mut Context<'_>, peer: Hash, reason: Refusal) {
        if self.failed.len() >= cx.config.limits.candidates {
            self.failed.retain(|_, until| *until > cx.now);
        }
        if self.failed.len() < cx.config.limits.candidates {
            self.failed.insert(peer, cx.now + FAILED_PAUSE);
        }
        cx.step(Step::Unproven(peer, reason));
    }

    /// A peer speaks of itself, from the address that it announces: it may have been cut off as it failed. Anybody can say so in its
    /// name, and makes us send it as many challenges as take a second and a half to fail.
    pub(crate) fn spoke(&mut self, peer: Hash) {
        self.failed.remove(&peer);
        for open in self.open.values_mut().filter(|open| open.peer == peer) {
            (open.in_vain, open.most) = (open.tries, Tries::AsUsual);
        }
    }

    fn next(&mut self, cx: &mut Context<'_>) {
        while self.open.len() < cx.config.limits.challenges {
            let Some((peer, address, record)) = self.waiting.pop_front() else { return };
            match cx.links.to_peer(peer).and_then(|link| link.proven.clone()) {
                Some(proven) => cx.step(Step::Proven(proven)),
                None => self.begin(cx, peer, address, record, Tries::AsUsual),
            }
        }
    }

    pub(crate) fn on_wake(&mut self, cx: &mut Context<'_>) {
        let due: Vec<_> = self.open.iter().filter(|(_, open)| open.deadline <= cx.now).map(|(challenge, _)| *challenge).collect();
        for challenge in due {
            let Some(open) = self.open.remove(&challenge) else { continue };
            match open.most {
                Tries::AsUsual if open.tries < open.in_vain + MAX_TRIES => self.challenge(cx, challenge, open),
                Tries::AsUsual => self.fail(cx, open.peer, Refusal::Silent),
                // One lost packet says little: if it is heard of, it is proven as any other.
                Tries::One => cx.step(Step::Unproven(open.peer, Refusal::Silent)),
            }
        }
        self.next(cx);
    }

    pub(crate) fn next_timeout(&self) -> Option<Instant> {
        self.open.values().map(|open| open.deadline).min()
    }
}

/// Answers that are being signed. How many are in the long run is for the budgets to say.
const MAX_ANSWERING: usize = 1024; // a tenth of a second's work

/// Makes a challenge longer than a third of its answer, whose record has at most 160 bytes.
const CHALLENGE_PADDING: u16 = 72;

/// What an answer has beside the record: two signatures, the nonce, CBOR, and the seal.
const ANSWER_BYTES: usize = 200;

/// A brief answer: a signature, the nonce, CBOR, and the seal.
const BRIEF_BYTES: usize = 90 + DatagramKey::SEAL_BYTES;

const MAX_TRIES: u32 = 3; // 3 losses in a row: 3 % at 30 % loss each way are 13 %, and candidates come again

/// An answer may be this much later than the first.
const LATE: Duration = Duration::from_secs(2); // guess: all tries together
const MAX_REPEATED: usize = 256; // guess

/// How long a candidate that failed is left alone.
const FAILED_PAUSE: Duration = Duration::from_secs(3); // guess
