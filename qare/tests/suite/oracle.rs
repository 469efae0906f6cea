//! The objectives written out literally, in f64, with loops, a sort and a Jacobi eigensolver: slow, and sharing
//! nothing with the crate.

pub type Rows = Vec<Vec<f64>>;

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(x, y)| x * y).sum()
}

fn norm(a: &[f64]) -> f64 {
    a.iter().copied().fold(0.0, f64::hypot)
}

pub fn cosine(z: &Rows) -> Rows {
    let s = |a: &Vec<f64>, b: &Vec<f64>| dot(a, b) / (norm(a) * norm(b)).max(1e-8);
    z.iter().map(|a| z.iter().map(|b| s(a, b)).collect()).collect()
}

pub fn floored(z: &Rows) -> Rows {
    let unit: Rows = z.iter().map(|a| a.iter().map(|x| x / norm(a).max(1e-12)).collect()).collect();
    unit.iter().map(|a| unit.iter().map(|b| dot(a, b).max(1e-8)).collect()).collect()
}

/// ẑ·ẑ without a floor under similarities.
pub fn unfloored(z: &Rows) -> Rows {
    let unit: Rows = z.iter().map(|a| a.iter().map(|x| x / norm(a).max(1e-12)).collect()).collect();
    unit.iter().map(|a| unit.iter().map(|b| dot(a, b)).collect()).collect()
}

/// Every (row, other view of the same image), given row = image·K + view.
fn positives(rows: usize, k: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..rows).flat_map(move |i| (i / k * k..i / k * k + k).filter(move |&j| j != i).map(move |j| (i, j)))
}

pub fn nt_xent(s: &Rows, k: usize, t: f64, mean_of_logs: bool) -> f64 {
    let p = |i: usize, j: usize| {
        let denominator: f64 = s[i].iter().map(|x| (x / t).exp()).sum::<f64>() - (1.0 / t).exp();
        (s[i][j] / t).exp() / denominator
    };
    let count = (s.len() * (k - 1)) as f64;
    if mean_of_logs {
        -positives(s.len(), k).map(|(i, j)| p(i, j).ln()).sum::<f64>() / count
    } else {
        -(positives(s.len(), k).map(|(i, j)| p(i, j)).sum::<f64>() / count).ln()
    }
}

/// The same of rows none of which is short: without the terms of the rows themselves, which cancel, and by logarithms throughout, so
/// that no temperature is too low.
pub fn nt_xent_of_unit_rows(s: &Rows, k: usize, t: f64, mean_of_logs: bool) -> f64 {
    let log_sum = |x: &mut dyn Iterator<Item = f64>| {
        let x: Vec<f64> = x.collect();
        let largest = x.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        largest + x.iter().map(|x| (x - largest).exp()).sum::<f64>().ln()
    };
    let log_p = |i: usize, j: usize| {
        s[i][j] / t - log_sum(&mut (0..s.len()).filter(|&other| other != i).map(|other| s[i][other] / t))
    };
    let count = (s.len() * (k - 1)) as f64;
    if mean_of_logs {
        -positives(s.len(), k).map(|(i, j)| log_p(i, j)).sum::<f64>() / count
    } else {
        count.ln() - log_sum(&mut positives(s.len(), k).map(|(i, j)| log_p(i, j)))
    }
}

/// The threshold τ and the size of the support, by sorting (Martins and Astudillo 2016, algorithm 1).
pub fn sparsemax_threshold(z: &[f64]) -> (f64, usize) {
    let mut sorted = z.to_vec();
    sorted.sort_by(|a, b| b.total_cmp(a));
    let (mut sum, mut best) = (0.0, (f64::NAN, 0));
    for (index, value) in sorted.iter().enumerate() {
        sum += value;
        if 1.0 + (index + 1) as f64 * value > sum {
            best = ((sum - 1.0) / (index + 1) as f64, index + 1);
        }
    }
    best
}

pub fn sparse_clr(s: &Rows, k: usize, margin: f64) -> f64 {
    let rows = s.len();
    let mut total = 0.0;
    for (i, similarities) in s.iter().enumerate() {
        let shifted = |j: usize| if j / k == i / k { similarities[j] - margin } else { similarities[j] };
        let negatives: Vec<f64> = (0..rows).filter(|&j| j != i).map(shifted).collect();
        let (tau, _) = sparsemax_threshold(&negatives);
        let sum: f64 = negatives.iter().filter(|&&n| n > tau).map(|n| n * n - tau * tau).sum();
        let mine: f64 = positives(rows, k).filter(|&(row, _)| row == i).map(|(_, j)| shifted(j)).sum();
        total += 0.5 * sum - mine / (k - 1) as f64 + 0.5;
    }
    total / rows as f64
}

pub fn qare(z: &Rows, k: usize) -> f64 {
    qare_of(z, k, floored)
}

