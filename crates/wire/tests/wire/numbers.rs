//! Arithmetic on the circle of 2^256, against the schoolbook's on bytes, and at its boundaries.

use crate::strategies::*;
use cicada_wire::*;
use proptest::prelude::*;

/// Adds byte by byte, as on paper; the carry out of the last is lost.
fn paper_sum(a: U256, b: U256) -> U256 {
    let (a, b) = (a.to_be_bytes(), b.to_be_bytes());
    let mut sum = [0; 32];
    let mut carry = 0;
    for at in (0..32).rev() {
        let column = u16::from(a[at]) + u16::from(b[at]) + carry;
        sum[at] = column.to_be_bytes()[1];
        carry = column >> 8;
    }
    U256::from_be_bytes(sum)
}

fn inverted(a: U256) -> U256 {
    a.xor(U256::MAX)
}

proptest! {
    #[test]
    fn sums_are_those_on_paper(a in uints(), b in uints()) {
        prop_assert_eq!(a.wrapping_add(b), paper_sum(a, b));
    }

    #[test]
    fn a_difference_is_the_sum_with_the_complement(a in uints(), b in uints()) {
        prop_assert_eq!(a.wrapping_sub(b), paper_sum(paper_sum(a, inverted(b)), U256::ONE));
        prop_assert_eq!(b.wrapping_add(a.wrapping_sub(b)), a);
    }

    #[test]
    fn saturation_stops_where_wrapping_would_turn(a in uints(), b in uints()) {
        let sum = a.wrapping_add(b);
        prop_assert_eq!(a.saturating_add(b), if b > inverted(a) { U256::MAX } else { sum });
        prop_assert_eq!(a.saturating_sub(b), if a > b { a.wrapping_sub(b) } else { U256::ZERO });
    }

    #[test]
    fn exclusive_or_is_its_own_inverse_and_bytewise(a in uints(), b in uints()) {
        let bytes: Vec<u8> = a.to_be_bytes().iter().zip(b.to_be_bytes()).map(|(x, y)| x ^ y).collect();
        prop_assert_eq!(a.xor(b).to_be_bytes().to_vec(), bytes);
        prop_assert_eq!(a.xor(b).xor(b), a);
    }

    #[test]
    fn order_is_that_of_the_bytes(a in uints(), b in uints()) {
        prop_assert_eq!(a.cmp(&b), a.to_be_bytes().cmp(&b.to_be_bytes()));
    }

    #[test]
    fn the_highest_bit_bounds_the_number(a in uints()) {
        prop_assume!(a != U256::ZERO);
        let bit = a.checked_ilog2().unwrap();
        prop_assert!(a >= U256::power_of_two(bit).unwrap());
        prop_assert!(U256::power_of_two(bit + 1).is_none_or(|next| a < next));
        prop_assert_eq!(a.shifted_right(bit), U256::ONE);
        prop_assert_eq!(a.shifted_right(bit + 1), U256::ZERO);
    }

    #[test]
    fn shifting_in_two_steps_is_shifting_at_once(a in uints(), first in 0..300u32, second in 0..300u32) {
        prop_assert_eq!(a.shifted_right(first).shifted_right(second), a.shifted_right(first + second));
    }
}

#[test]
fn the_circle_closes_at_its_ends() {
    assert_eq!(U256::MAX.wrapping_add(U256::ONE), U256::ZERO);
    assert_eq!(U256::ZERO.wrapping_sub(U256::ONE), U256::MAX);
    assert_eq!(U256::MAX.wrapping_add(U256::MAX), U256::MAX.wrapping_sub(U256::ONE));
    assert_eq!(U256::MAX.saturating_add(U256::ONE), U256::MAX);
    assert_eq!(U256::ZERO.saturating_sub(U256::ONE), U256::ZERO);
}

#[test]
fn carries_cross_the_middle() {
    let low_half = U256::power_of_two(128).unwrap().wrapping_sub(U256::ONE);
    assert_eq!(low_half.to_be_bytes(), {
        let mut bytes = [0; 32];
        bytes[16..].fill(0xff);
        bytes
    });
    assert_eq!(low_half.wrapping_add(U256::ONE).checked_ilog2(), Some(128));
}

#[test]
fn powers_of_two_end_where_the_circle_does() {
    for bit in [0, 1, 127, 128, 129, 255] {
        let power = U256::power_of_two(bit).unwrap();
        assert_eq!(power.checked_ilog2(), Some(bit));
        assert_eq!(power.shifted_right(bit), U256::ONE);
    }
    assert_eq!(U256::power_of_two(256), None);
    assert_eq!(U256::power_of_two(u32::MAX), None);
    assert_eq!(U256::MAX.shifted_right(255), U256::ONE);
    assert_eq!(U256::MAX.shifted_right(256), U256::ZERO);
    assert_eq!(U256::MAX.shifted_right(0), U256::MAX);
    assert_eq!(U256::ZERO.checked_ilog2(), None);
}

#[test]
fn a_reach_of_a_height_covers_the_offsets_below_its_power_of_two() {
    assert_eq!(Reach::of_height(0), Reach::ME);
    assert_eq!(Reach::of_height(1), Reach(U256::ONE));
    assert_eq!(Reach::of_height(8), Reach(U256::from_decimal("255").unwrap()));
    assert_eq!(Reach::of_height(128).0.checked_ilog2(), Some(127));
    assert_eq!(Reach::of_height(255).0.checked_ilog2(), Some(254));
    assert_eq!(Reach::of_height(256), Reach::ALL);
    assert_eq!(Reach::of_height(u32::MAX), Reach::ALL);
    assert_eq!(Reach::of_height(200).rounded(), Reach::of_height(200));
    assert_eq!(Reach::ALL.rounded(), Reach::ALL);
    let (far, mut digits) = (Reach(U256::from_be_bytes([0x81; 32])), [0; 32]);
    digits[..8].fill(0x81);
    assert_eq!(far.rounded(), Reach(U256::from_be_bytes(digits).wrapping_sub(U256::ONE)));
    assert!(far.rounded() < far);
}
