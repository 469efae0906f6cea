//! Products of matrices, and sums of patches, in kernels are those written out.

use burn::tensor::{Tensor, TensorData, TensorPrimitive};
use qare_models::qare_cube::{Call, Fold, KernelBackend, Patches};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::Plain;

fn run<const D: usize, const E: usize>(call: Call, inputs: Vec<Tensor<Plain, D>>) -> Tensor<Plain, E> {
    let inputs = inputs.into_iter().map(|tensor| tensor.into_primitive().tensor()).collect();
    let output = <Plain as KernelBackend>::run(call, inputs).remove(0);
    Tensor::from_primitive(TensorPrimitive::Float(output))
}

/// Matrices one after another, each by rows, or turned by columns.
fn matrices(values: &[f32], [count, rows, columns]: [usize; 3], turned: bool) -> Tensor<Plain, 3> {
    let device = Default::default();
    if !turned {
        return Tensor::from_data(TensorData::new(values.to_vec(), [count, rows, columns]), &device);
    }
    let turn = |matrix: &[f32]| -> Vec<f32> {
        (0..rows * columns).map(|at| matrix[at % rows * columns + at / rows]).collect()
    };
    let by_column = values.chunks_exact(rows * columns).flat_map(turn).collect::<Vec<f32>>();
    Tensor::from_data(TensorData::new(by_column, [count, columns, rows]), &device).transpose()
}

/// ‖found − expected‖ / ‖expected‖
fn error(found: Vec<f32>, expected: &[f64]) -> f64 {
    assert_eq!(found.len(), expected.len());
    let difference: f64 = found.iter().zip(expected).map(|(f, e)| (f64::from(*f) - e).powi(2)).sum();
    (difference / expected.iter().map(|e| e * e).sum::<f64>()).sqrt()
}

/// Memory that is given back with large numbers in it: what lies past the end of a matrix that is made next.
fn leave_numbers() {
    for size in [1 << 10, 1 << 14, 1 << 18, 1 << 20] {
        let numbers = Tensor::<Plain, 1>::full([size], 1e4, &Default::default());
        assert!(numbers.sum().into_scalar() > 0.0);
    }
}

/// Sizes, number of products at once, and whether each factor lies by columns.
///
/// What lies beyond a row of a factor by rows is its next row, beyond a column the next column, and beyond the matrix another one.
const PRODUCTS: [(usize, usize, usize, [bool; 2]); 5] = [
    (576, 9, 1, [false, false]),
    (600, 520, 1, [false, true]),
    (600, 520, 1, [true, false]),
    (530, 40, 2, [true, true]),
    (600, 1, 1, [false, false]),
];

#[test]
fn products_have_the_sums_of_all_lengths() {
    let most = if cfg!(feature = "cuda") { 2e-3 } else { 1e-5 };
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    let mut off = Vec::new();
    // Odd and even numbers of stages of 8 to 64, and what fills none.
    for length in [1, 7, 8, 32, 104, 192] {
        for (rows, columns, count, turned) in PRODUCTS {
            let mut draw = |size| (0..count * size).map(|_| rng.random_range(-1.0..1.0)).collect::<Vec<f32>>();
            let (a, b) = (draw(rows * length), draw(length * columns));
            let entry = |at: usize| -> f64 {
                let (product, row, column) = (at / (rows * columns), at / columns % rows, at % columns);
                let left = &a[(product * rows + row) * length..];
                let right = &b[product * length * columns..];
                (0..length).map(|k| f64::from(left[k]) * f64::from(right[k * columns + column])).sum()
            };
            let expected: Vec<f64> = (0..count * rows * columns).map(entry).collect();
            leave_numbers();
            let inputs =
                vec![matrices(&a, [count, rows, length], turned[0]), matrices(&b, [count, length, columns], turned[1])];
            let found = run::<3, 3>(Call::Product { columns }, inputs);
            assert_eq!(found.dims(), [count, rows, columns]);
            let error = error(found.into_data().to_vec().unwrap(), &expected);
            let what = format!("{count} × {rows} × {length} × {columns}, by columns {turned:?}");
            let agrees = error < most; // Not where it is NaN.
            if !agrees {
                off.push(format!("{what}: off by {error:.1e}"));
            }
        }
    }
    assert!(off.is_empty(), "{}", off.join("\n"));
}

#[test]
fn folds_are_the_sums_of_patches() {
    let mut rng = ChaCha8Rng::seed_from_u64(4);
    let mut off = Vec::new();
    let cases = [
        (1, 9, 1, 2, 0),
        (2, 8, 1, 2, 0),
        (1, 7, 1, 1, 0),
        (3, 9, 3, 2, 1),
        (1, 8, 3, 1, 1),
        (2, 11, 7, 2, 3),
        (1, 6, 2, 3, 1),
    ];
    for (images, side, kernel, stride, padding) in cases {
        let (height, width, channels) = (side, side + 3, 5);
        let patches = Patches { kernel, stride, padding };
        let [rows, columns] = [height, width].map(|length| patches.places(length));
        let values: Vec<f32> =
            (0..images * rows * columns * kernel * kernel * channels).map(|_| rng.random_range(-1.0..1.0)).collect();
        let mut expected = vec![0.0; images * height * width * channels];
        for (at, value) in values.iter().enumerate() {
            let (channel, tap) = (at % channels, at / channels % (kernel * kernel));
            let place = at / channels / (kernel * kernel);
            let (row, column, image) = (place / columns % rows, place % columns, place / columns / rows);
            let pixel = |place: usize, tap: usize, length: usize| {
                (place * stride + tap).checked_sub(padding).filter(|pixel| *pixel < length)
            };
            if let Some((y, x)) = pixel(row, tap / kernel, height).zip(pixel(column, tap % kernel, width)) {
                expected[((image * height + y) * width + x) * channels + channel] += f64::from(*value);
            }
        }
        let shape = [images, rows * columns, kernel * kernel * channels];
        let input = Tensor::<Plain, 3>::from_data(TensorData::new(values, shape), &Default::default());
        let found = run::<3, 4>(Call::Fold(Fold { patches, height, width }), vec![input]);
        assert_eq!(found.dims(), [images, height, width, channels]);
        let error = error(found.into_data().to_vec().unwrap(), &expected);
        let agrees = error < 1e-6; // Not where it is NaN.
        if !agrees {
            off.push(format!("{images} × {height} × {width}, {patches:?}: off by {error:.1e}"));
        }
    }
    assert!(off.is_empty(), "{}", off.join("\n"));
}
