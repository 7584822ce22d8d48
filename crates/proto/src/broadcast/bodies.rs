//! Long bodies: handed on while they arrive, delivered once they are whole.
//!
//! When one breaks off, what is here of it stays, with the streams that hand it on; the message is wanted again, from that byte on
//! ([`Pull`](cicada_wire::Pull)), and the answer is joined to it. Those behind notice nothing if that takes no longer than a stream may pause.
//! Without an answer it is forgotten when its time is over, or earlier if there is need of its room.

use super::{Broadcaster, recent::Flow};
use crate::{
    body::{Body, BodyId, LONG_BYTES, StreamId},
    context::Context,
    deliver::Deliveries,
    event::Delivery,
    outbox::Transmit,
    seen::MessageKey,
};
use bytes::Bytes;
use cicada_wire::{Hash, Refusal, Task};

impl Broadcaster {
    fn with_body(&self, body: BodyId) -> Option<MessageKey> {
        self.recent.iter().find(|(_, recent)| recent.payload.is(body)).map(|(key, _)| *key)
    }

    /// Whether a body that is arriving is needed here.
    pub(crate) fn holds_body(&self, body: BodyId) -> bool {
        self.recent.values().any(|recent| recent.takes(body))
    }

    /// A task may bring what a body lacks that has stopped. Nothing else is taken in parts.
    pub(super) fn go_on(&mut self, cx: &mut Context<'_>, from: Hash, task: &Task, rest: &Body) -> Result<(), Refusal> {
        let key = MessageKey::of(&task.header.fixed);
        let stopped = self.recent.get_mut(&key).and_then(|recent| {
            let arrived = recent.stopped_at()?;
            Some((recent.payload.arriving()?, arrived, recent))
        });
        let Some((body, arrived, recent)) = stopped else {
            let whole = task.offset == 0;
            let known = self.covered.get(cx.now, &key).is_some();
            return if whole { Ok(()) } else { Err(if known { Refusal::Seen } else { Refusal::Unexpected }) };
        };
        let offset = usize::try_from(task.offset).ok().filter(|offset| *offset <= arrived);
        let Some(offset) = offset.filter(|_| task.header.fixed.message() == recent.fixed.message()) else {
            return Err(Refusal::Unexpected);
        };
        recent.flow = Some(Flow::Comes { from, since: arrived, tail: rest.arriving() });
        self.repair.goes_on(cx, key, &recent.fixed);
        cx.out.transmits.push_back(Transmit::Append { body, offset, tail: rest.clone() });
        Ok(())
    }

    /// A body is whole.
    pub(crate) fn on_arrived(&mut self, cx: &mut Context<'_>, deliveries: &mut Deliveries, body: BodyId, payload: Bytes) {
        let Some(key) = self.with_body(body) else { return };
        if let Some(recent) = self.recent.get_mut(&key) {
            recent.payload = Body::Whole(payload.clone());
            recent.flow = None;
        }
        self.repair.arrived(cx, key);
        self.deliver(cx, deliveries, key, payload);
    }

    pub(super) fn deliver(&mut self, cx: &mut Context<'_>, deliveries: &mut Deliveries, key: MessageKey, payload: Bytes) {
        let Some(recent) = self.recent.get(&key) else { return };
        let (origin, level, hops) = (recent.fixed.origin, recent.level, recent.hops());
        deliveries.deliver(cx, Delivery { message: key.message, origin, payload, level, broadcast: true, hops, path: Vec::new() });
    }

    /// A body arrives no longer. The rest of it is wanted; if nothing is here, all of it, as if the message had not been heard of,
    /// and what was handed on of it breaks by itself.
    pub(crate) fn on_broken(&mut self, cx: &mut Context<'_>, body: BodyId, arrived: usize) {
        let Some(key) = self.with_body(body) else { return };
        let Some(recent) = self.recent.get_mut(&key) else { return };
        let (last, fruitless) = match recent.flow {
            Some(Flow::Comes { from, since, .. }) => (Some(from), since > 0 && arrived < since.saturating_add(LEAST_PROGRESS)),
            Some(Flow::Stopped { .. }) | None => (None, false),
        };
        let mut offerers = self.repair.offerers_of(key);
        if fruitless && let Some(last) = last {
            self.repair.does_not_have(key, last);
            offerers.remove(&last);
        }
        // Where nobody is asked, nothing goes on.
        let arrived = if cx.config.upkeep.repair { arrived } else { 0 };
        if arrived == 0 {
            self.forget(cx, key);
        } else {
            recent.flow = Some(Flow::Stopped { arrived });
            offerers.extend(last.filter(|last| !fruitless && cx.links.to_peer(*last).is_some()));
        }
        self.repair.lost(cx, key, &offerers, arrived, last);
    }

    /// A body has left over a link, or will not: then it may be offered to who lacks it still.
    pub(crate) fn on_streamed(&mut self, stream: StreamId, complete: bool) {
        let Some((key, to)) = self.streams.remove(&stream) else { return };
        if !complete {
            self.repair.broke_off(key, to);
        }
    }

    /// Hands a body on no longer.
    pub(super) fn abandon(&mut self, cx: &mut Context<'_>, key: MessageKey) {
        let out = &mut cx.out.transmits;
        self.streams.retain(|stream, of| {
            if of.0 == key {
                out.push_back(Transmit::Abandon { stream: *stream });
            }
            of.0 != key
        });
    }
}

/// Who brings less than this of what is lacking is not asked for the rest of it unless it offers it once more; and who was
/// handed a part is handed another only if it has got so much of the first.
pub(super) const LEAST_PROGRESS: usize = LONG_BYTES;
