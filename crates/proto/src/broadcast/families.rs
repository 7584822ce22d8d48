//! Sharing among members that do not all see each other.
//!
//! Who sees both address families shares what is its part among others of both first: each of those covers all between itself and
//! the next. Between us and the first of them, or on the tree in a cell without any, members of one family cover what they see,
//! so there is a delegate of each. Who sees one family only lets its broadcasts begin at a member that sees both.

use super::{Broadcaster, recent::Part};
use crate::{
    config::Families,
    context::Context,
    geometry::{Candidates, Geometry, Growth, Heir, Region, Share},
    links::Link,
    overlay::Overlay,
    seen::MessageKey,
};
use cicada_wire::{Hash, Offset, Reach, U256};
use rand::Rng;

/// Who can be a delegate for whom.
pub(super) enum Kinds {
    /// Any for any.
    One(Candidates),
    /// Those of both families, for all; those of one, for their own.
    Several { both: Candidates, single: [(Families, Candidates); 2] },
}

impl Kinds {
    pub(super) fn of(cx: &Context<'_>, overlay: &Overlay, candidates: Candidates) -> Self {
        let sees = |id: &Hash| families_of(cx, overlay, *id);
        let mut kinds = candidates.known.iter().map(sees);
        let first = kinds.next();
        if !cx.config.families.are_both() || kinds.all(|kind| Some(kind) == first) {
            return Self::One(candidates);
        }
        let of = |families: Families| candidates.filter(|id| sees(id) == families);
        let single = [Families::V4, Families::V6].map(|family| (family, of(family)));
        Self::Several { both: of(Families::default()), single }
    }
}

/// The parts of a task, and whose part grows instead.
pub(super) fn shares(
    cx: &mut Context<'_>,
    overlay: &Overlay,
    task: &Growth<'_>,
    candidates: Candidates,
    room: usize,
) -> (Vec<Share>, Vec<Heir>) {
    let (geometry, me) = (overlay.geometry(), cx.me.id());
    let (both, single) = match Kinds::of(cx, overlay, candidates) {
        Kinds::One(candidates) => {
            let (shares, stretched) = geometry.shares(me, task, &candidates, room, cx.rng);
            return (shares, vec![stretched]);
        }
        Kinds::Several { both, single } => (both, single),
    };
    let (mut shares, mut stretched) = (Vec::new(), Vec::new());
    let reach = geometry.before_first(me, task.reach, &both);
    for (family, candidates) in &single {
        let candidates = geometry.without_cells_of(me, candidates, &both);
        if task.covered < reach {
            let standing = standing_of(cx, overlay, task.standing, *family);
            let task = Growth { covered: task.covered, reach, standing: &standing };
            let (more, heir) = geometry.shares(me, &task, &candidates, room.min(MOST_SINGLE), cx.rng);
            shares.extend(more);
            stretched.push(heir);
        }
    }
    let standing = standing_of(cx, overlay, task.standing, Families::default());
    let task = Growth { standing: &standing, ..*task };
    // What those of one family cover is little, but nobody else covers it.
    let (more, heir) = geometry.shares(me, &task, &both, room.saturating_sub(shares.len()).max(room / 2), cx.rng);
    shares.extend(more);
    stretched.push(heir);
    (shares, stretched)
}

/// Who takes over from a delegate that failed.
pub(super) fn heirs(cx: &mut Context<'_>, overlay: &Overlay, failed: &Share, standing: &[Share], candidates: Candidates) -> Vec<Heir> {
    let (geometry, me) = (overlay.geometry(), cx.me.id());
    let (both, single) = match Kinds::of(cx, overlay, candidates) {
        Kinds::One(candidates) => return vec![geometry.heir(me, failed, standing, &candidates, cx.rng)],
        Kinds::Several { both, single } => (both, single),
    };
    let families = families_of(cx, overlay, failed.delegate);
    if let Some((family, candidates)) = single.iter().find(|(family, _)| *family == families) {
        let standing = standing_of(cx, overlay, standing, *family);
        return vec![geometry.heir(me, failed, &standing, candidates, cx.rng)];
    }
    let heir = geometry.heir(me, failed, &standing_of(cx, overlay, standing, families), &both, cx.rng);
    let Some(rest) = left_over(failed, &heir) else { return vec![heir] };
    let mut heirs = vec![heir];
    for (family, candidates) in &single {
        let standing = standing_of(cx, overlay, standing, *family);
        heirs.push(geometry.heir(me, &rest, &standing, candidates, cx.rng));
    }
    heirs
}

