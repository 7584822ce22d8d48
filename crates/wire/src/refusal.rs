//! Why something from the network was refused: one numbered list for counters, logs and the wire.

/// The numbered reason of a refusal. Numbers are never used again for another meaning.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[non_exhaustive]
pub enum Refusal {
    /// A number that this version does not know.
    Unknown(u16),
    /// The peer speaks another version of the protocol.
    Version,
    /// The peer belongs to a swarm of another name.
    OtherSwarm,
    /// The peer's swarm uses another overlay.
    OtherOverlay,
    /// The peer does not prove the swarm's secret.
    OtherSecret,
    /// The peer is ourselves.
    SelfDial,
    /// The peer's kind of id is not the one of this swarm.
    OtherIdKind,
    /// A record's signature or contents do not hold.
    InvalidRecord,
    /// A record is past its expiry.
    ExpiredRecord,
    /// The application's `admit` hook said no.
    NotAdmitted,
    /// No room for another link.
    TooManyLinks,
    /// There is a link between the two already.
    DuplicateLink,
    /// The peer is closing.
    Closing,
    /// The key is not the one expected at that address.
    OtherKey,
    /// The address that the peer claims is not its own.
    UnprovenAddress,
    /// The link has been idle and nobody needs it.
    Idle,
    /// The link makes room for a more useful one.
    MadeRoom,
    /// The peer said nothing for too long.
    Silent,
    /// The peer is on a list of those denied, or banned.
    Denied,
    /// Bytes that are no message.
    Malformed,
    /// Longer than the limit.
    TooLarge,
    /// A message that makes no sense here, from this peer or in this state.
    Unexpected,
    /// A datagram that was not sealed for this swarm.
    Unsealed,
    /// An answer to a question that is not open.
    UnknownTicket,
    /// An address that must not be dialled from there.
    ForbiddenAddress,
    /// A budget is used up; try later or elsewhere.
    OverBudget,
    /// Nobody nearer is known.
    NoRoute,
    /// The message travelled too far.
    HopLimit,
    /// The message came back to where it had been.
    Loop,
    /// The receiving application's queue is full.
    Busy,
    /// The responsible peer says that nobody has this id.
    NoSuchPeer,
    /// The reach is larger than an honest sender can hand over.
    NotAdmissible,
    /// The message was seen already.
    Seen,
    /// The message is from too far in the past or the future.
    WrongTime,
    /// No member of the address family that the responsible peer sees has this id; one that sees both should look among the others.
    OtherFamily,
}

use Refusal as R;

/// Reason, number, text. The one place where the three meet.
const TABLE: &[(Refusal, u16, &str)] = &[
    (R::Version, 1, "another protocol version"),
    (R::OtherSwarm, 2, "another swarm"),
    (R::OtherOverlay, 3, "another overlay"),
    (R::OtherSecret, 4, "another swarm secret"),
    (R::SelfDial, 5, "that is this peer itself"),
    (R::OtherIdKind, 6, "another kind of id than this swarm's"),
    (R::InvalidRecord, 7, "an invalid record"),
    (R::ExpiredRecord, 8, "an expired record"),
    (R::NotAdmitted, 9, "not admitted by the application"),
    (R::TooManyLinks, 10, "too many links"),
    (R::DuplicateLink, 11, "there is a link already"),
    (R::Closing, 12, "closing"),
    (R::OtherKey, 13, "another key than expected"),
    (R::UnprovenAddress, 14, "the claimed address is not its own"),
    (R::Idle, 15, "idle"),
    (R::MadeRoom, 16, "made room for another link"),
    (R::Silent, 17, "silent for too long"),
    (R::Denied, 18, "denied by a list of this peer"),
    (R::Malformed, 32, "malformed"),
    (R::TooLarge, 33, "too large"),
    (R::Unexpected, 34, "unexpected"),
    (R::Unsealed, 35, "not sealed for this swarm"),
    (R::UnknownTicket, 36, "an answer to no open question"),
    (R::ForbiddenAddress, 37, "a forbidden address"),
    (R::OverBudget, 38, "over budget"),
    (R::NoRoute, 64, "no route"),
    (R::HopLimit, 65, "hop limit reached"),
    (R::Loop, 66, "loop"),
    (R::Busy, 67, "busy"),
    (R::NoSuchPeer, 68, "no such peer"),
    (R::NotAdmissible, 69, "reach not admissible"),
    (R::Seen, 70, "seen already"),
    (R::WrongTime, 71, "wrong time"),
    (R::OtherFamily, 72, "not in this address family"),
];

impl Refusal {
    /// Every reason that this version knows, in the order of the numbers.
    pub fn all() -> impl Iterator<Item = Self> {
        TABLE.iter().map(|row| row.0)
    }

    /// The number on the wire.
    #[must_use]
    pub fn number(self) -> u16 {
        match self {
            Self::Unknown(number) => number,
            known => TABLE.iter().find(|row| row.0 == known).map_or(0, |row| row.1),
        }
    }

    /// The reason with this number.
    #[must_use]
    pub fn from_number(number: u16) -> Self {
        TABLE.iter().find(|row| row.1 == number).map_or(Self::Unknown(number), |row| row.0)
    }
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unknown(number) => write!(f, "reason {number}, which this version does not know"),
            known => f.write_str(TABLE.iter().find(|row| row.0 == *known).map_or("unnamed", |row| row.2)),
        }
    }
}
