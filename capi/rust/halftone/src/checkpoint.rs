//! Checkpoint directories.

use crate::context::Context;
use crate::error::{Result, Status};
use crate::handle::Handle;
use crate::quantized::QuantizedMatrix;
use crate::tensor::Tensor;
use crate::text;
use halftone_sys as ffi;
use std::path::Path;

/// A checkpoint directory in Hugging Face layout, dense or quantised in any of the formats, memory-mapped.
#[derive(Debug)]
pub struct Checkpoint {
    handle: Handle<ffi::ht_checkpoint>,
}

impl Checkpoint {
    /// Maps the files of a directory.
    pub fn open(context: &Context, directory: impl AsRef<Path>) -> Result<Self> {
        let directory = text::c_path(directory.as_ref())?;
        // SAFETY: a live context and a string.
        let handle = Handle::create(context.shared(), context.get(), |out| unsafe {
            ffi::ht_checkpoint_open(context.get(), directory.as_ptr(), out)
        })?;
        Ok(Checkpoint { handle })
    }

    /// All tensors, sorted by name.
    pub fn tensors(&self) -> Tensors<'_> {
        Tensors { checkpoint: self, next: 0 }
    }

    /// A tensor by name.
    pub fn tensor(&self, name: &str) -> Result<Tensor<'_>> {
        let name = text::c_string(name)?;
        // SAFETY: a live handle and a string.
        self.fill(|raw, tensor| unsafe { ffi::ht_checkpoint_tensor(raw, name.as_ptr(), tensor) })
    }

    /// Codes and grid of a quantised module ("model.layers.0.mlp.down_proj"); [`Status::NotFound`] if it is not
    /// quantised.
    pub fn matrix(&self, module: &str) -> Result<QuantizedMatrix> {
        let module = text::c_string(module)?;
        let raw = self.handle.get();
        // SAFETY: a live handle and a string.
        let result = Handle::create(self.handle.shared(), raw, |out| unsafe {
            ffi::ht_checkpoint_matrix(raw, module.as_ptr(), out)
        })?;
        Ok(QuantizedMatrix::from_handle(result))
    }

    fn fill(
        &self,
        get: impl FnOnce(*const ffi::ht_checkpoint, *mut ffi::ht_tensor) -> ffi::ht_status,
    ) -> Result<Tensor<'_>> {
        let mut tensor: ffi::ht_tensor = ffi::sized();
        self.handle.call(|raw| get(raw, &mut tensor))?;
        // SAFETY: the pointers are into the mapped file, which stays until the handle is destroyed.
        unsafe { Tensor::from_raw(&tensor) }
    }
}

/// The tensors of a [`Checkpoint`].
pub struct Tensors<'a> {
    checkpoint: &'a Checkpoint,
    next: u32,
}

impl<'a> Iterator for Tensors<'a> {
    type Item = Result<Tensor<'a>>;

    fn next(&mut self) -> Option<Self::Item> {
        let index = self.next;
        self.next += 1;
        // SAFETY: a live handle.
        match self.checkpoint.fill(|raw, tensor| unsafe { ffi::ht_checkpoint_get(raw, index, tensor) }) {
            Err(error) if error.status() == Status::NotFound => None,
            tensor => Some(tensor),
        }
    }
}
