//! Integers from C become choices here, and unknown ones are refused.

use crate::options::*;
use crate::ptr::Operation;
use crate::status::invalid;
use procs::{Error, Resource, Result, SignalPolicy, TreeLevel};
use std::ffi::c_int;
use std::time::Duration;

use procs_limit_policy::*;
use procs_sink_kind::*;
use procs_stdio_kind::*;

/// Every value of `procs_stdio_kind`, at the index of its number.
pub(crate) const STDIO: &[procs_stdio_kind] = &[
    PROCS_STDIO_DEFAULT,
    PROCS_STDIO_INHERIT,
    PROCS_STDIO_NULL,
    PROCS_STDIO_PIPE,
    PROCS_STDIO_FD,
    PROCS_STDIO_READ_FILE,
    PROCS_STDIO_WRITE_FILE,
    PROCS_STDIO_APPEND_FILE,
    PROCS_STDIO_SAME_AS,
];

/// Every value of `procs_limit_policy`, at the index of its number.
pub(crate) const LIMITS: &[procs_limit_policy] = &[PROCS_LIMIT_ERROR, PROCS_LIMIT_NONE, PROCS_LIMIT_HEAD, PROCS_LIMIT_TAIL, PROCS_LIMIT_SPILL];

/// Every value of `procs_sink_kind`, at the index of its number.
pub(crate) const SINKS: &[procs_sink_kind] =
    &[PROCS_SINK_BUFFER, PROCS_SINK_DISCARD, PROCS_SINK_FD, PROCS_SINK_FILE, PROCS_SINK_APPEND, PROCS_SINK_CALLBACK];

/// Every resource, at the index of the number of its `procs_resource`.
const RESOURCES: &[Resource] = &[
    Resource::AddressSpace,
    Resource::Core,
    Resource::Cpu,
    Resource::Data,
    Resource::FileSize,
    Resource::Locks,
    Resource::MemLock,
    Resource::MsgQueue,
    Resource::Nice,
    Resource::NoFile,
    Resource::NProc,
    Resource::Rss,
    Resource::RtPrio,
    Resource::RtTime,
    Resource::SigPending,
    Resource::Stack,
];

/// The refusal of a value that no choice has.
pub(crate) fn unknown(operation: Operation, name: &str, value: c_int) -> Error {
    invalid(operation, format!("an unknown choice ({name} = {value})"))
}

/// The choice with this number.
pub(crate) fn find<T: Copy>(operation: Operation, name: &str, value: c_int, all: &[T]) -> Result<T> {
    usize::try_from(value).ok().and_then(|index| all.get(index)).copied().ok_or_else(|| unknown(operation, name, value))
}

/// A resource limit.
pub(crate) fn resource(operation: Operation, value: c_int) -> Result<Resource> {
    find(operation, "procs_rlimit.resource", value, RESOURCES)
}

/// A signal policy.
pub(crate) fn signal_policy(operation: Operation, value: c_int) -> Result<SignalPolicy> {
    find(operation, "signals", value, &[SignalPolicy::Default, SignalPolicy::Inherit, SignalPolicy::RestorePython])
}

/// A tree level; `None` is the strongest.
pub(crate) fn tree_level(operation: Operation, value: c_int) -> Result<Option<TreeLevel>> {
    let levels = [None, Some(TreeLevel::Process), Some(TreeLevel::Group), Some(TreeLevel::Walk), Some(TreeLevel::Cgroup)];
    find(operation, "tree_level", value, &levels)
}

/// The number of a tree level.
pub(crate) fn tree_level_number(level: TreeLevel) -> c_int {
    use procs_tree_level::*;
    match level {
        TreeLevel::Process => PROCS_TREE_PROCESS as c_int,
        TreeLevel::Group => PROCS_TREE_GROUP as c_int,
        TreeLevel::Walk => PROCS_TREE_WALK as c_int,
        TreeLevel::Cgroup => PROCS_TREE_CGROUP as c_int,
    }
}

