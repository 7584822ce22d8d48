//! The driver's turns: wait until something happens, take in whatever else is there, then hand the links what follows.
//!
//! A packet costs more than all that is done for a frame, so frames that can travel together do. What follows from one turn goes
//! to a link at once; and a turn that delivered a message and has nothing but acknowledgements to send lets the application have
//! its turn first: an answer that it gives at once takes them along. That costs a moment of the scheduler, never a timer.

use super::{Driver, Inlets, Stage, WALL_TIME};
use crate::{hook_thread::Verdict, link::Queued, metrics::Direction, start::wall_time, wish::Done};
use cicada_proto::{Command, Input, JobResult, LinkId, Receipt, SendError};
use cicada_wire::{Frame, Kind, Refusal};
use std::{
    collections::BTreeSet,
    pin::Pin,
    sync::{Arc, atomic::Ordering},
    time::Instant,
};
use tokio::{
    sync::mpsc,
    task::yield_now,
    time::{Instant as Clock, MissedTickBehavior, Sleep, interval, sleep_until},
};

/// What follows from a turn and is not handed to the links yet.
#[derive(Default)]
pub(super) struct Unsent {
    frames: Vec<(LinkId, Frame)>,
    /// Something among them is more than an acknowledgement.
    urgent: bool,
    /// A message went to the application in this turn.
    delivered: bool,
    /// Senders to be told once the frames are on their way: waking them costs time that the frames would wait.
    told: Vec<(Done<SendResult>, SendResult)>,
}

type SendResult = Result<Receipt, SendError>;

impl Driver {
    pub(super) async fn serve(&mut self, inlets: &mut Inlets) {
        let mut wall = interval(WALL_TIME);
        wall.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let taken = Arc::clone(&self.taken);
        let mut alarm = std::pin::pin!(sleep_until(self.next_wake()));
        while self.is_serving() {
            self.recollect();
            self.flush();
            self.tell_senders().await;
            set(alarm.as_mut(), self.next_wake());
            self.linger(inlets).await;
            tokio::select! {
                wish = inlets.wishes.recv() => match wish {
                    Some(wish) => self.on_wish(wish),
                    None => self.stage = Stage::Dropped,
                },
                link = self.readers.knock() => self.on_knock(link),
                // The driver itself holds a sender.
                Some(news) = inlets.news.recv() => self.on_news(news),
                Some(received) = inlets.datagrams.recv() => self.on_datagram(&received),
                Some(verdict) = verdict(&mut inlets.verdicts) => self.on_verdict(verdict),
                () = taken.notify.notified() => {}
                () = alarm.as_mut() => self.on_wake(),
                _ = wall.tick() => self.handle(Input::Clock(wall_time())),
            }
            self.take_in(inlets);
            if self.unsent.waits_for_application() {
                yield_now().await;
                self.take_in(inlets);
            }
        }
        self.flush();
        self.tell_senders().await;
    }

    /// Waits awake for a moment, where that pays.
    async fn linger(&mut self, inlets: &Inlets) {
        let Some(until) = self.linger.begin(Instant::now()) else { return };
        loop {
            yield_now().await;
            let came = self.readers.has_knocks() || !inlets.is_empty();
            if came || Instant::now() >= until {
                return self.linger.end(came);
            }
        }
    }

    fn is_serving(&self) -> bool {
        match self.stage {
            Stage::Running | Stage::Leaving(_) => true,
            Stage::Left | Stage::Dropped => false,
        }
    }

    /// Takes in what is there, without waiting; a bounded part of it, so that what follows is not held up for long.
    fn take_in(&mut self, inlets: &mut Inlets) {
        let deliveries = self.taken.deliveries.swap(0, Ordering::Relaxed);
        if deliveries > 0 && self.is_serving() {
            self.handle(Input::Command(Command::Consumed { deliveries }));
        }
        for _ in 0..TURN {
            if !self.is_serving() {
                return;
            }
            if let Some(link) = self.readers.next_knock() {
                self.on_knock(link);
            } else if let Ok(news) = inlets.news.try_recv() {
                self.on_news(news);
            } else if let Ok(wish) = inlets.wishes.try_recv() {
                self.on_wish(wish);
            } else {
                return;
            }
        }
    }