pub fn qare_of(z: &Rows, k: usize, similarities: impl Fn(&Rows) -> Rows) -> f64 {
    let images = z.len() / k;
    let spectra: Vec<Vec<f64>> = (0..k)
        .map(|view| {
            let set: Rows = (0..images).map(|i| z[i * k + view].clone()).collect();
            eigenvalues(similarities(&set).into_iter().map(|row| row.into_iter().map(|x| 1.0 + x).collect()).collect())
        })
        .collect();
    let (mut sum, mut pairs) = (0.0, 0.0);
    for a in 0..k {
        for b in a + 1..k {
            sum += dot(&spectra[a], &spectra[b]) / (images * (images - 1)) as f64;
            pairs += 1.0;
        }
    }
    sum / pairs
}

/// S of each view set: 1 + s, or J s J.
pub fn set_matrices(z: &Rows, k: usize, similarities: impl Fn(&Rows) -> Rows, centred: bool) -> Vec<Rows> {
    let set = |view: usize| -> Rows { z.iter().skip(view).step_by(k).cloned().collect() };
    let of = |s: Rows| -> Rows {
        match centred {
            true => double_centred(&s),
            false => s.into_iter().map(|row| row.into_iter().map(|x| 1.0 + x).collect()).collect(),
        }
    };
    (0..k).map(|view| of(similarities(&set(view)))).collect()
}

/// J s J, with J = I − 11ᵀ/B written down.
pub fn double_centred(s: &Rows) -> Rows {
    let count = s.len();
    let j = |a: usize, b: usize| if a == b { 1.0 } else { 0.0 } - 1.0 / count as f64;
    let times = |left: &dyn Fn(usize, usize) -> f64, right: &dyn Fn(usize, usize) -> f64| -> Rows {
        let entry = |a: usize, b: usize| (0..count).map(|c| left(a, c) * right(c, b)).sum();
        (0..count).map(|a| (0..count).map(|b| entry(a, b)).collect()).collect()
    };
    let half = times(&j, &|a, b| s[a][b]);
    times(&|a, b| half[a][b], &j)
}

/// The mean of ‖A_k‖ ‖A_l‖ / (B(B−1)) over all pairs of matrices.
pub fn product_of_norms(matrices: &[Rows]) -> f64 {
    mean_of_products(matrices, |matrix| norm(&matrix.concat()))
}

/// The mean of m(A_k) m(A_l) / (B(B−1)) over all pairs of matrices, with m(A) = 1ᵀ A 1 / B.
pub fn product_of_means(matrices: &[Rows]) -> f64 {
    mean_of_products(matrices, |matrix| matrix.concat().iter().sum::<f64>() / matrix.len() as f64)
}

fn mean_of_products(matrices: &[Rows], of: impl Fn(&Rows) -> f64) -> f64 {
    let images = matrices[0].len();
    let numbers: Vec<f64> = matrices.iter().map(of).collect();
    let (mut sum, mut pairs) = (0.0, 0.0);
    for a in 0..numbers.len() {
        for b in a + 1..numbers.len() {
            sum += numbers[a] * numbers[b] / (images * (images - 1)) as f64;
            pairs += 1.0;
        }
    }
    sum / pairs
}

/// The mean of log (Σ_{i≠j} exp(−2 (2 − 2 s_ij)) / (B(B−1))) over matrices s.
pub fn uniformity(matrices: &[Rows]) -> f64 {
    let of = |s: &Rows| {
        let (mut sum, mut pairs) = (0.0, 0.0);
        for i in 0..s.len() {
            for j in (0..s.len()).filter(|j| *j != i) {
                sum += (-2.0 * (2.0 - 2.0 * s[i][j])).exp();
                pairs += 1.0;
            }
        }
        (sum / pairs).ln()
    };
    matrices.iter().map(of).sum::<f64>() / matrices.len() as f64
}

/// Ascending eigenvalues by cyclic Jacobi rotations.
pub fn eigenvalues(mut a: Rows) -> Vec<f64> {
    let n = a.len();
    for _ in 0..60 {
        for p in 0..n {
            for q in p + 1..n {
                if a[p][q].abs() < 1e-300 {
                    continue;
                }
                let theta = (a[q][q] - a[p][p]) / (2.0 * a[p][q]);
                let t = theta.signum() / (theta.abs() + (theta * theta + 1.0).sqrt());
                let t = if theta == 0.0 { 1.0 } else { t };
                let c = 1.0 / (t * t + 1.0).sqrt();
                let s = t * c;
                for row in a.iter_mut() {
                    (row[p], row[q]) = (c * row[p] - s * row[q], s * row[p] + c * row[q]);
                }
                let (upper, lower) = a.split_at_mut(q);
                for (x, y) in upper[p].iter_mut().zip(&mut lower[0]) {
                    (*x, *y) = (c * *x - s * *y, s * *x + c * *y);
                }
            }
        }
    }
    let mut values: Vec<f64> = (0..n).map(|i| a[i][i]).collect();
    values.sort_by(f64::total_cmp);
    values
}
