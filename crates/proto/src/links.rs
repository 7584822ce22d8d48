//! The links of a node: who is at the other end, which are being made, and which may carry messages.
//!
//! Which links are worth having is the overlay's question; how many there may be, and that nobody is dialled more often than
//! the budgets allow, is decided here.

use crate::{
    config::Config,
    input::LinkUp,
    outbox::{Outbox, Transmit},
    peer::{Me, Places, Proven},
    time::Instant,
};
use cicada_wire::{Address, Hash, LinkSide, PublicKey, Refusal, SignedRecord};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    time::Duration,
};

/// Numbers a link; never used twice.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct LinkId(pub u64);

/// Numbers a dial; never used twice.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct DialId(pub u64);

/// Smoothed round trip and its variation (RFC 6298, section 2).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct RoundTrip {
    smoothed_us: Option<u64>,
    variation_us: u64,
}

impl RoundTrip {
    /// Takes a measurement in.
    pub fn measured(&mut self, sample: Duration) {
        let sample = u64::try_from(sample.as_micros()).unwrap_or(u64::MAX);
        match &mut self.smoothed_us {
            None => {
                self.smoothed_us = Some(sample);
                self.variation_us = sample / 2;
            }
            Some(smoothed) => {
                self.variation_us = (3 * self.variation_us + smoothed.abs_diff(sample)) / 4;
                *smoothed = (7 * *smoothed + sample) / 8;
            }
        }
    }

    /// When to give up waiting for an answer: smoothed + 4 variations, within the bounds given.
    #[must_use]
    pub fn timeout(&self, least: Duration, most: Duration) -> Duration {
        match self.smoothed_us {
            None => most,
            Some(smoothed) => Duration::from_micros(smoothed.saturating_add(4 * self.variation_us)).clamp(least, most),
        }
    }

    /// The smoothed round trip.
    #[must_use]
    pub fn smoothed(&self) -> Option<Duration> {
        self.smoothed_us.map(Duration::from_micros)
    }
}

/// A link that stands.
#[derive(Clone, Debug)]
pub struct Link {
    /// Its number.
    pub id: LinkId,
    /// Who is at the other end.
    pub record: SignedRecord,
    peer: Hash,
    places: Places,
    /// Which end we are.
    pub side: LinkSide,
    /// The other end's socket address.
    pub remote: SocketAddr,
    /// The other end's boot number.
    pub boot: u64,
    /// Set once the other end's announced address is proven. Clients have none and stay unproven.
    pub proven: Option<Proven>,
    /// Since when it stands.
    pub since: Instant,
    /// When something last arrived on it.
    pub heard: Instant,
    /// When an application's message last went either way.
    pub used: Instant,
    /// How long an answer takes.
    pub round_trip: RoundTrip,
    /// Set once an end gives it up, and why: nothing new is sent on it.
    pub closing: Option<Refusal>,
}

impl Link {
    /// Where the other end stands on the circle.
    #[must_use]
    pub fn peer(&self) -> Hash {
        self.peer
    }

    /// Where the other end's record says that it is, in short.
    pub(crate) fn places(&self) -> Places {
        self.places
    }

    /// Whether it is not being given up.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.closing.is_none()
    }

    /// Whether the other end routes for others, has proven its address and was admitted.
    #[must_use]
    pub fn is_member(&self) -> bool {
        self.is_open() && self.proven.is_some()
    }
}

/// A dial under way.
#[derive(Clone, Debug)]
pub struct Dial {
    /// Where to.
    pub to: Address,
    /// Since when.
    pub since: Instant,
}

/// All links and dials of a node. At most one link per peer and one dial per address.
#[derive(Debug, Default)]
pub struct Links {
    links: BTreeMap<LinkId, Link>,
    by_peer: BTreeMap<Hash, LinkId>,
    by_remote: BTreeSet<(SocketAddr, LinkId)>,
    dials: BTreeMap<DialId, Dial>,
    next_dial: u64,
    /// Messages wait for links to these addresses, until then.
    needed: BTreeMap<Address, Instant>,
}

