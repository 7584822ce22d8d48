use super::*;

fn text(text: &str) -> Result<SocketAddr, ResolveError> {
    HostPort::from(text).without_waiting()
}

#[test]
fn addresses_are_read_in_every_form_without_asking_anybody() {
    let v4: SocketAddr = "127.0.0.1:5000".parse().expect("an address");
    let v6: SocketAddr = "[::1]:5000".parse().expect("an address");
    assert_eq!(text("127.0.0.1:5000").expect("v4"), v4);
    assert_eq!(text("[::1]:5000").expect("v6"), v6);
    for (host, wanted) in [("127.0.0.1", v4), ("::1", v6), ("[::1]", v6), ("::ffff:127.0.0.1", v4)] {
        assert_eq!(HostPort::from((host, 5000)).without_waiting().expect(host), wanted);
    }
}

#[test]
fn what_is_no_address_is_refused_with_what_was_given() {
    for wrong in ["", "127.0.0.1", "127.0.0.1:", "127.0.0.1:70000", "::1:5000", "[::1]", "[::1]:x"] {
        let error = text(wrong).expect_err(wrong).to_string();
        assert!(error.contains("is not an address") && error.contains(wrong), "{error}");
    }
    assert!(matches!(text("somewhere:5000"), Err(ResolveError::WouldWait { .. })));
}

#[tokio::test]
async fn a_name_with_two_families_gives_v4_first() {
    let (port, addresses) = HostPort::from(("localhost", 5000)).resolve().await.expect("every machine knows localhost");
    assert_eq!(port, 5000);
    assert!(addresses[0].is_ipv4(), "{addresses:?}");
}

#[tokio::test]
async fn an_unknown_name_is_told_by_its_name() {
    let error = HostPort::from(("nowhere.invalid", 5000)).resolve().await.expect_err("RFC 6761 keeps it unknown");
    assert!(error.to_string().contains("\"nowhere.invalid\" cannot be resolved"), "{error}");
}

#[tokio::test]
async fn a_target_by_address_is_the_hash_of_its_text() {
    let found = Target::from(("127.0.0.1", 49610)).candidates().await.expect("an address");
    assert_eq!(found[0].id, Hash::of("127.0.0.1:49610"));
    let id = Hash::of("x");
    assert_eq!(Target::from(id).candidates().await.expect("an id"), [Candidate { id, address: None }]);
}
