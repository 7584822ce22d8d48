//! The overlay: which members are known, which are near, who is responsible, who is a delegate; and its upkeep.
//!
//! Stub to be replaced.

use crate::{Geometry, context::Context, event::Table, peer::Proven};
use cicada_wire::{Hash, OverlayKind};

/// Either overlay with its maintenance.
#[derive(Debug)]
pub struct Overlay {
    geometry: Geometry,
    me: Hash,
}

impl Overlay {
    pub(crate) fn new(kind: OverlayKind, me: Hash) -> Self {
        Self { geometry: kind.into(), me }
    }
    /// Which geometry.
    #[must_use]
    pub fn geometry(&self) -> Geometry {
        self.geometry
    }
    /// Known proven members with strictly smaller offset to `target` than this peer, nearest first.
    #[must_use]
    pub fn closer(&self, _target: Hash, _limit: usize) -> Vec<Proven> {
        Vec::new()
    }
    /// The members responsible for `key` as far as this peer knows, the owner first; this peer is named by its own id.
    #[must_use]
    pub fn responsible(&self, _key: Hash) -> Vec<Hash> {
        vec![self.me]
    }
    /// Every known proven member, for the choice of a broadcast's delegates.
    #[must_use]
    pub fn members(&self) -> Vec<Proven> {
        Vec::new()
    }
    /// The tables, for people to look at.
    #[must_use]
    pub fn table(&self) -> Table {
        Table::default()
    }
    pub(crate) fn upkeep(&mut self, _cx: &mut Context<'_>) {}
}
