//! Messages on their way in, and those that are here: symbols are gathered and handed on as they come, the whole is checked against its
//! name, told once, and kept for a while for those who lack symbols of it.
//!
//! At each bound something gives way: of one sender's objects the one without progress for longest, of all those of the sender that has
//! most. Finished payloads are kept as long as there is room. Names are remembered longest.

use super::{
    api::{Event, JobId},
    arriving::{Arriving, Owner},
    context::{Context, Purse},
    discovery::Sender,
    spread::{Runs, Spread},
    table::Table,
};
use crate::{
    fec::{Assembly, Brought, Decoded, Encoded, Outcome, Readiness, Selection, Task},
    rate::Buckets,
    seen::Window,
    time::Instant,
};
use bytes::Bytes;
use cicada_wire::{
    Refusal,
    kadcast::{Chunk, Coding, Layout, RayId, Symbol},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    time::Duration,
};

/// All messages that this peer has to do with.
#[derive(Debug, Default)]
pub(super) struct Objects {
    pub(super) arriving: BTreeMap<RayId, Arriving>,
    /// Whose objects they are, the one without progress for longest first.
    owners: BTreeMap<Owner, BTreeSet<(Instant, RayId)>>,
    /// Bytes of the symbols of all of them.
    held: usize,
    pub(super) done: BTreeMap<RayId, Done>,
    /// Bytes of the payloads of all of those.
    kept: usize,
    seen: Window<RayId, ()>,
    due: BTreeSet<(Instant, RayId)>,
    pub(super) jobs: BTreeMap<JobId, Purpose>,
    pub(super) pulls_of: Buckets<SocketAddr>,
}

/// What a job is for.
#[derive(Debug)]
pub(super) enum Purpose {
    /// To put an object together, without the symbols of somebody.
    Decode { ray: RayId, coding: Coding, without: Option<SocketAddr> },
    /// To send a payload of our own.
    Own(super::origin::Own),
    /// To complete what delegates get that need everything.
    Complete { ray: RayId },
}

/// A symbol that was let in.
struct Coming<'a> {
    sender: Sender,
    chunk: &'a Chunk,
    layout: Layout,
    /// Below which bucket it is ours to hand on.
    below: u8,
    known: bool,
}

/// A message that was told.
#[derive(Debug)]
pub(super) struct Done {
    pub(super) layout: Layout,
    pub(super) payload: Bytes,
    pub(super) repair: Vec<Symbol>,
    pub(super) spread: Spread,
    /// When delegates that need everything get what they lack; then nothing.
    complete_at: Option<Instant>,
    until: Instant,
    due: Instant,
}

impl Objects {
    pub(super) fn count(&self, cx: &mut Context<'_>) {
        cx.figures.arriving = self.arriving.len();
        cx.figures.held_bytes = self.held;
        cx.figures.kept_bytes = self.kept;
    }

    // --- Symbols come

