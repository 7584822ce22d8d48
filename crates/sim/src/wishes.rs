//! What tests ask peers to do, as their applications would, and how to wait for what comes of it.

use crate::{
    peer::PeerIndex,
    trace::TraceLevel,
    world::{Happening, World},
};
use bytes::Bytes;
use cicada_proto::{
    Command, ConnectError, Event, Input, Instant, LookupError, Operation, Receipt, SendError, SendOptions,
    event::{Delivery, Lookup},
};
use cicada_wire::{Address, Hash};
use std::time::Duration;

impl World {
    /// A number for an operation that no other one of this world has.
    pub fn operation(&mut self) -> Operation {
        self.operations += 1;
        Operation(self.operations)
    }

    /// Gives a peer a command, now.
    pub fn command(&mut self, who: PeerIndex, command: Command) {
        if self.trace.wants(TraceLevel::Events) {
            let words = format!("shall {}", self.trace.words().command(&command));
            self.tell_trace(who, &words);
        }
        self.give(who, Input::Command(command));
    }

    /// Gives a peer a command at a later time, if it still lives then.
    pub fn command_at(&mut self, at: Instant, who: PeerIndex, command: Command) {
        let start = self.peers[who.0].start;
        self.queue.push(at, who.class(), Happening::Told { who, start, input: Box::new(Input::Command(command)) });
    }

    /// What an operation ended with, if it has, and when.
    #[must_use]
    pub fn outcome(&self, operation: Operation) -> Option<&(Instant, Event)> {
        self.outcomes.get(&operation)
    }

    /// Runs until the operation has ended, at most for `span`.
    pub fn wait(&mut self, operation: Operation, span: Duration) -> Option<Event> {
        self.run_until(span, |world| world.outcomes.contains_key(&operation));
        self.outcomes.get(&operation).map(|(_, event)| event.clone())
    }

    /// Runs until all of these operations have ended, at most for `span`; says whether they have.
    pub fn wait_all(&mut self, operations: &[Operation], span: Duration) -> bool {
        let mut open = operations.to_vec();
        self.run_until(span, |world| {
            while open.last().is_some_and(|operation| world.outcomes.contains_key(operation)) {
                open.pop();
            }
            open.is_empty()
        })
    }

    /// The address that others reach a peer at.
    #[must_use]
    pub fn address(&self, who: PeerIndex) -> Address {
        Address::new(self.spots[who.0].socket).expect("the world gives unicast addresses")
    }

    /// Begins to join `who` to the swarm of `via`.
    pub fn connect(&mut self, who: PeerIndex, via: PeerIndex) -> Operation {
        let operation = self.operation();
        let here = self.spots[who.0].socket;
        let there = self.spots[via.0].socket_beside(here).unwrap_or(self.spots[via.0].socket);
        let addresses = vec![Address::new(there).expect("the world gives unicast addresses")];
        self.command(who, Command::Connect { operation, addresses, timeout: CONNECT_TIMEOUT });
        operation
    }

    /// Joins `who` to the swarm of `via`, and waits for it.
    ///
    /// # Errors
    /// As the peer tells.
    ///
    /// # Panics
    /// When the peer does not keep its timeout.
    pub fn join(&mut self, who: PeerIndex, via: PeerIndex) -> Result<(), ConnectError> {
        let operation = self.connect(who, via);
        match self.wait(operation, CONNECT_TIMEOUT + GRACE) {
            Some(Event::ConnectFailed { error, .. }) => Err(error),
            Some(_) => Ok(()),
            None => panic!("{} neither joined nor failed; seed {}", self.name(who), self.seed),
        }
    }

    /// Joins all of `peers` into one swarm: the first is its first member, the others enter by random members that entered
    /// before them, one every `pause`. Waits until all are in; says who is not.
    pub fn assemble(&mut self, peers: &[PeerIndex], pause: Duration) -> Vec<PeerIndex> {
        use rand::RngExt;
        let mut joins = Vec::new();
        for (entered, who) in peers.iter().enumerate().skip(1) {
            let via = peers[self.rng.random_range(0..entered)];
            joins.push((*who, self.connect(*who, via)));
            self.run_for(pause);
        }
        let operations: Vec<_> = joins.iter().map(|(_, operation)| *operation).collect();
        self.wait_all(&operations, CONNECT_TIMEOUT + GRACE);
        let failed = |operation| !matches!(self.outcome(operation), Some((_, Event::Connected { .. })));
        joins.into_iter().filter(|(_, operation)| failed(*operation)).map(|(who, _)| who).collect()
    }

