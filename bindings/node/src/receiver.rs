//! Calling JavaScript from the event loop, through Node-API as the runtime exports it.

#![allow(unsafe_code)]

use napi::bindgen_prelude::{Function, JsValue, Unknown};
use napi::{Env, check_status, sys};
use napi_derive::napi;
use std::ptr::null_mut;

/// Lets a thread-safe function keep the event loop alive, or not. On the environment's thread, while it lives.
pub(crate) fn refer(env: &Env, function: sys::napi_threadsafe_function, keep: bool) {
    let change = if keep { sys::napi_ref_threadsafe_function } else { sys::napi_unref_threadsafe_function };
    // SAFETY: `env` is the current environment; the caller owns the function, which is released after it at the earliest.
    unsafe { change(env.raw(), function) };
}

/// A function of JavaScript that the loop calls with numbers.
pub(crate) struct Receiver {
    env: sys::napi_env,
    context: sys::napi_async_context,
    function: sys::napi_ref,
}

impl Receiver {
    /// Keeps the function of a handle scope, and the async context that there is now, in which it will be called under this name.
    pub(crate) fn new(env: &Env, name: &str, function: &Function<'_, (), ()>) -> napi::Result<Receiver> {
        let raw = env.raw();
        let name = env.create_string(name)?.raw();
        let (mut context, mut reference) = (null_mut(), null_mut());
        // SAFETY: the environment is the current one; the name is a value of this scope.
        check_status!(unsafe { sys::napi_async_init(raw, null_mut(), name, &raw mut context) })?;
        // SAFETY: the environment is the current one; the function is a value of this scope.
        check_status!(unsafe { sys::napi_create_reference(raw, function.raw(), 1, &raw mut reference) })?;
        Ok(Receiver { env: raw, context, function: reference })
    }

    /// As `give` for numbers.
    pub(crate) fn call<const COUNT: usize>(&self, numbers: [f64; COUNT]) -> bool {
        self.give(|env| {
            let mut arguments = [null_mut(); COUNT];
            for (argument, number) in arguments.iter_mut().zip(numbers) {
                // SAFETY: the environment is the current one; the result goes to a live variable.
                check_status!(unsafe { sys::napi_create_double(env.raw(), number, argument) })?;
            }
            Ok(arguments)
        })
    }

    /// Calls the function as the loop calls any other: ticks and microtasks run afterwards, what it throws is an uncaught exception. Its
    /// arguments are made in a scope of their own. True when it answers true.
    /// Only on the environment's thread.
    #[allow(clippy::multiple_unsafe_ops_per_block, reason = "one condition holds for the whole sequence")]
    pub(crate) fn give<const COUNT: usize>(&self, arguments: impl FnOnce(&Env) -> napi::Result<[sys::napi_value; COUNT]>) -> bool {
        let (mut this, mut function) = (null_mut(), null_mut());
        let (mut scope, mut result, mut answer) = (null_mut(), null_mut(), false);
        // SAFETY: called on the environment's thread while it lives, as the caller guarantees; all results go to live variables; the values
        // belong to the scope that is opened first and closed last.
        unsafe {
            if sys::napi_open_handle_scope(self.env, &raw mut scope) != sys::Status::napi_ok {
                return false;
            }
            // Arguments that cannot be made: the environment is ending.
            if let Ok(arguments) = arguments(&Env::from_raw(self.env)) {
                sys::napi_get_reference_value(self.env, self.function, &raw mut function);
                sys::napi_get_global(self.env, &raw mut this);
                let status = sys::napi_make_callback(self.env, self.context, this, function, COUNT, arguments.as_ptr(), &raw mut result);
                match status {
                    // Anything but a boolean leaves the answer as it is.
                    sys::Status::napi_ok => drop(sys::napi_get_value_bool(self.env, result, &raw mut answer)),
                    sys::Status::napi_pending_exception => self.report(),
                    _ => {}
                }
            }
            sys::napi_close_handle_scope(self.env, scope);
        }
        answer
    }

    /// Makes what the function threw an uncaught exception, but for `undefined`: then JavaScript has done so (`uncaught` of lib/hub.js). An
    /// environment that is being terminated has thrown nothing.
    ///
    /// # Safety
    /// As for the calls in `call`.
    #[allow(clippy::multiple_unsafe_ops_per_block, reason = "as in `call`")]
    unsafe fn report(&self) {
        let (mut pending, mut error, mut kind) = (false, null_mut(), sys::ValueType::napi_undefined);
        // SAFETY: the caller's; results go to live variables.
        unsafe {
            sys::napi_is_exception_pending(self.env, &raw mut pending);
            if !pending || sys::napi_get_and_clear_last_exception(self.env, &raw mut error) != sys::Status::napi_ok {
                return;
            }
            sys::napi_typeof(self.env, error, &raw mut kind);
            if kind != sys::ValueType::napi_undefined {
                sys::napi_fatal_exception(self.env, error);
            }
        }
    }
}

/// Makes an error an uncaught exception here and now. Returns when somebody handles those.
#[napi]
pub fn uncaught(env: Env, error: Unknown<'_>) {
    // SAFETY: the environment is the current one, the error a value of this scope.
    unsafe { sys::napi_fatal_exception(env.raw(), error.raw()) };
}

impl Drop for Receiver {
    fn drop(&mut self) {
        // SAFETY: dropped on the environment's thread before the environment ends: by the poller's cleanup hook at the latest.
        unsafe { sys::napi_delete_reference(self.env, self.function) };
        // SAFETY: on the environment's thread, before it ends; the context is ours and destroyed once.
        unsafe { sys::napi_async_destroy(self.env, self.context) };
    }
}
