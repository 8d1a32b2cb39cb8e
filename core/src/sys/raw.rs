//! System calls without libc: no errno (which would be the parent's after a clone that shares memory), no lazy symbol binding, no wrapper that takes a lock.

use core::arch::asm;

/// The function a clone runs in the new process; it must not return.
pub(super) type Entry = extern "C" fn(*mut core::ffi::c_void) -> !;

/// Makes a system call with up to five arguments; the result is negative errno on failure.
///
/// # Safety
/// The arguments must be valid for the call, which must not unwind or switch stacks.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
pub(super) unsafe fn syscall(number: libc::c_long, args: [usize; 5]) -> isize {
    let result: isize;
    // SAFETY: the caller vouches for the arguments; rcx and r11 are declared as overwritten, as the kernel does.
    unsafe {
        asm!("syscall", inlateout("rax") number as isize => result, in("rdi") args[0], in("rsi") args[1], in("rdx") args[2],
             in("r10") args[3], in("r8") args[4], out("rcx") _, out("r11") _, options(nostack));
    }
    result
}

/// As above, for arm64.
///
/// # Safety
/// The arguments must be valid for the call, which must not unwind or switch stacks.
#[cfg(target_arch = "aarch64")]
#[inline(always)]
pub(super) unsafe fn syscall(number: libc::c_long, args: [usize; 5]) -> isize {
    let result: isize;
    // SAFETY: the caller vouches for the arguments; the kernel preserves every other register.
    unsafe {
        asm!("svc 0", in("x8") number, inlateout("x0") args[0] as isize => result, in("x1") args[1], in("x2") args[2], in("x3") args[3],
             in("x4") args[4], options(nostack));
    }
    result
}

/// Makes a clone call whose child starts `entry(argument)` on the stack named in the call's arguments.
///
/// # Safety
/// `args` must be valid for `number` (SYS_clone or SYS_clone3) and name a stack of its own; `entry` must only do what is allowed between
/// clone and exec; with CLONE_VM the caller must keep `argument` alive until the call returns (CLONE_VFORK guarantees that it returns later).
#[cfg(target_arch = "x86_64")]
#[inline(never)]
pub(super) unsafe fn clone_call(number: libc::c_long, args: [usize; 5], entry: Entry, argument: *mut core::ffi::c_void) -> isize {
    let result: isize;
    // SAFETY: the child continues at the same instruction on its own stack with the registers of the parent, so r12 and r13 hold entry and
    // argument; it never leaves `entry`. In the parent only the registers the kernel overwrites change.
    unsafe {
        asm!("syscall", "test rax, rax", "jnz 2f", "xor ebp, ebp", "mov rdi, r13", "call r12", "ud2", "2:",
             inlateout("rax") number as isize => result, in("rdi") args[0], in("rsi") args[1], in("rdx") args[2], in("r10") args[3],
             in("r8") args[4], in("r12") entry, in("r13") argument, out("rcx") _, out("r11") _);
    }
    result
}

/// As above, for arm64.
///
/// # Safety
/// As above.
#[cfg(target_arch = "aarch64")]
#[inline(never)]
pub(super) unsafe fn clone_call(number: libc::c_long, args: [usize; 5], entry: Entry, argument: *mut core::ffi::c_void) -> isize {
    let result: isize;
    // SAFETY: as on x86-64, with x20 and x21 for entry and argument.
    unsafe {
        asm!("svc 0", "cbnz x0, 2f", "mov x29, xzr", "mov x0, x21", "blr x20", "brk 1", "2:",
             in("x8") number, inlateout("x0") args[0] as isize => result, in("x1") args[1], in("x2") args[2], in("x3") args[3],
             in("x4") args[4], in("x20") entry, in("x21") argument);
    }
    result
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
compile_error!("libprocs has system call stubs for x86-64 and arm64 only");
