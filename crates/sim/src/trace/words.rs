//! How things read in a trace: peers by their names, payloads by their text, numbers that mean nothing left out.

use cicada_proto::{
    Command, DialError, Event, HopOutcome, Receipt, SendError,
    event::{Delivery, Lookup},
};
use cicada_wire::{
    BriefAnswer, Datagram, Found, Frame, Hash, Header, IdPrefix, IdPrefixes, Neighbours, Query, RecordNames, Refusal, Reply, SignedRecord,
    Task,
};
use std::collections::BTreeMap;

/// Puts things into words.
#[derive(Clone, Copy)]
pub(crate) struct Words<'a> {
    names: &'a BTreeMap<Hash, String>,
}

impl<'a> Words<'a> {
    pub(crate) fn new(names: &'a BTreeMap<Hash, String>) -> Self {
        Self { names }
    }

    pub(crate) fn id(&self, id: Hash) -> String {
        self.names.get(&id).cloned().unwrap_or_else(|| id.short())
    }

    fn peer(&self, record: &SignedRecord) -> String {
        self.id(record.id())
    }

    fn ids(&self, ids: &[Hash]) -> String {
        ids.iter().map(|id| self.id(*id)).collect::<Vec<_>>().join(" ")
    }

    /// Who stands there, if its name is known.
    fn at(&self, prefix: IdPrefix) -> String {
        let named = self.names.range(prefix.first()..).next().filter(|(id, _)| IdPrefix::of(**id) == prefix);
        self.id(named.map_or_else(|| prefix.first(), |(id, _)| *id))
    }

    fn peers(&self, records: &[SignedRecord]) -> String {
        records.iter().map(|record| self.peer(record)).collect::<Vec<_>>().join(" ")
    }

    fn neighbours(&self, neighbours: &Neighbours) -> String {
        let predecessor = neighbours.predecessor.map_or_else(|| "-".to_owned(), |prefix| self.at(prefix));
        format!("{predecessor} < [{}] with {} records", self.standing(&neighbours.successors), neighbours.records.len())
    }

    fn standing(&self, prefixes: &IdPrefixes) -> String {
        prefixes.0.iter().map(|prefix| self.at(*prefix)).collect::<Vec<_>>().join(" ")
    }

    fn found(&self, found: &Found) -> String {
        let attached = found.attached.as_ref().map(|record| format!(", attached {}", self.peer(record))).unwrap_or_default();
        let list = |records, known: &RecordNames| match known.0.len() {
            0 => self.peers(records),
            known => format!("{} and {known} that you have", self.peers(records)).trim_start().to_owned(),
        };
        let closer = list(&found.closer, &found.known_closer);
        let responsible = list(&found.responsible, &found.known_responsible);
        format!("found closer [{closer}], responsible [{responsible}]{attached}")
    }

    fn query(&self, query: &Query) -> String {
        match query {
            Query::Ping => "ping".to_owned(),
            Query::Find(find) => format!("find {} ({})", self.id(find.target), find.count),
            Query::Neighbours => "neighbours? you are my successor".to_owned(),
            Query::Attach(attachment) => format!("attach for {} s", attachment.lease_s),
            Query::Witness(about) => format!("whose key at {about}?"),
            Query::Records(named) => format!("records of {}?", self.standing(named)),
        }
    }

    fn reply(&self, reply: &Reply) -> String {
        match reply {
            Reply::Pong => "pong".to_owned(),
            Reply::WhoAreYou => "pong, who are you?".to_owned(),
            Reply::Found(found) => self.found(found),
            Reply::Neighbours(neighbours) => format!("neighbours {}", self.neighbours(neighbours)),
            Reply::Records(introduction) => format!("records of {}", self.peers(&introduction.records)),
            Reply::Attached(attachment) => format!("attached for {} s", attachment.lease_s),
            Reply::Witnessed(Some(key)) => format!("met {key:?}"),
            Reply::Witnessed(None) => "met nobody".to_owned(),
            Reply::Refused(refusal) => format!("refused: {refusal}"),
        }
    }

    fn header(&self, header: &Header) -> String {
        let fixed = &header.fixed;
        let target = fixed.target.map(|id| format!(" for {}", self.id(id))).unwrap_or_default();
        let copy = if header.hop.copy > 0 { format!(" copy {}", header.hop.copy) } else { String::new() };
        let last = if header.hop.last { " last" } else { "" };
        let path = if header.hop.path.is_empty() { String::new() } else { format!(" via {}", self.ids(&header.hop.path)) };
        format!("{:?} of {}{target}{copy}{last}{path}", fixed.kind, self.id(fixed.origin.id()))
    }

