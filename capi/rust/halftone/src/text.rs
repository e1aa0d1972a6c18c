//! Text in and out of the C interface.

use crate::error::{Error, Result};
use std::ffi::{CStr, CString};
use std::os::raw::c_char;
use std::path::Path;

/// A string for the library. Fails if it contains NUL.
pub(crate) fn c_string(text: &str) -> Result<CString> {
    CString::new(text).map_err(|_| Error::invalid(format!("{:?} contains NUL", text)))
}

/// A path for the library.
pub(crate) fn c_path(path: &Path) -> Result<CString> {
    match path.to_str() {
        Some(text) => c_string(text),
        None => Err(Error::invalid(format!("{} is not UTF-8", path.display()))),
    }
}

/// A string of the library's; empty for NULL and for what is not UTF-8.
///
/// # Safety
/// The pointer is NULL or to a string that lives as long as `'a`.
pub(crate) unsafe fn borrowed<'a>(pointer: *const c_char) -> &'a str {
    if pointer.is_null() {
        return "";
    }
    // SAFETY: as the caller says.
    unsafe { CStr::from_ptr(pointer) }.to_str().unwrap_or("")
}

/// Text that is copied out: `copy(buffer, capacity, &mut length)` writes what fits, ending in NUL, and the whole length.
pub(crate) fn try_read(mut copy: impl FnMut(*mut c_char, usize, *mut usize) -> Result<()>) -> Result<String> {
    let mut buffer = vec![0u8; 4096];
    loop {
        let mut length = 0;
        copy(buffer.as_mut_ptr().cast(), buffer.len(), &mut length)?;
        if length < buffer.len() {
            buffer.truncate(length);
            return Ok(String::from_utf8_lossy(&buffer).into_owned());
        }
        buffer = vec![0; length + 1];
    }
}

/// The same for functions that return the length and cannot fail.
pub(crate) fn read(mut copy: impl FnMut(*mut c_char, usize) -> usize) -> String {
    let all = try_read(|buffer, capacity, length| {
        // SAFETY: `length` is try_read's own.
        unsafe { *length = copy(buffer, capacity) };
        Ok(())
    });
    all.unwrap_or_default()
}
