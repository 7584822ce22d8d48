//! What a message meets on its arrival: its target, or a relay.

use super::{
    Map, Router,
    copy::{Copy, CopyKey, Previous},
    custody::relayed,
    sealing::Parcel,
};
use crate::{
    body::Body,
    context::Context,
    deliver::Deliveries,
    event::Delivery,
    links::LinkId,
    seen::MessageKey,
    trusted::{self, Draft},
};
use bytes::Bytes;
use cicada_wire::{Authentication, Frame, Hash, Header, Kind, MAX_HOPS, Mutable, Refusal, Role, Status};

impl Router {
    /// A unicast or a receipt arrived on a link.
    pub(crate) fn on_data(
        &mut self,
        cx: &mut Context<'_>,
        map: &Map<'_>,
        deliveries: &mut Deliveries,
        link: LinkId,
        header: Header,
        payload: Body,
    ) {
        let Some(record) = cx.links.link(link).map(|link| link.record.clone()) else { return };
        let (from, role, key) = (record.id(), record.record().role, CopyKey::of(&header));
        let patient = header.hop.patient;
        if key.receipt {
            self.custody.on_receipt(cx, map, from, CopyKey::of_message(&header));
        }
        let result = if role != Role::Member && header.fixed.origin.id() != from {
            // Clients and leaves carry nothing for others.
            Err(Refusal::Unexpected)
        } else if payload.len() > cx.config.limits.message_bytes + trusted::seal_bytes(&header.fixed) {
            Err(Refusal::TooLarge)
        } else if header.fixed.target == Some(cx.me.id()) {
            match payload {
                Body::Whole(payload) => {
                    let receipt_to = self.arrive(cx, map, deliveries, from, header, payload);
                    // A receipt says all that a verdict would, if it goes to whoever waits for that; one at its end needs none.
                    if receipt_to != Some(from) && !key.receipt {
                        cx.acknowledge(link, patient, Frame::HopVerdict(key.verdict(None)));
                    }
                    return self.hear_news(cx, map);
                }
                Body::Arriving { body, .. } => self.begin_arrival(cx, map, deliveries, from, &header, body),
            }
        } else {
            self.relay(cx, map, from, header, payload)
        };
        if let Err(refusal) = result {
            cx.refuse(Some(from), refusal);
        }
        cx.acknowledge(link, patient && result.is_ok(), Frame::HopVerdict(key.verdict(result.err())));
        self.hear_news(cx, map);
    }

    /// Takes a message over to hand it on.
    fn relay(&mut self, cx: &mut Context<'_>, map: &Map<'_>, from: Hash, header: Header, payload: Body) -> Result<(), Refusal> {
        let (key, me) = (CopyKey::of(&header), cx.me.id());
        if cx.me.record.record().role != Role::Member {
            return Err(Refusal::NoRoute);
        }
        match self.custody.previous(cx, key) {
            // Sent again because our acknowledgement was late or lost with its link.
            Some(Previous::Hop(previous)) if previous == from && self.custody.holds(key) => return Ok(()),
            Some(Previous::Hop(_) | Previous::Here) => return Err(Refusal::Loop),
            None if header.fixed.origin.id() == me || header.hop.path.contains(&me) => return Err(Refusal::Loop),
            None => {}
        }
        let mut copy = Copy::new(header, payload, Previous::Hop(from));
        relayed(&mut copy.header.hop, me)?;
        copy.back = self.way_back(cx, &copy.header);
        let header = copy.header.clone();
        match self.custody.take(cx, map, copy) {
            Err(Refusal::NoSuchPeer) if !key.receipt => {
                self.answer(cx, map, from, &header, Some(Refusal::NoSuchPeer));
                Ok(())
            }
            Err(Refusal::NoSuchPeer) => Err(Refusal::NoRoute),
            result => result.map(|_| ()),
        }
    }

    /// Of a receipt: who handed us the message that it is about.
    fn way_back(&self, cx: &Context<'_>, header: &Header) -> Option<Hash> {
        let origin = header.fixed.target.filter(|_| header.fixed.kind == Kind::Receipt)?;
        match self.custody.previous(cx, CopyKey { origin, ..CopyKey::of_message(header) })? {
            Previous::Hop(previous) => Some(previous),
            Previous::Here => None,
        }
    }

