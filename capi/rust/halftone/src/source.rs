//! Models in the memory of the program.

use crate::callback::{guarded, status_of, CallbackError, Stable};
use crate::element::DType;
use crate::error::Result;
use crate::tensor::Tensor;
use crate::text;
use halftone_sys as ffi;
use std::ffi::CString;
use std::os::raw::{c_char, c_void};
use std::{ptr, slice};

type Read<'a> = Box<dyn FnMut(&str, u64, &mut [u8]) -> std::result::Result<(), CallbackError> + Send + 'a>;

/// A closure that reads tensors, behind the `user` of a C callback, and what it failed with.
pub(crate) struct Reader<'a> {
    read: Read<'a>,
    pub(crate) error: Option<CallbackError>,
}

struct Entry<'a> {
    name: CString,
    dtype: DType,
    shape: Vec<i64>,
    data: Option<&'a [u8]>,
    bytes: u64,
}

/// A model that the program holds: the text of its config.json, and its tensors. Their data is borrowed for the life of
/// the [`Job`](crate::Job) that takes it, or read by a closure.
///
/// ```no_run
/// # fn main() -> halftone::Result<()> {
/// # let (config, embedding, context) = (String::new(), vec![0u8; 64 * 4], halftone::Context::new()?);
/// use halftone::{DType, Source, Tensor};
/// let mut source = Source::new(&config);
/// source.add(&Tensor { name: "model.embed_tokens.weight", dtype: DType::F32, shape: &[8, 8], data: &embedding })?;
/// source.add_unread("lm_head.weight", DType::F32, &[8, 8])?;
/// source.read_by(|name, offset, into| {
///     eprintln!("{} bytes of {} from {}", into.len(), name, offset);
///     into.fill(0);
///     Ok(())
/// });
/// # let mut job = halftone::Job::new(&context, "{}")?;
/// job.source(source)?;
/// # Ok(())
/// # }
/// ```
///
/// A job cannot outlive the data:
///
/// ```compile_fail,E0597
/// # use halftone::{Context, DType, Job, Source, Tensor};
/// let mut job = Job::new(&Context::new().unwrap(), "{}").unwrap();
/// {
///     let data = vec![0u8; 16];
///     let mut source = Source::new("{}");
///     source.add(&Tensor { name: "w", dtype: DType::F32, shape: &[4], data: &data }).unwrap();
///     job.source(source).unwrap();
/// }
/// job.run().unwrap();
/// ```
pub struct Source<'a> {
    config: String,
    entries: Vec<Entry<'a>>,
    read: Option<Read<'a>>,
}

impl<'a> Source<'a> {
    /// A model without tensors yet.
    pub fn new(config: impl Into<String>) -> Self {
        Source { config: config.into(), entries: Vec::new(), read: None }
    }

    /// A tensor whose data is in memory.
    pub fn add(&mut self, tensor: &Tensor<'a>) -> Result<&mut Self> {
        self.push(tensor.name, tensor.dtype, tensor.shape, Some(tensor.data), tensor.data.len() as u64)
    }

    /// A tensor whose data the closure of [`Source::read_by`] reads.
    pub fn add_unread(&mut self, name: &str, dtype: DType, shape: &[i64]) -> Result<&mut Self> {
        let elements = shape.iter().try_fold(1u64, |product, &size| product.checked_mul(u64::try_from(size).ok()?));
        let bytes = elements.and_then(|elements| elements.checked_mul(dtype.bytes()? as u64));
        self.push(name, dtype, shape, None, bytes.unwrap_or(0))
    }

    /// Reads tensors: `read(name, offset, into)` fills `into` with the bytes from `offset` on.
    pub fn read_by(
        &mut self,
        read: impl FnMut(&str, u64, &mut [u8]) -> std::result::Result<(), CallbackError> + Send + 'a,
    ) -> &mut Self {
        self.read = Some(Box::new(read));
        self
    }

    fn push(
        &mut self,
        name: &str,
        dtype: DType,
        shape: &[i64],
        data: Option<&'a [u8]>,
        bytes: u64,
    ) -> Result<&mut Self> {
        self.entries.push(Entry { name: text::c_string(name)?, dtype, shape: shape.to_vec(), data, bytes });
        Ok(self)
    }

    /// Gives this to `set`, as the library wants it, and keeps the closure; `set` copies all but the data.
    pub(crate) fn give(self, set: impl FnOnce(&ffi::ht_source) -> Result<()>) -> Result<Option<Stable<Reader<'a>>>> {
        let config = text::c_string(&self.config)?;
        let tensors: Vec<ffi::ht_tensor> = self.entries.iter().map(Entry::raw).collect();
        let reader = self.read.map(|read| Stable::new(Reader { read, error: None }));
        let mut source: ffi::ht_source = ffi::sized();
        source.config = config.as_ptr();
        source.tensors = tensors.as_ptr();
        source.tensor_count = tensors.len() as u64;
        if let Some(reader) = &reader {
            source.read = Some(read_tensor);
            source.user = reader.get().cast();
        }
        set(&source)?;
        Ok(reader)
    }
}

impl Entry<'_> {
    fn raw(&self) -> ffi::ht_tensor {
        let mut tensor: ffi::ht_tensor = ffi::sized();
        tensor.dtype = self.dtype.code();
        tensor.name = self.name.as_ptr();
        tensor.shape = self.shape.as_ptr();
        tensor.rank = self.shape.len() as u32;
        tensor.data = self.data.map_or(ptr::null(), |data| data.as_ptr().cast());
        tensor.bytes = self.bytes;
        tensor
    }
}

/// # Safety
/// `user` is a Reader that nothing else uses during the call; `into` has room for `size` bytes.
unsafe extern "C" fn read_tensor(
    user: *mut c_void,
    name: *const c_char,
    offset: u64,
    size: u64,
    into: *mut c_void,
) -> ffi::ht_status {
    guarded(ffi::HT_CANCELLED, || {
        // SAFETY: as the caller says. The memory is not initialised yet, which a slice must be.
        let (reader, name, into) = unsafe {
            let bytes: *mut u8 = if size == 0 { ptr::NonNull::dangling().as_ptr() } else { into.cast() };
            ptr::write_bytes(bytes, 0, size as usize);
            (&mut *(user as *mut Reader<'_>), text::borrowed(name), slice::from_raw_parts_mut(bytes, size as usize))
        };
        let outcome = (reader.read)(name, offset, into);
        status_of(outcome, &mut reader.error)
    })
}
