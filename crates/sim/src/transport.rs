//! Links as QUIC gives them, seen from above its packets: ordered, never losing, noticing a silent peer late.
//!
//! What is lost is sent again and arrives late, and what was sent later waits for it. A peer that vanishes says nothing: the
//! transport notices after [`IDLE_TIMEOUT`], so a node that wants to know earlier must ask.

use crate::{
    network::{Fate, Packet, Passing},
    peer::PeerIndex,
    trace::TraceLevel,
    world::{Happening, World},
};
use cicada_proto::{
    DialError, Input, Instant, LinkUp,
    links::{DialId, LinkId},
};
use cicada_wire::{Address, Datagram, Frame, HopVerdict, Kind, LinkSide, PublicKey, Refusal, TaskVerdict};
use std::{collections::VecDeque, net::SocketAddr, time::Duration};

/// All links there ever were; a link's number is its place.
#[derive(Debug, Default)]
pub(crate) struct Links(Vec<Link>);

#[derive(Debug)]
struct Link {
    /// The dialler's end, then the listener's.
    ends: [End; 2],
    dial: DialId,
    /// The address that was dialled.
    to: SocketAddr,
    dialled: Instant,
    /// Since when the two do not hear each other.
    cut: Option<Instant>,
}

#[derive(Debug)]
struct End {
    who: PeerIndex,
    start: u32,
    up: bool,
    /// Nothing overtakes what arrived here last.
    last_arrival: Instant,
    /// What is on its way here, oldest first. Arrivals take from the front, so order holds whatever happens.
    incoming: VecDeque<Load>,
    /// Arrivals that a cut has swallowed; they come again if it heals in time.
    missed: usize,
}

/// What a link carries.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "nearly all loads are frames: a box for each would cost more than the rare close wastes")]
pub(crate) enum Load {
    Frame(Frame),
    Close(Refusal),
}

/// Something arrives over a link.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Arrival {
    /// The dialler's hello, at the listener.
    Hello { link: usize },
    /// The listener's, at the dialler.
    Welcome { link: usize },
    /// The next of what a link carries, at this end of it.
    Load { link: usize, end: usize },
    /// A link has been idle for too long for this end.
    Idle { link: usize, end: usize },
    /// This end has closed the link.
    Closed { link: usize, end: usize, reason: Refusal },
}

impl World {
    /// Whether packets between the two arrive.
    fn hear(&self, a: PeerIndex, b: PeerIndex) -> bool {
        self.peers[a.0].island == self.peers[b.0].island
    }

    pub(crate) fn send_datagram(&mut self, from: PeerIndex, to: Address, datagram: Datagram) {
        self.peers[from.0].cost.datagram(&datagram);
        let Some(receiver) = self.by_address.get(&to.socket()).copied() else { return };
        if self.peers[from.0].socket_beside(to.socket()).is_none() {
            return;
        }
        let lost = !self.hear(from, receiver) || self.network.loses(&mut self.rng);
        let delay = self.network.delay(&mut self.rng);
        let verdict = self.rules.judge(&Passing { now: self.now, from, to: receiver, packet: Packet::Datagram(&datagram) });
        match verdict {
            Fate::Travels(late) if !lost => self.queue.push(self.now + delay + late, Happening::Datagram { from, to, datagram }),
            Fate::Travels(_) | Fate::Vanishes | Fate::IsSwallowed if self.trace.wants(TraceLevel::Packets) => {
                let words = self.trace.words().datagram(&datagram);
                self.trace_passing(from, receiver, "~x", &words);
            }
            Fate::Travels(_) | Fate::Vanishes | Fate::IsSwallowed => {}
        }
    }

    pub(crate) fn datagram_arrives(&mut self, from: PeerIndex, to: Address, datagram: Datagram) {
        let Some(receiver) = self.by_address.get(&to.socket()).copied() else { return };
        // The seal: a datagram of another swarm does not open.
        if self.peers[receiver.0].node.is_none() || self.peers[from.0].swarm != self.peers[receiver.0].swarm {
            return;
        }
        if self.trace.wants(TraceLevel::Packets) {
            let words = self.trace.words().datagram(&datagram);
            self.trace_passing(from, receiver, "~>", &words);
        }
        let Some(from) = self.peers[from.0].socket_beside(to.socket()) else { return };
        self.give(receiver, Input::Datagram { from, datagram });
    }

