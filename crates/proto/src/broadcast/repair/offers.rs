//! What this peer has, who is known to have it, and when it is named again.

use crate::{links::LinkId, seen::MessageKey, time::Instant};
use cicada_wire::{Hash, ShortId};
use std::{
    collections::{BTreeMap, BTreeSet, btree_map::Entry},
    time::Duration,
};

/// Bodies that are held, and when they are named. One timer for all of them: what comes together is named together.
#[derive(Debug, Default)]
pub(super) struct Offers {
    pub(super) held: BTreeMap<ShortId, Held>,
    /// When what was never named is: [`SPREADS`] after the last of it came, if that is not too long after the first.
    fresh: Option<Fresh>,
    /// The same for what was pulled.
    pulled: Option<Instant>,
    /// When those not told yet are, and how many pauses there were.
    again: Option<(Instant, usize)>,
    /// Links that have come up, until their other ends were told what they may have missed.
    greetings: BTreeMap<LinkId, Option<Instant>>,
    /// The same by time: asked for after every input, and there are as many as links.
    greetings_due: BTreeSet<(Instant, LinkId)>,
}

#[derive(Clone, Copy, Debug)]
struct Fresh {
    since: Instant,
    due: Instant,
}

/// A body that is held.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) key: MessageKey,
    pub(super) since: Instant,
    /// Whether others behind us are likely to lack it too.
    pulled: bool,
    /// From when on it is named; none while it is arriving.
    ripe: Option<Instant>,
    /// In how many rounds it was named.
    rounds: usize,
    /// Linked peers that have it: they handed it to us, or say so.
    pub(super) know: BTreeSet<Hash>,
    /// Linked peers to whom it was named.
    pub(super) told: BTreeSet<Hash>,
    /// Linked peers that were handed it and did not get all of it.
    pub(super) lacks: BTreeSet<Hash>,
    pub(super) pulls: usize,
    pub(super) served: BTreeMap<LinkId, Served>,
}

/// What was pulled over one link.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Served {
    pub(super) times: usize,
    /// From which byte on, the last time.
    pub(super) offset: usize,
}

impl Held {
    pub(super) fn new(now: Instant, key: MessageKey, pulled: bool) -> Self {
        Self {
            key,
            since: now,
            pulled,
            ripe: None,
            rounds: 0,
            know: BTreeSet::new(),
            told: BTreeSet::new(),
            lacks: BTreeSet::new(),
            pulls: 0,
            served: BTreeMap::new(),
        }
    }

    pub(super) fn is_ripe(&self, now: Instant) -> bool {
        self.ripe.is_some_and(|ripe| ripe <= now)
    }
}

impl Offers {
    /// A body is held, or begins to arrive.
    pub(super) fn keep(&mut self, id: ShortId, held: Held) {
        self.held.insert(id, held);
    }

    /// All of a body is here.
    pub(super) fn arrived(&mut self, now: Instant, id: ShortId) {
        let Some(held) = self.held.get_mut(&id) else { return };
        if held.pulled {
            let ripe = now + AFTER_PULL;
            held.ripe = Some(ripe);
            self.pulled = Some(self.pulled.map_or(ripe, |due| due.min(ripe)));
        } else {
            let ripe = now + SPREADS;
            held.ripe = Some(ripe);
            let since = self.fresh.map_or(now, |fresh| fresh.since);
            self.fresh = Some(Fresh { since, due: ripe.min(since + LONGEST_BATCH) });
        }
    }

    pub(super) fn forget(&mut self, id: ShortId) {
        self.held.remove(&id);
        if self.held.is_empty() {
            (self.fresh, self.pulled, self.again) = (None, None, None);
        }
    }

    pub(super) fn knows(&mut self, id: ShortId, peer: Hash) {
        if let Some(held) = self.held.get_mut(&id) {
            held.know.insert(peer);
        }
    }

    pub(super) fn tells(&mut self, id: ShortId, peer: Hash) {
        if let Some(held) = self.held.get_mut(&id) {
            held.told.insert(peer);
        }
    }

    // --- Links

    /// The other end of a link that has come up is told what it may have missed, once what goes round just now has had time to
    /// reach it by itself. A link may be said to be up several times.
    pub(super) fn greet(&mut self, now: Instant, link: LinkId) {
        let due = (!self.held.is_empty()).then(|| now + SPREADS);
        if let Entry::Vacant(vacant) = self.greetings.entry(link) {
            vacant.insert(due);
            self.greetings_due.extend(due.map(|due| (due, link)));
        }
    }