    fn on_verdict(&mut self, (job, admitted): Verdict) {
        self.handle(Input::JobDone { job, result: JobResult::Admitted(admitted) });
    }

    // --- What follows

    /// A frame for a link, to be handed over at the end of the turn.
    pub(super) fn send_frame(&mut self, link: LinkId, frame: Frame) {
        self.unsent.urgent |= !acknowledges(&frame);
        self.unsent.frames.push((link, frame));
    }

    /// A message went to the application.
    pub(super) fn note_delivery(&mut self) {
        self.unsent.delivered = true;
    }

    /// Tells whoever asked what became of a message: at once, unless frames are to leave first.
    pub(super) fn tell_sender(&mut self, done: Done<SendResult>, result: SendResult) {
        if self.unsent.frames.is_empty() {
            // Whoever asked may have gone.
            let _ = done.send(result);
        } else {
            self.unsent.told.push((done, result));
        }
    }

    async fn tell_senders(&mut self) {
        if self.unsent.told.is_empty() {
            return;
        }
        // Lets the connections send.
        yield_now().await;
        for (done, result) in self.unsent.told.drain(..) {
            // Whoever asked may have gone.
            let _ = done.send(result);
        }
    }

    /// Hands the links what follows from this turn.
    pub(super) fn flush(&mut self) {
        (self.unsent.urgent, self.unsent.delivered) = (false, false);
        let mut frames = std::mem::take(&mut self.unsent.frames);
        let mut touched = BTreeSet::new();
        for (link, frame) in frames.drain(..) {
            touched.insert(link);
            self.hand_over(link, frame);
        }
        // Its room is used again.
        self.unsent.frames = frames;
        for link in touched {
            if let Some(handle) = self.links.get(&link) {
                let queued = handle.flush();
                self.see_to(link, queued);
            }
        }
    }

    fn hand_over(&mut self, link: LinkId, frame: Frame) {
        // The link may have gone while the node was thinking.
        let Some(handle) = self.links.get(&link) else { return };
        self.meters.on_frame(Direction::Sent, link, &frame);
        let queued = handle.queue(frame);
        self.see_to(link, queued);
    }

    fn see_to(&mut self, link: LinkId, queued: Queued) {
        match queued {
            Queued::Yes => {}
            Queued::Dropped => tracing::debug!(?link, "bulk queue full, frame dropped"),
            Queued::Overflow => {
                tracing::debug!(?link, "queue full, link cut");
                if let Some(handle) = self.links.remove(&link) {
                    handle.cut(Refusal::OverBudget);
                }
            }
        }
    }
}

impl Unsent {
    fn waits_for_application(&self) -> bool {
        self.delivered && !self.urgent && !self.frames.is_empty()
    }
}

impl Inlets {
    /// Whether there is nothing to take in but what the links' streams of control hold.
    fn is_empty(&self) -> bool {
        self.wishes.is_empty() && self.news.is_empty() && self.datagrams.is_empty()
    }
}

/// Whether a frame only says that something has arrived.
fn acknowledges(frame: &Frame) -> bool {
    match frame {
        Frame::HopVerdict(_) | Frame::TaskVerdict(_) => true,
        Frame::Data(header, _) => header.fixed.kind == Kind::Receipt,
        Frame::Query(..)
        | Frame::Reply(..)
        | Frame::Changed(_)
        | Frame::Hint(_)
        | Frame::Introduce(_)
        | Frame::Unify(_)
        | Frame::Alarm
        | Frame::Drain(_)
        | Frame::Drained
        | Frame::Goodbye(_)
        | Frame::Task(..)
        | Frame::Digest(_)
        | Frame::Pull(_)
        | Frame::Opaque(_) => false,
    }
}

/// Sets the alarm, unless it goes off early enough: that does no harm, and setting it is not free.
fn set(alarm: Pin<&mut Sleep>, due: Clock) {
    if due < alarm.deadline() || alarm.is_elapsed() {
        alarm.reset(due);
    }
}

async fn verdict(verdicts: &mut Option<mpsc::UnboundedReceiver<Verdict>>) -> Option<Verdict> {
    match verdicts {
        Some(verdicts) => verdicts.recv().await,
        None => None,
    }
}

/// Inputs taken in before what follows from them is handed on.
const TURN: usize = 32; // guess: a fraction of a millisecond