/// 1 or 0.
pub(crate) fn yes(operation: Operation, name: &str, value: c_int) -> Result<bool> {
    match value {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(invalid(operation, format!("neither yes nor no ({name} = {value}, expected 0 or 1)"))),
    }
}

/// A field that must be 0 so that a later version can give it a meaning.
pub(crate) fn reserved(operation: Operation, name: &str, value: c_int) -> Result<()> {
    if value == 0 { Ok(()) } else { Err(invalid(operation, format!("a reserved field is used ({name} = {value}, expected 0)"))) }
}

/// The refusal of a number that is no descriptor.
pub(crate) fn not_an_fd(operation: Operation, name: &str, value: c_int) -> Error {
    invalid(operation, format!("not a descriptor ({name} = {value})"))
}

/// A signal to send; 1 to 64.
pub(crate) fn signal(operation: Operation, name: &str, value: c_int) -> Result<i32> {
    if (1..=64).contains(&value) {
        return Ok(value);
    }
    Err(invalid(operation, format!("not a signal ({name} = {value}, expected 1 to 64)")))
}

/// Milliseconds; `None` for -1, no limit.
#[inline]
pub(crate) fn timeout(operation: Operation, name: &str, value: i64) -> Result<Option<Duration>> {
    match u64::try_from(value) {
        Ok(value) => Ok(Some(Duration::from_millis(value))),
        Err(_) if value == -1 => Ok(None),
        Err(_) => Err(invalid(operation, format!("not a time ({name} = {value}, expected milliseconds or -1)"))),
    }
}

/// Milliseconds without "no limit".
pub(crate) fn whole_timeout(operation: Operation, name: &str, value: i64) -> Result<Duration> {
    let refused = || invalid(operation, format!("not a time ({name} = {value}, expected milliseconds)"));
    u64::try_from(value).map(Duration::from_millis).map_err(|_| refused())
}

/// A user or group id; `None` for -1, unchanged. 2^32 - 1 means "unchanged" to the system and is refused.
pub(crate) fn id(operation: Operation, name: &str, value: i64) -> Result<Option<u32>> {
    match u32::try_from(value) {
        Ok(id) if id != u32::MAX => Ok(Some(id)),
        Err(_) if value == -1 => Ok(None),
        _ => Err(invalid(operation, format!("not an id ({name} = {value})"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_hold_each_choice_at_its_number() {
        assert!(STDIO.iter().enumerate().all(|(index, &kind)| kind as usize == index));
        assert!(LIMITS.iter().enumerate().all(|(index, &policy)| policy as usize == index));
        assert!(SINKS.iter().enumerate().all(|(index, &kind)| kind as usize == index));
        assert_eq!(RESOURCES[procs_resource::PROCS_RESOURCE_STACK as usize], Resource::Stack);
        assert_eq!(RESOURCES[procs_resource::PROCS_RESOURCE_OPEN_FILES as usize], Resource::NoFile);
        assert_eq!(RESOURCES[procs_resource::PROCS_RESOURCE_FILE_SIZE as usize], Resource::FileSize);
        for &level in TreeLevel::ALL {
            assert_eq!(tree_level("test", tree_level_number(level)).unwrap(), Some(level));
        }
    }

    #[test]
    fn numbers_out_of_range_are_refused() {
        assert!(find("test", "x", -1, STDIO).is_err());
        assert!(find("test", "x", 9, STDIO).is_err());
        assert!(yes("test", "x", 2).is_err());
        assert!(timeout("test", "x", -2).is_err());
        assert!(timeout("test", "x", i64::MIN).is_err());
        assert_eq!(timeout("test", "x", -1).unwrap(), None);
        assert_eq!(timeout("test", "x", i64::MAX).unwrap(), Some(Duration::from_millis(i64::MAX as u64)));
        assert!(whole_timeout("test", "x", -1).is_err());
        assert!(id("test", "uid", 1 << 32).is_err());
        assert!(id("test", "uid", i64::from(u32::MAX)).is_err());
        assert!(signal("test", "x", 65).is_err());
    }
}
