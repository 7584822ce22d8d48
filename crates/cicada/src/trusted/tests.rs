use super::*;
use std::sync::atomic::{AtomicU32, Ordering};

/// As the original's documents print it.
const DOCUMENTED: &str = r#"{
  "trusted_hosts": [{
    "peer": "24355304810235874286134060455083535315455785472150272366747243996307578662525",
    "address": "75.23.66.101:7000",
    "outbound_key": "outbound_encryption_key",
    "inbound_key": "  inbound_encryption_key"
  }, {
  }]
}
"#;

const PEER: &str = "24355304810235874286134060455083535315455785472150272366747243996307578662525";

/// A key file with these entries, of which each has strong keys.
fn file(entries: &[&str]) -> String {
    let keys = r#""outbound_key": "key of sixteen bytes and more", "inbound_key": "another of sixteen bytes and more""#;
    let entries: Vec<String> = entries.iter().map(|entry| format!("{{{entry}, {keys}}}")).collect();
    format!("{{\"trusted_hosts\": [\n{}\n]}}", entries.join(",\n"))
}

fn wrong(text: &str) -> String {
    TrustedKeys::parse(text).expect_err(text).to_string()
}

#[test]
fn the_documented_file_is_read_as_it_is_written() {
    let keys = TrustedKeys::parse(DOCUMENTED).expect("documented");
    assert_eq!(keys.peers().len(), 1, "the empty object is ignored");
    let peer = &keys.peers()[0];
    assert_eq!(peer.peer(), Some(Hash::of("75.23.66.101:7000")));
    assert_eq!(peer.address(), Some(TrustedAddress::Place(("75.23.66.101", 7000).into())));
    assert_eq!((peer.outbound(), peer.inbound()), ("outbound_encryption_key", "  inbound_encryption_key"));
    assert_eq!((peer.line(), keys.warnings()), (2, &[][..]));
}

#[test]
fn the_documented_file_with_the_address_left_empty_is_read_too() {
    let text = DOCUMENTED.replace("75.23.66.101:7000", "");
    let keys = TrustedKeys::parse(&text).expect("documented");
    assert_eq!((keys.peers()[0].peer(), keys.peers()[0].address()), (Some(Hash::of("75.23.66.101:7000")), None));
}

