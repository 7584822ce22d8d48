//! What follows from an input: transmissions, events and jobs.

use crate::{
    body::{Body, BodyId, StreamId},
    event::Event,
    links::{DialId, LinkId},
    step::Step,
};
use cicada_wire::{
    Address, Answer, Challenge, Datagram, Frame, PublicKey, Record, Refusal, SealingKey, Share, Signature, SignedRecord, StatementHash,
    Terms,
};
use std::collections::VecDeque;

/// Something for the network.
#[derive(Clone, Debug)]
pub enum Transmit {
    /// A frame for a link, in order with the others of its class.
    Frame {
        /// Which link.
        link: LinkId,
        /// What to say.
        frame: Frame,
    },
    /// A long frame for a link, its payload as it arrives. Answered by `Streamed`, always.
    Stream {
        /// Its number.
        stream: StreamId,
        /// Which link.
        link: LinkId,
        /// What to say, without the payload.
        head: Frame,
        /// All of the payload.
        body: Body,
        /// From which of its bytes on.
        offset: usize,
    },
    /// Hand this payload on no longer; unless it has ended already.
    Abandon {
        /// Which.
        stream: StreamId,
    },
    /// Keep all of this payload. Answered by `Arrived` or `Broken`, unless it is discarded.
    Collect {
        /// Which.
        body: BodyId,
    },
    /// Go on with a payload that has broken off and is kept. Answered by `Arrived` or `Broken` for `body`, unless that is discarded.
    Append {
        /// Which.
        body: BodyId,
        /// Where in it the other begins: not after what is here of it.
        offset: usize,
        /// What it goes on with, to its end.
        tail: Body,
    },
    /// This payload is not needed any more. Streams of it that have not ended break.
    Discard {
        /// Which.
        body: BodyId,
    },
    /// A datagram.
    Datagram {
        /// Where to.
        to: Address,
        /// What to say.
        datagram: Datagram,
    },
    /// Open a link. Answered by `LinkUp` or `DialFailed`, always.
    Dial {
        /// Its number.
        dial: DialId,
        /// Where to.
        to: Address,
        /// Whose key must answer, if known.
        expected: Option<PublicKey>,
    },
    /// Close a link after what was sent before has been handed to the transport. Answered by `LinkDown`, always.
    Close {
        /// Which link.
        link: LinkId,
        /// Why; the other end is told.
        reason: Refusal,
    },
}

/// Numbers a job.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct JobId(pub u64);

/// Work that the machine does not do itself: it costs CPU time, or is the application's. Comes back as `JobDone`, always.
#[derive(Clone, Debug)]
pub enum Job {
    /// Sign an answer to a challenge with our identity.
    Answer {
        /// The challenge.
        challenge: Challenge,
        /// Our record.
        record: SignedRecord,
    },
    /// Check an answer's two signatures.
    VerifyAnswer(Answer),
    /// Sign a new record of our own.
    Renew(Record),
    /// Sign a message of ours.
    Sign(StatementHash),
    /// Check the signature of a message.
    VerifyMessage {
        /// What it is over.
        hash: StatementHash,
        /// Whose it should be.
        key: PublicKey,
        /// The signature.
        signature: Signature,
    },
    /// Open a session, see [`cicada_wire::SealingSecret::open`].
    OpenSession {
        /// With whose key.
        to: SealingKey,
        /// What both ends know of each other.
        terms: Terms,
        /// Fresh randomness.
        random: [u8; 32],
    },
    /// Take part in a session, see [`cicada_wire::SealingSecret::accept`].
    AcceptSession {
        /// With whose key.
        from: SealingKey,
        /// What its opener has sent.
        share: Share,
        /// What both ends know of each other.
        terms: Terms,
    },
    /// Ask the application whether the (proven) peer may enter the tables.
    Admit(SignedRecord),
}

/// Where a machine puts what follows from an input. Draining it computes nothing.
#[derive(Debug, Default)]
pub struct Outbox {
    /// For the network, in order.
    pub transmits: VecDeque<Transmit>,
    /// For whoever listens, in order.
    pub events: VecDeque<Event>,
    /// To be done elsewhere.
    pub jobs: VecDeque<(JobId, Job)>,
    /// What the machines of a node have still to tell each other. Empty between inputs; its room is kept here and not in each node, since in
    /// a world of many nodes it is the same for all.
    pub(crate) steps: VecDeque<Step>,
}

impl Outbox {
    pub(crate) fn frame(&mut self, link: LinkId, frame: Frame) {
        self.transmits.push_back(Transmit::Frame { link, frame });
    }

    pub(crate) fn datagram(&mut self, to: Address, datagram: Datagram) {
        self.transmits.push_back(Transmit::Datagram { to, datagram });
    }

    pub(crate) fn event(&mut self, event: Event) {
        self.events.push_back(event);
    }

    /// Whether there is nothing to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.transmits.is_empty() && self.events.is_empty() && self.jobs.is_empty()
    }
}
