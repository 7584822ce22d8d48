use super::*;
use std::sync::atomic::{AtomicU32, Ordering};

/// A directory of the test's own, gone with it.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("cicada-identity-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).expect("no other has this name");
        Self(path)
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.0).expect("there");
        entries.map(|entry| entry.expect("readable").file_name().to_string_lossy().into_owned()).collect()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn what_is_written_is_read_again() {
    let identity = Identity::from_seed(&[7; 32]);
    let read = parse(IdentityFile::text(&identity).as_bytes()).expect("ours");
    assert_eq!(read.public(), identity.public());
}

#[test]
fn what_is_no_identity_is_refused_with_a_reason() {
    let digits = "0f".repeat(32);
    assert!(parse(format!("cicada identity 1\r\n{digits}\r\n\r\n").as_bytes()).is_ok(), "control");
    for (text, part) in [
        (String::new(), "does not begin"),
        (format!("cicada identity 2\n{digits}\n"), "does not begin"),
        (digits.clone(), "does not begin"),
        ("cicada identity 1\n".to_owned(), "64 hexadecimal digits"),
        (format!("cicada identity 1\n{digits}00\n"), "64 hexadecimal digits"),
        (format!("cicada identity 1\n{digits}\nmore\n"), "nothing else"),
        (format!("cicada identity 1\n{}\n", "+f".repeat(32)), "64 hexadecimal digits"),
        (format!("cicada identity 1\n{}\n", "ü".repeat(32)), "64 hexadecimal digits"),
    ] {
        let error = parse(text.as_bytes()).expect_err(&text);
        assert!(error.contains(part), "{text}: {error}");
    }
    assert_eq!(parse(&[0xff; 83]).expect_err("no text"), "is not a text");
}

#[test]
fn a_missing_file_is_made_once_and_read_from_then_on() {
    let scratch = Scratch::new();
    let file = IdentityFile::at(scratch.0.join("me.key"));
    let error = file.read().expect_err("not there").to_string();
    assert!(error.contains("me.key"), "{error}");
    let made = file.read_or_make().expect("made");
    assert_eq!(file.read_or_make().expect("read").public(), made.public());
    assert_eq!(file.read().expect("read").public(), made.public());
    assert_eq!(scratch.names(), ["me.key"], "nothing is left beside it");
    let other = IdentityFile::at(scratch.0.join("other.key")).read_or_make().expect("made");
    assert_ne!(other.public(), made.public(), "control");
}

#[cfg(unix)]
#[test]
fn only_the_owner_may_read_what_is_made() {
    use std::os::unix::fs::PermissionsExt;
    let scratch = Scratch::new();
    let path = scratch.0.join("me.key");
    IdentityFile::at(&path).read_or_make().expect("made");
    assert_eq!(fs::metadata(&path).expect("there").permissions().mode() & 0o777, 0o600);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).expect("ours");
    IdentityFile::at(&path).read().expect("a warning is no refusal");
}

#[test]
fn a_corrupt_file_is_refused_and_stays_as_it_is() {
    let scratch = Scratch::new();
    let path = scratch.0.join("me.key");
    for broken in [&b"cicada identity 1\n12"[..], b"", &[0xff; 100], &[b'0'; 2 * LONGEST_BYTES]] {
        fs::write(&path, broken).expect("written");
        let error = IdentityFile::at(&path).read_or_make().expect_err("broken");
        assert!(matches!(error, IdentityFileError::Content { .. }) && error.to_string().contains("me.key"), "{error}");
        assert_eq!(fs::read(&path).expect("there"), broken);
    }
}

#[test]
fn a_file_that_cannot_be_made_is_told_by_its_name() {
    let scratch = Scratch::new();
    let error = IdentityFile::at(scratch.0.join("no/such/me.key")).read_or_make().expect_err("no directory");
    assert!(matches!(error, IdentityFileError::File { .. }) && error.to_string().contains("me.key"), "{error}");
    assert!(scratch.names().is_empty());
}

#[test]
fn those_who_make_it_at_once_share_one_identity() {
    let scratch = Scratch::new();
    let path = scratch.0.join("me.key");
    let keys: Vec<_> = std::thread::scope(|scope| {
        let makers: Vec<_> =
            (0..8).map(|_| scope.spawn(|| IdentityFile::at(&path).read_or_make().expect("one of them makes it").public())).collect();
        makers.into_iter().map(|maker| maker.join().expect("no panic")).collect()
    });
    assert!(keys.iter().all(|key| *key == keys[0]), "{keys:?}");
    assert_eq!(scratch.names(), ["me.key"]);
}
