//! Linear layers of rows, and their normalisation, against their formulas in f64.

use qare_kernels::{BatchNorm1d, Linear, Normalization};
use rayon::ThreadPoolBuilder;

use crate::approx::{Approx, Sum, assert_within};
use crate::oracle::EPSILON;

/// Unit roundoff of f32.
const U: f64 = 1.0 / (1 << 24) as f64;
/// Rows, inputs and outputs: of one group or run of rows, of several, and with what is left over.
pub const CASES: [[usize; 3]; 9] = [
    [1, 8, 8],
    [2, 8, 64],
    [31, 24, 40],
    [33, 64, 16],
    [65, 16, 96],
    [130, 128, 256],
    [256, 64, 256],
    [1025, 16, 8],
    [2100, 8, 24],
];
const SLOPE: f32 = 0.01;

fn noise(len: usize, seed: usize) -> Vec<f32> {
    (0..len)
        .map(|i| ((i * 7919 + seed * 104_729) as u32).wrapping_mul(2654435761) as f32 / 2_f32.powi(31) - 1.0)
        .collect()
}

fn exact(value: f32) -> Approx {
    Approx::exact(f64::from(value))
}

/// Output, and the gradients of rows, weights and bias.
pub fn products([count, inputs, outputs]: [usize; 3], threads: usize) -> [Vec<f32>; 4] {
    let (rows, values) = (noise(count * inputs, 1), noise(inputs * outputs, 2));
    let (bias, of_output) = (noise(outputs, 3), noise(count * outputs, 4));
    let pool = ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
    pool.install(|| {
        let layer = Linear::new(inputs, outputs).expect("whole vectors");
        let weights = layer.weights(&values, true);
        let out = layer.forward(&rows, &weights, &bias).into_vec();
        let found = layer.backward(&rows, &weights, &of_output, true);
        assert!(layer.backward(&rows, &layer.weights(&values, false), &of_output, false).rows.is_none());
        [out, found.rows.expect("it is wanted"), found.weights, found.bias]
    })
}

#[test]
fn products_equal_their_formulas() {
    for case @ [count, inputs, outputs] in CASES {
        let (rows, weights) = (noise(count * inputs, 1), noise(inputs * outputs, 2));
        let (bias, of_output) = (noise(outputs, 3), noise(count * outputs, 4));
        let sum = |terms: usize, term: &dyn Fn(usize) -> Approx| {
            let mut sum = Sum::default();
            (0..terms).for_each(|at| sum.add(term(at)));
            sum.total(terms)
        };
        let both = |first: usize, second: usize| (0..first).flat_map(move |i| (0..second).map(move |j| (i, j)));
        let out = both(count, outputs).map(|(n, c)| {
            sum(inputs, &|i| exact(rows[n * inputs + i]) * exact(weights[i * outputs + c])) + exact(bias[c])
        });
        let of_rows = both(count, inputs)
            .map(|(n, i)| sum(outputs, &|c| exact(of_output[n * outputs + c]) * exact(weights[i * outputs + c])));
        let of_weights = both(inputs, outputs)
            .map(|(i, c)| sum(count, &|n| exact(rows[n * inputs + i]) * exact(of_output[n * outputs + c])));
        let of_bias = (0..outputs).map(|c| sum(count, &|n| exact(of_output[n * outputs + c])));
        let expected: [Vec<Approx>; 4] = [out.collect(), of_rows.collect(), of_weights.collect(), of_bias.collect()];
        let found = products(case, 1);
        for (name, (found, expected)) in ["output", "rows", "weights", "bias"].iter().zip(found.iter().zip(&expected)) {
            assert_within(found, expected, &format!("{case:?}: {name}"));
        }
        assert!(found == products(case, 3), "{case:?}: threads");
    }
}

#[test]
fn sizes_that_are_no_whole_vectors_have_no_kernel() {
    for sizes in [[0, 8], [8, 0], [7, 8], [8, 12], [1 << 60, 8]] {
        assert!(Linear::new(sizes[0], sizes[1]).is_none(), "{sizes:?}");
    }
}

/// Channels with a mean that is not zero, and deviations that differ.
fn rows(count: usize, channels: usize) -> Vec<f32> {
    let numbers = noise(count * channels, 5).into_iter().enumerate();
    numbers.map(|(i, z)| z * (1 + i % channels) as f32 + 2.0).collect()
}

