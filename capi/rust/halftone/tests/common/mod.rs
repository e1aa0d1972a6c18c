//! What the tests share: numbers, hashes and models. The numbers are those of tests/capi/same_bytes.h.
#![allow(dead_code)] // each test file uses a part

use halftone::{Context, MatrixRef, QuantizedMatrix, Quantizer, Statistics};
use std::path::{Path, PathBuf};

pub const ROWS: usize = 24;
pub const COLS: usize = 40;
pub const TOKENS: usize = 200;

/// Multiples of 2^-24 in [-1/2, 1/2): the upper bits of splitmix64.
pub fn values(seed: u64, count: usize) -> Vec<f32> {
    let mut state = seed;
    let next = || {
        state = state.wrapping_add(0x9e3779b97f4a7c15);
        let mut x = state;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58476d1ce4e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d049bb133111eb);
        x ^= x >> 31;
        (x >> 40) as f32 / 16777216.0 - 0.5
    };
    std::iter::repeat_with(next).take(count).collect()
}

/// FNV-1a.
pub fn hash(bytes: impl IntoIterator<Item = u8>) -> u64 {
    bytes.into_iter().fold(0xcbf29ce484222325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100000001b3))
}

/// W `[ROWS, COLS]` quantised by its inputs X `[TOKENS, COLS]`.
pub fn quantized(context: &Context, method: &str, options: &[(&str, &str)]) -> QuantizedMatrix {
    let mut quantizer = Quantizer::new(context, method).unwrap();
    for (name, value) in options {
        quantizer.set(name, value).unwrap();
    }
    let statistics = statistics(context, &quantizer);
    let weights = values(1, ROWS * COLS);
    quantizer.run(MatrixRef::new(&weights, ROWS, COLS).unwrap(), &statistics).unwrap()
}

pub fn statistics(context: &Context, quantizer: &Quantizer) -> Statistics {
    let mut statistics = Statistics::new(context, COLS, quantizer.moments().unwrap()).unwrap();
    let inputs = values(2, TOKENS * COLS);
    statistics.add(MatrixRef::new(&inputs, TOKENS, COLS).unwrap()).unwrap();
    statistics
}

/// A checkpoint of two layers, a vocabulary of 64.
pub fn model() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../tests/data/models/llama_gqa")
}

/// A folder for one test, removed when it ends.
pub struct Folder(PathBuf);

impl Folder {
    pub fn new(name: &str) -> Self {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{}-{}", name, std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Folder(path)
    }

    pub fn join(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // Where it cannot be removed, the next run makes another.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
