//! The task that owns the machine: everything reaches the machine from here, and everything it wants done is done from here.

use super::{
    deliveries::Deliveries,
    event::Event,
    metrics::{Counts, Metrics},
    outgoing::{Next, Outgoing},
    peer::MessageInfo,
    socket::{Received, Socket},
};
use bytes::Bytes;
use cicada_proto::{
    Instant,
    fec::{Decoded, Outcome, Task},
    kadcast::{Blocked, Contact, Event as Told, Input, Job, JobId, Machine, Outbox, SendError},
};
use std::{
    collections::{BTreeMap, VecDeque},
    net::SocketAddr,
    panic::{AssertUnwindSafe, catch_unwind},
    thread,
    time::Duration,
};
use tokio::{
    sync::{OwnedSemaphorePermit, broadcast, mpsc, oneshot, watch},
    task::JoinSet,
    time::{Instant as Clock, sleep_until, timeout},
};

/// What the application wants.
pub(super) enum Wish {
    Broadcast { payload: Bytes, height: Option<u8>, queued: Queued },
    Send { payload: Bytes, to: Vec<SocketAddr>, queued: Queued },
    Alive { amount: usize, done: oneshot::Sender<Vec<SocketAddr>> },
    Table { done: oneshot::Sender<BTreeMap<u8, Vec<Contact>>> },
    Block(Blocked),
    Unblock(Blocked),
    Metrics { done: oneshot::Sender<Metrics> },
}

/// A payload's place among those that are not handed out yet, and who waits for that.
pub(super) struct Queued {
    pub(super) done: Option<oneshot::Sender<Result<usize, SendError>>>,
    pub(super) _room: OwnedSemaphorePermit,
}

/// Whether the peer is to end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Closing {
    No,
    AfterSending,
}

/// The owner of a machine.
pub(super) struct Driver {
    machine: Machine,
    outbox: Outbox,
    socket: Socket,
    outgoing: Outgoing,
    /// Written by `outgoing`, and not taken by the system yet.
    unsent: Option<Unsent>,
    buffer: Vec<u8>,
    received: Vec<Received>,
    began: Clock,
    bootstrap: Vec<String>,
    deliveries: Deliveries,
    events: broadcast::Sender<Event>,
    tasks: JoinSet<Input>,
    /// Tasks of the codec that run now, and those that wait until some end.
    coding: usize,
    cores: usize,
    waiting: VecDeque<(JobId, Task)>,
    operations: BTreeMap<u64, Queued>,
    next_operation: u64,
    counts: Counts,
}

/// Datagrams in the driver's buffer.
struct Unsent {
    to: SocketAddr,
    stride: usize,
}

impl Driver {
    pub(super) fn new(
        machine: Machine,
        socket: Socket,
        outgoing: Outgoing,
        bootstrap: Vec<String>,
        deliveries: Deliveries,
        events: broadcast::Sender<Event>,
    ) -> Self {
        let counts = Counts { receive_buffer_bytes: socket.granted().receive_bytes, ..Counts::default() };
        Self {
            machine,
            outbox: Outbox::default(),
            socket,
            outgoing,
            unsent: None,
            buffer: Vec::new(),
            received: Vec::new(),
            began: Clock::now(),
            bootstrap,
            deliveries,
            events,
            tasks: JoinSet::new(),
            coding: 0,
            // Asked once: the answer is read from files.
            cores: thread::available_parallelism().map_or(1, usize::from),
            waiting: VecDeque::new(),
            operations: BTreeMap::new(),
            next_operation: 0,
            counts,
        }
    }

    /// Works until the peer is dropped or to end.
    pub(super) async fn run(mut self, mut wishes: mpsc::Receiver<Wish>, mut close: watch::Receiver<Closing>) {
        self.input(Input::Wake);
        let mut give_up = None;
        loop {
            let due = self.settle();
            if give_up.is_some_and(|at| Clock::now() >= at || self.has_sent_all()) {
                return;
            }
            let due = [due, self.machine_due(), give_up].into_iter().flatten().min();
            tokio::select! {
                // Whoever has much to send waits here, and with it the application.
                wish = wishes.recv(), if give_up.is_none() && self.outgoing.waiting_bytes() < BACKLOG_BYTES => match wish {
                    Some(wish) => self.perform(wish),
                    None => return,
                },
                readable = self.socket.readable() => self.receive(readable.is_ok()).await,
                Some(done) = self.tasks.join_next() => self.done(done),
                _ = self.socket.writable(), if self.unsent.is_some() => {}
                () = until(due) => self.wake(),
                closing = close.changed(), if give_up.is_none() => match closing {
                    Ok(()) => give_up = Some(Clock::now() + LAST_WORDS),
                    Err(_) => return,
                },
            }
        }
    }

