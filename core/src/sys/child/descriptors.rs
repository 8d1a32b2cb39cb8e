//! Putting the child's descriptors where they belong and closing all others.

use super::{Closing, Plan, Step, call, step};
use crate::error::Stage;
use core::mem::MaybeUninit;

const CLOSE_RANGE_UNSHARE: usize = 2;
const LAST: u32 = u32::MAX;

#[inline(always)]
fn source_at(plan: &Plan, index: usize) -> *mut i32 {
    // SAFETY: every caller keeps index below the number of moves, the length of the array `sources` points to.
    unsafe { plan.sources.add(index) }
}

fn is_target(plan: &Plan, fd: i32) -> bool {
    let mut index = 0;
    while let Some(entry) = plan.moves.get(index) {
        if entry.target == fd {
            return true;
        }
        index += 1;
    }
    false
}

/// Phase one lifts every source that is also somebody's target out of the way, phase two puts each where it belongs: swaps and cycles work.
/// What is closed is closed first thing or, between the sources, right after them: an exec that hangs must hold nothing of the host.
#[inline(always)]
pub(super) fn place(plan: &Plan) -> Step {
    if plan.closing == Closing::Shared {
        leave_table(plan)?;
    }
    if plan.moves.len > 0 {
        lift_sources(plan)?;
        put_sources(plan)?;
    }
    match plan.closing {
        Closing::Nothing => {}
        Closing::Shared if plan.moves.len == 0 => {}
        Closing::Shared => close_others(plan, last_source(plan))?,
        Closing::Own => close_others(plan, LAST)?,
        Closing::ByListing => close_by_listing(plan)?,
    }
    Ok(())
}

/// Turns the shared table into a copy that ends with the last source. Nothing in it was changed before.
#[inline(always)]
fn leave_table(plan: &Plan) -> Step {
    let first = if plan.moves.len > 0 { last_source(plan) + 1 } else { 3 + u32::from(keeps_pidfd(plan)) };
    step(Stage::Descriptors, call(libc::SYS_close_range, [first as usize, LAST as usize, CLOSE_RANGE_UNSHARE, 0, 0]))
}

/// Whether the child's own pidfd, close-on-exec from birth, is all that there is above the standard streams, and may stay until exec closes
/// it: a host without other descriptors saves a call.
#[inline(always)]
fn keeps_pidfd(plan: &Plan) -> bool {
    plan.pidfd == 3 && plan.parent_waits && plan.closing == Closing::Shared && plan.moves.len == 0
}

/// The highest descriptor that is taken from, or stays where it is; at least 2.
fn last_source(plan: &Plan) -> u32 {
    let mut last: i32 = 2;
    let mut index = 0;
    while let Some(entry) = plan.moves.get(index) {
        // SAFETY: index is below the number of moves; nobody else touches the array.
        let lifted = unsafe { *source_at(plan, index) };
        let stays = if entry.source < 0 { entry.target } else { entry.source };
        last = if stays > last { stays } else { last };
        last = if lifted > last { lifted } else { last };
        index += 1;
    }
    last as u32
}

/// exec closes descriptors just after it has released the parent, and offers the processor meanwhile: the parent gets it back 0.9 µs earlier
/// than at the end of exec, where the kernel does not preempt. A refusal changes nothing. The number is the last of the smallest table.
#[inline(always)]
pub(super) fn leave_one_for_exec(plan: &Plan) {
    if keeps_pidfd(plan) {
        return;
    }
    call(libc::SYS_fcntl, [0, libc::F_DUPFD_CLOEXEC as usize, 63, 0, 0]);
}

fn lift_sources(plan: &Plan) -> Step {
    let mut index = 0;
    while let Some(entry) = plan.moves.get(index) {
        if entry.source != entry.target && is_target(plan, entry.source) {
            let lifted = lift(plan, entry.source)?;
            // SAFETY: index is below the number of moves; nobody else touches the array.
            unsafe { *source_at(plan, index) = lifted };
        }
        index += 1;
    }
    Ok(())
}

fn put_sources(plan: &Plan) -> Step {
    let mut index = 0;
    while let Some(entry) = plan.moves.get(index) {
        // SAFETY: index is below the number of moves; nobody else touches the array.
        let source = unsafe { *source_at(plan, index) };
        let result = if source < 0 {
            0
        } else if source == entry.target {
            call(libc::SYS_fcntl, [source as usize, libc::F_SETFD as usize, 0, 0, 0])
        } else {
            call(libc::SYS_dup3, [source as usize, entry.target as usize, 0, 0, 0])
        };
        step(Stage::Descriptors, result)?;
        index += 1;
    }
    Ok(())
}

