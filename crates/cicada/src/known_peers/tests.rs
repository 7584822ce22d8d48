use super::*;

const KEY: &str = "3b6a27bcceb6a42d62a3a8d02a6f0d73653215771de243a63ac048a18b59da29";

fn key(byte: u8) -> PublicKey {
    PublicKey([byte; 32])
}

fn address(text: &str) -> Address {
    text.parse().expect(text)
}

#[test]
fn a_peer_is_found_by_its_address_and_by_its_id_however_it_is_named() {
    let here = address("75.23.66.101:7000");
    for named in [here.to_string(), here.id().to_string(), here.id().decimal(), "[::ffff:75.23.66.101]:7000".to_owned()] {
        let known = KnownPeers::parse(&format!("# the cellar\n\n  {named}\t {KEY}  \n")).expect(&named);
        let found = known.key(here).expect(&named);
        assert_eq!((found.to_string().as_str(), known.key(here.id()), known.len()), (KEY, Some(found), 1));
        assert_eq!(known.key(address("75.23.66.101:7001")), None, "control");
    }
}

#[test]
fn what_is_written_is_read_again_with_its_comments() {
    let text = format!("# mine\n\n[2001:db8::1]:7000 {KEY}\n  # more\n{} {}\n", Hash::of("x"), key(7));
    let known = KnownPeers::parse(&text).expect("right");
    assert_eq!(known.to_text(), text);
    assert_eq!(KnownPeers::parse(&known.to_text()).expect("ours"), known);
    assert_eq!(known.iter().map(|(peer, _)| peer).collect::<Vec<_>>(), [address("[2001:db8::1]:7000").into(), Hash::of("x").into()]);
    assert!(KnownPeers::parse("").expect("nothing").is_empty());
}

#[test]
fn a_key_is_replaced_where_it_stands() {
    let mut known = KnownPeers::parse(&format!("127.0.0.1:7000 {KEY}\n# the end\n")).expect("right");
    assert_eq!(known.insert(address("127.0.0.1:7001"), key(1)), None);
    assert_eq!(known.insert(Hash::of("127.0.0.1:7000"), key(2)).map(|key| key.to_string()).as_deref(), Some(KEY));
    assert_eq!((known.key(address("127.0.0.1:7000")), known.key(address("127.0.0.1:7001"))), (Some(key(2)), Some(key(1))));
    let id = Hash::of("127.0.0.1:7000");
    assert_eq!(known.to_text(), format!("{id} {}\n# the end\n127.0.0.1:7001 {}\n", key(2), key(1)));
}

#[test]
fn a_wrong_line_is_told_with_its_number_and_reason() {
    let wrong = |line: &str| KnownPeers::parse(&format!("# first\n127.0.0.1:7000 {KEY}\n{line}\n")).expect_err(line).to_string();
    for (line, told) in [
        ("127.0.0.1:7001".to_owned(), "line 3: wanted: an address or an id, a blank, and a key"),
        (format!("127.0.0.1:7001 {KEY} more"), "line 3: wanted: an address or an id"),
        (format!("127.0.0.1:0 {KEY}"), "line 3: port 0"),
        (format!("somewhere:7001 {KEY}"), "line 3: not an address"),
        (format!("somewhere {KEY}"), "line 3: not an id"),
        (format!("127.0.0.1:7001 {}", &KEY[1..]), "line 3: not a key"),
        (format!("127.0.0.1:7001 0x{}", &KEY[2..]), "line 3: not a key"),
        (format!("127.0.0.1:7000 {KEY}"), "line 3: names the same peer as line 2"),
        (format!("{} {KEY}", Hash::of("127.0.0.1:7000")), "line 3: names the same peer as line 2"),
    ] {
        let error = wrong(&line);
        assert!(error.starts_with(told), "{line}: {error}");
    }
}

#[test]
fn a_file_is_told_by_its_path() {
    let path = std::env::temp_dir().join(format!("cicada-known-{}", std::process::id()));
    let error = KnownPeers::load(&path).expect_err("not there").to_string();
    assert!(error.contains(&path.display().to_string()), "{error}");
    std::fs::write(&path, "\nx\n").expect("written");
    let error = KnownPeers::load(&path).map_err(|error| error.to_string());
    std::fs::remove_file(&path).expect("there");
    assert!(error.as_ref().is_err_and(|error| error.starts_with(&format!("{}:2: wanted", path.display()))), "{error:?}");
}
