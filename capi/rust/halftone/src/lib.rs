//! Quantisation of the weights of transformers after training: the safe interface to libhalftone_c.
//!
//! A matrix: collect what its inputs look like, choose a method and its options by name, run it, and read codes and
//! grid or pack them for an engine.
//!
//! ```
//! use halftone::{Context, MatrixRef, Quantizer, Statistics};
//!
//! # fn main() -> halftone::Result<()> {
//! let (rows, cols, tokens) = (8, 16, 64);
//! let weights: Vec<f32> = (0..rows * cols).map(|i| ((i * 37 % 101) as f32 - 50.0) / 100.0).collect();
//! let inputs: Vec<f32> = (0..tokens * cols).map(|i| ((i * 53 % 89) as f32 - 44.0) / 100.0).collect();
//!
//! let context = Context::new()?;
//! let mut quantizer = Quantizer::new(&context, "gptq")?;
//! quantizer.set("bits", 4)?.set("group_size", 8)?;
//! let mut statistics = Statistics::new(&context, cols, quantizer.moments()?)?;
//! statistics.add(MatrixRef::new(&inputs, tokens, cols)?)?;
//!
//! let quantized = quantizer.run(MatrixRef::new(&weights, rows, cols)?, &statistics)?;
//! assert_eq!(quantized.codes()?.rows(), rows);
//! assert!(quantized.codes()?.iter().all(|&code| code < 16));
//! assert!(quantized.number("relative_error")? < 0.02);
//! # Ok(())
//! # }
//! ```
//!
//! A whole model is a [`Job`], from directory to directory or from and into the program's memory.
//!
//! # Threads
//! Every type may move to another thread. [`Statistics`] may also be read from several at once, as quantizers do, and a
//! [`Canceller`] may be used from anywhere. Closures given to a [`Job`] or to [`QuantizedMatrix::pack`] run on the
//! thread that called; a panic in one ends the work and goes on from the call.
//!
//! # Finding the library
//! The build takes libhalftone_c from the directory in `HALFTONE_LIB_DIR`, else from where pkg-config knows
//! `halftone-c`.
#![deny(missing_docs)]
#![deny(unsafe_op_in_unsafe_fn)]

mod callback;
mod catalog;
mod checkpoint;
mod context;
mod element;
mod error;
mod handle;
mod job;
mod matrix;
mod progress;
mod quantized;
mod quantizer;
mod source;
mod statistics;
mod tensor;
mod text;

pub use callback::CallbackError;
pub use catalog::{features, formats, methods, options, version, Feature, Format, Method, MethodOption, OptionKind};
pub use checkpoint::{Checkpoint, Tensors};
pub use context::{Context, LogLevel};
pub use element::{Bf16, DType, Element, Float, F16};
pub use error::{Error, Result, Status};
pub use job::{Canceller, Job};
pub use matrix::{MatrixMut, MatrixRef};
pub use progress::{Phase, Progress};
pub use quantized::QuantizedMatrix;
pub use quantizer::Quantizer;
pub use source::Source;
pub use statistics::{Batch, Moments, Statistics};
pub use tensor::Tensor;