    fn has_sent_all(&self) -> bool {
        self.operations.is_empty() && self.unsent.is_none() && self.outgoing.waiting_bytes() == 0
    }

    fn now(&self) -> Instant {
        Instant(u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX))
    }

    fn machine_due(&self) -> Option<Clock> {
        self.machine.next_timeout().map(|(at, _)| self.began + Duration::from_micros(at.0))
    }

    fn input(&mut self, input: Input) {
        let now = self.now();
        self.machine.handle(now, input, &mut self.outbox);
    }

    fn wake(&mut self) {
        if self.machine_due().is_some_and(|due| due <= Clock::now()) {
            self.input(Input::Wake);
        }
    }

    async fn receive(&mut self, readable: bool) {
        let mut received = std::mem::take(&mut self.received);
        match self.socket.receive(&mut received) {
            Ok(()) => {}
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(error) => {
                // A datagram of ours that nobody took (ICMP), or something worse that must not become a busy loop.
                tracing::debug!(%error, readable, "nothing received");
                tokio::time::sleep(PAUSE).await;
            }
        }
        for Received { from, bytes, stride } in received.drain(..) {
            self.input(Input::Datagrams { from, bytes, stride });
        }
        self.received = received;
    }

    fn done(&mut self, done: Result<Input, tokio::task::JoinError>) {
        match done {
            Ok(input) => {
                self.coding -= usize::from(matches!(input, Input::Coded { .. }));
                self.input(input);
            }
            // They catch what panics, and nobody aborts them.
            Err(error) => tracing::error!(%error, "a task of a kadcast peer has failed"),
        }
    }

    fn perform(&mut self, wish: Wish) {
        let operation = self.next_operation;
        match wish {
            Wish::Broadcast { payload, height, queued } => {
                self.begin(queued);
                self.input(Input::Broadcast { operation, payload, height });
            }
            Wish::Send { payload, to, queued } => {
                self.begin(queued);
                self.input(Input::Send { operation, payload, to });
            }
            // Whoever asked may have gone.
            Wish::Alive { amount, done } => {
                let _ = done.send(self.machine.alive(amount));
            }
            Wish::Table { done } => {
                let _ = done.send(self.machine.table(self.now()));
            }
            Wish::Block(who) => self.input(Input::Block(who)),
            Wish::Unblock(who) => self.input(Input::Unblock(who)),
            Wish::Metrics { done } => {
                self.counts.waiting_bytes = self.outgoing.waiting_bytes();
                self.counts.dropped = self.outgoing.dropped();
                let _ = done.send(Metrics::new(self.machine.figures(), self.machine.refusals().clone(), self.counts));
            }
        }
    }

    fn begin(&mut self, queued: Queued) {
        self.operations.insert(self.next_operation, queued);
        self.next_operation += 1;
    }

    /// Does what the machine wants, and sends what may go now. Returns when more may go.
    fn settle(&mut self) -> Option<Clock> {
        while !self.outbox.is_empty() {
            while let Some(event) = self.outbox.events.pop_front() {
                self.tell(event);
            }
            let now = Clock::now();
            while let Some(transmit) = self.outbox.transmits.pop_front() {
                self.outgoing.push(now, transmit);
            }
            while let Some((id, job)) = self.outbox.jobs.pop_front() {
                self.begin_job(id, job);
            }
        }
        self.begin_waiting();
        self.send()
    }

    fn send(&mut self) -> Option<Clock> {
        for _ in 0..CALLS_A_TURN {
            let Unsent { to, stride } = match self.unsent.take() {
                Some(unsent) => unsent,
                None => match self.outgoing.next(Clock::now(), &mut self.buffer) {
                    Next::Send { to, stride } => Unsent { to, stride },
                    Next::Later(at) => return Some(at),
                    Next::Nothing => return None,
                },
            };
            if self.socket.send(to, &self.buffer, stride).is_err() {
                self.unsent = Some(Unsent { to, stride });
                return None;
            }
        }
        // There is more, after a look at what has come.
        Some(Clock::now())
    }

    fn begin_job(&mut self, id: JobId, job: Job) {
        match job {
            Job::Resolve => {
                let names = self.bootstrap.clone();
                self.tasks.spawn(async move { Input::Resolved { bootstrap: resolve(names).await } });
            }
            Job::Code(task) if is_short(&task) => {
                let outcome = run(task);
                self.input(Input::Coded { job: id, outcome });
            }
            Job::Code(task) => self.waiting.push_back((id, task)),
            // The other crate may grow kinds, and would wait for them for ever.
            _ => tracing::error!("a job of an unknown kind"),
        }
    }

    /// The codec takes as many cores as there are. The machine has one job for each message at most, so that what waits is bounded by
    /// its own limits.
    fn begin_waiting(&mut self) {
        while self.coding < self.cores
            && let Some((job, task)) = self.waiting.pop_front()
        {
            self.coding += 1;
            self.tasks.spawn_blocking(move || Input::Coded { job, outcome: run(task) });
        }
    }

    fn tell(&mut self, event: Told) {
        let event = match event {
            Told::Message { payload, from, height, ray } => {
                let (bytes, ray_id) = (payload.len(), ray.0);
                if self.deliveries.push(payload, MessageInfo { src: from, height, ray_id }) {
                    self.counts.received_bytes += bytes as u64;
                    Event::Received { from, height, ray_id, bytes }
                } else {
                    self.counts.missed += 1;
                    Event::Missed { ray_id }
                }
            }
            Told::Sent { operation, ray, targets } => {
                self.end(operation, Ok(targets));
                Event::Sent { ray_id: ray.0, targets }
            }
            Told::NotSent { operation, error } => {
                tracing::warn!("a message is not sent: {error}");
                self.end(operation, Err(error));
                Event::NotSent(error)
            }
            Told::PeerAdded(contact) => Event::PeerAdded(contact),
            Told::PeerRemoved { address, reason } => Event::PeerRemoved { address, reason },
            Told::Refused { from, reason } => {
                tracing::debug!(%from, %reason, "refused");
                Event::Refused { from, reason }
            }
            // The other crate may grow events.
            _ => return,
        };
        // Nobody may listen.
        let _ = self.events.send(event);
    }

    fn end(&mut self, operation: u64, result: Result<usize, SendError>) {
        if let Some(done) = self.operations.remove(&operation).and_then(|queued| queued.done) {
            // Whoever waited may have gone.
            let _ = done.send(result);
        }
    }
}

