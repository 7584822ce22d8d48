//! Messages for the application: each once, and no more than it takes.

use crate::{
    context::Context,
    event::{Delivery, Event},
};

/// How many deliveries the application has not taken yet, and how many it missed.
#[derive(Debug, Default)]
pub(crate) struct Deliveries {
    waiting: usize,
    missed: u64,
}

impl Deliveries {
    /// Whether the application's queue has room.
    pub(crate) fn has_room(&self, cx: &Context<'_>) -> bool {
        self.waiting < cx.config.limits.deliveries
    }

    /// Hands a message over. The caller has seen to it that it comes once and has asked for room; without room the message is
    /// missed, and the application is told how many it missed as soon as it takes some.
    pub(crate) fn deliver(&mut self, cx: &mut Context<'_>, delivery: Delivery) {
        if !self.has_room(cx) {
            self.missed += 1;
            return;
        }
        self.waiting += 1;
        cx.out.event(Event::Delivered(delivery));
    }

    /// The application has taken some.
    pub(crate) fn consumed(&mut self, cx: &mut Context<'_>, deliveries: usize) {
        self.waiting = self.waiting.saturating_sub(deliveries);
        if self.missed > 0 {
            cx.out.event(Event::Lagged { dropped: std::mem::take(&mut self.missed) });
        }
    }
}
