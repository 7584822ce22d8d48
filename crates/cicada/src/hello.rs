//! The first words on a link: each end says who it is and which swarm it belongs to, and proves it.
//!
//! The dialler speaks first. The listener reveals nothing of itself before the dialler has proven the swarm's secret.

use crate::{entrance::Entrance, start::wall_time, tls};
use cicada_proto::{DialError, Me};
use cicada_wire::{
    Capabilities, DatagramKey, HELLO_VERSION, Hello, HelloReply, IdKind, LinkSide, OverlayKind, PublicKey, Purpose, Refusal, Role,
    SwarmKeys,
};
use quinn::{Connection, ConnectionError, ReadExactError, RecvStream, SendStream, TransportErrorCode, VarInt};
use std::time::Duration;
use tokio::time::timeout;

/// What an end expects of the other.
#[derive(Clone)]
pub(crate) struct Terms {
    pub(crate) keys: SwarmKeys,
    pub(crate) datagrams: DatagramKey,
    pub(crate) overlay: OverlayKind,
    pub(crate) purpose: Purpose,
    pub(crate) member_ids: IdKind,
    pub(crate) capabilities: Capabilities,
}

/// A link whose ends have accepted each other.
pub(crate) struct Greeted {
    pub(crate) hello: Hello,
    pub(crate) send: SendStream,
    pub(crate) recv: RecvStream,
}

/// One connection as both proofs need it.
struct Binding {
    exporter: [u8; 32],
    ours: PublicKey,
    theirs: PublicKey,
    side: LinkSide,
}

impl Binding {
    /// Fails when the other end has proven no key.
    fn of(connection: &Connection, me: &Me, side: LinkSide) -> Result<Self, Refusal> {
        let theirs = tls::proven_key(connection).ok_or(Refusal::Malformed)?;
        let mut exporter = [0; 32];
        connection.export_keying_material(&mut exporter, EXPORTER_LABEL, &[]).map_err(|_| Refusal::Malformed)?;
        Ok(Self { exporter, ours: me.key(), theirs, side })
    }

    fn ends(&self) -> (&PublicKey, &PublicKey) {
        match self.side {
            LinkSide::Dialler => (&self.ours, &self.theirs),
            LinkSide::Listener => (&self.theirs, &self.ours),
        }
    }

    fn our_hello(&self, me: &Me, terms: &Terms) -> Hello {
        let (dialler, listener) = self.ends();
        Hello {
            version: HELLO_VERSION,
            swarm: terms.keys.tag(),
            overlay: terms.overlay,
            purpose: terms.purpose,
            member_ids: terms.member_ids,
            proof: terms.keys.link_proof(&self.exporter, self.side, dialler, listener),
            capabilities: terms.capabilities,
            record: me.record.clone(),
            boot: me.boot,
        }
    }

    /// In the order in which an outsider may learn of it: what the swarm is like, only after the proof of its secret.
    fn check(&self, hello: &Hello, terms: &Terms) -> Result<(), Refusal> {
        let (dialler, listener) = self.ends();
        if hello.version != HELLO_VERSION {
            return Err(Refusal::Version);
        }
        if hello.swarm != terms.keys.tag() {
            return Err(Refusal::OtherSwarm);
        }
        if !terms.keys.check_link_proof(&hello.proof, &self.exporter, self.side.other(), dialler, listener) {
            return Err(Refusal::OtherSecret);
        }
        if hello.overlay != terms.overlay || hello.purpose != terms.purpose {
            return Err(Refusal::OtherOverlay);
        }
        if hello.member_ids != terms.member_ids {
            return Err(Refusal::OtherIdKind);
        }
        self.check_record(hello, terms)
    }

    fn check_record(&self, hello: &Hello, terms: &Terms) -> Result<(), Refusal> {
        let record = &hello.record;
        if record.record().role == Role::Member && record.peer_id().kind != terms.member_ids {
            return Err(Refusal::OtherIdKind);
        }
        if record.key() != self.theirs || !record.verify() {
            return Err(Refusal::InvalidRecord);
        }
        if !record.is_current(wall_time()) {
            return Err(Refusal::ExpiredRecord);
        }
        Ok(())
    }
}