    /// A chunk that passed the gate. `known`: its sender is in the table. Says whether it belongs to an object that is not whole.
    pub(super) fn on_chunk(&mut self, cx: &mut Context<'_>, table: &Table, sender: Sender, chunk: &Chunk, runs: &mut Runs) -> bool {
        let layout = match chunk.coding.layout().and_then(|layout| layout.check(&chunk.symbol).map(|()| layout)) {
            Ok(layout) if layout.length() <= cx.settings.limits.object_bytes => layout,
            Ok(_) => {
                cx.refuse(sender.source, Refusal::TooLarge);
                return false;
            }
            Err(reason) => {
                cx.refuse(sender.source, reason);
                return false;
            }
        };
        let known = table.knows(sender);
        // A relay hands over its side of the bucket in which the two lie, and nobody more.
        let honest = table.bucket_of(sender.header.id).unwrap_or_default();
        if chunk.height > honest {
            cx.refuse(sender.source, Refusal::NotAdmissible);
        }
        let height = chunk.height.min(honest);
        let below = if known && cx.settings.relay { height } else { 0 };
        if let Some(done) = self.done.get_mut(&chunk.ray) {
            cx.figures.symbols_spare += 1;
            done.on_late(cx, table, chunk, sender, below, runs);
            return false;
        }
        if self.seen.contains(cx.now, &chunk.ray) {
            cx.refuse(sender.source, Refusal::Seen);
            return false;
        }
        if !self.arriving.contains_key(&chunk.ray) {
            self.begin(cx, chunk.ray, sender.address, known);
        }
        let Some(arriving) = self.arriving.get_mut(&chunk.ray) else { return false };
        arriving.height = arriving.height.max(height);
        arriving.vouched |= known || cx.settings.accepts.accepts_all();
        let before = arriving.bytes();
        let assembly = arriving.assembly_for(layout, known);
        let brought = assembly.map(|assembly| assembly.bring(&chunk.symbol, sender.address, known));
        self.held = self.held + arriving.bytes() - before;
        match brought {
            Some(brought) => self.on_brought(cx, table, &Coming { sender, chunk, layout, below, known }, brought, runs),
            None => cx.refuse(sender.source, Refusal::BadCoding),
        }
        self.make_room(cx, chunk.ray, sender);
        true
    }

    fn on_brought(&mut self, cx: &mut Context<'_>, table: &Table, coming: &Coming<'_>, brought: Brought, runs: &mut Runs) {
        let Coming { sender, chunk, layout, below, known } = coming;
        let Some(arriving) = self.arriving.get_mut(&chunk.ray) else { return };
        match brought {
            Brought::New | Brought::Spare => {}
            // Whoever is wrong, it is not handed on again.
            Brought::Contested => return,
            Brought::TooMany => {
                cx.refuse(sender.source, Refusal::TooManySymbols);
                return;
            }
        }
        if !arriving.senders.contains(&sender.address) && arriving.senders.len() < MOST_SENDERS {
            arriving.senders.push(sender.address);
        }
        if brought != Brought::New {
            cx.figures.symbols_spare += 1;
        } else if *known || arriving.owner == Owner::Strangers {
            disown(&mut self.owners, arriving.owner, (arriving.progress, chunk.ray));
            // What a known peer brings symbols of is not at the mercy of strangers.
            arriving.owner =
                if *known && arriving.owner == Owner::Strangers { Owner::Known(Purse::of(sender.address)) } else { arriving.owner };
            arriving.progress = cx.now;
            arriving.in_vain = 0;
            self.owners.entry(arriving.owner).or_default().insert((cx.now, chunk.ray));
            arriving.pull_at = arriving.pull_at.max(cx.now + arriving.patience());
        }
        let polluted = arriving.assembly(chunk.coding).is_some_and(Assembly::is_polluted);
        if *below > 0 && !polluted {
            cx.figures.symbols_relayed += u64::from(brought == Brought::New);
            arriving.spread.cover(cx, table, (chunk.ray, layout), &chunk.symbol, *below, runs);
        }
    }

    fn begin(&mut self, cx: &mut Context<'_>, ray: RayId, sender: SocketAddr, known: bool) {
        let owner = if known { Owner::Known(Purse::of(sender)) } else { Owner::Strangers };
        let most_of_one = (cx.settings.limits.objects / OBJECT_SHARES).max(1);
        let of_one = self.owners.get(&owner).map_or(0, BTreeSet::len);
        if of_one >= most_of_one {
            self.give_up_of(cx, owner);
        }
        if self.arriving.len() >= cx.settings.limits.objects
            && let Some(owner) = self.owners.iter().max_by_key(|(_, rays)| rays.len()).map(|(owner, _)| *owner)
        {
            self.give_up_of(cx, owner);
        }
        let due = cx.now + cx.settings.limits.object_time;
        let arriving = Arriving::new(cx.now, due, owner);
        self.held += arriving.bytes();
        self.owners.entry(owner).or_default().insert((cx.now, ray));
        self.due.insert((due, ray));
        self.arriving.insert(ray, arriving);
    }

