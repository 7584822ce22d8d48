mod loss;
mod streams;

use super::*;
use crate::{link::Queued, socket::Received, start::wall_time};
use bytes::Bytes;
use cicada_proto::{
    config::{Limits, Rate},
    lists::{AccessList, Who},
};
use cicada_wire::{
    Capabilities, Find, HELLO_VERSION, Hash, Header, Hello, HelloReply, IdKind, Kind, Mutable, Origin, OverlayKind, PayloadDigest, Purpose,
    Query, Record, RecordNames, Role, SignedRecord, Statement, SwarmKeys, Ticket, UnixTime,
};
use quinn::{RecvStream, SendStream};
use std::collections::BTreeMap;
use tokio::{task::JoinSet, time::Instant};

#[tokio::test]
async fn two_ends_that_agree_have_a_link_and_say_so_once() {
    let (mut a, mut b) = (End::new(1), End::new(2));
    let (to_b, to_a) = a.link(&mut b).await;
    assert_eq!((to_b.up.dial, to_a.up.dial), (Some(DialId(7)), None));
    assert_eq!((to_b.up.side, to_a.up.side), (LinkSide::Dialler, LinkSide::Listener));
    assert_eq!(to_b.up.record, b.me.record);
    assert_eq!(to_a.up.record, a.me.record);
    assert_eq!(to_b.up.remote, b.address().socket(), "the address that is dialled is the announced one");
    assert_eq!(to_a.up.remote, a.address().socket(), "one socket dials and listens");
    assert_eq!((to_b.up.boot, to_a.up.boot), (b.me.boot, a.me.boot));
}

#[tokio::test]
async fn what_was_queued_before_a_close_arrives_before_it() {
    let (mut a, mut b) = (End::new(1), End::new(2));
    let (to_b, _to_a) = a.link(&mut b).await;
    for number in 0..100 {
        assert_eq!(to_b.send(ping(number)), Queued::Yes);
    }
    for _ in 0..20 {
        assert_eq!(to_b.send(data(20_000)), Queued::Yes);
    }
    to_b.handle.close(Refusal::MadeRoom);
    let (mut pings, mut bulk) = (0, 0);
    loop {
        match b.news().await {
            News::Frame(_, Frame::Query(..)) => pings += 1,
            News::Frame(_, frame) => bulk += usize::from(frame.is_bulk()),
            News::Down(_, reason) => {
                assert_eq!(reason, Refusal::MadeRoom);
                break;
            }
            other => panic!("{}", name(&other)),
        }
    }
    assert_eq!((pings, bulk), (100, 20));
    assert!(matches!(a.news().await, News::Down(_, Refusal::MadeRoom)));
}

#[tokio::test]
async fn an_idle_link_that_one_end_closes_is_down_at_once_at_the_other() {
    let (mut a, mut b) = (End::new(1), End::new(2));
    let (to_b, _to_a) = a.link(&mut b).await;
    let closed = Instant::now();
    to_b.handle.close(Refusal::MadeRoom);
    assert_eq!(b.down().await, Refusal::MadeRoom);
    assert_eq!(a.down().await, Refusal::MadeRoom);
    // Every bound for an end that does not take part is longer.
    assert!(closed.elapsed() < Duration::from_millis(900), "{:?}", closed.elapsed());
}

