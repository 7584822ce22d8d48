//! A peer that follows the protocol only where it gains by that. Made of the wire format and QUIC; nothing here bounds anything.

#[path = "../../src/tls.rs"]
mod tls;

use crate::PATIENCE;
use bytes::Bytes;
use cicada_proto::Geometry;
use cicada_wire::{
    Address, Authentication, Capabilities, Credential, Datagram, DatagramKey, Frame, HELLO_VERSION, Hash, Header, Hello, HelloReply,
    IdKind, Identity, Immutable, Introduction, Kind, LinkSide, MAX_DATAGRAM_BYTES, MAX_HOPS, Mutable, Neighbours, Opening, Origin,
    OverlayKind, PayloadDigest, PieceDigests, Purpose, Query, Reach, Record, Refusal, Reply, Role, SealingKey, SessionId, Share,
    SignedRecord, Statement, SwarmKeys, Task, TaskVerdict, Ticket, UnixTime,
};
use quinn::{ConnectError, Connecting, Connection, ConnectionError, Endpoint, RecvStream, SendStream};
use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};
use tokio::{sync::Mutex, task::JoinHandle, time::timeout};

/// Somebody with a key, an address and a socket.
#[derive(Clone)]
pub(crate) struct Attacker {
    pub(crate) endpoint: Endpoint,
    pub(crate) record: SignedRecord,
    /// Of the swarm that it attacks; the ring unless it is changed.
    pub(crate) overlay: OverlayKind,
    keys: SwarmKeys,
    pub(crate) identity: Identity,
}

impl Attacker {
    /// One at a free port of this address, which it announces.
    pub(crate) fn at(ip: impl Into<IpAddr>) -> Self {
        let identity = fresh_identity();
        let socket = std::net::UdpSocket::bind((ip.into(), 0)).expect("loopback has a free port");
        let address = socket.local_addr().expect("bound");
        let (client, server) = tls::configurations(&identity).expect("the provider has it all");
        let mut config = quinn::EndpointConfig::default();
        config.grease_quic_bit(false);
        let runtime = quinn::default_runtime().expect("tokio");
        let server = quinn::ServerConfig::with_crypto(Arc::new(server));
        let mut endpoint = Endpoint::new(config, Some(server), socket, runtime).expect("a socket");
        let mut transport = quinn::TransportConfig::default();
        transport.max_concurrent_uni_streams(64u32.into()).keep_alive_interval(Some(Duration::from_secs(2)));
        // What it does not read, its other end must keep.
        transport.stream_receive_window((64u32 * 1024).into());
        let mut client = quinn::ClientConfig::new(Arc::new(client));
        client.transport_config(Arc::new(transport));
        endpoint.set_default_client_config(client);
        Self { endpoint, record: record_of(&identity, address), overlay: OverlayKind::Ring, keys: swarm_keys(), identity }
    }

    pub(crate) fn dial(&self, to: SocketAddr) -> Result<Connecting, ConnectError> {
        self.endpoint.connect(to, "cicada")
    }

    /// A connection whose hello is not said.
    pub(crate) async fn connect(&self, to: SocketAddr) -> Result<Connection, ConnectionError> {
        self.dial(to).expect("an address").await
    }

    /// A link like any member's.
    pub(crate) async fn link(&self, to: SocketAddr) -> Link {
        let connection = self.connect(to).await.expect("let in");
        let (mut send, mut recv) = connection.open_bi().await.expect("one is allowed");
        let theirs = tls::proven_key(&connection).expect("a key");
        let mut exporter = [0; 32];
        connection.export_keying_material(&mut exporter, b"EXPORTER-Channel-Binding", &[]).expect("a connection that stands");
        let hello = Hello {
            version: HELLO_VERSION,
            swarm: self.keys.tag(),
            overlay: self.overlay,
            purpose: Purpose::Swarm,
            member_ids: IdKind::Address,
            proof: self.keys.link_proof(&exporter, LinkSide::Dialler, &self.record.key(), &theirs),
            capabilities: Capabilities::default(),
            record: self.record.clone(),
            boot: 1,
        };
        send.write_all(&prefixed(&hello.to_bytes())).await.expect("it reads");
        let reply = read_prefixed(&mut recv).await.expect("it answers");
        let Ok(HelloReply::Welcome(hello)) = HelloReply::parse(&reply) else { panic!("not welcome") };
        Link { connection, mouth: Mouth(Arc::new(Mutex::new(send))), recv, them: hello.record, me: self.clone() }
    }

    /// The id that follows from its address.
    pub(crate) fn id(&self) -> Hash {
        self.record.id()
    }

    /// The header of a message that it makes.
    pub(crate) fn header(&self, target: Option<Hash>, length: usize) -> Header {
        self.header_with(
            target,
            length,
            match target {
                Some(_) => Authentication::None,
                None => Authentication::Signed { key: Some(self.record.key()) },
            },
        )
    }

