//! Nothing to call: this crate is its tests, which read the tree and say what is untidy.
//!
//! They live in `tests/tree`, one module for each rule, each with a control that shows the rule
//! catching a bad sample. To see what they hold, run `cargo test -p cicada-tidy`.
