//! Links for messages: those that `Route::Direct` insists on, and those that `Route::Auto` has made for later.

use super::{Map, Router, next};
use crate::{
    context::Context,
    event::{Lookup, LookupError, SendError},
    links::DialStart,
    step::{Finder, Step},
};
use cicada_wire::{Address, Hash, MessageId, PublicKey, Refusal, SignedRecord};
use std::time::Duration;

impl Router {
    /// Hands a message over the direct link to its target, or has the link made.
    pub(super) fn attempt_directly(&mut self, cx: &mut Context<'_>, map: &Map<'_>, message: MessageId) {
        let Some(sending) = self.sendings.get_mut(&message) else { return };
        let target = sending.target;
        if next::usable(cx, target) {
            sending.dialling = None;
            sending.launched = true;
            self.attempt(cx, map, message, 0, None);
            return;
        }
        let member = map.overlay.member(target).map(|member| member.record().clone());
        let key = member.as_ref().map(SignedRecord::key);
        match sending.address.or_else(|| member.and_then(|record| cx.address(&record))) {
            Some(address) => self.dial_for(cx, message, address, key),
            None => {
                sending.due = (cx.now + FIND_AGAIN).min(sending.deadline);
                self.update_timer(message);
                cx.step(Step::Find { target, seeds: Vec::new(), finder: Finder::Route });
            }
        }
    }

    fn dial_for(&mut self, cx: &mut Context<'_>, message: MessageId, address: Address, key: Option<PublicKey>) {
        let Some(sending) = self.sendings.get_mut(&message) else { return };
        sending.dialling = Some(address);
        match cx.dial_for_message(address, key) {
            // The link may be closed as soon as it stands, for want of room.
            DialStart::Dialling(_) => sending.due = (cx.now + DIAL_AGAIN).min(sending.deadline),
            // It stands, but its other end is still to be proven; or there are too many dials just now.
            DialStart::Linked(_) | DialStart::Refused(Refusal::OverBudget) => sending.on_no_link(cx.now),
            DialStart::Refused(_) => {
                let error = SendError::NoLink { target: sending.target };
                return self.finish(cx, message, Err(error));
            }
        }
        self.update_timer(message);
    }

    pub(super) fn on_direct_dial_failed(&mut self, cx: &mut Context<'_>, failed: Address) {
        let failed = self.sendings.values().filter(|sending| sending.dialling == Some(failed));
        let failed: Vec<(MessageId, Hash)> = failed.map(|sending| (sending.message(), sending.target)).collect();
        for (message, target) in failed {
            self.finish(cx, message, Err(SendError::NoLink { target }));
        }
    }

    /// A lookup for a direct link ended.
    pub(crate) fn on_found(&mut self, cx: &mut Context<'_>, target: Hash, result: &Result<Lookup, LookupError>) {
        let waiting = self.sendings.values().filter(|sending| sending.target == target && sending.needs_address());
        let waiting: Vec<MessageId> = waiting.map(super::Sending::message).collect();
        let record = result.as_ref().ok().and_then(|lookup| lookup.exact.as_ref());
        for message in waiting {
            match record.and_then(|record| Some((cx.address(record)?, record.key()))) {
                Some((address, key)) => self.dial_for(cx, message, address, Some(key)),
                None => self.finish(cx, message, Err(SendError::NoLink { target })),
            }
        }
    }

    /// A link to a member that messages go to often is worth having, as long as a quarter of the room stays for the overlay.
    pub(super) fn wish_link(&mut self, cx: &mut Context<'_>, map: &Map<'_>, target: Hash) {
        let limit = cx.config.limits.links;
        let standing = cx.links.members().count() + cx.links.dialling();
        let has_room = standing < limit - limit / 4;
        if !has_room || cx.links.to_peer(target).is_some() || self.dialled.contains(cx.now, &target) {
            return;
        }
        let Some(member) = map.overlay.member(target) else { return };
        if let Some(address) = cx.address(member.record()) {
            self.dialled.insert(cx.now, target, (), cx.now + WISH_AGAIN, MAX_WISHES);
            cx.dial(address, Some(member.record().key()));
        }
    }
}

/// A lookup for a direct link that found nobody is repeated after this long.
const FIND_AGAIN: Duration = Duration::from_secs(3); // guess

/// A dial that led to no link is repeated after this long.
const DIAL_AGAIN: Duration = Duration::from_secs(2); // guess

/// A member is dialled for later messages once in this time.
const WISH_AGAIN: Duration = Duration::from_secs(30); // guess

const MAX_WISHES: usize = 256; // guess
