//! Payloads that come and go piece by piece, between the tasks of the links and the node.

use super::{
    Driver,
    room::{Doubts, Party, Progress, Room, Shelf, Stream as Comer, Tenant},
};
use crate::{
    body::{Body, Rest},
    link::{Queued, Source, Stream},
    metrics::{Direction, kind_of},
};
use bytes::Bytes;
use cicada_proto::{self as proto, BodyId, Input, LinkId, RELAYED_BYTES, StreamId, lists::Subnet};
use cicada_wire::{Frame, Refusal, Task};
use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::Duration,
};
use tokio::{sync::watch, time::Instant};

/// What is on its way.
#[derive(Default)]
pub(super) struct Bodies {
    arriving: BTreeMap<BodyId, Arriving>,
    leaving: BTreeMap<StreamId, Leaving>,
    doubts: Doubts,
    /// While a frame with the rest of a payload is handled: that, and whose it is.
    rest: Option<(LinkId, Bytes)>,
    /// What the node hears next.
    news: VecDeque<Input>,
}

struct Arriving {
    body: Arc<Body>,
    tenant: Tenant,
    since: Instant,
    grace: Duration,
    kind: &'static str,
    /// Its stream has ended: it is whole, or paused.
    ended: bool,
    /// The payload of which it is the rest.
    joins: Option<BodyId>,
}

struct Leaving {
    link: LinkId,
    kind: &'static str,
    abandon: watch::Sender<bool>,
}

impl Arriving {
    fn progress(&self, now: Instant) -> Progress {
        Progress { brought: self.body.written(), age: now - self.since, grace: self.grace }
    }
}

impl Bodies {
    /// What has room until its stream has ended.
    fn streams(&self, now: Instant) -> Vec<Comer> {
        let arriving = self.arriving.iter().filter(|(_, arriving)| !arriving.ended);
        arriving.map(|(body, arriving)| Comer { body: *body, tenant: arriving.tenant, progress: arriving.progress(now) }).collect()
    }

    /// No more comes of a payload by its stream: what was collected of it stays.
    fn broke_off(&mut self, number: BodyId) -> Input {
        let arrived = self.arriving.get(&number).and_then(|arriving| arriving.body.paused());
        if arrived.is_none() {
            self.arriving.remove(&number);
        }
        Input::Broken { body: number, arrived: arrived.unwrap_or(0) }
    }

    /// The rest of a payload has come, or does not.
    fn rest_ended(&mut self, number: BodyId) -> Option<Input> {
        let body = &self.arriving.get(&number)?.body;
        if let Some(payload) = body.whole() {
            self.arriving.remove(&number);
            return Some(Input::Arrived { body: number, payload });
        }
        body.fail();
        Some(self.broke_off(number))
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
        let (now, length) = (Instant::now(), body.len());
        let tenant = self.tenant(link, &head, length);
        let Some(slow) = self.room().make(&self.bodies.streams(now), &tenant) else {
            body.discard();
            return self.handle(Input::Crowded { link, head });
        };
        slow.into_iter().for_each(|slow| self.give_up(slow));
        let grace = self.bodies.doubts.grace(now, tenant.party);
        self.bodies.arriving.insert(number, Arriving { body, tenant, since: now, grace, kind: kind_of(&head), ended: false, joins: None });
        self.handle(Input::Arriving { link, head, body: number, length });
    }

    fn tenant(&self, link: LinkId, head: &Frame, length: usize) -> Tenant {
        let remote = self.node.links().link(link).map(|link| link.remote.ip());
        let counted = remote.filter(|ip| !self.node.config().limits.is_exempt(*ip));
        let party = counted.map_or(Party::Link(link), |ip| Party::Subnet(Subnet::around(ip)));
        let (shelf, takes) = if let Frame::Data(header, _) = head {
            let passes = header.fixed.target != Some(self.node.me().id());
            (Shelf::Unicasts, if passes { length.min(RELAYED_BYTES) } else { length })
        } else {
            (Shelf::Broadcasts, length)
        };
        Tenant { link, party, shelf, announced: length, takes }
    }

    fn room(&self) -> Room {
        let config = self.node.config();
        let (of_link, of_shelf) = (config.limits.announced_bytes(), config.limits.arriving_bytes());
        Room { of_link, of_shelf, keeps_slow: config.faults.keeps_slow_streams }
    }

    /// Others need the room of a payload that comes too slowly. What is here of a broadcast may be gone on with from elsewhere.
    fn give_up(&mut self, number: BodyId) {
        let Some(arriving) = self.bodies.arriving.get(&number) else { return };
        tracing::debug!(link = ?arriving.tenant.link, bytes = arriving.tenant.announced, "a slow stream gives up its room");
        arriving.body.give_up();
        self.refuse(Refusal::OverBudget);
        self.on_ended(number, false);
    }