    /// A message is at its target. Yields whom its receipt was handed to.
    fn arrive(
        &mut self,
        cx: &mut Context<'_>,
        map: &Map<'_>,
        deliveries: &mut Deliveries,
        from: Hash,
        header: Header,
        payload: Bytes,
    ) -> Option<Hash> {
        let key = CopyKey::of(&header);
        match self.custody.previous(cx, key) {
            Some(previous) if self.asks_again(cx, key, from, previous) => {}
            // By two hops: one receipt is on its way already.
            Some(Previous::Hop(_) | Previous::Here) => return None,
            // A receipt from the target itself comes by no other way.
            None if key.receipt && key.origin == from => {}
            None => self.custody.note(cx, key, Previous::Hop(from)),
        }
        match header.fixed.kind {
            Kind::Unicast => self.take_in(cx, map, deliveries, Parcel { from, header, payload }).0,
            Kind::Receipt => {
                self.on_receipt(cx, map, from, &header, &payload);
                None
            }
            Kind::Broadcast => {
                cx.refuse(Some(from), Refusal::Unexpected);
                None
            }
        }
    }

    /// Whether a copy comes again from somebody who waits for its receipt: from the same hop, since that was lost, perhaps with its link;
    /// or from another hop than its origin, who has heard nothing over the link between us. Not while the receipt is here still.
    pub(super) fn asks_again(&self, cx: &Context<'_>, key: CopyKey, from: Hash, before: Previous) -> bool {
        match before {
            Previous::Hop(before) => (before == from || before == key.origin) && !self.custody.holds_receipt(cx.me.id(), key),
            Previous::Here => false,
        }
    }

    /// Delivers a message unless it was delivered before.
    pub(super) fn accept(
        &mut self,
        cx: &mut Context<'_>,
        map: &Map<'_>,
        deliveries: &mut Deliveries,
        header: &Header,
        payload: Bytes,
    ) -> Result<(), Refusal> {
        let fixed = &header.fixed;
        let key = MessageKey::of(fixed);
        if self.seen.contains(cx.now, &key) {
            return Ok(());
        }
        self.seen.check_time(cx, &key, fixed.made_at).inspect_err(|refusal| cx.refuse(Some(fixed.origin.id()), *refusal))?;
        let (payload, level) = trusted::open(cx, map.sessions, fixed, payload).inspect_err(|refusal| {
            // To be asked is no fault.
            if *refusal != Refusal::KeyWanted {
                cx.refuse(Some(fixed.origin.id()), *refusal);
            }
        })?;
        if !deliveries.has_room(cx) {
            return Err(Refusal::Busy);
        }
        self.seen.insert(cx, key, (), fixed.made_at);
        let path = header.hop.path.clone();
        let (message, origin, hops) = (fixed.message(), fixed.origin, path.len() + 1);
        deliveries.deliver(cx, Delivery { message, origin, payload, level, broadcast: false, hops, path });
        Ok(())
    }

    /// Whether the origin should have had a receipt over the link to it: this copy came over that one, or an earlier one from anybody.
    fn has_answered(&self, cx: &Context<'_>, key: CopyKey) -> bool {
        self.custody.previous(cx, key) == Some(Previous::Hop(key.origin))
            || (0..key.copy).any(|copy| self.custody.previous(cx, CopyKey { copy, ..key }).is_some())
    }

    /// Sends the receipt for a copy to its origin. It is on its way like any message; if it is lost, the origin tries again.
    /// Yields whom it was handed to.
    pub(super) fn answer(
        &mut self,
        cx: &mut Context<'_>,
        map: &Map<'_>,
        from: Hash,
        about: &Header,
        refusal: Option<Refusal>,
    ) -> Option<Hash> {
        let boot = (refusal == Some(Refusal::OtherBoot)).then_some(cx.me.boot);
        let credential = cx.me.credential.clone().filter(|_| refusal == Some(Refusal::KeyWanted));
        let status = Status { copy: about.hop.copy, refusal, path: about.hop.path.clone(), boot, credential };
        let origin = about.fixed.origin.id();
        let draft = Draft {
            kind: Kind::Receipt,
            target: Some(origin),
            about: Some(about.fixed.message()),
            boot: Some(about.fixed.boot),
            sealed_with: match about.fixed.authentication {
                Authentication::Sealed { session, .. } => Some(session),
                Authentication::None | Authentication::Keyed { .. } | Authentication::Signed { .. } | Authentication::Asks(_) => None,
            },
            clear: refusal.is_some_and(trusted::is_about_keys),
        };
        let (fixed, payload) = trusted::make(cx, map.sessions, &draft, Bytes::from(status.to_bytes()));
        let hop =
            Mutable { hop_limit: MAX_HOPS, copy: about.hop.copy, patient: about.hop.patient && refusal.is_none(), ..Mutable::default() };
        let mut copy = Copy::new(Header { fixed, hop }, Body::Whole(payload), Previous::Here);
        copy.back = Some(from);
        if from != origin && self.has_answered(cx, CopyKey::of(about)) {
            // Nobody acknowledges what is handed to the link to it, and something was in vain.
            copy.tried.insert(origin);
        }
        self.custody.take(cx, map, copy).unwrap_or_else(|refusal| {
            cx.refuse(Some(origin), refusal);
            None
        })
    }
}