#[tokio::test]
async fn each_disagreement_is_refused_with_its_number_on_both_sides() {
    type Case = (&'static str, fn(&mut Setup), Refusal);
    let cases: [Case; 6] = [
        ("another swarm", |setup| setup.keys = SwarmKeys::new("other", None).expect("no secret"), Refusal::OtherSwarm),
        (
            "another secret",
            |setup| setup.keys = SwarmKeys::new("test", Some(b"a secret that is long enough")).expect("long enough"),
            Refusal::OtherSecret,
        ),
        ("another overlay", |setup| setup.overlay = OverlayKind::Tree, Refusal::OtherOverlay),
        ("another purpose", |setup| setup.purpose = Purpose::Bare, Refusal::OtherOverlay),
        ("another kind of id", |setup| setup.member_ids = IdKind::Key, Refusal::OtherIdKind),
        ("an expired record", |setup| setup.expires = UnixTime(1), Refusal::ExpiredRecord),
    ];
    for (what, change, refusal) in cases {
        let mut a = End::with(1, change);
        let mut b = End::new(2);
        a.dial(&b, None);
        assert_eq!(a.dial_failed().await, DialError::Refused(refusal), "{what}");
        assert_eq!(b.refused().await, refusal, "{what}");
    }
}

#[tokio::test]
async fn a_listener_that_disagrees_is_refused_by_the_dialler() {
    // The listener finds nothing wrong; its own record has expired.
    let mut a = End::new(1);
    let mut b = End::with(2, |setup| setup.expires = UnixTime(1));
    a.dial(&b, None);
    assert_eq!(a.dial_failed().await, DialError::Refused(Refusal::ExpiredRecord));
    assert!(matches!(b.news().await, News::Up(..)));
    assert!(matches!(b.news().await, News::Down(_, Refusal::ExpiredRecord)));
}

#[tokio::test]
async fn a_key_that_was_not_expected_is_refused() {
    let (mut a, b) = (End::new(1), End::new(2));
    a.dial(&b, Some(identity(3).public()));
    assert_eq!(a.dial_failed().await, DialError::Refused(Refusal::OtherKey));
    a.dial(&b, Some(identity(2).public()));
    assert!(matches!(a.news().await, News::Up(..)), "control: the right key");
}

#[tokio::test]
async fn a_peer_that_reaches_itself_by_another_address_recognises_its_key() {
    let (mut a, b) = (End::new(1), End::new(1));
    a.dial(&b, None);
    assert_eq!(a.dial_failed().await, DialError::Refused(Refusal::SelfDial));
}

#[tokio::test]
async fn the_listener_says_nothing_of_itself_to_whom_does_not_prove_the_secret() {
    let secret: fn(&mut Setup) = |setup| setup.keys = SwarmKeys::new("test", Some(b"a secret that is long enough")).expect("long enough");
    let b = End::with(2, |setup| {
        setup.keys = SwarmKeys::new("test", Some(b"a secret that is long enough")).expect("long enough");
        setup.overlay = OverlayKind::Tree;
    });
    let stranger = End::new(1);
    let (_connection, send, mut recv) = stranger.raw(&b, &stranger.hello().to_bytes()).await;
    assert_eq!(read_reply(&mut recv).await, HelloReply::Refused(Refusal::OtherSecret), "not OtherOverlay, which would tell");
    drop(send);
    let mut member = End::with(3, secret);
    member.dial(&b, None);
    assert_eq!(member.dial_failed().await, DialError::Refused(Refusal::OtherOverlay), "control: a member is told");
}

#[tokio::test]
async fn a_hello_of_another_version_is_refused_as_such() {
    let (a, mut b) = (End::new(1), End::new(2));
    let mut hello = a.hello();
    hello.version = HELLO_VERSION + 1;
    let (_connection, _send, mut recv) = a.raw(&b, &hello.to_bytes()).await;
    assert_eq!(read_reply(&mut recv).await, HelloReply::Refused(Refusal::Version));
    assert_eq!(b.refused().await, Refusal::Version);
}

#[tokio::test]
async fn a_record_of_somebody_else_is_refused() {
    let (a, b) = (End::new(1), End::new(2));
    let connection = a.connect(&b).await;
    let binding_hello = |record: SignedRecord| {
        let mut hello = a.hello_on(&connection, b.me.key());
        hello.record = record;
        hello
    };
    let somebody = End::new(3);
    let (_send, mut recv) = say_raw(&connection, &binding_hello(somebody.me.record.clone()).to_bytes()).await;
    assert_eq!(read_reply(&mut recv).await, HelloReply::Refused(Refusal::InvalidRecord));

    let connection = a.connect(&b).await;
    let (_send, mut recv) = say_raw(&connection, &a.hello_on(&connection, b.me.key()).to_bytes()).await;
    assert!(matches!(read_reply(&mut recv).await, HelloReply::Welcome(_)), "control: its own record");
}

#[tokio::test]
async fn random_bytes_instead_of_a_hello_are_refused() {
    let (a, mut b) = (End::new(1), End::new(2));
    let (_connection, _send, mut recv) = a.raw(&b, &[0xff; 300]).await;
    assert_eq!(read_reply(&mut recv).await, HelloReply::Refused(Refusal::Malformed));
    assert_eq!(b.refused().await, Refusal::Malformed);
}

#[tokio::test]
async fn a_hello_over_the_limit_is_refused_before_it_is_read() {
    let (a, mut b) = (End::new(1), End::new(2));
    let connection = a.connect(&b).await;
    let (mut send, _recv) = connection.open_bi().await.expect("one stream is allowed");
    send.write_all(&u32::MAX.to_be_bytes()).await.expect("four bytes");
    assert_eq!(b.refused().await, Refusal::TooLarge);
    assert_eq!(crate::hello::reason(&connection.closed().await), Refusal::TooLarge);
}

#[tokio::test]
async fn random_bytes_on_a_link_close_it_and_nothing_else() {
    for (bytes, refusal) in [(&[0, 0, 0, 4, 0xff, 0xff, 0xff, 0xff][..], Refusal::Malformed), (&u32::MAX.to_be_bytes(), Refusal::TooLarge)]
    {
        let (a, mut b) = (End::new(1), End::new(2));
        let connection = a.connect(&b).await;
        let (mut send, mut recv) = say_raw(&connection, &a.hello_on(&connection, b.me.key()).to_bytes()).await;
        assert!(matches!(read_reply(&mut recv).await, HelloReply::Welcome(_)));
        drop(b.up().await);
        send.write_all(bytes).await.expect("a few bytes");
        assert_eq!(crate::hello::reason(&connection.closed().await), refusal);
        assert!(matches!(b.news().await, News::Down(_, reason) if reason == refusal));
        let mut c = End::new(3);
        c.link(&mut b).await;
    }
}

#[tokio::test]
async fn who_opens_and_never_speaks_is_closed_after_a_while() {
    let (a, mut b) = (End::new(1), End::new(2));
    let connection = a.connect(&b).await;
    let opened = Instant::now();
    assert_eq!(b.refused().await, Refusal::Silent);
    assert_eq!(crate::hello::reason(&connection.closed().await), Refusal::Silent);
    assert!(opened.elapsed() < Duration::from_secs(7), "{:?}", opened.elapsed());
}

#[tokio::test]
async fn those_who_never_finish_their_handshake_keep_no_more_places_than_allowed() {
    for (half_open, enters) in [(64, true), (4, false)] {
        let (mut honest, stranger) = (End::new(1), End::new(2));
        let b = End::with(3, |setup| setup.limits.half_open = half_open);
        let mut held = Vec::new();
        for _ in 0..4 {
            held.push(stranger.connect(&b).await);
        }
        honest.dial(&b, None);
        match honest.news().await {
            News::Up(..) => assert!(enters, "no place was left"),
            // To be tried again: it is a peer, with too many at its door.
            News::DialFailed(_, error) => assert!(!enters && error == DialError::Unreachable, "{error:?}"),
            other => panic!("{}", name(&other)),
        }
        assert_eq!(b.network.entrance.refusals().of(Refusal::OverBudget) > 0, !enters);
        assert!(b.network.entrance.half_open() <= half_open);
    }
}

#[tokio::test]
async fn one_address_has_no_more_links_than_allowed_and_gets_its_places_back() {
    let b = End::with(9, |setup| (setup.limits.links_per_ip, setup.limits.exempt_local) = (2, false));
    let (mut first, mut second, mut third) = (End::new(1), End::new(2), End::new(3));
    let mut links = Vec::new();
    for end in [&mut first, &mut second] {
        end.dial(&b, None);
        match end.news().await {
            News::Up(_, handle, _) => links.push(handle),
            other => panic!("{}", name(&other)),
        }
    }
    third.dial(&b, None);
    assert_eq!(third.dial_failed().await, DialError::Unreachable);
    assert_eq!(b.network.entrance.refusals().of(Refusal::TooManyLinks), 1);
    links.pop().expect("two").close(Refusal::Idle);
    assert!(matches!(second.news().await, News::Down(..)));
    // The listener hears of it a moment later.
    loop {
        third.dial(&b, None);
        match third.news().await {
            News::Up(..) => break,
            News::DialFailed(_, error) => assert_eq!(error, DialError::Unreachable),
            other => panic!("{}", name(&other)),
        }
    }
}

#[tokio::test]
async fn handshakes_come_no_faster_than_allowed() {
    let b = End::with(9, |setup| setup.limits.handshakes = Rate::new(1, 3));
    let mut linked = 0;
    for seed in 1..=6 {
        let mut end = End::new(seed);
        end.dial(&b, None);
        linked += usize::from(matches!(end.news().await, News::Up(..)));
    }
    assert!((3..=4).contains(&linked), "{linked}");
    assert!(b.network.entrance.refusals().of(Refusal::OverBudget) >= 2);
}

#[tokio::test]
async fn who_is_denied_by_address_or_by_key_is_refused_on_either_side() {
    let local: Who = "127.0.0.0/8".parse().expect("a subnet");
    let mut b = End::with(9, |setup| setup.deny = vec![identity(1).public().into()]);
    let mut a = End::new(1);
    a.dial(&b, None);
    assert_eq!(a.dial_failed().await, DialError::Refused(Refusal::Denied), "by its key, in the hello");
    assert_eq!(b.refused().await, Refusal::Denied);
    b.dial(&a, None);
    assert_eq!(b.dial_failed().await, DialError::Refused(Refusal::Denied), "not dialled either");
    let mut other = End::new(2);
    other.dial(&b, None);
    let _control = other.up().await; // A link that is let go of makes news of its end.
    let mut closed = End::with(8, |setup| setup.deny = vec![local]);
    other.dial(&closed, None);
    assert_eq!(other.dial_failed().await, DialError::Unreachable, "at the gate nothing is told");
    closed.dial(&other, None);
    assert_eq!(closed.dial_failed().await, DialError::Refused(Refusal::Denied));
    assert!(closed.network.entrance.refusals().of(Refusal::Denied) >= 1);
}

#[tokio::test]
async fn a_silent_host_times_out() {
    let silent = tokio::net::UdpSocket::bind("127.0.0.1:0").await.expect("loopback has a free port");
    let mut a = End::new(1);
    a.dial_address(silent.local_addr().expect("bound"), None);
    assert_eq!(a.dial_failed().await, DialError::TimedOut);
}

#[tokio::test]
async fn what_answers_but_is_no_peer_is_called_so() {
    let other = tokio::net::UdpSocket::bind("127.0.0.1:0").await.expect("loopback has a free port");
    let address = other.local_addr().expect("bound");
    let answering = tokio::spawn(async move {
        let mut buffer = [0; 2048];
        while let Ok((_, from)) = other.recv_from(&mut buffer).await {
            other.send_to(b"HTTP/1.1 400 Bad Request\r\n\r\n", from).await.expect("loopback");
        }
    });
    let mut a = End::new(1);
    a.dial_address(address, None);
    assert_eq!(a.dial_failed().await, DialError::NotAPeer);
    answering.abort();
}

#[tokio::test]
async fn another_family_is_unreachable_at_once() {
    let mut a = End::new(1);
    a.dial_address("[::1]:49610".parse().expect("an address"), None);
    assert_eq!(a.dial_failed().await, DialError::Unreachable);
}

#[tokio::test]
async fn a_queue_that_overflows_cuts_the_link_and_bulk_beyond_its_queue_is_dropped() {
    let (mut a, mut b) = (End::new(1), End::new(2));
    let (to_b, _to_a) = a.link(&mut b).await;
    let mut dropped = 0;
    for _ in 0..100 {
        dropped += usize::from(to_b.send(data(256 * 1024)) == Queued::Dropped);
    }
    assert!(dropped > 60, "{dropped}");
    let mut overflow = false;
    for number in 0..10_000 {
        overflow |= to_b.send(ping(number)) == Queued::Overflow;
    }
    assert!(overflow, "nothing else ran meanwhile");
    to_b.handle.cut(Refusal::OverBudget);
    assert_eq!(a.down().await, Refusal::OverBudget);
    assert_eq!(b.down().await, Refusal::OverBudget);
}

#[tokio::test]
async fn datagrams_and_links_share_the_socket() {
    let (mut a, mut b) = (End::new(1), End::new(2));
    let (to_b, _to_a) = a.link(&mut b).await;
    for number in 0..20u8 {
        a.network.socket.send_datagram(b.address().socket(), None, &[0x0c, number]).expect("loopback");
        assert_eq!(to_b.send(ping(u64::from(number))), Queued::Yes);
        let received = b.datagrams.recv().await.expect("the socket is open");
        assert_eq!((received.from, &received.bytes[..]), (a.address().socket(), &[0x0c, number][..]));
        assert_eq!(b.frame().await, ping(u64::from(number)));
    }
}

// --- The harness: an end of links without a node.

struct Setup {
    keys: SwarmKeys,
    overlay: OverlayKind,
    purpose: Purpose,
    member_ids: IdKind,
    expires: UnixTime,
    limits: Limits,
    deny: Vec<Who>,
}

struct End {
    me: Me,
    _identified: watch::Sender<Me>,
    network: Arc<Network>,
    news: mpsc::Receiver<News>,
    told: mpsc::Sender<News>,
    /// Long frames whose payloads are arriving.
    arriving: BTreeMap<BodyId, (Frame, Arc<Body>)>,
    datagrams: mpsc::Receiver<Received>,
    tasks: JoinSet<()>,
}

struct Link {
    up: LinkUp,
    handle: LinkHandle,
}

impl Link {
    fn send(&self, frame: Frame) -> Queued {
        match self.handle.queue(frame) {
            Queued::Yes => self.handle.flush(),
            lost @ (Queued::Dropped | Queued::Overflow) => lost,
        }
    }
}

fn identity(seed: u8) -> Identity {
    Identity::from_seed(&[seed; 32])
}

fn data(size: usize) -> Frame {
    let origin = Origin::of_address("127.0.0.1:5000".parse().expect("an address"));
    let fixed = Statement {
        version: Statement::VERSION,
        kind: Kind::Unicast,
        origin,
        target: Some(Hash::of("target")),
        number: 1,
        length: size as u64,
        made_at: UnixTime(0),
        boot: 0,
        authentication: cicada_wire::Authentication::None,
        digest: PayloadDigest::of(&vec![7; size]),
        about: None,
    };
    Frame::Data(Header { fixed: fixed.into(), hop: Mutable::default() }, Bytes::from(vec![7; size]))
}

fn ping(number: u64) -> Frame {
    Frame::Query(Ticket(number), Query::Find(Find { target: Hash::of("key"), count: 1, known: RecordNames::default() }))
}

fn name(news: &News) -> &'static str {
    match news {
        News::Up(..) => "up",
        News::Down(..) => "down",
        News::Frame(..) => "frame",
        News::Arriving { .. } => "arriving",
        News::Ended(..) => "ended",
        News::Streamed { .. } => "streamed",
        News::DialFailed(..) => "dial failed",
        News::Knock(..) => "knock",
        News::Refused(_) => "refused",
    }
}