#[test]
fn peer_or_address_alone_names_the_same_peer() {
    let peer = format!(r#""peer": "{PEER}""#);
    let hexadecimal = format!(r#""peer": "{}""#, Hash::of("75.23.66.101:7000"));
    for entry in [peer.as_str(), &hexadecimal, r#""address": "75.23.66.101:7000""#, r#""address": "[::ffff:75.23.66.101]:7000""#] {
        let keys = TrustedKeys::parse(&file(&[entry])).expect(entry);
        assert_eq!(keys.peers()[0].id(), Some(Hash::of("75.23.66.101:7000")), "{entry}");
    }
    let keys = TrustedKeys::parse(&file(&[r#""address": "[2001:DB8::1]:7000""#])).expect("v6");
    assert_eq!(keys.peers()[0].id(), Some(Hash::of("[2001:db8::1]:7000")));
}

#[test]
fn mirrored_files_open_what_each_other_seals() {
    let (a, b) = (Hash::of("127.0.0.1:7001"), Hash::of("75.23.66.101:7000"));
    let there = TrustedKeys::parse(DOCUMENTED).expect("documented");
    let back = r#"{"trusted_hosts": [{"address": "127.0.0.1:7001",
        "outbound_key": "  inbound_encryption_key", "inbound_key": "outbound_encryption_key"}]}"#;
    let back = TrustedKeys::parse(back).expect("mirrored");
    let sealed = there.peers()[0].keys(a, b).seal([1; 24], b"head", b"text");
    assert_eq!(back.peers()[0].keys(b, a).open([1; 24], b"head", &sealed).as_deref(), Ok(&b"text"[..]));
    let trimmed = TrustedKeys::parse(&DOCUMENTED.replace("\"  inbound", "\"inbound")).expect("a control");
    let sealed = back.peers()[0].keys(b, a).seal([1; 24], b"head", b"text");
    assert!(there.peers()[0].keys(a, b).open([1; 24], b"head", &sealed).is_ok());
    assert!(trimmed.peers()[0].keys(a, b).open([1; 24], b"head", &sealed).is_err(), "blanks count");
}

#[test]
fn what_is_wrong_is_told_with_its_line_and_field() {
    let change = |from: &str, to: &str| {
        let changed = DOCUMENTED.replace(from, to);
        assert_ne!(changed, DOCUMENTED, "{from}");
        wrong(&changed)
    };
    let key = r#""outbound_encryption_key","#;
    for (from, to, told) in [
        ("75.23.66.101:7000", "75.23.66.101:7001", "line 4: address: not that of `peer`"),
        ("75.23.66.101:7000", "75.23.66.101", "line 4: address: without a port"),
        ("75.23.66.101:7000", "75.23.66.101:", "line 4: address: no port after the colon"),
        ("75.23.66.101:7000", "75.23.66.101:0", "line 4: address: no port after the colon"),
        ("75.23.66.101:7000", "75.23.66.101:65536", "line 4: address: no port after the colon"),
        ("75.23.66.101:7000", "::1:7000", "line 4: address: no host:port; an IPv6 address stands in brackets"),
        ("75.23.66.101:7000", "[::1:7000", "line 4: address: no host:port"),
        ("75.23.66.101:7000", "[x]:7000", "line 4: address: no IPv6 address in the brackets"),
        ("75.23.66.101:7000", ":7000", "line 4: address: no host:port"),
        ("75.23.66.101:7000", " 75.23.66.101:7000", "line 4: address: no host:port"),
        ("75.23.66.101:7000", "0.0.0.0:7000", "line 4: address: the unspecified address"),
        ("\"2435530", "\"999992435530", "line 3: peer: no id"),
        ("\"2435530", "\"-2435530", "line 3: peer: no id"),
        ("\"2435530", "\"peer 2435530", "line 3: peer: no id"),
        (key, "12,", "line 5: outbound_key: wanted in column 21: a text in double quotes"),
        (key, "null,", "line 5: outbound_key: wanted in column 21: a text in double quotes"),
        (key, "[\"outbound_encryption_key\"],", "line 5: outbound_key: wanted in column 21"),
        (key, "\"\",", "line 2: outbound_key: missing, or empty"),
        ("\"outbound_key\": \"outbound_encryption_key\",", "", "line 2: outbound_key: missing, or empty"),
        ("  \"inbound", "  \"inbuond", "line 6: `inbuond_key` is no field of an entry; there are peer, address, outbound_key, inbound_key"),
        ("\"inbound_key\"", "\"outbound_key\"", "line 6: outbound_key: stands there twice"),
        ("trusted_hosts", "trusted_host", "line 2: `trusted_host` is no field of a key file"),
        ("[{", "{", "line 2: wanted in column 20: a list"),
        ("}, {", "} {", "line 7: wanted in column 5: `,` or `]`"),
        ("}, {", "}, 7, {", "line 7: wanted in column 6: an object"),
        ("  }]\n}", "  }]\n} x", "line 9: wanted in column 3: nothing more"),
        ("  }]\n}", "  }],\n}", "line 9: wanted in column 1: the name of a field"),
        ("  }]\n}", "  }", "line 9: wanted in column 1: `,` or `]`, but the file ends"),
        ("  inbound_encryption_key\"", "  inbound_encryption_key", "line 6: inbound_key: wanted in column 45: no control character"),
        ("  inbound_encryption_key", "\\x", "line 6: inbound_key: wanted in column"),
        ("  inbound_encryption_key", "\\ud800", "line 6: inbound_key: wanted in column"),
        ("  inbound_encryption_key", "\\udc00", "line 6: inbound_key: wanted in column"),
    ] {
        let error = change(from, to);
        assert!(error.starts_with(told), "{to}: {error}");
        assert!(!error.contains('\n') && !error.contains("encryption"), "{error}");
    }
    for (text, told) in [
        ("", "line 1: wanted in column 1: an object, which begins with `{`, but the file ends"),
        ("[]", "line 1: wanted in column 1: an object"),
        ("{}", "line 1: `trusted_hosts` is missing"),
        ("{\"trusted_hosts\": [], \"trusted_hosts\": []}", "line 1: `trusted_hosts` stands there twice"),
        ("\n\n{\"trusted_hosts\"", "line 3: wanted in column 17: `:` and the field's value, but the file ends"),
        (r#"{"trusted_hosts": [{"outbound_key": "a", "inbound_key": "b"}]}"#, "line 1: peer: missing, and `address` too"),
    ] {
        let error = wrong(text);
        assert!(error.starts_with(told), "{text}: {error}");
    }
}

#[test]
fn a_file_without_any_peer_is_read() {
    for text in ["{\"trusted_hosts\": []}", "\u{feff}{\"trusted_hosts\": [{}, {}]}\n"] {
        assert!(TrustedKeys::parse(text).expect(text).peers().is_empty());
    }
}

#[test]
fn two_entries_for_one_peer_are_refused() {
    let by_id = format!(r#""peer": "{PEER}""#);
    let by_address = r#""address": "75.23.66.101:7000""#;
    TrustedKeys::parse(&file(&[&by_id, r#""address": "75.23.66.101:7001""#])).expect("a control");
    for pair in [
        [by_id.as_str(), &by_id],
        [by_id.as_str(), by_address],
        [by_address, r#""address": "[::ffff:75.23.66.101]:7000""#],
        [r#""address": "a.example:7000""#, r#""address": "A.Example:7000""#],
        [r#""address": "a.example""#, r#""address": "a.example""#],
    ] {
        let error = wrong(&file(&pair));
        assert!(error.starts_with("line 3: ") && error.ends_with("names the same peer as the entry on line 2"), "{error}");
    }
}

#[test]
fn texts_are_read_as_json_says() {
    for text in [
        r#""""#,
        r#"" a b ""#,
        r#""\"\\\/\b\f\n\r\t""#,
        r#""\u00e9\u4e16\ud83d\ude00\u0000""#,
        r#""héé 世界 😀""#,
        "\"\\u005C\\u005c\\\\u0041\"",
        "\"\u{7f}\u{2028}\"",
    ] {
        let expected: String = serde_json::from_str(text).expect("control");
        // The other key is never empty, so that only this one counts.
        let file =
            format!("{{\"trusted_hosts\":[{{\"peer\":\"1\",\"inbound_key\":\"x\",\"outbound_key\":{}}}]}}", text.replacen('"', "\"|", 1));
        let keys = TrustedKeys::parse(&file).expect(text);
        assert_eq!(keys.peers()[0].outbound(), format!("|{expected}"));
    }
    for text in [r#""\u12""#, r#""\u+123""#, r#""\ud83dx""#, r#""\ud83d\u0041""#, r#""\'""#, "\"\t\"", "\"\u{1}\"", "'x'", "\"x"] {
        assert!(serde_json::from_str::<String>(text).is_err(), "control: {text}");
        let file = format!("{{\"trusted_hosts\":[{{\"peer\":\"1\",\"inbound_key\":\"x\",\"outbound_key\":{text}}}]}}");
        assert!(TrustedKeys::parse(&file).is_err(), "{text}");
    }
}

#[test]
fn neither_keys_nor_what_could_be_one_are_printed() {
    let keys = TrustedKeys::parse(DOCUMENTED).expect("documented");
    let shown = format!("{keys:?} {:?}", keys.peers());
    assert!(shown.contains("75.23.66.101") && !shown.contains("encryption"), "{shown}");
    let error = wrong(&DOCUMENTED.replace("\"outbound_key\": ", "")).to_string();
    assert!(error.starts_with("line 5: wanted in column 30: `:`") && !error.contains("encryption"), "{error}");
    let error = wrong("{\"trusted_hosts\": [{\"a key? Is it one?\": \"x\"}]}");
    assert!(error.contains("what stands there is no field"), "{error}");
}

#[test]
fn short_keys_draw_a_warning_each() {
    let sixteen = "exactly 16 bytes";
    let keys = TrustedKeys::parse(&DOCUMENTED.replace("outbound_encryption_key", sixteen)).expect("a control");
    assert_eq!(keys.warnings(), []);
    let keys = TrustedKeys::parse(&DOCUMENTED.replace("outbound_encryption_key", &sixteen[1..])).expect("weak is not wrong");
    let shown: Vec<String> = keys.warnings().iter().map(ToString::to_string).collect();
    assert_eq!(shown, ["line 5: outbound_key: shorter than 16 bytes, it could be guessed; `cicada keygen --pair` makes strong ones"]);
}

/// A file of the test's own, gone with it.
struct Scratch(PathBuf);

impl Scratch {
    fn new(bytes: impl AsRef<[u8]>) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("cicada-keys-{}-{}.json", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        std::fs::write(&path, bytes).expect("written");
        Self(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

#[test]
fn what_is_wrong_in_a_file_is_told_with_its_path() {
    let broken = Scratch::new(DOCUMENTED.replace("\"address\"", "\"adress\""));
    let error = TrustedKeys::load(&broken.0).expect_err("broken").to_string();
    assert!(error.starts_with(&format!("{}:4: `adress` is no field", broken.0.display())), "{error}");
    let bytes = Scratch::new(b"{\n\n\xff");
    let error = TrustedKeys::load(&bytes.0).expect_err("no text").to_string();
    assert_eq!(error, format!("{}:3: not UTF-8", bytes.0.display()));
    let long = Scratch::new(format!("{DOCUMENTED}{}", " ".repeat(LONGEST_FILE_BYTES)));
    let error = TrustedKeys::load(&long.0).expect_err("too long").to_string();
    assert!(error.contains("longer than 1048576 bytes"), "{error}");
    let full = Scratch::new(format!("{DOCUMENTED}{}", " ".repeat(LONGEST_FILE_BYTES - DOCUMENTED.len())));
    TrustedKeys::load(&full.0).expect("a control");
    let gone = full.0.with_extension("gone");
    let error = TrustedKeys::load(&gone).expect_err("gone").to_string();
    assert!(error.contains(&gone.display().to_string()), "{error}");
}

#[cfg(unix)]
#[test]
fn a_file_that_others_may_read_draws_a_warning() {
    use std::os::unix::fs::PermissionsExt;
    let file = Scratch::new(DOCUMENTED);
    let with_mode = |mode| {
        std::fs::set_permissions(&file.0, std::fs::Permissions::from_mode(mode)).expect("ours");
        TrustedKeys::load(&file.0).expect("right").warnings().to_vec()
    };
    assert_eq!(with_mode(0o600), []);
    assert_eq!(with_mode(0o400), []);
    for mode in [0o644, 0o640, 0o604] {
        let warnings = with_mode(mode);
        assert!(matches!(warnings[..], [KeyWarning::ReadableByOthers { .. }]), "{mode:o}: {warnings:?}");
        assert!(warnings[0].to_string().contains(&format!("(mode {mode:o}); chmod 600")), "{}", warnings[0]);
    }
}

#[tokio::test]
async fn names_are_resolved_and_addresses_are_told_from_hosts() {
    let text = file(&[r#""address": "localhost:7000""#, r#""address": "9.9.9.9""#, &format!(r#""peer": "{PEER}""#)]);
    let keys = TrustedKeys::parse(&text).expect("right");
    assert_eq!(keys.peers()[0].id(), None, "a name says nothing before it is resolved");
    let found = keys.resolve().await.expect("every machine knows localhost");
    let whom: Vec<TrustedWhom> = found.iter().map(|(whom, _)| whom.clone()).collect();
    let TrustedWhom::Ids(local) = &whom[0] else { panic!("{whom:?}") };
    assert_eq!(local[0], Hash::of("127.0.0.1:7000"), "v4 first");
    assert_eq!(whom[1..], [TrustedWhom::At(vec![IpAddr::from([9, 9, 9, 9])]), TrustedWhom::Ids(vec![Hash::of("75.23.66.101:7000")])]);
    assert!(std::ptr::eq(found[2].1, &keys.peers()[2]));
}

#[tokio::test]
async fn a_name_has_to_agree_with_the_peer_beside_it() {
    let resolved = async |of: &str| {
        let text = file(&[&format!(r#""peer": "{}", "address": "localhost:7000""#, Hash::of(of).decimal())]);
        TrustedKeys::parse(&text)
            .expect("nothing is resolved yet")
            .resolve()
            .await
            .map(|found| found[0].0.clone())
            .map_err(|error| error.to_string())
    };
    assert_eq!(resolved("127.0.0.1:7000").await, Ok(TrustedWhom::Ids(vec![Hash::of("127.0.0.1:7000")])));
    assert_eq!(resolved("127.0.0.1:7001").await, Err("line 2: address: not that of `peer`: the two name two peers".to_owned()));
}

#[tokio::test]
async fn two_entries_that_resolve_to_one_peer_are_refused() {
    let text = file(&[r#""address": "localhost:7000""#, r#""address": "127.0.0.1:7000""#]);
    let error = TrustedKeys::parse(&text).expect("two texts").resolve().await.expect_err("one peer");
    assert_eq!(error.to_string(), "line 3: address: names the same peer as the entry on line 2");
    let text = file(&[r#""address": "localhost""#, r#""address": "127.0.0.1""#]);
    let error = TrustedKeys::parse(&text).expect("two texts").resolve().await.expect_err("one host");
    assert_eq!(error.to_string(), "line 3: address: names the same peer as the entry on line 2");
}

#[tokio::test]
async fn a_name_that_cannot_be_resolved_is_told_with_its_line() {
    let text = file(&[r#""address": "nowhere.invalid:7000""#]);
    let error = TrustedKeys::parse(&text).expect("a name").resolve().await.expect_err("RFC 6761 keeps it unknown").to_string();
    assert!(error.starts_with("line 2: address: ") && error.contains("nowhere.invalid"), "{error}");
}
