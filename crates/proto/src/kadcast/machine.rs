//! The machine itself: what each input leads to.

use super::{
    api::{Blocked, Contact, Figures, Identity, Input, JobId, Outbox},
    context::Context,
    discovery::{Discovery, Sender},
    gate::Gate,
    objects::{Objects, Purpose},
    origin::Receivers,
    settings::{Settings, SettingsError},
    spread::Runs,
    table::Table,
};
use crate::{
    fec::Outcome,
    refusals::Refusals,
    time::{Instant, Wake},
};
use bytes::Bytes;
use cicada_wire::{
    Refusal,
    kadcast::{BUCKETS, Body, CHUNK_OVERHEAD_BYTES, Chunk, Message, RayId},
};
use rand::seq::SliceRandom;
use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
};

/// A Kadcast peer.
#[derive(Debug)]
pub struct Machine {
    settings: Settings,
    me: Identity,
    rng: ChaCha8Rng,
    refusals: Refusals,
    figures: Figures,
    started: bool,
    jobs: u64,
    gate: Gate,
    discovery: Discovery,
    objects: Objects,
}

impl Machine {
    /// A peer that knows nobody. Its first input is [`Input::Wake`].
    ///
    /// # Errors
    /// When the settings cannot be.
    pub fn new(settings: Settings, me: Identity, seed: u64) -> Result<Self, SettingsError> {
        settings.check()?;
        Ok(Self {
            settings,
            me,
            rng: ChaCha8Rng::seed_from_u64(seed),
            refusals: Refusals::default(),
            figures: Figures::default(),
            started: false,
            jobs: 0,
            gate: Gate::default(),
            discovery: Discovery::new(Table::new(me)),
            objects: Objects::default(),
        })
    }

    /// Takes an input.
    pub fn handle(&mut self, now: Instant, input: Input, out: &mut Outbox) {
        if let Input::Configure(settings) = input {
            if settings.check().is_ok() {
                let (network, extensions) = (self.settings.network, self.settings.extensions);
                self.settings = Settings { network, extensions, ..*settings };
            }
            return;
        }
        let Self { settings, me, rng, refusals, figures, started, jobs, gate, discovery, objects } = self;
        let header = me.header(settings);
        let mut cx = Context { now, settings, me: *me, header, rng, refusals, figures, jobs, out };
        let cx = &mut cx;
        match input {
            Input::Datagrams { from, bytes, stride } => {
                let from = SocketAddr::new(from.ip().to_canonical(), from.port());
                Arrival { cx, gate, discovery, objects }.on_datagrams(from, &bytes, stride);
            }
            Input::Broadcast { operation, payload, height } => {
                objects.on_own(cx, &discovery.table, operation, payload, Receivers::Everybody(height));
            }
            Input::Send { operation, payload, to } => objects.on_own(cx, &discovery.table, operation, payload, Receivers::These(to)),
            Input::Resolved { bootstrap } => discovery.on_resolved(cx, &bootstrap),
            Input::Coded { job, outcome } => on_coded(cx, discovery, objects, job, outcome),
            Input::Block(whom) => {
                let whom = canonical(whom);
                gate.block(whom, cx.settings.limits.blocked);
                discovery.put_out_if(cx, |address| gate.is_blocked(address));
            }
            Input::Unblock(whom) => gate.unblock(canonical(whom)),
            Input::Configure(_) => {}
            Input::Wake => {
                if !std::mem::replace(started, true) {
                    discovery.start(cx);
                }
                discovery.on_wake(cx);
                objects.on_wake(cx, &discovery.table);
            }
        }
        cx.figures.peers = discovery.table.len();
        objects.count(cx);
    }

    /// When [`Input::Wake`] is wanted next, and why.
    #[must_use]
    pub fn next_timeout(&self) -> Option<(Instant, Wake)> {
        let upkeep = self.discovery.next_timeout().map(|at| (at, Wake::Upkeep));
        let broadcast = self.objects.next_timeout().map(|at| (at, Wake::Broadcast));
        upkeep.into_iter().chain(broadcast).min()
    }

    /// Who this peer is.
    #[must_use]
    pub fn identity(&self) -> Identity {
        self.me
    }

    /// What it is set to.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The table: the peers of each non-empty bucket, least recently heard of first.
    #[must_use]
    pub fn table(&self, now: Instant) -> BTreeMap<u8, Vec<Contact>> {
        let table = &self.discovery.table;
        let contacts = |bucket| table.bucket(bucket).iter().map(|peer| table.contact(now, peer)).collect();
        table.filled_below(BUCKETS).map(|bucket| (bucket, contacts(bucket))).collect()
    }

    /// Up to `limit` peers that have answered what they were asked last, drawn at random.
    pub fn alive(&mut self, limit: usize) -> Vec<SocketAddr> {
        let peers = self.discovery.table.peers().filter(|peer| !peer.doubted);
        let mut alive: Vec<SocketAddr> = peers.map(|peer| peer.address).collect();
        alive.shuffle(&mut self.rng);
        alive.truncate(limit);
        alive
    }

    /// What it has refused, by reason.
    #[must_use]
    pub fn refusals(&self) -> &Refusals {
        &self.refusals
    }

    /// What it has done and holds.
    #[must_use]
    pub fn figures(&self) -> Figures {
        self.figures
    }
}

