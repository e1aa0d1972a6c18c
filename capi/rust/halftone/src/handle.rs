//! Owners of C handles.

use crate::callback;
use crate::context::Shared;
use crate::error::{check, Result};
use crate::text;
use halftone_sys as ffi;
use std::fmt;
use std::os::raw::c_char;
use std::sync::Arc;

/// A C handle type.
pub(crate) trait Raw {
    /// Its ht_..._destroy.
    const DESTROY: unsafe extern "C" fn(*mut Self);
}

macro_rules! raw {
    ($($handle:ident by $destroy:ident),+) => {$(
        impl Raw for ffi::$handle {
            const DESTROY: unsafe extern "C" fn(*mut Self) = ffi::$destroy;
        }
    )+};
}
raw!(
    ht_statistics by ht_statistics_destroy,
    ht_quantizer by ht_quantizer_destroy,
    ht_result by ht_result_destroy,
    ht_checkpoint by ht_checkpoint_destroy,
    ht_job by ht_job_destroy
);

/// Owns a handle that was made from a context. The context's log lives as long as the handle, which may call it.
pub(crate) struct Handle<R: Raw> {
    raw: *mut R,
    shared: Arc<Shared>,
}

// SAFETY: the header lets handles move between threads.
unsafe impl<R: Raw> Send for Handle<R> {}

impl<R: Raw> Handle<R> {
    /// Takes what a creating call on `owner` gives out.
    pub(crate) fn create<O>(
        shared: &Arc<Shared>,
        owner: *const O,
        create: impl FnOnce(*mut *mut R) -> ffi::ht_status,
    ) -> Result<Self> {
        let mut raw = std::ptr::null_mut();
        callback::returning(|| check(create(&mut raw), owner))?;
        Ok(Handle { raw, shared: Arc::clone(shared) })
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// The live handle.
    pub(crate) fn get(&self) -> *mut R {
        self.raw
    }

    /// A call on this handle, with its failure as an error and what closures panicked with going on.
    pub(crate) fn call(&self, call: impl FnOnce(*mut R) -> ffi::ht_status) -> Result<()> {
        callback::returning(|| check(call(self.raw), self.raw))
    }

    /// Text that ht_..._text copies out: `copy(handle, what, buffer, capacity, length)`.
    pub(crate) fn text(
        &self,
        what: &str,
        copy: impl Fn(*mut R, *const c_char, *mut c_char, usize, *mut usize) -> ffi::ht_status,
    ) -> Result<String> {
        let what = text::c_string(what)?;
        text::try_read(|buffer, capacity, length| self.call(|raw| copy(raw, what.as_ptr(), buffer, capacity, length)))
    }

    /// A number that ht_..._number gives.
    pub(crate) fn number(
        &self,
        name: &str,
        get: unsafe extern "C" fn(*const R, *const c_char, *mut f64) -> ffi::ht_status,
    ) -> Result<f64> {
        let name = text::c_string(name)?;
        let mut value = 0.0;
        // SAFETY: a live handle, a string and a number.
        self.call(|raw| unsafe { get(raw, name.as_ptr(), &mut value) })?;
        Ok(value)
    }
}

impl<R: Raw> fmt::Debug for Handle<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.raw.fmt(f)
    }
}

impl<R: Raw> Drop for Handle<R> {
    fn drop(&mut self) {
        // SAFETY: made by the matching ..._create, and destroyed once.
        unsafe { R::DESTROY(self.raw) }
    }
}
