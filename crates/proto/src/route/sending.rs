//! A message of this peer's application until its fate is known.

use crate::{
    config::KeyLevel,
    event::{HopOutcome, PathReport, Receipt, SendError},
    input::{Operation, Route, SendOptions},
    time::Instant,
    trusted,
};
use bytes::Bytes;
use cicada_wire::{Address, Hash, Immutable, MAX_SOURCE_ROUTE, MessageId, Refusal, Status};
use std::{collections::BTreeSet, time::Duration};

/// The message, its copies, and what became of them.
#[derive(Debug)]
pub(super) struct Sending {
    pub(super) operation: Operation,
    pub(super) target: Hash,
    pub(super) address: Option<Address>,
    /// What the application has given.
    pub(super) plain: Bytes,
    /// The same as it travels.
    pub(super) payload: Bytes,
    pub(super) options: SendOptions,
    pub(super) fixed: Immutable,
    pub(super) started: Instant,
    pub(super) deadline: Instant,
    /// When there is something to do next.
    pub(super) due: Instant,
    /// When the router will look; it follows `due`.
    pub(super) timer: Instant,
    /// Whether all copies that were asked for have been tried once.
    pub(super) launched: bool,
    /// Where a direct link is being made to.
    pub(super) dialling: Option<Address>,
    /// How many copies are reported on.
    pub(super) slots: u8,
    /// Every copy that was made, by its number: those that were asked for, then the repeated attempts.
    attempts: Vec<Attempt>,
    /// From this attempt on first hops are avoided: before it everybody has been tried.
    round: usize,
    trouble: Trouble,
    /// How often somebody has said that nobody has this id.
    denied: usize,
    /// The relays that the target was found over when it was asked.
    way: Vec<Hash>,
    round_trip: Option<Duration>,
    /// How well the key is known that proved the receipt.
    level: Option<KeyLevel>,
}

#[derive(Debug)]
struct Attempt {
    /// The copy that the sender asked for and that this attempt is for.
    slot: u8,
    at: Instant,
    /// Whom it was handed to, one after the other.
    handed_to: Vec<Hash>,
    relays: Vec<Hash>,
    outcome: HopOutcome,
}

/// What stood in the way the last time, and how often.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Trouble {
    /// No receipt came.
    Silence(u32),
    /// Nobody to hand it to.
    NoRoute(u32),
    /// The responsible member says that nobody has this id.
    NoSuchPeer,
    /// The target's application takes no more.
    Busy(u32),
    /// The target, or somebody in its name, says that keys are wanting.
    Keys(u32, Refusal),
    /// The direct link is not there.
    NoLink(u32),
}

/// What to do with a message after something was heard of it.
#[derive(Debug)]
pub(super) enum Verdict {
    /// Wait until it is due.
    Wait,
    /// It has an end.
    End(Result<Receipt, SendError>),
}

impl Attempt {
    /// Who has it, or was the last to be offered it.
    fn first_hop(&self) -> Option<Hash> {
        self.handed_to.last().copied()
    }

    fn is_silent(&self) -> bool {
        self.first_hop().is_some() && self.outcome == HopOutcome::Pending
    }
}

impl Sending {
    /// `fixed` and `payload` are the message as it travels.
    pub(super) fn new(now: Instant, outgoing: super::Outgoing, fixed: Immutable, payload: Bytes) -> Self {
        let super::Outgoing { operation, target, address, payload: plain, options } = outgoing;
        let deadline = now + options.timeout.saturating_add(super::at_slowest(payload.len())).min(LONGEST);
        Self {
            operation,
            target,
            address,
            plain,
            payload,
            options,
            fixed,
            started: now,
            deadline,
            due: deadline,
            timer: deadline,
            launched: false,
            dialling: None,
            slots: 0,
            attempts: Vec::new(),
            round: 0,
            trouble: Trouble::Silence(0),
            denied: 0,
            way: Vec::new(),
            round_trip: None,
            level: None,
        }
    }

    /// The target has said over these relays who it is, which is being looked into: it need not be asked again so soon.
    pub(super) fn on_introduced(&mut self, now: Instant, relays: Vec<Hash>) {
        (self.trouble, self.denied) = (Trouble::Silence(0), 0);
        self.way = relays;
        self.due = (now + LOOKED_INTO).min(self.deadline);
    }

