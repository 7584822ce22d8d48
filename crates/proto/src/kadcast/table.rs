//! The peers that this one knows: Kademlia's buckets, of peers that have answered from the address they announce.

use super::{
    api::{self, Identity},
    context::{Context, Purse},
    discovery::Sender,
};
use crate::{
    bucket::{Bucket, Placed},
    geometry::Geometry,
    time::Instant,
};
use cicada_wire::{
    Hash,
    kadcast::{BUCKETS, Entry, Id, Mark, Nonce, Version},
};
use std::{collections::BTreeMap, net::SocketAddr};

/// The buckets.
#[derive(Debug)]
pub(super) struct Table {
    me: Id,
    buckets: BTreeMap<u8, Bucket<Peer, Entry>>,
    places: BTreeMap<SocketAddr, Id>,
}

/// A peer that has answered.
#[derive(Clone, Debug)]
pub(super) struct Peer {
    pub(super) address: SocketAddr,
    /// Where its answers come from. The crate's peers send from another port than the one they listen on.
    pub(super) source: SocketAddr,
    pub(super) id: Id,
    pub(super) nonce: Nonce,
    pub(super) version: Version,
    pub(super) mark: Mark,
    pub(super) heard: Instant,
    /// Checks in a row that it answered.
    pub(super) steady: u32,
    /// It has not answered a check yet, though it had some time.
    pub(super) doubted: bool,
}

impl Placed for Peer {
    fn place(&self) -> Hash {
        self.id.hash()
    }
}

impl Placed for Entry {
    fn place(&self) -> Hash {
        self.id.hash()
    }
}

impl Table {
    pub(super) fn new(me: Identity) -> Self {
        Self { me: me.id(), buckets: BTreeMap::new(), places: BTreeMap::new() }
    }

    pub(super) fn len(&self) -> usize {
        self.places.len()
    }

    pub(super) fn bucket_of(&self, id: Id) -> Option<u8> {
        Geometry::Tree.cell(self.me.hash(), id.hash()).and_then(|cell| u8::try_from(cell).ok()).filter(|bucket| *bucket < BUCKETS)
    }

    pub(super) fn peer(&self, address: SocketAddr) -> Option<&Peer> {
        let id = *self.places.get(&address)?;
        self.buckets.get(&self.bucket_of(id)?)?.member(id.hash())
    }

    /// Whether who speaks in the name of this address speaks from where its peer's answers come from.
    pub(super) fn knows(&self, Sender { source, address, .. }: Sender) -> bool {
        self.peer(address).is_some_and(|peer| peer.source == source)
    }

    /// Whether it speaks in the name of a known peer, and from elsewhere: another one of the same address, or that peer started again.
    pub(super) fn is_impostor(&self, Sender { source, address, .. }: Sender) -> bool {
        self.peer(address).is_some_and(|peer| peer.source != source && !peer.doubted)
    }

    pub(super) fn peer_mut(&mut self, address: SocketAddr) -> Option<&mut Peer> {
        let id = *self.places.get(&address)?;
        self.buckets.get_mut(&self.bucket_of(id)?)?.member_mut(id.hash())
    }

    pub(super) fn peers(&self) -> impl Iterator<Item = &Peer> {
        self.buckets.values().flat_map(Bucket::members)
    }

    pub(super) fn bucket(&self, bucket: u8) -> &[Peer] {
        self.buckets.get(&bucket).map_or(&[], Bucket::members)
    }

    /// The buckets with somebody in them, below this one.
    pub(super) fn filled_below(&self, below: u8) -> impl DoubleEndedIterator<Item = u8> {
        self.buckets.range(..below).filter(|(_, bucket)| !bucket.members().is_empty()).map(|(number, _)| *number)
    }

    /// The peers nearest to `target`, nearest first.
    pub(super) fn nearest(&self, target: Id, limit: usize) -> Vec<&Peer> {
        let mut peers: Vec<&Peer> = self.peers().collect();
        peers.sort_unstable_by_key(|peer| Geometry::Tree.offset(peer.id.hash(), target.hash()));
        peers.truncate(limit);
        peers
    }

    /// Whether a newcomer would find a place.
    pub(super) fn has_room(&self, cx: &Context<'_>, entry: Entry) -> bool {
        let Some(bucket) = self.bucket_of(entry.id) else { return false };
        self.bucket(bucket).len() < cx.settings.bucket_size && !self.is_crowded(cx, entry.address)
    }

    /// Whether as many peers of this IP address are known as may be.
    fn is_crowded(&self, cx: &Context<'_>, address: SocketAddr) -> bool {
        match Purse::of(address) {
            Purse::Local(_) => false,
            Purse::Ip(ip) => self.places.keys().filter(|known| known.ip() == ip).count() >= cx.settings.limits.peers_per_ip,
        }
    }

    /// Takes a peer in; whether there was a place.
    pub(super) fn insert(&mut self, cx: &Context<'_>, peer: Peer) -> bool {
        let entry = Entry { address: peer.address, id: peer.id };
        if !self.has_room(cx, entry) {
            return false;
        }
        let Some(bucket) = self.bucket_of(peer.id) else { return false };
        self.places.insert(peer.address, peer.id);
        self.buckets.entry(bucket).or_insert_with(Bucket::new).insert(peer);
        true
    }

    /// Remembers a candidate in case a place becomes free.
    pub(super) fn spare(&mut self, cx: &Context<'_>, entry: Entry) {
        if let Some(bucket) = self.bucket_of(entry.id).filter(|_| !self.is_crowded(cx, entry.address)) {
            self.buckets.entry(bucket).or_insert_with(Bucket::new).spare(entry, cx.settings.bucket_size);
        }
    }

    /// A peer was heard from.
    pub(super) fn heard(&mut self, address: SocketAddr, change: impl FnOnce(&mut Peer)) {
        let Some(id) = self.places.get(&address).copied() else { return };
        if let Some(bucket) = self.bucket_of(id).and_then(|bucket| self.buckets.get_mut(&bucket)) {
            bucket.seen(id.hash(), change);
        }
    }

    /// Puts a peer out, and names a candidate for its place.
    pub(super) fn remove(&mut self, address: SocketAddr) -> Option<Entry> {
        let id = self.places.remove(&address)?;
        let number = self.bucket_of(id)?;
        let bucket = self.buckets.get_mut(&number)?;
        bucket.remove(id.hash());
        let spare = bucket.take_spare();
        if bucket.is_empty() {
            self.buckets.remove(&number);
        }
        spare
    }

    /// For people to look at.
    pub(super) fn contact(&self, now: Instant, peer: &Peer) -> api::Contact {
        api::Contact {
            address: peer.address,
            id: peer.id,
            bucket: self.bucket_of(peer.id).unwrap_or_default(),
            version: peer.version,
            mark: peer.mark,
            silent: now.since(peer.heard),
            alive: !peer.doubted,
        }
    }
}
