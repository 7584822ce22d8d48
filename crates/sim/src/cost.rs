//! What a peer sends, by kind: the price of its upkeep and of its messages.

use cicada_wire::{Datagram, DatagramKey, Frame, Query, Reply};
use std::fmt;

/// Messages and their bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Tally {
    /// How many.
    pub messages: u64,
    /// How many bytes: of frames their own length, of datagrams everything below them too.
    pub bytes: u64,
}

impl Tally {
    fn add(&mut self, bytes: usize) {
        self.messages += 1;
        self.bytes += bytes as u64;
    }
}

impl std::ops::AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.messages += other.messages;
        self.bytes += other.bytes;
    }
}

macro_rules! kinds {
    ($($kind:ident = $name:literal),+ $(,)?) => {
        /// What was sent.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
        #[non_exhaustive]
        pub enum Kind {
            $(#[doc = $name] $kind),+
        }

        impl Kind {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$kind),+];

            /// Its name.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$kind => $name),+ }
            }
        }
    };
}

kinds! {
    Ping = "ping",
    Find = "find",
    Neighbours = "neighbours",
    Attach = "attach",
    Pong = "pong",
    Found = "found",
    NeighboursReply = "neighbours reply",
    Records = "records",
    RecordsReply = "records reply",
    Attached = "attached",
    Witness = "witness",
    Witnessed = "witnessed",
    RefusedReply = "refused reply",
    Changed = "changed",
    Hint = "hint",
    Introduce = "introduce",
    Unify = "unify",
    Goodbye = "goodbye",
    Data = "data",
    HopVerdict = "hop verdict",
    Task = "task",
    Extend = "extend",
    TaskVerdict = "task verdict",
    Opaque = "opaque",
    Digest = "digest",
    Pull = "pull",
    Alarm = "alarm",
    Drain = "drain",
    Drained = "drained",
    Challenge = "challenge",
    Answer = "answer",
    Dial = "dial",
}

impl Kind {
    /// Whether it is no part of a message's way.
    fn is_upkeep(self) -> bool {
        match self {
            Self::Data | Self::HopVerdict | Self::Task | Self::Extend | Self::TaskVerdict | Self::Opaque | Self::Digest | Self::Pull => {
                false
            }
            Self::Ping
            | Self::Find
            | Self::Neighbours
            | Self::Attach
            | Self::Pong
            | Self::Found
            | Self::NeighboursReply
            | Self::Records
            | Self::RecordsReply
            | Self::Attached
            | Self::Witness
            | Self::Witnessed
            | Self::RefusedReply
            | Self::Changed
            | Self::Hint
            | Self::Introduce
            | Self::Unify
            | Self::Goodbye
            | Self::Alarm
            | Self::Drain
            | Self::Drained
            | Self::Challenge
            | Self::Answer
            | Self::Dial => true,
        }
    }
}

/// What one peer, or several together, sent.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Cost {
    tallies: [Tally; Kind::ALL.len()],
}

impl Cost {
    /// Counts a frame; says how many bytes it has.
    pub(crate) fn frame(&mut self, frame: &Frame) -> usize {
        let bytes = frame.len_bytes();
        self.tallies[kind_of_frame(frame) as usize].add(bytes);
        bytes
    }

    /// Counts a datagram; says how many bytes it has on the wire.
    pub(crate) fn datagram(&mut self, datagram: &Datagram) -> usize {
        let bytes = datagram.len_bytes() + DatagramKey::SEAL_BYTES + UDP_IP_BYTES;
        self.tallies[kind_of_datagram(datagram) as usize].add(bytes);
        bytes
    }

    pub(crate) fn dial(&mut self) {
        self.tallies[Kind::Dial as usize].add(HANDSHAKE_BYTES);
    }

    /// What was sent of this kind.
    #[must_use]
    pub fn of(&self, kind: Kind) -> Tally {
        self.tallies[kind as usize]
    }