    /// No session with the target can be had now.
    pub(super) fn on_no_session(&mut self, now: Instant, refusal: Refusal) -> Verdict {
        self.after_refusal(now, 0, refusal)
    }

    /// The message travels as another one from now on; its first attempts are due.
    pub(super) fn begin_again(&mut self, now: Instant, fixed: Immutable, payload: Bytes) {
        (self.fixed, self.payload) = (fixed, payload);
        (self.attempts, self.round, self.slots, self.launched) = (Vec::new(), 0, 0, false);
        (self.trouble, self.denied) = (Trouble::Silence(0), 0);
        self.due = now.min(self.deadline);
        self.timer = self.due;
    }

    pub(super) fn message(&self) -> MessageId {
        self.fixed.message()
    }

    /// The relays that handed on the question and its answer, as the target says; once.
    pub(super) fn take_way(&mut self) -> Vec<Hash> {
        let way = std::mem::take(&mut self.way);
        let is_route = way.len() <= MAX_SOURCE_ROUTE && way.iter().collect::<BTreeSet<_>>().len() == way.len();
        if is_route { way } else { Vec::new() }
    }

    /// A further attempt for copy `slot`: its number, unless all numbers are used up.
    pub(super) fn attempt(&mut self, now: Instant, slot: u8) -> Option<u8> {
        let copy = u8::try_from(self.attempts.len()).ok()?;
        self.attempts.push(Attempt { slot, at: now, handed_to: Vec::new(), relays: Vec::new(), outcome: HopOutcome::Pending });
        self.slots = self.slots.max(slot + 1);
        Some(copy)
    }

    /// Nobody could be found for the copy that was just made: as if it had not been asked for.
    pub(super) fn drop_last(&mut self) {
        self.attempts.pop();
        self.slots = self.attempts.iter().map(|attempt| attempt.slot + 1).max().unwrap_or(0);
    }

    /// First hops that copies were handed to, those included that did not take them.
    pub(super) fn first_hops(&self) -> BTreeSet<Hash> {
        self.attempts.iter().flat_map(|attempt| attempt.handed_to.iter().copied()).collect()
    }

    /// Those that should not be tried again before all others have been.
    pub(super) fn avoided(&self) -> BTreeSet<Hash> {
        self.attempts.iter().skip(self.round).flat_map(|attempt| attempt.handed_to.iter().copied()).collect()
    }

    /// All have been: each may be tried again.
    pub(super) fn begin_round(&mut self) {
        self.round = self.attempts.len();
    }

    /// First hops of the other copies than `slot` that may still arrive.
    pub(super) fn first_hops_beside(&self, slot: u8) -> BTreeSet<Hash> {
        let open = |attempt: &&Attempt| attempt.slot != slot && attempt.outcome == HopOutcome::Pending;
        self.attempts.iter().filter(open).filter_map(Attempt::first_hop).collect()
    }

    pub(super) fn is_acked(&self) -> bool {
        self.round_trip.is_some()
    }

    pub(super) fn on_offered(&mut self, copy: u8, first_hop: Hash) {
        if let Some(attempt) = self.attempts.get_mut(usize::from(copy)) {
            attempt.handed_to.push(first_hop);
        }
    }

    /// When the next attempt is due if nothing is heard.
    pub(super) fn wait_for_receipt(&mut self, now: Instant, usual: Duration) {
        let times = match self.trouble {
            Trouble::Silence(times) => times,
            Trouble::NoRoute(_) | Trouble::NoSuchPeer | Trouble::Busy(_) | Trouble::Keys(..) | Trouble::NoLink(_) => 0,
        };
        self.due = (now + (usual * 2u32.pow(times.min(3))).min(LONGEST_WAIT.max(usual))).min(self.deadline);
    }

    /// Its time has come without a receipt. Whether other first hops should be tried: nothing at all was heard, or nobody knew the target,
    /// twice, which is believed only of several.
    pub(super) fn on_silence(&mut self) -> bool {
        match self.trouble {
            Trouble::Silence(times) => {
                self.trouble = Trouble::Silence(times.saturating_add(1));
                true
            }
            Trouble::NoSuchPeer => self.denied > 1,
            // The way was found then, and nothing came of it.
            Trouble::NoRoute(_) if self.attempts.last().is_some_and(Attempt::is_silent) => {
                self.trouble = Trouble::Silence(1);
                true
            }
            Trouble::NoRoute(_) | Trouble::Busy(_) | Trouble::Keys(..) | Trouble::NoLink(_) => false,
        }
    }