    /// The header of a unicast that says it is sealed with a session that it opens. Only who has all of it can know better.
    pub(crate) fn sealed(&self, target: Hash, length: usize) -> Header {
        let (key, seal, boot) = (self.record.key(), SealingKey([7; 32]), 1);
        let signature = Credential::hash(key, seal, boot).sign(&self.identity);
        let opening = Opening { share: Share([9; 32]), to: seal, credential: Credential { key, seal, boot, signature } };
        let session = SessionId(number().to_be_bytes());
        self.header_with(Some(target), length, Authentication::Sealed { session, opening: Some(opening) })
    }

    fn header_with(&self, target: Option<Hash>, length: usize, authentication: Authentication) -> Header {
        let fixed = Statement {
            version: Statement::VERSION,
            kind: if target.is_some() { Kind::Unicast } else { Kind::Broadcast },
            origin: Origin::of_record(&self.record),
            target,
            number: number() as u64,
            length: length as u64,
            made_at: now(),
            boot: 1,
            authentication,
            digest: said(length).0,
            about: None,
        };
        let fixed = Immutable::from(fixed);
        let signature = fixed.hash().sign(&self.identity);
        let fixed = if target.is_some() { fixed } else { fixed.signed(signature) };
        Header { fixed, hop: Mutable { hop_limit: MAX_HOPS, ..Mutable::default() } }
    }

    /// A broadcast's share for `to` on the ring, as large as an honest sender could hand over.
    pub(crate) fn task(&self, to: Hash, length: usize) -> Task {
        let mut header = self.header(None, length);
        header.hop.reach = Some(Geometry::Ring.admissible(to, self.id()));
        Task { ticket: Ticket(number() as u64), header, excluded: Vec::new(), extend: false, avoided: Vec::new(), offset: 0 }
    }
}

/// A link, as seen from the attacker's end.
pub(crate) struct Link {
    connection: Connection,
    pub(crate) mouth: Mouth,
    recv: RecvStream,
    them: SignedRecord,
    me: Attacker,
}

/// What an attacker answers to what it is asked.
pub(crate) trait Answers: Send + Sync + 'static {
    /// To a question.
    fn reply(&self, query: &Query) -> Reply;
    /// Hears everything else.
    fn hear(&self, _: &Frame) {}
}

/// A member of the ring as it should be.
pub(crate) struct Honest;

impl Answers for Honest {
    fn reply(&self, query: &Query) -> Reply {
        match query {
            Query::Ping => Reply::Pong,
            Query::Neighbours => Reply::Neighbours(Neighbours::default()),
            Query::Find(_) => Reply::Found(cicada_wire::Found::default()),
            Query::Attach(_) | Query::Witness(_) | Query::Records(_) => Reply::Refused(Refusal::Unexpected),
        }
    }
}

/// The way to say something on a link.
#[derive(Clone)]
pub(crate) struct Mouth(Arc<Mutex<SendStream>>);

impl Mouth {
    /// Fails when the link is gone.
    pub(crate) async fn say(&self, frame: &Frame) -> bool {
        self.say_bytes(&prefixed(&frame.to_bytes())).await
    }

    pub(crate) async fn say_bytes(&self, bytes: &[u8]) -> bool {
        self.0.lock().await.write_all(bytes).await.is_ok()
    }
}

impl Link {
    /// Waits until it has ended, for whatever reason.
    pub(crate) async fn end(&self) {
        timeout(PATIENCE, self.connection.closed()).await.expect("it is closed");
    }

    /// From now on somebody answers, until the link is gone; and tells that it stands on the ring, as members do.
    pub(crate) async fn serve(self, answers: impl Answers) -> Served {
        let Self { connection, mouth, mut recv, them, me } = self;
        assert!(mouth.say(&Frame::Introduce(Introduction { records: vec![me.record.clone()] })).await);
        let answering = mouth.clone();
        let task = tokio::spawn(async move {
            while let Some(bytes) = read_prefixed(&mut recv).await {
                match Frame::parse(&Bytes::from(bytes)).expect("an honest peer's frame") {
                    Frame::Query(ticket, query) => {
                        answering.say(&Frame::Reply(ticket, answers.reply(&query))).await;
                    }
                    other => answers.hear(&other),
                }
            }
        });
        Served { connection, mouth, them, task }
    }
}

async fn why_closed(connection: &Connection) -> Refusal {
    match timeout(PATIENCE, connection.closed()).await.expect("it is closed") {
        ConnectionError::ApplicationClosed(closed) => {
            u16::try_from(closed.error_code.into_inner()).map_or(Refusal::Malformed, Refusal::from_number)
        }
        other => panic!("{other}"),
    }
}

/// A link that somebody answers on.
pub(crate) struct Served {
    pub(crate) connection: Connection,
    pub(crate) mouth: Mouth,
    pub(crate) them: SignedRecord,
    task: JoinHandle<()>,
}

