//! What every message's coding shares: CBOR with numbered fields (RFC 8949), and byte strings of fixed length.

use crate::{
    address::Address,
    hash::{Hash, Offset, Reach},
    identity::{PublicKey, Signature},
    refusal::Refusal,
    uint::U256,
};
use minicbor::{
    CborLen, Decode, Decoder, Encode, Encoder,
    decode::Error as DecodeError,
    encode::{Error as EncodeError, Write},
};

/// The bytes are no message of ours. Says where and what, for logs; peers are told [`Refusal::Malformed`] or [`Refusal::TooLarge`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}")]
#[non_exhaustive]
pub struct ParseError {
    /// The counted reason.
    pub refusal: Refusal,
    /// What was wrong, for people.
    pub what: String,
}

impl ParseError {
    pub(crate) fn malformed(what: impl Into<String>) -> Self {
        Self { refusal: Refusal::Malformed, what: what.into() }
    }

    pub(crate) fn too_large(what: impl Into<String>) -> Self {
        Self { refusal: Refusal::TooLarge, what: what.into() }
    }
}

impl From<DecodeError> for ParseError {
    fn from(error: DecodeError) -> Self {
        Self::malformed(error.to_string())
    }
}

/// What nearly all heads have room in, those that open a session among them: room that is made once.
pub(crate) const HEAD_ROOM: usize = 512;

/// Encodes into a fresh vector. Writing into memory cannot fail.
pub(crate) fn encode<T: Encode<()>>(value: &T) -> Vec<u8> {
    let mut bytes = Vec::new();
    append(value, &mut bytes);
    bytes
}

/// Encodes one value after what is in `bytes`.
pub(crate) fn append<T: Encode<()>>(value: &T, bytes: &mut Vec<u8>) {
    minicbor::encode(value, bytes).unwrap_or_else(|error: EncodeError<std::convert::Infallible>| unreachable!("{error}"));
}

/// Decodes one value and insists that nothing follows it.
pub(crate) fn decode_all<'b, T: Decode<'b, ()>>(bytes: &'b [u8]) -> Result<T, ParseError> {
    let mut decoder = Decoder::new(bytes);
    let value = decoder.decode()?;
    if decoder.position() != bytes.len() {
        return Err(ParseError::malformed("bytes after the end of the message"));
    }
    Ok(value)
}

/// Checks a list's length after decoding; the decoder itself is bounded by the message's bytes.
pub(crate) fn at_most<T>(list: &[T], limit: usize, what: &'static str) -> Result<(), DecodeError> {
    if list.len() > limit { Err(DecodeError::message(what)) } else { Ok(()) }
}

/// Names of one length in one byte string.
pub(crate) mod side_by_side {
    use minicbor::{
        CborLen, Decoder, Encoder,
        decode::Error as DecodeError,
        encode::{Error as EncodeError, Write},
    };

    pub(crate) fn encode<const N: usize, W: Write>(
        names: impl Iterator<Item = [u8; N]>,
        e: &mut Encoder<W>,
    ) -> Result<(), EncodeError<W::Error>> {
        let bytes: Vec<u8> = names.flatten().collect();
        e.bytes(&bytes)?.ok()
    }

    pub(crate) fn decode<'b, const N: usize>(d: &mut Decoder<'b>) -> Result<&'b [[u8; N]], DecodeError> {
        let (names, rest) = d.bytes()?.as_chunks();
        if rest.is_empty() { Ok(names) } else { Err(DecodeError::message("half a name")) }
    }

    pub(crate) fn cbor_len<const N: usize, C>(count: usize, context: &mut C) -> usize {
        let length = count * N;
        length.cbor_len(context) + length
    }
}

macro_rules! as_bytes {
    ($type:ty, $length:literal, |$value:ident| $to:expr, |$bytes:ident| $from:expr) => {
        impl<C> Encode<C> for $type {
            fn encode<W: Write>(&self, e: &mut Encoder<W>, _: &mut C) -> Result<(), EncodeError<W::Error>> {
                let $value = self;
                e.bytes(&$to)?.ok()
            }
        }
        impl<'b, C> Decode<'b, C> for $type {
            fn decode(d: &mut Decoder<'b>, _: &mut C) -> Result<Self, DecodeError> {
                let $bytes: [u8; $length] =
                    d.bytes()?.try_into().map_err(|_| DecodeError::message(concat!("expected ", $length, " bytes")))?;
                Ok($from)
            }
        }
        impl<C> CborLen<C> for $type {
            fn cbor_len(&self, _: &mut C) -> usize {
                if $length < 24 { 1 + $length } else { 2 + $length }
            }
        }
    };
}
pub(crate) use as_bytes;

