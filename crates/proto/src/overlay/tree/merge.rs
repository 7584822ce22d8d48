//! Two trees become one.
//!
//! Where they meet, the peer looks its own id up through the stranger and so comes to know the strangers nearest to itself. Then
//! it splits its tree into cells and hands each cell, over a link into it, the stranger nearest to there: whoever is handed one
//! does the same within its share. So each member is told once, and of a stranger near to itself.

use super::Tree;
use crate::{
    context::Context,
    event::Lookup,
    geometry::{CELLS, Geometry},
    step::{Finder, Step},
    time::Instant,
};
use cicada_wire::{Frame, Hash, SignedRecord, Unify};
use std::time::Duration;

/// The merge that this peer takes part in.
#[derive(Debug)]
pub(super) struct Merge {
    /// The cells below this one are this peer's share.
    share: u32,
    /// Whether the strangers near are still being looked up.
    seeking: bool,
    /// Until then the same news is no news.
    until: Instant,
}

impl Tree {
    /// `stranger` is a member of another tree, and the cells below `share` are ours to tell.
    pub(super) fn merge(&mut self, cx: &mut Context<'_>, stranger: &SignedRecord, share: u32) {
        if self.merge.as_ref().is_some_and(|merge| cx.now < merge.until && share <= merge.share) {
            return;
        }
        let seeking = true;
        self.merge = Some(Merge { share: share.min(CELLS), seeking, until: cx.now + ONE_MERGE });
        cx.step(Step::Find { target: self.id(), seeds: vec![stranger.clone()], finder: Finder::Overlay });
    }

    /// The lookup of our own id has ended: if it was through a stranger, those it found are handed on.
    pub(super) fn hand_on(&mut self, cx: &mut Context<'_>, found: &Lookup) {
        let Some(merge) = self.merge.as_mut().filter(|merge| merge.seeking) else { return };
        merge.seeking = false;
        let share = merge.share;
        let strangers = &found.responsible;
        for cell in self.buckets.filled_cells().into_iter().filter(|cell| *cell < share) {
            let is_stranger = |id: Hash| strangers.iter().any(|stranger| stranger.id() == id);
            // The eldest link is the most likely to lead to one of us.
            let ours = cx.links.members().filter(|link| self.buckets.cell(link.peer()) == Some(cell) && !is_stranger(link.peer()));
            let Some((link, delegate)) = ours.map(|link| (link.id, link.peer())).next() else { continue };
            let nearest = strangers.iter().min_by_key(|stranger| Geometry::Tree.offset(stranger.id(), delegate));
            if let Some(seeker) = nearest.cloned() {
                // A cell's number is below 256.
                cx.out.frame(link, Frame::Unify(Unify { seeker, hop_limit: cell as u8 }));
            }
        }
    }
}

/// Longer than it takes until all are told, shorter than the time between two meetings that are worth telling of.
const ONE_MERGE: Duration = Duration::from_secs(5); // guess
