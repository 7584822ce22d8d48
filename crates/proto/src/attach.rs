//! Stub to be replaced: attachments of clients and leaves, from both sides.

use crate::{context::Context, overlay::Overlay, time::Instant};
use cicada_wire::{Attachment, Hash, Reply, SignedRecord};

/// The attachments held here, and, for a client, its own at members.
#[derive(Debug, Default)]
pub(crate) struct Attachments;

impl Attachments {
    /// The client at the other end of a link asks to be attached.
    pub(crate) fn on_query(&mut self, _cx: &mut Context<'_>, _from: &SignedRecord, attachment: &Attachment) -> Reply {
        Reply::Attached(attachment.clone())
    }
    /// The client with this id, if it is attached here.
    pub(crate) fn attached(&self, _id: Hash) -> Option<&SignedRecord> {
        None
    }
    /// All clients attached here.
    pub(crate) fn all(&self) -> Vec<SignedRecord> {
        Vec::new()
    }
    /// As a client: whether enough members hold our attachment.
    pub(crate) fn is_attached(&self) -> bool {
        false
    }
    /// As a client: these members are responsible for our id now.
    pub(crate) fn on_found(&mut self, _cx: &mut Context<'_>, _responsible: &[SignedRecord]) {}
    /// As a client: a member answered (`Some`) or not.
    pub(crate) fn on_answer(&mut self, _cx: &mut Context<'_>, _from: &SignedRecord, _reply: Option<Reply>) {}
    /// A link is up or down.
    pub(crate) fn on_link(&mut self, _cx: &mut Context<'_>, _peer: &SignedRecord, _up: bool) {}
    pub(crate) fn on_wake(&mut self, _cx: &mut Context<'_>, _overlay: &Overlay) {}
    pub(crate) fn next_timeout(&self) -> Option<Instant> {
        None
    }
}
