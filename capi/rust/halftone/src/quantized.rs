//! Results.

use crate::callback::CallbackError;
use crate::element::{Element, Float};
use crate::error::Result;
use crate::handle::Handle;
use crate::matrix::{MatrixMut, MatrixRef};
use crate::tensor::{Sink, Tensor};
use crate::text;
use halftone_sys as ffi;

/// Codes, and the grid that decodes them. Views of its parts cannot outlive it:
///
/// ```compile_fail,E0597
/// # use halftone::{Context, MatrixRef, Quantizer};
/// let context = Context::new().unwrap();
/// let mut quantizer = Quantizer::new(&context, "rtn").unwrap();
/// let codes = {
///     let quantized = quantizer.run(MatrixRef::new(&[1.0f32; 64], 2, 32).unwrap(), None).unwrap();
///     quantized.codes().unwrap()
/// };
/// println!("{}", codes.rows());
/// ```
#[derive(Debug)]
pub struct QuantizedMatrix {
    handle: Handle<ffi::ht_result>,
}

impl QuantizedMatrix {
    pub(crate) fn from_handle(handle: Handle<ffi::ht_result>) -> Self {
        QuantizedMatrix { handle }
    }

    /// A part by name, which stays as long as the result is borrowed; [`Status::NotFound`](crate::Status::NotFound) if
    /// this result has none.
    pub fn tensor<T: Element>(&self, name: &str) -> Result<MatrixRef<'_, T>> {
        let name = text::c_string(name)?;
        let mut view: ffi::ht_matrix = ffi::sized();
        // SAFETY: a live handle; what it shows is valid, and does not change, until it is destroyed.
        unsafe {
            self.handle.call(|raw| ffi::ht_result_tensor(raw, name.as_ptr(), &mut view))?;
            MatrixRef::from_raw(&view)
        }
    }

    /// `[out, in]`, 0 to 2^bits - 1. Of a binary-coded grid bit i is the sign of plane i.
    pub fn codes(&self) -> Result<MatrixRef<'_, u8>> {
        self.tensor("codes")
    }

    /// `[out, groups]`.
    pub fn scales(&self) -> Result<MatrixRef<'_, f32>> {
        self.tensor("scales")
    }

    /// `[out, groups]`: a weight is scale (code - zero).
    pub fn zeros(&self) -> Result<MatrixRef<'_, u8>> {
        self.tensor("zeros")
    }

    /// `[out, groups bits]` of a binary-coded grid: a group's planes side by side, largest first.
    pub fn alphas(&self) -> Result<MatrixRef<'_, f32>> {
        self.tensor("alphas")
    }

    /// `[out, groups]` of a binary-coded grid: a weight is the sum of +alpha or -alpha, and bias.
    pub fn biases(&self) -> Result<MatrixRef<'_, f32>> {
        self.tensor("biases")
    }

    /// `[1, in]`: group of each column, where that is not column / group size.
    pub fn group_index(&self) -> Result<MatrixRef<'_, i32>> {
        self.tensor("group_index")
    }

    /// `[1, k]`: columns that stay in 16 bit, ascending.
    pub fn outlier_columns(&self) -> Result<MatrixRef<'_, i32>> {
        self.tensor("outlier_columns")
    }

    /// `[out, k]`: the weights of those columns, whatever their codes say.
    pub fn outlier_values(&self) -> Result<MatrixRef<'_, f32>> {
        self.tensor("outlier_values")
    }

    /// The weights that every format decodes to, row by row.
    pub fn dequantize(&self) -> Result<Vec<f32>> {
        let codes = self.codes()?;
        let mut weights = vec![0.0f32; codes.rows() * codes.cols()];
        self.dequantize_into(MatrixMut::new(&mut weights, codes.rows(), codes.cols())?)?;
        Ok(weights)
    }

    /// The same into a matrix `[out, in]` of f32, f16 or bf16.
    pub fn dequantize_into<T: Float>(&self, mut weights: MatrixMut<'_, T>) -> Result<()> {
        let weights = weights.raw();
        // SAFETY: the matrix lies in a slice, whose length was checked, that is borrowed for the call.
        self.handle.call(|raw| unsafe { ffi::ht_result_dequantize(raw, &weights) })
    }

    /// A number: rows, cols, bits, group_size, groups, symmetric, binary_coded, bits_per_weight, and of the solve
    /// relative_error, damping, damping_steps, dead_columns, tokens, strength, refine_rounds, refine_gain, seconds.
    pub fn number(&self, name: &str) -> Result<f64> {
        self.handle.number(name, ffi::ht_result_number)
    }

    /// The solve as a JSON object.
    pub fn report(&self) -> Result<String> {
        self.text("report")
    }

    /// Its notes: fallbacks, damping raised, too few tokens.
    pub fn notes(&self) -> Result<Vec<String>> {
        Ok(self.text("notes")?.lines().map(str::to_string).collect())
    }

    /// Packs for a format of [`formats`](crate::formats): sends each of its tensors, named `<module>.<suffix>`.
    /// [`Status::Unsupported`](crate::Status::Unsupported) if the format cannot hold the result (see
    /// [`Quantizer::set_format`](crate::Quantizer::set_format)).
    pub fn pack(
        &self,
        format: &str,
        module: &str,
        sink: impl FnMut(&Tensor<'_>) -> std::result::Result<(), CallbackError>,
    ) -> Result<()> {
        let (format, module) = (text::c_string(format)?, text::c_string(module)?);
        let mut sink = Sink::new(sink);
        let (receive, user) = Sink::callback(&mut sink);
        // SAFETY: `sink` lives longer than the call, and nothing else uses it meanwhile.
        let outcome = self
            .handle
            .call(|raw| unsafe { ffi::ht_result_pack(raw, format.as_ptr(), module.as_ptr(), receive, user) });
        outcome.map_err(|error| error.caused_by(sink.error.take()))
    }

    fn text(&self, what: &str) -> Result<String> {
        self.handle.text(what, |raw, what, buffer, capacity, length| {
            // SAFETY: a live handle, a string, and a buffer of that capacity.
            unsafe { ffi::ht_result_text(raw, what, buffer, capacity, length) }
        })
    }
}