    /// Gives objects up until the bytes of all of them, and of the one that this one belongs to, are within their bounds.
    fn make_room(&mut self, cx: &mut Context<'_>, ray: RayId, sender: Sender) {
        let limits = &cx.settings.limits;
        let Some(owner) = self.arriving.get(&ray).map(|arriving| arriving.owner) else { return };
        while self.bytes_of(owner) > limits.held_bytes_per_sender {
            cx.refuse(sender.source, Refusal::NoMemory);
            self.give_up_of(cx, owner);
        }
        while self.held > limits.held_bytes {
            cx.refuse(sender.source, Refusal::NoMemory);
            let Some(most) = self.owners.keys().copied().max_by_key(|owner| self.bytes_of(*owner)) else { return };
            self.give_up_of(cx, most);
        }
    }

    fn bytes_of(&self, owner: Owner) -> usize {
        // Bounded by the objects of one owner; looked at only near the bound.
        if self.held < NEAR_NO_BOUND {
            return 0;
        }
        let rays = self.owners.get(&owner).into_iter().flatten();
        rays.filter_map(|(_, ray)| self.arriving.get(ray)).map(Arriving::bytes).sum()
    }

    fn give_up_of(&mut self, cx: &mut Context<'_>, owner: Owner) {
        let Some((_, ray)) = self.owners.get(&owner).and_then(|rays| rays.first()).copied() else {
            self.owners.remove(&owner);
            return;
        };
        cx.figures.abandoned += 1;
        self.forget(ray);
    }

    fn forget(&mut self, ray: RayId) -> Option<Arriving> {
        let arriving = self.arriving.remove(&ray)?;
        self.held = self.held.saturating_sub(arriving.bytes());
        self.due.remove(&(arriving.due, ray));
        disown(&mut self.owners, arriving.owner, (arriving.progress, ray));
        Some(arriving)
    }

    // --- Symbols become messages

    /// Looks whether an object to which symbols came can be put together.
    pub(super) fn consider(&mut self, cx: &mut Context<'_>, table: &Table, ray: RayId) {
        let Some(arriving) = self.arriving.get_mut(&ray).filter(|arriving| !arriving.decoding && arriving.whole.is_none()) else { return };
        if let Some(coding) = arriving.ready(cx.now, cx.settings.limits.attempts) {
            self.try_to_decode(cx, table, ray, coding);
        }
        self.arrange(cx, ray);
    }

    fn try_to_decode(&mut self, cx: &mut Context<'_>, table: &Table, ray: RayId, coding: Coding) {
        let most_tries = cx.settings.limits.attempts;
        let Some(arriving) = self.arriving.get_mut(&ray) else { return };
        let Some(assembly) = arriving.assembly_mut(coding) else { return };
        let Some(Selection { symbols, without }) = assembly.next_selection(most_tries) else { return };
        cx.figures.decodings += 1;
        let layout = *assembly.layout();
        let short = assembly.readiness() == Readiness::Sources && layout.length() <= AT_ONCE_BYTES;
        let task = Task::Decode { ray, layout, symbols };
        arriving.decoding = true;
        if short {
            // A few microseconds of hashing: not worth a job.
            self.on_decoded(cx, table, (ray, coding, without), task.run());
        } else {
            let job = cx.code(task);
            self.jobs.insert(job, Purpose::Decode { ray, coding, without });
        }
    }

