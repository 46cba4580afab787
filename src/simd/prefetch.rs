//! Prefetching.

#[cfg(target_arch = "aarch64")]
use std::arch::asm;
#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::{_MM_HINT_T0, _MM_HINT_T1, _mm_prefetch};

/// Prefetches the cache line that holds `at`. Any address is allowed: nothing is read that the
/// program could see, and an address that is not mapped is ignored.
#[inline(always)]
pub(crate) fn prefetch<T>(at: *const T) {
    #[cfg(target_arch = "x86_64")]
    into::<_MM_HINT_T0, T>(at);
    #[cfg(target_arch = "aarch64")]
    // SAFETY: the instruction faults for no address and changes no register.
    unsafe {
        asm!("prfm pldl1keep, [{}]", in(reg) at, options(nomem, nostack, preserves_flags))
    };
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    let _ = at;
}

/// The same, into the second-level cache.
#[inline(always)]
pub(crate) fn prefetch_far<T>(at: *const T) {
    #[cfg(target_arch = "x86_64")]
    into::<_MM_HINT_T1, T>(at);
    #[cfg(target_arch = "aarch64")]
    // SAFETY: as above.
    unsafe {
        asm!("prfm pldl2keep, [{}]", in(reg) at, options(nomem, nostack, preserves_flags))
    };
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    let _ = at;
}

#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn into<const LEVEL: i32, T>(at: *const T) {
    // SAFETY: every x86-64 has the instruction, and it faults for no address.
    unsafe { _mm_prefetch::<LEVEL>(at.cast()) }
}
