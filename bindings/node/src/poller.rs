//! Waiting in the runtime's own event loop: libuv's poll handle, as the runtime exports it.
//!
//! The alternative, a thread that waits and a thread-safe function (`waiter`), costs two changes of thread for each child that ends.

#![allow(unsafe_code)]

use napi::{Env, Status, check_status, sys};
use std::any::Any;
use std::cell::{Cell, RefCell};
use std::ffi::{CStr, c_char, c_int, c_void};
use std::mem::transmute;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::null_mut;
use std::rc::Rc;

/// `UV_CHECK` and `UV_POLL` of uv_handle_type. Source: uv.h, where the order is part of the ABI of libuv 1.
const UV_CHECK: c_int = 2;
const UV_POLL: c_int = 8;
/// `UV_READABLE` of uv_poll_event.
const UV_READABLE: c_int = 1;

/// What every libuv handle begins with; the rest is libuv's.
#[repr(C)]
struct Handle {
    data: *mut c_void,
}

unsafe extern "C" {
    fn dlsym(handle: *mut c_void, name: *const c_char) -> *mut c_void;
}

/// What is used of libuv. Looked up when it is needed: a runtime that hides it must be able to load this module.
#[derive(Clone, Copy)]
struct Uv {
    handle_size: unsafe extern "C" fn(c_int) -> usize,
    poll_init: unsafe extern "C" fn(*mut sys::uv_loop_s, *mut Handle, c_int) -> c_int,
    poll_start: unsafe extern "C" fn(*mut Handle, c_int, unsafe extern "C" fn(*mut Handle, c_int, c_int)) -> c_int,
    poll_stop: unsafe extern "C" fn(*mut Handle) -> c_int,
    check_init: unsafe extern "C" fn(*mut sys::uv_loop_s, *mut Handle) -> c_int,
    check_start: unsafe extern "C" fn(*mut Handle, unsafe extern "C" fn(*mut Handle)) -> c_int,
    check_stop: unsafe extern "C" fn(*mut Handle) -> c_int,
    close: unsafe extern "C" fn(*mut Handle, Option<unsafe extern "C" fn(*mut Handle)>),
    hold: unsafe extern "C" fn(*mut Handle),
    let_go: unsafe extern "C" fn(*mut Handle),
    backend_timeout: unsafe extern "C" fn(*const sys::uv_loop_s) -> c_int,
}

/// A function of the program or its libraries by name.
pub(crate) fn symbol(name: &CStr) -> Option<*mut c_void> {
    // SAFETY: null is RTLD_DEFAULT; the name ends with NUL.
    let found = unsafe { dlsym(null_mut(), name.as_ptr()) };
    (!found.is_null()).then_some(found)
}

/// A function of the program or its libraries by name, as the type that it has there.
macro_rules! function {
    ($name:literal) => {{
        let found = symbol($name)?;
        // SAFETY: uv.h declares the function of this name with the type of the field that this becomes.
        unsafe { transmute::<*mut c_void, _>(found) }
    }};
}

impl Uv {
    /// None when the runtime does not export it.
    #[allow(clippy::missing_transmute_annotations, reason = "the field says what the function becomes")]
    fn find() -> Option<Uv> {
        Some(Uv {
            handle_size: function!(c"uv_handle_size"),
            poll_init: function!(c"uv_poll_init"),
            poll_start: function!(c"uv_poll_start"),
            poll_stop: function!(c"uv_poll_stop"),
            check_init: function!(c"uv_check_init"),
            check_start: function!(c"uv_check_start"),
            check_stop: function!(c"uv_check_stop"),
            close: function!(c"uv_close"),
            hold: function!(c"uv_ref"),
            let_go: function!(c"uv_unref"),
            backend_timeout: function!(c"uv_backend_timeout"),
        })
    }

    /// Memory for a handle of this kind.
    fn memory_of(self, kind: c_int) -> Box<[u64]> {
        // SAFETY: takes no pointer.
        let size = unsafe { (self.handle_size)(kind) };
        vec![0; size.div_ceil(8)].into_boxed_slice()
    }
}

type Call = Rc<dyn Fn(Turn)>;

/// What the handle's `data` points to, from the start to the close.
struct Inner {
    uv: Uv,
    env: sys::napi_env,
    /// Emptied when the poller is closed, at the latest with the environment. Shared because it may be running then.
    call: RefCell<Option<Call>>,
    /// What owns the descriptor, given up together with `call`.
    owner: RefCell<Option<Box<dyn Any>>>,
    turn: Turn,
    /// Runs `call` once the loop has told everything else that it found; null where that is not wanted.
    check: *mut Handle,
    /// The memory of the handles.
    memory: [Box<[u64]>; 2],
    /// Handles that are not closed yet.
    open: Cell<u32>,
    shared: Rc<Cell<*mut Handle>>,
    hook: sys::napi_async_cleanup_hook_handle,
}

