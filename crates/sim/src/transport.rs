//! Links as QUIC gives them, seen from above its packets: ordered, never losing, noticing a silent peer late.
//!
//! What is lost is sent again and arrives late, and what was sent later waits for it. A peer that vanishes says nothing: the
//! transport notices after [`IDLE_TIMEOUT`], so a node that wants to know earlier must ask.

use crate::{
    links::{End, Link, LinkKey},
    passage::bytes_on_wire,
    peer::PeerIndex,
    rules::{Fate, Packet, Passing},
    trace::TraceLevel,
    world::{Happening, World},
};
use cicada_proto::{
    DialError, Input, Instant, LinkUp,
    links::{DialId, LinkId},
};
use cicada_wire::{Address, Datagram, Frame, HopVerdict, Kind, LinkSide, PublicKey, Refusal, TaskVerdict};
use std::{collections::VecDeque, time::Duration};

/// What a link carries.
#[derive(Debug)]
pub(crate) enum Load {
    /// In a place of its own: queues grow by several loads at once, and most links have one under way or none.
    Frame(Box<Frame>),
    Close(Refusal),
}

/// Something arrives over a link.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Arrival {
    /// The dialler's hello, at the listener.
    Hello { link: LinkKey },
    /// The listener's, at the dialler.
    Welcome { link: LinkKey },
    /// The next of what a link carries, at this end of it.
    Load { link: LinkKey, end: usize },
    /// It has come through this end's downlink as well.
    Landed { link: LinkKey, end: usize },
    /// A link has been idle for too long for this end.
    Idle { link: LinkKey, end: usize },
    /// This end has closed the link.
    Closed { link: LinkKey, end: usize, reason: Refusal },
}

impl Arrival {
    fn link(self) -> LinkKey {
        match self {
            Self::Hello { link }
            | Self::Welcome { link }
            | Self::Load { link, .. }
            | Self::Landed { link, .. }
            | Self::Idle { link, .. }
            | Self::Closed { link, .. } => link,
        }
    }

    /// The end at which it arrives.
    fn end(self) -> usize {
        match self {
            Self::Hello { .. } => 1,
            Self::Welcome { .. } => 0,
            Self::Load { end, .. } | Self::Landed { end, .. } | Self::Idle { end, .. } | Self::Closed { end, .. } => end,
        }
    }
}

impl World {
    /// Whether packets between the two arrive.
    fn hear(&self, a: PeerIndex, b: PeerIndex) -> bool {
        self.spots[a.0].island == self.spots[b.0].island
    }

    pub(crate) fn send_datagram(&mut self, from: PeerIndex, to: Address, datagram: Datagram) {
        let bytes = self.peers[from.0].cost.datagram(&datagram);
        let Some(receiver) = self.at_socket(to.socket()) else { return };
        if self.spots[from.0].socket_beside(to.socket()).is_none() {
            return;
        }
        let sent = self.leaves_uplink(from, bytes, true);
        let lost = !self.hear(from, receiver) || self.loses(from, receiver);
        let span = self.travel(from, receiver);
        let verdict = self.rules.judge(&Passing { now: self.now, from, to: receiver, packet: Packet::Datagram(&datagram) });
        match (verdict, sent) {
            (Fate::Travels(late), Some(sent)) if !lost => {
                if self.doubles() {
                    let again = sent + self.travel(from, receiver) + late;
                    self.expect_datagram(again, bytes, from, to, datagram.clone());
                }
                self.expect_datagram(sent + span + late, bytes, from, to, datagram);
            }
            (Fate::Travels(_) | Fate::Vanishes | Fate::IsSwallowed, _) => self.trace_lost(from, receiver, &datagram),
        }
    }

    fn trace_lost(&mut self, from: PeerIndex, to: PeerIndex, datagram: &Datagram) {
        if self.trace.wants(TraceLevel::Packets) {
            let words = self.trace.words().datagram(datagram);
            self.trace_passing(from, to, "~x", &words);
        }
    }

    fn expect_datagram(&mut self, at: Instant, bytes: usize, from: PeerIndex, to: Address, datagram: Datagram) {
        self.queue.push(at, from.0 as u64, Happening::Datagram { from, to, queues: Some(bytes), datagram });
    }