    /// What was sent to be and stay in the swarm: all but messages, their acknowledgements and repair.
    #[must_use]
    pub fn upkeep(&self) -> Tally {
        let mut upkeep = Tally::default();
        for kind in Kind::ALL.iter().filter(|kind| kind.is_upkeep()) {
            upkeep += self.of(*kind);
        }
        upkeep
    }

    /// Everything that was sent.
    #[must_use]
    pub fn total(&self) -> Tally {
        let mut total = Tally::default();
        for tally in &self.tallies {
            total += *tally;
        }
        total
    }

    /// What was sent since `earlier`.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let mut difference = self.clone();
        for (now, then) in difference.tallies.iter_mut().zip(&earlier.tallies) {
            now.messages -= then.messages;
            now.bytes -= then.bytes;
        }
        difference
    }
}

impl std::ops::AddAssign<&Cost> for Cost {
    fn add_assign(&mut self, other: &Cost) {
        for (sum, more) in self.tallies.iter_mut().zip(&other.tallies) {
            *sum += *more;
        }
    }
}

/// One kind a line; those that never occurred are left out.
impl fmt::Display for Cost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for kind in Kind::ALL {
            let tally = self.of(*kind);
            if tally.messages > 0 {
                writeln!(f, "{:>10} {:>12} B  {}", tally.messages, tally.bytes, kind.name())?;
            }
        }
        let total = self.total();
        writeln!(f, "{:>10} {:>12} B  in all", total.messages, total.bytes)
    }
}

impl fmt::Debug for Cost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

fn kind_of_query(query: &Query) -> Kind {
    match query {
        Query::Ping => Kind::Ping,
        Query::Find(_) => Kind::Find,
        Query::Neighbours => Kind::Neighbours,
        Query::Records(_) => Kind::Records,
        Query::Attach(_) => Kind::Attach,
        Query::Witness(_) => Kind::Witness,
    }
}

fn kind_of_reply(reply: &Reply) -> Kind {
    match reply {
        Reply::Pong | Reply::WhoAreYou => Kind::Pong,
        Reply::Found(_) => Kind::Found,
        Reply::Neighbours(_) => Kind::NeighboursReply,
        Reply::Records(_) => Kind::RecordsReply,
        Reply::Attached(_) => Kind::Attached,
        Reply::Witnessed(_) => Kind::Witnessed,
        Reply::Refused(_) => Kind::RefusedReply,
    }
}

fn kind_of_frame(frame: &Frame) -> Kind {
    match frame {
        Frame::Query(_, query) => kind_of_query(query),
        Frame::Reply(_, reply) => kind_of_reply(reply),
        Frame::Changed(_) => Kind::Changed,
        Frame::Hint(_) => Kind::Hint,
        Frame::Introduce(_) => Kind::Introduce,
        Frame::Unify(_) => Kind::Unify,
        Frame::Goodbye(_) => Kind::Goodbye,
        Frame::Data(..) => Kind::Data,
        Frame::HopVerdict(_) => Kind::HopVerdict,
        Frame::Task(task, _) if task.extend => Kind::Extend,
        Frame::Task(..) => Kind::Task,
        Frame::TaskVerdict(_) => Kind::TaskVerdict,
        Frame::Opaque(_) => Kind::Opaque,
        Frame::Digest(_) => Kind::Digest,
        Frame::Pull(_) => Kind::Pull,
        Frame::Alarm => Kind::Alarm,
        Frame::Drain(_) => Kind::Drain,
        Frame::Drained => Kind::Drained,
    }
}

fn kind_of_datagram(datagram: &Datagram) -> Kind {
    match datagram {
        Datagram::Challenge(..) => Kind::Challenge,
        Datagram::Answer(_) | Datagram::BriefAnswer(_) => Kind::Answer,
        Datagram::Query(_, _, query, _) => kind_of_query(query),
        Datagram::Reply(_, reply) => kind_of_reply(reply),
        Datagram::Introduce(_) => Kind::Introduce,
    }
}

const UDP_IP_BYTES: usize = 28; // RFC 768 and RFC 791 without options
const HANDSHAKE_BYTES: usize = 4096; // architecture: 4 to 16 KB a handshake, both ends together
