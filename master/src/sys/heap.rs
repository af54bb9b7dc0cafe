//! Memory that the allocator keeps for later. Starting takes more of it than running: what was read, parsed and handed on.

/// Gives free pages of the heap back to the system, of all threads' parts of it. Takes about a millisecond.
///
/// The allocator of glibc by itself only gives back what is free at the top; others are left to what they do.
#[cfg_attr(
    target_env = "gnu",
    expect(unsafe_code, reason = "no safe wrapper offers the call")
)]
pub fn release_heap() {
    // SAFETY: it takes the allocator's own locks, and touches nothing that is in use. What it returns is only whether there
    // was anything to give back.
    #[cfg(target_env = "gnu")]
    unsafe {
        libc::malloc_trim(0);
    }
}