    fn task(&self, task: &Task) -> String {
        let reach = task.header.hop.reach.map(|reach| format!("{:x}", reach.0)).unwrap_or_default();
        let excluded = if task.excluded.is_empty() { String::new() } else { format!(" but {}", self.ids(&task.excluded)) };
        let word = if task.extend { "extend" } else { "task" };
        format!("{word} {} reach {}{excluded}", self.header(&task.header), reach.get(..8).unwrap_or(&reach))
    }

    pub(crate) fn frame(&self, frame: &Frame) -> String {
        match frame {
            Frame::Query(_, query) => self.query(query),
            Frame::Reply(_, reply) => self.reply(reply),
            Frame::Changed(neighbours) => format!("changed {}", self.neighbours(neighbours)),
            Frame::Alarm => "alarm".to_owned(),
            Frame::Drain(reason) => format!("drain: {reason}"),
            Frame::Drained => "drained".to_owned(),
            Frame::Hint(record) => format!("hint {}", self.peer(record)),
            Frame::Introduce(introduction) => format!("introduce [{}]", self.peers(&introduction.records)),
            Frame::Unify(unify) => format!("unify {} ({} hops left)", self.peer(&unify.seeker), unify.hop_limit),
            Frame::Goodbye(goodbye) if goodbye.lost.is_empty() => format!("goodbye {}", self.neighbours(&goodbye.neighbours)),
            Frame::Goodbye(goodbye) => format!("goodbye {}, lost [{}]", self.neighbours(&goodbye.neighbours), self.peers(&goodbye.lost)),
            Frame::Data(header, payload) => format!("{} {}", self.header(header), text(payload)),
            Frame::HopVerdict(verdict) => {
                format!("hop {} copy {} of {}", verdict_of(verdict.refusal), verdict.copy, self.id(verdict.origin))
            }
            Frame::Task(task, payload) => format!("{} {}", self.task(task), text(payload)),
            Frame::TaskVerdict(verdict) => format!("task {}", verdict_of(verdict.refusal)),
            Frame::Opaque(payload) => format!("opaque {}", text(payload)),
            Frame::Digest(digest) => format!("has {:?}", digest.ids),
            Frame::Pull(pull) => format!("pull {:?}", pull.id),
        }
    }

    pub(crate) fn datagram(&self, datagram: &Datagram) -> String {
        match datagram {
            Datagram::Challenge(..) => "challenge".to_owned(),
            Datagram::Answer(answer) => format!("answer of {}", self.peer(&answer.record)),
            Datagram::BriefAnswer(BriefAnswer { signature: Some(_), .. }) => "brief answer".to_owned(),
            Datagram::BriefAnswer(BriefAnswer { signature: None, .. }) => "other record".to_owned(),
            Datagram::Query(_, _, query, _) => self.query(query),
            Datagram::Reply(_, reply) => self.reply(reply),
            Datagram::Introduce(introduction) => format!("introduce [{}]", self.peers(&introduction.records)),
        }
    }

    fn receipt(&self, receipt: &Receipt) -> String {
        let paths = receipt.paths.iter().map(|path| {
            let outcome = match path.outcome {
                HopOutcome::Acked => "acked".to_owned(),
                HopOutcome::Refused(refusal) => refusal.to_string(),
                HopOutcome::Pending => "pending".to_owned(),
                other => format!("{other:?}"), // a variant of a later version: the enum is open
            };
            format!("by {} [{}] {outcome}", self.id(path.first_hop), self.ids(&path.relays))
        });
        format!("{}; {}", if receipt.acked { "acked" } else { "not acked" }, paths.collect::<Vec<_>>().join(", "))
    }

    fn lookup(&self, lookup: &Lookup) -> String {
        let exact = lookup.exact.as_ref().map(|record| format!(", exactly {}", self.peer(record))).unwrap_or_default();
        format!("[{}]{exact}, {} asked", self.peers(&lookup.responsible), lookup.asked)
    }

    fn send_error(&self, error: &SendError) -> String {
        match error {
            SendError::TimedOut { target, receipt, .. } => {
                format!("no acknowledgement from {}; {}", self.id(*target), self.receipt(receipt))
            }
            SendError::NoRoute { target } => format!("no route to {}", self.id(*target)),
            SendError::NoSuchPeer { target } => format!("no peer {}", self.id(*target)),
            SendError::Busy { target } => format!("{} is busy", self.id(*target)),
            SendError::NoLink { target } => format!("no link to {}", self.id(*target)),
            other => other.to_string(),
        }
    }