async fn say_raw(connection: &Connection, hello: &[u8]) -> (SendStream, RecvStream) {
    let (mut send, recv) = connection.open_bi().await.expect("one stream is allowed");
    let length = u32::try_from(hello.len()).expect("short").to_be_bytes();
    send.write_all(&[&length, hello].concat()).await.expect("short");
    (send, recv)
}

async fn read_reply(recv: &mut RecvStream) -> HelloReply {
    let mut length = [0; 4];
    recv.read_exact(&mut length).await.expect("a length");
    let mut bytes = vec![0; u32::from_be_bytes(length) as usize];
    recv.read_exact(&mut bytes).await.expect("a reply");
    HelloReply::parse(&bytes).expect("a reply")
}

impl End {
    fn new(seed: u8) -> Self {
        Self::with(seed, |_| ())
    }

    fn with(seed: u8, change: impl FnOnce(&mut Setup)) -> Self {
        let mut setup = Setup {
            keys: SwarmKeys::new("test", None).expect("no secret"),
            overlay: OverlayKind::Ring,
            purpose: Purpose::Swarm,
            member_ids: IdKind::Address,
            expires: UnixTime(wall_time().0 + 60_000),
            limits: Limits::default(),
            deny: Vec::new(),
        };
        change(&mut setup);
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").expect("loopback has a free port");
        let local = socket.local_addr().expect("bound");
        let record = Record {
            key: identity(seed).public(),
            kind: setup.member_ids,
            role: Role::Member,
            addresses: vec![Address::new(local).expect("loopback")],
            capabilities: Capabilities::default(),
            sequence: 1,
            expires: setup.expires,
            data: None,
        };
        let me = Me { record: SignedRecord::sign(record, &identity(seed)).expect("consistent"), boot: u64::from(seed), credential: None };
        let (socket, datagrams, _) = SharedSocket::new(socket).expect("a fresh socket");
        let (news_in, news) = mpsc::channel(4096);
        let terms = Terms {
            datagrams: setup.keys.datagrams(setup.overlay, setup.purpose, setup.member_ids),
            keys: setup.keys,
            overlay: setup.overlay,
            purpose: setup.purpose,
            member_ids: setup.member_ids,
            capabilities: Capabilities::default(),
        };
        let entrance = Entrance::new(setup.limits, AccessList::new(Vec::new(), setup.deny));
        let (identified, me_now) = watch::channel(me.clone());
        let network = Network::open(Parts {
            identity: &identity(seed),
            socket,
            local,
            terms,
            me: me_now,
            news: news_in.clone(),
            hooks: None,
            frame_bytes: 300 * 1024,
            entrance: Arc::clone(&entrance),
            half_open: 64,
        });
        let network = Arc::new(network.expect("everything is there"));
        let mut tasks = JoinSet::new();
        tasks.spawn(Network::accept(network.endpoint.clone(), entrance, news_in));
        let (told_in, told) = mpsc::channel(4096);
        tasks.spawn(answer_knocks(Arc::clone(&network), news, told_in.clone()));
        Self { me, _identified: identified, network, news: told, told: told_in, arriving: BTreeMap::new(), datagrams, tasks }
    }

