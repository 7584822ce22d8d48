//! What can happen to a node.

use crate::{
    body::{BodyId, StreamId},
    links::{DialId, LinkId},
    lists::Who,
    outbox::JobId,
};
use bytes::Bytes;
use cicada_wire::{
    Address, Answer, Capabilities, Datagram, Frame, Hash, LinkSide, Refusal, Session, Share, Signature, SignedRecord, UnixTime,
};
use std::{net::SocketAddr, time::Duration};

/// Something that happened.
#[derive(Clone, Debug)]
pub enum Input {
    /// A link stands: the peer's key is proven by the transport, its hello was accepted, its record's signature holds.
    LinkUp(LinkUp),
    /// A link is gone.
    LinkDown {
        /// Which.
        link: LinkId,
        /// Why, as far as known.
        reason: Refusal,
    },
    /// A dial came to nothing.
    DialFailed {
        /// Which.
        dial: DialId,
        /// Why.
        error: DialError,
    },
    /// A frame arrived.
    Frame {
        /// On which link.
        link: LinkId,
        /// What it says.
        frame: Frame,
    },
    /// A long frame begins to arrive. Unless the node says at once what to do with its payload, that is let go.
    Arriving {
        /// On which link.
        link: LinkId,
        /// The frame, without its payload.
        head: Frame,
        /// The payload.
        body: BodyId,
        /// How many bytes it will have.
        length: usize,
    },
    /// A long frame began to arrive, on a link that has announced too much already; its payload was let go.
    Crowded {
        /// On which link.
        link: LinkId,
        /// The frame, without its payload.
        head: Frame,
    },
    /// A payload that the node had collected is whole. Each piece of it was checked before it was handed on, see
    /// [`cicada_wire::PieceDigests`].
    Arrived {
        /// Which.
        body: BodyId,
        /// All of it.
        payload: Bytes,
    },
    /// A payload arrives no longer: its link is gone, the other end gave it up, or nothing came.
    Broken {
        /// Which.
        body: BodyId,
        /// How much of it is here and stays until it is discarded: 0 unless it was collected.
        arrived: usize,
    },
    /// The answer to [`crate::Transmit::Stream`], always.
    Streamed {
        /// Which.
        stream: StreamId,
        /// Whether the other end has all of it, or wants no more of it.
        complete: bool,
    },
    /// A datagram arrived and was opened with the swarm's key.
    Datagram {
        /// From where.
        from: SocketAddr,
        /// What it says.
        datagram: Datagram,
    },
    /// A job is done.
    JobDone {
        /// Which.
        job: JobId,
        /// What came of it.
        result: JobResult,
    },
    /// The application wants something.
    Command(Command),
    /// The time that [`crate::Node::next_timeout`] named has come.
    Wake,
    /// The wall time, told at the start and then every few seconds.
    Clock(UnixTime),
}

/// A new link.
#[derive(Clone, Debug)]
pub struct LinkUp {
    /// Its number, chosen by the shell, never used twice.
    pub link: LinkId,
    /// Who is at the other end.
    pub record: SignedRecord,
    /// Which end we are.
    pub side: LinkSide,
    /// The other end's socket address.
    pub remote: SocketAddr,
    /// The dial that led to it, if it was ours.
    pub dial: Option<DialId>,
    /// The other end's boot number.
    pub boot: u64,
    /// What the other end can do.
    pub capabilities: Capabilities,
}

/// Why a dial came to nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DialError {
    /// Nobody answered.
    TimedOut,
    /// The operating system or the other end's says that nobody is there.
    Unreachable,
    /// Something answered that is no Cicada peer.
    NotAPeer,
    /// The other end, or we ourselves after its hello, refused.
    Refused(Refusal),
}

/// What came of a job.
#[derive(Clone, Debug)]
pub enum JobResult {
    /// Of [`crate::Job::Answer`].
    Answered(Answer),
    /// Of [`crate::Job::VerifyAnswer`]: whether both signatures hold.
    Verified(bool),
    /// Of [`crate::Job::Renew`].
    Renewed(SignedRecord),
    /// Of [`crate::Job::Sign`].
    Signed(Signature),
    /// Of [`crate::Job::VerifyMessage`]: whether the signature holds.
    MessageVerified(bool),
    /// Of [`crate::Job::OpenSession`].
    SessionOpened(Result<(Share, Session), Refusal>),
    /// Of [`crate::Job::AcceptSession`].
    SessionAccepted(Result<Session, Refusal>),
    /// Of [`crate::Job::Admit`].
    Admitted(bool),
}

/// Numbers an application's wish; the event that ends it repeats the number.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Operation(pub u64);

/// Which way a unicast takes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub enum Route {
    /// A direct link if one stands, else over the overlay.
    #[default]
    Auto,
    /// Only a direct link, which is made if there is none.
    Direct,
    /// Over the overlay's links, hop by hop.
    Overlay,
}

/// What a sender waits for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub enum Ack {
    /// Nothing.
    None,
    /// The first hop has taken the message over.
    FirstHop,
    /// The target has accepted the message for its application.
    #[default]
    EndToEnd,
}

/// How to send a unicast.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SendOptions {
    /// Further copies by other first hops, at most 16.
    pub duplicates: u8,
    /// Which way.
    pub route: Route,
    /// What to wait for.
    pub ack: Ack,
    /// How long to try.
    pub timeout: Duration,
}

impl Default for SendOptions {
    fn default() -> Self {
        Self { duplicates: 0, route: Route::Auto, ack: Ack::EndToEnd, timeout: Duration::from_secs(10) }
    }
}

/// What an application wants.
#[derive(Clone, Debug)]
pub enum Command {
    /// Join the swarm of whoever answers at one of these addresses. Ends with `Connected` or `ConnectFailed`.
    Connect {
        /// Its number.
        operation: Operation,
        /// Where to knock.
        addresses: Vec<Address>,
        /// How long to try.
        timeout: Duration,
    },
    /// Send to one peer. Ends with `Sent` or `SendFailed`.
    Send {
        /// Its number.
        operation: Operation,
        /// The target's id.
        target: Hash,
        /// The target's address where the application named it.
        address: Option<Address>,
        /// What to send.
        payload: Bytes,
        /// How.
        options: SendOptions,
    },
    /// Send to everybody. Ends with `BroadcastSent` once the first tasks are acknowledged, at the latest after 10 s.
    Broadcast {
        /// Its number.
        operation: Operation,
        /// What to send.
        payload: Bytes,
        /// Whom to leave out.
        excluded: Vec<Hash>,
    },
    /// Find the member responsible for a key. Ends with `LookedUp`.
    Lookup {
        /// Its number.
        operation: Operation,
        /// The key.
        target: Hash,
    },
    /// Hand a bare node's payload to a neighbour.
    Opaque {
        /// The neighbour.
        to: Hash,
        /// The payload.
        payload: Bytes,
    },
    /// Close the link to a peer.
    Disconnect {
        /// Which peer.
        peer: Hash,
    },
    /// Leave politely. Ends with `Left`; afterwards the node does nothing.
    Leave {
        /// Its number.
        operation: Operation,
    },
    /// Have nothing to do with these: links to them are closed, new ones refused.
    Ban {
        /// With whom.
        who: Who,
        /// For how long; `None`: until it is lifted.
        span: Option<Duration>,
    },
    /// Lift a ban.
    Unban {
        /// Of whom.
        who: Who,
    },
    /// The application has taken this many deliveries.
    Consumed {
        /// How many.
        deliveries: usize,
    },
}
