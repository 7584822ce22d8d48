//! Stub to be replaced: broadcasts.
