//! What every machine of a node works with while it handles one input.

use crate::{
    body::{Body, LONG_BYTES, StreamId},
    config::Config,
    links::{DialStart, LinkId, Links},
    outbox::{Job, JobId, Outbox, Transmit},
    peer::Me,
    refusals::Refusals,
    step::Step,
    time::Instant,
    unhurried::Unhurried,
};
use cicada_wire::{Address, Frame, Hash, PublicKey, Refusal, SignedRecord, Ticket, UnixTime};
use rand_chacha::ChaCha8Rng;
use std::{collections::VecDeque, time::Duration};

/// Lent to a machine for the time of one input.
pub(crate) struct Context<'a> {
    pub(crate) now: Instant,
    pub(crate) clock: UnixTime,
    /// By how much this peer's own slowness makes others look late.
    pub(crate) slowness: Duration,
    pub(crate) me: &'a Me,
    pub(crate) config: &'a Config,
    pub(crate) links: &'a mut Links,
    pub(crate) rng: &'a mut ChaCha8Rng,
    pub(crate) numbers: &'a mut Numbers,
    pub(crate) refusals: &'a mut Refusals,
    pub(crate) steps: &'a mut VecDeque<Step>,
    pub(crate) unhurried: &'a mut Unhurried,
    pub(crate) out: &'a mut Outbox,
}

/// Numbers that are given out once.
#[derive(Debug, Default)]
pub(crate) struct Numbers {
    ticket: u64,
    job: u64,
    stream: u64,
}

impl Context<'_> {
    /// A fresh number for a question. Unpredictable, since answers in datagrams are recognised by it.
    pub(crate) fn ticket(&mut self) -> Ticket {
        use rand::Rng;
        self.numbers.ticket += 1;
        // The low half counts, so that two tickets never meet; the high half is what an outsider would have to guess.
        Ticket((u64::from(self.rng.next_u32()) << 32) | (self.numbers.ticket & 0xffff_ffff))
    }

    /// A fresh number for a task or a pull. On a link nobody can answer for another: it only counts, and is short.
    pub(crate) fn ticket_on_link(&mut self) -> Ticket {
        self.numbers.ticket += 1;
        Ticket(self.numbers.ticket & 0xffff_ffff)
    }

    pub(crate) fn job(&mut self, job: Job) -> JobId {
        self.numbers.job += 1;
        let id = JobId(self.numbers.job);
        self.out.jobs.push_back((id, job));
        id
    }

    /// Where this peer can send to another, see [`crate::config::Families::address`].
    pub(crate) fn address(&self, record: &SignedRecord) -> Option<Address> {
        self.config.families.address(record)
    }

    pub(crate) fn dial(&mut self, to: Address, expected: Option<PublicKey>) -> DialStart {
        self.links.dial(self.now, to, expected, self.me, self.config, self.out)
    }

    /// Like [`Self::dial`], for a link that a message waits for.
    pub(crate) fn dial_for_message(&mut self, to: Address, expected: Option<PublicKey>) -> DialStart {
        self.links.need(self.now, to);
        self.dial(to, expected)
    }

    /// Sends a frame with this payload: all at once, or, if it is long, piece by piece.
    pub(crate) fn hand(&mut self, link: LinkId, head: Frame, body: &Body) -> Option<StreamId> {
        self.hand_from(link, head, body, 0)
    }

    /// Like [`Self::hand`], from the byte `offset` of the payload on, which has so many.
    pub(crate) fn hand_from(&mut self, link: LinkId, head: Frame, body: &Body, offset: usize) -> Option<StreamId> {
        match body {
            Body::Whole(payload) if payload.len() - offset <= LONG_BYTES => {
                self.out.frame(link, head.with_payload(payload.slice(offset..)));
                None
            }
            Body::Whole(_) | Body::Arriving { .. } => {
                self.numbers.stream += 1;
                let stream = StreamId(self.numbers.stream);
                self.out.transmits.push_back(Transmit::Stream { stream, link, head, body: body.clone(), offset });
                Some(stream)
            }
        }
    }

    /// Acknowledges a message: at once, unless its sender is patient.
    pub(crate) fn acknowledge(&mut self, link: LinkId, patient: bool, frame: Frame) {
        if patient {
            self.unhurried.hold(self.now, self.out, link, frame);
        } else {
            self.out.frame(link, frame);
        }
    }

    /// Leaves a step for another machine of this node.
    pub(crate) fn step(&mut self, step: Step) {
        self.steps.push_back(step);
    }

    /// Counts a refusal of something from the network.
    pub(crate) fn refuse(&mut self, from: Option<Hash>, reason: Refusal) {
        self.refusals.count(reason);
        self.out.event(crate::event::Event::Refused { from, reason });
    }
}
