//! Members that mean ill. Each is an honest node whose shell withholds, alters or adds to what goes in and out of it.
//!
//! What the protocol's authentication stops in reality is stopped here too: an adversary holds its own key and any number of fresh
//! ones. It can withhold, hold back, misdirect, and repeat or invent records under keys that it holds; it cannot sign for others.

use crate::{
    links::LinkKey,
    peer::{self, PeerIndex},
    transport::verdict_on,
    world::{Happening, World},
};
use cicada_proto::{Geometry, links::LinkId};
use cicada_wire::{
    Address, Datagram, Found, Frame, Hash, IdKind, IdPrefixes, Introduction, MAX_HOPS, Neighbours, Record, Reply, Role, SignedRecord,
    UnixTime,
};
use rand::RngExt;
use std::{
    collections::VecDeque,
    fmt,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    str::FromStr,
    time::Duration,
};

/// What a peer does wrong. Several go together.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Adversary {
    /// It acknowledges unicasts and receipts for others, and drops them.
    Drop,
    /// It holds back for so long what it hands on of others: unicasts, receipts, shares of broadcasts.
    Delay(Duration),
    /// It acknowledges unicasts and receipts for others, and hands them to a random link.
    Misroute,
    /// Asked who is near a key, or who its neighbours are, it names other liars, the dead, and peers that do not exist.
    LieAboutNeighbours,
    /// It acknowledges its shares of broadcasts, and drops them.
    TakeTasksAndDrop,
    /// Whenever it is asked, or introduces peers to each other, it hands out records, each under another fresh key, that name addresses
    /// where nobody is, or the victim's.
    HostileCandidates {
        /// At whose address its records point.
        victim: Option<PeerIndex>,
    },
}

impl Adversary {
    /// The names that parsing knows.
    pub const NAMES: &'static [&'static str] =
        &["drop", "delay", "misroute", "lie-about-neighbours", "take-tasks-and-drop", "hostile-candidates"];
}

impl fmt::Display for Adversary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Drop => "drop",
            Self::Delay(span) => return write!(f, "delay={}", span.as_millis()),
            Self::Misroute => "misroute",
            Self::LieAboutNeighbours => "lie-about-neighbours",
            Self::TakeTasksAndDrop => "take-tasks-and-drop",
            Self::HostileCandidates { .. } => "hostile-candidates",
        })
    }
}

/// A name of [`Adversary::NAMES`]; `delay=MILLISECONDS` says for how long.
impl FromStr for Adversary {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        match name {
            "drop" => Ok(Self::Drop),
            "delay" => Ok(Self::Delay(DELAY)),
            "misroute" => Ok(Self::Misroute),
            "lie-about-neighbours" => Ok(Self::LieAboutNeighbours),
            "take-tasks-and-drop" => Ok(Self::TakeTasksAndDrop),
            "hostile-candidates" => Ok(Self::HostileCandidates { victim: None }),
            _ => match name.strip_prefix("delay=").map(str::parse) {
                Some(Ok(span)) => Ok(Self::Delay(Duration::from_millis(span))),
                Some(Err(_)) | None => Err(format!("no adversary {name}; there are {}", Self::NAMES.join(", "))),
            },
        }
    }
}

/// What all adversaries of a world share.
#[derive(Debug, Default)]
pub(crate) struct Fabrications {
    liars: Vec<PeerIndex>,
    /// Records of peers that have gone, the last ones.
    dead: VecDeque<SignedRecord>,
    /// Records of nobody, made when they are first needed.
    invented: Vec<SignedRecord>,
}

impl Fabrications {
    pub(crate) fn died(&mut self, record: SignedRecord) {
        self.dead.truncate(FABRICATED - 1);
        self.dead.push_front(record);
    }
}

impl World {
    /// From now on a peer does this wrong; with an empty list nothing.
    pub fn set_adversary(&mut self, who: PeerIndex, kinds: &[Adversary]) {
        self.peers[who.0].adversary = kinds.to_vec();
        self.fabrications.liars.retain(|liar| *liar != who);
        if kinds.contains(&Adversary::LieAboutNeighbours) {
            self.fabrications.liars.push(who);
        }
    }

    /// What a peer does wrong.
    #[must_use]
    pub fn adversary(&self, who: PeerIndex) -> &[Adversary] {
        &self.peers[who.0].adversary
    }

    /// What arrives at a peer over a link; an adversary may keep it from its node.
    pub(crate) fn intercept(&mut self, who: PeerIndex, link: LinkKey, frame: Frame) -> Option<Frame> {
        let peer = &self.peers[who.0];
        if peer.adversary.is_empty() || !is_of_others(&frame, peer.record.id()) {
            return Some(frame);
        }
        let does = |kind| peer.adversary.contains(&kind);
        let (message, task) = (matches!(frame, Frame::Data(..)), matches!(frame, Frame::Task(..)));
        let taken = (message && does(Adversary::Drop)) || (task && does(Adversary::TakeTasksAndDrop));
        let misrouted = message && does(Adversary::Misroute);
        if !taken && !misrouted {
            return Some(frame);
        }
        if let Some(verdict) = verdict_on(&frame) {
            self.send_frame(who, link.id(), verdict);
        }
        if misrouted && !taken {
            self.misroute(who, link, frame);
        }
        None
    }