    fn address(&self) -> Address {
        self.me.record.announced().expect("a member")
    }

    fn dial(&mut self, to: &Self, expected: Option<PublicKey>) {
        self.dial_address(to.address().socket(), expected);
    }

    fn dial_address(&mut self, to: SocketAddr, expected: Option<PublicKey>) {
        let to = Address::new(to).expect("an address of the test");
        self.tasks.spawn(Arc::clone(&self.network).dial(DialId(7), to, expected));
    }

    async fn news(&mut self) -> News {
        self.news.recv().await.expect("the network holds a sender")
    }

    /// The next frame that is whole.
    async fn frame(&mut self) -> Frame {
        loop {
            match self.news().await {
                News::Frame(_, frame) => return frame,
                News::Arriving { head, number, body, .. } => {
                    body.collect();
                    self.arriving.insert(number, (head, body));
                }
                News::Ended(number, true) => {
                    let (head, body) = self.arriving.remove(&number).expect("its head came first");
                    return head.with_payload(body.whole().expect("collected"));
                }
                other => panic!("{}", name(&other)),
            }
        }
    }

    async fn up(&mut self) -> Link {
        match self.news().await {
            News::Up(up, handle, reader) => {
                self.tasks.spawn(read(up.link, reader, self.told.clone()));
                Link { up, handle }
            }
            other => panic!("{}", name(&other)),
        }
    }