    pub(crate) fn datagram_arrives(&mut self, from: PeerIndex, to: Address, queues: Option<usize>, datagram: Datagram) {
        let Some(receiver) = self.at_socket(to.socket()) else { return };
        if let Some(bytes) = queues.filter(|_| self.has_downlink(receiver)) {
            let Some(at) = self.leaves_downlink(receiver, bytes, true) else { return self.trace_lost(from, receiver, &datagram) };
            return self.queue.push(at, from.0 as u64, Happening::Datagram { from, to, queues: None, datagram });
        }
        // The seal: a datagram of another swarm does not open.
        if self.peers[receiver.0].node.is_none() || self.spots[from.0].swarm != self.spots[receiver.0].swarm {
            return;
        }
        if self.trace.wants(TraceLevel::Packets) {
            let words = self.trace.words().datagram(&datagram);
            self.trace_passing(from, receiver, "~>", &words);
        }
        let Some(from) = self.spots[from.0].socket_beside(to.socket()) else { return };
        self.give(receiver, Input::Datagram { from, datagram });
    }

    pub(crate) fn dial(&mut self, who: PeerIndex, dial: DialId, to: Address, expected: Option<PublicKey>) {
        self.peers[who.0].cost.dial();
        if self.trace.wants(TraceLevel::Packets) {
            let words = format!("dials {}", self.trace.words().id(to.id()));
            self.tell_trace(who, &words);
        }
        let listener = self.at_socket(to.socket());
        let Some(listener) = listener.filter(|_| self.spots[who.0].socket_beside(to.socket()).is_some()) else {
            let round_trip = self.travel_reliably(who, who) * 2;
            return self.fail_dial(who, dial, self.now + round_trip, DialError::Unreachable);
        };
        let round_trip = self.travel_reliably(who, listener) + self.travel_reliably(listener, who);
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
        let ends = [who, listener].map(|who| End::new(who, self.peers[who.0].start, self.now));
        let link = self.links.make(ends, dial, to.socket(), self.now);
        for who in [who, listener] {
            self.peers[who.0].links.push(link);
        }
        let delay = round_trip + self.travel_reliably(who, listener) + late;
        self.expect(self.now + delay, Arrival::Hello { link });
    }

    fn fail_dial(&mut self, who: PeerIndex, dial: DialId, at: Instant, error: DialError) {
        if self.trace.wants(TraceLevel::Packets) {
            let words = format!("will not be linked: {}", self.trace.words().dial_error(error));
            self.tell_trace(who, &words);
        }
        let start = self.peers[who.0].start;
        let input = Box::new(Input::DialFailed { dial, error });
        self.queue.push(at, who.class(), Happening::Told { who, start, input });
    }

    /// Arranges for something to arrive over a link; until it has, the link stays in its place.
    fn expect(&mut self, at: Instant, arrival: Arrival) {
        let link = arrival.link();
        self.links[link].pending += 1;
        self.queue.push(at, link.class(arrival.end()), Happening::Arrival(arrival));
    }

    pub(crate) fn arrive(&mut self, arrival: Arrival) {
        match arrival {
            Arrival::Hello { link } => self.hello_arrives(link),
            Arrival::Welcome { link } => self.welcome_arrives(link),
            Arrival::Load { link, end } => self.load_arrives(link, end),
            Arrival::Landed { link, end } => self.load_lands(link, end),
            Arrival::Idle { link, end } => self.idle(link, end),
            Arrival::Closed { link, end, reason } => self.link_is_down(link, end, reason),
        }
        let link = arrival.link();
        self.links[link].pending -= 1;
        for who in self.links.free_if_ended(link).into_iter().flatten() {
            self.peers[who.0].links.retain(|other| *other != link);
        }
    }

    fn lives(&self, link: LinkKey, end: usize) -> bool {
        let end = &self.links[link].ends[end];
        self.is_started(end.who, end.start)
    }

    /// A dial to somebody who does not answer fails when the dialler's patience ends.
    fn unanswered(&mut self, link: LinkKey) {
        let Link { ends: [dialler, _], dial, dialled, .. } = &self.links[link];
        let (who, dial, at) = (dialler.who, *dial, (*dialled + DIAL_TIMEOUT).max(self.now));
        if self.lives(link, 0) {
            self.fail_dial(who, dial, at, DialError::TimedOut);
        }
    }

