//! Long messages for this peer's application, until they are whole.

use super::{
    Map, Router,
    copy::{CopyKey, Previous},
    sealing::Parcel,
};
use crate::{
    body::{BodyId, StreamId},
    context::Context,
    deliver::Deliveries,
    outbox::Transmit,
    seen::MessageKey,
    trusted,
};
use bytes::Bytes;
use cicada_wire::{Hash, Header, Kind, Refusal};

/// A message whose payload is arriving.
#[derive(Debug)]
pub(super) struct Arrival {
    from: Hash,
    header: Header,
    length: usize,
}

impl Router {
    /// Takes in the beginning of a long message, unless it is known already that it is not wanted.
    pub(super) fn begin_arrival(
        &mut self,
        cx: &mut Context<'_>,
        map: &Map<'_>,
        deliveries: &Deliveries,
        from: Hash,
        header: &Header,
        body: BodyId,
    ) -> Result<(), Refusal> {
        let (key, fixed) = (CopyKey::of(header), &header.fixed);
        match fixed.kind {
            Kind::Unicast => {}
            Kind::Receipt | Kind::Broadcast => return Err(Refusal::Unexpected),
        }
        let (before, delivered) = (self.custody.previous(cx, key), self.seen.contains(cx.now, &MessageKey::of(fixed)));
        if before.is_some_and(|before| !delivered || !self.asks_again(cx, key, from, before)) {
            return Ok(());
        }
        let answer = if delivered {
            Some(None)
        } else if let Err(refusal) = self.seen.check_time(cx, &MessageKey::of(fixed), fixed.made_at) {
            cx.refuse(Some(fixed.origin.id()), refusal);
            Some(Some(refusal))
        } else if let Err(refusal) = trusted::check(cx, map.sessions, fixed) {
            cx.refuse(Some(fixed.origin.id()), refusal);
            Some(Some(refusal))
        } else if deliveries.has_room(cx) {
            None
        } else {
            Some(Some(Refusal::Busy))
        };
        if let Some(refusal) = answer {
            if before.is_none() {
                self.custody.note(cx, key, Previous::Hop(from));
            }
            self.answer(cx, map, from, header, refusal);
            return Ok(());
        }
        let length = usize::try_from(fixed.length).map_err(|_| Refusal::TooLarge)?;
        self.custody.charge(cx, length)?;
        self.custody.note(cx, key, Previous::Hop(from));
        self.arriving.insert(body, Arrival { from, header: header.clone(), length });
        cx.out.transmits.push_back(Transmit::Collect { body });
        Ok(())
    }

    /// Whether a payload that is arriving is needed here.
    pub(crate) fn holds_body(&self, body: BodyId) -> bool {
        self.arriving.contains_key(&body) || self.custody.holds_body(body)
    }

    /// A message for this peer's application is whole.
    pub(crate) fn on_arrived(&mut self, cx: &mut Context<'_>, map: &Map<'_>, deliveries: &mut Deliveries, body: BodyId, payload: Bytes) {
        let Some(Arrival { from, header, length }) = self.arriving.remove(&body) else { return };
        self.custody.discharge(length);
        let (_, accepted) = self.take_in(cx, map, deliveries, Parcel { from, header: header.clone(), payload });
        if accepted {
            self.let_go_of_copies(cx, &header);
        }
        self.hear_news(cx, map);
    }

    /// Further copies of what was delivered need not arrive to the end.
    fn let_go_of_copies(&mut self, cx: &mut Context<'_>, delivered: &Header) {
        let key = MessageKey::of(&delivered.fixed);
        let others: Vec<BodyId> =
            self.arriving.iter().filter(|(_, arrival)| MessageKey::of(&arrival.header.fixed) == key).map(|(body, _)| *body).collect();
        for body in others {
            if let Some(arrival) = self.arriving.remove(&body) {
                self.custody.discharge(arrival.length);
                cx.out.transmits.push_back(Transmit::Discard { body });
            }
        }
    }

    /// A payload does not arrive. The origin hears of it by its own stream, or by the silence.
    pub(crate) fn on_broken(&mut self, cx: &mut Context<'_>, map: &Map<'_>, body: BodyId) {
        match self.arriving.remove(&body) {
            Some(arrival) => self.custody.discharge(arrival.length),
            None => self.custody.on_broken(body),
        }
        self.hear_news(cx, map);
    }

    /// A payload has left over a link, or will not.
    pub(crate) fn on_streamed(&mut self, cx: &mut Context<'_>, map: &Map<'_>, stream: StreamId, complete: bool) {
        self.custody.on_streamed(cx, map, stream, complete);
        self.hear_news(cx, map);
    }
}
