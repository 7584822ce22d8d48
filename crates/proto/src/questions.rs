//! Questions and their answers: over a link where one stands, else by datagram, which may be lost and is sent once more.

use crate::{
    context::Context,
    links::{LinkId, RoundTrip},
    seen::Window,
    step::{Asker, Effort, Step, Tries},
    time::Instant,
};
use cicada_wire::{
    Address, Datagram, Frame, Hash, IdKind, Introduction, OverlayKind, Padding, Query, Refusal, Reply, Role, SignedRecord, Ticket,
};
use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

/// All questions that are open.
#[derive(Debug, Default)]
pub(crate) struct Questions {
    open: BTreeMap<Ticket, Open>,
    /// How long members without a link take to answer.
    round_trips: BTreeMap<Hash, RoundTrip>,
    /// What may still be answered although nobody waits for it.
    past: Window<Ticket, Past>,
}

/// A question that nobody waits for any more.
#[derive(Debug)]
enum Past {
    /// It was not answered in time. Late is better than never.
    Missed(Open),
    /// It was asked on two ways and has been answered on one of them.
    Answered(Open),
}

impl Past {
    fn open(&self) -> &Open {
        match self {
            Self::Missed(open) | Self::Answered(open) => open,
        }
    }
}

#[derive(Clone, Debug)]
struct Open {
    to: SignedRecord,
    query: Query,
    asker: Asker,
    via: Via,
    asked: Instant,
    /// A question over a link is asked beside it as well if its answer takes so long: what was lost on the link holds up all that
    /// follows, and a lookup must not take its owner for dead for that.
    hedge: Option<Instant>,
    deadline: Instant,
    /// Asked once more already: its answer's time says nothing (Karn).
    again: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Via {
    Link(LinkId),
    Datagram(Address),
    /// The same, sent once.
    Once(Address),
    /// A datagram to where a link leads: half the bytes of a question on it, which QUIC acknowledges twice. Sent once.
    Beside(LinkId, Address),
    /// Both the link and a datagram beside it: what is lost on the one way may come on the other.
    Both(LinkId, Address),
}

impl Via {
    /// Where a datagram went.
    fn address(self) -> Option<Address> {
        match self {
            Self::Link(_) => None,
            Self::Datagram(address) | Self::Once(address) | Self::Beside(_, address) | Self::Both(_, address) => Some(address),
        }
    }

    fn link(self) -> Option<LinkId> {
        match self {
            Self::Link(link) | Self::Beside(link, _) | Self::Both(link, _) => Some(link),
            Self::Datagram(_) | Self::Once(_) => None,
        }
    }
}

impl Questions {
    /// Asks `to`, by so many datagrams if it does not answer. Ends with `Answered` or `Unanswered`, always.
    pub(crate) fn ask(&mut self, cx: &mut Context<'_>, to: SignedRecord, query: Query, asker: Asker, tries: Tries) {
        let linked = cx.links.to_peer(to.id()).filter(|link| link.closing.is_none()).map(|link| link.id);
        let reachable = cx.address(&to);
        let via = match (linked, reachable) {
            (Some(link), _) => Via::Link(link),
            (None, Some(address)) if by_datagram(&query) => match tries {
                Tries::AsUsual => Via::Datagram(address),
                Tries::One => Via::Once(address),
            },
            (None, _) => return cx.step(Step::Unanswered { from: to, asker }),
        };
        self.ask_via(cx, to, query, asker, via);
    }

    /// Asks for the liveness whether a peer is there. Without a link as any other question.
    pub(crate) fn check(&mut self, cx: &mut Context<'_>, to: SignedRecord, effort: Effort) {
        let link = cx.links.to_peer(to.id()).filter(|link| link.is_member());
        let way = link.and_then(|link| Some((link.id, Address::new(link.remote).ok()?)));
        match (way, effort) {
            (Some((link, address)), Effort::Tap) => self.ask_via(cx, to, Query::Ping, Asker::Liveness, Via::Beside(link, address)),
            (Some((link, address)), Effort::Knock) => self.ask_via(cx, to, Query::Ping, Asker::Liveness, Via::Both(link, address)),
            (None, _) => self.ask(cx, to, Query::Ping, Asker::Liveness, Tries::AsUsual),
        }
    }

    fn ask_via(&mut self, cx: &mut Context<'_>, to: SignedRecord, query: Query, asker: Asker, via: Via) {
        if self.open.len() >= MAX_OPEN {
            return cx.step(Step::Unanswered { from: to, asker });
        }
        let ticket = cx.ticket();
        let timeout = self.timeout(cx, to.id(), via);
        let hedge = (matches!(via, Via::Link(_)) && by_datagram(&query)).then(|| cx.now + timeout / 2);
        let open = Open { to, query, asker, via, asked: cx.now, hedge, deadline: cx.now + timeout, again: false };
        open.send(cx, ticket);
        self.open.insert(ticket, open);
    }