/// One turn of the event loop, as long as it lasts.
#[derive(Clone, Copy)]
pub(crate) struct Turn {
    /// None where nothing is known of the loop.
    of: Option<(Uv, *mut sys::uv_loop_s)>,
}

impl Turn {
    /// A turn of a loop that the runtime hides.
    pub(crate) const HIDDEN: Turn = Turn { of: None };

    /// Whether this is a turn of the loop itself, and not an answer to a thread that waits in its place.
    pub(crate) fn is_own(self) -> bool {
        self.of.is_some()
    }

    /// Whether the loop would only wait now: no immediates, no due timers, nothing to close.
    pub(crate) fn is_idle(self) -> bool {
        // SAFETY: a turn is only handed to what runs in it, on the thread of the loop, which exists meanwhile.
        self.of.is_some_and(|(uv, event_loop)| unsafe { (uv.backend_timeout)(event_loop) != 0 })
    }
}

/// When whoever waits is told.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum When {
    /// As soon as the loop has found it.
    AtOnce,
    /// After everything else that the loop found at the same time.
    Last,
}

/// A descriptor that the loop of one environment waits for, until the poller is closed or the environment ends. It does not keep the loop alive
/// unless held.
pub(crate) struct Poller {
    uv: Uv,
    /// Null once closed.
    handle: Rc<Cell<*mut Handle>>,
}

impl Poller {
    /// Whether the runtime lets anybody wait in its loop.
    pub(crate) fn is_possible() -> bool {
        Uv::find().is_some()
    }