/// What became of the wish for a link.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DialStart {
    /// It stands already.
    Linked(LinkId),
    /// It is being made.
    Dialling(DialId),
    /// It may not be made (now).
    Refused(Refusal),
}

impl Links {
    /// The link with this number.
    #[must_use]
    pub fn link(&self, id: LinkId) -> Option<&Link> {
        self.links.get(&id)
    }

    /// The same, to be changed.
    pub fn link_mut(&mut self, id: LinkId) -> Option<&mut Link> {
        self.links.get_mut(&id)
    }

    /// The link to this peer.
    #[must_use]
    pub fn to_peer(&self, peer: Hash) -> Option<&Link> {
        self.links.get(self.by_peer.get(&peer)?)
    }

    /// Whether a link to this peer stands.
    pub(crate) fn is_linked(&self, peer: Hash) -> bool {
        self.by_peer.contains_key(&peer)
    }

    /// A member's datagram came from where a link leads.
    pub(crate) fn heard_from(&mut self, now: Instant, remote: SocketAddr) -> bool {
        let mut is_linked = false;
        for (_, id) in self.by_remote.range((remote, LinkId(0))..=(remote, LinkId(u64::MAX))) {
            if let Some(link) = self.links.get_mut(id) {
                link.heard = now;
                is_linked = true;
            }
        }
        is_linked
    }

    /// All links, in the order of their numbers.
    pub fn iter(&self) -> impl Iterator<Item = &Link> {
        self.links.values()
    }

    /// The links to proven members: those that messages may be routed over.
    pub fn members(&self) -> impl Iterator<Item = &Link> {
        self.links.values().filter(|link| link.is_member())
    }

    /// Where the other ends of [`Self::members`] stand.
    pub(crate) fn member_peers(&self) -> Vec<Hash> {
        // Asked for at every look around: room for all at once.
        let mut peers = Vec::with_capacity(self.links.len());
        peers.extend(self.members().map(Link::peer));
        peers
    }

    /// How many links stand.
    #[must_use]
    pub fn len(&self) -> usize {
        self.links.len()
    }

