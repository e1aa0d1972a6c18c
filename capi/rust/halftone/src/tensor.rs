//! Named tensors, borrowed.

use crate::callback::{guarded, status_of, CallbackError};
use crate::element::DType;
use crate::error::{Error, Result, Status};
use crate::text;
use halftone_sys as ffi;
use std::os::raw::c_void;
use std::slice;

/// A named tensor, contiguous and little-endian.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tensor<'a> {
    /// "model.layers.0.mlp.down_proj.weight".
    pub name: &'a str,
    /// Type of the elements.
    pub dtype: DType,
    /// Sizes, outermost first.
    pub shape: &'a [i64],
    /// The elements' bytes.
    pub data: &'a [u8],
}

impl<'a> Tensor<'a> {
    /// What the library filled in.
    ///
    /// # Safety
    /// The pointers are to memory that stays and does not change as long as `'a`.
    pub(crate) unsafe fn from_raw(tensor: &ffi::ht_tensor) -> Result<Self> {
        let bytes =
            usize::try_from(tensor.bytes).map_err(|_| Error::new(Status::Internal, "a tensor beyond memory"))?;
        // SAFETY: as the caller says; slice_of minds NULL.
        unsafe {
            Ok(Tensor {
                name: text::borrowed(tensor.name),
                dtype: DType::from_code(tensor.dtype),
                shape: slice_of(tensor.shape, tensor.rank as usize),
                data: slice_of(tensor.data.cast(), bytes),
            })
        }
    }
}

/// # Safety
/// The pointer is to `length` elements that stay as long as `'a`, or `length` is 0.
unsafe fn slice_of<'a, T>(pointer: *const T, length: usize) -> &'a [T] {
    if pointer.is_null() || length == 0 {
        return &[];
    }
    // SAFETY: as the caller says.
    unsafe { slice::from_raw_parts(pointer, length) }
}

/// A closure that receives tensors, behind the `user` of a C callback, and what it failed with.
pub(crate) struct Sink<F> {
    receive: F,
    pub(crate) error: Option<CallbackError>,
}

impl<F: FnMut(&Tensor<'_>) -> std::result::Result<(), CallbackError>> Sink<F> {
    pub(crate) fn new(receive: F) -> Self {
        Sink { receive, error: None }
    }

    /// What to give to the library: valid while the sink stays where it is.
    pub(crate) fn callback(sink: *mut Self) -> (ffi::ht_tensor_fn, *mut c_void) {
        (Some(Self::receive), sink.cast())
    }

    /// # Safety
    /// `user` is a Sink<F> that nothing else uses during the call, `tensor` what the library sends.
    unsafe extern "C" fn receive(user: *mut c_void, tensor: *const ffi::ht_tensor) -> ffi::ht_status {
        guarded(ffi::HT_CANCELLED, || {
            // SAFETY: as the caller says; the tensor is valid during the call.
            let (sink, tensor) = unsafe { (&mut *(user as *mut Self), Tensor::from_raw(&*tensor)) };
            let outcome = match tensor {
                Ok(tensor) => (sink.receive)(&tensor),
                Err(error) => Err(error.into()),
            };
            status_of(outcome, &mut sink.error)
        })
    }
}
