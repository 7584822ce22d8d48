//! The task that owns the node: it feeds it what happens, and does what follows.
//!
//! Everything reaches the node through bounded channels: wishes of the handles, news of the links, datagrams, verdicts of the
//! hooks; and the clock. Only the links' control frames are read and written here, as far as that goes without waiting. Nothing here waits for a link or for the application.

mod bodies;
mod linger;
mod memory;
mod oversight;
mod reading;
mod room;
mod turn;

use crate::{
    hook_thread::Verdict,
    keys::Keys,
    link::{LinkHandle, Reader},
    metrics::{Direction, Meters},
    network::{Network, News},
    node::{Message, RemoteNode},
    peer::Taken,
    random,
    socket::Received,
    target::Candidate,
    wish::{SendDone, Waiting, Wish},
};
use bodies::Bodies;
use cicada_proto::{
    Command, Delivery, Event, Input, Instant, Job, JobId, JobResult, LinkId, LinkUp, Me, Node, Operation, Outbox, SendOptions, Transmit,
};
use cicada_wire::{Address, Answer, Datagram, Hash, Refusal, SignedRecord};
pub(crate) use linger::Linger;
pub(crate) use memory::Memory;
use reading::Readers;
use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};
use tokio::{
    sync::{broadcast, mpsc, oneshot, watch},
    task::JoinSet,
    time::{Instant as Clock, timeout},
};
use turn::Unsent;

/// Where what happens comes from.
pub(crate) struct Inlets {
    pub(crate) wishes: mpsc::Receiver<Wish>,
    pub(crate) news: mpsc::Receiver<News>,
    pub(crate) datagrams: mpsc::Receiver<Received>,
    pub(crate) verdicts: Option<mpsc::UnboundedReceiver<Verdict>>,
}

/// How far a peer is with ending.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// It is not.
    Running,
    /// It says goodbye, until then at most.
    Leaving(Clock),
    /// It has said goodbye.
    Left,
    /// Nobody holds it any more: no goodbye.
    Dropped,
}

/// The node with its surroundings.
pub(crate) struct Driver {
    node: Node,
    out: Outbox,
    keys: Keys,
    network: Arc<Network>,
    /// Who we are, for links to be. Taken away when the peer ends.
    identified: Option<watch::Sender<Me>>,
    links: BTreeMap<LinkId, LinkHandle>,
    readers: Readers,
    unsent: Unsent,
    linger: Linger,
    bodies: Bodies,
    /// Dials and links.
    tasks: JoinSet<()>,
    waiting: BTreeMap<Operation, Waiting>,
    next_operation: u64,
    delivered: mpsc::Sender<Message>,
    events: broadcast::Sender<Event>,
    known: BTreeMap<Hash, RemoteNode>,
    peers: watch::Sender<Arc<[RemoteNode]>>,
    taken: Arc<Taken>,
    meters: Meters,
    /// Of a peer with a state directory.
    memory: Option<Memory>,
    /// While a datagram is handled: who sent it, and to which of our addresses.
    answering: Option<(SocketAddr, IpAddr)>,
    started: Clock,
    stage: Stage,
}

impl Driver {
    #[expect(clippy::too_many_arguments, reason = "called once, by the function that makes them all")]
    pub(crate) fn new(
        node: Node,
        keys: Keys,
        network: Network,
        identified: watch::Sender<Me>,
        delivered: mpsc::Sender<Message>,
        events: broadcast::Sender<Event>,
        peers: watch::Sender<Arc<[RemoteNode]>>,
        taken: Arc<Taken>,
        memory: Option<Memory>,
        linger: Linger,
    ) -> Self {
        Self {
            node,
            out: Outbox::default(),
            keys,
            network: Arc::new(network),
            identified: Some(identified),
            links: BTreeMap::new(),
            readers: Readers::new(),
            unsent: Unsent::default(),
            linger,
            bodies: Bodies::default(),
            tasks: JoinSet::new(),
            waiting: BTreeMap::new(),
            next_operation: 0,
            delivered,
            events,
            known: BTreeMap::new(),
            peers,
            taken,
            meters: Meters::default(),
            memory,
            answering: None,
            started: Clock::now(),
            stage: Stage::Running,
        }
    }