/// The dialler's part. On failure the connection is closed, and the other end told why.
pub(crate) async fn dial(
    connection: &Connection,
    expected: Option<PublicKey>,
    me: &Me,
    terms: &Terms,
    entrance: &Entrance,
) -> Result<Greeted, DialError> {
    let binding = Binding::of(connection, me, LinkSide::Dialler).map_err(|_| DialError::NotAPeer)?;
    let refusal = if binding.theirs == binding.ours {
        Some(Refusal::SelfDial)
    } else if expected.is_some_and(|expected| expected != binding.theirs) {
        Some(Refusal::OtherKey)
    } else {
        entrance.check_key(connection.remote_address().ip(), binding.theirs).err()
    };
    if let Some(refusal) = refusal {
        close(connection, refusal);
        return Err(DialError::Refused(refusal));
    }
    let talk = async {
        let (mut send, mut recv) = connection.open_bi().await.map_err(Broken::Connection)?;
        say(&mut send, &binding.our_hello(me, terms).to_bytes()).await?;
        let reply = hear(&mut recv, Hello::MAX_BYTES + 8).await?;
        Ok::<_, Broken>((send, recv, reply))
    };
    let (send, recv, reply) = match timeout(HELLO_TIMEOUT, talk).await {
        Ok(Ok(talked)) => talked,
        Ok(Err(broken)) => {
            close(connection, Refusal::Malformed);
            return Err(broken.of_dial(connection));
        }
        Err(_) => {
            close(connection, Refusal::Silent);
            return Err(DialError::TimedOut);
        }
    };
    let checked = match HelloReply::parse(&reply) {
        Ok(HelloReply::Welcome(hello)) => binding.check(&hello, terms).map(|()| hello),
        Ok(HelloReply::Refused(refusal)) => Err(refusal),
        Err(_) => {
            close(connection, Refusal::Malformed);
            return Err(DialError::NotAPeer);
        }
    };
    match checked {
        Ok(hello) => Ok(Greeted { hello, send, recv }),
        Err(refusal) => {
            close(connection, refusal);
            Err(DialError::Refused(refusal))
        }
    }
}

/// The listener's part. On failure the connection is closed, and the other end told why.
pub(crate) async fn listen(connection: &Connection, me: &Me, terms: &Terms, entrance: &Entrance) -> Result<Greeted, Refusal> {
    let heard = timeout(HELLO_TIMEOUT, async {
        let (send, mut recv) = connection.accept_bi().await.map_err(Broken::Connection)?;
        let bytes = hear(&mut recv, Hello::MAX_BYTES).await?;
        Ok::<_, Broken>((send, recv, bytes))
    });
    let (mut send, recv, bytes) = match heard.await {
        Ok(Ok(heard)) => heard,
        Ok(Err(broken)) => {
            let refusal = broken.of_listener();
            close(connection, refusal);
            return Err(refusal);
        }
        Err(_) => {
            close(connection, Refusal::Silent);
            return Err(Refusal::Silent);
        }
    };
    let binding = Binding::of(connection, me, LinkSide::Listener).inspect_err(|refusal| close(connection, *refusal))?;
    if let Err(denied) = entrance.check_key(connection.remote_address().ip(), binding.theirs) {
        refuse(connection, &mut send, denied).await;
        return Err(denied);
    }
    let checked = match Hello::parse(&bytes) {
        Ok(hello) if binding.theirs == binding.ours => Err((Refusal::SelfDial, hello)),
        Ok(hello) => binding.check(&hello, terms).map_err(|refusal| (refusal, hello.clone())).map(|()| hello),
        Err(error) => {
            refuse(connection, &mut send, error.refusal).await;
            return Err(error.refusal);
        }
    };
    match checked {
        Ok(hello) => {
            let welcome = HelloReply::Welcome(binding.our_hello(me, terms));
            match say(&mut send, &welcome.to_bytes()).await {
                Ok(()) => Ok(Greeted { hello, send, recv }),
                Err(broken) => Err(broken.of_listener()),
            }
        }
        Err((refusal, hello)) => {
            tracing::debug!(remote = %connection.remote_address(), peer = ?hello.record, %refusal, "hello refused");
            refuse(connection, &mut send, refusal).await;
            Err(refusal)
        }
    }
}

/// Tells the dialler why not, gives it a moment to read it, and closes.
async fn refuse(connection: &Connection, send: &mut SendStream, refusal: Refusal) {
    let said = say(send, &HelloReply::Refused(refusal).to_bytes()).await;
    if said.is_ok() && send.finish().is_ok() {
        // Whether it was read in time matters to nobody: the code of the close says the same.
        let _ = timeout(FAREWELL, send.stopped()).await;
    }
    close(connection, refusal);
}