    fn hello_arrives(&mut self, link: LinkKey) {
        let [dialler, listener] = &self.links[link].ends;
        let (dialler, listener) = (dialler.who, listener.who);
        if !self.lives(link, 0) || !self.lives(link, 1) || !self.hear(dialler, listener) {
            return self.unanswered(link);
        }
        if self.is_paused(listener) {
            // The dialler sends again, as RFC 9002, section 6.2.2 says, until it gives up.
            let again = self.now + INITIAL_TIMEOUT;
            let patient = again < self.links[link].dialled + DIAL_TIMEOUT;
            return if patient { self.expect(again, Arrival::Hello { link }) } else { self.unanswered(link) };
        }
        let clock = self.clock();
        let (ours, theirs) = (&self.peers[listener.0], &self.peers[dialler.0]);
        let objection = ours.objection(theirs, clock).or_else(|| theirs.objection(ours, clock));
        let back = self.travel_reliably(listener, dialler);
        if let Some(refusal) = objection {
            let dial = self.links[link].dial;
            return self.fail_dial(dialler, dial, self.now + back, DialError::Refused(refusal));
        }
        self.links[link].ends[0].last_arrival = self.now + back;
        self.expect(self.now + back, Arrival::Welcome { link });
        self.link_is_up(link, 1);
    }

    fn welcome_arrives(&mut self, link: LinkKey) {
        let [dialler, listener] = &self.links[link].ends;
        if self.hear(dialler.who, listener.who) && self.lives(link, 0) && self.lives(link, 1) {
            return self.link_is_up(link, 0);
        }
        // The listener, if it still lives, has a link on which it will hear nothing.
        self.expect(self.now + IDLE_TIMEOUT, Arrival::Idle { link, end: 1 });
        self.unanswered(link);
    }

    fn link_is_up(&mut self, link: LinkKey, end: usize) {
        let Link { ends, dial, to, .. } = &mut self.links[link];
        ends[end].up = true;
        let to = *to;
        let (who, other) = (ends[end].who, ends[1 - end].who);
        let side = if end == 0 { LinkSide::Dialler } else { LinkSide::Listener };
        let up = LinkUp {
            link: link.id(),
            record: self.peers[other.0].record.clone(),
            side,
            remote: self.spots[other.0].socket_beside(to).unwrap_or(to),
            dial: (end == 0).then_some(*dial),
            boot: self.peers[other.0].boot(self.seed),
            capabilities: self.peers[other.0].config.capabilities,
        };
        self.give(who, Input::LinkUp(up));
    }

    /// The end of `link` at which `who` sits, if it is up.
    pub(crate) fn end_of(&self, who: PeerIndex, link: LinkId) -> Option<(LinkKey, usize)> {
        let link = self.links.find(link.into())?;
        let end = link.ends.iter().position(|end| end.who == who && end.up && end.start == self.peers[who.0].start)?;
        Some((link.key, end))
    }

    pub(crate) fn send_frame(&mut self, who: PeerIndex, link: LinkId, frame: Frame) {
        let Some((link, end)) = self.end_of(who, link) else { return };
        let bytes = self.peers[who.0].cost.frame(&frame);
        let to = self.links[link].ends[1 - end].who;
        let verdict = self.rules.judge(&Passing { now: self.now, from: who, to, packet: Packet::Frame(&frame) });
        match verdict {
            Fate::Travels(late) => return self.carry(link, end, late, Load::Frame(Box::new(frame)), bytes),
            Fate::IsSwallowed => self.acknowledge(link, 1 - end, &frame),
            Fate::Vanishes => {}
        }
        if self.trace.wants(TraceLevel::Packets) {
            let words = self.trace.words().frame(&frame);
            self.trace_passing(who, to, "-x", &words);
        }
    }