/// A copy of `fd` whose number is nobody's target.
fn lift(plan: &Plan, fd: i32) -> Result<i32, (Stage, isize)> {
    let mut least = 3;
    loop {
        let copy = call(libc::SYS_fcntl, [fd as usize, libc::F_DUPFD_CLOEXEC as usize, least, 0, 0]);
        step(Stage::Descriptors, copy)?;
        if !is_target(plan, copy as i32) {
            return Ok(copy as i32);
        }
        least = copy as usize + 1;
    }
}

/// Closes every descriptor from 3 to `last` that is no target, range by range between the targets (which are ascending).
fn close_others(plan: &Plan, last: u32) -> Step {
    let mut first: u32 = 3;
    let mut index = 0;
    while let Some(entry) = plan.moves.get(index) {
        index += 1;
        let target = entry.target as u32;
        if target < first {
            continue;
        }
        if target > last {
            break;
        }
        close_range(plan, first, target - 1)?;
        first = target + 1;
    }
    close_range(plan, first, last)
}

/// close_range around the held descriptor; nothing for an empty range.
fn close_range(plan: &Plan, first: u32, last: u32) -> Step {
    let close = |from: u32, to: u32| {
        if from > to { Ok(()) } else { step(Stage::Descriptors, call(libc::SYS_close_range, [from as usize, to as usize, 0, 0, 0])) }
    };
    let hold = plan.hold as u32;
    if plan.hold < 0 || hold < first || hold > last {
        return close(first, last);
    }
    if hold > first {
        close(first, hold - 1)?;
    }
    close(hold + 1, last)
}

/// The same on kernels without close_range: the directory of open descriptors is read until nothing is left to close.
fn close_by_listing(plan: &Plan) -> Step {
    let path = c"/proc/self/fd";
    let at = libc::AT_FDCWD as usize;
    let dir = call(libc::SYS_openat, [at, path.as_ptr() as usize, (libc::O_RDONLY | libc::O_DIRECTORY) as usize, 0, 0]);
    step(Stage::Descriptors, dir)?;
    // Not zeroed: that would be a call to libc's memset.
    let mut buffer = MaybeUninit::<[u64; 512]>::uninit();
    loop {
        let length = call(libc::SYS_getdents64, [dir as usize, buffer.as_mut_ptr() as usize, 4096, 0, 0]);
        step(Stage::Descriptors, length)?;
        if length == 0 {
            break;
        }
        let mut closed = false;
        let mut offset = 0;
        while offset < length as usize {
            // Records of the kernel: inode 8 bytes, offset 8, length 2, type 1, name.
            let record = buffer.as_ptr().cast::<u8>().wrapping_add(offset);
            // SAFETY: the record's length lies at offset 16 and is aligned, as records are 8-aligned.
            let size = unsafe { record.wrapping_add(16).cast::<u16>().read() };
            // SAFETY: the name starts at 19 and ends with a zero byte.
            let fd = unsafe { parse_number(record.wrapping_add(19)) };
            offset += size as usize;
            if fd > 2 && fd as isize != dir && fd != plan.hold && !is_target(plan, fd) {
                call(libc::SYS_close, [fd as usize, 0, 0, 0, 0]);
                closed = true;
            }
        }
        if closed {
            // Closing while listing may skip entries: start again.
            call(libc::SYS_lseek, [dir as usize, 0, libc::SEEK_SET as usize, 0, 0]);
        }
    }
    if !is_target(plan, dir as i32) {
        call(libc::SYS_close, [dir as usize, 0, 0, 0, 0]);
    }
    Ok(())
}

/// The number in a decimal C string, -1 for anything else.
///
/// # Safety
/// `text` must point to a zero-terminated string.
unsafe fn parse_number(mut text: *const u8) -> i32 {
    let mut number: i32 = -1;
    loop {
        // SAFETY: the caller's string is terminated, and the loop ends at the terminator.
        let byte = unsafe { *text };
        if !byte.is_ascii_digit() {
            return if byte == 0 { number } else { -1 };
        }
        number = number.max(0).wrapping_mul(10).wrapping_add(i32::from(byte - b'0'));
        // SAFETY: this byte was a digit and not the terminator, so that another one follows.
        text = unsafe { text.add(1) };
    }
}
