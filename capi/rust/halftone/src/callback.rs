//! Closures that the library calls: what they panic with waits until the call that they belong to has returned.

use crate::error::{Error, Status};
use halftone_sys as ffi;
use std::any::Any;
use std::cell::RefCell;
use std::error::Error as StdError;
use std::panic::{catch_unwind, resume_unwind, AssertUnwindSafe};

/// What a closure may fail with. An [`Error`] ends the work with its status, an [`std::io::Error`] with
/// [`Status::Io`], others with [`Status::Cancelled`]; it is then the [source](StdError::source) of the call's error.
pub type CallbackError = Box<dyn StdError + Send + Sync>;

/// Owns a value at an address that the library has. Not a Box, which must be the only pointer to what it owns.
pub(crate) struct Stable<T>(*mut T);

// SAFETY: an owner, as Box is.
unsafe impl<T: Send> Send for Stable<T> {}

impl<T> Stable<T> {
    pub(crate) fn new(value: T) -> Self {
        Stable(Box::into_raw(Box::new(value)))
    }

    /// The value, which must not be used while a callback uses it.
    pub(crate) fn get(&self) -> *mut T {
        self.0
    }
}

impl<T> Drop for Stable<T> {
    fn drop(&mut self) {
        // SAFETY: from Box::into_raw, and freed once.
        drop(unsafe { Box::from_raw(self.0) });
    }
}

thread_local! {
    /// Callbacks come on the thread of the call that they belong to: so what the first one panicked with is found here.
    static PANIC: RefCell<Option<Box<dyn Any + Send>>> = RefCell::new(None);
}

/// Runs a closure for a C callback; `instead` if it panics.
pub(crate) fn guarded<T>(instead: T, body: impl FnOnce() -> T) -> T {
    catch_unwind(AssertUnwindSafe(body)).unwrap_or_else(|payload| {
        PANIC.with(|slot| {
            slot.borrow_mut().get_or_insert(payload);
        });
        instead
    })
}

/// Runs a call into the library, and then lets a panic of its callbacks go on.
pub(crate) fn returning<T>(call: impl FnOnce() -> T) -> T {
    let result = call();
    if let Some(payload) = PANIC.with(|slot| slot.borrow_mut().take()) {
        resume_unwind(payload);
    }
    result
}

/// The outcome of a closure as a status; what it failed with goes to `slot`.
pub(crate) fn status_of(outcome: Result<(), CallbackError>, slot: &mut Option<CallbackError>) -> ffi::ht_status {
    let error = match outcome {
        Ok(()) => return ffi::HT_OK,
        Err(error) => error,
    };
    let status = match error.downcast_ref::<Error>() {
        Some(ours) => ours.status(),
        None if error.is::<std::io::Error>() => Status::Io,
        None => Status::Cancelled,
    };
    *slot = Some(error);
    status.code()
}
