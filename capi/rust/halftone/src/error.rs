//! What went wrong: a status by kind, and a message that says who, what, got and wanted.

use crate::callback::CallbackError;
use crate::text;
use halftone_sys as ffi;
use std::fmt;
use std::os::raw::c_void;

/// The result of everything that can fail.
pub type Result<T> = std::result::Result<T, Error>;

macro_rules! statuses {
    ($($(#[$doc:meta])* $name:ident = $code:ident,)+) => {
        /// Kind of an [`Error`].
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Status {
            $($(#[$doc])* $name,)+
            /// A status of a newer library.
            Other(i32),
        }

        impl Status {
            /// The number of the C interface.
            pub fn code(self) -> i32 {
                match self {
                    $(Status::$name => ffi::$code,)+
                    Status::Other(code) => code,
                }
            }

            pub(crate) fn from_code(code: i32) -> Status {
                match code {
                    $(ffi::$code => Status::$name,)+
                    _ => Status::Other(code),
                }
            }
        }
    };
}

statuses! {
    /// An argument or option outside its documented range.
    InvalidArgument = HT_INVALID_ARGUMENT,
    /// Matrices whose sizes do not fit each other.
    ShapeMismatch = HT_SHAPE_MISMATCH,
    /// A legal request that this method, format or build cannot express.
    Unsupported = HT_UNSUPPORTED,
    /// A file, config or tensor that is malformed or not finite.
    InvalidData = HT_INVALID_DATA,
    /// A file, tensor or name that does not exist.
    NotFound = HT_NOT_FOUND,
    /// The operating system refused to read or write.
    Io = HT_IO,
    /// The output belongs to something else; the handle is in use.
    Conflict = HT_CONFLICT,
    /// A closure or a [`Canceller`](crate::Canceller) asked to stop.
    Cancelled = HT_CANCELLED,
    /// No memory.
    OutOfMemory = HT_OUT_OF_MEMORY,
    /// Accelerator, driver or device library.
    Device = HT_DEVICE,
    /// A bug in the library.
    Internal = HT_INTERNAL,
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // SAFETY: the name is a string that lives as long as the process.
        f.write_str(unsafe { text::borrowed(ffi::ht_status_name(self.code())) })
    }
}

/// An error: its kind, and a message.
///
/// ```
/// use halftone::{Context, Quantizer, Status};
/// let error = Quantizer::new(&Context::new().unwrap(), "no such method").unwrap_err();
/// assert_eq!(error.status(), Status::NotFound);
/// assert!(error.to_string().contains("no such method"));
/// ```
#[derive(Debug)]
pub struct Error {
    status: Status,
    message: String,
    source: Option<CallbackError>,
}

impl Error {
    /// An error of a closure's own.
    pub fn new(status: Status, message: impl Into<String>) -> Error {
        Error { status, message: message.into(), source: None }
    }

    /// The kind.
    pub fn status(&self) -> Status {
        self.status
    }

    /// Who failed, at what, what it got and what it wanted.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// This error with what a closure said as its source.
    pub(crate) fn caused_by(mut self, source: Option<CallbackError>) -> Error {
        self.source = source;
        self
    }

    pub(crate) fn invalid(message: impl Into<String>) -> Error {
        Error::new(Status::InvalidArgument, message)
    }

    /// The last failure on a handle; on this thread if it is null.
    fn last(code: i32, handle: *const c_void) -> Error {
        // SAFETY: at most `capacity` bytes are written into the buffer.
        let message = text::read(|buffer, capacity| unsafe { ffi::ht_message(handle, buffer, capacity) });
        Error::new(Status::from_code(code), message)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_ref().map(|source| source.as_ref() as _)
    }
}

/// A status as a result, with the message of the handle that the call was made on.
pub(crate) fn check<T>(code: i32, handle: *const T) -> Result<()> {
    if code == ffi::HT_OK {
        Ok(())
    } else {
        Err(Error::last(code, handle.cast()))
    }
}