    pub(super) fn link_down(&mut self, link: LinkId) {
        if let Some(Some(due)) = self.greetings.remove(&link) {
            self.greetings_due.remove(&(due, link));
        }
        for held in self.held.values_mut() {
            held.served.remove(&link);
        }
    }

    /// Who comes back may be another start of the peer, which has forgotten everything.
    pub(super) fn peer_lost(&mut self, peer: Hash) {
        for held in self.held.values_mut() {
            held.know.remove(&peer);
            held.told.remove(&peer);
            held.lacks.remove(&peer);
        }
    }

    // --- Time

    pub(super) fn next_timeout(&self) -> Option<Instant> {
        let greetings = self.greetings_due.first().map(|(due, _)| *due);
        [self.fresh.map(|fresh| fresh.due), self.pulled, self.again.map(|(due, _)| due), greetings].into_iter().flatten().min()
    }

    pub(super) fn greetings_due(&mut self, now: Instant) -> Vec<LinkId> {
        let mut links = Vec::new();
        while let Some((due, link)) = self.greetings_due.pop_first() {
            if due > now {
                self.greetings_due.insert((due, link));
                break;
            }
            self.greetings.insert(link, None);
            links.push(link);
        }
        links.sort_unstable();
        links
    }

    pub(super) fn is_round_due(&self, now: Instant) -> bool {
        let rounds = [self.fresh.map(|fresh| fresh.due), self.pulled, self.again.map(|(due, _)| due)];
        rounds.into_iter().flatten().any(|due| due <= now)
    }

    /// What is to be named now, at most `most`; those that were named least come first.
    pub(super) fn ripe(&self, now: Instant, most: usize) -> Vec<ShortId> {
        let ripe = self.held.iter().filter(|(_, held)| held.is_ripe(now) && held.rounds < ROUNDS);
        let mut ripe: Vec<(usize, Option<Instant>, ShortId)> = ripe.map(|(id, held)| (held.rounds, held.ripe, *id)).collect();
        ripe.sort_unstable();
        ripe.into_iter().take(most).map(|(_, _, id)| id).collect()
    }

    /// A round was made; `named` have been named, or nobody is known to lack them.
    pub(super) fn round_done(&mut self, now: Instant, named: impl Iterator<Item = ShortId>) {
        for id in named {
            if let Some(held) = self.held.get_mut(&id) {
                held.rounds += 1;
            }
        }
        let first = self.fresh.is_some_and(|fresh| fresh.due <= now) || self.pulled.is_some_and(|due| due <= now);
        let pauses = match self.again {
            _ if first => 0,
            Some((due, pauses)) if due <= now => pauses + 1,
            Some(_) | None => PAUSES.len(),
        };
        if first || self.again.is_some_and(|(due, _)| due <= now) {
            let open = self.held.values().any(|held| held.rounds > 0 && held.rounds < ROUNDS);
            self.again = PAUSES.get(pauses).filter(|_| open).map(|pause| (now + *pause, pauses));
        }
        self.pulled = self.pulled.filter(|due| *due > now);
        // What was not ripe, or more than one round names.
        let unnamed = self.held.values().filter(|held| held.rounds == 0).filter_map(|held| held.ripe).max();
        self.fresh = unnamed.map(|ripe| Fresh { since: now, due: ripe.max(now + LEAST_PAUSE) });
    }
}

/// A broadcast has this long to spread by itself before it is named.
pub(super) const SPREADS: Duration = Duration::from_secs(1); // architecture

/// The same for one that was pulled: others behind us lack it too.
const AFTER_PULL: Duration = Duration::from_millis(200); // architecture

/// When broadcasts come without end, what came first is named after this long.
const LONGEST_BATCH: Duration = Duration::from_secs(3); // guess

/// From one round to the next, if nothing new comes.
const PAUSES: [Duration; 4] = [Duration::from_secs(1), Duration::from_secs(2), Duration::from_secs(4), Duration::from_secs(8)]; // architecture

/// How often a message is named.
const ROUNDS: usize = 1 + PAUSES.len();

/// Between two rounds for what one could not name.
const LEAST_PAUSE: Duration = Duration::from_millis(500); // guess
