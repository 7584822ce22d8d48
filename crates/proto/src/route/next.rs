//! Which way a copy goes on from here.
//!
//! Greedily: only to peers with a strictly smaller offset to the target than this one's, so that it ends. At the end stands the
//! member next to the target; it hands the copy to the member responsible, which hands it to the target or to nobody.
//!
//! Members of IPv4 alone and of IPv6 alone do not know each other; those of both families know all. So each family with those of
//! both is an overlay of its own, whole in itself. A target is looked for in the overlay of whoever has the copy; where that
//! ends at somebody responsible of one family, the copy crosses over to a member of both, marked with the family in which the
//! target is not, and from there goes greedily among the members of the other. Marks are only added, so that ends too.

use super::{
    Map,
    copy::{Choice, Copy, Previous},
};
use crate::{config::Families, context::Context, links::Link};
use cicada_wire::{Hash, IdKind, Kind, Offset, Role, SignedRecord};

/// The way on.
pub(super) enum Next {
    /// Over this link.
    Hop(Hop),
    /// To this member, once a link to it stands.
    Dial { member: SignedRecord, last: bool, absent: Families },
    /// This peer is responsible for the target, and the target is not here.
    Nobody,
    /// The target is not in the families that this peer sees, and a hop before this one sees the other.
    OtherFamily,
    /// Nobody is left to be tried.
    Nowhere,
}

/// A link to go on over.
pub(super) struct Hop {
    pub(super) peer: Hash,
    pub(super) last: bool,
    pub(super) detour: bool,
    /// Families that the target was found not to be in.
    pub(super) absent: Families,
}

