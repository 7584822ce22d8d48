//! `cicada kadcast`: a peer of a Kadcast network that prints what it receives.

use std::io::{Read as _, Write as _};
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use cicada::kadcast::{Config, Event, MessageInfo, NetworkListen, Peer, PeerError};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::sync::broadcast::error::RecvError;
use tokio::time::sleep;

use crate::failure::Failure;
use crate::interrupt::Interrupt;
use crate::output;
use crate::settings::kadcast::Kadcast;

/// Checks all that can be checked, then starts the peer, broadcasts if that is wished for, and stays as long as it is to.
pub(crate) async fn perform(flags: &Kadcast, as_json: bool) -> Result<(), Failure> {
    let config = config(flags)?;
    let message = flags.broadcast.as_deref().map(read_message).transpose()?;
    let mut interrupt = Interrupt::new()?;
    let peer = Peer::new(config, Printer { as_json }).map_err(refused)?;
    let ended = live(&peer, flags, message.as_deref(), as_json, &mut interrupt).await;
    if ended.is_ok() {
        print_table(&peer, as_json).await?;
    }
    peer.shutdown().await;
    ended
}

/// All that happens between starting and ending.
async fn live(peer: &Peer, flags: &Kadcast, message: Option<&[u8]>, as_json: bool, interrupt: &mut Interrupt) -> Result<(), Failure> {
    let (address, local) = (peer.public_address(), peer.local_address());
    tracing::info!(%address, %local, "listening");
    if as_json {
        output::line(&json!({"event": "listening", "address": address.to_string(), "local": local.to_string()}).to_string())?;
    }
    let _metrics = match flags.metrics {
        None => None,
        Some(place) => {
            let server = peer.serve_metrics(place).await.map_err(|error| Failure::failed(format!("--metrics {place}: {error}")))?;
            let place = server.local_addr();
            output::either(
                as_json,
                &json!({"event": "metrics", "address": place.to_string()}),
                &format!("figures at http://{place}/metrics"),
            )?;
            Some(server)
        }
    };
    let broadcasting = async {
        if let Some(message) = message {
            broadcast(peer, flags, message, as_json).await?;
        }
        std::future::pending::<Result<(), Failure>>().await
    };
    let end = async {
        match flags.run {
            Some(time) => sleep(time).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        failed = broadcasting => failed,
        () = end => Ok(()),
        () = interrupt.asked() => Ok(()),
    }
}

async fn broadcast(peer: &Peer, flags: &Kadcast, message: &[u8], as_json: bool) -> Result<(), Failure> {
    match flags.after {
        Some(time) => sleep(time).await,
        None => wait_for_a_peer(peer).await,
    }
    for number in 1..=flags.count {
        let mut message = message.to_vec();
        if number > 1 {
            message.extend_from_slice(format!(" {number}").as_bytes());
        }
        let (length, digest) = (message.len(), output::hex(&Sha256::digest(&message)));
        let sent = peer.try_broadcast(message, None).await;
        let targets = sent.map_err(|error| Failure::failed(format!("--broadcast: {error}")))?;
        let object = json!({"event": "sent", "len": length, "sha256": digest, "targets": targets, "ms": now_ms()});
        output::either(as_json, &object, &format!("broadcast {number} of {}: {length} bytes to {targets} peers directly", flags.count))?;
    }
    Ok(())
}

async fn wait_for_a_peer(peer: &Peer) {
    let mut events = peer.events();
    while peer.table().await.is_empty() {
        match events.recv().await {
            Ok(_) | Err(RecvError::Lagged(_)) => {}
            // It has ended, and so has the waiting.
            Err(RecvError::Closed) => return,
        }
    }
    // Whoever is asked first tells of the others in its answer; what is sent before that goes to one peer alone.
    while let Ok(Ok(Event::PeerAdded(_))) = tokio::time::timeout(QUIET, events.recv()).await {}
}

async fn print_table(peer: &Peer, as_json: bool) -> Result<(), Failure> {
    let table = peer.table().await;
    if as_json {
        let peers = table.values().map(Vec::len).sum::<usize>();
        let row = |(bucket, peers): (&u8, &Vec<cicada::kadcast::Contact>)| {
            let peers: Vec<Value> = peers
                .iter()
                .map(|peer| json!({"address": peer.address.to_string(), "version": peer.version.to_string(), "alive": peer.alive}))
                .collect();
            json!({"bucket": bucket, "peers": peers})
        };
        let buckets: Vec<Value> = table.iter().map(row).collect();
        output::line(&json!({"event": "table", "peers": peers, "buckets": buckets}).to_string())?;
        return Ok(());
    }
    for (bucket, peers) in &table {
        let peers: Vec<String> = peers.iter().map(|peer| peer.address.to_string()).collect();
        output::line(&format!("bucket {bucket}: {}", peers.join(" ")))?;
    }
    Ok(())
}

/// The configuration that the file has, and what the flags say of it.
fn config(flags: &Kadcast) -> Result<Config, Failure> {
    if flags.public.is_none() && flags.kadcast_config.is_none() {
        return Err(Failure::refused("a peer needs an address that others reach it by: --public IP:PORT, or --kadcast-config"));
    }
    let mut config = flags.kadcast_config.as_deref().map_or_else(|| Ok(Config::default()), read_config)?;
    if let Some(public) = &flags.public {
        config.public_address = public.clone();
    }
    if flags.listen.is_some() {
        config.listen_address.clone_from(&flags.listen);
    }
    if !flags.bootstrap.is_empty() {
        config.bootstrapping_nodes.clone_from(&flags.bootstrap);
    }
    if flags.network_id.is_some() {
        config.kadcast_id = flags.network_id;
    }
    if let Some(beta) = flags.beta {
        config.cicada.beta = beta;
    }
    if let Some(fec) = flags.fec {
        config.fec.encoder.fec_redundancy = fec;
        config.cicada.loss = 0.0;
    }
    config.check().map_err(refused)?;
    Ok(config)
}

/// Reads a configuration; a key that it does not know is a slip of the pen.
fn read_config(path: &Path) -> Result<Config, Failure> {
    let wrong = |what: String| Failure::refused(format!("{}: {what}", path.display()));
    let text = std::fs::read_to_string(path).map_err(|error| wrong(error.to_string()))?;
    let table: toml::Table = text.parse().map_err(|error: toml::de::Error| wrong(error.message().to_owned()))?;
    let everything = Config {
        kadcast_id: Some(0),
        listen_address: Some(String::new()),
        network: cicada::kadcast::config::NetworkConfig { udp_send_backoff_timeout: Some(Duration::ZERO), ..Default::default() },
        ..Config::default()
    };
    let known = toml::Table::try_from(everything).map_err(|error| wrong(error.to_string()))?;
    if let Some(key) = unknown_key(&table, &known, "") {
        return Err(wrong(format!("unknown key `{key}`")));
    }
    table.try_into().map_err(|error: toml::de::Error| wrong(error.message().to_owned()))
}

fn unknown_key(table: &toml::Table, known: &toml::Table, path: &str) -> Option<String> {
    table.iter().find_map(|(key, value)| {
        let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
        match (value, known.get(key)) {
            (_, None) => Some(path),
            (toml::Value::Table(below), Some(toml::Value::Table(known))) => unknown_key(below, known, &path),
            (_, Some(_)) => None,
        }
    })
}

fn read_message(path: &Path) -> Result<Vec<u8>, Failure> {
    let mut message = Vec::new();
    let read = if path == Path::new("-") {
        std::io::stdin().lock().take(LONGEST).read_to_end(&mut message)
    } else {
        std::fs::File::open(path).and_then(|file| file.take(LONGEST).read_to_end(&mut message))
    };
    read.map_err(|error| Failure::refused(format!("--broadcast {}: {error}", path.display())))?;
    if message.is_empty() {
        return Err(Failure::refused(format!("--broadcast {}: the message is empty, which Kadcast cannot say", path.display())));
    }
    Ok(message)
}

/// What is wrong with the settings was refused before anything was started; what the system does not give has failed.
fn refused(error: PeerError) -> Failure {
    match error {
        PeerError::Config { field, why } => Failure::refused(match flag_of(field) {
            Some(flag) => format!("{flag}: {why}"),
            None => format!("{field}: {why}"),
        }),
        other => Failure::failed(other.to_string()),
    }
}

/// The flag that sets a field.
fn flag_of(field: &str) -> Option<&'static str> {
    match field {
        "public_address" => Some("--public"),
        "listen_address" => Some("--listen"),
        "bootstrapping_nodes" => Some("--bootstrap"),
        "cicada.beta" => Some("--beta"),
        "fec.encoder.fec_redundancy" => Some("--fec"),
        _ => None,
    }
}

