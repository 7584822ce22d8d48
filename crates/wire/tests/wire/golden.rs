//! Ids as people write them: the values of the original's documents, decimal, hexadecimal, and the texts of addresses.

use crate::strategies::*;
use cicada_wire::*;
use proptest::prelude::*;

/// Address, and the id that the original Cicada's documents give it.
const ORIGINAL: [(&str, &str); 3] = [
    ("75.23.66.101:7000", "24355304810235874286134060455083535315455785472150272366747243996307578662525"),
    ("127.0.0.1:49610", "87159787153379483588818061537502110412873907886241733586265053445003160665656"),
    ("127.0.0.1:49611", "101669959104449665299926064409916089638664220648595495307508962849286675657183"),
];

#[test]
fn ids_of_addresses_are_those_of_the_original() {
    for (text, decimal) in ORIGINAL {
        let address: Address = text.parse().unwrap();
        assert_eq!(Hash::of(text).decimal(), decimal);
        assert_eq!(address.id(), Hash::of(text));
        assert_eq!(Hash::from_hashed(decimal), Ok(address.id()));
        assert_eq!(Origin::of_address(address).id(), address.id());
    }
}

#[test]
fn the_id_of_an_ipv6_address_is_that_of_its_text_in_brackets() {
    // Computed apart: printf '[2001:db8::1]:7000' | sha256sum
    let hex = "8e76fe7f28aac2e231d06056568d498719c0d465868e6c01c808e9c2a4c9a5ea";
    for text in ["[2001:db8::1]:7000", "[2001:0DB8:0:0::0001]:7000", "[2001:db8:0:0:0:0:0:1]:7000"] {
        let address: Address = text.parse().unwrap();
        assert_eq!(address.to_string(), "[2001:db8::1]:7000");
        assert_eq!(address.id().to_string(), hex);
    }
}

/// What is written, and its one canonical text (RFC 5952, sections 4 and 6).
const TEXTS: [(&str, &str); 9] = [
    ("[2001:db8:0:0:1:0:0:1]:7000", "[2001:db8::1:0:0:1]:7000"),
    ("[2001:db8:0:1:1:1:1:1]:7000", "[2001:db8:0:1:1:1:1:1]:7000"),
    ("[2001:0:0:1:0:0:0:1]:7000", "[2001:0:0:1::1]:7000"),
    ("[2001:DB8::A]:7000", "[2001:db8::a]:7000"),
    ("[0:0:0:0:0:0:0:1]:7000", "[::1]:7000"),
    ("[fe80::1]:7000", "[fe80::1]:7000"),
    ("[::ffff:75.23.66.101]:7000", "75.23.66.101:7000"),
    ("[::ffff:4b17:4265]:7000", "75.23.66.101:7000"),
    ("75.23.66.101:7000", "75.23.66.101:7000"),
];

#[test]
fn an_address_has_one_text_whatever_way_it_was_written() {
    for (written, canonical) in TEXTS {
        let address: Address = written.parse().unwrap();
        assert_eq!(address.to_string(), canonical);
        assert_eq!(address.id(), Hash::of(canonical));
    }
}

#[test]
fn addresses_that_nobody_could_send_to_are_refused_with_their_reason() {
    let refused = [
        ("0.0.0.0:7000", AddressError::Unspecified),
        ("[::]:7000", AddressError::Unspecified),
        ("[::ffff:0.0.0.0]:7000", AddressError::Unspecified),
        ("224.0.0.1:7000", AddressError::Multicast),
        ("[ff02::1]:7000", AddressError::Multicast),
        ("[::ffff:224.0.0.1]:7000", AddressError::Multicast),
        ("255.255.255.255:7000", AddressError::Broadcast),
        ("127.0.0.1:0", AddressError::Port),
        ("[fe80::1%3]:7000", AddressError::Scope),
        ("2001:db8::1:7000", AddressError::Text),
        ("127.0.0.1", AddressError::Text),
        ("localhost:7000", AddressError::Text),
        ("127.0.0.1:65536", AddressError::Text),
        ("127.0.0.01:7000", AddressError::Text),
        ("", AddressError::Text),
    ];
    for (text, error) in refused {
        assert_eq!(text.parse::<Address>(), Err(error), "{text}");
    }
}

#[test]
fn ids_are_read_in_decimal_and_in_hexadecimal() {
    let eleven = Hash(U256::from_decimal("11").unwrap());
    for text in ["11", "0011", "0xb", "0x0B", "000000000000000000000000000000000000000000000000000000000000000b"] {
        assert_eq!(Hash::from_hashed(text), Ok(eleven), "{text}");
        assert_eq!(text.parse(), Ok(eleven), "{text}");
    }
}

#[test]
fn texts_that_are_no_ids_are_refused() {
    let too_large = "115792089237316195423570985008687907853269984665640564039457584007913129639936";
    let largest = "115792089237316195423570985008687907853269984665640564039457584007913129639935";
    assert_eq!(Hash::from_hashed(largest), Ok(Hash(U256::MAX)));
    let hex_too_long = format!("0x1{}", "0".repeat(64));
    let not_hex = "g".repeat(64);
    let not_ascii = "ä".repeat(32);
    for text in ["", " 1", "1 ", "+1", "-1", "0x", "1a", "b", "0xg", "0x+1", too_large, &hex_too_long, &not_hex, &not_ascii] {
        assert!(Hash::from_hashed(text).is_err(), "{text}");
    }
}

proptest! {
    #[test]
    fn an_id_comes_back_from_its_hexadecimal_and_decimal_text(hash in hashes()) {
        prop_assert_eq!(Hash::from_hashed(&hash.to_string()), Ok(hash));
        prop_assert_eq!(Hash::from_hashed(&format!("0x{:x}", hash.0)), Ok(hash));
        let decimal = hash.decimal();
        // 64 digits without 0x are hexadecimal, since that is how ids are displayed: one decimal in 10^13 is that long.
        if decimal.len() != 64 {
            prop_assert_eq!(Hash::from_hashed(&decimal), Ok(hash));
        }
        prop_assert_eq!(U256::from_decimal(&decimal), Some(hash.0));
        prop_assert_eq!(Hash::from_bytes(hash.to_bytes()), hash);
    }

    #[test]
    fn an_address_comes_back_from_its_text(address in addresses()) {
        prop_assert_eq!(address.to_string().parse(), Ok(address));
        prop_assert_eq!(Address::new(address.socket()), Ok(address));
    }

    #[test]
    fn reading_an_id_or_an_address_never_panics(text in "\\PC{0,80}") {
        let _ = (Hash::from_hashed(&text), text.parse::<Address>());
    }
}
