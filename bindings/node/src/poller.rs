//! Waiting in the runtime's own event loop, and calling JavaScript from it: libuv's poll handle and Node-API as the runtime exports them.
//!
//! The alternative, a thread that waits and a thread-safe function, costs two changes of thread for each child that ends.

#![allow(unsafe_code)]

use napi::{Env, Status, check_status, sys};
use std::cell::Cell;
use std::ffi::{c_int, c_void};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::null_mut;
use std::rc::Rc;

/// `UV_POLL` of uv_handle_type. Source: uv.h, where the order is part of the ABI of libuv 1.
const UV_POLL: c_int = 8;
/// `UV_READABLE` of uv_poll_event.
const UV_READABLE: c_int = 1;

/// What every libuv handle begins with; the rest is libuv's.
#[repr(C)]
struct Handle {
    data: *mut c_void,
}

unsafe extern "C" {
    fn uv_handle_size(kind: c_int) -> usize;
    fn uv_poll_init(event_loop: *mut sys::uv_loop_s, handle: *mut Handle, fd: c_int) -> c_int;
    fn uv_poll_start(handle: *mut Handle, events: c_int, call: unsafe extern "C" fn(*mut Handle, c_int, c_int)) -> c_int;
    fn uv_poll_stop(handle: *mut Handle) -> c_int;
    fn uv_close(handle: *mut Handle, call: Option<unsafe extern "C" fn(*mut Handle)>);
    fn uv_ref(handle: *mut Handle);
    fn uv_unref(handle: *mut Handle);
    fn uv_backend_timeout(event_loop: *const sys::uv_loop_s) -> c_int;
}

/// What the handle's `data` points to, from the start to the close.
struct Inner {
    env: sys::napi_env,
    /// Emptied when the environment ends.
    call: Option<Box<dyn Fn(Turn)>>,
    event_loop: *mut sys::uv_loop_s,
    /// The memory of the handle.
    memory: Box<[u64]>,
    shared: Rc<Cell<*mut Handle>>,
    hook: sys::napi_async_cleanup_hook_handle,
}

/// One turn of the event loop, as long as it lasts.
#[derive(Clone, Copy)]
pub(crate) struct Turn {
    event_loop: *mut sys::uv_loop_s,
}

impl Turn {
    /// Whether the loop would only wait now: no immediates, no due timers, nothing to close.
    pub(crate) fn is_idle(self) -> bool {
        // SAFETY: a turn is only handed to what runs in it, on the thread of the loop, which exists meanwhile.
        unsafe { uv_backend_timeout(self.event_loop) != 0 }
    }
}

/// A descriptor that the loop of one environment waits for, until the environment ends. It does not keep the loop alive unless held.
pub(crate) struct Poller {
    /// Null once closed.
    handle: Rc<Cell<*mut Handle>>,
}

impl Poller {
    /// Calls `call` on the environment's thread whenever the descriptor is readable. The descriptor must stay open as long as `call` exists.
    pub(crate) fn start(env: &Env, fd: BorrowedFd<'_>, call: impl Fn(Turn) + 'static) -> napi::Result<Poller> {
        let raw = env.raw();
        let mut event_loop = null_mut();
        // SAFETY: the environment is the current one; the result is written to a live variable.
        check_status!(unsafe { sys::napi_get_uv_event_loop(raw, &raw mut event_loop) })?;
        // SAFETY: takes no pointer.
        let size = unsafe { uv_handle_size(UV_POLL) };
        let mut memory = vec![0u64; size.div_ceil(8)].into_boxed_slice();
        let handle: *mut Handle = memory.as_mut_ptr().cast();
        // SAFETY: the loop is this thread's, the memory is as large as libuv asked for and aligned for any handle.
        let status = unsafe { uv_poll_init(event_loop, handle, fd.as_raw_fd()) };
        if status != 0 {
            return Err(napi::Error::new(Status::GenericFailure, format!("hub: the event loop refused a descriptor (status = {status})")));
        }
        let shared = Rc::new(Cell::new(handle));
        let inner = Box::new(Inner { env: raw, call: Some(Box::new(call)), event_loop, memory, shared: shared.clone(), hook: null_mut() });
        let inner = Box::into_raw(inner);
        // SAFETY: the handle was initialised; `inner` lives until `closed` takes it back.
        unsafe { (*handle).data = inner.cast() };
        let mut hook = null_mut();
        // SAFETY: `inner` lives until the hook has run; the result goes to a live variable.
        check_status!(unsafe { sys::napi_add_async_cleanup_hook(raw, Some(ending), inner.cast(), &raw mut hook) })?;
        // SAFETY: nothing else refers to `inner` while its field is written.
        unsafe { (*inner).hook = hook };
        // SAFETY: the handle is initialised and not closing.
        unsafe { uv_poll_start(handle, UV_READABLE, ready) };
        // SAFETY: as above.
        unsafe { uv_unref(handle) };
        Ok(Poller { handle: shared })
    }

    /// Keeps the loop alive, until `let_go`.
    pub(crate) fn hold(&self) {
        let handle = self.handle.get();
        if !handle.is_null() {
            // SAFETY: not null means initialised and not closing; a Poller cannot leave its thread.
            unsafe { uv_ref(handle) };
        }
    }

    /// Lets the loop end.
    pub(crate) fn let_go(&self) {
        let handle = self.handle.get();
        if !handle.is_null() {
            // SAFETY: as in `hold`.
            unsafe { uv_unref(handle) };
        }
    }
}

