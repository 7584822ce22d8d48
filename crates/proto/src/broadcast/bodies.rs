//! Long bodies: handed on while they arrive, delivered once they are whole.

use super::Broadcaster;
use crate::{
    body::{Body, BodyId, StreamId},
    context::Context,
    deliver::Deliveries,
    event::Delivery,
    outbox::Transmit,
    seen::MessageKey,
};
use bytes::Bytes;

impl Broadcaster {
    fn with_body(&self, body: BodyId) -> Option<MessageKey> {
        self.recent.iter().find(|(_, recent)| recent.payload.is(body)).map(|(key, _)| *key)
    }

    /// Whether a body that is arriving is needed here.
    pub(crate) fn holds_body(&self, body: BodyId) -> bool {
        self.with_body(body).is_some()
    }

    /// A body is whole.
    pub(crate) fn on_arrived(&mut self, cx: &mut Context<'_>, deliveries: &mut Deliveries, body: BodyId, payload: Bytes) {
        let Some(key) = self.with_body(body) else { return };
        if let Some(recent) = self.recent.get_mut(&key) {
            recent.payload = Body::Whole(payload.clone());
        }
        self.repair.arrived(cx, key);
        self.deliver(cx, deliveries, key, payload);
    }

    pub(super) fn deliver(&mut self, cx: &mut Context<'_>, deliveries: &mut Deliveries, key: MessageKey, payload: Bytes) {
        let Some(recent) = self.recent.get(&key) else { return };
        let (origin, path) = (recent.fixed.origin, recent.path().to_vec());
        deliveries.deliver(cx, Delivery { message: key.message, origin, payload, broadcast: true, path });
    }

    /// A body does not arrive: as if the message had not been heard of, so that it may come from elsewhere. What was handed on of
    /// it breaks by itself.
    pub(crate) fn on_broken(&mut self, cx: &mut Context<'_>, body: BodyId) {
        let Some(key) = self.with_body(body) else { return };
        let offerers = self.repair.offerers_of(key);
        self.forget(cx, key);
        self.covered.remove(&key);
        self.repair.lost(cx, key, offerers);
    }

    /// A body has left over a link, or will not.
    pub(crate) fn on_streamed(&mut self, stream: StreamId) {
        self.streams.remove(&stream);
    }

    /// Hands a body on no longer.
    pub(super) fn abandon(&mut self, cx: &mut Context<'_>, key: MessageKey) {
        let out = &mut cx.out.transmits;
        self.streams.retain(|stream, of| {
            if *of == key {
                out.push_back(Transmit::Abandon { stream: *stream });
            }
            *of != key
        });
    }
}