    async fn dial_failed(&mut self) -> DialError {
        match self.news().await {
            News::DialFailed(DialId(7), error) => error,
            other => panic!("{}", name(&other)),
        }
    }

    async fn refused(&mut self) -> Refusal {
        match self.news().await {
            News::Refused(refusal) => refusal,
            other => panic!("{}", name(&other)),
        }
    }

    /// The end of the link; frames before it are passed over.
    async fn down(&mut self) -> Refusal {
        loop {
            match self.news().await {
                News::Down(_, refusal) => return refusal,
                News::Frame(..) | News::Arriving { .. } | News::Ended(..) => {}
                other => panic!("{}", name(&other)),
            }
        }
    }

    async fn link(&mut self, to: &mut Self) -> (Link, Link) {
        self.dial(to, None);
        let link = self.up().await;
        (link, to.up().await)
    }

    /// A connection without a hello.
    async fn connect(&self, to: &Self) -> Connection {
        let connecting = self.network.endpoint.connect(to.address().socket(), "cicada").expect("an address");
        connecting.await.expect("any key is accepted")
    }

    async fn raw(&self, to: &Self, hello: &[u8]) -> (Connection, SendStream, RecvStream) {
        let connection = self.connect(to).await;
        let (send, recv) = say_raw(&connection, hello).await;
        (connection, send, recv)
    }

