use super::*;
use cicada_wire::{PublicKey, UnixTime};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

/// A directory of the test's own, gone with it.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("cicada-state-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        Self(std::env::temp_dir().join(name))
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.0).expect("there");
        let mut names: Vec<String> = entries.map(|entry| entry.expect("readable").file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn some_members(count: u8) -> Known {
    let mut known = Known::new(256);
    for last in 0..count {
        known.joined(UnixTime(1), format!("9.9.9.{last}:5000").parse().expect("an address"), PublicKey([last; 32]));
    }
    known
}

#[test]
fn an_identity_is_made_once_and_kept() {
    let scratch = Scratch::new();
    let first = State::open(&scratch.0).expect("made").identity().expect("made");
    let second = State::open(&scratch.0).expect("there").identity().expect("read");
    assert_eq!(first.public(), second.public());
    assert_eq!(scratch.names(), ["identity", "lock"]);
}

#[cfg(unix)]
#[test]
fn only_the_owner_may_read_what_is_kept() {
    use std::os::unix::fs::PermissionsExt;
    let scratch = Scratch::new();
    let state = State::open(&scratch.0).expect("made");
    state.identity().expect("made");
    state.keep_members(&some_members(1).to_text()).expect("written");
    for name in ["", "identity", "members"] {
        let mode = fs::metadata(scratch.0.join(name)).expect("there").permissions().mode();
        assert_eq!(mode & 0o077, 0, "{name}: {mode:o}");
    }
}

#[test]
fn a_second_peer_is_kept_out_while_the_first_lives() {
    let scratch = Scratch::new();
    let first = State::open(&scratch.0).expect("made");
    let error = State::open(&scratch.0).expect_err("locked");
    assert!(matches!(error, StateError::InUse { .. }), "{error:?}");
    assert!(error.to_string().contains("in use by another peer"), "{error}");
    drop(first);
    State::open(&scratch.0).expect("free again");
}

#[test]
fn a_corrupted_identity_is_set_aside_and_a_fresh_one_made() {
    let scratch = Scratch::new();
    let state = State::open(&scratch.0).expect("made");
    let mut keys = vec![state.identity().expect("made").public()];
    for broken in [&b"cicada identity 1\n12"[..], b"", &[0xff; 100]] {
        fs::write(scratch.0.join("identity"), broken).expect("written");
        keys.push(state.identity().expect("made anew").public());
    }
    keys.sort();
    keys.dedup();
    assert_eq!(keys.len(), 4, "each is another");
    assert_eq!(scratch.names(), ["identity", "identity.corrupt-1", "identity.corrupt-2", "identity.corrupt-3", "lock"]);
    assert_eq!(fs::read(scratch.0.join("identity.corrupt-1")).expect("kept"), b"cicada identity 1\n12");
}

#[test]
fn corrupted_members_are_set_aside_and_the_peer_goes_on_without() {
    let scratch = Scratch::new();
    let state = State::open(&scratch.0).expect("made");
    assert!(state.members(8).expect("none yet").is_empty());
    state.keep_members(&some_members(3).to_text()).expect("written");
    assert_eq!(state.members(8).expect("read").len(), 3, "control");
    let text = some_members(3).to_text();
    fs::write(scratch.0.join("members"), &text[..text.len() / 2]).expect("written");
    assert!(state.members(8).expect("none").is_empty());
    assert_eq!(scratch.names(), ["lock", "members.corrupt-1"]);
}

#[test]
fn a_directory_that_cannot_be_made_or_written_is_told_by_its_name() {
    let scratch = Scratch::new();
    fs::write(&scratch.0, "a file").expect("written");
    let below = scratch.0.join("below");
    let error = State::open(&below).expect_err("no directory");
    assert!(matches!(error, StateError::Directory { .. }), "{error:?}");
    assert!(error.to_string().contains(&below.display().to_string()), "{error}");
    fs::remove_file(&scratch.0).expect("there");
    fs::create_dir_all(scratch.0.join("lock")).expect("made");
    let error = State::open(&scratch.0).expect_err("the lock is a directory");
    assert!(matches!(error, StateError::File { .. }), "{error:?}");
    fs::remove_dir(scratch.0.join("lock")).expect("there");
    let state = State::open(&scratch.0).expect("control");
    fs::create_dir(scratch.0.join("members.new")).expect("made");
    assert!(state.keep_members("x").is_err());
    let _ = fs::remove_dir_all(&scratch.0);
}

#[test]
fn a_reader_never_sees_half_a_file() {
    let scratch = Scratch::new();
    let state = State::open(&scratch.0).expect("made");
    state.keep_members(&some_members(1).to_text()).expect("written");
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for round in 0..50u8 {
                state.keep_members(&some_members(1 + round % 2 * 200).to_text()).expect("written");
            }
            done.store(true, Ordering::Relaxed);
        });
        let mut seen = 0_u64;
        while !done.load(Ordering::Relaxed) || seen == 0 {
            let text = fs::read_to_string(scratch.0.join("members")).expect("always there");
            let known = Known::parse(&text, 256).expect("always whole");
            assert!([1, 201].contains(&known.len()));
            seen += 1;
        }
    });
}

#[test]
fn what_was_left_beside_by_a_crash_is_in_nobodys_way() {
    let scratch = Scratch::new();
    let state = State::open(&scratch.0).expect("made");
    fs::write(scratch.0.join("members.new"), "half").expect("written");
    fs::write(scratch.0.join("identity.new"), "half").expect("written");
    state.identity().expect("made");
    state.keep_members(&some_members(2).to_text()).expect("written");
    assert_eq!(state.members(8).expect("read").len(), 2);
    assert_eq!(scratch.names(), ["identity", "lock", "members"]);
}