    pub(crate) fn dial(&mut self, who: PeerIndex, dial: DialId, to: Address, expected: Option<PublicKey>) {
        self.peers[who.0].cost.dial();
        if self.trace.wants(TraceLevel::Packets) {
            let words = format!("dials {}", self.trace.words().id(to.id()));
            self.tell_trace(who, &words);
        }
        let round_trip = self.network.reliable_delay(&mut self.rng) + self.network.reliable_delay(&mut self.rng);
        let listener = self.by_address.get(&to.socket()).copied();
        let Some(listener) = listener.filter(|_| self.peers[who.0].socket_beside(to.socket()).is_some()) else {
            return self.fail_dial(who, dial, self.now + round_trip, DialError::Unreachable);
        };
        let Fate::Travels(late) = self.rules.judge(&Passing { now: self.now, from: who, to: listener, packet: Packet::Dial }) else {
            return self.fail_dial(who, dial, self.now + DIAL_TIMEOUT, DialError::TimedOut);
        };
        let answers = self.peers[listener.0].node.is_some() && self.hear(who, listener);
        let key = self.peers[listener.0].record.key();
        if answers && key == self.peers[who.0].record.key() {
            return self.fail_dial(who, dial, self.now + round_trip, DialError::Refused(Refusal::SelfDial));
        }
        if answers && expected.is_some_and(|expected| expected != key) {
            return self.fail_dial(who, dial, self.now + round_trip, DialError::Refused(Refusal::OtherKey));
        }
        let link = self.links.0.len();
        let end = |world: &Self, who: PeerIndex| End {
            who,
            start: world.peers[who.0].start,
            up: false,
            last_arrival: world.now,
            incoming: VecDeque::new(),
            missed: 0,
        };
        let ends = [end(self, who), end(self, listener)];
        self.links.0.push(Link { ends, dial, to: to.socket(), dialled: self.now, cut: None });
        let delay = round_trip + self.network.reliable_delay(&mut self.rng) + late;
        self.queue.push(self.now + delay, Happening::Arrival(Arrival::Hello { link }));
    }

    fn fail_dial(&mut self, who: PeerIndex, dial: DialId, at: Instant, error: DialError) {
        if self.trace.wants(TraceLevel::Packets) {
            let words = format!("will not be linked: {}", self.trace.words().dial_error(error));
            self.tell_trace(who, &words);
        }
        let start = self.peers[who.0].start;
        self.queue.push(at, Happening::Told { who, start, input: Box::new(Input::DialFailed { dial, error }) });
    }

    pub(crate) fn arrive(&mut self, arrival: Arrival) {
        match arrival {
            Arrival::Hello { link } => self.hello_arrives(link),
            Arrival::Welcome { link } => self.welcome_arrives(link),
            Arrival::Load { link, end } => self.load_arrives(link, end),
            Arrival::Idle { link, end } => self.idle(link, end),
            Arrival::Closed { link, end, reason } => self.link_is_down(link, end, reason),
        }
    }

    fn lives(&self, link: usize, end: usize) -> bool {
        let end = &self.links.0[link].ends[end];
        self.is_started(end.who, end.start)
    }

    /// A dial to somebody who does not answer fails when the dialler's patience ends.
    fn unanswered(&mut self, link: usize) {
        let Link { ends: [dialler, _], dial, dialled, .. } = &self.links.0[link];
        let (who, dial, at) = (dialler.who, *dial, (*dialled + DIAL_TIMEOUT).max(self.now));
        if self.lives(link, 0) {
            self.fail_dial(who, dial, at, DialError::TimedOut);
        }
    }

    fn hello_arrives(&mut self, link: usize) {
        let [dialler, listener] = &self.links.0[link].ends;
        let (dialler, listener) = (dialler.who, listener.who);
        if !self.lives(link, 0) || !self.lives(link, 1) || !self.hear(dialler, listener) {
            return self.unanswered(link);
        }
        let clock = self.clock();
        let (ours, theirs) = (&self.peers[listener.0], &self.peers[dialler.0]);
        let objection = ours.objection(theirs, clock).or_else(|| theirs.objection(ours, clock));
        let back = self.network.reliable_delay(&mut self.rng);
        if let Some(refusal) = objection {
            let dial = self.links.0[link].dial;
            return self.fail_dial(dialler, dial, self.now + back, DialError::Refused(refusal));
        }
        self.links.0[link].ends[0].last_arrival = self.now + back;
        self.queue.push(self.now + back, Happening::Arrival(Arrival::Welcome { link }));
        self.link_is_up(link, 1);
    }