unsafe extern "C" fn ready(handle: *mut Handle, _status: c_int, _events: c_int) {
    // SAFETY: libuv calls with the handle that was started.
    let inner = unsafe { (*handle).data }.cast::<Inner>();
    // SAFETY: the handle's data is `inner` until the handle is closed.
    let inner = unsafe { &*inner };
    let mut scope = null_mut();
    // SAFETY: the environment lives as long as the handle is active; this is its thread.
    if unsafe { sys::napi_open_handle_scope(inner.env, &raw mut scope) } != sys::Status::napi_ok {
        return;
    }
    if let Some(call) = &inner.call {
        // What is called reports its own failures; a panic must not unwind into the loop.
        let _ = catch_unwind(AssertUnwindSafe(|| call(Turn { event_loop: inner.event_loop })));
    }
    // SAFETY: the scope was opened above, on this thread.
    unsafe { sys::napi_close_handle_scope(inner.env, scope) };
}

/// The environment ends: the handle is closed, and the environment waits for it.
unsafe extern "C" fn ending(_hook: sys::napi_async_cleanup_hook_handle, data: *mut c_void) {
    let inner: *mut Inner = data.cast();
    // SAFETY: the hook was registered with a live `inner`, which only `closed` takes back; nothing else runs on this thread meanwhile.
    let inner = unsafe { &mut *inner };
    let handle = inner.shared.replace(null_mut());
    // SAFETY: the handle was not closed before, because this hook runs once.
    unsafe { uv_poll_stop(handle) };
    // Gives back the descriptor and the references to JavaScript while the environment can still take them.
    inner.call = None;
    // SAFETY: as above.
    unsafe { uv_close(handle, Some(closed)) };
}

unsafe extern "C" fn closed(handle: *mut Handle) {
    // SAFETY: libuv calls with the handle that was closed, whose memory `inner` still owns.
    let inner = unsafe { (*handle).data }.cast::<Inner>();
    // SAFETY: this is what `start` made of a box; libuv is done with it, and it is taken back once.
    let inner = unsafe { Box::from_raw(inner) };
    // SAFETY: the hook's handle is removed once, after the cleanup is complete.
    unsafe { sys::napi_remove_async_cleanup_hook(inner.hook) };
    drop(inner.memory);
}

/// A function of JavaScript that the loop calls with numbers.
pub(crate) struct Receiver {
    env: sys::napi_env,
    context: sys::napi_async_context,
    function: sys::napi_ref,
}

impl Receiver {
    /// Keeps the function of a handle scope.
    pub(crate) fn new(env: &Env, function: &napi::bindgen_prelude::Function<'_, (), ()>) -> napi::Result<Receiver> {
        use napi::bindgen_prelude::JsValue;
        let raw = env.raw();
        let name = env.create_string("procs")?.raw();
        let (mut context, mut reference) = (null_mut(), null_mut());
        // SAFETY: the environment is the current one; the name is a value of this scope.
        check_status!(unsafe { sys::napi_async_init(raw, null_mut(), name, &raw mut context) })?;
        // SAFETY: as above for the function.
        check_status!(unsafe { sys::napi_create_reference(raw, function.raw(), 1, &raw mut reference) })?;
        Ok(Receiver { env: raw, context, function: reference })
    }

    /// Calls the function as the loop calls any other: ticks and microtasks run afterwards, what it throws is an uncaught exception.
    /// Only from within a [`Poller`]'s call.
    #[allow(clippy::multiple_unsafe_ops_per_block, reason = "one condition holds for the whole sequence")]
    pub(crate) fn call<const COUNT: usize>(&self, numbers: [f64; COUNT]) {
        let (mut this, mut function) = (null_mut(), null_mut());
        let mut arguments = [null_mut(); COUNT];
        let mut scope = null_mut();
        // SAFETY: called on the environment's thread while it lives, as the caller guarantees; all results go to live variables; the values
        // belong to the scope that is opened first and closed last.
        unsafe {
            if sys::napi_open_handle_scope(self.env, &raw mut scope) != sys::Status::napi_ok {
                return;
            }
            sys::napi_get_reference_value(self.env, self.function, &raw mut function);
            sys::napi_get_global(self.env, &raw mut this);
            for (argument, number) in arguments.iter_mut().zip(numbers) {
                sys::napi_create_double(self.env, number, argument);
            }
            let status = sys::napi_make_callback(self.env, self.context, this, function, COUNT, arguments.as_ptr(), null_mut());
            if status == sys::Status::napi_pending_exception {
                self.report();
            }
            sys::napi_close_handle_scope(self.env, scope);
        }
    }

    /// Makes what the function threw an uncaught exception. An environment that is being terminated has thrown nothing.
    ///
    /// # Safety
    /// As for the calls in `call`.
    #[allow(clippy::multiple_unsafe_ops_per_block, reason = "as in `call`")]
    unsafe fn report(&self) {
        let (mut pending, mut error) = (false, null_mut());
        // SAFETY: the caller's; results go to live variables.
        unsafe {
            sys::napi_is_exception_pending(self.env, &raw mut pending);
            if pending && sys::napi_get_and_clear_last_exception(self.env, &raw mut error) == sys::Status::napi_ok {
                sys::napi_fatal_exception(self.env, error);
            }
        }
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        // SAFETY: dropped on the environment's thread before the environment ends: by the poller's cleanup hook at the latest.
        unsafe { sys::napi_delete_reference(self.env, self.function) };
        // SAFETY: as above.
        unsafe { sys::napi_async_destroy(self.env, self.context) };
    }
}
