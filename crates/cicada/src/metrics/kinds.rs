//! What each kind of message is called in the figures.

use cicada_wire::{Datagram, Frame, Kind, Query, Reply};

/// The name of a frame's kind, and how long its payload is.
pub(super) fn of_frame(frame: &Frame) -> (&'static str, usize) {
    match frame {
        Frame::Query(_, query) => (of_query(query), 0),
        Frame::Reply(_, reply) => (of_reply(reply), 0),
        Frame::Changed(_) => ("changed", 0),
        Frame::Hint(_) => ("hint", 0),
        Frame::Introduce(_) => ("introduce", 0),
        Frame::Unify(_) => ("unify", 0),
        Frame::Goodbye(_) => ("goodbye", 0),
        Frame::Data(header, payload) => match header.fixed.kind {
            Kind::Unicast => ("unicast", payload.len()),
            // The payload is the swarm's own.
            Kind::Receipt => ("receipt", 0),
            Kind::Broadcast => ("broadcast", payload.len()),
        },
        Frame::HopVerdict(_) => ("hop_verdict", 0),
        Frame::Task(task, _) if task.extend => ("extend", 0),
        Frame::Task(_, payload) => ("broadcast", payload.len()),
        Frame::TaskVerdict(_) => ("task_verdict", 0),
        Frame::Opaque(payload) => ("opaque", payload.len()),
        Frame::Digest(_) => ("digest", 0),
        Frame::Pull(_) => ("pull", 0),
        Frame::Alarm => ("alarm", 0),
        Frame::Drain(_) => ("drain", 0),
        Frame::Drained => ("drained", 0),
    }
}

/// The name of a datagram's kind.
pub(super) fn of_datagram(datagram: &Datagram) -> &'static str {
    match datagram {
        Datagram::Challenge(..) => "challenge",
        Datagram::Answer(_) | Datagram::BriefAnswer(_) => "answer",
        Datagram::Query(_, _, query, _) => of_query(query),
        Datagram::Reply(_, reply) => of_reply(reply),
        Datagram::Introduce(_) => "introduce",
    }
}

fn of_query(query: &Query) -> &'static str {
    match query {
        Query::Ping => "ping",
        Query::Find(_) => "find",
        Query::Neighbours => "neighbours",
        Query::Records(_) => "records",
        Query::Attach(_) => "attach",
        Query::Witness(_) => "witness",
    }
}

fn of_reply(reply: &Reply) -> &'static str {
    match reply {
        Reply::Pong | Reply::WhoAreYou => "pong",
        Reply::Found(_) => "found",
        Reply::Neighbours(_) => "neighbours_reply",
        Reply::Records(_) => "records_reply",
        Reply::Attached(_) => "attached",
        Reply::Witnessed(_) => "witnessed",
        Reply::Refused(_) => "refused",
    }
}