    /// Calls `call` on the environment's thread whenever the descriptor is readable. `owner` keeps the descriptor open.
    pub(crate) fn start(env: &Env, (fd, owner): (BorrowedFd<'_>, Box<dyn Any>), when: When, call: impl Fn(Turn) + 'static) -> napi::Result<Poller> {
        let uv = Uv::find().ok_or_else(|| napi::Error::from_reason("hub: the runtime hides its event loop"))?;
        let raw = env.raw();
        let mut event_loop = null_mut();
        // SAFETY: the environment is the current one; the result is written to a live variable.
        check_status!(unsafe { sys::napi_get_uv_event_loop(raw, &raw mut event_loop) })?;
        let mut memory = [uv.memory_of(UV_POLL), uv.memory_of(UV_CHECK)];
        let [handle, mut check]: [*mut Handle; 2] = memory.each_mut().map(|memory| memory.as_mut_ptr().cast());
        // SAFETY: the loop is this thread's, the memory is as large as libuv asked for and aligned for any handle.
        let status = unsafe { (uv.poll_init)(event_loop, handle, fd.as_raw_fd()) };
        if status != 0 {
            return Err(napi::Error::new(Status::GenericFailure, format!("hub: the event loop refused a descriptor (status = {status})")));
        }
        match when {
            // SAFETY: the loop is this thread's, the memory is as large as libuv asked for and aligned for any handle; it cannot fail.
            When::Last => unsafe {
                (uv.check_init)(event_loop, check);
            },
            When::AtOnce => check = null_mut(),
        }
        let shared = Rc::new(Cell::new(handle));
        let (call, turn) = (RefCell::new(Some(Rc::new(call) as Call)), Turn { of: Some((uv, event_loop)) });
        let open = Cell::new(if check.is_null() { 1 } else { 2 });
        let owner = RefCell::new(Some(owner));
        let inner = Box::into_raw(Box::new(Inner { uv, env: raw, call, owner, turn, check, memory, open, shared: shared.clone(), hook: null_mut() }));
        for handle in [handle, check].into_iter().filter(|handle| !handle.is_null()) {
            // SAFETY: the handle was initialised; `inner` lives until `closed` takes it back.
            unsafe { (*handle).data = inner.cast() };
            // SAFETY: the handle is initialised and not closing.
            unsafe { (uv.let_go)(handle) };
        }
        let mut hook = null_mut();
        // SAFETY: `inner` lives until the hook has run; the result goes to a live variable.
        check_status!(unsafe { sys::napi_add_async_cleanup_hook(raw, Some(ending), inner.cast(), &raw mut hook) })?;
        // SAFETY: nothing else refers to `inner` while its field is written.
        unsafe { (*inner).hook = hook };
        // SAFETY: the handle is initialised and not closing.
        unsafe { (uv.poll_start)(handle, UV_READABLE, ready) };
        Ok(Poller { uv, handle: shared })
    }

    /// Ends it. The descriptor can be closed afterwards. A second call changes nothing.
    pub(crate) fn close(&self) {
        let handle = self.handle.get();
        if !handle.is_null() {
            // SAFETY: not null means initialised and not closing; a Poller cannot leave its thread.
            let inner = unsafe { (*handle).data };
            // SAFETY: the data of such a handle is `inner`.
            unsafe { end(inner.cast()) };
        }
    }

    /// Keeps the loop alive, until `let_go`.
    pub(crate) fn hold(&self) {
        let handle = self.handle.get();
        if !handle.is_null() {
            // SAFETY: not null means initialised and not closing; a Poller cannot leave its thread.
            unsafe { (self.uv.hold)(handle) };
        }
    }

    /// Lets the loop end.
    pub(crate) fn let_go(&self) {
        let handle = self.handle.get();
        if !handle.is_null() {
            // SAFETY: as in `hold`.
            unsafe { (self.uv.let_go)(handle) };
        }
    }
}

/// Something has happened. It is told after what the loop found at the same time, as libuv does with the ends of its own children: what a
/// child has written comes before its end.
unsafe extern "C" fn ready(handle: *mut Handle, _status: c_int, _events: c_int) {
    // SAFETY: libuv calls with the handle that was started.
    let inner = unsafe { (*handle).data }.cast::<Inner>();
    // SAFETY: the handle's data is `inner` until the handle is closed.
    let inner = unsafe { &*inner };
    if inner.check.is_null() {
        call(inner);
        return;
    }
    // SAFETY: initialised in `start`, and closed together with this handle.
    unsafe { (inner.uv.check_start)(inner.check, tell) };
}

unsafe extern "C" fn tell(check: *mut Handle) {
    // SAFETY: libuv calls with the handle that was started.
    let inner = unsafe { (*check).data }.cast::<Inner>();
    // SAFETY: the handle's data is `inner` until the handle is closed.
    let inner = unsafe { &*inner };
    // SAFETY: the handle is initialised and not closing.
    unsafe { (inner.uv.check_stop)(check) };
    call(inner);
}

fn call(inner: &Inner) {
    let env = inner.env;
    let mut scope = null_mut();
    // SAFETY: the environment lives as long as the handle is active; this is its thread.
    if unsafe { sys::napi_open_handle_scope(env, &raw mut scope) } != sys::Status::napi_ok {
        return;
    }
    // It may close the poller, which is freed by the loop, later.
    let call = inner.call.borrow().clone();
    if let Some(call) = call {
        // What is called reports its own failures; a panic must not unwind into the loop.
        let _ = catch_unwind(AssertUnwindSafe(|| call(inner.turn)));
    }
    // SAFETY: the scope was opened above, on this thread.
    unsafe { sys::napi_close_handle_scope(env, scope) };
}

/// The environment ends: the handles are closed, and the environment waits for them.
unsafe extern "C" fn ending(_hook: sys::napi_async_cleanup_hook_handle, data: *mut c_void) {
    // SAFETY: the hook was registered with a live `inner`, which only `closed` takes back, and the hook with it.
    unsafe { end(data.cast()) };
}

/// Closes the handles, once.
///
/// # Safety
/// `inner` is alive, and this is its thread.
unsafe fn end(inner: *const Inner) {
    // SAFETY: the caller's.
    let inner = unsafe { &*inner };
    let handle = inner.shared.replace(null_mut());
    if handle.is_null() {
        return;
    }
    // SAFETY: the handle was not closed before.
    unsafe { (inner.uv.poll_stop)(handle) };
    // Gives back the descriptor and the references to JavaScript while the environment can still take them.
    inner.call.borrow_mut().take();
    inner.owner.borrow_mut().take();
    for handle in [handle, inner.check].into_iter().filter(|handle| !handle.is_null()) {
        // SAFETY: initialised in `start` and not closed before; closing stops the handle.
        unsafe { (inner.uv.close)(handle, Some(closed)) };
    }
}

unsafe extern "C" fn closed(handle: *mut Handle) {
    // SAFETY: libuv calls with a handle that was closed, whose memory `inner` still owns.
    let data = unsafe { (*handle).data }.cast::<Inner>();
    // SAFETY: the handle's data is `inner` until the last handle is closed.
    let open = unsafe { &(*data).open };
    open.set(open.get() - 1);
    if open.get() > 0 {
        return;
    }
    // SAFETY: this is what `start` made of a box; libuv is done with both handles, and it is taken back once.
    let inner = unsafe { Box::from_raw(data) };
    // SAFETY: the hook's handle is removed once, after the cleanup is complete.
    unsafe { sys::napi_remove_async_cleanup_hook(inner.hook) };
    drop(inner.memory);
}
