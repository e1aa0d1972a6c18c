//! Contexts, and their log.

use crate::callback::{guarded, returning};
use crate::error::{check, Error, Result, Status};
use crate::text;
use halftone_sys as ffi;
use std::fmt;
use std::os::raw::{c_char, c_void};
use std::ptr;
use std::sync::{Arc, RwLock};

/// How much a line of the log matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum LogLevel {
    /// A call failed.
    Error,
    /// Something a user should know: damping raised, a fallback.
    Warning,
    /// Layers and blocks done.
    Info,
}

type Log = Arc<dyn Fn(LogLevel, &str) + Send + Sync>;

/// What a context and everything made from it share: where the C library finds the log.
#[derive(Default)]
pub(crate) struct Shared {
    log: RwLock<Option<Log>>,
}

/// Where work is done. Everything else is made from one; it may be dropped before what was made from it.
pub struct Context {
    raw: *mut ffi::ht_context,
    shared: Arc<Shared>,
}

// SAFETY: the header lets handles move between threads.
unsafe impl Send for Context {}

impl Context {
    /// A context with the threads that the machine offers this process.
    pub fn new() -> Result<Context> {
        Context::with_threads(0)
    }

    /// A context with so many threads; results are the same bytes for any number. 0: as [`Context::new`].
    pub fn with_threads(threads: usize) -> Result<Context> {
        check_version()?;
        let threads = i32::try_from(threads).map_err(|_| Error::invalid(format!("{} threads", threads)))?;
        let mut raw = ptr::null_mut();
        // SAFETY: `raw` receives the handle.
        check(unsafe { ffi::ht_context_create(threads, &mut raw) }, ptr::null::<c_void>())?;
        Ok(Context { raw, shared: Arc::new(Shared::default()) })
    }

    /// Where quantizers that are made and jobs that are run from now on compute: `cpu`, `cuda` or `cuda:N`. Fails, saying
    /// why, where this library or machine has no such device.
    pub fn set_device(&self, device: &str) -> Result<()> {
        self.set("device", device)
    }

    /// Bytes of the device's memory that a quantizer or a job takes at most; 0: what is free.
    pub fn set_device_memory(&self, bytes: u64) -> Result<()> {
        self.set("device_memory", &bytes.to_string())
    }

    fn set(&self, name: &str, value: &str) -> Result<()> {
        let (name, value) = (text::c_string(name)?, text::c_string(value)?);
        // SAFETY: a live handle and strings.
        self.call(|raw| unsafe { ffi::ht_context_set(raw, name.as_ptr(), value.as_ptr()) })
    }

    /// Tells `log` what is worth telling about everything made from this context, on the thread of the call that it is
    /// about. The default is silence.
    ///
    /// ```
    /// # fn main() -> halftone::Result<()> {
    /// let context = halftone::Context::new()?;
    /// context.set_log(|level, text| eprintln!("{:?}: {}", level, text))?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn set_log(&self, log: impl Fn(LogLevel, &str) + Send + Sync + 'static) -> Result<()> {
        self.replace_log(Some(Arc::new(log)))
    }

    /// No more log.
    pub fn clear_log(&self) -> Result<()> {
        self.replace_log(None)
    }

    fn replace_log(&self, log: Option<Log>) -> Result<()> {
        *self.shared.log.write().unwrap_or_else(|poisoned| poisoned.into_inner()) = log;
        let user = Arc::as_ptr(&self.shared) as *mut c_void;
        // SAFETY: the log is called during calls on handles only, all of which keep `shared`.
        self.call(|raw| unsafe { ffi::ht_context_set_log(raw, Some(write_log), user) })
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    pub(crate) fn get(&self) -> *mut ffi::ht_context {
        self.raw
    }

    fn call(&self, call: impl FnOnce(*mut ffi::ht_context) -> ffi::ht_status) -> Result<()> {
        returning(|| check(call(self.raw), self.raw))
    }
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Context").field(&self.raw).finish()
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        // SAFETY: made by ht_context_create, and destroyed once.
        unsafe { ffi::ht_context_destroy(self.raw) }
    }
}

/// The library that is running must be of the same major version, and not older than these bindings.
fn check_version() -> Result<()> {
    // SAFETY: no arguments.
    let running = unsafe { ffi::ht_abi_version() };
    let (major, minor) = (running >> 16, running & 0xffff);
    if major == ffi::HT_ABI_MAJOR && running >= (ffi::HT_ABI_MAJOR << 16 | ffi::HT_ABI_MINOR) {
        return Ok(());
    }
    let wanted = format!("{}.{}", ffi::HT_ABI_MAJOR, ffi::HT_ABI_MINOR);
    let message = format!("libhalftone_c has interface {}.{}, wanted {} or newer", major, minor, wanted);
    Err(Error::new(Status::Unsupported, message))
}

unsafe extern "C" fn write_log(user: *mut c_void, level: i32, line: *const c_char) {
    guarded((), || {
        // SAFETY: `user` is the Shared of a handle that is being called, `line` a string during this call.
        let (shared, line) = unsafe { (&*(user as *const Shared), text::borrowed(line)) };
        let log = shared.log.read().unwrap_or_else(|poisoned| poisoned.into_inner()).clone();
        let level = match level {
            ffi::HT_LOG_ERROR => LogLevel::Error,
            ffi::HT_LOG_WARNING => LogLevel::Warning,
            _ => LogLevel::Info,
        };
        if let Some(log) = log {
            log(level, line);
        }
    })
}
