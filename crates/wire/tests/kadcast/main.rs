//! The laws of the Kadcast dialect: its bytes are those of the published crate, what is written can be read, what cannot be is refused.

mod golden;
mod hostile;
mod round_trip;