    fn welcome_arrives(&mut self, link: usize) {
        let [dialler, listener] = &self.links.0[link].ends;
        if self.hear(dialler.who, listener.who) && self.lives(link, 0) && self.lives(link, 1) {
            return self.link_is_up(link, 0);
        }
        // The listener, if it still lives, has a link on which it will hear nothing.
        self.queue.push(self.now + IDLE_TIMEOUT, Happening::Arrival(Arrival::Idle { link, end: 1 }));
        self.unanswered(link);
    }

    fn link_is_up(&mut self, link: usize, end: usize) {
        let Link { ends, dial, to, .. } = &mut self.links.0[link];
        ends[end].up = true;
        let to = *to;
        let (who, other) = (ends[end].who, ends[1 - end].who);
        let side = if end == 0 { LinkSide::Dialler } else { LinkSide::Listener };
        let up = LinkUp {
            link: number(link),
            record: self.peers[other.0].record.clone(),
            side,
            remote: self.peers[other.0].socket_beside(to).unwrap_or(to),
            dial: (end == 0).then_some(*dial),
            boot: self.peers[other.0].me(self.seed).boot,
            capabilities: self.peers[other.0].config.capabilities,
        };
        self.give(who, Input::LinkUp(up));
    }

    /// The end of `link` at which `who` sits, if it is up.
    fn end_of(&self, who: PeerIndex, link: LinkId) -> Option<(usize, usize)> {
        let place = usize::try_from(link.0).ok()?;
        let ends = &self.links.0.get(place)?.ends;
        let end = ends.iter().position(|end| end.who == who && end.up && end.start == self.peers[who.0].start)?;
        Some((place, end))
    }

    pub(crate) fn send_frame(&mut self, who: PeerIndex, link: LinkId, frame: Frame) {
        let Some((link, end)) = self.end_of(who, link) else { return };
        self.peers[who.0].cost.frame(&frame);
        let to = self.links.0[link].ends[1 - end].who;
        let verdict = self.rules.judge(&Passing { now: self.now, from: who, to, packet: Packet::Frame(&frame) });
        match verdict {
            Fate::Travels(late) => return self.carry(link, end, late, Load::Frame(frame)),
            Fate::IsSwallowed => self.acknowledge(link, 1 - end, &frame),
            Fate::Vanishes => {}
        }
        if self.trace.wants(TraceLevel::Packets) {
            let words = self.trace.words().frame(&frame);
            self.trace_passing(who, to, "-x", &words);
        }
    }

    /// The peer at this end says that it has taken a frame over, after the time that the frame would have travelled.
    fn acknowledge(&mut self, link: usize, end: usize, frame: &Frame) {
        let answer = match frame {
            Frame::Task(task, _) => Frame::TaskVerdict(TaskVerdict { ticket: task.ticket, refusal: None }),
            Frame::Data(header, _) => Frame::HopVerdict(HopVerdict {
                origin: header.fixed.origin.id(),
                message: header.fixed.message,
                copy: header.hop.copy,
                receipt: header.fixed.kind == Kind::Receipt,
                refusal: None,
            }),
            Frame::Query(..)
            | Frame::Reply(..)
            | Frame::Changed(_)
            | Frame::Hint(_)
            | Frame::Introduce(_)
            | Frame::Unify(_)
            | Frame::Alarm
            | Frame::Goodbye(_)
            | Frame::HopVerdict(_)
            | Frame::TaskVerdict(_)
            | Frame::Opaque(_)
            | Frame::Digest(_)
            | Frame::Pull(_) => return,
        };
        if self.lives(link, end) {
            let late = self.network.reliable_delay(&mut self.rng);
            self.peers[self.links.0[link].ends[end].who.0].cost.frame(&answer);
            self.carry(link, end, late, Load::Frame(answer));
        }
    }

    /// Sends `load` from this end to the other.
    fn carry(&mut self, link: usize, end: usize, late: Duration, load: Load) {
        let delay = self.network.reliable_delay(&mut self.rng) + late;
        self.links.0[link].ends[1 - end].incoming.push_back(load);
        self.expect_load(link, 1 - end, delay);
    }

    fn expect_load(&mut self, link: usize, end: usize, delay: Duration) {
        let receiver = &mut self.links.0[link].ends[end];
        receiver.last_arrival = receiver.last_arrival.max(self.now + delay);
        self.queue.push(receiver.last_arrival, Happening::Arrival(Arrival::Load { link, end }));
    }

