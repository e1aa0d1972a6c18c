//! Quantizers.

use crate::context::Context;
use crate::element::{DType, Float};
use crate::error::Result;
use crate::handle::Handle;
use crate::matrix::MatrixRef;
use crate::quantized::QuantizedMatrix;
use crate::statistics::{Moments, Statistics};
use crate::text;
use halftone_sys as ffi;
use std::ptr;

/// A method with its options.
#[derive(Debug)]
pub struct Quantizer {
    handle: Handle<ffi::ht_quantizer>,
}

impl Quantizer {
    /// A method of [`methods`](crate::methods) by name, with options at their defaults.
    pub fn new(context: &Context, method: &str) -> Result<Self> {
        let method = text::c_string(method)?;
        // SAFETY: a live context and a string.
        let handle = Handle::create(context.shared(), context.get(), |out| unsafe {
            ffi::ht_quantizer_create(context.get(), method.as_ptr(), out)
        })?;
        Ok(Quantizer { handle })
    }

    /// Sets an option of [`options`](crate::options) by name: a number, a bool or a word. Options that contradict each
    /// other are refused by whichever call comes next that needs them all.
    pub fn set(&mut self, option: &str, value: impl ToString) -> Result<&mut Self> {
        let (option, value) = (text::c_string(option)?, text::c_string(&value.to_string())?);
        // SAFETY: a live handle and strings.
        self.handle.call(|raw| unsafe { ffi::ht_quantizer_set(raw, option.as_ptr(), value.as_ptr()) })?;
        Ok(self)
    }

    /// Sets what a format fixes, so that [`QuantizedMatrix::pack`] will take the result. `dtype`: of the original
    /// weights.
    pub fn set_format(&mut self, format: &str, dtype: DType) -> Result<&mut Self> {
        let format = text::c_string(format)?;
        // SAFETY: a live handle and a string.
        self.handle.call(|raw| unsafe { ffi::ht_quantizer_set_format(raw, format.as_ptr(), dtype.code()) })?;
        Ok(self)
    }

    /// The value of an option, as text.
    pub fn option(&self, option: &str) -> Result<String> {
        self.handle.text(option, |raw, option, buffer, capacity, length| {
            // SAFETY: a live handle, a string, and a buffer of that capacity.
            unsafe { ffi::ht_quantizer_text(raw, option, buffer, capacity, length) }
        })
    }

    /// What statistics must have, with the options as they are.
    pub fn moments(&self) -> Result<Moments> {
        let mut moments = 0;
        // SAFETY: a live handle.
        self.handle.call(|raw| unsafe { ffi::ht_quantizer_moments(raw, &mut moments) })?;
        Ok(Moments::from_code(moments))
    }

    /// Quantises W `[out, in]`. `statistics`: of `in` columns, a `&Statistics`, or `None` where [`Quantizer::moments`]
    /// says so. What matrices with the same statistics share is kept until others come: solve them one after the other.
    pub fn run<'s, T: Float>(
        &mut self,
        weights: MatrixRef<'_, T>,
        statistics: impl Into<Option<&'s Statistics>>,
    ) -> Result<QuantizedMatrix> {
        let weights = weights.raw();
        let statistics = statistics.into().map_or(ptr::null(), Statistics::raw);
        let raw = self.handle.get();
        // SAFETY: the matrix lies in a borrowed slice, whose length was checked; live handles.
        let result = Handle::create(self.handle.shared(), raw, |out| unsafe {
            ffi::ht_quantizer_run(raw, &weights, statistics, out)
        })?;
        Ok(QuantizedMatrix::from_handle(result))
    }
}