    /// A try has ended.
    pub(super) fn on_decoded(
        &mut self,
        cx: &mut Context<'_>,
        table: &Table,
        (ray, coding, without): (RayId, Coding, Option<SocketAddr>),
        outcome: Outcome,
    ) {
        let Some(arriving) = self.arriving.get_mut(&ray) else { return };
        arriving.decoding = false;
        let Some(assembly) = arriving.assembly_mut(coding) else { return };
        match outcome {
            Outcome::Decoded(Decoded::Whole(payload)) => {
                if let Some(forger) = without {
                    cx.refuse(forger, Refusal::Forged);
                }
                let layout = *assembly.layout();
                arriving.whole = Some((payload, layout));
                self.tell(cx, table, ray);
            }
            Outcome::Decoded(Decoded::TooFew) => {
                assembly.wait_for_more();
                self.arrange(cx, ray);
            }
            Outcome::Decoded(Decoded::Forged) => {
                cx.figures.forged += 1;
                self.try_to_decode(cx, table, ray, coding);
                // There may be another coding.
                self.consider(cx, table, ray);
            }
            // Of a task that was to decode nothing else comes.
            Outcome::Encoded(_) => {}
        }
    }

    /// Tells a message that is whole, if a sender of it is known to have a version that we accept.
    fn tell(&mut self, cx: &mut Context<'_>, table: &Table, ray: RayId) {
        if !self.arriving.get(&ray).is_some_and(|arriving| arriving.vouched && arriving.whole.is_some()) {
            return;
        }
        let Some(arriving) = self.forget(ray) else { return };
        let Some((payload, layout)) = arriving.whole.clone() else { return };
        let Some(from) = arriving.senders.last().copied() else { return };
        cx.figures.delivered += 1;
        cx.event(Event::Message { payload: payload.clone(), from, height: arriving.height, ray });
        let repair = arriving.assembly(layout.coding()).map_or_else(Vec::new, repair_symbols);
        let mut spread = arriving.spread;
        if cx.settings.relay {
            spread.widen(arriving.height);
        }
        self.keep(cx, table, ray, Done::new(cx, layout, payload, repair, spread));
    }

    /// Somebody is known to have a version that we accept: what waited for it is told.
    pub(super) fn on_vouched(&mut self, cx: &mut Context<'_>, table: &Table, peer: SocketAddr) {
        let brought = |arriving: &Arriving| !arriving.vouched && arriving.senders.contains(&peer);
        let rays: Vec<RayId> = self.arriving.iter().filter(|(_, arriving)| brought(arriving)).map(|(ray, _)| *ray).collect();
        for ray in rays {
            if let Some(arriving) = self.arriving.get_mut(&ray) {
                arriving.vouched = true;
            }
            self.tell(cx, table, ray);
        }
    }

    /// Remembers a message, and keeps its payload while there is room.
    pub(super) fn keep(&mut self, cx: &mut Context<'_>, table: &Table, ray: RayId, done: Done) {
        self.seen.insert(cx.now, ray, (), cx.now + cx.settings.remember, cx.settings.limits.remembered);
        self.kept += done.bytes();
        self.due.insert((done.due, ray));
        if let Some(earlier) = self.done.insert(ray, done) {
            self.kept -= earlier.bytes();
            self.due.remove(&(earlier.due, ray));
        }
        while self.kept > cx.settings.limits.kept_bytes && self.done.len() > 1 {
            let oldest = self.done.iter().filter(|(other, _)| **other != ray).min_by_key(|(_, done)| done.until);
            let Some(oldest) = oldest.map(|(ray, _)| *ray) else { break };
            self.let_go(oldest);
        }
        if self.done.get(&ray).is_some_and(|done| !done.spread.has_begun() && done.spread.below() > 0) {
            self.complete(cx, table, ray);
        }
    }

    fn let_go(&mut self, ray: RayId) {
        if let Some(done) = self.done.remove(&ray) {
            self.kept -= done.bytes();
            self.due.remove(&(done.due, ray));
        }
    }

    // --- What delegates lack