    /// Begins a lookup.
    pub fn begin_lookup(&mut self, who: PeerIndex, target: Hash) -> Operation {
        let operation = self.operation();
        self.command(who, Command::Lookup { operation, target });
        operation
    }

    /// What a lookup has found, if it has ended.
    #[must_use]
    pub fn looked_up(&self, operation: Operation) -> Option<&Result<Lookup, LookupError>> {
        match self.outcome(operation) {
            Some((_, Event::LookedUp { result, .. })) => Some(result),
            Some(_) | None => None,
        }
    }

    /// Looks `target` up, and waits for it.
    ///
    /// # Errors
    /// As the peer tells; `Unconfirmed` also when it says nothing for a minute.
    pub fn lookup(&mut self, who: PeerIndex, target: Hash) -> Result<Lookup, LookupError> {
        let operation = self.begin_lookup(who, target);
        self.wait(operation, PATIENCE);
        self.looked_up(operation).cloned().unwrap_or(Err(LookupError::Unconfirmed))
    }

    /// Begins to send `payload` to the peer with the id `target`.
    pub fn begin_send(&mut self, who: PeerIndex, target: Hash, payload: impl Into<Bytes>, options: SendOptions) -> Operation {
        let operation = self.operation();
        self.command(who, Command::Send { operation, target, address: None, payload: payload.into(), options });
        operation
    }

    /// What came of sending, if it has ended.
    #[must_use]
    pub fn sent(&self, operation: Operation) -> Option<Result<&Receipt, &SendError>> {
        match self.outcome(operation) {
            Some((_, Event::Sent { receipt, .. })) => Some(Ok(receipt)),
            Some((_, Event::SendFailed { error, .. })) => Some(Err(error)),
            Some(_) | None => None,
        }
    }

    /// Sends from one peer to another, and waits for the receipt.
    ///
    /// # Errors
    /// As the sender tells.
    ///
    /// # Panics
    /// When the sender does not keep its timeout.
    pub fn send(&mut self, who: PeerIndex, to: PeerIndex, payload: impl Into<Bytes>, options: SendOptions) -> Result<Receipt, SendError> {
        let span = options.timeout + GRACE;
        let operation = self.begin_send(who, self.id(to), payload, options);
        self.wait(operation, span);
        let Some(result) = self.sent(operation) else {
            panic!("{} neither sent nor failed; seed {}", self.name(who), self.seed);
        };
        result.cloned().map_err(Clone::clone)
    }

    /// Begins a broadcast.
    pub fn broadcast(&mut self, who: PeerIndex, payload: impl Into<Bytes>) -> Operation {
        self.broadcast_except(who, payload, &[])
    }

    /// Begins a broadcast that leaves some peers out.
    pub fn broadcast_except(&mut self, who: PeerIndex, payload: impl Into<Bytes>, excluded: &[PeerIndex]) -> Operation {
        let operation = self.operation();
        let excluded = excluded.iter().map(|who| self.id(*who)).collect();
        self.command(who, Command::Broadcast { operation, payload: payload.into(), excluded });
        operation
    }

    /// A peer leaves politely; waits until it is gone.
    pub fn leave(&mut self, who: PeerIndex) -> bool {
        let operation = self.operation();
        self.command(who, Command::Leave { operation });
        self.wait(operation, PATIENCE).is_some()
    }

    /// What a peer's application received and this has not told yet.
    pub fn take_deliveries(&mut self, who: PeerIndex) -> Vec<Delivery> {
        std::mem::take(&mut self.peers[who.0].deliveries)
    }

    /// What a peer's application received and [`Self::take_deliveries`] has not taken.
    #[must_use]
    pub fn deliveries(&self, who: PeerIndex) -> &[Delivery] {
        &self.peers[who.0].deliveries
    }
}

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10); // the original's default
const GRACE: Duration = Duration::from_secs(1);
const PATIENCE: Duration = Duration::from_secs(60);
