//! The links there are, each in a place that is used again once it has ended.

use crate::{peer::PeerIndex, transport::Load};
use cicada_proto::{
    Instant,
    links::{DialId, LinkId},
};
use std::{
    collections::VecDeque,
    net::SocketAddr,
    ops::{Index, IndexMut},
};

/// The links that stand, are being made, or of which something is still under way.
#[derive(Debug, Default)]
pub(crate) struct Links {
    places: Vec<Option<Link>>,
    free: Vec<usize>,
    made: u64,
}

/// Numbers a link, never used twice, in the order in which they were made; its low bits are the link's place.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct LinkKey(u64);

impl LinkKey {
    fn place(self) -> usize {
        // Below 2^24.
        (self.0 & PLACE_MASK) as usize
    }

    pub(crate) fn id(self) -> LinkId {
        LinkId(self.0)
    }

    /// The same for all that arrives at one end of one link, and for nothing else.
    pub(crate) fn class(self, end: usize) -> u64 {
        self.0 << 1 | end as u64
    }
}

impl From<LinkId> for LinkKey {
    fn from(id: LinkId) -> Self {
        Self(id.0)
    }
}

#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) key: LinkKey,
    /// The dialler's end, then the listener's.
    pub(crate) ends: [End; 2],
    pub(crate) dial: DialId,
    /// The address that was dialled.
    pub(crate) to: SocketAddr,
    pub(crate) dialled: Instant,
    /// Since when the two do not hear each other.
    pub(crate) cut: Option<Instant>,
    /// How many happenings of it are still in the queue.
    pub(crate) pending: u32,
}

#[derive(Debug)]
pub(crate) struct End {
    pub(crate) who: PeerIndex,
    pub(crate) start: u32,
    pub(crate) up: bool,
    /// Nothing overtakes what arrived here last.
    pub(crate) last_arrival: Instant,
    /// What is on its way here, oldest first, with its bytes on the wire. Arrivals take from the front, so order holds whatever
    /// happens.
    pub(crate) incoming: VecDeque<(Load, usize)>,
    /// How many of those have come as far as the receiver's downlink, and wait there.
    pub(crate) queued: usize,
    /// Arrivals that a cut has swallowed; they come again if it heals in time.
    pub(crate) missed: usize,
}

impl End {
    pub(crate) fn new(who: PeerIndex, start: u32, now: Instant) -> Self {
        Self { who, start, up: false, last_arrival: now, incoming: VecDeque::new(), queued: 0, missed: 0 }
    }
}

impl Links {
    pub(crate) fn make(&mut self, ends: [End; 2], dial: DialId, to: SocketAddr, now: Instant) -> LinkKey {
        let place = self.free.pop().unwrap_or_else(|| {
            self.places.push(None);
            self.places.len() - 1
        });
        assert!(place as u64 <= PLACE_MASK, "a world has fewer than 2^24 links at once");
        let key = LinkKey(self.made << PLACE_BITS | place as u64);
        self.made += 1;
        self.places[place] = Some(Link { key, ends, dial, to, dialled: now, cut: None, pending: 0 });
        key
    }

    pub(crate) fn find(&self, key: LinkKey) -> Option<&Link> {
        self.places.get(key.place())?.as_ref().filter(|link| link.key == key)
    }

    /// Forgets a link that neither end has any more, and of which nothing is under way; says whose it was.
    pub(crate) fn free_if_ended(&mut self, key: LinkKey) -> Option<[PeerIndex; 2]> {
        let link = self.find(key)?;
        if link.pending > 0 || link.ends.iter().any(|end| end.up) {
            return None;
        }
        let whose = [link.ends[0].who, link.ends[1].who];
        self.places[key.place()] = None;
        self.free.push(key.place());
        Some(whose)
    }

    /// All of them, in the order of their places.
    pub(crate) fn keys(&self) -> Vec<LinkKey> {
        self.places.iter().flatten().map(|link| link.key).collect()
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.places.len() - self.free.len()
    }
}

/// A happening that is still to come keeps its link in its place.
impl Index<LinkKey> for Links {
    type Output = Link;

    fn index(&self, key: LinkKey) -> &Link {
        self.find(key).expect("who holds a link's key holds the link")
    }
}

impl IndexMut<LinkKey> for Links {
    fn index_mut(&mut self, key: LinkKey) -> &mut Link {
        let link = self.places.get_mut(key.place()).and_then(Option::as_mut).filter(|link| link.key == key);
        link.expect("who holds a link's key holds the link")
    }
}

const PLACE_BITS: u32 = 24; // 20 000 members with 48 links each are half a million links
const PLACE_MASK: u64 = (1 << PLACE_BITS) - 1;
