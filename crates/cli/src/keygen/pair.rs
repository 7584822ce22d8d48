//! `cicada keygen --pair A B`: two key files, one the mirror of the other.

use std::net::IpAddr;
use std::path::Path;
use std::str::FromStr;

use cicada::{Address, Hash, TrustedKeys};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::secret_file::{self, Secret};
use crate::address::HostPort;
use crate::failure::Failure;
use crate::output;

/// One of the two, as a key file names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Party {
    /// By the address that it announces; an IP is in its canonical form.
    Address(HostPort),
    /// By its id.
    Id(Hash),
}

pub(super) fn perform(first: &Party, second: &Party, out: Option<&Path>, force: bool, as_json: bool) -> Result<(), Failure> {
    if first == second || first.id().is_some_and(|id| second.id() == Some(id)) {
        return Err(Failure::refused("--pair names one peer twice; it takes two"));
    }
    let folder = out.unwrap_or(Path::new(""));
    let (there, back) = (super::strong()?, super::strong()?);
    let files = [
        Secret { path: folder.join(first.file_name()), text: key_file(second, &there, &back)? },
        Secret { path: folder.join(second.file_name()), text: key_file(first, &back, &there)? },
    ];
    secret_file::write_all(&files, force)?;
    let shown: Vec<(&Party, String, String)> = [(first, None), (second, Some(first))]
        .into_iter()
        .zip(&files)
        .map(|((party, entry), file)| (party, file.path.display().to_string(), party.start(entry, &file.path)))
        .collect();
    let objects: Vec<Value> =
        shown.iter().map(|(party, file, start)| json!({"peer": party.to_string(), "file": file, "start": start})).collect();
    let mut text: String = shown.iter().map(|(party, file, start)| format!("for {party}: {file}\n  {start}\n")).collect();
    text.push_str("Bring each peer its file where nobody else can read it, and keep no copy.");
    Ok(output::either(as_json, &json!({"files": objects}), &text)?)
}

/// The file of the one that trusts `peer`.
fn key_file(peer: &Party, outbound: &str, inbound: &str) -> Result<Zeroizing<String>, Failure> {
    let (field, value) = match peer {
        Party::Address(address) => ("address", address.to_string()),
        Party::Id(id) => ("peer", id.decimal()),
    };
    let text = format!(
        "{{\n  \"trusted_hosts\": [{{\n    \"{field}\": \"{value}\",\n    \"outbound_key\": \"{outbound}\",\n    \"inbound_key\": \"{inbound}\"\n  }}]\n}}\n"
    );
    let text = Zeroizing::new(text);
    // Names are the user's: what cannot be read again is not written.
    TrustedKeys::parse(&text).map_err(|_| Failure::refused(format!("--pair: {peer} is no address that a key file can hold")))?;
    Ok(text)
}

impl Party {
    /// The id, where no name has to be resolved for it.
    fn id(&self) -> Option<Hash> {
        match self {
            Self::Address(address) => Some(Address::new((address.host.parse::<IpAddr>().ok()?, address.port).into()).ok()?.id()),
            Self::Id(id) => Some(*id),
        }
    }

    /// A name for any file system.
    fn file_name(&self) -> String {
        let name: String = match self {
            Self::Address(address) => address.to_string(),
            Self::Id(id) => id.short(),
        };
        let safe = |letter: char| if letter.is_ascii_alphanumeric() || ".-".contains(letter) { letter } else { '_' };
        format!("keys-{}.json", name.trim_start_matches('[').replace("]:", ":").chars().map(safe).collect::<String>())
    }

    /// How its program is started; `entry` is whom it can join by.
    fn start(&self, entry: Option<&Party>, keys: &Path) -> String {
        let mut words = vec!["cicada".to_owned()];
        match self {
            // The program binds no such port: it is another machine's, which passes on what comes to it.
            Self::Address(address) if address.port <= 1024 => words.push(format!("--external {address}")),
            Self::Address(HostPort { host, port }) => words.push(format!("--interface {host} -p {port}")),
            Self::Id(_) => {}
        }
        if let Some(Self::Address(entry)) = entry {
            words.push(format!("--join {entry}"));
        }
        words.push(format!("--keys {}", keys.display()));
        words.join(" ")
    }
}

impl FromStr for Party {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if !text.contains(':') {
            let id = Hash::from_hashed(text);
            return id.map(Self::Id).map_err(|_| "wanted: HOST:PORT, or an id in decimal or hexadecimal".to_owned());
        }
        let mut address: HostPort = text.parse()?;
        address.host.make_ascii_lowercase();
        if let Ok(ip) = address.host.parse::<IpAddr>() {
            let canonical = Address::new((ip, address.port).into()).map_err(|error| error.to_string())?;
            address.host = canonical.ip().to_string();
        }
        Ok(Self::Address(address))
    }
}

impl std::fmt::Display for Party {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Address(address) => address.fmt(f),
            Self::Id(id) => id.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn party(text: &str) -> Party {
        text.parse().expect(text)
    }

    #[test]
    fn names_of_files_hold_nothing_that_a_file_system_minds() {
        for (text, name) in [
            ("127.0.0.1:7000", "keys-127.0.0.1_7000.json"),
            ("Cellar.example:7000", "keys-cellar.example_7000.json"),
            ("[2001:DB8::1]:7000", "keys-2001_db8__1_7000.json"),
            ("[::ffff:127.0.0.1]:7000", "keys-127.0.0.1_7000.json"),
            ("../etc/x:7000", "keys-.._etc_x_7000.json"),
            ("0x00c1ca", "keys-00000000.json"),
        ] {
            assert_eq!(party(text).file_name(), name);
        }
    }

    #[test]
    fn one_file_is_the_mirror_of_the_other() {
        let (a, b) = (party("127.0.0.1:7000"), party(&Hash::of("127.0.0.1:7001").decimal()));
        let keys = |peer, out, back| TrustedKeys::parse(&key_file(peer, out, back).expect("right")).expect("ours");
        let (of_a, of_b) = (keys(&b, "there", "back"), keys(&a, "back", "there"));
        assert_eq!((of_a.peers()[0].id(), of_b.peers()[0].id()), (b.id(), a.id()));
        assert_eq!((of_a.peers()[0].outbound(), of_a.peers()[0].inbound()), (of_b.peers()[0].inbound(), of_b.peers()[0].outbound()));
    }

    #[test]
    fn each_is_told_how_to_start() {
        let file = Path::new("k.json");
        let (a, b) = (party("127.0.0.1:7000"), party("9.9.9.9:443"));
        assert_eq!(a.start(None, file), "cicada --interface 127.0.0.1 -p 7000 --keys k.json");
        assert_eq!(b.start(Some(&a), file), "cicada --external 9.9.9.9:443 --join 127.0.0.1:7000 --keys k.json");
        assert_eq!(party("7").start(Some(&a), file), "cicada --join 127.0.0.1:7000 --keys k.json");
    }

    #[test]
    fn what_names_no_peer_is_refused() {
        for wrong in ["somewhere", "0.0.0.0:7000", ":7000", "a:0", "-1", ""] {
            assert!(wrong.parse::<Party>().is_err(), "{wrong}");
        }
        assert!(key_file(&party("a\"b:7000"), "x", "y").is_err());
        assert!(key_file(&party("a_b.example:7000"), "x", "y").is_ok(), "control");
    }
}
