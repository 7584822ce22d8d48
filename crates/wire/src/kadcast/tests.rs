//! The laws of the dialect.