    /// Whether it waits for the address that a direct link is to be made to.
    pub(super) fn needs_address(&self) -> bool {
        self.options.route == Route::Direct && self.dialling.is_none() && self.first_hops().is_empty()
    }

    /// Whether a new link may help.
    pub(super) fn wants_link(&self) -> bool {
        match self.trouble {
            Trouble::NoRoute(_) | Trouble::NoLink(_) => !self.is_acked(),
            Trouble::Silence(_) => self.dialling.is_some(),
            Trouble::NoSuchPeer | Trouble::Busy(_) | Trouble::Keys(..) => false,
        }
    }

    /// The target's application, which is our own, takes no more now.
    pub(super) fn on_busy(&mut self, now: Instant) {
        let times = if let Trouble::Busy(times) = self.trouble { times } else { 0 };
        self.trouble = Trouble::Busy(times.saturating_add(1));
        self.back_off(now, times);
    }

    /// A direct link cannot be had now.
    pub(super) fn on_no_link(&mut self, now: Instant) {
        let times = if let Trouble::NoLink(times) = self.trouble { times } else { 0 };
        self.trouble = Trouble::NoLink(times.saturating_add(1));
        self.back_off(now, times);
    }

    /// A copy came to a dead end before the target.
    pub(super) fn on_failed(&mut self, now: Instant, copy: u8, refusal: Refusal) -> Verdict {
        let Some(attempt) = self.attempts.get_mut(usize::from(copy)) else { return Verdict::Wait };
        if attempt.outcome == HopOutcome::Pending {
            attempt.outcome = HopOutcome::Refused(refusal);
        }
        let slot = attempt.slot;
        self.after_refusal(now, slot, refusal)
    }

    /// What the target, or the member responsible for it, says of a copy. Yields how long it took if the target accepted it.
    pub(super) fn on_receipt(&mut self, now: Instant, from_target: bool, status: Status, level: KeyLevel) -> (Verdict, Option<Duration>) {
        let Some(attempt) = self.attempts.get_mut(usize::from(status.copy)) else { return (Verdict::Wait, None) };
        if attempt.outcome == HopOutcome::Acked {
            return (Verdict::Wait, None);
        }
        let (slot, took) = (attempt.slot, now.since(attempt.at));
        match status.refusal {
            None if from_target => {
                attempt.outcome = HopOutcome::Acked;
                attempt.relays = status.path;
                if self.round_trip.is_none() {
                    self.level = Some(level);
                    self.round_trip = Some(now.since(self.started));
                    self.due = (now + OTHER_COPIES).min(self.deadline);
                }
                (self.settled(), Some(took))
            }
            // Nobody but the target can accept for it.
            None => (Verdict::Wait, None),
            Some(refusal) => {
                attempt.outcome = HopOutcome::Refused(refusal);
                attempt.relays = status.path;
                (self.after_refusal(now, slot, refusal), None)
            }
        }
    }

    fn after_refusal(&mut self, now: Instant, slot: u8, refusal: Refusal) -> Verdict {
        if self.is_acked() || slot != 0 {
            return self.settled();
        }
        match refusal {
            // Of our own copy the second says as much: nobody on its way could look among the others.
            Refusal::NoSuchPeer | Refusal::OtherFamily => {
                let Some(pause) = ASK_AGAIN.get(self.denied) else {
                    return Verdict::End(Err(SendError::NoSuchPeer { target: self.target }));
                };
                (self.trouble, self.denied) = (Trouble::NoSuchPeer, self.denied + 1);
                self.due = (now + *pause).min(self.deadline);
            }
            Refusal::Busy => self.on_busy(now),
            // Not sealed, so it may be somebody else's word: the target itself is given time to say better.
            _ if trusted::is_about_keys(refusal) => {
                let times = if let Trouble::Keys(times, _) = self.trouble { times } else { 0 };
                let Some(pause) = ASK_AGAIN[1..].get(times as usize) else {
                    return Verdict::End(Err(SendError::Refused { target: self.target, reason: refusal }));
                };
                self.trouble = Trouble::Keys(times + 1, refusal);
                self.due = (now + *pause).min(self.deadline);
            }
            Refusal::WrongTime | Refusal::TooLarge => {
                return Verdict::End(Err(SendError::Refused { target: self.target, reason: refusal }));
            }
            // Everything else is about the way.
            _ => {
                let times = if let Trouble::NoRoute(times) = self.trouble { times } else { 0 };
                self.trouble = Trouble::NoRoute(times.saturating_add(1));
                self.back_off(now, times);
            }
        }
        Verdict::Wait
    }