    fn timeout(&self, cx: &Context<'_>, peer: Hash, via: Via) -> Duration {
        let most = cx.config.upkeep.answer_timeout;
        let round_trip = match via {
            Via::Link(link) | Via::Beside(link, _) | Via::Both(link, _) => cx.links.link(link).map(|link| link.round_trip),
            Via::Datagram(_) | Via::Once(_) => self.round_trips.get(&peer).copied(),
        };
        let round_trip = round_trip.unwrap_or_default();
        // Who is known to be far away is waited for.
        let far = round_trip.smoothed().unwrap_or_default() * 3 / 2;
        cx.slowness + round_trip.timeout(LEAST_TIMEOUT.min(most), most.max(far.min(most * 2)))
    }

    /// An answer arrived on a link.
    pub(crate) fn on_reply(&mut self, cx: &mut Context<'_>, link: LinkId, ticket: Ticket, reply: Reply) {
        let from = cx.links.link(link).map(super::links::Link::peer);
        match self.open.get(&ticket) {
            // A question asked by datagram may be answered over a link that was made meanwhile.
            Some(open) if Some(open.to.id()) == from => self.answered(cx, ticket, reply),
            Some(_) => cx.refuse(from, Refusal::UnknownTicket),
            None => self.answered_late(cx, ticket, reply, from, |open| Some(open.to.id()) == from),
        }
    }

    /// An answer arrived as a datagram.
    pub(crate) fn on_datagram(&mut self, cx: &mut Context<'_>, from: SocketAddr, ticket: Ticket, reply: Reply) {
        let Ok(from) = Address::new(from) else { return cx.refuse(None, Refusal::UnknownTicket) };
        match self.open.get(&ticket) {
            Some(open) if open.via.address() == Some(from) => self.answered(cx, ticket, reply),
            Some(_) => cx.refuse(None, Refusal::UnknownTicket),
            None => self.answered_late(cx, ticket, reply, None, |open| open.via.address() == Some(from)),
        }
    }

    fn answered(&mut self, cx: &mut Context<'_>, ticket: Ticket, reply: Reply) {
        let Some(open) = self.open.remove(&ticket) else { return };
        self.measure(cx, &open);
        if open.again || matches!(open.via, Via::Both(..)) {
            // The other copy may bring an answer as well.
            self.past.insert(cx.now, ticket, Past::Answered(open.clone()), cx.now + LATE, MAX_PAST);
        }
        open.tell(cx, reply);
    }

    fn measure(&mut self, cx: &mut Context<'_>, open: &Open) {
        let (now, took) = (cx.now, cx.now.since(open.asked));
        match open.via {
            Via::Link(link) | Via::Beside(link, _) | Via::Both(link, _) => {
                if let Some(link) = cx.links.link_mut(link) {
                    link.heard = now;
                    link.round_trip.measured(took);
                }
            }
            Via::Datagram(_) if open.again => {}
            Via::Datagram(_) | Via::Once(_) => self.measured(open.to.id(), took),
        }
    }

    fn measured(&mut self, peer: Hash, took: Duration) {
        if self.round_trips.len() >= MAX_ROUND_TRIPS && !self.round_trips.contains_key(&peer) {
            self.round_trips.pop_first();
        }
        self.round_trips.entry(peer).or_default().measured(took);
    }

    /// A link is down: what was asked over it is asked by datagram, or goes unanswered.
    pub(crate) fn on_link_down(&mut self, cx: &mut Context<'_>, link: LinkId) {
        let tickets: Vec<_> = self.open.iter().filter(|(_, open)| open.via.link() == Some(link)).map(|(ticket, _)| *ticket).collect();
        for ticket in tickets {
            let Some(open) = self.open.remove(&ticket) else { continue };
            if open.again || !by_datagram(&open.query) {
                cx.step(Step::Unanswered { from: open.to, asker: open.asker });
            } else {
                self.ask(cx, open.to, open.query, open.asker, Tries::AsUsual);
            }
        }
    }

    pub(crate) fn on_wake(&mut self, cx: &mut Context<'_>) {
        self.hedge(cx);
        let due: Vec<_> = self.open.iter().filter(|(_, open)| open.deadline <= cx.now).map(|(ticket, _)| *ticket).collect();
        for ticket in due {
            let Some(mut open) = self.open.remove(&ticket) else { continue };
            match open.via {
                Via::Datagram(_) if !open.again => {
                    open.again = true;
                    open.deadline = cx.now + self.timeout(cx, open.to.id(), open.via);
                    open.send(cx, ticket);
                    self.open.insert(ticket, open);
                }
                Via::Datagram(_) | Via::Once(_) | Via::Beside(..) | Via::Both(..) | Via::Link(_) => {
                    cx.step(Step::Unanswered { from: open.to.clone(), asker: open.asker });
                    self.past.insert(cx.now, ticket, Past::Missed(open), cx.now + LATE, MAX_PAST);
                }
            }
        }
    }

