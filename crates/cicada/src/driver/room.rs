//! The room for long payloads that are arriving: who is given some, and who gives some up for that.
//!
//! A payload takes its room from its head on, also if its bytes drip. As long as there is room, that harms nobody. When there is none
//! for somebody who holds less than an equal share of it, streams are given up: only such as are slow ([`PACE`]), and only of a party
//! that holds more than an equal share; of the party that holds most first, and of its streams the slowest. A link may always replace
//! slow streams of its own.
//!
//! So whoever holds no more than an equal share, or keeps the pace, loses nothing, whatever the others open. Who fills the room has to
//! pay for it with bytes, all the time. A party is a subnet, or a link where subnets do not count, so that more links are no more
//! shares.

use cicada_proto::{BodyId, LinkId, lists::Subnet};
use std::{
    cmp::{Ordering, Reverse},
    collections::BTreeMap,
    time::Duration,
};
use tokio::time::Instant;

/// Who has a share of the room.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Party {
    /// All from one subnet.
    Subnet(Subnet),
    /// One link from an address that is exempt from bounds.
    Link(LinkId),
}

/// What a payload is kept among: the node bounds each for itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Shelf {
    Broadcasts,
    Unicasts,
}

/// A payload that is arriving, or wants to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tenant {
    pub(super) link: LinkId,
    pub(super) party: Party,
    pub(super) shelf: Shelf,
    /// What its link has announced with it.
    pub(super) announced: usize,
    /// What it takes on its shelf: less, if it only passes through.
    pub(super) takes: usize,
}

/// One that is here, and how it comes along.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stream {
    pub(super) body: BodyId,
    pub(super) tenant: Tenant,
    pub(super) progress: Progress,
}

/// How much came in which time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Progress {
    pub(super) brought: usize,
    pub(super) age: Duration,
    /// How long it may take to begin.
    pub(super) grace: Duration,
}

impl Progress {
    /// Whether it brings so little that others come first.
    pub(super) fn is_slow(&self) -> bool {
        let due = self.age.saturating_sub(self.grace).as_micros() * u128::from(PACE) / 1_000_000;
        (self.brought as u128) < due
    }

    /// By bytes a time.
    fn compare(&self, other: &Self) -> Ordering {
        let (ours, theirs) = (self.brought as u128 * other.age.as_micros(), other.brought as u128 * self.age.as_micros());
        ours.cmp(&theirs).then(other.age.cmp(&self.age))
    }
}

/// How much there is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Room {
    /// What one link may announce.
    pub(super) of_link: usize,
    /// What fits on a shelf.
    pub(super) of_shelf: usize,
    /// Slow ones stay: a fault.
    pub(super) keeps_slow: bool,
}

impl Room {
    /// Which streams must go so that `wanted` fits, if it can: the first of `here` that are named are enough.
    pub(super) fn make(&self, here: &[Stream], wanted: &Tenant) -> Option<Vec<BodyId>> {
        let mut staying: Vec<Stream> = here.to_vec();
        let mut going = Vec::new();
        self.make_of_link(&mut staying, wanted, &mut going)?;
        self.make_on_shelf(&mut staying, wanted, &mut going)?;
        Some(going)
    }

    /// A link that has announced all that it may replaces what it brings slowly.
    fn make_of_link(&self, staying: &mut Vec<Stream>, wanted: &Tenant, going: &mut Vec<BodyId>) -> Option<()> {
        loop {
            let own = staying.iter().filter(|stream| stream.tenant.link == wanted.link);
            let announced: usize = own.map(|stream| stream.tenant.announced).sum();
            if announced.saturating_add(wanted.announced) <= self.of_link {
                return Some(());
            }
            self.give_up(staying, going, |stream| (stream.tenant.link == wanted.link).then_some(0))?;
        }
    }

