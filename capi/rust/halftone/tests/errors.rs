//! Failures: by kind and with words, and panics that go through the library.

mod common;

use common::{quantized, statistics, values, COLS, ROWS};
use halftone::{Context, Error, LogLevel, MatrixRef, Moments, Quantizer, Statistics, Status};
use std::error::Error as _;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::{Arc, Mutex};

fn status<T>(result: halftone::Result<T>) -> Status {
    match result {
        Ok(_) => panic!("wanted an error"),
        Err(error) => {
            assert!(!error.message().is_empty());
            error.status()
        }
    }
}

#[test]
fn kinds_and_words() {
    let context = Context::new().unwrap();
    let mut quantizer = Quantizer::new(&context, "gptq").unwrap();
    let error = quantizer.set("bits", 99).unwrap_err();
    assert_eq!(error.status(), Status::InvalidArgument);
    assert!(error.to_string().contains("bits") && error.to_string().contains("99"), "{}", error);
    assert_eq!(error.status().to_string(), "invalid_argument");
    assert_eq!(status(quantizer.set("no such option", 1)), Status::NotFound);
    assert_eq!(status(quantizer.set("bits", "4\0")), Status::InvalidArgument);
    assert_eq!(status(halftone::options("no such method")), Status::NotFound);
    assert_eq!(status(Statistics::load(&context, "/nowhere/sums.safetensors")), Status::NotFound);
    assert_eq!(status(halftone::Checkpoint::open(&context, "/nowhere")), Status::NotFound);
    assert_eq!(status(Context::with_threads(usize::MAX)), Status::InvalidArgument);
    let result = quantized(&context, "rtn", &[]);
    assert_eq!(status(result.alphas()), Status::NotFound);
    assert_eq!(status(result.tensor::<f32>("codes")), Status::Unsupported);
    assert_eq!(status(result.number("no such number")), Status::NotFound);
}

#[test]
fn matrices_that_do_not_fit() {
    let values = vec![0.0f32; 10];
    assert_eq!(status(MatrixRef::new(&values, 3, 4)), Status::ShapeMismatch);
    assert_eq!(status(MatrixRef::new(&values, 2, 4)), Status::ShapeMismatch);
    assert_eq!(status(MatrixRef::with_stride(&values, 3, 4, 4)), Status::ShapeMismatch);
    assert_eq!(status(MatrixRef::with_stride(&values, 2, 4, 3)), Status::InvalidArgument);
    assert_eq!(status(MatrixRef::with_stride(&values, usize::MAX, 4, usize::MAX)), Status::InvalidArgument);
    assert!(MatrixRef::with_stride(&values, 3, 2, 4).is_ok());

    let context = Context::new().unwrap();
    let mut quantizer = Quantizer::new(&context, "gptq").unwrap();
    let statistics = statistics(&context, &quantizer);
    let narrow = MatrixRef::new(&values, 2, 5).unwrap();
    assert_eq!(status(quantizer.run(narrow, &statistics)), Status::ShapeMismatch);
    assert_eq!(status(quantizer.run(narrow, None)), Status::InvalidArgument);
    let mut other = Statistics::new(&context, COLS, Moments::Second).unwrap();
    assert_eq!(status(other.add(narrow)), Status::ShapeMismatch);
    let not_finite = vec![f32::NAN; COLS];
    assert_eq!(status(other.add(MatrixRef::new(&not_finite, 1, COLS).unwrap())), Status::InvalidData);
    assert_eq!(other.number("tokens").unwrap(), 0.0);
}

#[test]
fn what_a_sink_fails_with_is_the_source() {
    let context = Context::new().unwrap();
    let result = quantized(&context, "rtn", &[("bits", "4")]);
    let error = result.pack("native", "m", |_| Err("no room".into())).unwrap_err();
    assert_eq!(error.status(), Status::Cancelled);
    assert_eq!(error.source().unwrap().to_string(), "no room");
    let full = std::io::Error::new(std::io::ErrorKind::Other, "disk full");
    let mut full = Some(full);
    let error = result.pack("native", "m", |_| Err(full.take().unwrap().into())).unwrap_err();
    assert_eq!(error.status(), Status::Io);
    let error = result.pack("native", "m", |_| Err(Error::new(Status::Conflict, "mine").into())).unwrap_err();
    assert_eq!(error.status(), Status::Conflict);
}

#[test]
fn a_panic_of_a_sink_goes_on_from_the_call() {
    let context = Context::new().unwrap();
    let result = quantized(&context, "rtn", &[("bits", "4")]);
    let panic = catch_unwind(AssertUnwindSafe(|| result.pack("native", "m", |_| panic!("of the sink")))).unwrap_err();
    assert_eq!(panic.downcast_ref::<&str>(), Some(&"of the sink"));
    let mut tensors = 0;
    let again = result.pack("native", "m", |_| {
        tensors += 1;
        Ok(())
    });
    again.unwrap();
    assert!(tensors > 0);
}

#[test]
fn the_log_hears_of_failures_as_long_as_something_may_fail() {
    let context = Context::new().unwrap();
    let lines = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&lines);
    context.set_log(move |level, text| heard.lock().unwrap().push((level, text.to_string()))).unwrap();
    let mut quantizer = Quantizer::new(&context, "gptq").unwrap();
    drop(context); // the log stays with what was made from it
    assert!(quantizer.set("bits", 99).is_err());
    let heard = lines.lock().unwrap().clone();
    assert!(heard.iter().any(|(level, text)| *level == LogLevel::Error && text.contains("99")), "{:?}", heard);
    drop(quantizer);
    assert_eq!(Arc::strong_count(&lines), 1); // and goes with the last of it
}

#[test]
fn a_panic_of_the_log_goes_on_from_the_call_and_the_log_can_be_silenced() {
    let context = Context::new().unwrap();
    context.set_log(|_, text| panic!("{}", text.len())).unwrap();
    let mut quantizer = Quantizer::new(&context, "gptq").unwrap();
    assert!(catch_unwind(AssertUnwindSafe(|| quantizer.set("bits", 99).is_err())).is_err());
    context.clear_log().unwrap();
    assert!(quantizer.set("bits", 99).is_err());
}

#[test]
fn handles_move_between_threads() {
    fn moves<T: Send>(value: T) -> T {
        value
    }
    fn shared<T: Sync>(_: &T) {}
    let context = moves(Context::new().unwrap());
    let mut quantizer = moves(Quantizer::new(&context, "gptq").unwrap());
    let statistics = moves(statistics(&context, &quantizer));
    shared(&statistics);
    let weights = values(1, ROWS * COLS);
    let result = std::thread::spawn(move || {
        let _context = context;
        quantizer.run(MatrixRef::new(&weights, ROWS, COLS).unwrap(), &statistics).unwrap()
    });
    assert_eq!(result.join().unwrap().codes().unwrap().rows(), ROWS);
}