impl Served {
    /// Takes a broadcast's share over, or says so.
    pub(crate) async fn acknowledge(&self, ticket: Ticket) {
        self.mouth.say(&Frame::TaskVerdict(TaskVerdict { ticket, refusal: None })).await;
    }

    /// Why the other end closed it.
    pub(crate) async fn refusal(&self) -> Refusal {
        why_closed(&self.connection).await
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.task.abort();
    }
}

// --- Bytes

/// With its length before it, as on a link.
pub(crate) fn prefixed(bytes: &[u8]) -> Vec<u8> {
    let length = u32::try_from(bytes.len()).expect("short").to_be_bytes();
    [&length, bytes].concat()
}

async fn read_prefixed(recv: &mut RecvStream) -> Option<Vec<u8>> {
    let mut length = [0; 4];
    recv.read_exact(&mut length).await.ok()?;
    let mut bytes = vec![0; u32::from_be_bytes(length) as usize];
    recv.read_exact(&mut bytes).await.ok()?;
    Some(bytes)
}

/// The digest of what the attacker says in `length` bytes, and those of its pieces.
fn said(length: usize) -> (PayloadDigest, Bytes) {
    static KNOWN: std::sync::Mutex<BTreeMap<usize, (PayloadDigest, Bytes)>> = std::sync::Mutex::new(BTreeMap::new());
    let mut known = KNOWN.lock().expect("no panic");
    let compute = || {
        let payload = vec![b'!'; length];
        (PayloadDigest::of(&payload), PieceDigests::of(&payload).map(|digests| digests.to_bytes()).unwrap_or_default())
    };
    known.entry(length).or_insert_with(compute).clone()
}

/// The first bytes of a frame whose payload is `payload` long: so much that its head is read, and the digests of its pieces.
pub(crate) fn beginning(frame: &Frame, payload: usize) -> Vec<u8> {
    let head = frame.head_bytes();
    let mut bytes = u32::try_from(head.len() + payload).expect("below 4 GiB").to_be_bytes().to_vec();
    bytes.extend_from_slice(&head);
    bytes.extend_from_slice(&said(payload).1);
    bytes.resize(bytes.len().max(4 + cicada_wire::MAX_HEADER_BYTES), b'!');
    bytes
}

/// The broadcast's share that a stream begins with, and how much of its payload there is. Reads no further than its head.
pub(crate) async fn read_task(recv: &mut RecvStream) -> Option<(Task, usize)> {
    let mut prefix = [0; 4];
    recv.read_exact(&mut prefix).await.ok()?;
    let length = u32::from_be_bytes(prefix) as usize;
    let mut head = vec![0; length.min(cicada_wire::MAX_HEADER_BYTES)];
    recv.read_exact(&mut head).await.ok()?;
    match Frame::parse_head(&head, length) {
        Ok((Frame::Task(task, _), begins)) => Some((task, length - begins)),
        other => panic!("no task: {other:?}"),
    }
}

/// Seals a datagram for the swarm.
pub(crate) fn seal(datagram: &Datagram) -> Vec<u8> {
    let mut nonce = [0; 24];
    nonce[..16].copy_from_slice(&number().to_be_bytes());
    let sealed = datagram_key().seal(nonce, &datagram.to_bytes());
    assert!(sealed.len() <= MAX_DATAGRAM_BYTES);
    sealed
}

/// Reads a sealed datagram.
pub(crate) fn open(bytes: &[u8]) -> Option<Datagram> {
    Datagram::parse(&datagram_key().open(bytes).ok()?).ok()
}

fn datagram_key() -> DatagramKey {
    swarm_keys().datagrams(OverlayKind::default(), Purpose::Swarm, IdKind::Address)
}

fn swarm_keys() -> SwarmKeys {
    SwarmKeys::new("cicada", None).expect("no secret")
}

pub(crate) fn fresh_identity() -> Identity {
    let mut seed = [0xa7; 32];
    seed[..16].copy_from_slice(&number().to_be_bytes());
    Identity::from_seed(&seed)
}

/// A signed record of a member there.
pub(crate) fn record_of(identity: &Identity, address: SocketAddr) -> SignedRecord {
    let record = Record {
        key: identity.public(),
        kind: IdKind::Address,
        role: Role::Member,
        addresses: vec![Address::new(address).expect("an address that can be announced")],
        capabilities: Capabilities::default(),
        sequence: now().0,
        expires: UnixTime(now().0 + 3_600_000),
        data: None,
    };
    SignedRecord::sign(record, identity).expect("consistent")
}

/// Nobody but the peer itself.
pub(crate) const ONLY_YOU: Reach = Reach::ME;

fn now() -> UnixTime {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970");
    UnixTime(u64::try_from(since.as_millis()).expect("before the year 500 million"))
}

/// Another each time, in this process and among processes.
fn number() -> u128 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    u128::from(std::process::id()) << 64 | u128::from(NEXT.fetch_add(1, Ordering::Relaxed))
}
