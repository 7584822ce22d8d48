//! Witnesses: members that have met a peer which this one cannot challenge itself.

use crate::{
    config::Families,
    context::Context,
    geometry::Geometry,
    links::Link,
    lists::Subnet,
    overlay::Overlay,
    step::{Asker, Finder, Step},
    time::Instant,
};
use cicada_wire::{Address, Hash, PublicKey, Query, SignedRecord};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// What a witness says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Testimony {
    /// It has met this key there.
    Met(PublicKey),
    /// It has met nobody there yet.
    Nobody,
    /// It does not answer.
    Silence,
}

/// What the witnesses say together.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Finding {
    /// Not enough yet.
    Open,
    /// Enough of them, and nobody says otherwise.
    Key(PublicKey),
    /// They contradict each other, or too few know.
    Nothing,
}

/// Those who are asked about one address: members that are known here, and if they do not know, members near it.
#[derive(Debug)]
pub(super) struct Witnesses {
    about: Address,
    asked: BTreeMap<Hash, (SignedRecord, Option<Testimony>)>,
    /// Where they are; those whose subnets are exempt do not count.
    subnets: BTreeSet<Subnet>,
    search: Search,
    /// When those that have met nobody are asked once more.
    again: Option<Instant>,
    rounds: u32,
}

/// The lookup for members near the address, over disjoint paths.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Search {
    Needless,
    UnderWay,
    Over,
}

impl Witnesses {
    /// Asks those members known here that can reach the address and stand nearest to its id, each of another subnet.
    pub(super) fn ask(cx: &mut Context<'_>, overlay: &Overlay, about: Address) -> Self {
        let linked = cx.links.members().map(|link: &Link| link.record.clone());
        let members = overlay.members().into_iter().map(|member| member.record().clone());
        let known: Vec<SignedRecord> = linked.chain(members).collect();
        let (asked, subnets) = (BTreeMap::new(), BTreeSet::new());
        let mut witnesses = Self { about, asked, subnets, search: Search::Needless, again: None, rounds: 0 };
        witnesses.choose(cx, known, MOST_KNOWN, |_| true);
        witnesses.put(cx);
        witnesses
    }

    /// Takes in whom a lookup has met, of each path only so many that no path alone makes a key known; and asks them.
    pub(super) fn on_found_near(&mut self, cx: &mut Context<'_>, near: Vec<(usize, SignedRecord)>) -> Finding {
        if self.search != Search::UnderWay {
            // An earlier doubt's.
            return Finding::Open;
        }
        self.search = Search::Over;
        let paths: BTreeMap<Hash, usize> = near.iter().map(|(path, record)| (record.id(), *path)).collect();
        let mut of_path: BTreeMap<usize, usize> = BTreeMap::new();
        let records = near.into_iter().map(|(_, record)| record).collect();
        self.choose(cx, records, MOST_FOUND, |peer| {
            let taken = paths.get(&peer).map(|path| of_path.entry(*path).or_default());
            taken.is_some_and(|taken| {
                *taken += 1;
                *taken <= MOST_OF_PATH
            })
        });
        self.put(cx);
        self.finding(cx)
    }

    /// Adds the nearest of these that are able and stand in a subnet of their own, at most so many.
    fn choose(&mut self, cx: &Context<'_>, records: Vec<SignedRecord>, most: usize, mut admits: impl FnMut(Hash) -> bool) {
        let (id, family) = (self.about.id(), Families::of_ip(self.about.ip()));
        let is_able =
            |record: &SignedRecord| Families::of(record).meet(family) && record.id() != id && !self.asked.contains_key(&record.id());
        let mut able: BTreeMap<Hash, SignedRecord> = records.into_iter().filter(is_able).map(|record| (record.id(), record)).collect();
        let mut room = most;
        while room > 0 {
            let Some(nearest) = able.keys().copied().min_by_key(|peer| Geometry::Tree.offset(id, *peer)) else { return };
            let Some(record) = able.remove(&nearest) else { return };
            let Some(ip) = cx.address(&record).map(Address::ip) else { continue };
            let is_apart = cx.config.limits.is_exempt(ip) || !self.subnets.contains(&Subnet::around(ip));
            if is_apart && admits(nearest) {
                self.subnets.insert(Subnet::around(ip));
                self.asked.insert(nearest, (record, None));
                room -= 1;
            }
        }
    }

    /// Asks all who have not met anybody there.
    fn put(&mut self, cx: &mut Context<'_>) {
        (self.rounds, self.again) = (self.rounds + 1, None);
        for (record, testimony) in self.asked.values_mut() {
            if !matches!(testimony, Some(Testimony::Met(_))) {
                *testimony = None;
                cx.step(Step::Ask { to: record.clone(), query: Query::Witness(self.about), asker: Asker::Notary(self.about) });
            }
        }
    }

    /// Those that have met nobody there have challenged it meanwhile.
    pub(super) fn ask_again(&mut self, cx: &mut Context<'_>) {
        if self.again.is_some_and(|again| again <= cx.now) {
            self.put(cx);
        }
    }

    pub(super) fn due(&self) -> Option<Instant> {
        self.again
    }

    pub(super) fn hear(&mut self, cx: &mut Context<'_>, from: Hash, testimony: Testimony) -> Finding {
        if let Some((_, heard)) = self.asked.get_mut(&from) {
            *heard = Some(testimony);
        }
        self.finding(cx)
    }

    /// What they say so far. What is still lacking is set off.
    pub(super) fn finding(&mut self, cx: &mut Context<'_>) -> Finding {
        let said: Vec<Testimony> = self.asked.values().filter_map(|(_, testimony)| *testimony).collect();
        let keys: BTreeSet<PublicKey> =
            said.iter().filter_map(|said| if let Testimony::Met(key) = said { Some(*key) } else { None }).collect();
        let met = said.iter().filter(|said| matches!(said, Testimony::Met(_))).count();
        let all = said.len() == self.asked.len();
        match (keys.first(), keys.len(), self.search) {
            (_, 2.., _) => Finding::Nothing,
            (Some(key), _, _) if met >= ENOUGH => Finding::Key(*key),
            _ if !all => Finding::Open,
            (_, _, Search::Needless) => {
                self.search = Search::UnderWay;
                cx.step(Step::Find { target: self.about.id(), seeds: Vec::new(), finder: Finder::Notary(self.about) });
                Finding::Open
            }
            (_, _, Search::UnderWay) => Finding::Open,
            // The swarm has no more of them.
            (Some(key), _, Search::Over) if met == self.asked.len() => Finding::Key(*key),
            (_, _, Search::Over) if self.rounds < ROUNDS && !self.asked.is_empty() => {
                self.again.get_or_insert(cx.now + BETWEEN_ROUNDS);
                Finding::Open
            }
            // In a swarm too small for more, most of its members: others have come since the peer went.
            (Some(key), _, Search::Over) if met * 2 > self.asked.len() => Finding::Key(*key),
            (_, _, Search::Over) => Finding::Nothing,
        }
    }
}

/// That many have to agree, where there are so many.
const ENOUGH: usize = 3; // architecture

/// So many of those known here are asked: some may be silent.
const MOST_KNOWN: usize = 5; // guess

/// So many more of those that a lookup has found.
const MOST_FOUND: usize = 5; // guess

/// No more of them from one path: whoever holds it cannot bear witness alone.
const MOST_OF_PATH: usize = ENOUGH - 1;

/// How often they are asked: whoever knows nobody at an address challenges it when it is asked.
const ROUNDS: u32 = 4; // guess
const BETWEEN_ROUNDS: Duration = Duration::from_millis(400); // guess: a usual round trip and some