    /// Hands a message to a random link other than that by which it came.
    fn misroute(&mut self, who: PeerIndex, came: LinkKey, frame: Frame) {
        let Frame::Data(mut header, payload) = frame else { return };
        let Some(node) = self.node(who) else { return };
        let links: Vec<_> = node.links().members().map(|link| link.id).filter(|link| *link != came.id()).collect();
        if links.is_empty() || header.hop.hop_limit < 2 {
            return;
        }
        header.hop.hop_limit -= 1;
        if header.hop.path.len() < usize::from(MAX_HOPS) {
            header.hop.path.push(self.id(who));
        }
        let link = links[self.rng.random_range(0..links.len())];
        self.send_frame(who, link, Frame::Data(header, payload));
    }

    /// A peer's node says something over a link.
    pub(crate) fn say(&mut self, who: PeerIndex, link: LinkId, frame: Frame) {
        if self.peers[who.0].adversary.is_empty() {
            return self.send_frame(who, link, frame);
        }
        let me = self.id(who);
        let delay = self.peers[who.0].adversary.iter().find_map(|kind| if let Adversary::Delay(span) = kind { Some(*span) } else { None });
        if let Some(span) = delay.filter(|_| is_of_others(&frame, me)) {
            let start = self.peers[who.0].start;
            return self.queue.push(self.now + span, who.class(), Happening::Held { who, start, link, frame: Box::new(frame) });
        }
        let asked = matches!(frame, Frame::Reply(_, Reply::Found(_) | Reply::Neighbours(_) | Reply::Records(_)));
        let frame = match frame {
            Frame::Reply(ticket, reply) => Frame::Reply(ticket, self.twist_reply(who, reply)),
            Frame::Changed(neighbours) => Frame::Changed(self.twist_neighbours(who, neighbours)),
            Frame::Introduce(introduction) => Frame::Introduce(self.twist_introduction(who, introduction)),
            Frame::Hint(record) => Frame::Hint(self.hostile_records(who, 1).pop().unwrap_or(record)),
            Frame::Query(..)
            | Frame::Unify(_)
            | Frame::Alarm
            | Frame::Drain(_)
            | Frame::Drained
            | Frame::Goodbye(_)
            | Frame::Data(..)
            | Frame::HopVerdict(_)
            | Frame::Task(..)
            | Frame::TaskVerdict(_)
            | Frame::Opaque(_)
            | Frame::Digest(_)
            | Frame::Pull(_) => frame,
        };
        self.send_frame(who, link, frame);
        let records = if asked { self.hostile_records(who, FABRICATED) } else { Vec::new() };
        if !records.is_empty() {
            self.send_frame(who, link, Frame::Introduce(Introduction { records }));
        }
    }

    /// A peer's node says something beside links.
    pub(crate) fn tell(&mut self, who: PeerIndex, to: Address, datagram: Datagram) {
        if self.peers[who.0].adversary.is_empty() {
            return self.send_datagram(who, to, datagram);
        }
        let datagram = match datagram {
            Datagram::Reply(ticket, reply) => Datagram::Reply(ticket, self.twist_reply(who, reply)),
            Datagram::Introduce(introduction) => Datagram::Introduce(self.twist_introduction(who, introduction)),
            // It cannot sign for others.
            Datagram::Challenge(..) | Datagram::Answer(_) | Datagram::BriefAnswer(_) | Datagram::Query(..) => datagram,
        };
        self.send_datagram(who, to, datagram);
    }

    fn lies(&self, who: PeerIndex) -> bool {
        self.peers[who.0].adversary.contains(&Adversary::LieAboutNeighbours)
    }

    fn twist_reply(&mut self, who: PeerIndex, reply: Reply) -> Reply {
        match reply {
            Reply::Found(found) if self.lies(who) => Reply::Found(self.twist_found(who, &found)),
            Reply::Neighbours(neighbours) => Reply::Neighbours(self.twist_neighbours(who, neighbours)),
            Reply::Records(_) if self.lies(who) => Reply::Records(Introduction { records: self.fabricated(who, self.id(who)) }),
            Reply::Found(_)
            | Reply::Records(_)
            | Reply::Pong
            | Reply::WhoAreYou
            | Reply::Attached(_)
            | Reply::Witnessed(_)
            | Reply::Refused(_) => reply,
        }
    }

    /// Liars near where the honest answer points are nearer, and one of them is responsible.
    fn twist_found(&mut self, who: PeerIndex, found: &Found) -> Found {
        let near = found.responsible.first().or(found.closer.first()).map_or_else(|| self.id(who), SignedRecord::id);
        let records = self.fabricated(who, near);
        Found { responsible: records.first().cloned().into_iter().collect(), closer: records, ..Found::default() }
    }

