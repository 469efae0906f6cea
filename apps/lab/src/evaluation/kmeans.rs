//! k-means clustering.

use burn::tensor::backend::Backend;
use burn::tensor::{Device, Int, Tensor, TensorData};
use qare_data::{Draw, Purpose};
use rayon::prelude::*;

use crate::evaluation::features::Features;

/// Number of points compared with all centres at a time.
const CHUNK: usize = 8192;

/// Settings of k-means.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Number of clusters.
    pub clusters: usize,
    /// Number of runs from different initial centres, of which the best is used.
    pub starts: usize,
    /// Maximum number of iterations of Lloyd's algorithm.
    pub iterations: usize,
    /// Seed of the initial centres.
    pub seed: u64,
    /// Epoch of the run; the initial centres differ between epochs.
    pub epoch: usize,
}

impl Settings {
    /// Returns the settings of deepcluster in an epoch of a run. The caller sets the number of clusters.
    pub fn of(seed: u64, epoch: usize) -> Self {
        Self { clusters: 1, starts: 5, iterations: 30, seed, epoch }
    }
}

/// Returns the cluster of each point.
///
/// Runs Lloyd's algorithm from several k-means++ initialisations, and uses the result with the smallest sum of squared distances to
/// the centres. A centre without points moves to the point farthest from its centre. Distances to the centres are computed on the
/// device.
///
/// Source: Arthur & Vassilvitskii, "k-means++: The Advantages of Careful Seeding" (2007).
///
/// # Panics
/// If there are fewer points than clusters.
pub fn kmeans<B: Backend>(points: &Features, settings: &Settings, device: &Device<B>) -> Vec<u32> {
    assert!(points.len() >= settings.clusters, "more clusters than points");
    let tensor = points.tensor::<B>(device);
    let starts = (0..settings.starts).map(|start| {
        let mut draw = Draw::new(settings.seed, Purpose::Clusters, settings.epoch as u64, start as u64, 0);
        let centres = plus_plus(points, settings.clusters, &mut draw);
        lloyd::<B>(points, &tensor, centres, settings.iterations)
    });
    let best = starts.min_by(|a, b| a.inertia.total_cmp(&b.inertia));
    best.expect("there is at least one start").assigned
}

struct Clustering {
    assigned: Vec<u32>,
    /// Sum of squared distances to the centres.
    inertia: f64,
}

fn row(points: &Features, index: usize) -> &[f32] {
    &points.values[index * points.dim..(index + 1) * points.dim]
}

fn squared_distance(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum()
}

/// Draws initial centres by k-means++: the first uniformly from the points, each further one with a probability proportional to the
/// squared distance from the nearest centre so far.
fn plus_plus(points: &Features, clusters: usize, draw: &mut Draw) -> Vec<f32> {
    let mut centres = row(points, draw.below(points.len())).to_vec();
    let mut nearest = vec![f32::INFINITY; points.len()];
    while centres.len() < clusters * points.dim {
        let last = &centres[centres.len() - points.dim..];
        nearest
            .par_iter_mut()
            .zip(points.values.par_chunks_exact(points.dim))
            .for_each(|(nearest, point)| *nearest = nearest.min(squared_distance(point, last)));
        let total: f64 = nearest.iter().map(|distance| f64::from(*distance)).sum();
        let mut rest = draw.unit() * total;
        let chosen = nearest.iter().position(|distance| {
            rest -= f64::from(*distance);
            rest < 0.0
        });
        // Without a positive distance, all points coincide with centres.
        let chosen = chosen.unwrap_or_else(|| draw.below(points.len()));
        centres.extend_from_slice(row(points, chosen));
    }
    centres
}

/// Runs Lloyd's algorithm until the assignment stays the same, or for `iterations` iterations.
fn lloyd<B: Backend>(points: &Features, tensor: &Tensor<B, 2>, mut centres: Vec<f32>, iterations: usize) -> Clustering {
    let mut assigned = nearest(points, tensor, &centres);
    for _ in 0..iterations {
        centres = means(points, &assigned, &centres);
        let again = nearest(points, tensor, &centres);
        if again == assigned {
            break;
        }
        assigned = again;
    }
    let distance = |(point, cluster): (&[f32], &u32)| {
        let at = *cluster as usize * points.dim;
        f64::from(squared_distance(point, &centres[at..at + points.dim]))
    };
    let inertia = points.values.chunks_exact(points.dim).zip(&assigned).map(distance).sum();
    Clustering { assigned, inertia }
}

/// Returns the nearest centre of each point: the one with the largest x·c − |c|²/2.
fn nearest<B: Backend>(points: &Features, tensor: &Tensor<B, 2>, centres: &[f32]) -> Vec<u32> {
    let (dim, clusters) = (points.dim, centres.len() / points.dim);
    let device = tensor.device();
    let halves: Vec<f32> =
        centres.chunks_exact(dim).map(|centre| 0.5 * centre.iter().map(|x| x * x).sum::<f32>()).collect();
    let halves = Tensor::<B, 2>::from_data(TensorData::new(halves, [1, clusters]), &device);
    let columns = Tensor::<B, 2>::from_data(TensorData::new(centres.to_vec(), [clusters, dim]), &device).transpose();
    let mut found = Vec::with_capacity(points.len());
    for start in (0..points.len()).step_by(CHUNK) {
        let chunk = tensor.clone().narrow(0, start, CHUNK.min(points.len() - start));
        let best: Tensor<B, 2, Int> = (chunk.matmul(columns.clone()) - halves.clone()).argmax(1);
        let best: Vec<u32> = best.into_data().convert::<u32>().into_vec().expect("the data has just been converted");
        found.extend(best);
    }
    found
}