    fn load_arrives(&mut self, link: usize, end: usize) {
        let Link { ends, cut, .. } = &mut self.links.0[link];
        if cut.is_some() {
            ends[end].missed += 1;
            return;
        }
        let Some(load) = ends[end].incoming.pop_front() else { return };
        if !ends[end].up || !self.lives(link, end) {
            return;
        }
        let [to, from] = [end, 1 - end].map(|end| self.links.0[link].ends[end].who);
        match load {
            Load::Close(reason) => self.link_is_down(link, end, reason),
            Load::Frame(frame) => {
                if self.trace.wants(TraceLevel::Packets) {
                    let words = self.trace.words().frame(&frame);
                    self.trace_passing(from, to, "->", &words);
                }
                self.give(to, Input::Frame { link: number(link), frame });
            }
        }
    }

    fn idle(&mut self, link: usize, end: usize) {
        let silent = match self.links.0[link].cut {
            Some(since) => self.now.since(since) >= IDLE_TIMEOUT,
            None => !self.lives(link, 1 - end) || !self.links.0[link].ends[1 - end].up,
        };
        if silent {
            self.link_is_down(link, end, Refusal::Silent);
        }
    }

    fn link_is_down(&mut self, link: usize, end: usize, reason: Refusal) {
        let lives = self.lives(link, end);
        let end = &mut self.links.0[link].ends[end];
        let who = end.who;
        end.incoming = VecDeque::new();
        end.missed = 0;
        // The end that closes a link is not up any more, and is told all the same.
        if std::mem::take(&mut end.up) && lives {
            self.give(who, Input::LinkDown { link: number(link), reason });
        }
    }

    pub(crate) fn close(&mut self, who: PeerIndex, link: LinkId, reason: Refusal) {
        let Some((link, end)) = self.end_of(who, link) else { return };
        if self.trace.wants(TraceLevel::Packets) {
            let other = self.links.0[link].ends[1 - end].who;
            self.trace_passing(who, other, "-|", &reason.to_string());
        }
        self.carry(link, end, Duration::ZERO, Load::Close(reason));
        self.queue.push(self.now, Happening::Arrival(Arrival::Closed { link, end, reason }));
    }

    pub(crate) fn close_all(&mut self, who: PeerIndex, reason: Refusal) {
        for link in 0..self.links.0.len() {
            if self.end_of(who, number(link)).is_some() {
                self.close(who, number(link), reason);
            }
        }
    }

    /// The peer has vanished: the other ends hear nothing more.
    pub(crate) fn abandon_links(&mut self, who: PeerIndex) {
        for (place, link) in self.links.0.iter_mut().enumerate() {
            for end in 0..2 {
                if link.ends[end].who == who && std::mem::take(&mut link.ends[end].up) {
                    let idle = Arrival::Idle { link: place, end: 1 - end };
                    self.queue.push(self.now + IDLE_TIMEOUT, Happening::Arrival(idle));
                }
            }
        }
    }

    /// Cuts the links between peers that do not hear each other, and heals those between peers that do again.
    pub(crate) fn cut_links(&mut self) {
        for place in 0..self.links.0.len() {
            let link = &self.links.0[place];
            let hear = self.hear(link.ends[0].who, link.ends[1].who);
            if !link.ends.iter().any(|end| end.up) || hear == link.cut.is_none() {
                continue;
            }
            self.links.0[place].cut = (!hear).then_some(self.now);
            for end in 0..2 {
                if hear {
                    self.release(place, end);
                } else {
                    let idle = Arrival::Idle { link: place, end };
                    self.queue.push(self.now + IDLE_TIMEOUT, Happening::Arrival(idle));
                }
            }
        }
    }

    /// What a cut has swallowed is sent again.
    fn release(&mut self, link: usize, end: usize) {
        for _ in 0..std::mem::take(&mut self.links.0[link].ends[end].missed) {
            let delay = self.network.reliable_delay(&mut self.rng);
            self.expect_load(link, end, delay);
        }
    }
}

fn number(link: usize) -> LinkId {
    LinkId(link as u64)
}

/// When a dialler gives up. The shell's.
const DIAL_TIMEOUT: Duration = Duration::from_secs(3);

/// When the transport notices that the other end says nothing. The shell's.
const IDLE_TIMEOUT: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests;
