//! Every message that this version can say, for proptest. `covered` checks that none is forgotten.
//!
//! Values are drawn so that they obey the bounds written beside their types: `parse` refuses the others, and `hostile`
//! is about those.

use bytes::Bytes;
use cicada_wire::*;
use proptest::{collection::vec, option, prelude::*};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

/// Any frame.
pub(crate) fn frames() -> BoxedStrategy<Frame> {
    prop_oneof![
        (tickets(), queries()).prop_map(|(ticket, query)| Frame::Query(ticket, query)),
        (tickets(), replies(MAX_RECORDS)).prop_map(|(ticket, reply)| Frame::Reply(ticket, reply)),
        neighbours().prop_map(Frame::Changed),
        signed_records().prop_map(Frame::Hint),
        Just(Frame::Alarm),
        refusals().prop_map(Frame::Drain),
        Just(Frame::Drained),
        introductions(MAX_RECORDS).prop_map(Frame::Introduce),
        (signed_records(), any::<u8>()).prop_map(|(seeker, hop_limit)| Frame::Unify(Unify { seeker, hop_limit })),
        (neighbours(), vec(signed_records(), 0..=MAX_LOST)).prop_map(|(neighbours, lost)| Frame::Goodbye(Goodbye { neighbours, lost })),
        messages().prop_map(|(header, payload)| Frame::Data(header, payload)),
        hop_verdicts().prop_map(Frame::HopVerdict),
        tasks().prop_map(|(task, payload)| Frame::Task(task, payload)),
        (tickets(), option::of(refusals())).prop_map(|(ticket, refusal)| Frame::TaskVerdict(TaskVerdict { ticket, refusal })),
        payloads().prop_map(Frame::Opaque),
        vec(short_ids(), 0..=MAX_DIGEST).prop_map(|ids| Frame::Digest(Digest { ids })),
        (tickets(), short_ids(), offsets()).prop_map(|(ticket, id, offset)| Frame::Pull(Pull { ticket, id, offset })),
    ]
    .boxed()
}

/// Any datagram. Few records, so that it stays under the limit of a datagram.
pub(crate) fn datagrams() -> BoxedStrategy<Datagram> {
    let padding = || (0..=600u16).prop_map(Padding);
    let answers = (challenges(), records()).prop_map(|(challenge, (record, identity))| {
        let record = SignedRecord::sign(record, &identity).expect("records() makes records that hold");
        Answer::sign(challenge, record, &identity)
    });
    prop_oneof![
        (challenges(), padding(), option::of(any::<[u8; RecordName::BYTES]>().prop_map(RecordName)))
            .prop_map(|(challenge, padding, name)| Datagram::Challenge(challenge, padding, name)),
        (challenges(), option::of(signatures()))
            .prop_map(|(challenge, signature)| Datagram::BriefAnswer(BriefAnswer { challenge, signature })),
        answers.prop_map(Datagram::Answer),
        (tickets(), option::of(signed_records()), queries(), padding())
            .prop_map(|(ticket, asker, query, padding)| Datagram::Query(ticket, asker, query, padding)),
        (tickets(), replies(1))
            .prop_map(|(ticket, reply)| Datagram::Reply(ticket, reply))
            .prop_filter("a datagram has its limit", |datagram| datagram.len_bytes() <= Datagram::MAX_BYTES),
        introductions(3).prop_map(Datagram::Introduce),
    ]
    .boxed()
}

/// Any hello.
pub(crate) fn hellos() -> BoxedStrategy<Hello> {
    let kinds = (overlay_kinds(), purposes(), id_kinds());
    let what = (any::<u16>(), any::<[u8; 8]>(), kinds, any::<[u8; 32]>());
    (what, capabilities(), signed_records(), any::<u64>())
        .prop_map(|((version, swarm, (overlay, purpose, member_ids), proof), capabilities, record, boot)| Hello {
            version,
            swarm,
            overlay,
            purpose,
            member_ids,
            proof,
            capabilities,
            record,
            boot,
        })
        .boxed()
}

/// Any answer to a hello.
pub(crate) fn hello_replies() -> BoxedStrategy<HelloReply> {
    prop_oneof![hellos().prop_map(HelloReply::Welcome), refusals().prop_map(HelloReply::Refused)].boxed()
}

/// Any payload of a receipt.
pub(crate) fn statuses() -> BoxedStrategy<Status> {
    (any::<u8>(), option::of(refusals()), vec(hashes(), 0..=usize::from(MAX_HOPS)))
        .prop_map(|(copy, refusal, path)| Status {
            copy,
            refusal,
            path,
            boot: refusal.map(|reason| u64::from(reason.number())),
            credential: None,
        })
        .boxed()
}