async fn until(due: Option<Clock>) {
    match due {
        Some(due) => sleep_until(due).await,
        None => std::future::pending().await,
    }
}

/// The codec panics on what cannot be. Nothing that cannot be gets there; if something does, its message is lost, and nothing else.
fn run(task: Task) -> Outcome {
    catch_unwind(AssertUnwindSafe(|| task.run())).unwrap_or(Outcome::Decoded(Decoded::Forged))
}

/// Whether to hand a task to another thread would cost more than the task.
fn is_short(task: &Task) -> bool {
    match task {
        Task::Encode { payload, .. } => payload.len() <= SHORT_BYTES,
        Task::Decode { symbols, .. } => symbols.len() == 1,
        // The other crate may grow kinds.
        _ => false,
    }
}

/// Every address of the names that can be resolved.
async fn resolve(names: Vec<String>) -> Vec<SocketAddr> {
    let mut lookups = JoinSet::new();
    for (number, name) in names.into_iter().enumerate() {
        lookups.spawn(async move {
            let found: Vec<SocketAddr> = match timeout(RESOLUTION, tokio::net::lookup_host(&name)).await {
                Ok(Ok(found)) => found.take(ADDRESSES).collect(),
                Ok(Err(error)) => {
                    tracing::warn!(name, %error, "a bootstrapping node cannot be resolved");
                    Vec::new()
                }
                Err(_) => {
                    tracing::warn!(name, "resolving a bootstrapping node takes too long");
                    Vec::new()
                }
            };
            (number, found)
        });
    }
    let mut found = lookups.join_all().await;
    found.sort_by_key(|(number, _)| *number);
    found.into_iter().flat_map(|(_, addresses)| addresses).collect()
}

/// Calls that send between two looks at what has come.
const CALLS_A_TURN: usize = 32; // guess

/// With more than this waiting to be sent, the application waits too.
const BACKLOG_BYTES: usize = 64 << 20; // guess: six of the longest messages

/// What a thread of its own is not worth: about as long as waking one takes.
const SHORT_BYTES: usize = 1024; // guess

/// How long what was queued may take to be sent when the peer ends.
const LAST_WORDS: Duration = Duration::from_secs(3); // guess

/// After an error of the socket.
const PAUSE: Duration = Duration::from_millis(1); // guess

/// For one name.
const RESOLUTION: Duration = Duration::from_secs(10); // guess: resolvers ask two servers for five seconds each

/// Of one name.
const ADDRESSES: usize = 16; // guess