    /// Everything is here: delegates that need everything get what did not pass here. If nothing did, all delegates do.
    fn complete(&mut self, cx: &mut Context<'_>, table: &Table, ray: RayId) {
        let Some(done) = self.done.get_mut(&ray) else { return };
        done.complete_at = None;
        let fresh = !done.spread.has_begun();
        done.spread.choose_all(cx, table, &done.layout);
        if !fresh && !done.spread.has_complete_delegates() {
            return;
        }
        let mut runs = Runs::default();
        for symbol in done.source_symbols(|_| true).iter().chain(&done.repair) {
            if fresh {
                let below = done.spread.below();
                done.spread.cover(cx, table, (ray, &done.layout), symbol, below, &mut runs);
            } else {
                done.spread.complete((ray, &done.layout), symbol, &mut runs);
            }
        }
        runs.send(cx);
        let layout = done.layout;
        let repair = cx.settings.redundancy.repair_symbols(layout.block_symbols(0));
        let lacking = layout.symbols() > 1 && done.spread.symbols() + MOST_MISSED < layout.symbols() + repair;
        let ours = crate::fec::coding_of(layout.length(), layout.coding().symbol_bytes) == layout.coding();
        if done.spread.has_complete_delegates() && lacking && ours {
            let task = Task::Encode { payload: done.payload.clone(), symbol_bytes: layout.coding().symbol_bytes, repair };
            let job = cx.code(task);
            self.jobs.insert(job, Purpose::Complete { ray });
        }
    }

    /// Repair symbols for delegates that need everything.
    pub(super) fn on_completed(&mut self, cx: &mut Context<'_>, ray: RayId, encoded: &Encoded) {
        let Some(done) = self.done.get_mut(&ray) else { return };
        let mut runs = Runs::default();
        for symbol in &encoded.symbols {
            done.spread.complete((ray, &done.layout), symbol, &mut runs);
        }
        runs.send(cx);
    }

    // --- Time

    /// Arranges when to look at an object next.
    fn arrange(&mut self, cx: &Context<'_>, ray: RayId) {
        let Some(arriving) = self.arriving.get_mut(&ray) else { return };
        let mut due = arriving.begun + cx.settings.limits.object_time;
        due = arriving.next_try(cx.settings.limits.attempts).map_or(due, |next| due.min(next));
        if cx.settings.extensions && arriving.whole.is_none() && arriving.pulls < MOST_PULLS {
            due = due.min(arriving.pull_at);
        }
        self.due.remove(&(arriving.due, ray));
        arriving.due = due;
        self.due.insert((due, ray));
    }

    pub(super) fn on_wake(&mut self, cx: &mut Context<'_>, table: &Table) {
        while let Some((_, ray)) = self.due.first().copied().filter(|(due, _)| *due <= cx.now) {
            self.due.pop_first();
            if self.arriving.contains_key(&ray) {
                self.look_at(cx, table, ray);
            } else {
                self.look_after(cx, table, ray);
            }
        }
    }

    fn look_at(&mut self, cx: &mut Context<'_>, table: &Table, ray: RayId) {
        let Some(arriving) = self.arriving.get(&ray) else { return };
        if cx.now >= arriving.begun + cx.settings.limits.object_time {
            cx.figures.abandoned += 1;
            self.forget(ray);
            return;
        }
        let stalled = cx.settings.extensions && arriving.whole.is_none() && arriving.pulls < MOST_PULLS && arriving.pull_at <= cx.now;
        self.consider(cx, table, ray);
        if stalled {
            self.pull(cx, table, ray);
        }
        self.arrange(cx, ray);
    }

    fn look_after(&mut self, cx: &mut Context<'_>, table: &Table, ray: RayId) {
        let Some(done) = self.done.get_mut(&ray) else { return };
        if done.until <= cx.now {
            self.let_go(ray);
            return;
        }
        done.due = done.until;
        self.due.insert((done.until, ray));
        if done.complete_at.is_some() {
            self.complete(cx, table, ray);
        }
    }

    pub(super) fn next_timeout(&self) -> Option<Instant> {
        self.due.first().map(|(due, _)| *due)
    }
}

/// An object is not this one's any more.
fn disown(owners: &mut BTreeMap<Owner, BTreeSet<(Instant, RayId)>>, owner: Owner, object: (Instant, RayId)) {
    if let Some(rays) = owners.get_mut(&owner) {
        rays.remove(&object);
        if rays.is_empty() {
            owners.remove(&owner);
        }
    }
}

