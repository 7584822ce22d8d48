//! A program written for the published crate: peers that broadcast and send what they are told to on standard input, and tell on
//! standard output what they receive. `crate_peer.rs` and `cicada_peer.rs` compile this same file, once for the crate and once
//! for ours; the `use` lines of theirs are all that differs.
//!
//! Commands, one a line, `P` the number of a peer of this process:
//!
//!     broadcast P SIZE SEED [HEIGHT]     send P ADDRESS SIZE SEED     block P ADDRESS     table P     alive P AMOUNT     cpu     quit
//!
//! Payloads are made of SIZE and SEED, see [`payload`].

use crate::kadcast::config::Config;
use crate::kadcast::{MessageInfo, NetworkListen, Peer};
use crate::payload::payload;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::io::Write;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};
use tokio::io::{AsyncBufReadExt, BufReader};

type Error = Box<dyn std::error::Error>;

/// What a peer has counted, if its library counts.
pub(crate) trait Figures {
    async fn of(&self, peer: &Peer) -> Value;
}

/// What the command line says.
struct Arguments {
    addresses: Vec<String>,
    bootstrap: Vec<String>,
    network: Option<u8>,
    /// Settings by their path and value, `fec.encoder.fec_redundancy=0.3`.
    settings: Vec<String>,
    /// Whether payloads are digested when they come. It costs time that a measurement of the library should not contain.
    digests: bool,
}

pub(crate) fn main(figures: &impl Figures) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("the system gives threads");
    match runtime.block_on(run(figures)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(figures: &impl Figures) -> Result<(), Error> {
    let arguments = Arguments::read()?;
    let mut peers = Vec::new();
    for (number, address) in arguments.addresses.iter().enumerate() {
        let listener = Listener { number, digests: arguments.digests };
        peers.push(Peer::new(arguments.config(address)?, listener)?);
        tell(&json!({"event": "up", "peer": number, "address": address}));
    }
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    while let Some(line) = lines.next_line().await? {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            ["quit"] => break,
            ["cpu"] => tell(&json!({"event": "cpu", "ms": cpu_ms()?, "kib": resident_kib()?})),
            ["figures", number] => {
                let figures = figures.of(&peers[number.parse::<usize>()?]).await;
                tell(&json!({"event": "figures", "peer": number.parse::<usize>()?, "figures": figures}));
            }
            [command, number, rest @ ..] => {
                let number = number.parse::<usize>()?;
                let peer = peers.get(number).ok_or("there is no such peer")?;
                perform(command, number, peer, rest).await?;
            }
            _ => return Err(format!("not a command: {line}").into()),
        }
    }
    Ok(())
}

async fn perform(command: &str, number: usize, peer: &Peer, rest: &[&str]) -> Result<(), Error> {
    match (command, rest) {
        ("broadcast", [size, seed, height @ ..]) => {
            let payload = payload(size.parse()?, seed.parse()?);
            let height = height.first().map(|height| height.parse()).transpose()?;
            tell_sent(number, &payload);
            peer.broadcast(&payload, height).await;
        }
        ("send", [to, size, seed]) => {
            let payload = payload(size.parse()?, seed.parse()?);
            tell_sent(number, &payload);
            peer.send(&payload, to.parse()?).await;
        }
        ("block", [who]) => peer.block_source(who.parse()?).await,
        ("table", []) => {
            let table = peer.to_route_table().await;
            let entries: Vec<Value> = table
                .iter()
                .map(|(bucket, peers)| json!([bucket, peers.iter().map(|(at, _)| at.to_string()).collect::<Vec<_>>()]))
                .collect();
            tell(&json!({"event": "table", "peer": number, "buckets": entries}));
        }
        ("alive", [amount]) => {
            let alive: Vec<String> = peer.alive_nodes(amount.parse()?).await.iter().map(SocketAddr::to_string).collect();
            tell(&json!({"event": "alive", "peer": number, "peers": alive}));
        }
        _ => return Err(format!("not a command: {command}").into()),
    }
    Ok(())
}

