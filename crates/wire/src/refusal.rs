//! Why something from the network was refused: one numbered list for counters, logs and the wire.

/// Makes the list. It is the one place where a reason, its number and its text meet.
macro_rules! refusals {
    ($($(#[$doc:meta])* $reason:ident = $number:literal, $text:literal;)*) => {
        /// The numbered reason of a refusal. Numbers are never used again for another meaning.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        #[non_exhaustive]
        pub enum Refusal {
            /// A number that this version does not know.
            Unknown(u16),
            $($(#[$doc])* $reason,)*
        }

        impl Refusal {
            /// Every reason that this version knows, in the order of the numbers.
            pub fn all() -> impl Iterator<Item = Self> {
                [$(Self::$reason),*].into_iter()
            }

            /// The number on the wire.
            #[must_use]
            pub fn number(self) -> u16 {
                match self {
                    Self::Unknown(number) => number,
                    $(Self::$reason => $number,)*
                }
            }

            /// The reason with this number.
            #[must_use]
            pub fn from_number(number: u16) -> Self {
                match number {
                    $($number => Self::$reason,)*
                    unknown => Self::Unknown(unknown),
                }
            }
        }

        impl std::fmt::Display for Refusal {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                match self {
                    Self::Unknown(number) => write!(f, "reason {number}, which this version does not know"),
                    $(Self::$reason => f.write_str($text),)*
                }
            }
        }
    };
}

refusals! {
    /// The peer speaks another version of the protocol.
    Version = 1, "another protocol version";
    /// The peer belongs to a swarm of another name.
    OtherSwarm = 2, "another swarm";
    /// The peer's swarm uses another overlay.
    OtherOverlay = 3, "another overlay";
    /// The peer does not prove the swarm's secret.
    OtherSecret = 4, "another swarm secret";
    /// The peer is ourselves.
    SelfDial = 5, "that is this peer itself";
    /// The peer's kind of id is not the one of this swarm.
    OtherIdKind = 6, "another kind of id than this swarm's";
    /// A record's signature or contents do not hold.
    InvalidRecord = 7, "an invalid record";
    /// A record is past its expiry.
    ExpiredRecord = 8, "an expired record";
    /// The application's `admit` hook said no.
    NotAdmitted = 9, "not admitted by the application";
    /// No room for another link.
    TooManyLinks = 10, "too many links";
    /// There is a link between the two already.
    DuplicateLink = 11, "there is a link already";
    /// The peer is closing.
    Closing = 12, "closing";
    /// The key is not the one expected at that address.
    OtherKey = 13, "another key than expected";
    /// The address that the peer claims is not its own.
    UnprovenAddress = 14, "the claimed address is not its own";
    /// The link has been idle and nobody needs it.
    Idle = 15, "idle";
    /// The link makes room for a more useful one.
    MadeRoom = 16, "made room for another link";
    /// The peer said nothing for too long.
    Silent = 17, "silent for too long";
    /// The peer is on a list of those denied, or banned.
    Denied = 18, "denied by a list of this peer";
    /// Bytes that are no message.
    Malformed = 32, "malformed";
    /// Longer than the limit.
    TooLarge = 33, "too large";
    /// A message that makes no sense here, from this peer or in this state.
    Unexpected = 34, "unexpected";
    /// A datagram that was not sealed for this swarm.
    Unsealed = 35, "not sealed for this swarm";
    /// An answer to a question that is not open.
    UnknownTicket = 36, "an answer to no open question";
    /// An address that must not be dialled from there.
    ForbiddenAddress = 37, "a forbidden address";
    /// A budget is used up; try later or elsewhere.
    OverBudget = 38, "over budget";
    /// Nobody nearer is known.
    NoRoute = 64, "no route";
    /// The message travelled too far.
    HopLimit = 65, "hop limit reached";
    /// The message came back to where it had been.
    Loop = 66, "loop";
    /// The receiving application's queue is full.
    Busy = 67, "busy";
    /// The responsible peer says that nobody has this id.
    NoSuchPeer = 68, "no such peer";
    /// The reach is larger than an honest sender can hand over.
    NotAdmissible = 69, "reach not admissible";
    /// The message was seen already.
    Seen = 70, "seen already";
    /// The message is from too far in the past or the future.
    WrongTime = 71, "wrong time";
    /// The message asked for is not held, or not for the asker.
    NotHeld = 72, "not held";
    /// No member of the address family that the responsible peer sees has this id; one that sees both should look among the others.
    OtherFamily = 73, "not in this address family";
    /// The payload is not the one that the message's origin speaks of.
    Altered = 74, "altered on its way";
    /// What a trusted peer should have sealed was not sealed with the keys that we hold for it.
    OtherPairKey = 75, "not sealed with the keys of this pair";
    /// A message is sealed with keys for a peer that has none for its origin.
    NoPairKey = 76, "sealed with keys that this peer does not have";
    /// A message of a trusted peer is not sealed.
    InTheClear = 77, "in the clear, where keys are agreed";
    /// A message is sealed for an earlier start of its target.
    OtherBoot = 78, "sealed for another start of this peer";
    /// The signature of a message does not hold.
    BadSignature = 79, "a signature that does not hold";
    /// A message does not prove who made it.
    Unsigned = 80, "nothing proves who made it";
    /// Nobody could be found who knows the key that a message's origin names as its own.
    UnknownKey = 81, "its origin's key is not known here";
    /// A pinned peer shows another key than the one that was pinned.
    PinnedKey = 82, "another key than the known one; if its owner has changed it, change it in the known-peers file too";
    /// A message is sealed with a session that its target does not have, or no longer.
    NoSession = 83, "sealed with a session that is over";
    /// Whoever sends this wants to seal it, and asks for the key that it needs for that.
    KeyWanted = 84, "the sender asks for a key to seal with";
    /// A Kadcast nonce proves less work than every peer must.
    TooLittleWork = 96, "too little work in the nonce";
    /// A Kadcast id is not the one of the address it comes from.
    OtherId = 97, "an id that is not the one of its address";
    /// A Kadcast peer of another network.
    OtherNetwork = 98, "another Kadcast network";
    /// A Kadcast peer's application has a version that ours does not talk to.
    OtherApplication = 99, "a version of the application that is not accepted";
    /// What a Kadcast chunk says of its object cannot be, or is beyond the limits.
    BadCoding = 100, "impossible or excessive transmission information";
    /// A Kadcast symbol is not as long as its object says, or has a number that it cannot have.
    BadSymbol = 101, "a symbol of the wrong length or number";
    /// Symbols of a Kadcast object that do not make what it was announced as.
    Forged = 102, "symbols that do not make the announced object";
    /// More symbols of a Kadcast object than anybody needs.
    TooManySymbols = 103, "more symbols than the object needs";
    /// An answer that nobody asked for.
    Unasked = 104, "an answer that was not asked for";
    /// The memory for what is arriving is used up.
    NoMemory = 105, "no memory left for what is arriving";
}
