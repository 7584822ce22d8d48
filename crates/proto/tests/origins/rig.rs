//! One node whose neighbours sign and seal for real, and the datagrams beside its links.

use bytes::Bytes;
use cicada_proto::{
    Command, Config, Delivery, Event, Input, Instant, Job, JobResult, LinkId, LinkUp, Me, Node, Operation, Outbox, Transmit,
    config::{Limits, Rate},
};
use cicada_wire::*;
use std::{collections::BTreeMap, time::Duration};

pub(crate) const START: UnixTime = UnixTime(1_800_000_000_000);

/// Somebody with an identity, an address and a key to seal to.
pub(crate) struct Somebody {
    pub(crate) identity: Identity,
    pub(crate) sealing: SealingSecret,
    pub(crate) address: Address,
    pub(crate) boot: u64,
}

/// The member at this port.
pub(crate) fn somebody(port: u16) -> Somebody {
    let mut seed = [3; 32];
    seed[..2].copy_from_slice(&port.to_be_bytes());
    let address = format!("127.0.0.1:{port}").parse().expect("an address");
    Somebody { identity: Identity::from_seed(&seed), sealing: SealingSecret::from_seed(&seed), address, boot: u64::from(port) }
}

impl Somebody {
    pub(crate) fn id(&self) -> Hash {
        self.address.id()
    }

    pub(crate) fn key(&self) -> PublicKey {
        self.identity.public()
    }

    /// The same place with another key, as after a start without its identity; or a pretender.
    pub(crate) fn with_key_of(&self, other: &Self) -> Self {
        Self { identity: other.identity.clone(), sealing: other.sealing.clone(), address: self.address, boot: self.boot }
    }

    pub(crate) fn record(&self) -> SignedRecord {
        let record = Record {
            key: self.key(),
            kind: IdKind::Address,
            role: Role::Member,
            addresses: vec![self.address],
            capabilities: Capabilities::default(),
            sequence: 1,
            expires: UnixTime(u64::MAX / 2),
            data: None,
        };
        SignedRecord::sign(record, &self.identity).expect("a record that holds")
    }

    pub(crate) fn credential(&self) -> Credential {
        let (key, seal) = (self.key(), self.sealing.public());
        let signature = Credential::hash(key, seal, self.boot).sign(&self.identity);
        Credential { key, seal, boot: self.boot, signature }
    }

    /// What it says of a message of its own.
    pub(crate) fn statement(&self, number: u64, target: Option<Hash>, payload: &[u8]) -> Statement {
        Statement {
            version: Statement::VERSION,
            kind: if target.is_some() { Kind::Unicast } else { Kind::Broadcast },
            origin: Origin::of_address(self.address),
            target,
            number,
            length: payload.len() as u64,
            made_at: START,
            boot: self.boot,
            authentication: Authentication::Signed { key: Some(self.key()) },
            digest: PayloadDigest::of(payload),
            about: None,
        }
    }

    /// A broadcast of its own, signed.
    pub(crate) fn broadcast(&self, number: u64, payload: &[u8]) -> Frame {
        let fixed = Immutable::from(self.statement(number, None, payload));
        let signature = fixed.hash().sign(&self.identity);
        share(fixed.signed(signature), payload)
    }
}

/// A share of a broadcast that ends where it arrives.
pub(crate) fn share(fixed: Immutable, payload: &[u8]) -> Frame {
    let ticket = Ticket(fixed.number.wrapping_mul(31));
    let hop = Mutable { hop_limit: 8, reach: Some(Reach::ME), ..Mutable::default() };
    let task = Task { ticket, header: Header { fixed, hop }, excluded: vec![], extend: false, avoided: vec![], offset: 0 };
    Frame::Task(task, Bytes::copy_from_slice(payload))
}

/// A unicast, as its first copy.
pub(crate) fn unicast(fixed: Immutable, payload: impl Into<Bytes>) -> Frame {
    Frame::Data(Header { fixed, hop: Mutable { hop_limit: 8, ..Mutable::default() } }, payload.into())
}

pub(crate) struct Rig {
    node: Node,
    pub(crate) me: Somebody,
    now: Instant,
    links: BTreeMap<Hash, LinkId>,
    pub(crate) said: Vec<(Hash, Frame)>,
    pub(crate) datagrams: Vec<(Address, Datagram)>,
    pub(crate) delivered: Vec<Delivery>,
    pub(crate) refused: BTreeMap<Refusal, usize>,
    pub(crate) ended: Vec<Event>,
    next: u64,
}

