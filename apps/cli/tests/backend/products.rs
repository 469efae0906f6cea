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

fn matrix(values: &[f32], [rows, columns]: [usize; 2], turned: bool) -> Tensor<Plain, 2> {
    let device = Default::default();
    if !turned {
        return Tensor::from_data(TensorData::new(values.to_vec(), [rows, columns]), &device);
    }
    let by_column = (0..rows * columns).map(|at| values[at % rows * columns + at / rows]).collect::<Vec<f32>>();
    Tensor::from_data(TensorData::new(by_column, [columns, rows]), &device).transpose()
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

#[test]
fn products_have_the_sums_of_all_lengths() {
    let most = if cfg!(feature = "cuda") { 2e-3 } else { 1e-5 };
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    // Odd and even numbers of stages of 8 to 64, and what fills none.
    for length in [7, 8, 32, 104, 192] {
        for [rows, columns] in [[1, 9], [576, 9], [600, 520]] {
            let mut draw = |count| (0..count).map(|_| rng.random_range(-1.0..1.0)).collect::<Vec<f32>>();
            let (a, b) = (draw(rows * length), draw(length * columns));
            let entry = |at: usize| -> f64 {
                let of = |k: usize| f64::from(a[at / columns * length + k]) * f64::from(b[k * columns + at % columns]);
                (0..length).map(of).sum()
            };
            let expected: Vec<f64> = (0..rows * columns).map(entry).collect();
            let layouts = [[false, false], [true, false]];
            for turned in &layouts[..if rows == 600 { 2 } else { 1 }] {
                leave_numbers();
                let inputs = vec![matrix(&a, [rows, length], turned[0]), matrix(&b, [length, columns], turned[1])];
                let found = run::<2, 2>(Call::Product { columns }, inputs).into_data().to_vec().unwrap();
                let error = error(found, &expected);
                assert!(error < most, "{rows} × {length} × {columns}, turned {turned:?}: off by {error:.1e}");
            }
        }
    }
}

#[test]
fn folds_are_the_sums_of_patches() {
    let mut rng = ChaCha8Rng::seed_from_u64(4);
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
        assert!(error < 1e-6, "{images} × {height} × {width}, {patches:?}: off by {error:.1e}");
    }
}