    /// The peer at this end says that it has taken a frame over, after the time that the frame would have travelled.
    fn acknowledge(&mut self, link: LinkKey, end: usize, frame: &Frame) {
        let Some(verdict) = verdict_on(frame).filter(|_| self.lives(link, end)) else { return };
        let [who, other] = [end, 1 - end].map(|end| self.links[link].ends[end].who);
        let late = self.travel_reliably(other, who);
        let bytes = self.peers[who.0].cost.frame(&verdict);
        self.carry(link, end, late, Load::Frame(Box::new(verdict)), bytes);
    }

    /// Sends `load` from this end to the other.
    fn carry(&mut self, link: LinkKey, end: usize, late: Duration, load: Load, bytes: usize) {
        let [from, to] = [end, 1 - end].map(|end| self.links[link].ends[end].who);
        let bytes = bytes_on_wire(bytes);
        let sent = self.leaves_uplink(from, bytes, false).unwrap_or(self.now);
        let arrival = sent + self.travel_reliably(from, to) + late;
        self.links[link].ends[1 - end].incoming.push_back((load, bytes));
        self.expect_load(link, 1 - end, arrival);
    }

    fn expect_load(&mut self, link: LinkKey, end: usize, arrival: Instant) {
        let receiver = &mut self.links[link].ends[end];
        receiver.last_arrival = receiver.last_arrival.max(arrival);
        let at = receiver.last_arrival;
        self.expect(at, Arrival::Load { link, end });
    }

    /// The next load has come as far as the receiver's access line.
    fn load_arrives(&mut self, link: LinkKey, end: usize) {
        let Link { ends, cut, .. } = &mut self.links[link];
        if cut.is_some() {
            ends[end].missed += 1;
            return;
        }
        let who = ends[end].who;
        let Some((_, bytes)) = ends[end].incoming.get(ends[end].queued) else { return };
        let bytes = *bytes;
        if !self.has_downlink(who) {
            return self.deliver_load(link, end);
        }
        let at = self.leaves_downlink(who, bytes, false).unwrap_or(self.now);
        self.links[link].ends[end].queued += 1;
        self.expect(at, Arrival::Landed { link, end });
    }

    fn load_lands(&mut self, link: LinkKey, end: usize) {
        let Link { ends, cut, .. } = &mut self.links[link];
        ends[end].queued = ends[end].queued.saturating_sub(1);
        if cut.is_some() {
            ends[end].missed += 1;
            return;
        }
        self.deliver_load(link, end);
    }

    fn deliver_load(&mut self, link: LinkKey, end: usize) {
        let receiver = &mut self.links[link].ends[end];
        let Some((load, _)) = receiver.incoming.pop_front() else { return };
        if receiver.incoming.is_empty() {
            // Most links carry nothing most of the time, and there are many.
            receiver.incoming = VecDeque::new();
        }
        if !receiver.up || !self.lives(link, end) {
            return;
        }
        let [to, from] = [end, 1 - end].map(|end| self.links[link].ends[end].who);
        match load {
            Load::Close(reason) => self.link_is_down(link, end, reason),
            Load::Frame(frame) => {
                if self.trace.wants(TraceLevel::Packets) {
                    let words = self.trace.words().frame(&frame);
                    self.trace_passing(from, to, "->", &words);
                }
                if let Some(frame) = self.intercept(to, link, *frame) {
                    self.give(to, Input::Frame { link: link.id(), frame });
                }
            }
        }
    }

    fn idle(&mut self, link: LinkKey, end: usize) {
        let here = &self.links[link];
        let other = &here.ends[1 - end];
        let since = |since: Option<Instant>| since.is_some_and(|since| self.now.since(since) >= IDLE_TIMEOUT);
        let silent = match here.cut {
            Some(_) => since(here.cut),
            None => !self.lives(link, 1 - end) || !other.up || since(self.peers[other.who.0].paused),
        };
        if silent {
            self.link_is_down(link, end, Refusal::Silent);
        }
    }

    fn link_is_down(&mut self, link: LinkKey, end: usize, reason: Refusal) {
        let lives = self.lives(link, end);
        let end = &mut self.links[link].ends[end];
        let who = end.who;
        end.incoming = VecDeque::new();
        (end.missed, end.queued) = (0, 0);
        // The end that closes a link is not up any more, and is told all the same.
        if std::mem::take(&mut end.up) && lives {
            self.give(who, Input::LinkDown { link: link.id(), reason });
        }
    }