    /// What this end says on no connection in particular: its proof is worth nothing.
    fn hello(&self) -> Hello {
        Hello {
            version: HELLO_VERSION,
            swarm: self.network.terms.keys.tag(),
            overlay: self.network.terms.overlay,
            purpose: self.network.terms.purpose,
            member_ids: self.network.terms.member_ids,
            proof: [0; 32],
            capabilities: Capabilities::default(),
            record: self.me.record.clone(),
            boot: self.me.boot,
        }
    }

    fn hello_on(&self, connection: &Connection, listener: PublicKey) -> Hello {
        let mut exporter = [0; 32];
        connection.export_keying_material(&mut exporter, b"EXPORTER-Channel-Binding", &[]).expect("a connection that stands");
        let proof = self.network.terms.keys.link_proof(&exporter, LinkSide::Dialler, &self.me.key(), &listener);
        Hello { proof, ..self.hello() }
    }
}

/// Reads control frames, as the task that owns a node does.
async fn read(link: LinkId, mut reader: Reader, told: mpsc::Sender<News>) {
    while let Some(frame) = std::future::poll_fn(|cx| reader.poll_next(cx)).await {
        // The test may have ended.
        let _ = told.send(News::Frame(link, frame)).await;
    }
}

async fn answer_knocks(network: Arc<Network>, mut news: mpsc::Receiver<News>, told: mpsc::Sender<News>) {
    let mut listening = JoinSet::new();
    while let Some(news) = news.recv().await {
        match news {
            News::Knock(incoming, passage) => {
                listening.spawn(Arc::clone(&network).listen(incoming, passage));
            }
            news => {
                // The test may have ended.
                let _ = told.send(news).await;
            }
        }
    }
}
