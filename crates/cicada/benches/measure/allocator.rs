//! The allocator of the program `cicada`, so that what is measured is what that does; what it is compared with has the same.

use mimalloc::MiMalloc;

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;
