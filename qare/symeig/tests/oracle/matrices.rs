//! Symmetric matrices with what makes eigensolvers fail.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// A symmetric matrix, row by row, as the solver gets it.
pub struct Matrix {
    pub name: String,
    pub order: usize,
    pub entries: Vec<f32>,
}

impl Matrix {
    pub fn from_fn(name: impl Into<String>, order: usize, entry: impl Fn(usize, usize) -> f64) -> Self {
        let at = |at: usize| entry((at / order).max(at % order), (at / order).min(at % order)) as f32;
        Self { name: format!("{}, order {order}", name.into()), order, entries: (0..order * order).map(at).collect() }
    }

    pub fn scaled(&self, factor: f64) -> Self {
        let scale = |x: &f32| (f64::from(*x) * factor) as f32;
        let name = format!("{} times {factor:e}", self.name);
        Self { name, order: self.order, entries: self.entries.iter().map(scale).collect() }
    }
}

/// Entries drawn from −1 to 1.
pub fn random(order: usize, seed: u64) -> Matrix {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let entries: Vec<f64> = (0..order * order).map(|_| rng.random_range(-1.0..1.0)).collect();
    Matrix::from_fn(format!("random, seed {seed}"), order, |i, j| entries[i * order + j])
}

/// V diag(values) Vᵀ, with V a product of 16 random reflections.
pub fn with_eigenvalues(name: &str, values: &[f64], seed: u64) -> Matrix {
    let order = values.len();
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut a = vec![0.0; order * order];
    (0..order).for_each(|i| a[i * order + i] = values[i]);
    for _ in 0..16 {
        let v: Vec<f64> = (0..order).map(|_| rng.random_range(-1.0..1.0)).collect();
        let tau = 2.0 / v.iter().map(|x| x * x).sum::<f64>();
        // (I − τ v vᵀ) A (I − τ v vᵀ) = A − v wᵀ − w vᵀ with w = τ A v − ½ τ² (vᵀ A v) v.
        let product: Vec<f64> = a.chunks_exact(order).map(|row| row.iter().zip(&v).map(|(a, v)| a * v).sum()).collect();
        let along: f64 = product.iter().zip(&v).map(|(p, v)| p * v).sum();
        let w: Vec<f64> = product.iter().zip(&v).map(|(p, v)| tau * p - 0.5 * tau * tau * along * v).collect();
        for (i, row) in a.chunks_exact_mut(order).enumerate() {
            for (j, x) in row.iter_mut().enumerate() {
                *x -= v[i] * w[j] + w[i] * v[j];
            }
        }
    }
    Matrix::from_fn(format!("{name}, seed {seed}"), order, |i, j| a[i * order + j])
}

/// 1 + max(s, floor), or s itself, of rows of length 1 that differ by `noise`.
pub fn collapsed(order: usize, dim: usize, noise: f64, floor: Option<f64>, seed: u64) -> Matrix {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let center: Vec<f64> = (0..dim).map(|_| rng.random_range(-1.0..1.0)).collect();
    let rows: Vec<Vec<f64>> = (0..order)
        .map(|_| {
            let row: Vec<f64> = center.iter().map(|x| x + noise * rng.random_range(-1.0..1.0)).collect();
            let length = row.iter().map(|x| x * x).sum::<f64>().sqrt();
            row.into_iter().map(|x| f64::from((x / length) as f32)).collect()
        })
        .collect();
    let name = format!("{dim} dimensions collapsed to {noise:e}, floor {floor:?}, seed {seed}");
    Matrix::from_fn(name, order, |i, j| {
        let s: f64 = rows[i].iter().zip(&rows[j]).map(|(a, b)| a * b).sum();
        floor.map_or(s, |floor| 1.0 + s.max(floor))
    })
}

/// Copies of Wilkinson's W₂₁⁺ joined by `glue`; its largest eigenvalues are pairs that agree to 1e-14.
pub fn wilkinson(copies: usize, glue: f64) -> Matrix {
    Matrix::from_fn(format!("Wilkinson's, glued with {glue:e}"), 21 * copies, |i, j| match i - j {
        0 => (10.0 - (i % 21) as f64).abs(),
        1 if i % 21 == 0 => glue,
        1 => 1.0,
        _ => 0.0,
    })
}

/// Everything but random matrices.
pub fn adversarial(order: usize, seed: u64) -> Vec<Matrix> {
    let n = order as f64;
    let spectrum = |name: &str, value: &dyn Fn(f64) -> f64| {
        let values: Vec<f64> = (0..order).map(|i| value(i as f64)).collect();
        with_eigenvalues(name, &values, seed)
    };
    let blocks = |magnitude: f64| {
        let entries = random(order, seed).entries;
        Matrix::from_fn(format!("blocks, the second times {magnitude:e}"), order, |i, j| {
            let own = f64::from(entries[i * order + j]);
            match (i < order / 2, j < order / 2) {
                (true, true) => own,
                (false, false) => own * magnitude,
                _ => 0.0,
            }
        })
    };
    vec![
        blocks(1e-10),
        blocks(1e-20),
        blocks(1e-30),
        spectrum("clustered", &|i| (i * 5.0 / n).floor() + i * 1e-9),
        spectrum("clustered at 0", &|i| if i < 1.0 { 1.0 } else { 1e-7 * (1.0 + i / n) }),
        spectrum("repeated", &|i| if i < n / 2.0 { -1.0 } else { 2.0 }),
        spectrum("graded", &|i| 10f64.powf(-12.0 + 18.0 * (i + 1.0) / n)),
        spectrum("graded in both signs", &|i| {
            10f64.powf(-12.0 + 18.0 * (i + 1.0) / n) * if i % 2.0 == 0.0 { 1.0 } else { -1.0 }
        }),
        spectrum("one large", &|i| if i + 1.0 < n { 1.0 } else { 1e4 }),
        Matrix::from_fn("graded entries", order, |i, j| 10f64.powf(-18.0 * (i + j) as f64 / (2.0 * n))),
        Matrix::from_fn("graded entries upwards", order, |i, j| 10f64.powf(-18.0 + 18.0 * (i + j) as f64 / (2.0 * n))),
        Matrix::from_fn("ones", order, |_, _| 1.0),
        Matrix::from_fn("rank one", order, |i, j| (i as f64 + 1.0).sin() * (j as f64 + 1.0).sin()),
        Matrix::from_fn("identity", order, |i, j| if i == j { 1.0 } else { 0.0 }),
        Matrix::from_fn("zero", order, |_, _| 0.0),
        Matrix::from_fn("one entry", order, |i, j| if i == j && i == order / 2 { 1.0 } else { 0.0 }),
        Matrix::from_fn("Hilbert's", order, |i, j| 1.0 / (1 + i + j) as f64),
        Matrix::from_fn("second differences", order, |i, j| [2.0, -1.0, 0.0][(i - j).min(2)]),
        collapsed(order, 16, 1.0, None, seed),
        collapsed(order, 64, 1e-2, None, seed),
        collapsed(order, 64, 1e-3, Some(0.0), seed),
        collapsed(order, 64, 1e-6, None, seed),
        collapsed(order, 64, 1e-6, Some(0.0), seed),
        collapsed(order, 64, 0.0, Some(0.0), seed),
        collapsed(order, 8, 3.0, Some(0.0), seed),
    ]
}
