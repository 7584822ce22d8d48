//! Messages for the application: each once, and no more than it takes.

use crate::{
    context::Context,
    event::{Delivery, Event},
};
use std::collections::VecDeque;

/// What the application has not taken yet, and how much it missed.
#[derive(Debug, Default)]
pub(crate) struct Deliveries {
    /// The lengths of what waits, in the order in which the application takes it.
    waiting: VecDeque<usize>,
    bytes: usize,
    missed: u64,
}

impl Deliveries {
    /// Whether the application's queue has room.
    pub(crate) fn has_room(&self, cx: &Context<'_>) -> bool {
        self.waiting.len() < cx.config.limits.deliveries && self.bytes < cx.config.limits.delivery_bytes
    }

    /// Hands a message over. The caller has seen to it that it comes once and has asked for room; without room the message is
    /// missed, and the application is told how many it missed as soon as it takes some.
    pub(crate) fn deliver(&mut self, cx: &mut Context<'_>, delivery: Delivery) {
        if !self.has_room(cx) {
            self.missed += 1;
            return;
        }
        self.waiting.push_back(delivery.payload.len());
        self.bytes += delivery.payload.len();
        cx.out.event(Event::Delivered(delivery));
    }

    /// How many wait for the application, and their bytes.
    pub(crate) fn waiting(&self) -> (usize, usize) {
        (self.waiting.len(), self.bytes)
    }

    /// The application has taken some.
    pub(crate) fn consumed(&mut self, cx: &mut Context<'_>, deliveries: usize) {
        let taken = deliveries.min(self.waiting.len());
        self.bytes -= self.waiting.drain(..taken).sum::<usize>();
        if self.missed > 0 {
            cx.out.event(Event::Lagged { dropped: std::mem::take(&mut self.missed) });
        }
    }
}