/// Closes a connection, with the refusal's number as code and its text as reason.
pub(crate) fn close(connection: &Connection, refusal: Refusal) {
    connection.close(VarInt::from_u32(u32::from(refusal.number())), refusal.to_string().as_bytes());
}

/// Why a connection ended, as a refusal.
pub(crate) fn reason(error: &ConnectionError) -> Refusal {
    match error {
        ConnectionError::ApplicationClosed(closed) => match u16::try_from(closed.error_code.into_inner()) {
            // quinn's code for an end that just went away.
            Ok(0) | Err(_) => Refusal::Silent,
            Ok(number) => Refusal::from_number(number),
        },
        ConnectionError::TimedOut | ConnectionError::Reset => Refusal::Silent,
        ConnectionError::LocallyClosed => Refusal::Closing,
        ConnectionError::VersionMismatch
        | ConnectionError::TransportError(_)
        | ConnectionError::ConnectionClosed(_)
        | ConnectionError::CidsExhausted => Refusal::Malformed,
    }
}

/// Why the talk broke off.
enum Broken {
    Connection(ConnectionError),
    Ended,
    TooLong,
}

impl Broken {
    fn of_dial(self, connection: &Connection) -> DialError {
        match self {
            Self::Connection(error) => dial_error(&error),
            Self::Ended | Self::TooLong => connection
                .close_reason()
                .filter(|error| *error != ConnectionError::LocallyClosed)
                .map_or(DialError::NotAPeer, |error| dial_error(&error)),
        }
    }

    fn of_listener(self) -> Refusal {
        match self {
            Self::Connection(error) => reason(&error),
            Self::Ended => Refusal::Malformed,
            Self::TooLong => Refusal::TooLarge,
        }
    }
}

/// Why a dial came to nothing.
pub(crate) fn dial_error(error: &ConnectionError) -> DialError {
    match error {
        ConnectionError::ApplicationClosed(_) => DialError::Refused(reason(error)),
        ConnectionError::TimedOut | ConnectionError::Reset => DialError::TimedOut,
        ConnectionError::LocallyClosed => DialError::Refused(Refusal::Closing),
        // It speaks QUIC, and does not want to (now): a peer that is closing, or one with too many at its door.
        ConnectionError::ConnectionClosed(closed) if NOT_NOW.contains(&closed.error_code) => DialError::Unreachable,
        ConnectionError::VersionMismatch
        | ConnectionError::TransportError(_)
        | ConnectionError::ConnectionClosed(_)
        | ConnectionError::CidsExhausted => DialError::NotAPeer,
    }
}

async fn say(send: &mut SendStream, bytes: &[u8]) -> Result<(), Broken> {
    // A hello is bounded far below 2^32.
    let length = (bytes.len() as u32).to_be_bytes();
    let written = send.write_all(&[&length, bytes].concat()).await;
    written.map_err(|error| match error {
        quinn::WriteError::ConnectionLost(error) => Broken::Connection(error),
        quinn::WriteError::Stopped(_) | quinn::WriteError::ClosedStream | quinn::WriteError::ZeroRttRejected => Broken::Ended,
    })
}

async fn hear(recv: &mut RecvStream, limit: usize) -> Result<Vec<u8>, Broken> {
    let mut length = [0; 4];
    recv.read_exact(&mut length).await.map_err(broken_read)?;
    let length = u32::from_be_bytes(length) as usize;
    if length > limit {
        return Err(Broken::TooLong);
    }
    let mut bytes = vec![0; length];
    recv.read_exact(&mut bytes).await.map_err(broken_read)?;
    Ok(bytes)
}

fn broken_read(error: ReadExactError) -> Broken {
    match error {
        ReadExactError::ReadError(quinn::ReadError::ConnectionLost(error)) => Broken::Connection(error),
        ReadExactError::FinishedEarly(_) | ReadExactError::ReadError(_) => Broken::Ended,
    }
}

/// How an end that closes while the handshake is under way says so (RFC 9000, sections 10.2.3 and 20.1).
const NOT_NOW: [TransportErrorCode; 2] = [TransportErrorCode::CONNECTION_REFUSED, TransportErrorCode::APPLICATION_ERROR];

/// RFC 9266, section 2.
const EXPORTER_LABEL: &[u8] = b"EXPORTER-Channel-Binding";

/// How long an end may be silent before its hello.
const HELLO_TIMEOUT: Duration = Duration::from_secs(5); // guess

/// How long a refused dialler may take to read why.
const FAREWELL: Duration = Duration::from_secs(1); // guess
