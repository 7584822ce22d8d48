//! 256-bit unsigned integers: just the arithmetic that a circle of 2^256 ids needs.

use std::fmt;

/// A 256-bit unsigned integer.
///
/// It stands at multiples of 8 bytes and not of 16, as `u128` alone would: beside a time it would take 48 bytes instead of 40, and tables
/// of ids with times are most of what a peer remembers.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[repr(Rust, packed(8))]
pub struct U256 {
    // The derived order compares `hi` first: keep it the first field.
    hi: u128,
    lo: u128,
}

impl U256 {
    /// 0.
    pub const ZERO: Self = Self { hi: 0, lo: 0 };
    /// 1.
    pub const ONE: Self = Self { hi: 0, lo: 1 };
    /// 2^256 - 1.
    pub const MAX: Self = Self { hi: u128::MAX, lo: u128::MAX };

    /// From 32 big-endian bytes.
    #[must_use]
    pub fn from_be_bytes(bytes: [u8; 32]) -> Self {
        let (hi, lo) = bytes.split_at(16);
        let half = |part: &[u8]| u128::from_be_bytes(part.try_into().expect("each half has 16 bytes"));
        Self { hi: half(hi), lo: half(lo) }
    }

    /// As 32 big-endian bytes.
    #[must_use]
    pub fn to_be_bytes(self) -> [u8; 32] {
        let mut bytes = [0; 32];
        bytes[..16].copy_from_slice(&self.hi.to_be_bytes());
        bytes[16..].copy_from_slice(&self.lo.to_be_bytes());
        bytes
    }

    /// 2^`exponent`, or `None` from 256 on.
    #[must_use]
    pub fn power_of_two(exponent: u32) -> Option<Self> {
        match exponent {
            0..128 => Some(Self { hi: 0, lo: 1 << exponent }),
            128..256 => Some(Self { hi: 1 << (exponent - 128), lo: 0 }),
            256.. => None,
        }
    }

    /// `self + other` modulo 2^256.
    #[must_use]
    pub fn wrapping_add(self, other: Self) -> Self {
        let (lo, carry) = self.lo.overflowing_add(other.lo);
        Self { hi: self.hi.wrapping_add(other.hi).wrapping_add(u128::from(carry)), lo }
    }

    /// `self - other` modulo 2^256.
    #[must_use]
    pub fn wrapping_sub(self, other: Self) -> Self {
        let (lo, borrow) = self.lo.overflowing_sub(other.lo);
        Self { hi: self.hi.wrapping_sub(other.hi).wrapping_sub(u128::from(borrow)), lo }
    }

    /// `self - other`, but at least 0.
    #[must_use]
    pub fn saturating_sub(self, other: Self) -> Self {
        if self < other { Self::ZERO } else { self.wrapping_sub(other) }
    }

    /// `self + other`, but at most 2^256 - 1.
    #[must_use]
    pub fn saturating_add(self, other: Self) -> Self {
        let sum = self.wrapping_add(other);
        if sum < self { Self::MAX } else { sum }
    }

    /// Bitwise exclusive or.
    #[must_use]
    pub fn xor(self, other: Self) -> Self {
        Self { hi: self.hi ^ other.hi, lo: self.lo ^ other.lo }
    }

    /// `self` shifted right by `bits`; 0 from 256 on.
    #[must_use]
    pub fn shifted_right(self, bits: u32) -> Self {
        match bits {
            0 => self,
            1..128 => Self { hi: self.hi >> bits, lo: (self.lo >> bits) | (self.hi << (128 - bits)) },
            128..256 => Self { hi: 0, lo: self.hi >> (bits - 128) },
            256.. => Self::ZERO,
        }
    }

    /// The bit at this position, counted from the lowest; `false` from 256 on.
    #[must_use]
    pub fn bit(self, position: u32) -> bool {
        match position {
            0..128 => self.lo >> position & 1 == 1,
            128..256 => self.hi >> (position - 128) & 1 == 1,
            256.. => false,
        }
    }

    /// The position of the highest set bit, 0 to 255; `None` for 0.
    #[must_use]
    pub fn checked_ilog2(self) -> Option<u32> {
        self.hi.checked_ilog2().map(|bit| bit + 128).or_else(|| self.lo.checked_ilog2())
    }

    /// From decimal digits; `None` unless all are digits and the value fits.
    #[must_use]
    pub fn from_decimal(text: &str) -> Option<Self> {
        if text.is_empty() {
            return None;
        }
        text.bytes().try_fold(Self::ZERO, |value, byte| {
            let digit = byte.is_ascii_digit().then(|| byte - b'0')?;
            value.times_ten_plus(digit)
        })
    }

    fn times_ten_plus(self, digit: u8) -> Option<Self> {
        let mut limbs = self.limbs();
        let mut carry = u128::from(digit);
        for limb in limbs.iter_mut().rev() {
            let product = u128::from(*limb) * 10 + carry;
            // Truncation keeps the low 64 bits, the rest is carried.
            *limb = (product & u128::from(u64::MAX)) as u64;
            carry = product >> 64;
        }
        (carry == 0).then(|| Self::from_limbs(limbs))
    }

    fn divided_by_ten(self) -> (Self, u8) {
        let mut limbs = self.limbs();
        let mut remainder = 0u128;
        for limb in &mut limbs {
            let dividend = (remainder << 64) | u128::from(*limb);
            // The quotient fits because the remainder is below 10.
            *limb = (dividend / 10) as u64;
            remainder = dividend % 10;
        }
        (Self::from_limbs(limbs), remainder as u8)
    }

    /// The four 64-bit limbs, highest first.
    fn limbs(self) -> [u64; 4] {
        [(self.hi >> 64) as u64, self.hi as u64, (self.lo >> 64) as u64, self.lo as u64]
    }

    fn from_limbs([a, b, c, d]: [u64; 4]) -> Self {
        Self { hi: (u128::from(a) << 64) | u128::from(b), lo: (u128::from(c) << 64) | u128::from(d) }
    }
}

/// Decimal.
impl fmt::Display for U256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut digits = Vec::with_capacity(78);
        let mut rest = *self;
        loop {
            let (quotient, digit) = rest.divided_by_ten();
            digits.push(char::from(b'0' + digit));
            rest = quotient;
            if rest == Self::ZERO {
                break;
            }
        }
        f.pad_integral(true, "", &digits.iter().rev().collect::<String>())
    }
}

impl fmt::LowerHex for U256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}{:032x}", { self.hi }, { self.lo })
    }
}

impl fmt::Debug for U256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::LowerHex::fmt(self, f)
    }
}
