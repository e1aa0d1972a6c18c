//! One matrix: the same bytes as through C, results that decode to what they say, views, packing.

mod common;

use common::{hash, quantized, statistics, values, Folder, COLS, ROWS, TOKENS};
use halftone::{Batch, Bf16, Context, DType, MatrixMut, MatrixRef, Moments, Quantizer, Statistics, F16};
use std::collections::BTreeMap;

const OPTIONS: [(&str, &str); 3] = [("bits", "3"), ("group_size", "16"), ("act_order", "true")];

#[test]
fn same_bytes_as_through_c() {
    let wanted = match std::env::var("HALFTONE_SAME_BYTES") {
        Ok(wanted) => wanted,
        Err(_) => return eprintln!("skipped: HALFTONE_SAME_BYTES is not set"),
    };
    let result = quantized(&Context::new().unwrap(), "gptq", &OPTIONS);
    let scales = result.scales().unwrap().iter().flat_map(|scale| scale.to_le_bytes()).collect::<Vec<u8>>();
    let (codes, zeros) = (result.codes().unwrap().to_vec(), result.zeros().unwrap().to_vec());
    let ours = hash(codes.into_iter().chain(scales).chain(zeros));
    assert_eq!(format!("{:016x}", ours), wanted.trim());
}

#[test]
fn weights_are_scale_times_code_minus_zero() {
    let result = quantized(&Context::new().unwrap(), "gptq", &OPTIONS);
    let (codes, scales, zeros) = (result.codes().unwrap(), result.scales().unwrap(), result.zeros().unwrap());
    let weights = result.dequantize().unwrap();
    for r in 0..ROWS {
        for c in 0..COLS {
            let group = c / 16;
            let offset = f32::from(codes.row(r)[c]) - f32::from(zeros.row(r)[group]);
            assert_eq!(weights[r * COLS + c], scales.row(r)[group] * offset);
        }
    }
    assert!(codes.iter().all(|&code| code < 8));
    assert!(codes.iter().any(|&code| code > 3));
    assert_eq!((result.number("bits").unwrap(), result.number("rows").unwrap()), (3.0, ROWS as f64));
}

#[test]
fn any_number_of_threads_gives_the_same() {
    let one = quantized(&Context::with_threads(1).unwrap(), "gptq", &OPTIONS);
    let many = quantized(&Context::with_threads(3).unwrap(), "gptq", &OPTIONS);
    assert_eq!(one.codes().unwrap().to_vec(), many.codes().unwrap().to_vec());
    assert_eq!(one.dequantize().unwrap(), many.dequantize().unwrap());
}

#[test]
fn every_method_runs() {
    let context = Context::new().unwrap();
    let methods = halftone::methods().unwrap();
    assert!(methods.len() > 3);
    for method in methods {
        let result = quantized(&context, method.name, &[("bits", "4")]);
        assert_eq!(result.codes().unwrap().to_vec().len(), ROWS * COLS, "{}", method.name);
        let error: f64 = result.dequantize().unwrap().iter().zip(values(1, ROWS * COLS)).fold(0.0, |sum, (a, b)| {
            let difference = f64::from(a - b);
            sum + difference * difference
        });
        assert!(error / (ROWS * COLS) as f64 <= 0.01, "{}: {}", method.name, error);
    }
}

#[test]
fn half_precision_inputs_and_strides_are_what_they_widen_to() {
    let context = Context::new().unwrap();
    let mut quantizer = Quantizer::new(&context, "gptq").unwrap();
    let statistics = statistics(&context, &quantizer);
    // Multiples of 1/64 below 2, which every type holds.
    let plain: Vec<f32> = values(5, ROWS * COLS).iter().map(|value| (value * 64.0).round() / 64.0).collect();
    let half = |value: f32| {
        let bits = value.to_bits();
        if value == 0.0 {
            return F16(0);
        }
        F16(((bits >> 16) & 0x8000) as u16
            | ((((bits >> 23) & 0xff) - 112) << 10) as u16
            | ((bits >> 13) & 0x3ff) as u16)
    };
    let mut padded = vec![F16(0x7e00); ROWS * (COLS + 3)]; // NaN between the rows
    let mut brain = Vec::new();
    for (i, &value) in plain.iter().enumerate() {
        padded[i / COLS * (COLS + 3) + i % COLS] = half(value);
        brain.push(Bf16((value.to_bits() >> 16) as u16));
    }
    let wide: Vec<f64> = plain.iter().map(|&value| f64::from(value)).collect();
    let codes = |result: halftone::Result<halftone::QuantizedMatrix>| result.unwrap().codes().unwrap().to_vec();
    let wanted = codes(quantizer.run(MatrixRef::new(&plain, ROWS, COLS).unwrap(), &statistics));
    assert_eq!(codes(quantizer.run(MatrixRef::new(&brain, ROWS, COLS).unwrap(), &statistics)), wanted);
    assert_eq!(codes(quantizer.run(MatrixRef::new(&wide, ROWS, COLS).unwrap(), &statistics)), wanted);
    let padded = MatrixRef::with_stride(&padded, ROWS, COLS, COLS + 3).unwrap();
    assert_eq!(codes(quantizer.run(padded, &statistics)), wanted);
}

