//! Which way a copy goes on from here.
//!
//! Greedily: only to peers with a strictly smaller offset to the target than this one's, so that it ends. At the end stands the
//! member next to the target; it hands the copy to the member responsible, which hands it to the target or to nobody.

use super::{
    Map,
    copy::{Choice, Copy, Previous},
};
use crate::{context::Context, links::Link};
use cicada_wire::{Capabilities, Hash, IdKind, Role, SignedRecord};

/// The way on.
pub(super) enum Next {
    /// Over this link.
    Hop(Hop),
    /// To this member, once a link to it stands.
    Dial { member: SignedRecord, last: bool },
    /// This peer is responsible for the target, and the target is not here.
    Nobody,
    /// Nobody is left to be tried.
    Nowhere,
}

/// A link to go on over.
pub(super) struct Hop {
    pub(super) peer: Hash,
    pub(super) last: bool,
    pub(super) detour: bool,
}

pub(super) fn next(cx: &Context<'_>, map: &Map<'_>, copy: &Copy) -> Next {
    let Some(target) = copy.target() else { return Next::Nowhere };
    let walk = Walk { cx, map, copy, target };
    if walk.is_open(target) && usable(cx, target) {
        return Next::Hop(Hop { peer: target, last: copy.header.hop.last, detour: false });
    }
    match copy.choice {
        Choice::Direct => return Next::Nowhere,
        Choice::Nearer | Choice::Any => {}
    }
    if copy.header.hop.last {
        return walk.nobody();
    }
    if let Some(relay) = copy.header.hop.route.first() {
        return walk.along_source_route(*relay);
    }
    if copy.tries >= MAX_TRIES {
        return Next::Nowhere;
    }
    walk.nearer().or_else(|| walk.owner()).or_else(|| walk.anyone()).unwrap_or(Next::Nowhere)
}

/// Whether messages may go over the link to `peer`: it is a proven member, or a client, whose id its key proves.
pub(super) fn usable(cx: &Context<'_>, peer: Hash) -> bool {
    cx.links.to_peer(peer).is_some_and(|link| {
        let record = link.record.record();
        link.is_member() || (link.is_open() && record.role != Role::Member && record.kind == IdKind::Key)
    })
}

/// Whether this peer has a place among the members, so that nearer and responsible mean something.
pub(super) fn is_placed(cx: &Context<'_>, map: &Map<'_>) -> bool {
    cx.me.record.record().role == Role::Member && map.overlay.is_joined()
}

struct Walk<'a> {
    cx: &'a Context<'a>,
    map: &'a Map<'a>,
    copy: &'a Copy,
    target: Hash,
}