    pub(crate) fn close(&mut self, who: PeerIndex, link: LinkId, reason: Refusal) {
        let Some((link, end)) = self.end_of(who, link) else { return };
        if self.trace.wants(TraceLevel::Packets) {
            let other = self.links[link].ends[1 - end].who;
            self.trace_passing(who, other, "-|", &reason.to_string());
        }
        self.carry(link, end, Duration::ZERO, Load::Close(reason), CLOSE_BYTES);
        self.expect(self.now, Arrival::Closed { link, end, reason });
    }

    pub(crate) fn close_all(&mut self, who: PeerIndex, reason: Refusal) {
        for link in self.peers[who.0].links.clone() {
            if self.end_of(who, link.id()).is_some() {
                self.close(who, link.id(), reason);
            }
        }
    }

    /// The peer has vanished: the other ends hear nothing more.
    pub(crate) fn abandon_links(&mut self, who: PeerIndex) {
        for link in self.peers[who.0].links.clone() {
            for end in 0..2 {
                let here = &mut self.links[link].ends[end];
                if here.who == who && std::mem::take(&mut here.up) {
                    self.expect(self.now + IDLE_TIMEOUT, Arrival::Idle { link, end: 1 - end });
                }
            }
        }
    }

    /// The peer hears nothing for a while, and others do not hear it.
    pub(crate) fn silence_links(&mut self, who: PeerIndex) {
        for link in self.peers[who.0].links.clone() {
            if let Some((link, end)) = self.end_of(who, link.id()) {
                self.expect(self.now + IDLE_TIMEOUT, Arrival::Idle { link, end: 1 - end });
            }
        }
    }

    /// The peer hears again: of links that others have given up meanwhile it notices that.
    pub(crate) fn resume_links(&mut self, who: PeerIndex) {
        for link in self.peers[who.0].links.clone() {
            if let Some((link, end)) = self.end_of(who, link.id()) {
                self.expect(self.now, Arrival::Idle { link, end });
            }
        }
    }

    /// Cuts the links between peers that do not hear each other, and heals those between peers that do again.
    pub(crate) fn cut_links(&mut self) {
        for key in self.links.keys() {
            let link = &self.links[key];
            let hear = self.hear(link.ends[0].who, link.ends[1].who);
            if !link.ends.iter().any(|end| end.up) || hear == link.cut.is_none() {
                continue;
            }
            self.links[key].cut = (!hear).then_some(self.now);
            for end in 0..2 {
                if hear {
                    self.release(key, end);
                } else {
                    self.expect(self.now + IDLE_TIMEOUT, Arrival::Idle { link: key, end });
                }
            }
        }
    }

    /// What a cut has swallowed is sent again.
    fn release(&mut self, link: LinkKey, end: usize) {
        let [to, from] = [end, 1 - end].map(|end| self.links[link].ends[end].who);
        for _ in 0..std::mem::take(&mut self.links[link].ends[end].missed) {
            let arrival = self.now + self.travel_reliably(from, to);
            self.expect_load(link, end, arrival);
        }
    }
}

/// What a peer says that takes this frame over; `None` of those that are not acknowledged.
pub(crate) fn verdict_on(frame: &Frame) -> Option<Frame> {
    match frame {
        Frame::Task(task, _) => Some(Frame::TaskVerdict(TaskVerdict { ticket: task.ticket, refusal: None })),
        Frame::Data(header, _) => Some(Frame::HopVerdict(HopVerdict {
            origin: header.fixed.origin.id(),
            message: header.fixed.message(),
            copy: header.hop.copy,
            receipt: header.fixed.kind == Kind::Receipt,
            refusal: None,
        })),
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
        | Frame::Pull(_) => None,
    }
}

/// When a dialler gives up. The shell's.
const DIAL_TIMEOUT: Duration = Duration::from_secs(3);

/// When a dialler sends again what was not answered.
const INITIAL_TIMEOUT: Duration = Duration::from_secs(1); // RFC 9002, section 6.2.2

const CLOSE_BYTES: usize = 32; // RFC 9000, section 19.19: a code and a short reason

/// When the transport notices that the other end says nothing. The shell's.
const IDLE_TIMEOUT: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests;
