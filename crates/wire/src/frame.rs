//! What is said on a link.
//!
//! A frame is a CBOR value, its head, followed by the payload where it carries one. The link gives frames their boundaries.

use crate::{
    address::Address,
    codec::{HEAD_ROOM, ParseError, append, encode, numbered},
    hash::Hash,
    header::{Header, MAX_EXCLUDED, ShortId},
    identity::PublicKey,
    known::{MAX_KNOWN, RecordNames},
    prefix::{IdPrefix, IdPrefixes},
    record::SignedRecord,
    refusal::Refusal,
    statement::{Immutable, MessageId},
};
use bytes::Bytes;
use minicbor::{CborLen, Decode, Decoder, Encode};

/// The most records in an answer to a lookup.
pub const MAX_RECORDS: usize = 20; // k of Kademlia (Maymounkov and Mazieres 2002, section 2.2)

/// The most successors that a neighbour list tells of.
pub const MAX_NEIGHBOURS: usize = 32;

/// Lost members in one goodbye.
pub const MAX_LOST: usize = 4;

/// The most messages that one [`Digest`] names.
pub const MAX_DIGEST: usize = 128; // guess: one packet

/// Numbers an open question; the answer repeats it. Meaningful on its link (or between its two sockets) only.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Encode, Decode, CborLen)]
#[cbor(transparent)]
pub struct Ticket(#[n(0)] pub u64);

/// "Who is near this key?"
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, CborLen)]
pub struct Find {
    /// The key.
    #[n(0)]
    pub target: Hash,
    /// How many records the asker can use, at most [`MAX_RECORDS`].
    #[n(1)]
    pub count: u8,
    /// Records that the asker has: the answer need only name them. At most [`crate::MAX_KNOWN`].
    #[n(2)]
    pub known: RecordNames,
}

/// The answer to [`Find`].
#[derive(Clone, PartialEq, Eq, Debug, Default, Encode, Decode, CborLen)]
pub struct Found {
    /// Members nearer to the key than the answerer, nearest first. Candidates to the asker.
    #[n(0)]
    pub closer: Vec<SignedRecord>,
    /// The members that the answerer thinks responsible, the owner first; the answerer itself among them when it is one.
    #[n(1)]
    pub responsible: Vec<SignedRecord>,
    /// The client or leaf with exactly this id, if it is attached here.
    #[n(2)]
    pub attached: Option<SignedRecord>,
    /// Those in [`Self::closer`] that the asker has.
    #[n(3)]
    pub known_closer: RecordNames,
    /// Those in [`Self::responsible`] that the asker has.
    #[n(4)]
    pub known_responsible: RecordNames,
    /// How many of those whom the answerer knew have gone lately: a newcomer does well to expect the same.
    #[n(5)]
    pub churn: Churn,
}

/// A member's neighbourhood on the ring. How ids begin always, records only where the receiver may lack them.
#[derive(Clone, PartialEq, Eq, Debug, Default, Encode, Decode, CborLen)]
pub struct Neighbours {
    /// The predecessor.
    #[n(0)]
    pub predecessor: Option<IdPrefix>,
    /// The successors in ring order; at most [`MAX_NEIGHBOURS`].
    #[n(1)]
    pub successors: IdPrefixes,
    /// Records of some of them.
    #[n(2)]
    pub records: Vec<SignedRecord>,
    /// How many of those whom this member knew have gone lately: a newcomer does well to expect the same.
    #[n(3)]
    pub churn: Churn,
}

/// How fast members come and go.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub enum Churn {
    /// Nobody has gone lately.
    #[default]
    Calm,
    /// Somebody has.
    Some,
    /// Many have: whoever is far away is best found when it is needed.
    Heavy,
}
numbered!(Churn { Calm = 0, Some = 1, Heavy = 2 });

/// "Hold my record and hand me what comes for my id."
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, CborLen)]
pub struct Attachment {
    /// For how long, in seconds. The answer may say less.
    #[n(0)]
    pub lease_s: u32,
}

