//! Numbers of resource limits.

use super::check;
use std::io;

/// The soft and hard limit of a resource of this process; `u64::MAX` is unlimited.
pub(crate) fn get(resource: u32) -> io::Result<(u64, u64)> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` lives across the call.
    check(unsafe { libc::getrlimit(resource, &mut limit) })?;
    Ok((limit.rlim_cur, limit.rlim_max))
}
