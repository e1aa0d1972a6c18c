//! Input statistics.

use crate::context::Context;
use crate::element::Float;
use crate::error::Result;
use crate::handle::Handle;
use crate::matrix::MatrixRef;
use crate::text;
use halftone_sys as ffi;
use std::marker::PhantomData;
use std::path::Path;
use std::ptr;

/// Which sums statistics hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Moments {
    /// Only the number of tokens.
    None,
    /// H = sum of x' x.
    Second,
    /// H, and D = sum of (x_fp - x)' x.
    Cross,
    /// Both, and both once more over the tokens that are held out.
    HeldOut,
    /// Of a newer library.
    Other(i32),
}

impl Moments {
    fn code(self) -> i32 {
        match self {
            Moments::None => ffi::HT_MOMENTS_NONE,
            Moments::Second => ffi::HT_MOMENTS_SECOND,
            Moments::Cross => ffi::HT_MOMENTS_CROSS,
            Moments::HeldOut => ffi::HT_MOMENTS_HELD_OUT,
            Moments::Other(code) => code,
        }
    }

    pub(crate) fn from_code(code: i32) -> Moments {
        match code {
            ffi::HT_MOMENTS_NONE => Moments::None,
            ffi::HT_MOMENTS_SECOND => Moments::Second,
            ffi::HT_MOMENTS_CROSS => Moments::Cross,
            ffi::HT_MOMENTS_HELD_OUT => Moments::HeldOut,
            _ => Moments::Other(code),
        }
    }
}

/// Inputs to add to [`Statistics`]: X `[tokens, width]`, and what else is known of these tokens.
pub struct Batch<'a> {
    inputs: ffi::ht_matrix,
    full_precision: Option<ffi::ht_matrix>,
    flags: u32,
    borrowed: PhantomData<&'a [f32]>,
}

impl<'a> Batch<'a> {
    /// Inputs, equal to those of the full-precision model.
    pub fn new<T: Float>(inputs: MatrixRef<'a, T>) -> Self {
        Batch { inputs: inputs.raw(), full_precision: None, flags: 0, borrowed: PhantomData }
    }

    /// The inputs of the same tokens in the full-precision model, X_fp.
    pub fn full_precision<T: Float>(mut self, inputs: MatrixRef<'a, T>) -> Self {
        self.full_precision = Some(inputs.raw());
        self
    }

    /// Counts the batch as held out as well, for options that are chosen by it ("auto").
    pub fn held_out(mut self) -> Self {
        self.flags |= ffi::HT_HOLD_OUT;
        self
    }
}

impl<'a, T: Float> From<MatrixRef<'a, T>> for Batch<'a> {
    fn from(inputs: MatrixRef<'a, T>) -> Self {
        Batch::new(inputs)
    }
}

/// What calibration leaves behind for the matrices that share their inputs. Plain sums over tokens: independent of how
/// these are dealt into batches, up to rounding. A view of the sums ends before they change:
///
/// ```compile_fail,E0502
/// # use halftone::{Context, MatrixRef, Moments, Statistics};
/// let mut statistics = Statistics::new(&Context::new().unwrap(), 2, Moments::Second).unwrap();
/// let h = statistics.tensor("H").unwrap();
/// statistics.add(MatrixRef::new(&[1.0f32, 2.0], 1, 2).unwrap()).unwrap();
/// println!("{}", h.rows());
/// ```
#[derive(Debug)]
pub struct Statistics {
    handle: Handle<ffi::ht_statistics>,
}

// SAFETY: everything on &Statistics only reads, which the header lets several quantizers do at once, and which the
// library holds against changes by its own mark of use; changes need &mut.
unsafe impl Sync for Statistics {}

impl Statistics {
    /// Empty sums for inputs of `width` columns. Memory: width^2 floats for each of H and D.
    pub fn new(context: &Context, width: usize, moments: Moments) -> Result<Self> {
        let width = i64::try_from(width).unwrap_or(i64::MAX);
        // SAFETY: a live context.
        let handle = Handle::create(context.shared(), context.get(), |out| unsafe {
            ffi::ht_statistics_create(context.get(), width, moments.code(), out)
        })?;
        Ok(Statistics { handle })
    }

    /// Statistics that [`Statistics::save`] wrote.
    pub fn load(context: &Context, path: impl AsRef<Path>) -> Result<Self> {
        let path = text::c_path(path.as_ref())?;
        // SAFETY: a live context and a string.
        let handle = Handle::create(context.shared(), context.get(), |out| unsafe {
            ffi::ht_statistics_load(context.get(), path.as_ptr(), out)
        })?;
        Ok(Statistics { handle })
    }

    /// Adds a batch: a matrix of inputs, or a [`Batch`]. One with NaN or infinities is refused, and the sums stay.
    pub fn add<'a>(&mut self, batch: impl Into<Batch<'a>>) -> Result<()> {
        let batch = batch.into();
        let full_precision = batch.full_precision.as_ref().map_or(ptr::null(), |matrix| matrix as *const _);
        // SAFETY: the matrices lie in slices, whose length was checked, that are borrowed as long as `batch`.
        self.handle.call(|raw| unsafe { ffi::ht_statistics_add(raw, &batch.inputs, full_precision, batch.flags) })
    }

    /// Adds sums made elsewhere: H `[width, width]`, of which the upper triangle is read, and D if there is one.
    pub fn add_sums(&mut self, tokens: u64, h: MatrixRef<'_, f32>, d: Option<MatrixRef<'_, f32>>) -> Result<()> {
        let tokens = i64::try_from(tokens).unwrap_or(i64::MAX);
        let (h, d) = (h.raw(), d.map(|matrix| matrix.raw()));
        let d = d.as_ref().map_or(ptr::null(), |matrix| matrix as *const _);
        // SAFETY: as above.
        self.handle.call(|raw| unsafe { ffi::ht_statistics_add_sums(raw, tokens, &h, d) })
    }

    /// Adds the sums of another of the same width and moments.
    pub fn merge(&mut self, other: &Statistics) -> Result<()> {
        // SAFETY: live handles.
        self.handle.call(|raw| unsafe { ffi::ht_statistics_merge(raw, other.raw()) })
    }

    /// Writes a safetensors file, which appears under its name when it is complete.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = text::c_path(path.as_ref())?;
        // SAFETY: a live handle and a string.
        self.handle.call(|raw| unsafe { ffi::ht_statistics_save(raw, path.as_ptr()) })
    }

    /// "H" or "D" `[width, width]`.
    pub fn tensor(&self, name: &str) -> Result<MatrixRef<'_, f32>> {
        let name = text::c_string(name)?;
        let mut view: ffi::ht_matrix = ffi::sized();
        // SAFETY: a live handle; the view is valid until the sums change, which needs &mut self.
        unsafe {
            self.handle.call(|raw| ffi::ht_statistics_tensor(raw, name.as_ptr(), &mut view))?;
            MatrixRef::from_raw(&view)
        }
    }

    /// "tokens", "held_out_tokens", "width" or "moments".
    pub fn number(&self, name: &str) -> Result<f64> {
        self.handle.number(name, ffi::ht_statistics_number)
    }

    pub(crate) fn raw(&self) -> *const ffi::ht_statistics {
        self.handle.get()
    }
}
