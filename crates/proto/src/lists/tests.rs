use super::*;

const NOW: Instant = Instant(1_000_000);

fn who(text: &str) -> Who {
    text.parse().unwrap_or_else(|error| panic!("{error}"))
}

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an IP address")
}

const KEY: PublicKey = PublicKey([0xab; 32]);
const OTHER_KEY: PublicKey = PublicKey([0xcd; 32]);

#[test]
fn an_entry_is_written_as_it_is_read() {
    for text in ["10.1.2.3", "10.0.0.0/8", "0.0.0.0/0", "1.2.3.4/32", "2001:db8::/32", "::1", "::/0", &"ab".repeat(32)] {
        assert_eq!(who(text).to_string(), text);
    }
    assert_eq!(who(" ::ffff:10.1.2.3 "), who("10.1.2.3"));
}

#[test]
fn a_wrong_entry_is_refused_with_what_is_wrong_with_it() {
    for (text, part) in [
        ("", "names nobody"),
        ("localhost", "names nobody"),
        ("10.0.0", "names nobody"),
        ("10.0.0.1:4000", "names nobody"),
        ("x/8", "names nobody"),
        ("10.0.0.0/33", "from 0 to 32"),
        ("10.0.0.0/", "from 0 to 32"),
        ("10.0.0.0/-1", "from 0 to 32"),
        ("10.0.0.0/+8", "from 0 to 32"),
        ("::/129", "from 0 to 128"),
        ("10.1.0.0/8", "the subnet is 10.0.0.0/8"),
        ("2001:db8::1/32", "the subnet is 2001:db8::/32"),
        ("abcdef", "64 hexadecimal digits, this has 6"),
    ] {
        let error = text.parse::<Who>().expect_err(text).to_string();
        assert!(error.contains(part), "{text}: {error}");
    }
}

#[test]
fn a_subnet_holds_its_own_addresses_only() {
    let subnet: Subnet = "192.168.4.0/22".parse().expect("a subnet");
    assert!(subnet.contains(ip("192.168.7.255")));
    assert!(subnet.contains(ip("::ffff:192.168.4.1")));
    assert!(!subnet.contains(ip("192.168.8.0")));
    assert!(!subnet.contains(ip("::1")));
    assert!(Subnet::new(ip("9.9.9.9"), 0).expect("a length").contains(ip("1.1.1.1")));
    assert_eq!(Subnet::around(ip("9.9.9.9")).to_string(), "9.9.9.0/24");
    assert_eq!(Subnet::around(ip("2a00:1:2:3::4")).to_string(), "2a00:1:2::/48");
}

#[test]
fn without_lists_everybody_is_admitted() {
    let lists = AccessList::default();
    assert!(lists.is_empty() && lists.may_knock(NOW, ip("9.9.9.9")) && lists.admits(NOW, None, KEY));
}

#[test]
fn who_is_denied_by_address_subnet_or_key_is_not_admitted() {
    let lists = AccessList::new(Vec::new(), vec![who("9.9.9.9"), who("10.0.0.0/8"), Who::Key(KEY)]);
    assert!(!lists.may_knock(NOW, ip("9.9.9.9")));
    assert!(!lists.may_knock(NOW, ip("10.200.0.1")));
    assert!(lists.may_knock(NOW, ip("9.9.9.8")));
    assert!(!lists.admits(NOW, Some(ip("9.9.9.8")), KEY));
    assert!(lists.admits(NOW, Some(ip("9.9.9.8")), OTHER_KEY), "control");
}

#[test]
fn an_allow_list_admits_by_address_or_by_key_and_nobody_else() {
    let lists = AccessList::new(vec![who("10.0.0.0/8")], Vec::new());
    assert!(lists.may_knock(NOW, ip("10.1.1.1")) && !lists.may_knock(NOW, ip("9.9.9.9")));
    let lists = AccessList::new(vec![who("10.0.0.0/8"), Who::Key(KEY)], Vec::new());
    assert!(lists.may_knock(NOW, ip("9.9.9.9")), "it may have the key");
    assert!(lists.admits(NOW, Some(ip("9.9.9.9")), KEY));
    assert!(!lists.admits(NOW, Some(ip("9.9.9.9")), OTHER_KEY));
    assert!(lists.admits(NOW, Some(ip("10.1.1.1")), OTHER_KEY));
}

#[test]
fn deny_wins_over_allow() {
    let lists = AccessList::new(vec![who("10.0.0.0/8")], vec![who("10.1.0.0/16")]);
    assert!(lists.may_knock(NOW, ip("10.2.0.1")) && !lists.may_knock(NOW, ip("10.1.0.1")));
}

#[test]
fn a_ban_ends_with_its_time_or_when_it_is_lifted() {
    let mut lists = AccessList::default();
    lists.ban(NOW, who("9.9.9.9"), Some(Duration::from_secs(10)), 8);
    lists.ban(NOW, Who::Key(KEY), None, 8);
    let late = NOW + Duration::from_secs(10);
    assert!(!lists.may_knock(Instant(late.0 - 1), ip("9.9.9.9")));
    assert!(lists.may_knock(late, ip("9.9.9.9")));
    assert_eq!(lists.banned(NOW).len(), 2);
    assert_eq!(lists.banned(late), [Ban { who: Who::Key(KEY), left: None }]);
    assert!(lists.unban(late, &Who::Key(KEY)) && !lists.unban(late, &Who::Key(KEY)));
    assert!(lists.admits(late, None, KEY) && lists.is_empty());
}

#[test]
fn bans_are_bounded_and_the_first_to_end_goes() {
    let mut lists = AccessList::default();
    for last in 1..=3 {
        lists.ban(NOW, who(&format!("9.9.9.{last}")), Some(Duration::from_secs(10 * last)), 2);
    }
    let left: Vec<String> = lists.banned(NOW).iter().map(|ban| ban.who.to_string()).collect();
    assert_eq!(left, ["9.9.9.2", "9.9.9.3"]);
}