/// Any record that holds, signed.
pub(crate) fn signed_records() -> BoxedStrategy<SignedRecord> {
    records().prop_map(|(record, identity)| SignedRecord::sign(record, &identity).expect("records() makes records that hold")).boxed()
}

/// Any record that does not contradict itself, with the identity whose key it names.
pub(crate) fn records() -> BoxedStrategy<(Record, Identity)> {
    let who = prop_oneof![
        (Just((IdKind::Address, Role::Member, None)), addresses_from(1)),
        (Just((IdKind::Key, Role::Member, None)), addresses_from(1)),
        (Just((IdKind::Key, Role::Client, None)), addresses_from(0)),
        (Just((IdKind::Key, Role::Leaf, None)), addresses_from(0)),
        (hashes().prop_map(|data| (IdKind::Data, Role::Member, Some(data))), addresses_from(1)),
    ];
    (who, capabilities(), any::<u64>(), any::<u64>().prop_map(UnixTime), any::<[u8; 32]>())
        .prop_map(|(((kind, role, data), addresses), capabilities, sequence, expires, seed)| {
            let identity = Identity::from_seed(&seed);
            let record = Record { key: identity.public(), kind, role, addresses, capabilities, sequence, expires, data };
            (record, identity)
        })
        .boxed()
}

fn addresses_from(least: usize) -> impl Strategy<Value = Vec<Address>> {
    vec(addresses(), least..=MAX_ADDRESSES)
}

/// Any address that a peer can announce.
pub(crate) fn addresses() -> BoxedStrategy<Address> {
    let v4 = (any::<Ipv4Addr>(), any::<u16>()).prop_map(|(ip, port)| SocketAddr::from((ip, port)));
    let v6 = (any::<Ipv6Addr>(), any::<u16>()).prop_map(|(ip, port)| SocketAddr::from((ip, port)));
    prop_oneof![v4, v6].prop_filter_map("an address that can be announced", |address| Address::new(address).ok()).boxed()
}

/// Any point on the circle, its ends and powers of two more often than chance would have them.
pub(crate) fn hashes() -> BoxedStrategy<Hash> {
    uints().prop_map(Hash).boxed()
}

/// Any number of 256 bits, likewise.
pub(crate) fn uints() -> BoxedStrategy<U256> {
    prop_oneof![
        4 => any::<[u8; 32]>().prop_map(U256::from_be_bytes),
        1 => prop::sample::select(vec![U256::ZERO, U256::ONE, U256::MAX]),
        1 => (0..256u32, -1..=1i8).prop_map(|(bit, beside)| {
            let power = U256::power_of_two(bit).expect("a bit of 256");
            match beside {
                -1 => power.wrapping_sub(U256::ONE),
                0 => power,
                _ => power.wrapping_add(U256::ONE),
            }
        }),
    ]
    .boxed()
}

fn public_keys() -> BoxedStrategy<PublicKey> {
    any::<[u8; 32]>().prop_map(PublicKey).boxed()
}

fn queries() -> BoxedStrategy<Query> {
    prop_oneof![
        Just(Query::Ping),
        (hashes(), 0..=MAX_RECORDS as u8, record_names(MAX_KNOWN)).prop_map(|(target, count, known)| Query::Find(Find {
            target,
            count,
            known
        })),
        Just(Query::Neighbours),
        any::<u32>().prop_map(|lease_s| Query::Attach(Attachment { lease_s })),
        addresses().prop_map(Query::Witness),
        vec(hashes(), 0..=MAX_RECORDS).prop_map(|ids| Query::Records(IdPrefixes::of(ids))),
    ]
    .boxed()
}

fn record_names(most: usize) -> impl Strategy<Value = RecordNames> {
    vec(any::<[u8; RecordName::BYTES]>().prop_map(RecordName), 0..=most).prop_map(RecordNames)
}

fn replies(records_max: usize) -> BoxedStrategy<Reply> {
    let few = || vec(signed_records(), 0..=records_max);
    let known = || record_names(MAX_RECORDS - records_max);
    prop_oneof![
        Just(Reply::Pong),
        Just(Reply::WhoAreYou),
        (few(), few(), option::of(signed_records()), known(), known(), churns()).prop_map(
            |(closer, responsible, attached, known_closer, known_responsible, churn)| Reply::Found(Found {
                closer,
                responsible,
                attached,
                known_closer,
                known_responsible,
                churn
            })
        ),
        neighbours().prop_map(Reply::Neighbours),
        any::<u32>().prop_map(|lease_s| Reply::Attached(Attachment { lease_s })),
        refusals().prop_map(Reply::Refused),
        option::of(public_keys()).prop_map(Reply::Witnessed),
        vec(signed_records(), 0..=3).prop_map(|records| Reply::Records(Introduction { records })),
    ]
    .boxed()
}