/// What follows a message in its datagram is ignored, and must not be kept with a symbol.
fn without_slack(body: Body, datagram_bytes: usize) -> Body {
    match body {
        Body::Broadcast(mut chunk) => {
            if datagram_bytes > CHUNK_OVERHEAD_BYTES + chunk.symbol.data.len() {
                chunk.symbol.data = Bytes::copy_from_slice(&chunk.symbol.data);
            }
            Body::Broadcast(chunk)
        }
        Body::Ping { .. } | Body::Pong { .. } | Body::FindNodes { .. } | Body::Nodes { .. } | Body::Pull(_) => body,
    }
}

fn canonical(whom: Blocked) -> Blocked {
    match whom {
        Blocked::Ip(ip) => Blocked::Ip(ip.to_canonical()),
        Blocked::Peer(address) => Blocked::Peer(SocketAddr::new(address.ip().to_canonical(), address.port())),
    }
}

fn on_coded(cx: &mut Context<'_>, discovery: &Discovery, objects: &mut Objects, job: JobId, outcome: Outcome) {
    let table = &discovery.table;
    match (objects.jobs.remove(&job), outcome) {
        (Some(Purpose::Decode { ray, coding, without }), outcome) => objects.on_decoded(cx, table, (ray, coding, without), outcome),
        (Some(Purpose::Own(own)), Outcome::Encoded(encoded)) => objects.on_encoded(cx, table, own, encoded),
        (Some(Purpose::Complete { ray }), Outcome::Encoded(encoded)) => objects.on_completed(cx, ray, &encoded),
        // An answer to nothing that was asked is the shell's mistake, and harmless.
        (Some(Purpose::Own(_) | Purpose::Complete { .. }) | None, Outcome::Encoded(_) | Outcome::Decoded(_)) => {}
    }
}

/// What datagrams of one sender are handled with.
struct Arrival<'a, 'b> {
    cx: &'a mut Context<'b>,
    gate: &'a mut Gate,
    discovery: &'a mut Discovery,
    objects: &'a mut Objects,
}

impl Arrival<'_, '_> {
    fn on_datagrams(mut self, from: SocketAddr, bytes: &Bytes, stride: usize) {
        let stride = if stride == 0 { bytes.len().max(1) } else { stride };
        let count = bytes.len().div_ceil(stride).max(1);
        self.cx.figures.datagrams_in += count as u64;
        self.cx.figures.bytes_in += bytes.len() as u64;
        if !self.gate.admits(self.cx, from, bytes.len()) {
            return;
        }
        let mut runs = Runs::default();
        let mut touched: BTreeSet<RayId> = BTreeSet::new();
        for at in 0..count {
            let datagram = bytes.slice(at * stride..(at * stride + stride).min(bytes.len()));
            // A symbol that is kept is kept with its datagram, and not with all that came in the same buffer.
            let datagram = if count == 1 { datagram } else { Bytes::copy_from_slice(&datagram) };
            let message = match Message::parse(&datagram) {
                Ok(message) => message,
                Err(reason) => {
                    self.cx.refuse(from, reason);
                    continue;
                }
            };
            if let Some(sender) = self.gate.sender(self.cx, &self.discovery.table, from, message.header) {
                self.on_message(sender, without_slack(message.body, datagram.len()), &mut runs, &mut touched);
            }
        }
        for ray in touched {
            self.objects.consider(self.cx, &self.discovery.table, ray);
        }
        runs.send(self.cx);
    }

    fn on_message(&mut self, sender: Sender, body: Body, runs: &mut Runs, touched: &mut BTreeSet<RayId>) {
        let (cx, discovery) = (&mut *self.cx, &mut *self.discovery);
        match body {
            Body::Ping { version } | Body::Pong { version } | Body::FindNodes { version, .. } | Body::Nodes { version, .. }
                if !discovery.accepts(cx, sender, version) => {}
            Body::Ping { version } => discovery.on_ping(cx, sender, version),
            Body::Pong { version } => {
                discovery.on_pong(cx, sender, version);
                self.vouch(sender);
            }
            Body::FindNodes { version, target } => discovery.on_find(cx, sender, version, target),
            Body::Nodes { version, entries } => {
                discovery.on_nodes(cx, sender, version, &entries);
                self.vouch(sender);
            }
            Body::Broadcast(chunk) => self.on_chunk(sender, &chunk, runs, touched),
            Body::Pull(pull) => self.objects.on_pull(cx, &discovery.table, sender, &pull),
        }
    }

    /// The sender has said that it has a version that we accept.
    fn vouch(&mut self, sender: Sender) {
        self.objects.on_vouched(self.cx, &self.discovery.table, sender.address);
    }

    fn on_chunk(&mut self, sender: Sender, chunk: &Chunk, runs: &mut Runs, touched: &mut BTreeSet<RayId>) {
        let (cx, discovery) = (&mut *self.cx, &mut *self.discovery);
        if discovery.is_rejected(cx.now, sender.address) {
            cx.refuse(sender.source, Refusal::OtherApplication);
            return;
        }
        if discovery.table.knows(sender) {
            discovery.heard(cx, sender, None);
        } else {
            discovery.meet(cx, sender, None);
        }
        if self.objects.on_chunk(cx, &discovery.table, sender, chunk, runs) {
            touched.insert(chunk.ray);
        }
    }
}
