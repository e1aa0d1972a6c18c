//! Quantises one matrix to 4 bits with rounding to nearest and with GPTQ, and packs it for an engine.

use halftone::{Context, DType, MatrixRef, Quantizer, Statistics};

const ROWS: usize = 64;
const COLS: usize = 96;
const TOKENS: usize = 256;

/// Numbers in [-1/2, 1/2) in place of a trained matrix and its inputs, neighbours of which are alike.
fn numbers(seed: u32, count: usize) -> Vec<f32> {
    let mut state = seed;
    let mut previous = 0.0;
    let mut next = || {
        state = state.wrapping_mul(1664525).wrapping_add(1013904223);
        previous = 0.5 * previous + 0.5 * ((state >> 8) as f32 / (1 << 24) as f32 - 0.5);
        previous
    };
    (0..count).map(|_| next()).collect()
}

fn main() -> halftone::Result<()> {
    let (weights, inputs) = (numbers(1, ROWS * COLS), numbers(2, TOKENS * COLS));
    let weights = MatrixRef::new(&weights, ROWS, COLS)?;
    let context = Context::new()?;

    for method in ["rtn", "gptq"] {
        let mut quantizer = Quantizer::new(&context, method)?;
        quantizer.set("bits", 4)?.set("group_size", 32)?.set_format("gptq_v2", DType::F16)?;

        let mut statistics = Statistics::new(&context, COLS, quantizer.moments()?)?;
        statistics.add(MatrixRef::new(&inputs, TOKENS, COLS)?)?;
        let quantized = quantizer.run(weights, &statistics)?;

        let bits = quantized.number("bits_per_weight")?;
        println!("{}: relative error {:.5}, {:.3} bits per weight", method, quantized.number("relative_error")?, bits);
        quantized.pack("gptq_v2", "layer", |tensor| {
            println!("  {} {:?} {:?}, {} bytes", tensor.name, tensor.dtype, tensor.shape, tensor.data.len());
            Ok(())
        })?;
    }
    Ok(())
}