    /// Whether no link stands.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.links.is_empty()
    }

    /// How many dials are under way.
    #[must_use]
    pub fn dialling(&self) -> usize {
        self.dials.len()
    }

    /// Whether a dial to this address is under way.
    #[must_use]
    pub fn is_dialling(&self, to: Address) -> bool {
        self.dials.values().any(|dial| dial.to == to)
    }

    /// Which addresses are being dialled, and since when.
    pub(crate) fn dials(&self) -> Vec<(Address, Instant)> {
        self.dials.values().map(|dial| (dial.to, dial.since)).collect()
    }

    /// Makes a link to `to` unless one stands or is being made.
    pub fn dial(
        &mut self,
        now: Instant,
        to: Address,
        expected: Option<PublicKey>,
        me: &Me,
        config: &Config,
        out: &mut Outbox,
    ) -> DialStart {
        if me.record.record().addresses.contains(&to) {
            return DialStart::Refused(Refusal::SelfDial);
        }
        if let Some(link) =
            self.links.values().find(|link| link.places.may_hold(to) && link.record.record().addresses.contains(&to) && link.is_open())
        {
            return DialStart::Linked(link.id);
        }
        if let Some((id, _)) = self.dials.iter().find(|(_, dial)| dial.to == to) {
            return DialStart::Dialling(*id);
        }
        if self.dials.len() >= config.limits.dials {
            return DialStart::Refused(Refusal::OverBudget);
        }
        let dial = DialId(self.next_dial);
        self.next_dial += 1;
        self.dials.insert(dial, Dial { to, since: now });
        out.transmits.push_back(Transmit::Dial { dial, to, expected });
        DialStart::Dialling(dial)
    }

    /// A message waits for a link to `to`: for a moment it is worth more than one that only might be useful.
    pub(crate) fn need(&mut self, now: Instant, to: Address) {
        self.needed.retain(|_, until| *until > now);
        if self.needed.len() < MAX_NEEDED {
            self.needed.insert(to, now + NEEDED);
        }
    }

    /// Whether a message waits for this link, or has just got it.
    pub(crate) fn is_needed(&self, now: Instant, link: &Link) -> bool {
        let mut untils = link.record.record().addresses.iter().filter_map(|address| self.needed.get(address));
        untils.any(|until| *until > now)
    }

    /// Takes a dial off the list once it has ended either way.
    pub fn dial_ended(&mut self, dial: DialId) -> Option<Dial> {
        self.dials.remove(&dial)
    }

    /// Takes a new link in. Of two links to one peer the one dialled by the smaller key stays; the other one's number is
    /// returned and must be closed (it may be the new one).
    pub(crate) fn insert(&mut self, now: Instant, up: LinkUp, me: &Me) -> Option<LinkId> {
        let link = Link {
            id: up.link,
            peer: up.record.id(),
            places: Places::of(&up.record),
            record: up.record,
            side: up.side,
            remote: up.remote,
            boot: up.boot,
            proven: None,
            since: now,
            heard: now,
            used: now,
            round_trip: RoundTrip::default(),
            closing: None,
        };
        self.by_remote.insert((link.remote, link.id));
        let peer = link.peer();
        let Some(old) = self.to_peer(peer).filter(|old| old.is_open()).map(|old| (old.id, old.side, old.boot)) else {
            self.by_peer.insert(peer, link.id);
            self.links.insert(link.id, link);
            return None;
        };
        let (old_id, old_side, old_boot) = old;
        let smaller_dialled = if me.key() < link.record.key() { LinkSide::Dialler } else { LinkSide::Listener };
        // A peer that was started anew has forgotten the old link, whoever dialled it.
        // So has one that dials again while its old link seems to stand.
        let new_stands = old_boot != link.boot || old_side == link.side || link.side == smaller_dialled;
        let loser = if new_stands { old_id } else { link.id };
        if new_stands {
            self.by_peer.insert(peer, link.id);
        }
        // The loser stays listed until the transport says that it is down, so that nothing on its way is lost.
        self.links.insert(link.id, link);
        Some(loser)
    }

    /// A peer is proven and admitted: messages may be routed over the link to it.
    pub(crate) fn prove(&mut self, proven: &Proven) -> Option<LinkId> {
        let link = self.links.get_mut(self.by_peer.get(&proven.id())?)?;
        if link.record.key() != proven.record().key() {
            return None;
        }
        link.proven = Some(proven.clone());
        link.record = proven.record().clone();
        link.places = proven.places();
        Some(link.id)
    }

    /// Who is at the other end of a link, if that is a proven member. Of two links to one peer only the one that stays is proven; what still
    /// comes over the other is the same peer's.
    pub(crate) fn proven_at(&self, id: LinkId) -> Option<&Proven> {
        let link = self.links.get(&id)?;
        let of_other = || self.to_peer(link.peer()).filter(|other| other.record.key() == link.record.key());
        link.proven.as_ref().or_else(|| of_other()?.proven.as_ref())
    }

    /// Drops a link that is down.
    pub(crate) fn remove(&mut self, id: LinkId) -> Option<Link> {
        let link = self.links.remove(&id)?;
        self.by_remote.remove(&(link.remote, id));
        if self.by_peer.get(&link.peer()) == Some(&id) {
            self.by_peer.remove(&link.peer());
            // Perhaps a second link to the same peer still stands.
            if let Some(other) = self.links.values().find(|other| other.peer() == link.peer()) {
                self.by_peer.insert(other.peer(), other.id);
            }
        }
        Some(link)
    }
}

/// How long a link that a message waits for is kept for it.
const NEEDED: Duration = Duration::from_secs(3); // guess: dialling, and a few round trips

/// More addresses are not kept in mind; the dials' limit is far below.
const MAX_NEEDED: usize = 64; // guess