as_bytes!(Hash, 32, |hash| hash.to_bytes(), |bytes| Hash::from_bytes(bytes));
as_bytes!(Offset, 32, |offset| offset.0.to_be_bytes(), |bytes| Offset(U256::from_be_bytes(bytes)));
as_bytes!(PublicKey, 32, |key| key.0, |bytes| PublicKey(bytes));
as_bytes!(Signature, 64, |signature| signature.0, |bytes| Signature(bytes));

impl<C> Encode<C> for Reach {
    fn encode<W: Write>(&self, e: &mut Encoder<W>, _: &mut C) -> Result<(), EncodeError<W::Error>> {
        e.bytes(&self.to_bytes())?.ok()
    }
}

impl<'b, C> Decode<'b, C> for Reach {
    fn decode(d: &mut Decoder<'b>, _: &mut C) -> Result<Self, DecodeError> {
        Self::from_bytes(d.bytes()?).ok_or_else(|| DecodeError::message("not a reach"))
    }
}

impl<C> CborLen<C> for Reach {
    fn cbor_len(&self, _: &mut C) -> usize {
        let length = self.to_bytes().len();
        if length < 24 { 1 + length } else { 2 + length }
    }
}

impl<C> Encode<C> for Address {
    fn encode<W: Write>(&self, e: &mut Encoder<W>, _: &mut C) -> Result<(), EncodeError<W::Error>> {
        e.bytes(&self.to_bytes())?.ok()
    }
}

impl<'b, C> Decode<'b, C> for Address {
    fn decode(d: &mut Decoder<'b>, _: &mut C) -> Result<Self, DecodeError> {
        Self::from_bytes(d.bytes()?).ok_or_else(|| DecodeError::message("not an address that a peer can announce"))
    }
}

impl<C> CborLen<C> for Address {
    fn cbor_len(&self, _: &mut C) -> usize {
        1 + self.to_bytes().len()
    }
}

impl<C> Encode<C> for Refusal {
    fn encode<W: Write>(&self, e: &mut Encoder<W>, _: &mut C) -> Result<(), EncodeError<W::Error>> {
        e.u16(self.number())?.ok()
    }
}

impl<'b, C> Decode<'b, C> for Refusal {
    fn decode(d: &mut Decoder<'b>, _: &mut C) -> Result<Self, DecodeError> {
        Ok(Self::from_number(d.u16()?))
    }
}

impl<C> CborLen<C> for Refusal {
    fn cbor_len(&self, context: &mut C) -> usize {
        self.number().cbor_len(context)
    }
}

/// A closed set of small numbers: unknown numbers are refused.
macro_rules! numbered {
    ($type:ty { $($variant:ident = $number:literal),+ $(,)? }) => {
        impl $type {
            /// The number on the wire.
            #[must_use]
            pub fn number(self) -> u8 {
                match self { $(Self::$variant => $number),+ }
            }
        }
        impl<C> minicbor::Encode<C> for $type {
            fn encode<W: minicbor::encode::Write>(
                &self, e: &mut minicbor::Encoder<W>, _: &mut C,
            ) -> Result<(), minicbor::encode::Error<W::Error>> {
                e.u8(self.number())?.ok()
            }
        }
        impl<'b, C> minicbor::Decode<'b, C> for $type {
            fn decode(d: &mut minicbor::Decoder<'b>, _: &mut C) -> Result<Self, minicbor::decode::Error> {
                match d.u8()? {
                    $($number => Ok(Self::$variant),)+
                    _ => Err(minicbor::decode::Error::message(concat!("unknown number of ", stringify!($type)))),
                }
            }
        }
        impl<C> minicbor::CborLen<C> for $type {
            fn cbor_len(&self, context: &mut C) -> usize {
                self.number().cbor_len(context)
            }
        }
    };
}
pub(crate) use numbered;
