//! Witnesses: members that have met a peer which this one cannot challenge itself.

use crate::{
    config::Families,
    context::Context,
    geometry::Geometry,
    links::Link,
    lists::Subnet,
    overlay::Overlay,
    step::{Asker, Step},
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

/// Those who are asked about one address.
#[derive(Debug)]
pub(super) struct Witnesses {
    asked: BTreeMap<Hash, (SignedRecord, Option<Testimony>)>,
    /// When those that have met nobody are asked once more.
    again: Option<Instant>,
    rounds: u32,
}

impl Witnesses {
    /// Asks those members that can reach the address and stand nearest to its id, each of another subnet. `None` if there are none.
    pub(super) fn ask(cx: &mut Context<'_>, overlay: &Overlay, about: Address) -> Option<Self> {
        let (id, family) = (about.id(), Families::of_ip(about.ip()));
        let linked = cx.links.members().map(|link: &Link| link.record.clone());
        let members = overlay.members().into_iter().map(|member| member.record().clone());
        let mut able: BTreeMap<Hash, SignedRecord> =
            linked.chain(members).filter(|record| Families::of(record).meet(family) && record.id() != id).map(|r| (r.id(), r)).collect();
        let mut asked = BTreeMap::new();
        let mut subnets: BTreeSet<Subnet> = BTreeSet::new();
        while asked.len() < MOST_ASKED {
            let Some(nearest) = able.keys().copied().min_by_key(|peer| Geometry::Tree.offset(id, *peer)) else { break };
            let Some(record) = able.remove(&nearest) else { break };
            let Some(ip) = cx.address(&record).map(Address::ip) else { continue };
            if cx.config.limits.is_exempt(ip) || subnets.insert(Subnet::around(ip)) {
                asked.insert(nearest, (record, None));
            }
        }
        if asked.is_empty() {
            return None;
        }
        let mut witnesses = Self { asked, again: None, rounds: 0 };
        witnesses.put(cx, about);
        Some(witnesses)
    }

    fn put(&mut self, cx: &mut Context<'_>, about: Address) {
        (self.rounds, self.again) = (self.rounds + 1, None);
        for (record, testimony) in self.asked.values_mut() {
            if !matches!(testimony, Some(Testimony::Met(_))) {
                *testimony = None;
                cx.step(Step::Ask { to: record.clone(), query: Query::Witness(about), asker: Asker::Notary(about) });
            }
        }
    }

    /// Those that have met nobody there have challenged it meanwhile.
    pub(super) fn ask_again(&mut self, cx: &mut Context<'_>, about: Address) {
        if self.again.is_some_and(|again| again <= cx.now) {
            self.put(cx, about);
        }
    }

    pub(super) fn due(&self) -> Option<Instant> {
        self.again
    }

    pub(super) fn hear(&mut self, now: Instant, from: Hash, testimony: Testimony) -> Finding {
        if let Some((_, heard)) = self.asked.get_mut(&from) {
            *heard = Some(testimony);
        }
        let said: Vec<Testimony> = self.asked.values().filter_map(|(_, testimony)| *testimony).collect();
        let keys: BTreeSet<PublicKey> =
            said.iter().filter_map(|said| if let Testimony::Met(key) = said { Some(*key) } else { None }).collect();
        let met = said.iter().filter(|said| matches!(said, Testimony::Met(_))).count();
        let all = said.len() == self.asked.len();
        match (keys.first(), keys.len()) {
            (Some(key), 1) if met >= ENOUGH || (all && met == self.asked.len()) => Finding::Key(*key),
            (_, 2..) => Finding::Nothing,
            _ if !all => Finding::Open,
            _ if self.rounds < ROUNDS => {
                self.again.get_or_insert(now + BETWEEN_ROUNDS);
                Finding::Open
            }
            // In a swarm too small for more, most of its members: others have come since the peer went.
            (Some(key), 1) if met * 2 > self.asked.len() => Finding::Key(*key),
            _ => Finding::Nothing,
        }
    }
}

/// That many have to agree, where there are so many.
const ENOUGH: usize = 3; // architecture

/// So many are asked: some may be silent.
const MOST_ASKED: usize = 5; // guess

/// How often they are asked: whoever knows nobody at an address challenges it when it is asked.
const ROUNDS: u32 = 4; // guess
const BETWEEN_ROUNDS: Duration = Duration::from_millis(400); // guess: a usual round trip and some
