//! `cicada keygen --pair` and `--swarm`: keys and secrets that are strong, and for their owner only.

use std::fs;

use crate::harness::{Cicada, Folder};

/// The texts in double quotes.
fn quoted(text: &str) -> Vec<&str> {
    text.split('"').skip(1).step_by(2).collect()
}

#[test]
fn a_pair_of_key_files_is_mirrored_and_for_its_owners_only() {
    let folder = Folder::new();
    let ended = Cicada::new("keygen --pair 127.0.0.1:7000 [::1]:7001").folder(&folder).finish().succeeded();
    let [first, second] = ["keys-127.0.0.1_7000.json", "keys-__1_7001.json"];
    let text = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap();
    let (of_first, of_second) = (text(first), text(second));
    let ["trusted_hosts", "address", "[::1]:7001", "outbound_key", there, "inbound_key", back] = quoted(&of_first)[..] else {
        panic!("{of_first}")
    };
    let mirrored = ["trusted_hosts", "address", "127.0.0.1:7000", "outbound_key", back, "inbound_key", there];
    assert_eq!(quoted(&of_second), mirrored);
    assert!(there.len() == 64 && back.len() == 64 && there != back);
    let printed = ended.stdout.join("\n");
    assert!(!printed.contains(there) && !printed.contains(back), "{printed}");
    for line in [
        "for 127.0.0.1:7000: keys-127.0.0.1_7000.json",
        "  cicada --interface 127.0.0.1 -p 7000 --keys keys-127.0.0.1_7000.json",
        "for [::1]:7001: keys-__1_7001.json",
        "  cicada --interface ::1 -p 7001 --join 127.0.0.1:7000 --keys keys-__1_7001.json",
    ] {
        assert!(ended.stdout.iter().any(|printed| printed == line), "{line:?} is missing: {printed}");
    }
    only_for_the_owner(&folder, first);
    only_for_the_owner(&folder, second);
}

#[test]
fn key_files_are_overwritten_only_by_force_and_then_both() {
    let folder = Folder::new();
    let (name, other) = ("keys-127.0.0.1_7000.json", "keys-127.0.0.1_7001.json");
    folder.write(other, "old");
    let line = "keygen --pair 127.0.0.1:7000 127.0.0.1:7001";
    Cicada::new(line).folder(&folder).finish().failed(1, "keys-127.0.0.1_7001.json exists").in_one_line();
    assert_eq!(folder.names(), [other], "neither of the two is written");
    assert_eq!(fs::read(folder.path().join(other)).unwrap(), b"old");
    Cicada::new(&format!("{line} --force")).folder(&folder).finish().succeeded();
    let mut names = folder.names();
    names.sort();
    assert_eq!(names, [name, other]);
    assert!(fs::read_to_string(folder.path().join(other)).unwrap().contains("127.0.0.1:7000"));
    only_for_the_owner(&folder, other);
}

#[test]
fn key_files_go_where_they_are_wanted_and_programs_can_read_what_is_said() {
    let folder = Folder::new();
    fs::create_dir(folder.path().join("keys")).unwrap();
    let ended = Cicada::new("keygen --pair 7 localhost:7001 --out keys --json").folder(&folder).finish().succeeded();
    let [line] = &ended.stdout[..] else { panic!("{ended:#?}") };
    for part in ["\"peer\":\"localhost:7001\"", "\"start\":\"cicada --interface localhost -p 7001 --keys keys/keys-localhost_7001.json\""] {
        assert!(line.replace('\\', "/").contains(part), "{part} is missing: {line}");
    }
    let of_the_name = fs::read_to_string(folder.path().join("keys/keys-localhost_7001.json")).unwrap();
    assert_eq!(quoted(&of_the_name)[1..3], ["peer", "7"]);
}

#[test]
fn a_peer_makes_no_pair_with_itself() {
    let folder = Folder::new();
    let id = "87159787153379483588818061537502110412873907886241733586265053445003160665656"; // of 127.0.0.1:49610
    for second in ["127.0.0.1:49610", "[::ffff:127.0.0.1]:49610", id] {
        let ended = Cicada::new(&format!("keygen --pair 127.0.0.1:49610 {second}")).folder(&folder).finish();
        ended.failed(2, "one peer twice").in_one_line();
    }
    assert!(folder.names().is_empty());
}

#[test]
fn a_secret_for_a_swarm_is_printed_or_written_and_can_be_used() {
    let folder = Folder::new();
    let secret = Cicada::new("keygen --swarm").folder(&folder).finish().succeeded().stdout.join("\n");
    assert!(secret.len() == 64 && secret.bytes().all(|byte| byte.is_ascii_hexdigit()), "{secret}");
    assert!(folder.names().is_empty());
    let ended = Cicada::new("keygen --swarm --out swarm.secret").folder(&folder).finish().succeeded();
    let written = fs::read_to_string(folder.path().join("swarm.secret")).unwrap();
    assert!(written.trim_end().len() == 64 && written.trim_end() != secret);
    assert!(!ended.stdout.join("").contains(written.trim_end()) && ended.stdout.join("").contains("--swarm-secret-file swarm.secret"));
    only_for_the_owner(&folder, "swarm.secret");
    Cicada::new("keygen --swarm --out swarm.secret").folder(&folder).finish().failed(1, "swarm.secret exists").in_one_line();
    let member = Cicada::new("--interface 127.0.0.1 -p 0 --json --swarm-secret-file swarm.secret").folder(&folder).start();
    let address = crate::staying::address_of(&member);
    let status = format!("status --interface 127.0.0.1 --timeout 5 --join {address}");
    Cicada::new(&format!("{status} --swarm-secret-file swarm.secret")).folder(&folder).finish().succeeded();
    Cicada::new(&status).variable("CICADA_SWARM_SECRET", &secret).finish().failed(1, "swarm");
}

#[test]
fn keys_that_are_made_are_not_asked_for_by_the_environment() {
    let folder = Folder::new();
    let ended = Cicada::new("keygen me.key").variable("CICADA_SWARM", "true").variable("CICADA_OUT", "elsewhere").folder(&folder).finish();
    ended.succeeded();
    assert_eq!(folder.names(), ["me.key"]);
    folder.write("cicada.toml", "[keygen]\nswarm = true\n");
    let ended = Cicada::new("keygen other.key --config cicada.toml").folder(&folder).finish();
    ended.failed(2, "cicada.toml: unknown key `keygen.swarm`").in_one_line();
}

fn only_for_the_owner(folder: &Folder, name: &str) {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = fs::metadata(folder.path().join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    #[cfg(not(unix))]
    let _ = (folder, name);
}
