//! Stub to be replaced: unicasts and receipts.
