//! `cicada keygen FILE`, and peers that keep an identity.

use std::fs;

use crate::harness::{Cicada, Folder};

#[test]
fn a_new_identity_is_for_its_owner_only_and_is_shown_without_its_secret() {
    let folder = Folder::new();
    let ended = Cicada::new("keygen me.key").folder(&folder).finish().succeeded();
    let file = fs::read_to_string(folder.path().join("me.key")).unwrap();
    let secret = file.lines().nth(1).unwrap();
    assert_eq!((secret.len(), file.lines().next()), (64, Some("cicada identity 1")));
    assert!(!ended.stdout.iter().chain(&ended.stderr).any(|line| line.contains(secret)), "{ended:#?}");
    assert!(ended.stdout.iter().any(|line| line.starts_with("public key")), "{ended:#?}");
    assert!(ended.stdout.iter().any(|line| line.starts_with("key id")), "{ended:#?}");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = fs::metadata(folder.path().join("me.key")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
    assert_eq!(folder.names(), ["me.key"]);
}

#[test]
fn an_identity_is_overwritten_only_by_force() {
    let folder = Folder::new();
    let path = folder.path().join("me.key");
    Cicada::new("keygen me.key").folder(&folder).finish().succeeded();
    let first = fs::read(&path).unwrap();
    Cicada::new("keygen me.key").folder(&folder).finish().failed(1, "me.key exists").in_one_line();
    assert_eq!(fs::read(&path).unwrap(), first);
    Cicada::new("keygen me.key --force").folder(&folder).finish().succeeded();
    assert_ne!(fs::read(&path).unwrap(), first, "two identities are never the same");
    assert_eq!(folder.names(), ["me.key"]);
}

#[test]
fn an_identity_that_cannot_be_written_is_told_and_leaves_nothing() {
    let folder = Folder::new();
    Cicada::new("keygen no/such/folder.key").folder(&folder).finish().failed(1, "no/such/folder.key").in_one_line();
    assert!(folder.names().is_empty());
}

#[test]
fn a_file_that_is_no_identity_is_refused_before_anything_is_started() {
    let folder = Folder::new();
    folder.write("me.key", "something else\n");
    let ended = Cicada::new("--interface 127.0.0.1 -p 0 --identity me.key").folder(&folder).finish();
    ended.failed(2, "identity file me.key").in_one_line();
}

#[test]
fn a_missing_identity_is_made_and_kept() {
    let folder = Folder::new();
    let started = |folder: &Folder| Cicada::new("--interface 127.0.0.1 -p 0 --identity me.key").folder(folder).start();
    let first = started(&folder);
    let made = first.logged("made a new identity");
    first.logged("listening");
    drop(first);
    let file = fs::read_to_string(folder.path().join("me.key")).unwrap();
    assert_eq!(folder.names(), ["me.key"]);
    let secret = file.lines().nth(1).unwrap();
    assert!(!made.contains(secret), "{made}");
    let second = started(&folder);
    second.logged("listening");
    assert!(!format!("{second:?}").contains("made a new identity"), "{second:?}");
    assert_eq!(fs::read_to_string(folder.path().join("me.key")).unwrap(), file);
}

#[test]
fn the_identity_file_may_be_named_by_the_environment_and_by_the_settings() {
    let folder = Folder::new();
    folder.write("me.key", "something else\n");
    folder.write("cicada.toml", "identity = 'me.key'\n");
    let by_file = Cicada::new("--interface 127.0.0.1 -p 0 --config cicada.toml").folder(&folder).finish();
    by_file.failed(2, "identity file me.key").in_one_line();
    let by_environment = Cicada::new("--interface 127.0.0.1 -p 0").variable("CICADA_IDENTITY", "me.key").folder(&folder).finish();
    by_environment.failed(2, "identity file me.key").in_one_line();
}

#[cfg(unix)]
#[test]
fn an_identity_that_others_may_read_is_used_with_a_warning() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = Folder::new();
    Cicada::new("keygen me.key").folder(&folder).finish().succeeded();
    fs::set_permissions(folder.path().join("me.key"), fs::Permissions::from_mode(0o644)).unwrap();
    let peer = Cicada::new("--interface 127.0.0.1 -p 0 --identity me.key").folder(&folder).start();
    assert!(peer.logged("others may read this identity file").contains("WARN"));
    peer.logged("listening");
}

#[test]
fn a_client_with_an_identity_file_is_known_by_its_key_id() {
    let folder = Folder::new();
    let made = Cicada::new("keygen me.key --json").folder(&folder).finish().succeeded().stdout.join("");
    let key_id = made.split("\"key_id\":\"").nth(1).and_then(|rest| rest.get(..64)).expect("it is printed").to_owned();
    let member = Cicada::new("--interface 127.0.0.1 -p 0 --json").start();
    let address = crate::staying::address_of(&member);
    let line = format!("send --interface 127.0.0.1 --identity me.key --join {address} {address} Hello");
    Cicada::new(&line).folder(&folder).finish().succeeded();
    let message = member.printed("Hello");
    assert!(message.contains(&key_id), "{message}");
}