    /// Runs until the peer is closed or dropped; then frees everything, and says so.
    pub(crate) async fn run(
        mut self,
        mut inlets: Inlets,
        ended: watch::Sender<bool>,
        freed: oneshot::Receiver<()>,
        hooks_ended: Option<oneshot::Receiver<()>>,
    ) {
        let accepting =
            tokio::spawn(Network::accept(self.network.endpoint.clone(), Arc::clone(&self.network.entrance), self.network.news.clone()));
        self.serve(&mut inlets).await;
        drop(inlets);
        accepting.abort();
        // Its end is what was just asked for.
        let _ = accepting.await;
        self.end().await;
        // The port is free when every task of quinn has let go of the socket.
        let _ = timeout(FREE, freed).await;
        if let Some(hooks_ended) = hooks_ended {
            let _ = timeout(FREE, hooks_ended).await;
        }
        ended.send_replace(true);
    }

    fn now(&self) -> Instant {
        Instant(u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX))
    }

    fn next_wake(&self) -> Clock {
        let node = self.node.next_timeout().map_or(self.started + FAR, |(at, _)| self.started + Duration::from_micros(at.0).min(FAR));
        let node = self.next_recollection().map_or(node, |at| node.min(at));
        match self.stage {
            Stage::Leaving(until) => node.min(until),
            Stage::Running | Stage::Left | Stage::Dropped => node,
        }
    }

    fn on_wake(&mut self) {
        if let Stage::Leaving(until) = self.stage
            && until <= Clock::now()
        {
            self.stage = Stage::Left;
            return;
        }
        self.handle(Input::Wake);
    }

    /// Feeds the node, and does what follows.
    fn handle(&mut self, input: Input) {
        self.node.handle(self.now(), input, &mut self.out);
        // Doing a job makes another input, whose consequences come after those of this one.
        loop {
            while let Some(transmit) = self.out.transmits.pop_front() {
                self.transmit(transmit);
            }
            while let Some(event) = self.out.events.pop_front() {
                self.on_event(event);
            }
            if let Some(news) = self.bodies.next_news() {
                self.node.handle(self.now(), news, &mut self.out);
                continue;
            }
            let Some((job, work)) = self.out.jobs.pop_front() else { return };
            if let Some(result) = self.work(job, work) {
                self.node.handle(self.now(), Input::JobDone { job, result }, &mut self.out);
            }
        }
    }

    // --- What happens

    fn on_wish(&mut self, wish: Wish) {
        match wish {
            Wish::Connect { addresses, timeout, done } => {
                let operation = self.wait(Waiting::Connect(done));
                self.handle(Input::Command(Command::Connect { operation, addresses, timeout }));
            }
            Wish::Send { to, payload, options, done } => self.send(to, payload, options, done),
            Wish::Broadcast { payload, excluded, done } => {
                let operation = self.wait(Waiting::Broadcast(done));
                self.handle(Input::Command(Command::Broadcast { operation, payload, excluded }));
            }
            Wish::Lookup { target, done } => {
                let operation = self.wait(Waiting::Lookup(done));
                self.meters.on_lookup(operation);
                self.handle(Input::Command(Command::Lookup { operation, target }));
            }
            Wish::HandOver { to, payload, done } => {
                let linked = self.node.links().to_peer(to).is_some();
                if linked {
                    self.handle(Input::Command(Command::Opaque { to, payload }));
                }
                // Whoever asked may have gone.
                let _ = done.send(linked);
            }
            Wish::Disconnect { peer } => self.handle(Input::Command(Command::Disconnect { peer })),
            Wish::Table { done } => {
                let _ = done.send(self.node.table());
            }
            Wish::Neighbours { done } => {
                let mut neighbours: Vec<RemoteNode> = self.node.links().iter().map(|link| RemoteNode::from(&link.record)).collect();
                neighbours.sort();
                neighbours.dedup();
                let _ = done.send(neighbours);
            }
            Wish::Metrics { done } => {
                let _ = done.send(self.metrics());
            }
            Wish::Traffic { done } => {
                let _ = done.send(self.meters.traffic());
            }
            Wish::Refusals { done } => {
                let _ = done.send(self.refusals());
            }
            Wish::Ban { who, span, done } => {
                self.ban(who, span);
                let _ = done.send(());
            }
            Wish::Unban { who, done } => {
                let _ = done.send(self.unban(who));
            }
            Wish::Banned { done } => {
                let _ = done.send(self.banned());
            }
            Wish::Close => {
                if self.stage == Stage::Running {
                    self.stage = Stage::Leaving(Clock::now() + LEAVE);
                    let operation = self.wait(Waiting::Leave);
                    self.handle(Input::Command(Command::Leave { operation }));
                }
            }
        }
    }

    fn send(&mut self, to: Candidate, payload: bytes::Bytes, options: SendOptions, done: SendDone) {
        // Where ids are not those of addresses, a place is known only by a record.
        let known = to.address.and_then(|address| self.id_at(address));
        let operation = self.wait(Waiting::Send(done));
        self.linger.note();
        let target = known.unwrap_or(to.id);
        self.handle(Input::Command(Command::Send { operation, target, address: to.address, payload, options }));
    }

    fn id_at(&self, address: Address) -> Option<Hash> {
        let announces = |record: &SignedRecord| record.announced() == Some(address);
        if self.node.me().record.announced() == Some(address) {
            return Some(self.node.me().id());
        }
        let linked = self.node.links().iter().find(|link| link.proven.is_some() && announces(&link.record)).map(|link| link.record.id());
        linked.or_else(|| self.known.values().find(|peer| peer.address() == Some(address.socket())).map(RemoteNode::id))
    }

    fn wait(&mut self, waiting: Waiting) -> Operation {
        let operation = Operation(self.next_operation);
        self.next_operation += 1;
        self.waiting.insert(operation, waiting);
        operation
    }

    fn on_news(&mut self, news: News) {
        match news {
            News::Up(up, handle, reader) => self.on_link_up(up, handle, reader),
            News::Down(link, reason) => {
                self.remove_reader(link);
                self.links.remove(&link);
                self.reap();
                self.handle(Input::LinkDown { link, reason });
                self.end_bodies(link);
                self.meters.on_link_down(link);
            }
            News::Frame(link, frame) => self.on_frame(link, frame),
            News::Arriving { link, head, number, body } => self.on_arriving(link, head, number, body),
            News::Ended(number, whole) => self.on_ended(number, whole),
            News::Streamed { stream, complete, sent } => self.on_streamed(stream, complete, sent),
            News::DialFailed(dial, error) => {
                self.reap();
                self.handle(Input::DialFailed { dial, error });
            }
            News::Knock(incoming, passage) => {
                self.tasks.spawn(Arc::clone(&self.network).listen(incoming, passage));
            }
            News::Refused(reason) => {
                self.reap();
                self.refuse(reason);
            }
        }
    }

    fn on_link_up(&mut self, up: LinkUp, handle: LinkHandle, reader: Reader) {
        tracing::debug!(peer = ?up.record, side = ?up.side, remote = %up.remote, "link up");
        self.meters.on_link_up(up.link, RemoteNode::from(&up.record));
        let link = up.link;
        self.links.insert(link, handle);
        self.handle(Input::LinkUp(up));
        self.add_reader(link, reader);
    }

    /// Forgets tasks that have ended.
    fn reap(&mut self) {
        while let Some(ended) = self.tasks.try_join_next() {
            if let Err(error) = ended {
                // A panic is our bug.
                tracing::error!(%error, "a task failed");
            }
        }
    }

    fn on_datagram(&mut self, received: &Received) {
        let opened = self.network.terms.datagrams.open(&received.bytes);
        match opened.and_then(|plain| Datagram::parse(&plain).map_err(|error| error.refusal)) {
            Ok(datagram) => {
                self.count_received(&datagram);
                // Who proves an address must answer from it, also where the system would prefer another.
                self.answering = received.to.map(|ip| (received.from, ip));
                self.handle(Input::Datagram { from: received.from, datagram });
                self.answering = None;
            }
            Err(reason) => {
                tracing::trace!(from = %received.from, %reason, "datagram refused");
                self.refuse(reason);
            }
        }
    }

    // --- What follows

    fn transmit(&mut self, transmit: Transmit) {
        match transmit {
            Transmit::Frame { link, frame } => self.send_frame(link, frame),
            Transmit::Stream { stream, link, head, body, offset } => self.stream(stream, link, head, body, offset),
            Transmit::Abandon { stream } => self.abandon(stream),
            Transmit::Collect { body } => self.collect(body),
            Transmit::Append { body, offset, tail } => self.append(body, offset, tail),
            Transmit::Discard { body } => self.discard(body),
            Transmit::Datagram { to, datagram } => self.send_datagram(to.socket(), &datagram),
            Transmit::Dial { dial, to, expected } => {
                self.tasks.spawn(Arc::clone(&self.network).dial(dial, to, expected));
            }
            Transmit::Close { link, reason } => {
                // What was said before comes before.
                self.flush();
                if let Some(handle) = self.links.remove(&link) {
                    handle.close(reason);
                }
            }
        }
    }

    fn send_datagram(&mut self, to: SocketAddr, datagram: &Datagram) {
        self.meters.on_datagram(Direction::Sent, datagram);
        // Datagrams may be lost: by a system that gives no randomness or takes no more, as by the network.
        let Ok(nonce) = random::bytes() else { return };
        let sealed = self.network.terms.datagrams.seal(nonce, &datagram.to_bytes());
        let from = self.answering.filter(|(asker, _)| *asker == to).map(|(_, ip)| ip);
        if let Err(error) = self.network.socket.send_datagram(to, from, &sealed) {
            tracing::trace!(%to, %error, "datagram not sent");
        }
    }

    /// Does a job at once, or has it done: signing and checking cost a tenth of a millisecond, and how many checks there are is
    /// bounded by the challenges that are open.
    fn work(&self, job: JobId, work: Job) -> Option<JobResult> {
        match work {
            Job::Answer { challenge, record } => Some(JobResult::Answered(Answer::sign(challenge, record, &self.keys.identity))),
            Job::VerifyAnswer(answer) => Some(JobResult::Verified(answer.verify())),
            Job::Renew(record) => match SignedRecord::sign(record, &self.keys.identity) {
                Ok(record) => {
                    if let Some(identified) = &self.identified {
                        identified.send_modify(|me| me.record = record.clone());
                    }
                    Some(JobResult::Renewed(record))
                }
                Err(error) => {
                    tracing::error!(%error, "the record of this peer contradicts itself");
                    None
                }
            },
            Job::OpenSession { to, terms, random } => Some(JobResult::SessionOpened(self.keys.sealing.open(to, &terms, random))),
            Job::AcceptSession { from, share, terms } => Some(JobResult::SessionAccepted(self.keys.sealing.accept(from, share, &terms))),
            Job::Sign(hash) => Some(JobResult::Signed(hash.sign(&self.keys.identity))),
            Job::VerifyMessage { hash, key, signature } => Some(JobResult::MessageVerified(hash.is_signed_by(key, &signature))),
            Job::Admit(record) => match &self.network.hooks {
                Some(hooks) if hooks.admit(RemoteNode::from(&record), job) => None,
                Some(_) => Some(JobResult::Admitted(false)),
                None => Some(JobResult::Admitted(true)),
            },
        }
    }

    fn on_event(&mut self, event: Event) {
        if self.events.receiver_count() > 0 {
            self.tell(event.clone());
        }
        self.meters.on_event(&event);
        match event {
            Event::PeerJoined(peer) => {
                self.remember(peer.record());
                let peer = RemoteNode::from(peer.record());
                if let Some(hooks) = &self.network.hooks {
                    hooks.new_peer(peer);
                }
                self.known.insert(peer.id(), peer);
                self.tell_peers();
            }
            Event::PeerLeft { peer, politely: _ } => {
                self.remember_leaving(peer);
                self.known.remove(&peer);
                self.tell_peers();
            }
            Event::Delivered(delivery) => self.deliver(delivery),
            Event::Opaque { from, payload } => self.deliver_message(Message::opaque(&from, payload)),
            Event::Connected { operation, peer } => match self.waiting.remove(&operation) {
                Some(Waiting::Connect(done)) => {
                    let _ = done.send(Ok(peer));
                }
                Some(Waiting::Rejoin) => self.on_rejoin(Ok(())),
                Some(Waiting::Send(_) | Waiting::Broadcast(_) | Waiting::Lookup(_) | Waiting::Leave) | None => {}
            },
            Event::ConnectFailed { operation, error } => match self.waiting.remove(&operation) {
                Some(Waiting::Connect(done)) => {
                    let _ = done.send(Err(error));
                }
                Some(Waiting::Rejoin) => self.on_rejoin(Err(error)),
                Some(Waiting::Send(_) | Waiting::Broadcast(_) | Waiting::Lookup(_) | Waiting::Leave) | None => {}
            },
            Event::Sent { operation, receipt } => self.sent(operation, Ok(receipt)),
            Event::SendFailed { operation, error } => self.sent(operation, Err(error)),
            Event::BroadcastSent { operation, message, delegates } => {
                if let Some(Waiting::Broadcast(done)) = self.waiting.remove(&operation) {
                    let _ = done.send(Ok((message, delegates)));
                }
            }
            Event::BroadcastFailed { operation, error } => {
                if let Some(Waiting::Broadcast(done)) = self.waiting.remove(&operation) {
                    let _ = done.send(Err(error));
                }
            }
            Event::LookedUp { operation, result } => {
                if let Some(Waiting::Lookup(done)) = self.waiting.remove(&operation) {
                    let _ = done.send(result);
                }
            }
            Event::Left { operation } => {
                self.waiting.remove(&operation);
                self.stage = Stage::Left;
            }
            Event::LinkUp { .. }
            | Event::LinkDown { .. }
            | Event::NeighboursChanged { .. }
            | Event::Lagged { .. }
            | Event::KeyChanged { .. }
            | Event::Refused { .. } => {}
        }
    }

    fn sent(&mut self, operation: Operation, result: Result<cicada_proto::Receipt, cicada_proto::SendError>) {
        match self.waiting.remove(&operation) {
            Some(Waiting::Send(SendDone::Told(done))) => self.tell_sender(done, result),
            Some(
                Waiting::Send(SendDone::Untold(_))
                | Waiting::Rejoin
                | Waiting::Connect(_)
                | Waiting::Broadcast(_)
                | Waiting::Lookup(_)
                | Waiting::Leave,
            )
            | None => {}
        }
    }

    fn deliver(&mut self, delivery: Delivery) {
        self.deliver_message(Message::from(delivery));
    }

    fn deliver_message(&mut self, message: Message) {
        if let Some(hooks) = &self.network.hooks {
            hooks.recv(message.source, message.data.clone());
        }
        // The node counts what the application has not taken, and delivers no more than the queue holds; a bare node's payloads
        // are not counted and may be lost here.
        self.note_delivery();
        self.linger.note();
        if self.delivered.try_send(message).is_err() {
            tracing::debug!("delivery queue full, message dropped");
            self.meters.on_event(&Event::Lagged { dropped: 1 });
            self.tell(Event::Lagged { dropped: 1 });
        }
    }

    fn tell(&self, event: Event) {
        // An error means that nobody listens.
        let _ = self.events.send(event);
    }

    fn tell_peers(&self) {
        self.peers.send_replace(self.known.values().copied().collect());
    }

    // --- The end

    /// Ends every link and task, and closes the endpoint. Politely: after what was queued is flushed.
    async fn end(mut self) {
        let politely = self.stage == Stage::Left;
        self.waiting.clear();
        self.readers.give_up();
        self.end_memory().await;
        // Links that are only being made come to nothing.
        self.identified = None;
        if politely {
            for (_, handle) in std::mem::take(&mut self.links) {
                handle.close(Refusal::Closing);
            }
            let flushed = async { while self.tasks.join_next().await.is_some() {} };
            let _ = timeout(FLUSH, flushed).await;
        }
        self.tasks.shutdown().await;
        let code = if politely { u32::from(Refusal::Closing.number()) } else { 0 };
        self.network.endpoint.close(code.into(), b"");
        // A good-faith effort to tell the other ends.
        let _ = timeout(IDLE, self.network.endpoint.wait_idle()).await;
        self.network.quinn_tasks.end().await;
    }
}

/// Between two looks at the wall time.
const WALL_TIME: Duration = Duration::from_secs(5); // guess: records live for hours

/// When nothing is due: long, and short enough to be added to any clock.
const FAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// How long the node may take to say goodbye.
const LEAVE: Duration = Duration::from_secs(5); // guess

/// How long links may take to flush, all together; each has its own bound below.
const FLUSH: Duration = Duration::from_secs(3); // guess

/// How long closed connections may take to drain. What there is to say is said in the first moment.
const IDLE: Duration = Duration::from_millis(300); // guess

/// How long the socket and the thread of the hooks may take to be let go.
const FREE: Duration = Duration::from_secs(2); // guess