fn repair_symbols(assembly: &Assembly) -> Vec<Symbol> {
    let layout = assembly.layout();
    let repair = |block: u8| {
        let needed = layout.block_symbols(block);
        assembly.numbers(block).filter(move |number| *number as usize >= needed).map(move |number| (block, number))
    };
    // Where something was forged it may be any of these.
    let trusted = !assembly.was_contested();
    let ids = (0..layout.blocks()).flat_map(repair).filter(|_| trusted);
    ids.filter_map(|(block, number)| assembly.symbol(cicada_wire::kadcast::SymbolId { block, number })).collect()
}

impl Done {
    pub(super) fn new(cx: &Context<'_>, layout: Layout, payload: Bytes, repair: Vec<Symbol>, spread: Spread) -> Self {
        let until = cx.now + cx.settings.limits.kept_time;
        let complete_at = (spread.below() > 0).then_some(cx.now + COMPLETED_AFTER);
        Self { layout, payload, repair, spread, complete_at, until, due: complete_at.unwrap_or(until) }
    }

    /// Of our own: the first delegates have had everything.
    pub(super) fn own(cx: &Context<'_>, layout: Layout, payload: Bytes, repair: Vec<Symbol>, spread: Spread) -> Self {
        let until = cx.now + cx.settings.limits.kept_time;
        Self { layout, payload, repair, spread, complete_at: None, until, due: until }
    }

    fn bytes(&self) -> usize {
        self.payload.len() + self.repair.len() * self.layout.symbol_bytes() + super::arriving::OBJECT_OVERHEAD_BYTES
    }

    /// The source symbols for which this holds.
    pub(super) fn source_symbols(&self, keep: impl Fn(cicada_wire::kadcast::SymbolId) -> bool) -> Vec<Symbol> {
        crate::fec::source_symbols(&self.payload, &self.layout, keep)
    }

    /// A symbol of a message that is here already: others may lack it.
    fn on_late(&mut self, cx: &mut Context<'_>, table: &Table, chunk: &Chunk, sender: Sender, below: u8, runs: &mut Runs) {
        // A message of one symbol goes to several delegates of each bucket already: it is handed on once, as by the crate.
        if below == 0 || chunk.coding != self.layout.coding() || self.layout.symbols() == 1 {
            return;
        }
        let block_symbols = self.layout.block_symbols(chunk.symbol.id.block);
        let number = chunk.symbol.id.number as usize;
        if number >= block_symbols * 2 + MOST_MISSED {
            cx.refuse(sender.source, Refusal::TooManySymbols);
            return;
        }
        let expected = || crate::fec::source_symbol(&self.payload, &self.layout, chunk.symbol.id.block, number);
        if number < block_symbols && chunk.symbol.data != expected() {
            cx.refuse(sender.source, Refusal::Forged);
            return;
        }
        cx.figures.symbols_relayed += 1;
        self.spread.cover(cx, table, (chunk.ray, &self.layout), &chunk.symbol, below, runs);
    }
}

/// With all but this many symbols of what would be sent, a delegate has enough.
const MOST_MISSED: usize = 4; // guess

/// When delegates that need everything get what has not come by then.
const COMPLETED_AFTER: Duration = Duration::from_millis(30); // guess: what is on its way has come

/// Pulls for one object.
pub(super) const MOST_PULLS: u32 = 40; // guess: a dozen seconds in vain, or all symbols of the longest object

/// Of all objects that may be arriving one owner has at most this part.
const OBJECT_SHARES: usize = 4; // guess

/// Senders of one object that are remembered.
const MOST_SENDERS: usize = 64; // guess

/// Messages up to this length are put together at once, without a job, if all source symbols are there.
const AT_ONCE_BYTES: usize = 16 * 1024; // guess: 30 microseconds of hashing

/// Nobody holds too much while all hold less than this.
const NEAR_NO_BOUND: usize = 4 << 20; // guess