/// Prints what comes.
struct Printer {
    as_json: bool,
}

impl NetworkListen for Printer {
    fn on_message(&self, message: Vec<u8>, about: MessageInfo) {
        let printed = if self.as_json {
            let object = json!({
                "event": "recv",
                "src": about.src().to_string(),
                "height": about.height(),
                "ray": output::hex(about.ray_id()),
                "len": message.len(),
                "sha256": output::hex(&Sha256::digest(&message)),
                "ms": now_ms(),
            });
            output::line(&object.to_string())
        } else {
            let (shown, rest) = message.split_at(message.len().min(SHOWN_BYTES));
            let cut = if rest.is_empty() { "" } else { " .." };
            output::line(&format!("{} ({} bytes): {}{cut}", about.src(), message.len(), output::printable(shown)))
        };
        if let Err(error) = printed {
            // There is nobody to tell on standard output.
            let _ = writeln!(std::io::stderr(), "error: {error}");
            std::process::exit(1);
        }
    }
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// When no peer was added for so long, those that can be had at once are there.
const QUIET: Duration = Duration::from_millis(300); // guess

/// Of a message that is printed as text.
const SHOWN_BYTES: usize = 1000;

/// One more than the longest message, which the peer refuses with its own words.
const LONGEST: u64 = 10 << 20;
