//! Bindings to libhalftone_c, written by hand from `capi/include/halftone.h` and checked against it by the tests.
//!
//! The header is the contract: it says who owns what, which threads may call, how long pointers live. The crate
//! `halftone` is the safe interface on top of this one.
//!
//! Structs begin with `struct_size`; [`sized`] makes one with that set and everything else zero:
//!
//! ```
//! let mut method: halftone_sys::ht_method = halftone_sys::sized();
//! let status = unsafe { halftone_sys::ht_method_get(0, &mut method) };
//! assert_eq!(status, halftone_sys::HT_OK);
//! ```
#![allow(non_camel_case_types)]
#![deny(unsafe_op_in_unsafe_fn)]

mod constants;
mod functions;
mod structs;

pub use constants::*;
pub use functions::*;
pub use structs::*;