/// Returns the mean of the points of each cluster; for an empty cluster, a point far from its centre.
fn means(points: &Features, assigned: &[u32], centres: &[f32]) -> Vec<f32> {
    let dim = points.dim;
    let mut sums = vec![0.0f64; centres.len()];
    let mut counts = vec![0usize; centres.len() / dim];
    for (point, cluster) in points.values.chunks_exact(dim).zip(assigned) {
        let cluster = *cluster as usize;
        counts[cluster] += 1;
        sums[cluster * dim..(cluster + 1) * dim].iter_mut().zip(point).for_each(|(sum, x)| *sum += f64::from(*x));
    }
    let mut means: Vec<f32> =
        sums.iter().enumerate().map(|(at, sum)| (sum / counts[at / dim].max(1) as f64) as f32).collect();

    let empty: Vec<usize> = (0..counts.len()).filter(|cluster| counts[*cluster] == 0).collect();
    if !empty.is_empty() {
        let far = |index: &usize| {
            let cluster = assigned[*index] as usize;
            squared_distance(row(points, *index), &centres[cluster * dim..(cluster + 1) * dim])
        };
        let mut order: Vec<usize> = (0..points.len()).collect();
        order.sort_by(|a, b| far(b).total_cmp(&far(a)).then(a.cmp(b)));
        for (cluster, index) in empty.into_iter().zip(order) {
            means[cluster * dim..(cluster + 1) * dim].copy_from_slice(row(points, index));
        }
    }
    means
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_backend::{Plain, any_device};

    fn points(rows: &[[f32; 2]]) -> Features {
        Features { values: rows.concat(), dim: 2, labels: vec![0; rows.len()] }
    }

    fn cloud(count: usize, seed: u64) -> Features {
        let mut draw = Draw::new(seed, Purpose::Picture, 0, 0, 0);
        points(&(0..count).map(|_| [draw.bell(), draw.bell()]).collect::<Vec<_>>())
    }

    fn inertia(points: &Features, assigned: &[u32], clusters: usize) -> f64 {
        (0..clusters as u32)
            .map(|cluster| {
                let members: Vec<&[f32]> = (0..points.len())
                    .filter(|index| assigned[*index] == cluster)
                    .map(|index| row(points, index))
                    .collect();
                let mean =
                    [0, 1].map(|j| members.iter().map(|row| f64::from(row[j])).sum::<f64>() / members.len() as f64);
                let apart = |row: &&[f32]| (0..2).map(|j| (f64::from(row[j]) - mean[j]).powi(2)).sum::<f64>();
                members.iter().map(apart).sum::<f64>()
            })
            .sum()
    }

    #[test]
    fn small_problems_are_solved_optimally() {
        for seed in 0..6 {
            let points = cloud(9, seed);
            let best = (0..3usize.pow(9))
                .map(|code| (0..9).map(|digit| (code / 3usize.pow(digit) % 3) as u32).collect::<Vec<u32>>())
                .filter(|assigned| (0..3).all(|cluster| assigned.contains(&cluster)))
                .map(|assigned| inertia(&points, &assigned, 3))
                .fold(f64::INFINITY, f64::min);
            let settings = Settings { clusters: 3, starts: 200, ..Settings::of(seed, 1) };
            let found = inertia(&points, &kmeans::<Plain>(&points, &settings, &any_device()), 3);
            assert!((found - best).abs() < 1e-5 * best, "{seed}: {found} {best}");
        }
    }

    #[test]
    fn one_iteration_equals_its_definition() {
        let points = cloud(400, 9);
        let centres: Vec<f32> = (0..7).flat_map(|index| row(&points, index * 31).to_vec()).collect();
        let tensor = points.tensor::<Plain>(&any_device());
        let assigned = nearest(&points, &tensor, &centres);
        let literal: Vec<u32> = (0..points.len())
            .map(|index| {
                let distance = |c: &usize| squared_distance(row(&points, index), &centres[2 * c..2 * c + 2]);
                (0..7).min_by(|a, b| distance(a).total_cmp(&distance(b))).unwrap() as u32
            })
            .collect();
        assert_eq!(assigned, literal);
        let moved = means(&points, &assigned, &centres);
        for cluster in 0..7u32 {
            for j in 0..2 {
                let members = (0..points.len()).filter(|index| literal[*index] == cluster);
                let values: Vec<f32> = members.map(|index| row(&points, index)[j]).collect();
                let mean = values.iter().sum::<f32>() / values.len() as f32;
                assert!((moved[2 * cluster as usize + j] - mean).abs() < 1e-5);
            }
        }
    }

    #[test]
    fn a_centre_without_points_moves_to_the_farthest_one() {
        let points = points(&[[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [9.0, 9.0]]);
        let centres = [0.0, 0.0, 50.0, 50.0];
        let assigned = nearest(&points, &points.tensor::<Plain>(&any_device()), &centres);
        assert_eq!(assigned, [0, 0, 0, 0]);
        assert_eq!(means(&points, &assigned, &centres)[2..], [9.0, 9.0]);
    }

    #[test]
    fn equal_points_are_clustered_and_results_are_reproducible() {
        let same = points(&[[2.0, 2.0]; 12]);
        let settings = Settings { clusters: 4, ..Settings::of(1, 1) };
        assert!(kmeans::<Plain>(&same, &settings, &any_device()).iter().all(|cluster| *cluster < 4));
        let cloud = cloud(100, 2);
        let again = || kmeans::<Plain>(&cloud, &settings, &any_device());
        assert_eq!(again(), again());
    }
}
