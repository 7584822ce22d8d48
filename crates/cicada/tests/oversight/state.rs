use crate::{PATIENCE, loopback, until};
use cicada::{BindError, Builder, StateError, SwarmPeer};
use std::{
    fs,
    path::PathBuf,
    sync::atomic::{AtomicU32, Ordering},
};
use tokio::time::timeout;

/// A directory of the test's own, gone with it.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("cicada-oversight-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        Self(std::env::temp_dir().join(name))
    }

    fn builder(&self) -> Builder {
        SwarmPeer::builder().state(&self.0)
    }

    async fn peer(&self) -> SwarmPeer {
        self.builder().bind(("127.0.0.1", 0)).await.expect("bound")
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

async fn comes_back(peer: &SwarmPeer) {
    timeout(PATIENCE, peer.wait_for_peers(1)).await.expect("it comes back by itself").expect("open");
}

#[tokio::test]
async fn a_peer_started_anew_is_the_same_and_comes_back_with_no_entry_point_given() {
    let scratch = Scratch::new();
    let a = loopback().await;
    let b = scratch.peer().await;
    let key = b.key();
    b.connect(a.listener()).await.expect("joined");
    b.close().await;
    until("the goodbye is heard", async || a.peers().is_empty()).await;
    let b = scratch.peer().await;
    assert_eq!(b.key(), key);
    comes_back(&b).await;
    assert_eq!(b.peers()[0].id(), a.id());
    b.send(a.listener(), "back").await.expect("arrives");
    b.close().await;
    a.close().await;
}

#[tokio::test]
async fn a_peer_that_ended_without_goodbye_has_written_down_whom_it_knew() {
    let scratch = Scratch::new();
    let a = loopback().await;
    let b = scratch.peer().await;
    b.connect(a.listener()).await.expect("joined");
    let address = a.listener().to_string();
    let members = scratch.0.join("members");
    until("it is written", async || fs::read_to_string(&members).is_ok_and(|text| text.contains(&address))).await;
    drop(b);
    let b = loop {
        match scratch.builder().bind(("127.0.0.1", 0)).await {
            Ok(peer) => break peer,
            // A dropped peer lets go a moment later.
            Err(BindError::State(StateError::InUse { .. })) => tokio::task::yield_now().await,
            Err(error) => panic!("{error}"),
        }
    };
    comes_back(&b).await;
    b.close().await;
    a.close().await;
}

#[tokio::test]
async fn a_peer_that_lost_all_links_comes_back_when_somebody_is_there_again() {
    let scratch = Scratch::new();
    let a = loopback().await;
    let place = a.listener();
    let b = scratch.peer().await;
    b.connect(place).await.expect("joined");
    a.close().await;
    until("the goodbye is heard", async || b.peers().is_empty()).await;
    let a = SwarmPeer::bind(place).await.expect("the port is free again");
    comes_back(&b).await;
    b.close().await;
    a.close().await;
}

#[tokio::test]
async fn one_directory_is_for_one_peer_at_a_time() {
    let scratch = Scratch::new();
    let first = scratch.peer().await;
    let error = scratch.builder().bind(("127.0.0.1", 0)).await.expect_err("in use");
    assert!(matches!(error, BindError::State(StateError::InUse { .. })), "{error:?}");
    first.close().await;
    scratch.peer().await.close().await;
}

#[tokio::test]
async fn corrupted_files_keep_no_peer_from_starting() {
    let scratch = Scratch::new();
    scratch.peer().await.close().await;
    fs::write(scratch.0.join("identity"), "nonsense").expect("there");
    fs::write(scratch.0.join("members"), "nonsense").expect("there");
    scratch.peer().await.close().await;
    for name in ["identity.corrupt-1", "members.corrupt-1"] {
        assert_eq!(fs::read_to_string(scratch.0.join(name)).expect("set aside"), "nonsense");
    }
    assert!(fs::read_to_string(scratch.0.join("identity")).expect("a fresh one").starts_with("cicada identity 1\n"));
}

#[tokio::test]
async fn a_directory_that_cannot_be_made_is_told() {
    let scratch = Scratch::new();
    fs::write(&scratch.0, "a file").expect("written");
    let error = SwarmPeer::builder().state(scratch.0.join("below")).bind(("127.0.0.1", 0)).await.expect_err("no directory");
    assert!(matches!(error, BindError::State(StateError::Directory { .. })), "{error:?}");
    fs::remove_file(&scratch.0).expect("there");
}
