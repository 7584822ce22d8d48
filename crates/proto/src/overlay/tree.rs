//! Stub to be replaced.

use crate::{
    context::Context,
    event::{Lookup, LookupError, Table},
    overlay::Rank,
    peer::Proven,
    time::Instant,
};
use cicada_wire::{Find, Found, Frame, Goodbye, Hash, Query, Refusal, Reply, SignedRecord};

/// The tree.
#[derive(Debug)]
pub struct Tree {
    me: SignedRecord,
}

impl Tree {
    pub(crate) fn new(me: SignedRecord) -> Self {
        Self { me }
    }
    pub(crate) fn is_joined(&self) -> bool {
        false
    }
    pub(crate) fn member(&self, _id: Hash) -> Option<&Proven> {
        None
    }
    pub(crate) fn members(&self) -> Vec<Proven> {
        Vec::new()
    }
    pub(crate) fn closer(&self, _target: Hash, _limit: usize) -> Vec<Proven> {
        Vec::new()
    }
    pub(crate) fn responsible(&self, _key: Hash, _limit: usize) -> Vec<SignedRecord> {
        vec![self.me.clone()]
    }
    pub(crate) fn owns(&self, _key: Hash) -> bool {
        true
    }
    pub(crate) fn find(&self, _find: &Find) -> Found {
        Found::default()
    }
    pub(crate) fn wanted_links(&self) -> Vec<SignedRecord> {
        Vec::new()
    }
    pub(crate) fn rank(&self, _peer: Hash, _others: &[Hash]) -> Rank {
        Rank::Spare(0)
    }
    pub(crate) fn table(&self) -> Table {
        Table::default()
    }
    pub(crate) fn on_proven(&mut self, _cx: &mut Context<'_>, _peer: &Proven) {}
    pub(crate) fn on_unproven(&mut self, _cx: &mut Context<'_>, _peer: Hash) {}
    pub(crate) fn on_gone(&mut self, _cx: &mut Context<'_>, _peer: Hash, _politely: bool) {}
    pub(crate) fn on_candidates(&mut self, _cx: &mut Context<'_>, _from: Hash, _records: &[SignedRecord]) {}
    pub(crate) fn on_met(&mut self, _cx: &mut Context<'_>, _peer: &Proven) {}
    pub(crate) fn on_frame(&mut self, _cx: &mut Context<'_>, _from: &Proven, _frame: Frame) {}
    pub(crate) fn on_query(&mut self, _cx: &mut Context<'_>, _from: &Proven, _query: &Query) -> Reply {
        Reply::Refused(Refusal::Unexpected)
    }
    pub(crate) fn on_answer(&mut self, _cx: &mut Context<'_>, _from: &SignedRecord, _reply: Option<Reply>) {}
    pub(crate) fn on_found(&mut self, _cx: &mut Context<'_>, _target: Hash, _result: &Result<Lookup, LookupError>) {}
    pub(crate) fn goodbye(&self) -> Frame {
        Frame::Goodbye(Goodbye::default())
    }
    pub(crate) fn on_wake(&mut self, _cx: &mut Context<'_>) {}
    pub(crate) fn next_timeout(&self) -> Option<Instant> {
        None
    }
}
