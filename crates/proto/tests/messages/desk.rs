//! One node, and hand-made peers at the other ends of its links: what it says to each can be read off.

use bytes::Bytes;
use cicada_proto::{
    Body, BodyId, Command, Config, Event, Input, Instant, Job, JobResult, LinkId, LinkUp, Me, Node, Operation, Outbox, Security, StreamId,
    Transmit,
};
use cicada_wire::*;
use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    time::Duration,
};

pub(crate) const START: UnixTime = UnixTime(1_800_000_000_000);

/// The peer whose id begins with this byte, all other bytes 0.
pub(crate) fn id(first: u8) -> Hash {
    let mut bytes = [0; 32];
    bytes[0] = first;
    Hash::from_bytes(bytes)
}

fn address(first: u8) -> Address {
    format!("127.0.0.1:{}", 7000 + u16::from(first)).parse().expect("a loopback address")
}

/// Where a member of both families is reached in the other.
fn other_address(first: u8) -> Address {
    format!("[::1]:{}", 7000 + u16::from(first)).parse().expect("a loopback address")
}

fn record(first: u8, role: Role, others: &[Address]) -> SignedRecord {
    let identity = Identity::from_seed(&[first; 32]);
    let member = role == Role::Member;
    let record = Record {
        key: identity.public(),
        kind: if member { IdKind::Data } else { IdKind::Key },
        role,
        addresses: if member { [&[address(first)], others].concat() } else { vec![] },
        capabilities: Capabilities::default(),
        sequence: 1,
        expires: UnixTime(u64::MAX / 2),
        data: member.then(|| id(first)),
    };
    SignedRecord::sign(record, &identity).expect("a record that holds")
}

/// The node's own id begins with `0x20`.
pub(crate) const ME: u8 = 0x20;

pub(crate) struct Desk {
    node: Node,
    pub(crate) now: Instant,
    links: BTreeMap<LinkId, Hash>,
    /// What was said, to whom, and not read yet.
    said: Vec<(Hash, Frame)>,
    pub(crate) bodies: Bodies,
    pub(crate) events: Vec<Event>,
    next: u64,
    /// Whether the others answer when they are asked whether they live, and who their neighbours are.
    pub(crate) answers: bool,
    /// What they say then.
    neighbours: Neighbours,
    /// Where datagrams were sent.
    knocks: BTreeSet<Address>,
}

/// What the node wants of payloads that travel piece by piece.
#[derive(Default)]
pub(crate) struct Bodies {
    pub(crate) streams: Vec<(StreamId, Body)>,
    /// Where each of them begins.
    pub(crate) offsets: Vec<usize>,
    /// What bodies go on with, and where.
    pub(crate) appended: Vec<(BodyId, usize, Body)>,
    pub(crate) abandoned: Vec<StreamId>,
    pub(crate) collected: Vec<BodyId>,
    pub(crate) discarded: Vec<BodyId>,
}

impl Desk {
    pub(crate) fn new(config: Config) -> Self {
        Self::at(config, START)
    }

    /// What its neighbours say proves nothing: see `origins.rs` for what does.
    pub(crate) fn at(mut config: Config, clock: UnixTime) -> Self {
        (config.member_ids, config.security) = (IdKind::Data, Security::Plain);
        let me = Me { record: record(ME, Role::Member, &[]), boot: 1, credential: None };
        let node = Node::new(me, config, [3; 32], clock).expect("the configuration agrees with itself");
        Self {
            node,
            now: Instant(1_000_000),
            links: BTreeMap::new(),
            said: Vec::new(),
            bodies: Bodies::default(),
            events: Vec::new(),
            next: 0,
            answers: false,
            neighbours: Neighbours::default(),
            knocks: BTreeSet::new(),
        }
    }

    /// A node with links to these members.
    pub(crate) fn linked_to(config: Config, members: &[u8]) -> Self {
        let mut desk = Self::new(config);
        for member in members {
            desk.link_member(*member);
        }
        desk
    }

    pub(crate) fn link_member(&mut self, member: u8) {
        self.link(record(member, Role::Member, &[]), address(member).socket());
        self.said.clear();
    }