impl Arguments {
    fn read() -> Result<Self, Error> {
        let mut arguments = Self { addresses: Vec::new(), bootstrap: Vec::new(), network: None, settings: Vec::new(), digests: true };
        let mut words = std::env::args().skip(1);
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or(format!("{word} wants a value"));
            match word.as_str() {
                "--bootstrap" => arguments.bootstrap = value()?.split(',').map(str::to_owned).collect(),
                "--network-id" => arguments.network = Some(value()?.parse()?),
                "--set" => arguments.settings.push(value()?),
                "--no-digests" => arguments.digests = false,
                address => arguments.addresses.push(address.parse::<SocketAddr>()?.to_string()),
            }
        }
        Ok(arguments)
    }

    /// The configuration of a peer. Some settings can only be had by deserialising, so all of them are made that way.
    fn config(&self, address: &str) -> Result<Config, Error> {
        let config = Config {
            public_address: address.to_owned(),
            bootstrapping_nodes: self.bootstrap.clone(),
            kadcast_id: self.network,
            ..Config::default()
        };
        let mut table = toml::Table::try_from(config)?;
        for setting in &self.settings {
            let (path, value) = setting.split_once('=').ok_or("--set wants PATH=VALUE")?;
            set(&mut table, path, value)?;
        }
        Ok(table.try_into()?)
    }
}

fn set(table: &mut toml::Table, path: &str, value: &str) -> Result<(), Error> {
    match path.split_once('.') {
        Some((first, rest)) => {
            let below = table.get_mut(first).and_then(toml::Value::as_table_mut).ok_or(format!("there is no {first}"))?;
            set(below, rest, value)
        }
        None => {
            let document: toml::Table = format!("value = {value}").parse()?;
            table.insert(path.to_owned(), document["value"].clone());
            Ok(())
        }
    }
}

/// Tells of what came.
struct Listener {
    number: usize,
    digests: bool,
}

impl NetworkListen for Listener {
    fn on_message(&self, message: Vec<u8>, about: MessageInfo) {
        let digest = if self.digests { hex(&Sha256::digest(&message)) } else { String::new() };
        tell(&json!({
            "event": "recv",
            "peer": self.number,
            "src": about.src().to_string(),
            "height": about.height(),
            "ray": hex(about.ray_id()),
            "len": message.len(),
            "tag": tag(&message),
            "sha256": digest,
            "ms": now_ms(),
        }));
    }
}

fn tell_sent(number: usize, payload: &[u8]) {
    tell(&json!({
        "event": "sent",
        "peer": number,
        "len": payload.len(),
        "tag": tag(payload),
        "sha256": hex(&Sha256::digest(payload)),
        "ms": now_ms(),
    }));
}

/// What tells payloads of one network apart: their first bytes.
fn tag(payload: &[u8]) -> String {
    hex(&payload[..payload.len().min(8)])
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn tell(event: &Value) {
    // Whoever does not listen any more has ended this process's work.
    if writeln!(std::io::stdout().lock(), "{event}").is_err() {
        std::process::exit(1);
    }
}

/// Milliseconds of the wall clock, which all processes of a machine share.
fn now_ms() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64() * 1000.0
}

/// CPU time of this process, user and system.
fn cpu_ms() -> Result<u64, Error> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    // The name of the program, in parentheses, may contain anything; after it come state and numbers (proc(5)).
    let numbers: Vec<&str> = stat.rsplit_once(')').ok_or("no parenthesis")?.1.split_whitespace().collect();
    let ticks = numbers[11].parse::<u64>()? + numbers[12].parse::<u64>()?;
    // A tick is 10 ms on every Linux that there is (USER_HZ).
    Ok(ticks * 10)
}

fn resident_kib() -> Result<u64, Error> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS")?;
    Ok(line.split_whitespace().next().ok_or("no number")?.parse()?)
}