fn unlimited() -> Limits {
    let mut limits = Limits::default();
    limits.messages_per_peer = Rate::UNLIMITED;
    limits.bytes_per_peer = Rate::UNLIMITED;
    limits.messages_per_origin = Rate::UNLIMITED;
    limits.bytes_per_origin = Rate::UNLIMITED;
    limits.broadcasts_per_origin = Rate::UNLIMITED;
    limits.broadcast_bytes_per_origin = Rate::UNLIMITED;
    limits
}

impl Rig {
    /// A node with a link to these.
    pub(crate) fn new(change: impl FnOnce(&mut Config), members: &[&Somebody]) -> Self {
        let me = somebody(7000);
        let mut config = Config::default();
        config.limits = unlimited();
        change(&mut config);
        let known = Me { record: me.record(), boot: me.boot, credential: Some(me.credential()) };
        let node = Node::new(known, config, [3; 32], START).expect("the configuration holds");
        let mut rig = Self {
            node,
            me,
            now: Instant(1_000_000),
            links: BTreeMap::new(),
            said: Vec::new(),
            datagrams: Vec::new(),
            delivered: Vec::new(),
            refused: BTreeMap::new(),
            ended: Vec::new(),
            next: 0,
        };
        for member in members {
            rig.link(member);
        }
        rig.said.clear();
        rig
    }

    pub(crate) fn link(&mut self, member: &Somebody) {
        self.next += 1;
        let link = LinkId(self.next);
        self.links.insert(member.id(), link);
        let (record, remote) = (member.record(), member.address.socket());
        let up =
            LinkUp { link, record, side: LinkSide::Listener, remote, dial: None, boot: member.boot, capabilities: Capabilities::default() };
        self.input(Input::LinkUp(up));
    }

    pub(crate) fn is_linked(&self, member: &Somebody) -> bool {
        self.links.contains_key(&member.id())
    }

    pub(crate) fn unlink(&mut self, member: &Somebody) {
        let link = self.links.remove(&member.id()).expect("it is linked");
        self.input(Input::LinkDown { link, reason: Refusal::MadeRoom });
    }

    pub(crate) fn hear(&mut self, from: &Somebody, frame: Frame) {
        let link = self.links[&from.id()];
        self.input(Input::Frame { link, frame });
    }

    pub(crate) fn send(&mut self, to: &Somebody, payload: &'static str) {
        self.next += 1;
        let mut options = cicada_proto::SendOptions::default();
        options.route = cicada_proto::Route::Overlay;
        let (operation, target, address) = (Operation(self.next), to.id(), None);
        self.input(Input::Command(Command::Send { operation, target, address, payload: payload.into(), options }));
    }

    pub(crate) fn pass(&mut self, span: Duration) {
        let end = self.now + span;
        while let Some((at, _)) = self.node.next_timeout().filter(|(at, _)| *at <= end) {
            self.now = self.now.max(at);
            self.input(Input::Wake);
        }
        self.now = end;
    }

    pub(crate) fn tell_time(&mut self, clock: UnixTime) {
        self.input(Input::Clock(clock));
    }

    /// Whether this one was challenged since that was asked last; it answers with its key.
    pub(crate) fn answer_challenge(&mut self, who: &Somebody) -> bool {
        let challenges: Vec<Challenge> = self
            .datagrams
            .iter()
            .filter_map(|(to, datagram)| match datagram {
                Datagram::Challenge(challenge, ..) if *to == who.address => Some(*challenge),
                _ => None,
            })
            .collect();
        self.datagrams.clear();
        // What was asked before may have been given up.
        let Some(challenge) = challenges.last() else { return false };
        let datagram = Datagram::Answer(Answer::sign(*challenge, who.record(), &who.identity));
        self.input(Input::Datagram { from: who.address.socket(), datagram });
        true
    }

    /// What the node asked this peer as a witness.
    pub(crate) fn asked_as_witness(&mut self, who: &Somebody) -> Option<Ticket> {
        self.asked(who, |query| matches!(query, Query::Witness(_)))
    }