    /// Those who hold more than an equal share make room for one who holds less.
    fn make_on_shelf(&self, staying: &mut Vec<Stream>, wanted: &Tenant, going: &mut Vec<BodyId>) -> Option<()> {
        let mut shares = Shares::of(staying, wanted);
        let equal = self.of_shelf / shares.0.len().max(1);
        let entitled = shares.held(wanted.party) < equal;
        while shares.total().saturating_add(wanted.takes) > self.of_shelf {
            self.give_up(staying, going, |stream| {
                let held = shares.held(stream.tenant.party);
                let may_go = stream.tenant.link == wanted.link || (entitled && held > equal);
                (stream.tenant.shelf == wanted.shelf && may_go).then_some(held)
            })?;
            shares = Shares::of(staying, wanted);
        }
        Some(())
    }

    /// Gives up one of those that may go: of whoever holds most, the slowest.
    fn give_up(&self, staying: &mut Vec<Stream>, going: &mut Vec<BodyId>, may_go: impl Fn(&Stream) -> Option<usize>) -> Option<()> {
        let slow = staying.iter().enumerate().filter(|(_, stream)| stream.progress.is_slow() && !self.keeps_slow);
        let able = slow.filter_map(|(place, stream)| may_go(stream).map(|held| (place, Reverse(held), stream)));
        let order = |one: &Stream, other: &Stream| one.progress.compare(&other.progress).then(one.body.cmp(&other.body));
        let (place, _, _) = able.min_by(|(_, held, one), (_, held_too, other)| held.cmp(held_too).then_with(|| order(one, other)))?;
        going.push(staying.remove(place).body);
        Some(())
    }
}

/// What each party holds of a shelf, whoever wants a part of it included.
struct Shares(BTreeMap<Party, usize>);

impl Shares {
    fn of(staying: &[Stream], wanted: &Tenant) -> Self {
        let mut held = BTreeMap::from([(wanted.party, 0)]);
        for stream in staying.iter().filter(|stream| stream.tenant.shelf == wanted.shelf) {
            *held.entry(stream.tenant.party).or_default() += stream.tenant.takes;
        }
        Self(held)
    }

    fn held(&self, party: Party) -> usize {
        self.0.get(&party).copied().unwrap_or_default()
    }

    fn total(&self) -> usize {
        self.0.values().sum()
    }
}

/// Who broke off a slow stream lately: its next ones have no time to begin in. Else whoever announces anew all the time would
/// always be at the beginning.
#[derive(Debug, Default)]
pub(super) struct Doubts(BTreeMap<Party, Instant>);

impl Doubts {
    /// A stream of this party has ended before it was whole.
    pub(super) fn note(&mut self, now: Instant, party: Party, progress: Progress) {
        self.0.retain(|_, until| *until > now);
        if !(Progress { grace: Duration::ZERO, ..progress }).is_slow() {
            return;
        }
        let oldest = self.0.iter().min_by_key(|(_, until)| **until).map(|(party, _)| *party);
        if let Some(oldest) = oldest.filter(|_| self.0.len() >= MOST_DOUBTS) {
            self.0.remove(&oldest);
        }
        self.0.insert(party, now + DOUBTED);
    }

    /// How long a new stream of this party may take to begin.
    pub(super) fn grace(&self, now: Instant, party: Party) -> Duration {
        let doubted = self.0.get(&party).is_some_and(|until| *until > now);
        if doubted { Duration::ZERO } else { GRACE }
    }
}

/// Bytes a second. A stream that brings less, on average after its [`GRACE`], is slow: others come first where there is no room for all.
const PACE: u32 = 256 * 1024; // guess: 2 Mbit/s; the longest message of the default limits takes a minute

/// How long a stream may take to begin.
///
/// Meanwhile whoever has begun as well may find no room, and most of those who were refused ask for it once more a second later.
const GRACE: Duration = Duration::from_millis(500); // guess: two round trips of the longest paths

/// How long a party is remembered for a stream that it broke off.
const DOUBTED: Duration = Duration::from_secs(60); // guess: as long as a stream of the longest message at the pace

/// Parties so remembered; then the oldest is forgotten.
const MOST_DOUBTS: usize = 256; // guess: more than there are links

#[cfg(test)]
mod tests;