    /// The same, and what follows from it can be read off.
    pub(crate) fn meet(&mut self, member: u8) {
        self.link(record(member, Role::Member, &[]), address(member).socket());
    }

    /// A link to a member that sees both address families.
    pub(crate) fn link_bridge(&mut self, member: u8) {
        self.link(record(member, Role::Member, &[other_address(member)]), address(member).socket());
        self.said.clear();
    }

    /// A link to a client; its id follows from its key.
    pub(crate) fn link_client(&mut self, seed: u8) -> Hash {
        let client = record(seed, Role::Client, &[]);
        let id = client.id();
        self.link(client, "127.0.0.1:6000".parse().expect("a socket address"));
        id
    }

    fn link(&mut self, record: SignedRecord, remote: SocketAddr) {
        self.next += 1;
        let link = LinkId(self.next);
        self.links.insert(link, record.id());
        let (dial, boot, capabilities) = (None, 1, Capabilities::default());
        self.input(Input::LinkUp(LinkUp { link, record, side: LinkSide::Listener, remote, dial, boot, capabilities }));
    }

    pub(crate) fn unlink(&mut self, peer: Hash) {
        let link = self.link_to(peer);
        self.input(Input::LinkDown { link, reason: Refusal::Silent });
    }

    fn link_to(&self, peer: Hash) -> LinkId {
        *self.links.iter().find(|(_, end)| **end == peer).expect("a link stands").0
    }

    /// A peer says something.
    pub(crate) fn hear(&mut self, from: Hash, frame: Frame) {
        let link = self.link_to(from);
        let bytes = [&frame.head_bytes()[..], frame.payload().map_or(&[], |payload| &payload[..])].concat();
        assert_eq!(Frame::parse(&bytes.into()).as_ref(), Ok(&frame), "the test says what the wire allows");
        self.input(Input::Frame { link, frame });
    }

    /// A ring's member tells its neighbourhood: we are before it, those of these ids after it, and some members it shows.
    pub(crate) fn hear_neighbours(&mut self, from: u8, named: &[Hash], shown: &[u8], churn: Churn) {
        let records = shown.iter().map(|member| record(*member, Role::Member, &[])).collect();
        let (predecessor, successors) = (Some(IdPrefix::of(id(ME))), IdPrefixes::of(named.iter().copied()));
        self.neighbours = Neighbours { predecessor, successors, records, churn };
        self.hear(id(from), Frame::Changed(self.neighbours.clone()));
    }

    /// Whether a datagram has been sent to a member.
    pub(crate) fn has_knocked_at(&self, member: u8) -> bool {
        self.knocks.contains(&address(member))
    }

    /// A peer begins to say something long.
    pub(crate) fn hear_of(&mut self, from: Hash, head: Frame, body: BodyId, length: usize) {
        let link = self.link_to(from);
        let read = Frame::parse_head(&head.to_bytes(), head.len_bytes() + length);
        assert_eq!(read.map(|(head, _)| head), Ok(head.clone()), "the test says what the wire allows");
        self.input(Input::Arriving { link, head, body, length });
    }

    pub(crate) fn arrived(&mut self, body: BodyId, payload: Bytes) {
        self.input(Input::Arrived { body, payload });
    }

    pub(crate) fn broken(&mut self, body: BodyId) {
        self.broken_at(body, 0);
    }

    /// A body breaks off; so much of it is here and stays.
    pub(crate) fn broken_at(&mut self, body: BodyId, arrived: usize) {
        self.input(Input::Broken { body, arrived });
    }

    pub(crate) fn streamed(&mut self, stream: StreamId, complete: bool) {
        self.input(Input::Streamed { stream, complete });
    }

    pub(crate) fn command(&mut self, command: impl FnOnce(Operation) -> Command) {
        self.next += 1;
        let operation = Operation(self.next);
        self.input(Input::Command(command(operation)));
    }

    /// The wall time is told.
    pub(crate) fn clock(&mut self, clock: UnixTime) {
        self.input(Input::Clock(clock));
    }

