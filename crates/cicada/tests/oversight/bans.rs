use crate::{loopback, until};
use cicada::{ConnectError, ConnectOptions, Refusal, SwarmPeer, Who};
use std::time::Duration;

#[tokio::test]
async fn a_ban_ends_the_link_and_refuses_the_banned_until_it_is_lifted() {
    let (a, b) = (loopback().await, loopback().await);
    b.connect(a.listener()).await.expect("control: joined");
    a.ban(b.key(), None).await.expect("open");
    until("the banned is gone from the tables", async || a.peers().is_empty()).await;
    // The news of the closed link may still be on its way to the banned.
    until("the banned is refused", async || {
        let options = ConnectOptions::default().with_timeout(Duration::from_secs(2));
        let refused = b.connect_with([a.listener()], &options).await;
        matches!(refused, Err(ConnectError::Refused { reason: Refusal::Denied, .. }))
    })
    .await;
    let banned = a.banned().await.expect("open");
    assert_eq!(banned.len(), 1);
    assert_eq!((banned[0].who, banned[0].left), (Who::Key(b.key()), None));
    assert!(a.refusals().await.expect("open").of(Refusal::Denied) > 0);
    assert!(a.unban(b.key()).await.expect("open"));
    assert!(!a.unban(b.key()).await.expect("open"), "there is none any more");
    b.connect(a.listener()).await.expect("joined again");
    b.close().await;
    a.close().await;
}

#[tokio::test]
async fn whom_a_list_denies_by_address_does_not_come_in() {
    let deny: Who = "127.0.0.0/8".parse().expect("a subnet");
    let a = SwarmPeer::builder().deny([deny]).bind(("127.0.0.1", 0)).await.expect("bound");
    let b = loopback().await;
    let options = ConnectOptions::default().with_timeout(Duration::from_millis(500));
    let error = b.connect_with([a.listener()], &options).await.expect_err("denied");
    assert!(matches!(error, ConnectError::TimedOut { .. }), "{error}");
    assert!(a.refusals().await.expect("open").of(Refusal::Denied) > 0);
    let allow: Who = "127.0.0.0/8".parse().expect("a subnet");
    let open = SwarmPeer::builder().allow([allow]).bind(("127.0.0.1", 0)).await.expect("bound");
    b.connect(open.listener()).await.expect("control: allowed");
    for peer in [a, b, open] {
        peer.close().await;
    }
}