    fn hedge(&mut self, cx: &mut Context<'_>) {
        for (ticket, open) in &mut self.open {
            if open.hedge.take_if(|hedge| *hedge <= cx.now).is_none() {
                continue;
            }
            let (Via::Link(link), Some(address)) = (open.via, cx.address(&open.to)) else { continue };
            open.via = Via::Both(link, address);
            open.send_datagram(cx, *ticket, address);
        }
    }

    /// Whoever answers late lives nevertheless, and only its answer tells how far away it is.
    fn answered_late(&mut self, cx: &mut Context<'_>, ticket: Ticket, reply: Reply, from: Option<Hash>, is_from: impl Fn(&Open) -> bool) {
        let is_past = self.past.get(cx.now, &ticket).is_some_and(|past| is_from(past.open()));
        match is_past.then(|| self.past.remove(&ticket)).flatten() {
            Some(Past::Missed(open)) => {
                self.measure(cx, &open);
                open.tell(cx, reply);
            }
            Some(Past::Answered(_)) => {}
            None => cx.refuse(from, Refusal::UnknownTicket),
        }
    }

    pub(crate) fn next_timeout(&self) -> Option<Instant> {
        self.open.values().map(|open| open.hedge.unwrap_or(open.deadline)).min()
    }
}

impl Open {
    /// Nameless: whoever has a link with us knows us by our address.
    fn send_beside(&self, cx: &mut Context<'_>, ticket: Ticket, to: Address) {
        cx.out.datagram(to, Datagram::Query(ticket, None, self.query.clone(), Padding(0)));
    }

    fn send(&self, cx: &mut Context<'_>, ticket: Ticket) {
        match self.via {
            Via::Link(link) => cx.out.frame(link, Frame::Query(ticket, self.query.clone())),
            Via::Beside(_, to) => self.send_beside(cx, ticket, to),
            Via::Both(link, to) => {
                cx.out.frame(link, Frame::Query(ticket, self.query.clone()));
                self.send_beside(cx, ticket, to);
            }
            Via::Datagram(to) | Via::Once(to) => self.send_datagram(cx, ticket, to),
        }
    }

    /// Whoever is pinged knows us by our address, or asks who we are.
    fn is_named(&self, cx: &Context<'_>) -> bool {
        let is_known_without = matches!(self.query, Query::Ping) && cx.config.member_ids == IdKind::Address;
        cx.me.record.record().role == Role::Member && !is_known_without
    }

    /// Tells the asker. Who wants to know who asked is told that.
    fn tell(self, cx: &mut Context<'_>, reply: Reply) {
        let reply = match (&self.query, reply) {
            (Query::Ping, Reply::WhoAreYou) => {
                if let Some(to) = self.via.address().filter(|_| cx.me.record.record().role == Role::Member) {
                    cx.out.datagram(to, Datagram::Introduce(Introduction { records: vec![cx.me.record.clone()] }));
                }
                Reply::Pong
            }
            (_, reply) => reply,
        };
        cx.step(Step::Answered { from: self.to, reply, asker: self.asker });
    }

    fn send_datagram(&self, cx: &mut Context<'_>, ticket: Ticket, to: Address) {
        let name = self.is_named(cx).then(|| cx.me.record.clone());
        let bare = Datagram::Query(ticket, name.clone(), self.query.clone(), Padding(0)).len_bytes();
        let wanted = match self.query {
            Query::Find(ref find) => FIND_BYTES.min(usize::from(find.count) * find_bytes_each(cx.config.overlay)),
            Query::Witness(_) => WITNESS_BYTES,
            Query::Ping | Query::Neighbours | Query::Records(_) | Query::Attach(_) => 0,
        };
        // The subtraction is below 2^16: no datagram is longer than 1200 bytes.
        let padding = Padding(wanted.saturating_sub(bare) as u16);
        cx.out.datagram(to, Datagram::Query(ticket, name, self.query.clone(), padding));
    }
}

/// Neighbourhoods and attachments are a matter between linked peers.
fn by_datagram(query: &Query) -> bool {
    match query {
        Query::Ping | Query::Find(_) | Query::Witness(_) => true,
        Query::Neighbours | Query::Records(_) | Query::Attach(_) => false,
    }
}

/// A lookup's question by datagram has this length, so that three times as much comes to a full answer.
const FIND_BYTES: usize = 360;

/// The same for each record asked for, of some 130 bytes: on the ring an answer holds as many on either side of the key.
fn find_bytes_each(overlay: OverlayKind) -> usize {
    match overlay {
        OverlayKind::Ring => 100,
        OverlayKind::Tree => 50,
    }
}

/// A question for a witness: a third of this is more than its answer.
const WITNESS_BYTES: usize = 180;

/// Below that a busy peer looks dead.
const LEAST_TIMEOUT: Duration = Duration::from_millis(250); // guess

/// An answer may be this much later than we waited for it.
const LATE: Duration = Duration::from_secs(2); // guess: as long as it takes to be taken for dead

const MAX_PAST: usize = 256; // guess

const MAX_OPEN: usize = 1024; // guess: 64 lookups of alpha 3 and a check per link fit several times
const MAX_ROUND_TRIPS: usize = 512; // guess