    fn back_off(&mut self, now: Instant, times: u32) {
        self.due = (now + FIRST_PAUSE * 2u32.pow(times.min(4))).min(self.deadline);
    }

    /// Whether nothing more can be expected of any copy.
    fn settled(&self) -> Verdict {
        let settled = |slot: u8| {
            let mut attempts = self.attempts.iter().filter(|attempt| attempt.slot == slot);
            attempts.clone().any(|attempt| attempt.outcome == HopOutcome::Acked)
                || attempts.all(|attempt| matches!(attempt.outcome, HopOutcome::Refused(_)))
        };
        if self.is_acked() && (0..self.slots).all(settled) { Verdict::End(Ok(self.receipt())) } else { Verdict::Wait }
    }

    /// The time that a message can wait is over, or that of its other copies.
    pub(super) fn end(&self) -> Result<Receipt, SendError> {
        let target = self.target;
        if self.is_acked() {
            return Ok(self.receipt());
        }
        let underway = self.attempts.iter().any(Attempt::is_silent);
        Err(match self.trouble {
            Trouble::Busy(_) => SendError::Busy { target },
            Trouble::Keys(_, reason) => SendError::Refused { target, reason },
            Trouble::NoSuchPeer => SendError::NoSuchPeer { target },
            Trouble::NoLink(_) if !underway => SendError::NoLink { target },
            Trouble::NoRoute(_) if !underway && self.options.route == Route::Direct => SendError::NoLink { target },
            Trouble::NoRoute(_) if !underway => SendError::NoRoute { target },
            Trouble::Silence(_) | Trouble::NoRoute(_) | Trouble::NoLink(_) => {
                SendError::TimedOut { target, within: self.options.timeout.min(LONGEST), receipt: self.receipt() }
            }
        })
    }

    /// What is known by now: of each copy the attempt that was acknowledged, else the latest that was handed to somebody.
    pub(super) fn receipt(&self) -> Receipt {
        let paths = (0..self.slots).filter_map(|slot| {
            let handed = || self.attempts.iter().filter(|attempt| attempt.slot == slot && attempt.first_hop().is_some());
            let attempt = handed().find(|attempt| attempt.outcome == HopOutcome::Acked).or_else(|| handed().next_back())?;
            Some(PathReport { first_hop: attempt.first_hop()?, relays: attempt.relays.clone(), outcome: attempt.outcome })
        });
        Receipt { message: self.message(), acked: self.is_acked(), paths: paths.collect(), round_trip: self.round_trip, level: self.level }
    }
}

/// Targets refuse what is older than two minutes, so there is no use in trying longer.
const LONGEST: Duration = Duration::from_secs(110); // the window of `seen`, less the time of a journey

/// A challenge, with its repetitions, and others asked.
const LOOKED_INTO: Duration = Duration::from_secs(3); // guess

/// How long a message's other copies are waited for after the first receipt.
const OTHER_COPIES: Duration = Duration::from_millis(300); // guess: several times a usual round trip

/// Between two attempts that no receipt came for.
const LONGEST_WAIT: Duration = Duration::from_secs(1); // guess: a swarm that heals within seconds should not be waited for longer

/// After "busy" and "no route"; doubled up to sixteen times.
const FIRST_PAUSE: Duration = Duration::from_millis(60); // guess

/// After "no such peer": it may just be joining. 3 s in all, then it is believed.
const ASK_AGAIN: [Duration; 4] =
    [Duration::from_millis(200), Duration::from_millis(400), Duration::from_millis(800), Duration::from_millis(1600)];
