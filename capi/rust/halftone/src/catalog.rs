//! What there is: methods, options, formats, features. All of it lives as long as the process.

use crate::error::{check, Result, Status};
use crate::text;
use halftone_sys as ffi;
use std::os::raw::{c_char, c_void};
use std::ptr;

/// A method.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Method {
    /// "gptq".
    pub name: &'static str,
    /// One line.
    pub help: &'static str,
    /// "arXiv 2210.17323".
    pub paper: &'static str,
}

/// An option of a method.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct MethodOption {
    /// "damping".
    pub name: &'static str,
    /// What it may be.
    pub kind: OptionKind,
    /// As text.
    pub default: &'static str,
    /// One line, with the paper's symbol where there is one.
    pub help: &'static str,
}

/// What an option may be. Bounds are included.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum OptionKind {
    /// true or false.
    Flag,
    /// A whole number.
    Integer {
        /// Smallest.
        minimum: f64,
        /// Largest.
        maximum: f64,
    },
    /// A number, or one of some words ("auto").
    Real {
        /// Smallest.
        minimum: f64,
        /// Largest.
        maximum: f64,
        /// What it may be beside a number.
        words: Vec<&'static str>,
    },
    /// One of some words.
    Choice(Vec<&'static str>),
    /// Of a newer library.
    Other(i32),
}

/// A format of checkpoints.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Format {
    /// "gptq_v2".
    pub name: &'static str,
    /// One line: who loads it.
    pub help: &'static str,
}

/// A property of this build on this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Feature {
    /// "isa", "products", "threads", "openmp", "cuda", "cuda_devices".
    pub name: &'static str,
    /// "avx512", "onednn", "8", "yes", "no".
    pub value: &'static str,
}

/// The version of the library that is running: "0.1.0".
pub fn version() -> &'static str {
    // SAFETY: a string that lives as long as the process.
    unsafe { text::borrowed(ffi::ht_version()) }
}

/// All methods.
///
/// ```
/// assert!(halftone::methods().unwrap().iter().any(|method| method.name == "gptq"));
/// ```
pub fn methods() -> Result<Vec<Method>> {
    // SAFETY: `row` is a struct with its size; strings live as long as the process.
    rows(
        |index, row| unsafe { ffi::ht_method_get(index, row) },
        |row: &ffi::ht_method| unsafe {
            Method { name: text::borrowed(row.name), help: text::borrowed(row.help), paper: text::borrowed(row.paper) }
        },
    )
}

/// The options of a method by name.
pub fn options(method: &str) -> Result<Vec<MethodOption>> {
    if !methods()?.iter().any(|known| known.name == method) {
        // Asks for it, so that the library says which there are.
        let (name, mut row) = (text::c_string(method)?, ffi::sized());
        // SAFETY: a string and a struct with its size.
        check(unsafe { ffi::ht_option_get(name.as_ptr(), 0, &mut row) }, ptr::null::<c_void>())?;
    }
    let name = text::c_string(method)?;
    // SAFETY: as above.
    rows(
        |index, row| unsafe { ffi::ht_option_get(name.as_ptr(), index, row) },
        |row: &ffi::ht_option| unsafe {
            MethodOption {
                name: text::borrowed(row.name),
                kind: kind_of(row),
                default: text::borrowed(row.default_value),
                help: text::borrowed(row.help),
            }
        },
    )
}

/// All formats.
pub fn formats() -> Result<Vec<Format>> {
    // SAFETY: as above.
    rows(
        |index, row| unsafe { ffi::ht_format_get(index, row) },
        |row: &ffi::ht_format| unsafe { Format { name: text::borrowed(row.name), help: text::borrowed(row.help) } },
    )
}

/// What this build has on this machine.
pub fn features() -> Result<Vec<Feature>> {
    // SAFETY: as above.
    rows(
        |index, row| unsafe { ffi::ht_feature_get(index, row) },
        |row: &ffi::ht_feature| unsafe { Feature { name: text::borrowed(row.name), value: text::borrowed(row.value) } },
    )
}

/// Every row of a list until HT_NOT_FOUND.
fn rows<R: ffi::Struct, T>(get: impl Fn(u32, *mut R) -> ffi::ht_status, make: impl Fn(&R) -> T) -> Result<Vec<T>> {
    let mut all = Vec::new();
    for index in 0.. {
        let mut row: R = ffi::sized();
        match check(get(index, &mut row), ptr::null::<c_void>()) {
            Ok(()) => all.push(make(&row)),
            Err(error) if error.status() == Status::NotFound => break,
            Err(error) => return Err(error),
        }
    }
    Ok(all)
}

/// # Safety
/// The row was filled in by the library.
unsafe fn kind_of(row: &ffi::ht_option) -> OptionKind {
    let (minimum, maximum) = (row.minimum, row.maximum);
    // SAFETY: as the caller says.
    let words = || unsafe { words_of(row.choices, row.choice_count) };
    match row.type_ {
        ffi::HT_FLAG => OptionKind::Flag,
        ffi::HT_INTEGER => OptionKind::Integer { minimum, maximum },
        ffi::HT_REAL => OptionKind::Real { minimum, maximum, words: words() },
        ffi::HT_CHOICE => OptionKind::Choice(words()),
        other => OptionKind::Other(other),
    }
}

/// # Safety
/// `words` points to `count` strings that live as long as the process.
unsafe fn words_of(words: *const *const c_char, count: u32) -> Vec<&'static str> {
    // SAFETY: as the caller says.
    (0..count as usize).map(|i| unsafe { text::borrowed(*words.add(i)) }).collect()
}
