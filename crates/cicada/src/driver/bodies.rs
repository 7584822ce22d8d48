//! Payloads that come and go piece by piece, between the tasks of the links and the node.

use super::Driver;
use crate::{
    body::Body,
    link::{Queued, Source, Stream},
    metrics::{Direction, kind_of},
};
use cicada_proto::{self as proto, BodyId, Input, LinkId, StreamId};
use cicada_wire::{Frame, Refusal};
use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};
use tokio::sync::watch;

/// What is on its way.
#[derive(Default)]
pub(super) struct Bodies {
    arriving: BTreeMap<BodyId, Arriving>,
    leaving: BTreeMap<StreamId, Leaving>,
    /// What the node hears next.
    news: VecDeque<Input>,
}

struct Arriving {
    body: Arc<Body>,
    link: LinkId,
    kind: &'static str,
    ended: bool,
}

struct Leaving {
    link: LinkId,
    kind: &'static str,
    abandon: watch::Sender<bool>,
}

impl Bodies {
    /// What a link has promised and not brought to its end.
    fn announced(&self, link: LinkId) -> usize {
        let arriving = self.arriving.values().filter(|arriving| arriving.link == link && !arriving.ended);
        arriving.map(|arriving| arriving.body.len()).sum()
    }

    /// What follows for the node from what it wanted of payloads.
    pub(super) fn next_news(&mut self) -> Option<Input> {
        self.news.pop_front()
    }
}

impl Driver {
    // --- In

    pub(super) fn on_arriving(&mut self, link: LinkId, head: Frame, number: BodyId, body: Arc<Body>) {
        if !self.links.contains_key(&link) {
            return body.discard();
        }
        self.meters.on_frame(Direction::Received, link, &head);
        let length = body.len();
        let announced = self.bodies.announced(link);
        if announced.saturating_add(length) > self.node.config().limits.announced_bytes() {
            body.discard();
            return self.handle(Input::Crowded { link, head });
        }
        self.bodies.arriving.insert(number, Arriving { body, link, kind: kind_of(&head), ended: false });
        self.handle(Input::Arriving { link, head, body: number, length });
    }

    /// A payload has arrived, or will not.
    pub(super) fn on_ended(&mut self, number: BodyId, whole: bool) {
        let Some(arriving) = self.bodies.arriving.get_mut(&number) else { return };
        arriving.ended = true;
        self.meters.on_payload(Direction::Received, arriving.link, arriving.kind, arriving.body.written());
        if !whole {
            self.bodies.arriving.remove(&number);
            return self.handle(Input::Broken { body: number });
        }
        // What passes through stays, in case that it is handed on once more.
        if let Some(payload) = arriving.body.whole() {
            self.bodies.arriving.remove(&number);
            self.handle(Input::Arrived { body: number, payload });
        }
    }

    pub(super) fn collect(&mut self, number: BodyId) {
        let Some(arriving) = self.bodies.arriving.get(&number) else { return };
        arriving.body.collect();
        // If it is whole by now, the news of its end tells of it.
        if let Some(payload) = arriving.body.whole().filter(|_| arriving.ended) {
            self.bodies.arriving.remove(&number);
            self.bodies.news.push_back(Input::Arrived { body: number, payload });
        }
    }

    pub(super) fn discard(&mut self, number: BodyId) {
        if let Some(arriving) = self.bodies.arriving.remove(&number) {
            arriving.body.discard();
            if !arriving.ended {
                self.meters.on_payload(Direction::Received, arriving.link, arriving.kind, arriving.body.written());
            }
        }
    }

    // --- Out

    pub(super) fn stream(&mut self, id: StreamId, link: LinkId, head: Frame, body: proto::Body) {
        let payload = match body {
            proto::Body::Whole(bytes) => Some(Source::Whole(bytes)),
            proto::Body::Arriving { body, .. } => {
                self.bodies.arriving.get(&body).map(|arriving| Source::Arriving(Arc::clone(&arriving.body)))
            }
        };
        let (Some(payload), Some(handle)) = (payload, self.links.get(&link)) else {
            return self.bodies.news.push_back(Input::Streamed { stream: id, complete: false });
        };
        self.meters.on_frame(Direction::Sent, link, &head);
        let (abandon, abandoned) = watch::channel(false);
        self.bodies.leaving.insert(id, Leaving { link, kind: kind_of(&head), abandon });
        match handle.stream(Stream { id, head, payload, abandoned }) {
            Queued::Yes => {}
            Queued::Dropped | Queued::Overflow => {
                // Its end tells of the streams.
                if let Some(handle) = self.links.remove(&link) {
                    handle.cut(Refusal::OverBudget);
                }
            }
        }
    }

    pub(super) fn abandon(&mut self, id: StreamId) {
        if let Some(leaving) = self.bodies.leaving.get(&id) {
            leaving.abandon.send_replace(true);
        }
    }

    pub(super) fn on_streamed(&mut self, id: StreamId, complete: bool, sent: usize) {
        if let Some(leaving) = self.bodies.leaving.remove(&id) {
            self.meters.on_payload(Direction::Sent, leaving.link, leaving.kind, sent);
            self.handle(Input::Streamed { stream: id, complete });
        }
    }

    /// A link is gone, and with it what was on its way.
    pub(super) fn end_bodies(&mut self, link: LinkId) {
        let broken: Vec<BodyId> =
            self.bodies.arriving.iter().filter(|(_, arriving)| arriving.link == link && !arriving.ended).map(|(id, _)| *id).collect();
        for number in broken {
            if let Some(arriving) = self.bodies.arriving.remove(&number) {
                arriving.body.fail();
                self.handle(Input::Broken { body: number });
            }
        }
        let unsent: Vec<StreamId> =
            self.bodies.leaving.iter().filter(|(_, leaving)| leaving.link == link).map(|(stream, _)| *stream).collect();
        for stream in unsent {
            self.bodies.leaving.remove(&stream);
            self.handle(Input::Streamed { stream, complete: false });
        }
    }
}
