//! What befalls peers: crashes and restarts, pauses, partitions, and what their machines have no time for.

use crate::{
    peer::{self, PeerIndex},
    world::{Happening, World},
};
use cicada_proto::{
    Command, Event, Input, Operation,
    known::{Known, Rejoin},
};
use cicada_wire::Address;
use std::time::Duration;

/// What a peer still has when it starts again.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Memory {
    /// Nothing: another peer at the same address, with another key.
    Nothing,
    /// Its identity.
    #[default]
    Identity,
    /// Its identity and the members that it knew when it crashed or left, as a state directory keeps them. It comes back by
    /// them by itself, as the shell does.
    Members,
}

impl World {
    /// A peer vanishes without a word.
    pub fn crash(&mut self, who: PeerIndex) {
        self.remember_members(who);
        let peer = &mut self.peers[who.0];
        if peer.node.take().is_some() {
            peer.paused = None;
            peer.waiting.clear();
            let record = peer.record.clone();
            self.fabrications.died(record);
            self.tell_trace(who, "crashes");
            self.abandon_links(who);
        }
    }

    /// A crashed or departed peer starts again at its address with its key: it remembers nothing else, its record is newer and
    /// its boot number another.
    pub fn restart(&mut self, who: PeerIndex) {
        self.restart_with(who, Memory::Identity);
    }

    /// A crashed or departed peer starts again at its address, with this of what it had.
    pub fn restart_with(&mut self, who: PeerIndex, memory: Memory) {
        self.crash(who);
        let peer = &mut self.peers[who.0];
        match memory {
            Memory::Nothing => {
                peer.remembered = None;
                peer.key_name = format!("{} after {}", peer.name, peer.start);
                peer.record = peer::rekeyed(&peer.record, &peer.key_name);
            }
            Memory::Identity => {
                peer.remembered = None;
                peer.record = peer::renewed(&peer.record, &peer.key_name);
            }
            Memory::Members => peer.record = peer::renewed(&peer.record, &peer.key_name),
        }
        peer.deliveries.clear();
        let id = peer.record.id();
        self.by_id.entry(id).or_insert(who);
        self.start(who);
        if memory == Memory::Members {
            let start = self.peers[who.0].start;
            self.queue.push(self.now, who.class(), Happening::Rejoin { who, start });
        }
    }

    /// What a peer's state directory would hold when it stops now.
    pub(crate) fn remember_members(&mut self, who: PeerIndex) {
        let clock = self.clock();
        let peer = &mut self.peers[who.0];
        let Some(node) = &peer.node else { return };
        let mut known = Known::new(peer.config.limits.known_members);
        for member in node.overlay().members() {
            if let Some(address) = member.record().announced() {
                known.joined(clock, address, member.record().key());
                known.left(clock, address);
            }
        }
        peer.remembered = Some(Box::new(Remembered { known, ..Remembered::default() }));
    }

    /// A peer that remembers members tries to come back by them, and goes on trying as the shell does.
    pub(crate) fn rejoin(&mut self, who: PeerIndex) {
        let now = self.now;
        let peer = &mut self.peers[who.0];
        let (Some(node), Some(memory)) = (&peer.node, &mut peer.remembered) else { return };
        let linked = node.links().members().next().is_some();
        let own = node.me().record.announced();
        let outcome = memory.attempt.as_ref().and_then(|(operation, _)| self.outcomes.get(operation)).map(|(_, event)| event);
        if let Some(outcome) = outcome {
            let tried = memory.attempt.take().map(|(_, tried)| tried).unwrap_or_default();
            if let Event::ConnectFailed { .. } = outcome {
                memory.known.failed(&tried);
                memory.rejoin.failed(now, &mut self.rng);
            }
        }
        let start = peer.start;
        if memory.rejoin.is_due(now, linked, memory.attempt.is_some()) {
            let addresses = memory.known.choose(&mut self.rng, own);
            if addresses.is_empty() {
                memory.rejoin.failed(now, &mut self.rng);
            } else {
                self.operations += 1;
                let operation = Operation(self.operations);
                memory.attempt = Some((operation, addresses.clone()));
                self.command(who, Command::Connect { operation, addresses, timeout: ATTEMPT });
            }
        }
        self.queue.push(now + RECOLLECT_EVERY, who.class(), Happening::Rejoin { who, start });
    }

    /// A peer's process is stopped where it stands: what comes waits for it, its timers run out unheard, nobody hears from it.
    /// Links to it stay until they have been idle for too long.
    pub fn pause(&mut self, who: PeerIndex) {
        let peer = &mut self.peers[who.0];
        if peer.node.is_some() && peer.paused.is_none() {
            peer.paused = Some(self.now);
            self.tell_trace(who, "stands still");
            self.silence_links(who);
        }
    }

    /// It goes on.
    pub fn resume(&mut self, who: PeerIndex) {
        if self.peers[who.0].paused.take().is_none() {
            return;
        }
        self.tell_trace(who, "goes on");
        self.resume_links(who);
        let clock = self.clock();
        self.give(who, Input::Clock(clock));
    }

    /// Whether a peer stands still.
    #[must_use]
    pub fn is_paused(&self, who: PeerIndex) -> bool {
        self.peers[who.0].paused.is_some()
    }

    /// From now on only peers of the same set hear each other; those named nowhere are a set of their own.
    pub fn partition(&mut self, islands: &[&[PeerIndex]]) {
        for spot in &mut self.spots {
            spot.island = 0;
        }
        for (number, island) in islands.iter().enumerate() {
            for who in *island {
                self.spots[who.0].island = number + 1;
            }
        }
        self.trace_world("partition");
        self.cut_links();
    }

    /// Everybody hears everybody again.
    pub fn heal(&mut self) {
        for spot in &mut self.spots {
            spot.island = 0;
        }
        self.trace_world("heal");
        self.cut_links();
    }
}

/// What a peer knows of the swarm that it was in.
#[derive(Debug, Default)]
pub(crate) struct Remembered {
    known: Known,
    rejoin: Rejoin,
    /// The attempt under way, and by whom.
    attempt: Option<(Operation, Vec<Address>)>,
}

/// As long as the documented timeout of a join. The shell's.
const ATTEMPT: Duration = Duration::from_secs(10);

const RECOLLECT_EVERY: Duration = Duration::from_secs(1); // the shortest pause between attempts
