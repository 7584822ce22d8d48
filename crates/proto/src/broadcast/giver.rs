//! Who handed a task over.

use crate::{
    config::Families,
    links::{Link, LinkId},
};
use cicada_wire::{Hash, Role};
use std::net::SocketAddr;

/// Whoever handed a task over, as it was then: the link may go while the task waits until its origin is known.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Giver {
    pub(crate) link: LinkId,
    pub(crate) peer: Hash,
    pub(crate) remote: SocketAddr,
    pub(super) role: Role,
    pub(super) families: Families,
    /// It has been told that its task is taken, and looks for nobody else: now the task is ours, whatever becomes of the link.
    pub(crate) relies_on_us: bool,
}

impl Giver {
    pub(crate) fn of(link: &Link) -> Self {
        Self {
            link: link.id,
            peer: link.peer(),
            remote: link.remote,
            role: link.record.record().role,
            families: Families::of(&link.record),
            relies_on_us: false,
        }
    }
}