    /// Lets time pass, with the wake-ups that the node wishes.
    pub(crate) fn pass(&mut self, span: Duration) {
        let end = self.now + span;
        while let Some((at, _)) = self.node.next_timeout().filter(|(at, _)| *at <= end) {
            self.now = self.now.max(at);
            self.input(Input::Wake);
        }
        self.now = end;
    }

    fn input(&mut self, input: Input) {
        let mut out = Outbox::default();
        self.node.handle(self.now, input, &mut out);
        let mut replies = Vec::new();
        for transmit in out.transmits {
            match transmit {
                Transmit::Frame { link, frame: Frame::Query(ticket, Query::Ping) } if self.answers => {
                    replies.push(Input::Frame { link, frame: Frame::Reply(ticket, Reply::Pong) });
                }
                Transmit::Frame { link, frame: Frame::Query(ticket, Query::Neighbours) } if self.answers => {
                    replies.push(Input::Frame { link, frame: Frame::Reply(ticket, Reply::Neighbours(self.neighbours.clone())) });
                }
                Transmit::Frame { link, frame } => self.said.extend(self.links.get(&link).map(|peer| (*peer, frame))),
                Transmit::Stream { stream, link, head, body, offset } => {
                    let read = Frame::parse_head(&head.to_bytes(), head.len_bytes() + body.len() - offset);
                    assert_eq!(read.map(|(head, _)| head), Ok(head.clone()), "the other end can read it");
                    self.said.extend(self.links.get(&link).map(|peer| (*peer, head)));
                    self.bodies.streams.push((stream, body));
                    self.bodies.offsets.push(offset);
                }
                Transmit::Abandon { stream } => self.bodies.abandoned.push(stream),
                Transmit::Collect { body } => self.bodies.collected.push(body),
                Transmit::Append { body, offset, tail } => self.bodies.appended.push((body, offset, tail)),
                Transmit::Discard { body } => self.bodies.discarded.push(body),
                Transmit::Close { link, reason } => {
                    self.links.remove(&link);
                    replies.push(Input::LinkDown { link, reason });
                }
                Transmit::Datagram { to, .. } => _ = self.knocks.insert(to),
                Transmit::Dial { .. } => {}
            }
        }
        self.events.extend(out.events);
        for (job, work) in out.jobs {
            if let Job::Admit(_) = work {
                replies.push(Input::JobDone { job, result: JobResult::Admitted(true) });
            }
        }
        for reply in replies {
            self.input(reply);
        }
    }

    /// The messages that were said since this was asked last, and to whom.
    pub(crate) fn data(&mut self) -> Vec<(Hash, Header, Bytes)> {
        let (data, rest) = std::mem::take(&mut self.said).into_iter().partition(|(_, frame)| matches!(frame, Frame::Data(..)));
        self.said = rest;
        let data: Vec<(Hash, Frame)> = data;
        data.into_iter()
            .filter_map(|(to, frame)| if let Frame::Data(header, payload) = frame { Some((to, header, payload)) } else { None })
            .collect()
    }

    /// The tasks.
    pub(crate) fn tasks(&mut self) -> Vec<(Hash, Task)> {
        let tasks =
            self.said.iter().filter_map(|(to, frame)| if let Frame::Task(task, _) = frame { Some((*to, task.clone())) } else { None });
        let tasks = tasks.collect();
        self.said.retain(|(_, frame)| !matches!(frame, Frame::Task(..)));
        tasks
    }

    /// The verdicts on messages: to whom, and the refusal.
    pub(crate) fn verdicts(&mut self) -> Vec<(Hash, Option<Refusal>)> {
        let verdicts = self.said.iter().filter_map(|(to, frame)| match frame {
            Frame::HopVerdict(verdict) => Some((*to, verdict.refusal)),
            _ => None,
        });
        let verdicts = verdicts.collect();
        self.said.retain(|(_, frame)| !matches!(frame, Frame::HopVerdict(_)));
        verdicts
    }

    /// The verdicts on tasks.
    pub(crate) fn task_verdicts(&mut self) -> Vec<(Hash, Option<Refusal>)> {
        let verdicts = self.said.iter().filter_map(|(to, frame)| match frame {
            Frame::TaskVerdict(verdict) => Some((*to, verdict.refusal)),
            _ => None,
        });
        let verdicts = verdicts.collect();
        self.said.retain(|(_, frame)| !matches!(frame, Frame::TaskVerdict(_)));
        verdicts
    }

