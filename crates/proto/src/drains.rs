//! Giving links up so that nothing on its way over them gets lost.
//!
//! Who has no room for a link, or no use, stops sending on it and says so ([`Frame::Drain`]); it still hears and answers what comes.
//! The other end stops as well, waits for the answers to what it has handed over, and says so too ([`Frame::Drained`]). Then the link
//! is closed by whoever gave it up. Without that a message handed over at the wrong moment would be taken and not acknowledged, and
//! whoever sent it would hand it to others once more.
//!
//! Of two ends that give up the same link at once, each closes it after it has said and heard that nothing is left. What is bounded:
//! a link that is not drained after [`PATIENCE`] is closed all the same, by either end.

use crate::{
    context::Context,
    linkage,
    links::{Link, LinkId},
    time::Instant,
};
use cicada_wire::{Frame, Hash, Refusal};
use std::{collections::BTreeMap, time::Duration};

/// The links that are being given up.
#[derive(Debug, Default)]
pub(crate) struct Drains(BTreeMap<LinkId, Drain>);

#[derive(Debug)]
struct Drain {
    /// When it is closed in any case.
    due: Instant,
    /// We gave it up, and close it.
    ours: bool,
    /// The other end gave it up, and is told once when nothing is left.
    theirs: bool,
    /// It has been told.
    said: bool,
    /// The other end has nothing left.
    heard: bool,
}

impl Drains {
    /// A link of ours is given up: it is marked already, and nothing new is sent on it.
    pub(crate) fn give_up(&mut self, cx: &mut Context<'_>, link: LinkId, reason: Refusal) {
        cx.out.frame(link, Frame::Drain(reason));
        self.begin(cx, link).ours = true;
    }

    /// The other end gives a link up. It may do so once.
    pub(crate) fn on_drain(&mut self, cx: &mut Context<'_>, link: LinkId, reason: Refusal) {
        linkage::mark_closing(cx, link, reason);
        if std::mem::replace(&mut self.begin(cx, link).theirs, true) {
            cx.refuse(cx.links.link(link).map(Link::peer), Refusal::Unexpected);
        }
    }

    fn begin(&mut self, cx: &Context<'_>, link: LinkId) -> &mut Drain {
        let due = cx.now + PATIENCE + cx.slowness;
        self.0.entry(link).or_insert(Drain { due, ours: false, theirs: false, said: false, heard: false })
    }

    /// The other end has nothing left.
    pub(crate) fn on_drained(&mut self, cx: &mut Context<'_>, link: LinkId) {
        match self.0.get_mut(&link).filter(|drain| drain.ours) {
            Some(drain) => drain.heard = true,
            None => cx.refuse(cx.links.link(link).map(Link::peer), Refusal::Unexpected),
        }
    }

    /// Something has happened: perhaps nothing is left now. `awaits` says whether something is on its way over a link to this peer.
    pub(crate) fn go_on(&mut self, cx: &mut Context<'_>, awaits: impl Fn(LinkId, Hash) -> bool) {
        let now = cx.now;
        self.0.retain(|link, drain| {
            let Some(peer) = cx.links.link(*link).map(Link::peer) else { return false };
            let is_asked = drain.theirs && !drain.said;
            let is_done = (is_asked || drain.heard) && !awaits(*link, peer);
            if is_done && is_asked {
                drain.said = true;
                cx.out.frame(*link, Frame::Drained);
            }
            let ends = (is_done && drain.heard) || drain.due <= now;
            if ends {
                linkage::finish(cx, *link);
            }
            !ends
        });
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn on_link_down(&mut self, link: LinkId) {
        self.0.remove(&link);
    }

    pub(crate) fn next_timeout(&self) -> Option<Instant> {
        self.0.values().map(|drain| drain.due).min()
    }
}

/// What has not been acknowledged after this long has gone to others.
const PATIENCE: Duration = Duration::from_secs(2); // guess: twice the longest wait for an acknowledgement