/// What of a part remains for members of one family once the next of both has taken over what it can.
fn left_over(failed: &Share, heir: &Heir) -> Option<Share> {
    match (failed.region, heir) {
        (_, Heir::Extend { .. }) => None,
        (Region::Arc { start, .. }, Heir::Shares(shares)) => {
            let next = shares.iter().filter_map(|share| share.region.start()).min()?;
            let end = Offset(next.0.saturating_sub(U256::ONE));
            (start <= end).then_some(Share { region: Region::Arc { start, end }, ..*failed })
        }
        (Region::Cell { .. }, Heir::Shares(shares)) if shares.iter().any(|share| share.region == failed.region) => None,
        (Region::Arc { .. }, Heir::Nobody) | (Region::Cell { .. }, Heir::Shares(_) | Heir::Nobody) => Some(*failed),
    }
}

fn standing_of(cx: &Context<'_>, overlay: &Overlay, standing: &[Share], families: Families) -> Vec<Share> {
    standing.iter().filter(|share| families_of(cx, overlay, share.delegate) == families).copied().collect()
}

fn families_of(cx: &Context<'_>, overlay: &Overlay, id: Hash) -> Families {
    let linked = cx.links.to_peer(id).map(|link| Families::of(&link.record));
    linked.or_else(|| overlay.member(id).map(|member| Families::of(member.record()))).unwrap_or_default()
}

impl Geometry {
    /// How far members of one family are to cover what is ours: on the ring up to the first that sees both.
    fn before_first(self, me: Hash, reach: Reach, both: &Candidates) -> Reach {
        match self {
            Self::Tree => reach,
            Self::Ring => {
                let first = both.known.iter().map(|id| self.offset(me, *id)).min();
                first.map_or(reach, |first| reach.min(Reach(first.0.saturating_sub(U256::ONE))))
            }
        }
    }

    /// On the tree those of both families cover their cells.
    fn without_cells_of(self, me: Hash, candidates: &Candidates, both: &Candidates) -> Candidates {
        match self {
            Self::Ring => candidates.clone(),
            Self::Tree => {
                let cells: Vec<Option<u32>> = both.known.iter().map(|id| self.cell(me, *id)).collect();
                candidates.filter(|id| !cells.contains(&self.cell(me, *id)))
            }
        }
    }
}

impl Broadcaster {
    /// A broadcast of a member that sees one family only begins at one that sees both. Whether there is such.
    pub(super) fn begin_at_a_bridge(&mut self, cx: &mut Context<'_>, overlay: &Overlay, key: MessageKey) -> bool {
        let Some(recent) = self.recent.get(&key).filter(|recent| recent.may_hand_out()) else { return false };
        if cx.config.families.are_both() {
            return false;
        }
        let is_bridge = |id: &Hash| !recent.is_out(*id) && families_of(cx, overlay, *id).are_both();
        let mut bridges: Vec<Hash> = cx.links.members().map(Link::peer).filter(is_bridge).collect();
        if bridges.is_empty() {
            bridges = overlay.members().iter().map(crate::peer::Proven::id).filter(is_bridge).collect();
        }
        if bridges.is_empty() {
            return false;
        }
        let entry = bridges[cx.rng.next_u32() as usize % bridges.len()];
        self.hand_out(cx, overlay, key, Part::Entry(entry));
        true
    }
}

/// Delegates of one family beside those of both. On the tree the last one bears all further cells, which leads round when it is
/// handed the same by others.
const MOST_SINGLE: usize = 4; // measured: with 2 one of 140 broadcasts among 34 missed a peer
