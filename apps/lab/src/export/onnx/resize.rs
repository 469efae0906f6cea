//! Pillow's bilinear resizing of 8-bit images as nodes of a graph, with the same pixels.
//!
//! The operator `Resize` computes the positions of its filter in f32, and about a pixel in a hundred differs by one. Here, the filter is a
//! matrix: its weights are computed in f64 and rounded to 22 fractional bits, as in Pillow, and products and sums are whole numbers.

use qare_onnx::{Attribute, Element, Value};

use super::preprocessing::Steps;

/// Fractional bits of a weight.
const PRECISION: u32 = 22;

/// Resizes the last axis of 8-bit pixels, `[N, 3, H, length]` → `[N, 3, H, size]`. `length` and `size` are `[1]`.
pub fn bilinear(steps: &mut Steps, pixels: &Value, length: &Value, size: &Value) -> Value {
    let weights = weights(steps, length, size); // i32 [length, size]
    // Products of bytes: weights have up to 23 bits, of which each matrix takes eight.
    let base = steps.constant(&[1], &[256i32]);
    let (mut rest, mut sum) = (weights, steps.constant(&[1], &[1i32 << (PRECISION - 1)]));
    for place in 0..3 {
        let byte = steps.op("Mod", &[&rest, &base]);
        let byte = steps.cast(&byte, Element::U8);
        rest = steps.op("Div", &[&rest, &base]);
        let product = steps.op("MatMulInteger", &[pixels, &byte]); // i32 [N, 3, H, size]
        let factor = steps.constant(&[1], &[256i32.pow(place)]);
        let scaled = steps.op("Mul", &[&product, &factor]);
        // All of it stays below 255 · 2²² + 2²¹ < 2³¹, for the weights of a position sum to 2²².
        sum = steps.op("Add", &[&sum, &scaled]);
    }
    let one = steps.constant(&[1], &[1i32 << PRECISION]);
    let rounded = steps.op("Div", &[&sum, &one]);
    // The rounded weights may sum to a little more than one.
    let most = steps.constant(&[1], &[255i32]);
    let limited = steps.op("Min", &[&rounded, &most]);
    steps.cast(&limited, Element::U8)
}

/// The weights of the triangle filter, widened by the scale when the image shrinks, times 2²² and rounded, `[length, size]`.
fn weights(steps: &mut Steps, length: &Value, size: &Value) -> Value {
    let [zero, half, one, unit] =
        [0.0, 0.5, 1.0, f64::from(1 << PRECISION)].map(|value| steps.constant(&[1], &[value]));
    let [inputs, outputs] = [length, size].map(|count| steps.cast(count, Element::F64));
    let scale = steps.op("Div", &[&inputs, &outputs]);
    let support = steps.op("Max", &[&scale, &one]);
    let places = positions(steps, length);
    let column = steps.constant(&[1], &[1i64]);
    let places = steps.op("Unsqueeze", &[&places, &column]); // [length, 1]
    let middles = positions(steps, size);
    let middles = steps.op("Add", &[&middles, &half]);
    let middles = steps.op("Mul", &[&middles, &scale]); // [size]

    let distances = steps.op("Sub", &[&places, &middles]);
    let distances = steps.op("Add", &[&distances, &half]);
    let inverse = steps.op("Div", &[&one, &support]);
    let distances = steps.op("Mul", &[&distances, &inverse]);
    let distances = steps.op("Abs", &[&distances]);
    let triangle = steps.op("Sub", &[&one, &distances]);
    let triangle = steps.op("Max", &[&triangle, &zero]); // [length, size]
    let rows = steps.constant(&[1], &[0i64]);
    let sums = steps.op_with("ReduceSum", &[&triangle, &rows], &[("keepdims", Attribute::Int(1))]);
    let weights = steps.op("Div", &[&triangle, &sums]);
    let weights = steps.op("Mul", &[&weights, &unit]);
    let weights = steps.op("Add", &[&weights, &half]);
    let weights = steps.op("Floor", &[&weights]);
    steps.cast(&weights, Element::I32)
}

/// 0, 1, …, count − 1 in f64, for a `count` of shape `[1]`.
fn positions(steps: &mut Steps, count: &Value) -> Value {
    let [start, step] = [0i64, 1].map(|value| steps.constant(&[], &[value]));
    let count = steps.op("Squeeze", &[count]);
    let whole = steps.op("Range", &[&start, &count, &step]);
    steps.cast(&whole, Element::F64)
}