impl Walk<'_> {
    /// Whether `peer` has not had the copy, as far as this peer knows.
    fn is_open(&self, peer: Hash) -> bool {
        let came_from = self.copy.previous == Previous::Hop(peer);
        !came_from && !self.copy.tried.contains(&peer) && (peer == self.target || !self.was_at(peer))
    }

    fn was_at(&self, peer: Hash) -> bool {
        self.copy.header.fixed.origin.id() == peer || self.copy.header.hop.path.contains(&peer)
    }

    fn hop(peer: Hash, last: bool, detour: bool) -> Next {
        Next::Hop(Hop { peer, last, detour })
    }

    fn along_source_route(&self, relay: Hash) -> Next {
        if self.is_open(relay) && self.cx.links.to_peer(relay).is_some_and(Link::is_member) {
            return Self::hop(relay, false, false);
        }
        match self.map.overlay.member(relay) {
            Some(member) if self.is_open(relay) => Next::Dial { member: member.record().clone(), last: false },
            Some(_) | None => Next::Nowhere,
        }
    }

    fn offset(&self, peer: Hash) -> cicada_wire::Offset {
        self.map.overlay.geometry().offset(peer, self.target)
    }

    fn nearer(&self) -> Option<Next> {
        let mine = self.offset(self.cx.me.id());
        let placed = is_placed(self.cx, self.map);
        let nearer = |peer: &Hash| !placed || self.offset(*peer) < mine;
        let peers = self.cx.links.members().map(Link::peer);
        let best = peers.filter(nearer).filter(|peer| self.is_open(*peer)).min_by_key(|peer| self.offset(*peer))?;
        Some(Self::hop(best, false, false))
    }

    /// No link leads nearer: to whom the tables name responsible, or nearer. On the ring that is the one behind the target; it
    /// must not send the copy on, or it would travel round for ever.
    fn owner(&self) -> Option<Next> {
        if !is_placed(self.cx, self.map) {
            return None;
        }
        let overlay = self.map.overlay;
        let owner = overlay.responsible(self.target, 1).into_iter().next().filter(|_| !overlay.owns(self.target));
        let Some(owner) = owner.filter(|owner| owner.id() != self.cx.me.id()) else {
            return (self.copy.choice == Choice::Nearer && overlay.owns(self.target)).then(|| self.nobody());
        };
        let closer = overlay.closer(self.target, MAX_DIALS).into_iter().map(|member| member.record().clone());
        let member = std::iter::once(owner).chain(closer).find(|member| self.is_open(member.id()))?;
        let last = self.offset(member.id()) >= self.offset(self.cx.me.id());
        if self.cx.links.to_peer(member.id()).is_some_and(Link::is_member) {
            return Some(Self::hop(member.id(), last, false));
        }
        Some(Next::Dial { member, last })
    }

    /// This peer is responsible, and the target is not here. A member with another address family would know one that this peer
    /// cannot prove.
    fn nobody(&self) -> Next {
        if let Some(next) = self.back().or_else(|| self.over_its_family()) {
            return next;
        }
        let both = |record: &SignedRecord| record.record().capabilities.contains(Capabilities::BOTH_FAMILIES);
        let sees_more = |link: &&Link| both(&link.record) && !both(&self.cx.me.record);
        // A client whose lease runs is only without a link just now.
        let absent = self.map.attachments.attached(self.target).is_some();
        self.detour(sees_more).unwrap_or(if absent { Next::Nowhere } else { Next::Nobody })
    }

    /// The way is blocked: back to where a receipt's message came from, else over a peer that is not nearer. An origin's further
    /// copies may start anywhere.
    fn anyone(&self) -> Option<Next> {
        if let Some(back) = self.back() {
            return Some(back);
        }
        match self.copy.choice {
            Choice::Any => self.behind_the_target(|_| true).map(|peer| Self::hop(peer, false, false)),
            Choice::Nearer => self.over_its_family().or_else(|| self.detour(|_| true)),
            Choice::Direct => None,
        }
    }

    /// The target is known here and takes no link from here, since it cannot prove an address of our family: over a member that
    /// announces one of its own family.
    fn over_its_family(&self) -> Option<Next> {
        let is_v4 = |record: &SignedRecord| record.announced().map(|address| address.ip().is_ipv4());
        let wanted = is_v4(self.map.overlay.member(self.target)?.record())?;
        if is_v4(&self.cx.me.record) == Some(wanted) {
            return None;
        }
        self.detour(|link| is_v4(&link.record) == Some(wanted))
    }

    fn back(&self) -> Option<Next> {
        // Whoever handed us the message can have the receipt, proven or not.
        let stands = |back: &Hash| self.cx.links.to_peer(*back).is_some_and(Link::is_open);
        let back = self.copy.back.filter(|back| self.is_open(*back) && stands(back))?;
        Some(Self::hop(back, false, false))
    }

    fn detour(&self, allowed: impl Fn(&&Link) -> bool) -> Option<Next> {
        if self.copy.header.hop.detours >= MAX_DETOURS {
            return None;
        }
        self.behind_the_target(allowed).map(|peer| Self::hop(peer, false, true))
    }

    /// Peers next behind the target are the likeliest to have a link to it.
    fn behind_the_target(&self, allowed: impl Fn(&&Link) -> bool) -> Option<Hash> {
        let geometry = self.map.overlay.geometry();
        let peers = self.cx.links.members().filter(allowed).map(Link::peer).filter(|peer| self.is_open(*peer));
        peers.min_by_key(|peer| geometry.offset(self.target, *peer))
    }
}

/// How many hops a peer tries for one copy.
const MAX_TRIES: usize = 8; // guess: a quarter dead leaves one of eight alive but for one in 65 000

/// How many members a peer would make links to for one copy.
const MAX_DIALS: usize = 2; // guess

/// How often a copy leaves the greedy way.
const MAX_DETOURS: u8 = 3; // guess: from v4 to one that has both, from there to one that announces v6, and one more