fn neighbours() -> BoxedStrategy<Neighbours> {
    (option::of(hashes()), vec(hashes(), 0..=MAX_NEIGHBOURS), vec(signed_records(), 0..=3), churns())
        .prop_map(|(predecessor, successors, records, churn)| Neighbours {
            predecessor: predecessor.map(IdPrefix::of),
            successors: IdPrefixes::of(successors),
            records,
            churn,
        })
        .boxed()
}

fn churns() -> impl Strategy<Value = Churn> {
    prop_oneof![Just(Churn::Calm), Just(Churn::Some), Just(Churn::Heavy)]
}

fn introductions(records_max: usize) -> BoxedStrategy<Introduction> {
    vec(signed_records(), 0..=records_max).prop_map(|records| Introduction { records }).boxed()
}

fn hop_verdicts() -> BoxedStrategy<HopVerdict> {
    (hashes(), message_ids(), any::<u8>(), any::<bool>(), option::of(refusals()))
        .prop_map(|(origin, message, copy, receipt, refusal)| HopVerdict { origin, message, copy, receipt, refusal })
        .boxed()
}

/// A unicast or a receipt: with a target, and a payload as long as the header says.
fn messages() -> BoxedStrategy<(Header, Bytes)> {
    let kinds = prop_oneof![Just(Kind::Unicast), Just(Kind::Receipt)];
    (statements(), kinds, hashes(), mutables(), payloads())
        .prop_map(|(fixed, kind, target, hop, payload)| {
            let about = fixed.about.filter(|_| kind == Kind::Receipt).or((kind == Kind::Receipt).then_some(MessageId([2; 16])));
            let digest = PayloadDigest::of(&payload);
            let fixed = Statement { kind, target: Some(target), length: payload.len() as u64, digest, about, ..fixed };
            (Header { fixed: authenticated(fixed), hop }, payload)
        })
        .boxed()
}

/// A share of a broadcast: without a target, with a reach; an extend names the length of a payload that does not follow.
fn tasks() -> BoxedStrategy<(Task, Bytes)> {
    let excluded = vec(hashes(), 0..=MAX_EXCLUDED / 2);
    let avoided = vec(hashes(), 0..=MAX_EXCLUDED / 2);
    (tickets(), statements(), mutables(), reaches(), (excluded, avoided, any::<bool>(), payloads(), offsets()))
        .prop_map(|(ticket, fixed, hop, reach, (excluded, avoided, extend, payload, offset))| {
            let offset = if extend { 0 } else { offset.min(u64::MAX - payload.len() as u64) };
            let (length, digest) = (offset + payload.len() as u64, PayloadDigest::of(&payload));
            let fixed = Statement { kind: Kind::Broadcast, target: None, length, digest, about: None, ..fixed };
            let header = Header { fixed: authenticated(fixed), hop: Mutable { reach: Some(reach), path: Vec::new(), ..hop } };
            let payload = if extend { Bytes::new() } else { payload };
            (Task { ticket, header, excluded, extend, avoided, offset }, payload)
        })
        .boxed()
}

fn authentications() -> BoxedStrategy<Authentication> {
    let keyed = (any::<[u8; 24]>(), option::of(any::<u64>())).prop_map(|(nonce, boot)| Authentication::Keyed { nonce, boot });
    let signed = public_keys().prop_map(|key| Authentication::Signed { key: Some(key) });
    let asks = credentials().prop_map(Authentication::Asks);
    let opening = (any::<[u8; 32]>(), any::<[u8; 32]>(), credentials());
    let opening = opening.prop_map(|(share, to, credential)| Opening { share: Share(share), to: SealingKey(to), credential });
    let sealed = (any::<[u8; 16]>(), option::of(opening));
    let sealed = sealed.prop_map(|(session, opening)| Authentication::Sealed { session: SessionId(session), opening });
    prop_oneof![Just(Authentication::None), keyed, signed, asks, sealed].boxed()
}

fn credentials() -> BoxedStrategy<Credential> {
    (public_keys(), any::<[u8; 32]>(), any::<u64>(), any::<[u8; 32]>())
        .prop_map(|(key, seal, boot, half)| {
            let mut signature = [0; 64];
            signature[..32].copy_from_slice(&half);
            Credential { key, seal: SealingKey(seal), boot, signature: Signature(signature) }
        })
        .boxed()
}