    fn delivery(&self, delivery: &Delivery) -> String {
        let path = if delivery.path.is_empty() { String::new() } else { format!(" via {}", self.ids(&delivery.path)) };
        let cast = if delivery.broadcast { " to all" } else { "" };
        format!("receives {} of {}{cast}{path}", text(&delivery.payload), self.id(delivery.origin.id()))
    }

    pub(crate) fn event(&self, event: &Event) -> String {
        match event {
            Event::LinkUp { peer } => format!("link to {} is up", self.peer(peer)),
            Event::LinkDown { peer, reason } => format!("link to {} is down: {reason}", self.id(*peer)),
            Event::PeerJoined(peer) => format!("knows {}", self.id(peer.id())),
            Event::PeerLeft { peer, politely: true } => format!("lets {} go", self.id(*peer)),
            Event::PeerLeft { peer, politely: false } => format!("has lost {}", self.id(*peer)),
            Event::NeighboursChanged { predecessor, nearest } => {
                let predecessor = predecessor.map(|id| format!("{} < ", self.id(id))).unwrap_or_default();
                format!("neighbours {predecessor}[{}]", self.ids(nearest))
            }
            Event::Delivered(delivery) => self.delivery(delivery),
            Event::Opaque { from, payload } => format!("receives opaque {} of {}", text(payload), self.peer(from)),
            Event::Connected { peer, .. } => format!("is connected by {}", self.peer(peer)),
            Event::ConnectFailed { error, .. } => format!("is not connected: {error}"),
            Event::Sent { receipt, .. } => format!("has sent: {}", self.receipt(receipt)),
            Event::SendFailed { error, .. } => format!("could not send: {}", self.send_error(error)),
            Event::BroadcastSent { delegates, .. } => format!("has broadcast by {delegates} delegates"),
            Event::BroadcastFailed { error, .. } => format!("could not broadcast: {}", self.send_error(error)),
            Event::LookedUp { result: Ok(lookup), .. } => format!("has looked up {}", self.lookup(lookup)),
            Event::LookedUp { result: Err(error), .. } => format!("could not look up: {error}"),
            Event::KeyChanged { peer, now, .. } => format!("meets another key of {}: {now:?}", self.id(*peer)),
            Event::Lagged { dropped } => format!("lags: {dropped} dropped"),
            Event::Refused { from, reason } => {
                format!("refuses {}: {reason}", from.map_or_else(|| "a stranger".to_owned(), |id| self.id(id)))
            }
            Event::Left { .. } => "has left".to_owned(),
        }
    }

    pub(crate) fn command(&self, command: &Command) -> String {
        match command {
            Command::Connect { addresses, .. } => {
                let names = addresses.iter().map(|address| self.id(address.id())).collect::<Vec<_>>().join(" ");
                format!("connect {names}")
            }
            Command::Send { target, payload, options, .. } => {
                format!("send {} {} by {:?}, {} duplicates", self.id(*target), text(payload), options.route, options.duplicates)
            }
            Command::Broadcast { payload, excluded, .. } => format!("broadcast {} but [{}]", text(payload), self.ids(excluded)),
            Command::Lookup { target, .. } => format!("lookup {}", self.id(*target)),
            Command::Opaque { to, payload } => format!("opaque {} {}", self.id(*to), text(payload)),
            Command::Disconnect { peer } => format!("disconnect {}", self.id(*peer)),
            Command::Ban { who, span: Some(span) } => format!("ban {who} for {span:?}"),
            Command::Ban { who, span: None } => format!("ban {who}"),
            Command::Unban { who } => format!("unban {who}"),
            Command::Leave { .. } => "leave".to_owned(),
            Command::Consumed { deliveries } => format!("consumed {deliveries}"),
        }
    }

    pub(crate) fn dial_error(&self, error: DialError) -> String {
        match error {
            DialError::TimedOut => "nobody answers".to_owned(),
            DialError::Unreachable => "nobody is there".to_owned(),
            DialError::NotAPeer => "not a peer".to_owned(),
            DialError::Refused(refusal) => format!("refused: {refusal}"),
        }
    }
}

fn verdict_of(refusal: Option<Refusal>) -> String {
    refusal.map_or_else(|| "accepted".to_owned(), |refusal| format!("refused ({refusal})"))
}

fn text(payload: &[u8]) -> String {
    match std::str::from_utf8(payload) {
        Ok(text) if text.len() <= 40 && !text.chars().any(char::is_control) => format!("{text:?}"),
        Ok(_) | Err(_) => format!("{} bytes", payload.len()),
    }
}