    /// What is offered: to whom, and which.
    pub(crate) fn digests(&mut self) -> Vec<(Hash, Vec<ShortId>)> {
        let digests = self.said.iter().filter_map(|(to, frame)| match frame {
            Frame::Digest(digest) => Some((*to, digest.ids.clone())),
            _ => None,
        });
        let digests = digests.collect();
        self.said.retain(|(_, frame)| !matches!(frame, Frame::Digest(_)));
        digests
    }

    /// What is asked for, and of whom.
    pub(crate) fn pulls(&mut self) -> Vec<(Hash, Pull)> {
        let pulls = self.said.iter().filter_map(|(to, frame)| if let Frame::Pull(pull) = frame { Some((*to, *pull)) } else { None });
        let pulls = pulls.collect();
        self.said.retain(|(_, frame)| !matches!(frame, Frame::Pull(_)));
        pulls
    }

    /// Which links were given up, and why.
    pub(crate) fn drains(&mut self) -> Vec<(Hash, Refusal)> {
        let drains = self.said.iter().filter_map(|(to, frame)| if let Frame::Drain(reason) = frame { Some((*to, *reason)) } else { None });
        let drains = drains.collect();
        self.said.retain(|(_, frame)| !matches!(frame, Frame::Drain(_)));
        drains
    }

    /// Who was told that nothing is left.
    pub(crate) fn drained(&mut self) -> Vec<Hash> {
        let drained = self.said.iter().filter(|(_, frame)| *frame == Frame::Drained).map(|(to, _)| *to).collect();
        self.said.retain(|(_, frame)| *frame != Frame::Drained);
        drained
    }

    /// How often something was refused for this reason.
    pub(crate) fn refused(&self, reason: Refusal) -> u64 {
        self.node.refusals().of(reason)
    }

    pub(crate) fn is_joined(&self) -> bool {
        self.node.is_joined()
    }

    /// How many links stand.
    pub(crate) fn links(&self) -> usize {
        self.links.len()
    }

    /// How many messages the application has got.
    pub(crate) fn delivered(&self) -> usize {
        self.events.iter().filter(|event| matches!(event, Event::Delivered(_))).count()
    }
}

/// A unicast from the peer `from` for `target`, as its first copy.
pub(crate) fn unicast(from: u8, target: Hash, number: u8) -> Header {
    let fixed = Statement {
        version: Statement::VERSION,
        kind: Kind::Unicast,
        origin: Origin::of_data(id(from), None),
        target: Some(target),
        number: u64::from(number),
        length: 5,
        made_at: START,
        boot: 9,
        authentication: Authentication::None,
        digest: PayloadDigest::of(&hello()),
        about: None,
    };
    Header { fixed: fixed.into(), hop: Mutable { hop_limit: MAX_HOPS, ..Mutable::default() } }
}

/// Lets the origin say something else; that makes another message.
pub(crate) fn amend(header: &mut Header, change: impl FnOnce(&mut Statement)) {
    let mut statement = Statement::from(header.fixed.clone());
    change(&mut statement);
    header.fixed = statement.into();
}

/// The same as a broadcast.
pub(crate) fn for_all(header: &mut Header, reach: Reach) {
    amend(header, |said| (said.kind, said.target) = (Kind::Broadcast, None));
    header.hop.reach = Some(reach);
}

pub(crate) fn hello() -> Bytes {
    Bytes::from_static(b"hello")
}

/// The next hop's verdict on a message.
pub(crate) fn verdict(header: &Header, refusal: Option<Refusal>) -> Frame {
    Frame::HopVerdict(HopVerdict {
        origin: header.fixed.origin.id(),
        message: header.fixed.message(),
        copy: header.hop.copy,
        receipt: header.fixed.kind == Kind::Receipt,
        refusal,
    })
}

/// What a receipt says.
pub(crate) fn status(payload: &Bytes) -> Status {
    Status::parse(payload).expect("a receipt's payload is a status")
}