    /// A payload has arrived, or will not.
    pub(super) fn on_ended(&mut self, number: BodyId, whole: bool) {
        let Some(arriving) = self.bodies.arriving.get_mut(&number).filter(|arriving| !arriving.ended) else { return };
        arriving.ended = true;
        self.meters.on_payload(Direction::Received, arriving.tenant.link, arriving.kind, arriving.body.written());
        if !whole {
            let now = Instant::now();
            self.bodies.doubts.note(now, arriving.tenant.party, arriving.progress(now));
        }
        if let Some(joined) = arriving.joins {
            self.bodies.arriving.remove(&number);
            let news = self.bodies.rest_ended(joined);
            return news.into_iter().for_each(|news| self.handle(news));
        }
        if !whole {
            let news = self.bodies.broke_off(number);
            return self.handle(news);
        }
        // What passes through stays, in case that it is handed on once more.
        if let Some(payload) = arriving.body.whole() {
            self.bodies.arriving.remove(&number);
            self.handle(Input::Arrived { body: number, payload });
        }
    }

    /// A payload that broke off goes on.
    pub(super) fn append(&mut self, number: BodyId, offset: usize, tail: proto::Body) {
        let Some(body) = self.bodies.arriving.get(&number).map(|arriving| Arc::clone(&arriving.body)) else {
            return self.bodies.news.push_back(Input::Broken { body: number, arrived: 0 });
        };
        let joined = match tail {
            proto::Body::Whole(rest) => {
                match body.end_with(offset, &rest) {
                    Rest::Joined | Rest::Unneeded => {}
                    Rest::Altered => self.on_altered(&rest),
                }
                None
            }
            proto::Body::Arriving { body: tail, .. } => {
                self.bodies.arriving.get_mut(&tail).filter(|tail| body.join(offset, &tail.body)).map(|tail| tail.joins = Some(number))
            }
        };
        if joined.is_none() {
            let news = self.bodies.rest_ended(number);
            self.bodies.news.extend(news);
        }
    }

    /// Whoever hands over a rest has it whole, or has checked it: nobody else can have altered this one.
    fn on_altered(&mut self, rest: &Bytes) {
        self.refuse(Refusal::Altered);
        // One that waited until its origin was known came with an earlier frame: then it is only counted.
        let link = self.bodies.rest.as_ref().filter(|(_, brought)| brought.as_ptr_range() == rest.as_ptr_range()).map(|(link, _)| *link);
        if let Some(handle) = link.and_then(|link| self.links.remove(&link)) {
            handle.cut(Refusal::Altered);
        }
    }

    /// A frame of control or a short message: if it brings a rest, it is known while it is handled who brought it.
    pub(super) fn on_frame(&mut self, link: LinkId, frame: Frame) {
        self.meters.on_frame(Direction::Received, link, &frame);
        if let Frame::Task(Task { offset: 1.., .. }, rest) = &frame {
            self.bodies.rest = Some((link, rest.clone()));
        }
        self.handle(Input::Frame { link, frame });
        self.bodies.rest = None;
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
        let rests = self.bodies.arriving.iter().filter(|(_, arriving)| arriving.joins == Some(number));
        for number in rests.map(|(rest, _)| *rest).chain([number]).collect::<Vec<_>>() {
            self.let_go(number);
        }
    }

    fn let_go(&mut self, number: BodyId) {
        if let Some(arriving) = self.bodies.arriving.remove(&number) {
            arriving.body.discard();
            if !arriving.ended {
                self.meters.on_payload(Direction::Received, arriving.tenant.link, arriving.kind, arriving.body.written());
            }
        }
    }

    // --- Out

    pub(super) fn stream(&mut self, id: StreamId, link: LinkId, head: Frame, body: proto::Body, offset: usize) {
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
        let fault = self.node.config().faults.breaks_streams_after;
        let breaks_after = fault.filter(|_| matches!(head, Frame::Task(..)));
        match handle.stream(Stream { id, head, payload, offset, breaks_after, abandoned }) {
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
        let broken: Vec<BodyId> = self
            .bodies
            .arriving
            .iter()
            .filter(|(_, arriving)| arriving.tenant.link == link && !arriving.ended)
            .map(|(id, _)| *id)
            .collect();
        for number in broken {
            if let Some(arriving) = self.bodies.arriving.get(&number) {
                arriving.body.fail();
                self.on_ended(number, false);
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