/// A question; each has one answer.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, CborLen)]
pub enum Query {
    /// "Are you there?"
    #[n(0)]
    Ping,
    /// A step of a lookup.
    #[n(1)]
    Find(#[n(0)] Find),
    /// "I take you for my successor: who are your neighbours?" (Zave's rectify.)
    #[n(2)]
    Neighbours,
    /// A client or leaf asks to be attached.
    #[n(3)]
    Attach(#[n(0)] Attachment),
    /// "Whose key have you met at this address?" Who has met nobody there goes and looks.
    #[n(4)]
    Witness(#[n(0)] Address),
    /// "Whose ids begin so?" Asks for the records of members that were named, at most [`MAX_RECORDS`].
    #[n(5)]
    Records(#[n(0)] IdPrefixes),
}

/// An answer.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, CborLen)]
pub enum Reply {
    /// "I am."
    #[n(0)]
    Pong,
    /// To [`Query::Find`].
    #[n(1)]
    Found(#[n(0)] Found),
    /// To [`Query::Neighbours`].
    #[n(2)]
    Neighbours(#[n(0)] Neighbours),
    /// To [`Query::Attach`].
    #[n(3)]
    Attached(#[n(0)] Attachment),
    /// "No", and why.
    #[n(4)]
    Refused(#[n(0)] Refusal),
    /// To [`Query::Witness`]; `None`: nobody's yet.
    #[n(5)]
    Witnessed(#[n(0)] Option<PublicKey>),
    /// To [`Query::Ping`]: "I am. Who are you?" Who asked under no name, and is nobody that we know, may want to introduce itself.
    #[n(6)]
    WhoAreYou,
    /// To [`Query::Records`]: of those that are known.
    #[n(7)]
    Records(#[n(0)] Introduction),
}

/// Records that the receiver may want to know: candidates to it.
#[derive(Clone, PartialEq, Eq, Debug, Default, Encode, Decode, CborLen)]
pub struct Introduction {
    /// At most [`MAX_RECORDS`].
    #[n(0)]
    pub records: Vec<SignedRecord>,
}

/// Two rings become one: find where `seeker` belongs and introduce it to its neighbours there
/// (Shafaat, Ghodsi and Haridi, "Dealing with network partitions in structured overlay networks", 2009).
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, CborLen)]
pub struct Unify {
    /// A member of the other ring.
    #[n(0)]
    pub seeker: SignedRecord,
    /// How many more links this may travel.
    #[n(1)]
    pub hop_limit: u8,
}

/// A polite leave: whom the receiver may link to instead.
#[derive(Clone, PartialEq, Eq, Debug, Default, Encode, Decode, CborLen)]
pub struct Goodbye {
    /// The leaver's neighbourhood, or the contacts of its nearest cells.
    #[n(0)]
    pub neighbours: Neighbours,
    /// Members that the leaver could not reach any more and still looked for, that this may go on; at most [`MAX_LOST`].
    #[n(1)]
    pub lost: Vec<SignedRecord>,
}

/// What a hop says of a message that it was handed.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, CborLen)]
pub struct HopVerdict {
    /// Who made the message.
    #[n(0)]
    pub origin: Hash,
    /// Which message.
    #[n(1)]
    pub message: MessageId,
    /// Which copy.
    #[n(2)]
    pub copy: u8,
    /// Whether this is about the receipt for that message instead.
    #[n(3)]
    pub receipt: bool,
    /// `None`: taken over. Otherwise the sender should try another hop.
    #[n(4)]
    pub refusal: Option<Refusal>,
}

/// A share of a broadcast.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, CborLen)]
pub struct Task {
    /// Numbers the task on its link.
    #[n(0)]
    pub ticket: Ticket,
    /// Whose message, and whom the receiver is to cover.
    #[n(1)]
    pub header: Header,
    /// Peers that are not to have it; at most [`MAX_EXCLUDED`].
    #[n(2)]
    pub excluded: Vec<Hash>,
    /// No payload follows: the receiver has it already or will get it ("extend").
    #[n(3)]
    pub extend: bool,
    /// Peers that need not be handed it, since they have it already or do not answer; together with `excluded` at most
    /// [`MAX_EXCLUDED`]. They may have it.
    #[cbor(n(4), default)]
    pub avoided: Vec<Hash>,
    /// From which byte on the payload is sent: 0 is all of it. What follows is the rest, to its end.
    #[cbor(n(5), default)]
    pub offset: u64,
}

/// "These broadcasts I have": an offer to hand them to whoever lacks one.
#[derive(Clone, PartialEq, Eq, Debug, Default, Encode, Decode, CborLen)]
pub struct Digest {
    /// At most [`MAX_DIGEST`]; written side by side.
    #[cbor(n(0), with = "short_ids")]
    pub ids: Vec<ShortId>,
}

/// Names side by side in one byte string.
mod short_ids {
    use super::ShortId;
    use crate::codec::side_by_side;
    use minicbor::{
        Decoder, Encoder,
        decode::Error as DecodeError,
        encode::{Error as EncodeError, Write},
    };

    pub(super) fn encode<C, W: Write>(ids: &[ShortId], e: &mut Encoder<W>, _: &mut C) -> Result<(), EncodeError<W::Error>> {
        side_by_side::encode(ids.iter().map(|id| id.0), e)
    }

    pub(super) fn decode<C>(d: &mut Decoder<'_>, _: &mut C) -> Result<Vec<ShortId>, DecodeError> {
        side_by_side::decode(d).map(|ids| ids.iter().copied().map(ShortId).collect())
    }

    pub(super) fn cbor_len<C>(ids: &[ShortId], context: &mut C) -> usize {
        side_by_side::cbor_len::<{ ShortId::BYTES }, C>(ids.len(), context)
    }
}

/// "Hand me that broadcast." The answer is a [`Task`] for the asker alone, or a [`TaskVerdict`] with this ticket that says why not.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode, CborLen)]
pub struct Pull {
    /// Numbers the question on its link.
    #[n(0)]
    pub ticket: Ticket,
    /// Which broadcast.
    #[n(1)]
    pub id: ShortId,
    /// From which byte on: 0 is all of it.
    #[cbor(n(2), default)]
    pub offset: u64,
}

/// What a delegate says of a task, or whoever was asked for a broadcast of a pull that it refuses.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, CborLen)]
pub struct TaskVerdict {
    /// Which task or pull.
    #[n(0)]
    pub ticket: Ticket,
    /// `None`: the body is held and queued for the task's reach. Otherwise another delegate is needed.
    #[n(1)]
    pub refusal: Option<Refusal>,
}

#[derive(Encode, Decode, CborLen)]
enum Body {
    #[n(0)]
    Query(#[n(0)] Ticket, #[n(1)] Query),
    #[n(1)]
    Reply(#[n(0)] Ticket, #[n(1)] Reply),
    #[n(2)]
    Changed(#[n(0)] Neighbours),
    #[n(3)]
    Hint(#[n(0)] SignedRecord),
    #[n(4)]
    Introduce(#[n(0)] Introduction),
    #[n(5)]
    Unify(#[n(0)] Unify),
    #[n(6)]
    Goodbye(#[n(0)] Goodbye),
    #[n(7)]
    Data(#[n(0)] Header),
    #[n(8)]
    HopVerdict(#[n(0)] HopVerdict),
    #[n(9)]
    Task(#[n(0)] Task),
    #[n(10)]
    TaskVerdict(#[n(0)] TaskVerdict),
    #[n(11)]
    Opaque,
    #[n(12)]
    Digest(#[n(0)] Digest),
    #[n(13)]
    Pull(#[n(0)] Pull),
    #[n(14)]
    Alarm,
    #[n(15)]
    Drain(#[n(0)] Refusal),
    #[n(16)]
    Drained,
}

/// What is said on a link.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Frame {
    /// A question.
    Query(Ticket, Query),
    /// An answer.
    Reply(Ticket, Reply),
    /// To the predecessor: "my neighbours have changed".
    Changed(Neighbours),
    /// To the old predecessor: "you have a new successor".
    Hint(SignedRecord),
    /// Records worth knowing.
    Introduce(Introduction),
    /// A step of merging two rings.
    Unify(Unify),
    /// The sender leaves the swarm.
    Goodbye(Goodbye),
    /// A unicast or a receipt on its way.
    Data(Header, Bytes),
    /// About a message handed over before.
    HopVerdict(HopVerdict),
    /// A share of a broadcast.
    Task(Task, Bytes),
    /// About a task handed over before.
    TaskVerdict(TaskVerdict),
    /// A bare node's payload for its neighbour.
    Opaque(Bytes),
    /// Broadcasts that the sender has.
    Digest(Digest),
    /// Asks for one of them.
    Pull(Pull),
    /// "Several of my links fell silent at once: look to yours." Not handed on.
    Alarm,
    /// "I shall close this link, for this reason. Send nothing new, and say when nothing is left."
    Drain(Refusal),
    /// "Nothing is left: what I handed over is acknowledged." Answers [`Self::Drain`].
    Drained,
}

impl Frame {
    /// The bytes that [`Self::parse`] reads.
    #[must_use]
    pub fn to_bytes(&self) -> Bytes {
        let (body, payload) = self.split_whole();
        let mut bytes = Vec::with_capacity(HEAD_ROOM + payload.len());
        append(&body, &mut bytes);
        bytes.extend_from_slice(payload);
        bytes.into()
    }

    /// How many bytes [`Self::to_bytes`] makes, without making them.
    #[must_use]
    pub fn len_bytes(&self) -> usize {
        let (body, payload) = self.split_whole();
        minicbor::len(body) + payload.len()
    }

    /// Reads a frame; its payload shares `bytes`. The caller has bounded their number.
    ///
    /// # Errors
    /// When the bytes are no frame.
    pub fn parse(bytes: &Bytes) -> Result<Self, ParseError> {
        let mut decoder = Decoder::new(bytes);
        let body: Body = decoder.decode()?;
        let payload = bytes.slice(decoder.position()..);
        let length = payload.len();
        let mut frame = Self::join(body, payload)?;
        frame.complete().map_err(ParseError::malformed)?;
        frame.check(length).map_err(ParseError::malformed)?;
        Ok(frame)
    }

    /// What stands before a payload that follows piece by piece.
    #[must_use]
    pub fn head_bytes(&self) -> Bytes {
        encode(&self.split().0).into()
    }

    /// Reads the head of a frame of `length` bytes in all, of which `bytes` are the first: at least [`crate::MAX_HEADER_BYTES`], if
    /// there are as many. Returns the frame without its payload, and where the payload begins.
    ///
    /// # Errors
    /// When the bytes begin no frame, or one that carries no payload.
    pub fn parse_head(bytes: &[u8], length: usize) -> Result<(Self, usize), ParseError> {
        let mut decoder = Decoder::new(bytes);
        let body: Body = decoder.decode()?;
        let begins = decoder.position();
        let frame = Self::join(body, Bytes::new())?;
        if frame.payload().is_none() {
            return Err(ParseError::malformed("a payload where there should be none"));
        }
        if frame.fixed().is_some_and(Immutable::is_brief) {
            return Err(ParseError::malformed("a message without the digest of its payload"));
        }
        frame.check(length.saturating_sub(begins)).map_err(ParseError::malformed)?;
        Ok((frame, begins))
    }

    /// The same frame with this payload, if it is of a kind that carries one.
    #[must_use]
    pub fn with_payload(self, payload: Bytes) -> Self {
        match self {
            Self::Data(header, _) => Self::Data(header, payload),
            Self::Task(task, _) => Self::Task(task, payload),
            Self::Opaque(_) => Self::Opaque(payload),
            Self::Query(..)
            | Self::Reply(..)
            | Self::Changed(_)
            | Self::Hint(_)
            | Self::Introduce(_)
            | Self::Unify(_)
            | Self::Alarm
            | Self::Drain(_)
            | Self::Drained
            | Self::Goodbye(_)
            | Self::HopVerdict(_)
            | Self::TaskVerdict(_)
            | Self::Digest(_)
            | Self::Pull(_) => self,
        }
    }

    /// The payload, if the frame is of a kind that carries one.
    #[must_use]
    pub fn payload(&self) -> Option<&Bytes> {
        match self {
            Self::Data(_, payload) | Self::Task(_, payload) | Self::Opaque(payload) => Some(payload),
            Self::Query(..)
            | Self::Reply(..)
            | Self::Changed(_)
            | Self::Hint(_)
            | Self::Introduce(_)
            | Self::Unify(_)
            | Self::Alarm
            | Self::Drain(_)
            | Self::Drained
            | Self::Goodbye(_)
            | Self::HopVerdict(_)
            | Self::TaskVerdict(_)
            | Self::Digest(_)
            | Self::Pull(_) => None,
        }
    }

    /// Whether its payload is a message of the swarm, which may be as long as messages are. That of bare nodes is theirs.
    #[must_use]
    pub fn is_message(&self) -> bool {
        self.payload().is_some() && !matches!(self, Self::Opaque(_))
    }

    /// Whether the frame carries so much payload that control frames may overtake it.
    #[must_use]
    pub fn is_bulk(&self) -> bool {
        self.payload().is_some_and(|payload| payload.len() > BULK_BYTES)
    }

    fn split(&self) -> (Body, &[u8]) {
        match self {
            Self::Query(ticket, query) => (Body::Query(*ticket, query.clone()), &[]),
            Self::Reply(ticket, reply) => (Body::Reply(*ticket, reply.clone()), &[]),
            Self::Changed(neighbours) => (Body::Changed(neighbours.clone()), &[]),
            Self::Hint(record) => (Body::Hint(record.clone()), &[]),
            Self::Introduce(introduction) => (Body::Introduce(introduction.clone()), &[]),
            Self::Unify(unify) => (Body::Unify(unify.clone()), &[]),
            Self::Goodbye(goodbye) => (Body::Goodbye(goodbye.clone()), &[]),
            Self::Data(header, payload) => (Body::Data(header.clone()), payload),
            Self::HopVerdict(verdict) => (Body::HopVerdict(verdict.clone()), &[]),
            Self::Task(task, payload) => (Body::Task(task.clone()), payload),
            Self::TaskVerdict(verdict) => (Body::TaskVerdict(verdict.clone()), &[]),
            Self::Opaque(payload) => (Body::Opaque, payload),
            Self::Digest(digest) => (Body::Digest(digest.clone()), &[]),
            Self::Pull(pull) => (Body::Pull(*pull), &[]),
            Self::Alarm => (Body::Alarm, &[]),
            Self::Drain(reason) => (Body::Drain(*reason), &[]),
            Self::Drained => (Body::Drained, &[]),
        }
    }

    /// The same for a frame that is written whole: of a short payload its reader finds the digest out by itself.
    fn split_whole(&self) -> (Body, &[u8]) {
        let (mut body, payload) = self.split();
        if (1..=BULK_BYTES).contains(&payload.len())
            && let Body::Task(Task { header, offset: 0, .. }) | Body::Data(header) = &mut body
        {
            header.fixed.be_brief();
        }
        (body, payload)
    }

    /// What the origin says, of a message of the swarm.
    #[must_use]
    pub fn fixed(&self) -> Option<&Immutable> {
        if let Self::Data(header, _) | Self::Task(Task { header, .. }, _) = self { Some(&header.fixed) } else { None }
    }

    /// Finds out what was not written because it follows from the payload.
    fn complete(&mut self) -> Result<(), &'static str> {
        let (Self::Data(header, payload) | Self::Task(Task { header, .. }, payload)) = self else { return Ok(()) };
        if !header.fixed.is_brief() {
            return Ok(());
        }
        if !(1..=BULK_BYTES).contains(&payload.len()) || header.fixed.length != payload.len() as u64 {
            return Err("a message without the digest of its payload");
        }
        header.fixed.complete(payload);
        Ok(())
    }

    fn join(body: Body, payload: Bytes) -> Result<Self, ParseError> {
        let frame = match body {
            Body::Data(header) => return Ok(Self::Data(header, payload)),
            Body::Task(task) => return Ok(Self::Task(task, payload)),
            Body::Opaque => return Ok(Self::Opaque(payload)),
            Body::Query(ticket, query) => Self::Query(ticket, query),
            Body::Reply(ticket, reply) => Self::Reply(ticket, reply),
            Body::Changed(neighbours) => Self::Changed(neighbours),
            Body::Hint(record) => Self::Hint(record),
            Body::Introduce(introduction) => Self::Introduce(introduction),
            Body::Unify(unify) => Self::Unify(unify),
            Body::Goodbye(goodbye) => Self::Goodbye(goodbye),
            Body::HopVerdict(verdict) => Self::HopVerdict(verdict),
            Body::TaskVerdict(verdict) => Self::TaskVerdict(verdict),
            Body::Digest(digest) => Self::Digest(digest),
            Body::Pull(pull) => Self::Pull(pull),
            Body::Alarm => Self::Alarm,
            Body::Drain(reason) => Self::Drain(reason),
            Body::Drained => Self::Drained,
        };
        if payload.is_empty() { Ok(frame) } else { Err(ParseError::malformed("a payload where there should be none")) }
    }

    /// `length` is that of the payload, of which not all need be here.
    fn check(&self, length: usize) -> Result<(), &'static str> {
        match self {
            Self::Query(_, query) => query.check(),
            Self::Reply(_, reply) => reply.check(),
            Self::Changed(neighbours) => neighbours.check(),
            Self::Introduce(introduction) => introduction.check(),
            Self::Goodbye(goodbye) if goodbye.lost.len() > MAX_LOST => Err("names too many lost members"),
            Self::Goodbye(goodbye) => goodbye.neighbours.check(),
            Self::Data(header, _) => {
                if header.fixed.target.is_none() {
                    return Err("a broadcast that is no task");
                }
                check_payload(header, length)
            }
            Self::Task(task, _) => task.check(length),
            Self::Digest(digest) if digest.ids.len() > MAX_DIGEST => Err("names too many messages"),
            Self::Hint(_)
            | Self::Unify(_)
            | Self::Alarm
            | Self::Drain(_)
            | Self::Drained
            | Self::HopVerdict(_)
            | Self::TaskVerdict(_)
            | Self::Opaque(_)
            | Self::Digest(_)
            | Self::Pull(_) => Ok(()),
        }
    }
}

impl Query {
    pub(crate) fn check(&self) -> Result<(), &'static str> {
        match self {
            Self::Find(find) if usize::from(find.count) > MAX_RECORDS => Err("asks for too many records"),
            Self::Find(find) if find.known.0.len() > MAX_KNOWN => Err("names too many records"),
            Self::Records(prefixes) if prefixes.0.len() > MAX_RECORDS => Err("names too many members"),
            Self::Find(_) | Self::Ping | Self::Neighbours | Self::Attach(_) | Self::Witness(_) | Self::Records(_) => Ok(()),
        }
    }
}

impl Reply {
    pub(crate) fn check(&self) -> Result<(), &'static str> {
        match self {
            Self::Found(found) if !found.is_short() => Err("too many records"),
            Self::Neighbours(neighbours) => neighbours.check(),
            Self::Records(introduction) => introduction.check(),
            Self::Found(_) | Self::Pong | Self::WhoAreYou | Self::Attached(_) | Self::Witnessed(_) | Self::Refused(_) => Ok(()),
        }
    }
}

impl Found {
    fn is_short(&self) -> bool {
        let fits = |records: &[SignedRecord], known: &RecordNames| records.len() + known.0.len() <= MAX_RECORDS;
        fits(&self.closer, &self.known_closer) && fits(&self.responsible, &self.known_responsible)
    }
}

impl Neighbours {
    fn check(&self) -> Result<(), &'static str> {
        let too_many = self.successors.0.len() > MAX_NEIGHBOURS || self.records.len() > MAX_NEIGHBOURS + 1;
        if too_many { Err("too many neighbours") } else { Ok(()) }
    }
}

impl Introduction {
    pub(crate) fn check(&self) -> Result<(), &'static str> {
        if self.records.len() > MAX_RECORDS { Err("too many records") } else { Ok(()) }
    }
}

impl Task {
    fn check(&self, length: usize) -> Result<(), &'static str> {
        if self.header.fixed.target.is_some() || self.header.hop.reach.is_none() {
            return Err("a task that is no share of a broadcast");
        }
        if self.excluded.len() + self.avoided.len() > MAX_EXCLUDED {
            return Err("too many exclusions");
        }
        if self.extend {
            self.header.check()?;
            return if length == 0 && self.offset == 0 { Ok(()) } else { Err("a payload where there should be none") };
        }
        check_part(&self.header, self.offset, length)
    }
}

fn check_payload(header: &Header, length: usize) -> Result<(), &'static str> {
    check_part(header, 0, length)
}

/// `length` bytes follow, the last of them.
fn check_part(header: &Header, offset: u64, length: usize) -> Result<(), &'static str> {
    header.check()?;
    if offset.checked_add(length as u64) == Some(header.fixed.length) {
        Ok(())
    } else {
        Err("a payload of another length than its header says")
    }
}

/// Payloads above this travel on streams of their own, below control frames in priority.
const BULK_BYTES: usize = 4096; // three packets: what is smaller costs less to send than to sort