/// With a signature, if it speaks of one. It does not hold.
fn authenticated(statement: Statement) -> Immutable {
    let signs = matches!(statement.authentication, Authentication::Signed { .. });
    let fixed = Immutable::from(statement);
    if signs { fixed.signed(Signature([7; 64])) } else { fixed }
}

/// Kind, target, length and what a receipt is about are put right by those who know the payload.
fn statements() -> BoxedStrategy<Statement> {
    let digests = any::<[u8; 32]>();
    (origins(), any::<u64>(), any::<u64>().prop_map(UnixTime), any::<u64>(), digests, option::of(message_ids()), authentications())
        .prop_map(|(origin, number, made_at, boot, digest, about, authentication)| Statement {
            version: Statement::VERSION,
            kind: Kind::Unicast,
            origin,
            target: None,
            number,
            length: 0,
            made_at,
            boot,
            authentication,
            digest: PayloadDigest(digest),
            about,
        })
        .boxed()
}

fn mutables() -> BoxedStrategy<Mutable> {
    let route = vec(hashes(), 0..=MAX_SOURCE_ROUTE);
    let path = vec(hashes(), 0..=usize::from(MAX_HOPS));
    (0..=MAX_HOPS, any::<u32>(), any::<u8>(), route, path, any::<bool>(), option::of(reaches()), any::<(u8, u8, bool)>())
        .prop_map(|(hop_limit, flow, copy, route, path, last, reach, (detours, absent, patient))| Mutable {
            hop_limit,
            flow,
            copy,
            route,
            path,
            last,
            reach,
            detours,
            absent,
            patient,
        })
        .boxed()
}

/// Any origin.
pub(crate) fn origins() -> BoxedStrategy<Origin> {
    let keys = any::<[u8; 32]>().prop_map(PublicKey);
    prop_oneof![
        addresses().prop_map(Origin::of_address),
        (keys, option::of(addresses())).prop_map(|(key, address)| Origin::of_key(key, address)),
        (hashes(), option::of(addresses())).prop_map(|(data, address)| Origin::of_data(data, address)),
    ]
    .boxed()
}

/// Any reason, those of later versions included.
pub(crate) fn refusals() -> BoxedStrategy<Refusal> {
    let known: Vec<Refusal> = Refusal::all().collect();
    let later = any::<u16>().prop_map(Refusal::from_number);
    prop_oneof![prop::sample::select(known), later].boxed()
}

fn overlay_kinds() -> BoxedStrategy<OverlayKind> {
    prop_oneof![Just(OverlayKind::Ring), Just(OverlayKind::Tree)].boxed()
}

fn purposes() -> BoxedStrategy<Purpose> {
    prop_oneof![Just(Purpose::Swarm), Just(Purpose::Bare)].boxed()
}

fn id_kinds() -> BoxedStrategy<IdKind> {
    prop_oneof![Just(IdKind::Address), Just(IdKind::Key), Just(IdKind::Data)].boxed()
}

fn capabilities() -> BoxedStrategy<Capabilities> {
    any::<u64>().prop_map(Capabilities).boxed()
}

fn reaches() -> BoxedStrategy<Reach> {
    uints().prop_map(Reach).boxed()
}

fn tickets() -> BoxedStrategy<Ticket> {
    any::<u64>().prop_map(Ticket).boxed()
}

fn short_ids() -> BoxedStrategy<ShortId> {
    any::<[u8; ShortId::BYTES]>().prop_map(ShortId).boxed()
}

/// Mostly the beginning.
fn offsets() -> BoxedStrategy<u64> {
    prop_oneof![3 => Just(0), 1 => any::<u64>()].boxed()
}

fn message_ids() -> BoxedStrategy<MessageId> {
    any::<[u8; 16]>().prop_map(MessageId).boxed()
}

fn signatures() -> impl Strategy<Value = Signature> {
    (any::<[u8; 32]>(), any::<[u8; 32]>()).prop_map(|(first, second)| {
        let mut signature = [0; 64];
        signature[..32].copy_from_slice(&first);
        signature[32..].copy_from_slice(&second);
        Signature(signature)
    })
}

fn challenges() -> BoxedStrategy<Challenge> {
    any::<[u8; 16]>().prop_map(Challenge).boxed()
}

fn payloads() -> BoxedStrategy<Bytes> {
    vec(any::<u8>(), 0..200).prop_map(Bytes::from).boxed()
}
