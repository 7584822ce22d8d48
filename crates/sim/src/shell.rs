//! What a peer's shell does in this world: it hands the machine what happens, and carries out what follows.

use crate::{
    peer::{self, PeerIndex},
    trace::TraceLevel,
    world::{Arrived, Happening, World},
};
use cicada_proto::{Body, Command, Event, Input, Instant, Job, JobResult, Node, Outbox, StreamId, Transmit, event::Delivery};
use cicada_wire::Refusal;
use std::collections::VecDeque;

impl World {
    /// Tells a peer something, now, or when its machine has time for it.
    pub(crate) fn give(&mut self, who: PeerIndex, input: Input) {
        let peer = &mut self.peers[who.0];
        if peer.node.is_none() {
            return;
        }
        if peer.paused.is_some() {
            let datagrams = peer.waiting.iter().filter(|input| matches!(input, Input::Datagram { .. }));
            let full = matches!(input, Input::Datagram { .. }) && datagrams.count() >= SOCKET_DATAGRAMS;
            if !full {
                peer.waiting.push_back(input);
            }
            return;
        }
        if let Some(later) = self.next_turn(who) {
            let peer = &mut self.peers[who.0];
            if peer.waiting.is_empty() {
                self.queue.push(later, who.class(), Happening::Turn { who, start: peer.start });
            }
            return peer.waiting.push_back(input);
        }
        if !self.peers[who.0].waiting.is_empty() {
            self.take_turn(who);
        }
        self.handle(who, input);
    }

    /// What has waited for a peer's machine reaches it, in order.
    pub(crate) fn take_turn(&mut self, who: PeerIndex) {
        if self.peers[who.0].paused.is_some() {
            return;
        }
        for input in std::mem::take(&mut self.peers[who.0].waiting) {
            self.handle(who, input);
        }
    }

    fn handle(&mut self, who: PeerIndex, input: Input) {
        let Some(node) = self.peers[who.0].node.as_mut() else { return };
        let mut out = std::mem::take(&mut self.outbox);
        node.handle(self.now, input, &mut out);
        self.drain(who, &mut out);
        self.outbox = out;
        self.arrange_wake(who);
    }

    /// When a peer's machine has time for it, if that is not now.
    fn next_turn(&self, who: PeerIndex) -> Option<Instant> {
        let span = u64::try_from(self.peers[who.0].stall?.as_micros()).ok()?;
        let turn = self.now.0.next_multiple_of(span);
        (turn > self.now.0).then_some(Instant(turn))
    }

    fn drain(&mut self, who: PeerIndex, out: &mut Outbox) {
        let mut streamed = VecDeque::new();
        loop {
            while let Some(transmit) = out.transmits.pop_front() {
                streamed.extend(self.transmit(who, transmit));
            }
            let reply = if let Some(stream) = streamed.pop_front() {
                Some(Input::Streamed { stream, complete: true })
            } else if let Some(event) = out.events.pop_front() {
                self.observe(who, event)
            } else if let Some((job, work)) = out.jobs.pop_front() {
                Some(Input::JobDone { job, result: self.work(who, work) })
            } else {
                return;
            };
            if let (Some(input), Some(node)) = (reply, self.peers[who.0].node.as_mut()) {
                node.handle(self.now, input, out);
            }
        }
    }

    fn work(&mut self, who: PeerIndex, job: Job) -> JobResult {
        match job {
            Job::Answer { challenge, record } => JobResult::Answered(peer::answer(challenge, record)),
            Job::VerifyAnswer(answer) => {
                let announced = answer.record.announced().and_then(|address| self.at_socket(address.socket()));
                let expected = announced.map(|peer| &self.peers[peer.0].record);
                JobResult::Verified(peer::answer_holds(&answer, expected))
            }
            Job::Renew(record) => {
                let renewed = peer::sign(&self.peers[who.0].key_name, record);
                self.peers[who.0].record = renewed.clone();
                JobResult::Renewed(renewed)
            }
            Job::Admit(_) => JobResult::Admitted(self.peers[who.0].admits),
            Job::OpenSession { to, terms, random } => {
                JobResult::SessionOpened(Ok(peer::opened(self.peers[who.0].sealing_key(), to, &terms, random)))
            }
            Job::AcceptSession { from, share, terms } => {
                JobResult::SessionAccepted(Ok(peer::accepted(from, self.peers[who.0].sealing_key(), &terms, share)))
            }
            Job::Sign(hash) => JobResult::Signed(peer::message_signature(self.peers[who.0].record.key(), hash)),
            Job::VerifyMessage { hash, key, signature } => JobResult::MessageVerified(signature == peer::message_signature(key, hash)),
        }
    }

