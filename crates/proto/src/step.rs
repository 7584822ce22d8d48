//! What the machines of a node tell each other while one input is handled. The node passes each step on, in order.

use crate::{
    event::{Lookup, LookupError},
    input::Operation,
    links::LinkId,
    peer::Proven,
    sessions::{Acquaintance, Purpose},
};
use cicada_wire::{Address, Churn, Hash, Query, Refusal, Reply, SessionId, SignedRecord};
use std::net::SocketAddr;

/// Whose question it is, and so who gets the answer.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Asker {
    /// A lookup, by its number.
    Lookup(u64),
    /// The ring's stabilisation.
    Overlay,
    /// A liveness check.
    Liveness,
    /// A client's attachment.
    Attach,
    /// The notary's, about who is at this address.
    Notary(Address),
}

/// How hard to ask a linked peer whether it is there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Effort {
    /// As cheaply as can be, at the risk that it is not heard.
    Tap,
    /// In every way there is.
    Knock,
}

/// How often a peer is tried that does not answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Tries {
    /// Several times: packets get lost.
    AsUsual,
    /// Once: this peer is gone most likely, or its turn comes again.
    One,
}

impl Tries {
    /// For one of whom others have told: where many go it is gone most likely.
    pub(crate) fn where_members_go(churn: Churn) -> Self {
        match churn {
            Churn::Calm | Churn::Some => Self::AsUsual,
            Churn::Heavy => Self::One,
        }
    }
}

/// Whose lookup it is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Finder {
    /// The application's.
    Application(Operation),
    /// A join's: the lookup of our own id through an entry point.
    Join(Operation),
    /// The overlay's, to refresh a cell or its neighbourhood.
    Overlay,
    /// A unicast's that wants a direct link.
    Route,
    /// A client's that looks for members to be attached to.
    Attach,
    /// The notary's, that looks for members near the peer at this address.
    Notary(Address),
}

/// From one machine of a node to another.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    /// Wish: prove this candidate (to the prover).
    Prove(SignedRecord, Tries),
    /// Wish: prove who answers from this address, of which a message came from `informer` (to the prover).
    ProveOrigin { address: Address, informer: SocketAddr },
    /// Finding: somebody has shown a credential (to the sessions).
    Introduced { who: Box<Acquaintance>, purpose: Purpose },
    /// Finding: a session for what we have for this peer stands (to the router).
    SessionReady(Hash),
    /// Finding: there is none, and why.
    NoSession { peer: Hash, refusal: Refusal },
    /// Finding: a session that another has opened stands (to the router).
    SessionAccepted(SessionId),
    /// Finding: it does not, and why.
    SessionRefused { session: SessionId, refusal: Refusal },
    /// Finding: a peer answered with a session (to the sessions).
    SessionAnswered { peer: Hash, session: SessionId },
    /// Finding: a peer knows nothing of a session of ours (to the sessions).
    SessionOver { peer: Hash, session: SessionId },
    /// Finding: it answered from its announced address with its key, and the application admits it.
    Proven(Proven),
    /// Finding: it did not answer, or not so, or is not admitted.
    Unproven(Hash, Refusal),
    /// Wish: ask this peer, over a link if one stands, else by datagram (to the questions).
    Ask { to: SignedRecord, query: Query, asker: Asker },
    /// Wish: ask this peer whether it is there (to the questions, for the liveness).
    Check { to: SignedRecord, effort: Effort },
    /// Finding: it answered.
    Answered { from: SignedRecord, reply: Reply, asker: Asker },
    /// Finding: it did not answer in time.
    Unanswered { from: SignedRecord, asker: Asker },
    /// Wish: look this up (to the lookups), starting at `seeds` and at what the overlay knows.
    Find { target: Hash, seeds: Vec<SignedRecord>, finder: Finder },
    /// Finding: a lookup ended.
    Found { target: Hash, result: Result<Lookup, LookupError>, finder: Finder },
    /// Finding: a lookup for the notary ended. These have answered it; with each the disjoint path on which it was found.
    FoundNear { about: Address, near: Vec<(usize, SignedRecord)> },
    /// Finding: these were heard of from a peer (to the overlay, which decides whom to prove).
    Candidates { from: Hash, records: Vec<SignedRecord> },
    /// Wish: check at once whether this peer is alive (to the liveness).
    Suspect(Hash),
    /// Finding: it is not, or said goodbye.
    Gone { peer: Hash, politely: bool },
    /// Finding: the tables changed; links may be wanted that were not, and the reverse (to the linkage).
    TablesChanged,
    /// Finding: a link is given up, and closed once nothing is on its way over it (to the drains).
    GivenUp { link: LinkId, reason: Refusal },
    /// Finding: members come and go where we are (to the linkage).
    Restless,
    /// Finding: whoever has been in the swarm for longer says how fast members come and go (to the overlay and the linkage).
    Churn(Churn),
    /// Finding: two swarms, or two halves of one, have met at this peer (to the overlay).
    Met(Proven),
}