pub(super) fn next(cx: &Context<'_>, map: &Map<'_>, copy: &Copy) -> Next {
    let Some(target) = copy.target() else { return Next::Nowhere };
    let walk = Walk::new(cx, map, copy, target);
    if walk.is_open(target) && usable(cx, target) {
        return walk.hop(target, copy.header.hop.last, false);
    }
    match copy.choice {
        Choice::Direct => return Next::Nowhere,
        Choice::Nearer | Choice::Any => {}
    }
    // A receipt goes back the way of its copy: those on it have handed that on, so the receipts of copies over separate routes do
    // not all depend on one.
    if let Some(back) = walk.back() {
        return back;
    }
    if copy.header.hop.last && !walk.absent.meet(walk.ours) {
        return walk.known().unwrap_or_else(|| walk.nobody());
    }
    if copy.previous == Previous::Here && copy.choice == Choice::Nearer && is_placed(cx, map) && map.overlay.owns(target) {
        // Everybody would send it back to us.
        return walk.nobody();
    }
    if let Some(relay) = copy.header.hop.route.first() {
        return walk.along_source_route(*relay);
    }
    if copy.tries >= MAX_TRIES {
        return Next::Nowhere;
    }
    if !walk.ours.meet(walk.left()) {
        return walk.cross();
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
    /// The families that this peer sees.
    ours: Families,
    /// Those that the target is not in.
    absent: Families,
}

impl<'a> Walk<'a> {
    fn new(cx: &'a Context<'a>, map: &'a Map<'a>, copy: &'a Copy, target: Hash) -> Self {
        let mut walk = Self { cx, map, copy, target, ours: cx.config.families, absent: Families::from_bits(copy.header.hop.absent) };
        if let Some(member) = map.overlay.member(target) {
            // Known here: whoever does not see it need not be asked.
            walk.absent = BOTH.without(Families::of(member.record()));
        } else if copy.header.hop.last && !map.overlay.owns(target) {
            // Responsible only among those that the hop before sees: others stand between.
            walk.absent = walk.absent.and(walk.seen_before());
        }
        walk
    }

    /// The families that the hop before sees, if it does not see all that we do.
    fn seen_before(&self) -> Families {
        let previous = match self.copy.previous {
            Previous::Hop(peer) => self.cx.links.to_peer(peer).map(|link| Families::of(&link.record)),
            Previous::Here => None,
        };
        previous.filter(|families| self.ours.without(*families) != Families::NONE).unwrap_or(Families::NONE)
    }

    /// The families that the target may be in.
    fn left(&self) -> Families {
        BOTH.without(self.absent)
    }

    /// Whether this member can know the target.
    fn may_know(&self, record: &SignedRecord) -> bool {
        Families::of(record).meet(self.left())
    }

    /// Whether `peer` has not had the copy, as far as this peer knows.
    fn is_open(&self, peer: Hash) -> bool {
        let came_from = self.copy.previous == Previous::Hop(peer);
        !came_from && !self.copy.tried.contains(&peer) && (peer == self.target || !self.was_at(peer))
    }

    fn was_at(&self, peer: Hash) -> bool {
        self.copy.header.fixed.origin.id() == peer || self.copy.header.hop.path.contains(&peer)
    }

    fn hop(&self, peer: Hash, last: bool, detour: bool) -> Next {
        Next::Hop(Hop { peer, last, detour, absent: self.absent })
    }

    fn dial(&self, member: SignedRecord, last: bool) -> Next {
        if self.cx.links.to_peer(member.id()).is_some_and(Link::is_member) {
            return self.hop(member.id(), last, false);
        }
        Next::Dial { member, last, absent: self.absent }
    }

    /// The target is in our tables, but no link to it stands.
    fn known(&self) -> Option<Next> {
        let member = self.map.overlay.member(self.target).filter(|_| self.is_open(self.target))?;
        Some(self.dial(member.record().clone(), true))
    }

    fn along_source_route(&self, relay: Hash) -> Next {
        match self.map.overlay.member(relay) {
            _ if !self.is_open(relay) => Next::Nowhere,
            Some(member) => self.dial(member.record().clone(), false),
            None if self.cx.links.to_peer(relay).is_some_and(Link::is_member) => self.hop(relay, false, false),
            None => Next::Nowhere,
        }
    }

    fn offset(&self, peer: Hash) -> Offset {
        self.map.overlay.geometry().offset(peer, self.target)
    }

    /// Links to members that can know the target and have not had the copy.
    fn links(&self) -> impl Iterator<Item = &Link> {
        self.cx.links.members().filter(|link| self.may_know(&link.record) && self.is_open(link.peer()))
    }

    fn nearer(&self) -> Option<Next> {
        let mine = self.offset(self.cx.me.id());
        let placed = is_placed(self.cx, self.map);
        let nearer = |peer: &Hash| !placed || self.offset(*peer) < mine;
        let best = self.links().map(Link::peer).filter(nearer).min_by_key(|peer| self.offset(*peer))?;
        Some(self.hop(best, false, false))
    }

    /// No link leads nearer: to whom the tables name responsible, or nearer. On the ring that is the one behind the target; it
    /// must not send the copy on, or it would travel round for ever.
    fn owner(&self) -> Option<Next> {
        if !is_placed(self.cx, self.map) {
            return None;
        }
        if self.absent.meet(self.ours) {
            return self.owner_of_the_rest();
        }
        let overlay = self.map.overlay;
        let owner = overlay.responsible(self.target, 1).into_iter().next().filter(|_| !overlay.owns(self.target));
        let Some(owner) = owner.filter(|owner| owner.id() != self.cx.me.id()) else {
            return (self.copy.choice == Choice::Nearer && overlay.owns(self.target)).then(|| self.nobody());
        };
        if self.had_it_before(owner.id()) || self.is_asked_by(owner.id()) {
            return Some(self.nobody());
        }
        let closer = overlay.closer(self.target, MAX_DIALS).into_iter().map(|member| member.record().clone());
        let member = std::iter::once(owner).chain(closer).find(|member| self.is_open(member.id()))?;
        let last = self.offset(member.id()) >= self.offset(self.cx.me.id());
        Some(self.dial(member, last))
    }

    /// The same among those members only that can know the target: of whoever stands between them nobody is in question.
    fn owner_of_the_rest(&self) -> Option<Next> {
        let (overlay, me) = (self.map.overlay, self.cx.me.id());
        let mut members: Vec<SignedRecord> = overlay.members().iter().map(|member| member.record().clone()).collect();
        members.retain(|member| self.may_know(member));
        let mine = self.offset(me);
        let mut closer: Vec<&SignedRecord> = members.iter().filter(|member| self.offset(member.id()) < mine).collect();
        closer.sort_by_key(|member| self.offset(member.id()));
        if let Some(member) = closer.into_iter().take(MAX_DIALS).find(|member| self.is_open(member.id())) {
            return Some(self.dial(member.clone(), false));
        }
        let claim = |id: Hash| overlay.geometry().offset(self.target, id);
        let owner = members.into_iter().min_by_key(|member| claim(member.id())).filter(|member| claim(member.id()) < claim(me));
        match owner {
            Some(owner) if self.is_open(owner.id()) => Some(self.dial(owner, true)),
            Some(owner) => self.had_it_before(owner.id()).then(|| self.nobody()),
            None => (self.copy.choice == Choice::Nearer).then(|| self.nobody()),
        }
    }

    /// Whether a copy that had to cross over was at this peer before it had to: then the target is not there.
    fn had_it_before(&self, owner: Hash) -> bool {
        self.absent != Families::NONE && self.was_at(owner) && !self.copy.tried.contains(&owner)
    }

    /// Whether the responsible member has sent this message: then it asks others whether they know better, and we do not.
    fn is_asked_by(&self, owner: Hash) -> bool {
        let fixed = &self.copy.header.fixed;
        fixed.kind == Kind::Unicast && fixed.origin.id() == owner
    }

    /// This peer is responsible, and the target is not here: then it is in no family that we see.
    fn nobody(&self) -> Next {
        let absent = self.absent.and(self.ours);
        if absent.are_both() {
            return self.nobody_at_all();
        }
        Walk { absent, cx: self.cx, map: self.map, copy: self.copy, target: self.target, ours: self.ours }.cross()
    }

    fn nobody_at_all(&self) -> Next {
        // A client whose lease runs is only without a link just now.
        let absent = self.map.attachments.attached(self.target).is_some();
        if absent { Next::Nowhere } else { Next::Nobody }
    }

    /// We see no member of one family that can know the target: to one that sees both.
    fn cross(&self) -> Next {
        if let Some(link) = self.links().min_by_key(|link| self.offset(link.peer())) {
            return self.hop(link.peer(), false, false);
        }
        let linked = self.cx.links.members().map(|link| link.record.clone());
        let mut bridges: Vec<SignedRecord> =
            self.map.overlay.members().iter().map(|member| member.record().clone()).chain(linked).collect();
        bridges.retain(|member| self.may_know(member));
        let geometry = self.map.overlay.geometry();
        bridges.sort_by_key(|member| geometry.offset(self.cx.me.id(), member.id()));
        // Those next to it have a link to it, however many others would like one.
        if let Some(towards) = bridges.iter().filter(|bridge| !self.was_at(bridge.id())).find_map(|bridge| self.towards(bridge.id())) {
            return self.hop(towards, false, false);
        }
        if let Some(bridge) = bridges.iter().take(MAX_DIALS).find(|bridge| self.is_open(bridge.id())) {
            return self.dial(bridge.clone(), false);
        }
        // Perhaps the copy was at all of them, before it was known that it has to cross over.
        if bridges.iter().any(|bridge| self.was_at(bridge.id()) && !self.copy.tried.contains(&bridge.id())) {
            return Next::OtherFamily;
        }
        // None has room for us: somebody else may have a link to one.
        let others = self.cx.links.members().map(Link::peer).filter(|peer| !bridges.is_empty() && self.is_open(*peer));
        match others.min_by_key(|peer| self.offset(*peer)) {
            Some(other) if self.copy.header.hop.detours < MAX_DETOURS && self.copy.tries < MAX_TRIES => self.hop(other, false, true),
            Some(_) | None => self.nobody_at_all(),
        }
    }

    /// The linked member nearest to `bridge`, if it is nearer than we are.
    fn towards(&self, bridge: Hash) -> Option<Hash> {
        let offset = |id: Hash| self.map.overlay.geometry().offset(id, bridge);
        let links = self.cx.links.members().map(Link::peer).filter(|peer| self.is_open(*peer));
        links.min_by_key(|peer| offset(*peer)).filter(|peer| offset(*peer) < offset(self.cx.me.id()))
    }

    /// The way is blocked: over a peer that is not nearer. An origin's further copies may start anywhere.
    fn anyone(&self) -> Option<Next> {
        match self.copy.choice {
            Choice::Any => self.behind_the_target().map(|peer| self.hop(peer, false, false)),
            Choice::Nearer if self.copy.header.hop.detours < MAX_DETOURS => {
                self.behind_the_target().map(|peer| self.hop(peer, false, true))
            }
            Choice::Nearer | Choice::Direct => None,
        }
    }

    fn back(&self) -> Option<Next> {
        // Whoever handed us the message can have the receipt, proven or not.
        let stands = |back: &Hash| self.cx.links.to_peer(*back).is_some_and(Link::is_open);
        let back = self.copy.back.filter(|back| self.is_open(*back) && stands(back))?;
        Some(self.hop(back, false, false))
    }

    /// Those that see both address families, and peers next behind the target, are the likeliest to have a link to it.
    fn behind_the_target(&self) -> Option<Hash> {
        let geometry = self.map.overlay.geometry();
        let sees_both = |link: &Link| Families::of(&link.record).are_both();
        self.links().min_by_key(|link| (!sees_both(link), geometry.offset(self.target, link.peer()))).map(Link::peer)
    }
}

const BOTH: Families = Families { v4: true, v6: true };

/// How many hops a peer tries for one copy.
const MAX_TRIES: usize = 8; // guess: a quarter dead leaves one of eight alive but for one in 65 000

/// How many members a peer would make links to for one copy.
const MAX_DIALS: usize = 2; // guess

/// How often a copy leaves the greedy way.
const MAX_DETOURS: u8 = 3; // guess: from v4 to one that has both, from there to one that announces v6, and one more