    /// The first of such questions that the node asked this peer, over its link or beside it.
    pub(crate) fn asked(&mut self, who: &Somebody, so: impl Fn(&Query) -> bool) -> Option<Ticket> {
        let over_link = self.said.iter().position(|(to, frame)| *to == who.id() && matches!(frame, Frame::Query(_, query) if so(query)));
        if let Some((_, Frame::Query(ticket, _))) = over_link.map(|at| self.said.remove(at)) {
            return Some(ticket);
        }
        let beside = self
            .datagrams
            .iter()
            .position(|(to, datagram)| *to == who.address && matches!(datagram, Datagram::Query(_, _, query, _) if so(query)));
        match beside.map(|at| self.datagrams.remove(at)) {
            Some((_, Datagram::Query(ticket, ..))) => Some(ticket),
            _ => None,
        }
    }

    /// This peer answers.
    pub(crate) fn reply(&mut self, who: &Somebody, ticket: Ticket, reply: Reply) {
        match self.links.get(&who.id()) {
            Some(_) => self.hear(who, Frame::Reply(ticket, reply)),
            None => self.input(Input::Datagram { from: who.address.socket(), datagram: Datagram::Reply(ticket, reply) }),
        }
    }

    pub(crate) fn refusals(&self, reason: Refusal) -> usize {
        self.refused.get(&reason).copied().unwrap_or(0)
    }

    /// The unicasts and receipts that left since this was asked last.
    pub(crate) fn data(&mut self) -> Vec<(Hash, Header, Bytes)> {
        let mut data = Vec::new();
        self.said.retain(|(to, frame)| match frame {
            Frame::Data(header, payload) => {
                data.push((*to, header.clone(), payload.clone()));
                false
            }
            _ => true,
        });
        data
    }

    fn input(&mut self, input: Input) {
        let mut out = Outbox::default();
        self.node.handle(self.now, input, &mut out);
        let mut replies = Vec::new();
        for transmit in out.transmits {
            match transmit {
                Transmit::Frame { link, frame: Frame::Query(ticket, Query::Ping) } => {
                    replies.push(Input::Frame { link, frame: Frame::Reply(ticket, Reply::Pong) });
                }
                Transmit::Frame { link, frame: Frame::Query(ticket, Query::Neighbours) } => {
                    replies.push(Input::Frame { link, frame: Frame::Reply(ticket, Reply::Neighbours(Neighbours::default())) });
                }
                Transmit::Frame { link, frame } => {
                    let peer = self.links.iter().find(|(_, of)| **of == link).map(|(peer, _)| *peer);
                    self.said.extend(peer.map(|peer| (peer, frame)));
                }
                // Its neighbours are there.
                Transmit::Datagram { to, datagram: Datagram::Query(ticket, _, Query::Ping, _) } if self.links.contains_key(&to.id()) => {
                    replies.push(Input::Datagram { from: to.socket(), datagram: Datagram::Reply(ticket, Reply::Pong) });
                }
                Transmit::Datagram { to, datagram } => self.datagrams.push((to, datagram)),
                Transmit::Close { link, reason } => {
                    self.links.retain(|_, of| *of != link);
                    replies.push(Input::LinkDown { link, reason });
                }
                _ => {}
            }
        }
        for event in out.events {
            match event {
                Event::Delivered(delivery) => self.delivered.push(delivery),
                Event::Refused { reason, .. } => *self.refused.entry(reason).or_default() += 1,
                Event::Sent { .. } | Event::SendFailed { .. } => self.ended.push(event),
                _ => {}
            }
        }
        for (job, work) in out.jobs {
            let result = self.work(work);
            replies.push(Input::JobDone { job, result });
        }
        for reply in replies {
            self.input(reply);
        }
    }

    fn work(&self, work: Job) -> JobResult {
        match work {
            Job::Answer { challenge, record } => JobResult::Answered(Answer::sign(challenge, record, &self.me.identity)),
            Job::VerifyAnswer(answer) => JobResult::Verified(answer.verify()),
            Job::Renew(record) => JobResult::Renewed(SignedRecord::sign(record, &self.me.identity).expect("consistent")),
            Job::Admit(_) => JobResult::Admitted(true),
            Job::Sign(hash) => JobResult::Signed(hash.sign(&self.me.identity)),
            Job::VerifyMessage { hash, key, signature } => JobResult::MessageVerified(hash.is_signed_by(key, &signature)),
            Job::OpenSession { to, terms, random } => JobResult::SessionOpened(self.me.sealing.open(to, &terms, random)),
            Job::AcceptSession { from, share, terms } => JobResult::SessionAccepted(self.me.sealing.accept(from, share, &terms)),
        }
    }
}
