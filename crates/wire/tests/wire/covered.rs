//! No message is forgotten by the property tests: a new variant does not compile until it is listed here, and once listed
//! this fails until a strategy makes it.

use crate::strategies;
use cicada_wire::*;
use proptest::{
    strategy::{Strategy, ValueTree},
    test_runner::TestRunner,
};
use std::collections::BTreeSet;

/// A match over every variant, and the list of their names, from the same lines.
macro_rules! variants {
    ($type:ty: $name:ident, $all:ident { $($pattern:pat => $text:literal),+ $(,)? }) => {
        fn $name(value: &$type) -> &'static str {
            match value { $($pattern => $text),+ }
        }
        const $all: &[&str] = &[$($text),+];
    };
}

variants!(Frame: frame_name, FRAMES {
    Frame::Query(..) => "query",
    Frame::Reply(..) => "reply",
    Frame::Changed(_) => "changed",
    Frame::Hint(_) => "hint",
    Frame::Introduce(_) => "introduce",
    Frame::Unify(_) => "unify",
    Frame::Goodbye(_) => "goodbye",
    Frame::Data(..) => "data",
    Frame::HopVerdict(_) => "hop verdict",
    Frame::Task(Task { extend: false, .. }, _) => "task",
    Frame::Task(Task { extend: true, .. }, _) => "extend",
    Frame::TaskVerdict(_) => "task verdict",
    Frame::Opaque(_) => "opaque",
    Frame::Digest(_) => "digest",
    Frame::Pull(_) => "pull",
    Frame::Alarm => "alarm",
    Frame::Drain(_) => "drain",
    Frame::Drained => "drained",
});
variants!(Query: query_name, QUERIES {
    Query::Ping => "ping",
    Query::Find(_) => "find",
    Query::Neighbours => "neighbours",
    Query::Attach(_) => "attach",
    Query::Witness(_) => "witness",
    Query::Records(_) => "records",
});
variants!(Reply: reply_name, REPLIES {
    Reply::Pong => "pong",
    Reply::WhoAreYou => "who are you",
    Reply::Found(_) => "found",
    Reply::Neighbours(_) => "neighbours",
    Reply::Records(_) => "records",
    Reply::Attached(_) => "attached",
    Reply::Witnessed(_) => "witnessed",
    Reply::Refused(_) => "refused",
});
variants!(Datagram: datagram_name, DATAGRAMS {
    Datagram::Challenge(..) => "challenge",
    Datagram::Answer(_) => "answer",
    Datagram::BriefAnswer(_) => "brief answer",
    Datagram::Query(..) => "query",
    Datagram::Reply(..) => "reply",
    Datagram::Introduce(_) => "introduce",
});
variants!(HelloReply: hello_reply_name, HELLO_REPLIES {
    HelloReply::Welcome(_) => "welcome",
    HelloReply::Refused(_) => "refused",
});
variants!(Kind: kind_name, KINDS {
    Kind::Unicast => "unicast",
    Kind::Receipt => "receipt",
    Kind::Broadcast => "broadcast",
});
variants!(IdKind: id_kind_name, ID_KINDS {
    IdKind::Address => "address",
    IdKind::Key => "key",
    IdKind::Data => "data",
});
variants!(Role: role_name, ROLES {
    Role::Member => "member",
    Role::Client => "client",
    Role::Leaf => "leaf",
});
variants!(OverlayKind: overlay_name, OVERLAYS {
    OverlayKind::Ring => "ring",
    OverlayKind::Tree => "tree",
});
variants!(Purpose: purpose_name, PURPOSES {
    Purpose::Swarm => "swarm",
    Purpose::Bare => "bare",
});

/// 2000 values, the same in every run: a variant that is one in a hundred and twenty is missed once in ten million of different runs.
fn drawn<T: std::fmt::Debug>(strategy: impl Strategy<Value = T>) -> Vec<T> {
    let mut runner = TestRunner::deterministic();
    (0..2000).map(|_| strategy.new_tree(&mut runner).expect("the strategy makes values").current()).collect()
}

fn names<'a, T: 'a>(values: impl IntoIterator<Item = &'a T>, name: fn(&T) -> &'static str) -> BTreeSet<&'static str> {
    values.into_iter().map(name).collect()
}

fn set(all: &[&'static str]) -> BTreeSet<&'static str> {
    all.iter().copied().collect()
}

#[test]
fn every_frame_is_drawn_with_every_question_answer_and_kind() {
    let frames = drawn(strategies::frames());
    assert_eq!(names(&frames, frame_name), set(FRAMES));
    let queries = frames.iter().filter_map(|frame| if let Frame::Query(_, query) = frame { Some(query) } else { None });
    assert_eq!(names(queries, query_name), set(QUERIES));
    let replies = frames.iter().filter_map(|frame| if let Frame::Reply(_, reply) = frame { Some(reply) } else { None });
    assert_eq!(names(replies, reply_name), set(REPLIES));
    let kinds = frames.iter().filter_map(|frame| match frame {
        Frame::Data(header, _) => Some(&header.fixed.kind),
        Frame::Task(task, _) => Some(&task.header.fixed.kind),
        _ => None,
    });
    assert_eq!(names(kinds, kind_name), set(KINDS));
}

#[test]
fn every_datagram_and_every_hello_is_drawn() {
    assert_eq!(names(&drawn(strategies::datagrams()), datagram_name), set(DATAGRAMS));
    assert_eq!(names(&drawn(strategies::hello_replies()), hello_reply_name), set(HELLO_REPLIES));
    let hellos = drawn(strategies::hellos());
    assert_eq!(names(hellos.iter().map(|hello| &hello.overlay), overlay_name), set(OVERLAYS));
    assert_eq!(names(hellos.iter().map(|hello| &hello.purpose), purpose_name), set(PURPOSES));
    assert_eq!(names(hellos.iter().map(|hello| &hello.member_ids), id_kind_name), set(ID_KINDS));
}

#[test]
fn every_kind_of_record_and_origin_is_drawn() {
    let records = drawn(strategies::records());
    assert_eq!(names(records.iter().map(|(record, _)| &record.kind), id_kind_name), set(ID_KINDS));
    assert_eq!(names(records.iter().map(|(record, _)| &record.role), role_name), set(ROLES));
    let origins: Vec<IdKind> = drawn(strategies::origins()).iter().map(|origin| origin.peer_id().kind).collect();
    assert_eq!(names(&origins, id_kind_name), set(ID_KINDS));
}