#[test]
fn weights_go_into_half_precision_and_between_what_is_there() {
    let result = quantized(&Context::new().unwrap(), "rtn", &[("bits", "4")]);
    let wanted = result.dequantize().unwrap();
    let mut brain = vec![Bf16(0xffff); ROWS * (COLS + 1)];
    result.dequantize_into(MatrixMut::with_stride(&mut brain, ROWS, COLS, COLS + 1).unwrap()).unwrap();
    for r in 0..ROWS {
        for c in 0..COLS {
            let stored = f32::from_bits(u32::from(brain[r * (COLS + 1) + c].0) << 16);
            assert!((stored - wanted[r * COLS + c]).abs() <= wanted[r * COLS + c].abs() / 256.0);
        }
    }
    assert!((0..ROWS - 1).all(|r| brain[r * (COLS + 1) + COLS] == Bf16(0xffff)));
}

#[test]
fn statistics_add_up() {
    let context = Context::new().unwrap();
    let inputs = values(2, TOKENS * COLS);
    let all = MatrixRef::new(&inputs, TOKENS, COLS).unwrap();
    let mut whole = Statistics::new(&context, COLS, Moments::Cross).unwrap();
    whole.add(Batch::new(all).full_precision(all)).unwrap();
    let (first, second) = inputs.split_at(64 * COLS);
    let mut parts = Statistics::new(&context, COLS, Moments::Cross).unwrap();
    parts.add(MatrixRef::new(first, 64, COLS).unwrap()).unwrap();
    let mut rest = Statistics::new(&context, COLS, Moments::Cross).unwrap();
    rest.add(MatrixRef::new(second, TOKENS - 64, COLS).unwrap()).unwrap();
    parts.merge(&rest).unwrap();
    assert_eq!(parts.number("tokens").unwrap(), TOKENS as f64);
    for name in ["H", "D"] {
        let (wanted, got) = (whole.tensor(name).unwrap().to_vec(), parts.tensor(name).unwrap().to_vec());
        assert!(wanted.iter().zip(&got).all(|(a, b)| (a - b).abs() < 1e-3), "{}", name);
    }
    let folder = Folder::new("statistics");
    whole.save(folder.join("sums.safetensors")).unwrap();
    let loaded = Statistics::load(&context, folder.join("sums.safetensors")).unwrap();
    assert_eq!(loaded.tensor("H").unwrap().to_vec(), whole.tensor("H").unwrap().to_vec());
    let mut summed = Statistics::new(&context, COLS, Moments::Second).unwrap();
    summed.add_sums(TOKENS as u64, loaded.tensor("H").unwrap(), None).unwrap();
    assert_eq!(summed.number("tokens").unwrap(), TOKENS as f64);
}

#[test]
fn several_quantizers_read_the_same_statistics() {
    let context = Context::new().unwrap();
    let wanted = quantized(&context, "gptq", &OPTIONS).codes().unwrap().to_vec();
    let mut quantizers = Vec::new();
    for _ in 0..4 {
        let mut quantizer = Quantizer::new(&context, "gptq").unwrap();
        for (name, value) in OPTIONS {
            quantizer.set(name, value).unwrap();
        }
        quantizers.push(quantizer);
    }
    let statistics = statistics(&context, &quantizers[0]);
    let weights = values(1, ROWS * COLS);
    let weights = MatrixRef::new(&weights, ROWS, COLS).unwrap();
    std::thread::scope(|scope| {
        for mut quantizer in quantizers {
            let (statistics, wanted) = (&statistics, &wanted);
            scope.spawn(move || {
                let result = quantizer.run(weights, statistics).unwrap();
                assert_eq!(&result.codes().unwrap().to_vec(), wanted);
            });
        }
    });
}

#[test]
fn packs_into_the_tensors_of_a_format() {
    let context = Context::new().unwrap();
    let mut quantizer = Quantizer::new(&context, "rtn").unwrap();
    quantizer.set("bits", 4).unwrap().set("group_size", 32).unwrap();
    quantizer.set_format("gptq_v2", DType::F16).unwrap();
    assert_eq!(quantizer.option("bits").unwrap(), "4");
    let weights = values(1, 32 * 64);
    let result = quantizer.run(MatrixRef::new(&weights, 32, 64).unwrap(), None).unwrap();
    drop((quantizer, context)); // the result keeps what it needs
    let mut sent = BTreeMap::new();
    let pack = result.pack("gptq_v2", "model.layers.0.mlp.down_proj", |tensor| {
        sent.insert(tensor.name.to_string(), (tensor.dtype, tensor.shape.to_vec(), tensor.data.to_vec()));
        Ok(())
    });
    pack.unwrap();
    let (dtype, shape, data) = &sent["model.layers.0.mlp.down_proj.qweight"];
    assert_eq!((*dtype, &shape[..], data.len()), (DType::I32, &[64 / 8, 32][..], 64 / 8 * 32 * 4));
    // Word [i, r] has the codes of columns 8 i to 8 i + 7 of row r, lowest bits first.
    let codes = result.codes().unwrap();
    for (word, bytes) in data.chunks(4).enumerate() {
        let (i, r) = (word / 32, word % 32);
        let stored = u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
        assert!((0..8).all(|k| (stored >> (4 * k)) & 15 == u32::from(codes.row(r)[8 * i + k])));
    }
}

#[test]
fn the_lists_say_what_there_is() {
    assert!(halftone::version().starts_with(char::is_numeric));
    let options = halftone::options("gptq").unwrap();
    let bits = options.iter().find(|option| option.name == "bits").unwrap();
    assert!(
        matches!(bits.kind, halftone::OptionKind::Integer { minimum, maximum } if minimum <= 2.0 && maximum >= 8.0)
    );
    let order = options.iter().find(|option| option.name == "act_order").unwrap();
    assert_eq!(order.kind, halftone::OptionKind::Flag);
    assert!(halftone::formats().unwrap().iter().any(|format| format.name == "gptq_v2"));
    assert!(halftone::features().unwrap().iter().any(|feature| feature.name == "isa"));
}