    fn twist_neighbours(&mut self, who: PeerIndex, neighbours: Neighbours) -> Neighbours {
        if !self.lies(who) {
            return neighbours;
        }
        let me = self.id(who);
        let mut records = self.fabricated(who, me);
        records.retain(|record| record.id() != me);
        records.sort_by_key(|record| Geometry::Ring.offset(me, record.id()));
        records.dedup_by_key(|record| record.id());
        let successors = IdPrefixes::of(records.iter().map(SignedRecord::id));
        Neighbours { predecessor: successors.0.last().copied(), successors, records, churn: neighbours.churn }
    }

    fn twist_introduction(&mut self, who: PeerIndex, introduction: Introduction) -> Introduction {
        match self.hostile_records(who, introduction.records.len().min(FABRICATED)) {
            records if records.is_empty() => introduction,
            records => Introduction { records },
        }
    }

    /// Liars near `near`, the nearest first, then some of the dead and some of nobody.
    fn fabricated(&mut self, who: PeerIndex, near: Hash) -> Vec<SignedRecord> {
        self.invent();
        let geometry: Geometry = self.peers[who.0].config.overlay.into();
        let mut liars: Vec<_> = self.fabrications.liars.iter().map(|liar| self.peers[liar.0].record.clone()).collect();
        liars.sort_by_cached_key(|record| geometry.offset(near, record.id()));
        liars.truncate(FABRICATED / 2);
        liars.extend(self.fabrications.dead.iter().take(FABRICATED / 4).cloned());
        let from = self.rng.random_range(0..self.fabrications.invented.len());
        liars.extend(self.fabrications.invented.iter().cycle().skip(from).take(FABRICATED / 4).cloned());
        liars
    }

    /// Up to `count` records that lead nowhere, or to the victim; none if this peer hands out none.
    fn hostile_records(&mut self, who: PeerIndex, count: usize) -> Vec<SignedRecord> {
        let hostile = self.peers[who.0].adversary.iter().find_map(|kind| match kind {
            Adversary::HostileCandidates { victim } => Some(*victim),
            Adversary::Drop | Adversary::Delay(_) | Adversary::Misroute | Adversary::LieAboutNeighbours | Adversary::TakeTasksAndDrop => {
                None
            }
        });
        let Some(victim) = hostile else { return Vec::new() };
        self.invent();
        let from = self.rng.random_range(0..self.fabrications.invented.len());
        let Some(victim) = victim else {
            return self.fabrications.invented.iter().cycle().skip(from).take(count).cloned().collect();
        };
        let socket = self.spots[victim.0].socket;
        (0..count).map(|number| self.record_of_nobody((from + number) % INVENTED, socket)).collect()
    }

    fn invent(&mut self) {
        if self.fabrications.invented.is_empty() {
            self.fabrications.invented = (0..INVENTED).map(|number| self.record_of_nobody(number, nowhere(number))).collect();
        }
    }

    /// A record under a fresh key.
    fn record_of_nobody(&self, number: usize, socket: SocketAddr) -> SignedRecord {
        let identity = peer::identity_of(&format!("nobody {number}"));
        let kind = self.peers.first().map_or(IdKind::Address, |peer| peer.config.member_ids);
        let record = Record {
            key: identity.public(),
            kind,
            role: Role::Member,
            addresses: vec![Address::new(socket).expect("the world gives unicast addresses")],
            capabilities: cicada_wire::Capabilities::default(),
            sequence: 1,
            expires: UnixTime(self.clock().0 + LIFETIME_MS),
            data: (kind == IdKind::Data).then(|| Hash::of(format!("nobody {number}"))),
        };
        SignedRecord::sign(record, &identity).expect("a member with one address agrees with itself")
    }
}

/// Whether a frame carries a message of somebody else for somebody else.
fn is_of_others(frame: &Frame, me: Hash) -> bool {
    match frame {
        Frame::Data(header, _) => header.fixed.origin.id() != me && header.fixed.target != Some(me),
        Frame::Task(task, _) => task.header.fixed.origin.id() != me,
        Frame::Query(..)
        | Frame::Reply(..)
        | Frame::Changed(_)
        | Frame::Hint(_)
        | Frame::Introduce(_)
        | Frame::Unify(_)
        | Frame::Alarm
        | Frame::Drain(_)
        | Frame::Drained
        | Frame::Goodbye(_)
        | Frame::HopVerdict(_)
        | Frame::TaskVerdict(_)
        | Frame::Opaque(_)
        | Frame::Digest(_)
        | Frame::Pull(_) => false,
    }
}

/// An address of the world's range at which nobody is.
fn nowhere(number: usize) -> SocketAddr {
    let [.., y, z] = u32::try_from(number).expect("few are invented").to_be_bytes();
    SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 255, y, z)), 7000)
}

const DELAY: Duration = Duration::from_millis(500); // guess: as long as a lookup waits at most
const FABRICATED: usize = 16; // guess: below the 20 records of an answer
const INVENTED: usize = 64; // guess
const LIFETIME_MS: u64 = 24 * 60 * 60 * 1000;