    /// Returns what has left as a stream: here payloads travel in one piece, however long.
    fn transmit(&mut self, who: PeerIndex, transmit: Transmit) -> Option<StreamId> {
        match transmit {
            Transmit::Stream { stream, link, head, body, offset } => {
                if let Body::Whole(payload) = body {
                    self.say(who, link, head.with_payload(payload.slice(offset..)));
                }
                return Some(stream);
            }
            Transmit::Abandon { .. } | Transmit::Collect { .. } | Transmit::Append { .. } | Transmit::Discard { .. } => {}
            Transmit::Frame { link, frame } => self.say(who, link, frame),
            Transmit::Datagram { to, datagram } => self.tell(who, to, datagram),
            Transmit::Dial { dial, to, expected } => self.dial(who, dial, to, expected),
            Transmit::Close { link, reason } => self.close(who, link, reason),
        }
        None
    }

    /// Takes note of what a peer tells; returns what its shell says to that.
    fn observe(&mut self, who: PeerIndex, event: Event) -> Option<Input> {
        if self.trace.wants(TraceLevel::Events) {
            let words = self.trace.words().event(&event);
            self.tell_trace(who, &words);
        }
        match event {
            Event::Delivered(delivery) => return self.deliver(who, delivery),
            Event::Refused { reason, .. } => *self.peers[who.0].refused.entry(reason).or_default() += 1,
            Event::Lagged { dropped } => self.peers[who.0].lagged += dropped,
            Event::Left { operation } => {
                self.remember_members(who);
                self.close_all(who, Refusal::Closing);
                self.peers[who.0].node = None;
                self.outcomes.insert(operation, (self.now, event));
            }
            Event::Connected { operation, .. } | Event::ConnectFailed { operation, .. } => {
                self.note_connect(operation, &event);
                self.outcomes.insert(operation, (self.now, event));
            }
            Event::Sent { operation, .. }
            | Event::SendFailed { operation, .. }
            | Event::BroadcastSent { operation, .. }
            | Event::BroadcastFailed { operation, .. }
            | Event::LookedUp { operation, .. } => {
                self.outcomes.insert(operation, (self.now, event));
            }
            Event::LinkUp { .. }
            | Event::LinkDown { .. }
            | Event::PeerJoined(_)
            | Event::PeerLeft { .. }
            | Event::NeighboursChanged { .. }
            | Event::KeyChanged { .. }
            | Event::Opaque { .. } => {}
        }
        None
    }

    fn deliver(&mut self, who: PeerIndex, delivery: Delivery) -> Option<Input> {
        let peer = &mut self.peers[who.0];
        match &mut self.arrivals {
            Some(arrivals) => arrivals.push(Arrived { at: self.now, who, delivery }),
            None => peer.deliveries.push(delivery),
        }
        peer.reads.then_some(Input::Command(Command::Consumed { deliveries: 1 }))
    }

    fn arrange_wake(&mut self, who: PeerIndex) {
        let peer = &mut self.peers[who.0];
        peer.due = peer.node.as_ref().and_then(Node::next_timeout).map(|(at, _)| at);
        self.wake_when_due(who);
    }

    fn wake_when_due(&mut self, who: PeerIndex) {
        let peer = &mut self.peers[who.0];
        let Some(due) = peer.due else { return };
        let at = due.max(self.now);
        // A wake-up that comes too early arranges the right one when it is there.
        if peer.wake.is_none_or(|arranged| at < arranged) {
            peer.wake = Some(at);
            self.queue.push(at, who.class(), Happening::Wake { who, start: peer.start });
        }
    }

    pub(crate) fn wake(&mut self, who: PeerIndex) {
        let peer = &mut self.peers[who.0];
        if peer.wake != Some(self.now) {
            return;
        }
        peer.wake = None;
        if peer.due.is_none_or(|due| due > self.now) {
            return self.wake_when_due(who);
        }
        self.give(who, Input::Wake);
        let peer = &mut self.peers[who.0];
        peer.spins = if peer.wake == Some(self.now) { peer.spins + 1 } else { 0 };
        let reason = || peer.node.as_ref().and_then(Node::next_timeout).map(|(_, reason)| reason);
        assert!(peer.spins < MAX_SPINS, "{} wakes for {:?} at {:?} again and again", peer.name, reason(), self.now);
    }
}

const MAX_SPINS: u32 = 1000; // far more than anything that ends
const SOCKET_DATAGRAMS: usize = 256; // Linux: 212 992 bytes a socket, each datagram counted with about 800