/// Mean, variance, output and gradients of rows, γ and β.
pub fn normalized([count, _, channels]: [usize; 3], threads: usize) -> [Vec<f32>; 6] {
    let z = rows(count, channels);
    let (gamma, beta, of_output) = (noise(channels, 6), noise(channels, 7), noise(count * channels, 8));
    let pool = ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
    pool.install(|| {
        let norm = BatchNorm1d { slope: SLOPE };
        let statistics = norm.statistics(&z, channels);
        assert_eq!(statistics.count, count);
        let (mean, variance) = (statistics.mean, statistics.variance);
        let normalization = Normalization::new(mean.clone(), &variance, EPSILON, &gamma, &beta);
        let out = norm.forward(&z, &normalization);
        let found = norm.backward(&z, &normalization, &of_output);
        [mean, variance, out, found.rows.to_vec(), found.gamma, found.beta]
    })
}

#[test]
fn normalisation_equals_its_formulas() {
    for case @ [count, _, channels] in CASES.into_iter().filter(|case| case[0] > 1) {
        let found = normalized(case, 1);
        assert!(found == normalized(case, 3), "{case:?}: threads");
        let [mean, variance, out, of_rows, of_gamma, of_beta] = found;
        let wide = |values: Vec<f32>| values.into_iter().map(f64::from).collect::<Vec<_>>();
        let (gamma, beta) = (wide(noise(channels, 6)), wide(noise(channels, 7)));
        let (all, of_output) = (wide(rows(count, channels)), wide(noise(count * channels, 8)));
        for c in 0..channels {
            let z: Vec<f64> = all.iter().skip(c).step_by(channels).copied().collect();
            let n = count as f64;
            let assert = |name: &str, found: f32, expected: f64, bound: f64| {
                let off = (f64::from(found) - expected).abs();
                assert!(
                    off <= bound,
                    "{case:?}, channel {c}: {name} is {found} instead of {expected}, off by {off:e} > {bound:e}"
                );
            };
            // At most 64 values are summed in f32, then parts in f64.
            let exact_mean = z.iter().sum::<f64>() / n;
            let magnitude = z.iter().map(|z| z.abs()).sum::<f64>() / n;
            assert("mean", mean[c], exact_mean, 67.0 * U * magnitude);
            let exact_variance = z.iter().map(|z| (z - exact_mean).powi(2)).sum::<f64>() / n;
            // Distances from the rounded mean of a part, the second order of which is left.
            let second = (67.0 * U * magnitude).powi(2);
            let first = 2.0 * U * (magnitude + exact_mean.abs()) * exact_variance.sqrt();
            assert("variance", variance[c], exact_variance, 72.0 * U * exact_variance + first + second);

            // What follows is of the statistics found.
            let (mean, variance) = (f64::from(mean[c]), f64::from(variance[c]));
            let inverse = 1.0 / (variance + EPSILON).sqrt();
            let y: Vec<f64> = z.iter().map(|z| gamma[c] * inverse * (z - mean) + beta[c]).collect();
            let of_y: Vec<f64> =
                z.iter().map(|z| 6.0 * U * ((gamma[c] * inverse * (z - mean)).abs() + beta[c].abs())).collect();
            let slope = f64::from(SLOPE);
            let g: Vec<f64> =
                (0..count).map(|n| of_output[n * channels + c] * if y[n] > 0.0 { 1.0 } else { slope }).collect();
            assert!((0..count).all(|n| y[n].abs() > of_y[n]), "{case:?}: a value on the kink has no gradient");
            let sum = g.iter().sum::<f64>();
            let product: f64 = (0..count).map(|n| g[n] * (z[n] - mean)).sum();
            let sum_bound = 68.0 * U * g.iter().map(|g| g.abs()).sum::<f64>();
            let product_bound = 68.0 * U * (0..count).map(|n| (g[n] * (z[n] - mean)).abs()).sum::<f64>();
            assert("gradient of β", of_beta[c], sum, sum_bound);
            assert(
                "gradient of γ",
                of_gamma[c],
                product * inverse,
                product_bound * inverse + 3.0 * U * (product * inverse).abs(),
            );
            for n in 0..count {
                let leaky = if y[n] > 0.0 { y[n] } else { y[n] * slope };
                assert("output", out[n * channels + c], leaky, of_y[n]);
                let scale = gamma[c] * inverse;
                let of_variance = (z[n] - mean) * inverse * inverse / count as f64;
                let expected = scale * (g[n] - sum / count as f64 - of_variance * product);
                let terms = g[n].abs() + (sum / count as f64).abs() + (of_variance * product).abs();
                let sums = sum_bound / count as f64 + of_variance.abs() * product_bound;
                assert("gradient of rows", of_rows[n * channels + c], expected, scale.abs() * (9.0 * U * terms + sums));
            }
        }
    }
}
